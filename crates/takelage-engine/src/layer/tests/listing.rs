//! Lists of what layers show. What shows is tested beside `flatten`.

use std::path::Path;

use super::{flatten::Bytes, *};

#[test]
fn files_are_listed_as_the_highest_layer_has_them() {
    let tar = Tar::default;
    let base = tar().directory("d").file("d/old", "x").file("file", "first").symlink("link", "file");
    let above = tar().file("d/.wh.old", "").file("file", "second").hard_link("same", "file").device(
        "null",
        EntryType::Char,
        1,
        3,
    );
    let layers = [Bytes(base.end()), Bytes(above.end())];
    let listing = Listing::of(&layers).unwrap();
    let said: Vec<_> = listing
        .files
        .iter()
        .map(|(path, file)| (path.to_str().unwrap(), file.kind.clone(), file.size, file.layer))
        .collect();
    let wanted = [
        ("d", FileKind::Directory, 0, 0),
        ("file", FileKind::File, 6, 1),
        ("link", FileKind::Symlink("file".to_owned()), 0, 0),
        ("null", FileKind::Device, 0, 1),
        ("same", FileKind::File, 6, 1),
    ];
    assert_eq!(said, wanted);
    let content = |path: &str, most| listing.content(&layers, Path::new(path), most).unwrap();
    for name in ["file", "same"] {
        assert_eq!(content(name, 100).unwrap(), b"second", "{name}");
        assert_eq!(content(name, 6).unwrap(), b"second", "{name}");
        assert_eq!(content(name, 5), None, "{name}");
    }
    // Neither a link nor a directory, nor what is gone, has content.
    assert!(["link", "d", "null", "d/old"].iter().all(|name| content(name, 100).is_none()));
}

#[test]
fn holes_are_zeros() {
    // GNU tar's last form: the map is at the beginning of the content.
    let mut map = b"1\n4\n2\n".to_vec();
    map.resize(512, 0);
    map.extend_from_slice(b"ab");
    let records: [(&str, &[u8]); 4] = [
        ("GNU.sparse.major", b"1"),
        ("GNU.sparse.minor", b"0"),
        ("GNU.sparse.name", b"holes"),
        ("GNU.sparse.realsize", b"8"),
    ];
    let mut header = Tar::header(EntryType::Regular, b"GNUSparseFile.0/holes");
    header.set_size(map.len() as u64);
    let layers = [Bytes(Tar::default().pax(&records).with(header, &map).end())];
    let listing = Listing::of(&layers).unwrap();
    let content = listing.content(&layers, Path::new("holes"), 100).unwrap();
    assert_eq!(content.as_deref(), Some(&b"\0\0\0\0ab\0\0"[..]), "{:?}", listing.files);
}
