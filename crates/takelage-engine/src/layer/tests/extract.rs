//! Archives into trees that are in use.

use std::path::Path;

use takelage_testkit::tree::Tree;

use super::{gnu, *};

fn extracted(bench: &Bench, at: &str, tar: &[u8]) -> Result<Vec<LeftOut>, LayerError> {
    let before = Tree::of(&bench.path("outside")).unwrap();
    let result = super::super::extract(tar, open(&bench.root()).as_fd(), Path::new(at));
    before.assert_same(&Tree::of(&bench.path("outside")).unwrap(), "the outside");
    result
}

#[test]
fn names_are_below_a_directory_that_exists() {
    let bench = Bench::new();
    fs_err::create_dir_all(bench.root().join("srv/data")).unwrap();
    std::os::unix::fs::symlink("/srv", bench.root().join("link")).unwrap();
    std::os::unix::fs::symlink("../../outside", bench.root().join("out")).unwrap();
    let tar = Tar::default().file("file", "1").file("new/file", "2").file(".wh.file", "").end();
    for at in ["/srv/data", "link/data", "/link/../srv/data/.", "../../srv/data"] {
        extracted(&bench, at, &tar).unwrap();
        let tree = Tree::of(&bench.root().join("srv/data")).unwrap();
        assert_eq!(tree.0.len(), 5, "{at}: {tree:?}");
        fs_err::remove_dir_all(bench.root().join("srv/data")).unwrap();
        fs_err::create_dir(bench.root().join("srv/data")).unwrap();
    }
    for at in ["/nowhere", "/srv/data/x", "/out", "/link/file"] {
        let error = extracted(&bench, at, &tar).unwrap_err();
        assert!(error.is_missing(), "{at}: {error}");
    }
}

#[test]
fn what_is_there_is_replaced_but_no_directory_that_has_something_in_it() {
    let bench = Bench::new();
    fs_err::create_dir_all(bench.root().join("full/kept")).unwrap();
    fs_err::create_dir(bench.root().join("empty")).unwrap();
    fs_err::write(bench.root().join("file"), "old").unwrap();
    fs_err::hard_link(bench.root().join("file"), bench.root().join("same")).unwrap();
    std::os::unix::fs::symlink(bench.path("outside/file"), bench.root().join("link")).unwrap();
    let tar = Tar::default().file("file", "new").file("empty", "1").file("link", "2").directory("full").end();
    extracted(&bench, "/", &tar).unwrap();
    let read = |name: &str| fs_err::read_to_string(bench.root().join(name)).unwrap();
    assert_eq!([read("file"), read("same"), read("empty"), read("link")], ["new", "old", "1", "2"]);
    assert!(bench.root().join("full/kept").exists());
    let error = extracted(&bench, "/", &Tar::default().file("full", "").end()).unwrap_err();
    assert!(error.to_string().contains("cannot replace `full`"), "{error}");
    assert!(bench.root().join("full/kept").exists());
}

#[test]
fn a_stream_that_breaks_off_is_not_taken_for_the_end() {
    let bench = Bench::new();
    let whole = Tar::default().file("a", "1").file("b", "2").end();
    for length in [0, 100, 512, 1024, 1500, 2048] {
        let error = extracted(&bench, "/", &whole[..length]).unwrap_err();
        assert!(matches!(error, LayerError::Damaged { .. }), "{length}: {error}");
    }
    extracted(&bench, "/", &whole[..2560]).unwrap();
}

#[test]
fn links_in_use_lead_nowhere_outside() {
    let bench = Bench::new();
    std::os::unix::fs::symlink("../outside", bench.root().join("out")).unwrap();
    std::os::unix::fs::symlink("/proc/self/root", bench.root().join("magic")).unwrap();
    for name in ["out/file", "magic/etc/x"] {
        assert!(extracted(&bench, "/", &Tar::default().file(name, "mine").end()).is_err(), "{name}");
    }
}

#[test]
fn root_extracts_over_a_tree_as_gnu_tar_does() {
    if let Some(reason) = gnu::missing() {
        takelage_testkit::skip!("{reason}");
    }
    let there = r"
        umask 022
        mkdir -p d/sub/deeper emptied linked shared/sub
        echo old > d/file; echo old > d/kept; echo old > d/sub/file; echo old > to-link; echo old > to-fifo
        ln d/file same; ln -s d link-to-directory; ln -s d/file link-to-file; ln -s nowhere dangling
        mkfifo fifo; mknod device c 1 3; chmod 4755 d/kept; chmod 2755 shared; chown 5:6 shared/sub
        touch -d @1 d d/sub linked shared emptied d/kept
        touch -d @5 . same
    ";
    let new = r"
        umask 022
        mkdir -p d/sub/other link-to-directory shared/sub/new
        echo new > d/file; echo new > d/sub/file; chmod 600 d/file; chown 7:8 d/file d/sub; chmod 2711 d/sub
        ln -s target to-link; mkfifo to-fifo; ln d/file hard; ln d/file d/sub/hard
        echo new > link-to-file; echo new > dangling; echo new > fifo; echo new > device; echo new > emptied
        ln -s elsewhere same
        touch -d @2 link-to-file d/sub d shared/sub; touch -h -d @3 same; chmod 711 .; touch -d @9 .
    ";
    let (source, tar) = (tempfile::tempdir().unwrap(), tempfile::NamedTempFile::new().unwrap());
    gnu::shell(source.path(), new);
    gnu::pack(source.path(), tar.path(), &["--format=posix"]);
    let (theirs, ours) = (tempfile::tempdir().unwrap(), Bench::new());
    gnu::shell(theirs.path(), there);
    gnu::shell(&ours.root(), there);
    gnu::unpack(tar.path(), theirs.path(), &[]);
    assert_eq!(extracted(&ours, "/", &fs_err::read(tar.path()).unwrap()).unwrap(), []);
    let (mut theirs, mut ours) = (Tree::of(theirs.path()).unwrap(), ours.tree());
    // Nobody sets the time of what is not in the archive.
    for tree in [&mut theirs, &mut ours] {
        for path in ["d/sub/deeper", "same"] {
            tree.0.get_mut(Path::new(path)).unwrap().mtime = (0, 0);
        }
    }
    theirs.assert_same(&ours, "extracted");
}
