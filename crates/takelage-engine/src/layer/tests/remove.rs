//! Trees that are hard to remove.

use std::{
    os::{fd::OwnedFd, unix::fs::PermissionsExt},
    path::Path,
};

use rustix::fs::{CWD, FileType, IFlags, Mode};

use super::*;

fn removed(bench: &Bench, name: &str) -> Result<(), LayerError> {
    let root = bench.root();
    super::super::remove(open(&root).as_fd(), Path::new(name))
}

#[test]
fn what_is_not_there_is_removed() {
    let bench = Bench::new();
    removed(&bench, "nothing").unwrap();
    for wrong in ["", ".", "..", "a/b", "../outside"] {
        assert!(removed(&bench, wrong).is_err(), "{wrong}");
    }
}

#[test]
fn links_are_not_followed() {
    let bench = Bench::new();
    fs_err::create_dir(bench.root().join("d")).unwrap();
    for name in ["link", "d/link"] {
        std::os::unix::fs::symlink(bench.path("outside"), bench.root().join(name)).unwrap();
    }
    removed(&bench, "link").unwrap();
    removed(&bench, "d").unwrap();
    assert_eq!(fs_err::read_dir(bench.root()).unwrap().count(), 0);
    assert!(bench.path("outside/file").exists());
}

#[test]
fn modes_do_not_matter() {
    let bench = Bench::new();
    fs_err::create_dir_all(bench.root().join("a/b/c")).unwrap();
    fs_err::write(bench.root().join("a/b/c/file"), "").unwrap();
    for path in ["a/b/c", "a/b", "a"] {
        fs_err::set_permissions(bench.root().join(path), std::fs::Permissions::from_mode(0o000)).unwrap();
    }
    removed(&bench, "a").unwrap();
    assert_eq!(fs_err::read_dir(bench.root()).unwrap().count(), 0);
}

#[test]
fn neither_depth_nor_number_matters() {
    let bench = Bench::new();
    // Far more than could be open at once, and longer than any path.
    let mut directory: OwnedFd = open(&bench.root()).into();
    for _ in 0..3000 {
        rustix::fs::mkdirat(&directory, "deep", Mode::RWXU).unwrap();
        // A name that is taken when others are moved.
        rustix::fs::mknodat(&directory, ".1", FileType::RegularFile, Mode::RUSR, 0).unwrap();
        directory = tree::open_directory(&directory, b"deep").unwrap();
    }
    for number in 0..3000 {
        let name = format!("a-name-of-some-length-{number}");
        rustix::fs::mknodat(&directory, name, FileType::RegularFile, Mode::RUSR, 0).unwrap();
    }
    drop(directory);
    removed(&bench, "deep").unwrap();
    removed(&bench, ".1").unwrap();
    assert_eq!(fs_err::read_dir(bench.root()).unwrap().count(), 0);
}

#[test]
fn root_removes_what_is_immutable() {
    if !is_root() {
        takelage_testkit::skip!("only root makes files immutable");
    }
    let bench = Bench::new();
    fs_err::create_dir_all(bench.root().join("a/b")).unwrap();
    fs_err::write(bench.root().join("a/b/file"), "").unwrap();
    fs_err::write(bench.root().join("a/log"), "").unwrap();
    for (path, flag) in [
        ("a/b/file", IFlags::IMMUTABLE),
        ("a/log", IFlags::APPEND),
        ("a/b", IFlags::IMMUTABLE),
        ("a", IFlags::APPEND),
    ] {
        let file = open(&bench.root().join(path));
        let set = rustix::fs::ioctl_getflags(&file)
            .and_then(|flags| rustix::fs::ioctl_setflags(&file, flags | flag));
        if set.is_err() {
            takelage_testkit::skip!("this file system has no immutable files");
        }
    }
    assert!(fs_err::remove_dir_all(bench.root().join("a")).is_err());
    removed(&bench, "a").unwrap();
    assert_eq!(fs_err::read_dir(bench.root()).unwrap().count(), 0);
}

#[test]
fn a_mount_is_left_alone() {
    // Nothing can be mounted in a test that is to end without a trace, but there is always this one.
    let error = super::super::remove(open(Path::new("/")).as_fd(), Path::new("proc")).unwrap_err();
    assert!(matches!(error, LayerError::Tree { .. }), "{error}");
    assert!(rustix::fs::statat(CWD, "/proc/self/status", rustix::fs::AtFlags::empty()).is_ok());
}
