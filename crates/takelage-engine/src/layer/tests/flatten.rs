//! Archives of layers that lie on each other made one. That they show the same is tested beside `merge`.

use std::{
    io::{self, Read},
    ops::Range,
};

use super::*;

/// An archive in memory.
pub(super) struct Bytes(pub(super) Vec<u8>);

impl Archive for Bytes {
    fn length(&self) -> u64 {
        self.0.len() as u64
    }

    fn part(&self, range: Range<u64>) -> io::Result<impl Read> {
        let at = |place: u64| usize::try_from(place).unwrap();
        Ok(&self.0[at(range.start)..at(range.end)])
    }
}

/// Returns the names in an archive in order, links with what they lead to.
pub(super) fn names(tar: &[u8]) -> Vec<String> {
    let mut archive = tar::Archive::new(tar);
    let name = |entry: tar::Entry<'_, &[u8]>| {
        let name = String::from_utf8_lossy(&entry.path_bytes()).into_owned();
        match entry.link_name_bytes() {
            Some(target) => format!("{name} -> {}", String::from_utf8_lossy(&target)),
            None => name,
        }
    };
    archive.entries().unwrap().map(|entry| name(entry.unwrap())).collect()
}

fn flat(layers: &[Tar], below: Tar) -> Vec<u8> {
    let layers: Vec<_> = layers.iter().map(|tar| Bytes(tar.clone().end())).collect();
    let mut flat = Vec::new();
    let any = flatten(&layers, &[Bytes(below.end())], &mut flat).unwrap();
    assert_eq!(any, !flat.is_empty());
    flat
}

/// Returns the names of what layers come to above one.
fn flattened(layers: &[Tar], below: Tar) -> Vec<String> {
    let flat = flat(layers, below);
    if flat.is_empty() { Vec::new() } else { names(&flat) }
}

#[test]
fn what_came_and_went_is_nowhere() {
    let tar = Tar::default;
    let base = || tar().directory("d").file("d/old", "").file("file", "");
    let first = tar().directory("d").file("d/secret", "x").directory("e").file("e/secret", "x");
    let second = tar().directory("d").file("d/.wh.secret", "").file(".wh.e", "");
    assert_eq!(flattened(&[first, second.clone()], base()), ["d"]);
    assert!(flattened(&[tar().file("x", ""), tar().file(".wh.x", "")], base()).is_empty());
    // What the layers below have is said to be gone, and not what is in it.
    let gone = [tar().directory("d").file("d/.wh.old", ""), tar().file(".wh.d", "").file(".wh.file", "")];
    assert_eq!(flattened(&gone, base()), [".wh.d", ".wh.file"]);
    // A directory in the place of one, of a file, and of nothing.
    let anew = |name: &str| [tar().file(&format!(".wh.{name}"), ""), tar().directory(name)];
    assert_eq!(flattened(&anew("d"), base()), ["d", "d/.wh..wh..opq"]);
    assert_eq!(flattened(&anew("file"), base()), ["file"]);
    assert_eq!(flattened(&anew("new"), base()), ["new"]);
    let turns = [tar().file("d", ""), tar().directory("d").file("d/new", "")];
    assert_eq!(flattened(&turns, base()), ["d", "d/.wh..wh..opq", "d/new"]);
    assert_eq!(flattened(&turns, tar().file("d/implied", "")), ["d", "d/.wh..wh..opq", "d/new"]);
}

#[test]
fn names_come_as_directories_are_walked() {
    let first = Tar::default().directory("a").file("a/z", "").file("a.b", "");
    let second = Tar::default().directory("a").file("a/b", "").file("a-b", "");
    assert_eq!(flattened(&[first, second], Tar::default()), ["a", "a/b", "a/z", "a-b", "a.b"]);
}

#[test]
fn a_file_keeps_its_content_when_its_first_name_goes() {
    let capability = b"\x01\0\0\x02\n\x04\0\0";
    let records = [("SCHILY.xattr.security.capability", capability.as_slice())];
    let first = || {
        let tar = Tar::default().pax(&records).file("a", "content");
        tar.hard_link("b", "a").hard_link("c", "a").file("other", "")
    };
    let both = |second: Tar| flat(&[first(), second], Tar::default().file("a", "base"));
    assert_eq!(names(&both(Tar::default().file("other", "x")))[..3], ["a", "b -> a", "c -> a"]);
    for (second, rest) in
        [(Tar::default().file("a", "new"), "a"), (Tar::default().file(".wh.a", ""), ".wh.a")]
    {
        let flat = both(second);
        assert_eq!(names(&flat), [rest, "b", "c -> b", "other"]);
        let mut archive = tar::Archive::new(flat.as_slice());
        let mut file = archive.entries().unwrap().nth(1).unwrap().unwrap();
        let mut content = String::new();
        file.read_to_string(&mut content).unwrap();
        assert_eq!(content, "content");
        assert!(flat.windows(capability.len()).any(|window| window == capability));
    }
    // Also where the name of the content is not the first in the order of directories.
    let odd = Tar::default().file("z", "content").hard_link("a", "z");
    assert_eq!(flattened(&[odd, Tar::default().file("other", "")], Tar::default()), ["a", "other", "z -> a"]);
}

#[test]
fn a_link_to_what_the_layer_does_not_have_is_refused() {
    let layers = [Bytes(Tar::default().hard_link("a", "nowhere").end())];
    let refused = flatten(&layers, &[], Vec::new());
    assert!(matches!(refused, Err(LayerError::Refused { .. })), "{refused:?}");
}
