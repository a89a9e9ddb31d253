//! Archives that name something twice.

use super::*;

/// What appends entries to an archive.
type Append = fn(Tar) -> Tar;

/// Entries that make something called `x`, of every kind. A directory has something in it.
fn kinds() -> Vec<(&'static str, Append)> {
    vec![
        ("file", |tar| tar.file("x", "content")),
        ("shorter file", |tar| tar.file("x", "c")),
        ("directory", |tar| tar.directory("x").directory("x/a").file("x/a/b", "")),
        ("symlink", |tar| tar.symlink("x", "target")),
        ("dangling symlink", |tar| tar.symlink("x", "/nowhere")),
        ("hard link", |tar| tar.hard_link("x", "target/file")),
        ("fifo", |tar| tar.with(Tar::header(EntryType::Fifo, b"x"), b"")),
    ]
}

#[test]
fn the_last_one_counts_and_replaces_another_kind() {
    for (first, before) in kinds() {
        for (second, after) in kinds() {
            let base = || Tar::default().directory("target").file("target/file", "kept");
            let twice = tree_of(&after(before(base())).end());
            let once = tree_of(&after(base()).end());
            twice.assert_same(&once, &format!("{first}, then {second}"));
        }
    }
}

#[test]
fn a_directory_keeps_what_is_in_it() {
    let mut again = Tar::header(EntryType::Directory, b"d");
    again.set_mode(0o700);
    again.set_mtime(5);
    let tar = Tar::default().directory("d").file("d/file", "1").with(again, b"").file("d/other", "").end();
    let tree = tree_of(&tar);
    assert_eq!(tree.0.len(), 4);
    let directory = &tree.0[std::path::Path::new("d")];
    assert_eq!((directory.mode, directory.mtime), (0o700, (5, 0)));
}

#[test]
fn what_led_elsewhere_is_forgotten_when_it_is_replaced() {
    // `x` leads to one directory, then to another, then it is one.
    let tree = tree_of(
        &Tar::default()
            .directory("one")
            .directory("two")
            .symlink("x", "one")
            .file("x/first", "")
            .symlink("x", "two")
            .file("x/second", "")
            .directory("x")
            .file("x/third", "")
            .end(),
    );
    let paths: Vec<_> = tree.0.keys().map(|path| path.to_str().unwrap()).collect();
    assert_eq!(paths, [".", "one", "one/first", "two", "two/second", "x", "x/third"]);
    assert_eq!(tree.0[std::path::Path::new("x")].mtime, (1_000_000_000, 0));
}

#[test]
fn a_file_that_is_replaced_keeps_its_other_names() {
    let tree = tree_of(&Tar::default().file("a", "1").hard_link("b", "a").file("a", "2").end());
    assert_ne!(tree.0[std::path::Path::new("a")].kind, tree.0[std::path::Path::new("b")].kind);
    // A link to itself is what it is.
    let tree = tree_of(&Tar::default().file("a", "1").hard_link("a", "./a").end());
    assert_eq!(tree.0.len(), 2);
}

#[test]
fn a_directory_that_was_replaced_leaves_its_time_to_nobody() {
    let directory = |mtime| {
        let mut header = Tar::header(EntryType::Directory, b"d");
        header.set_mtime(mtime);
        header
    };
    // The link keeps the number of the first directory's inode, which the file gets, from the second directory.
    let tar =
        Tar::default().with(directory(5), b"").file("d", "").hard_link("kept", "d").with(directory(7), b"");
    assert_eq!(tree_of(&tar.end()).0[std::path::Path::new("d")].mtime, (7, 0));
}
