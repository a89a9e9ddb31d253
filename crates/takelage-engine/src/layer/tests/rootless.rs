//! What is different in a user namespace.

use std::{path::Path, process::Command};

use takelage_testkit::tree::Kind;

use super::*;

const WITHIN: &str = "layer::tests::rootless::within_a_user_namespace";

#[test]
fn devices_are_left_out_in_a_user_namespace() {
    let possible = Command::new("unshare").args(["--user", "--map-root-user", "true"]).output();
    if !possible.is_ok_and(|output| output.status.success()) {
        takelage_testkit::skip!("no user namespace can be made here");
    }
    let output = Command::new("unshare")
        .args(["--user", "--map-root-user"])
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", WITHIN, "--ignored", "--nocapture"])
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success() && said.contains("1 passed"),
        "{said}{}",
        String::from_utf8_lossy(&output.stderr)
    );
}

#[test]
#[ignore = "another test runs it in a user namespace"]
fn within_a_user_namespace() {
    let capability = b"\x01\0\0\x02\0\x04\0\0\0\0\0\0\0\0\0\0\0\0\0\0".as_slice();
    let tar = Tar::default()
        .file("console", "replaced by a device")
        .device("console", EntryType::Char, 5, 1)
        .pax(&[
            ("SCHILY.xattr.trusted.a", b"1"),
            ("SCHILY.xattr.user.a", b"2"),
            ("SCHILY.xattr.security.capability", capability),
        ])
        .file("file", "1")
        .directory("d")
        .file("d/.wh..wh..opq", "")
        .file("d/.wh.gone", "")
        .end();
    let bench = Bench::new();
    let root = open(&bench.root());
    let unpacked = super::super::unpack(tar.as_slice(), root.as_fd(), Namespace::User, Limits::default());
    assert_eq!(
        unpacked.unwrap().left_out,
        [
            LeftOut { path: "console".into(), what: Omission::Device },
            LeftOut { path: "file".into(), what: Omission::Attribute("trusted.a".to_owned()) },
        ]
    );
    let tree = bench.tree();
    assert_eq!(tree.0[Path::new("console")].kind, Kind::Character(0, 0));
    assert_eq!(tree.0[Path::new("d/gone")].kind, Kind::Character(0, 0));
    assert_eq!(tree.0[Path::new("d")].xattrs["user.overlay.opaque"], b"y");
    assert_eq!(tree.0[Path::new("file")].xattrs["user.a"], b"2");
    // What the kernel has noted about the namespace is not seen in it.
    assert_eq!(tree.0[Path::new("file")].xattrs["security.capability"], capability);
    let options = PackOptions { markers: Namespace::User, newest: None, skip: vec![] };
    let mut layer = Vec::new();
    super::super::pack(root.as_fd(), &mut layer, &options).unwrap();
    let again = Bench::new();
    let root = open(&again.root());
    super::super::unpack(layer.as_slice(), root.as_fd(), Namespace::User, Limits::default()).unwrap();
    let xattrs = |bench: &Bench| {
        bench.tree().0.into_iter().map(|(path, file)| (path, file.xattrs)).collect::<Vec<_>>()
    };
    assert_eq!(xattrs(&bench), xattrs(&again));
}
