//! What says that something of a lower layer is gone.

use std::path::Path;

use takelage_testkit::tree::Kind;

use super::*;

/// What a tree says: names that are gone, opaque directories, and everything else.
fn said(tar: Tar) -> (Vec<String>, Vec<String>, Vec<String>) {
    let tree = tree_of(&tar.end());
    let opaque = String::from_utf8_lossy(markers().opaque()).into_owned();
    let (mut gone, mut hides, mut rest) = (Vec::new(), Vec::new(), Vec::new());
    for (path, file) in &tree.0 {
        let path = path.to_str().unwrap().to_owned();
        match file.kind {
            Kind::Character(0, 0) => gone.push(path.clone()),
            _ => rest.push(path.clone()),
        }
        if let Some(value) = file.xattrs.get(&opaque) {
            assert_eq!(value, b"y");
            hides.push(path);
        }
    }
    rest.retain(|path| path != ".");
    (gone, hides, rest)
}

fn texts(gone: &[&str], opaque: &[&str], rest: &[&str]) -> (Vec<String>, Vec<String>, Vec<String>) {
    let own = |texts: &[&str]| texts.iter().map(|&text| text.to_owned()).collect();
    (own(gone), own(opaque), own(rest))
}

#[test]
fn they_become_what_overlayfs_reads() {
    let tar = Tar::default().directory("d").file("d/.wh.a", "").file(".wh.b", "").file("d/.wh..hidden", "");
    assert_eq!(said(tar), texts(&["b", "d/.hidden", "d/a"], &[], &["d"]));
    let tar = Tar::default().directory("d").file("d/.wh..wh..opq", "").file("d/new", "");
    assert_eq!(said(tar), texts(&[], &["d"], &["d", "d/new"]));
    // Also in what is not mentioned, and in the root.
    assert_eq!(said(Tar::default().file("a/.wh.b", "")), texts(&["a/b"], &[], &["a"]));
    assert_eq!(said(Tar::default().file(".wh..wh..opq", "")), texts(&[], &["."], &[]));
}

#[test]
fn they_hide_nothing_of_their_own_layer_whatever_comes_first() {
    let hide = |tar: Tar| tar.file(".wh.x", "");
    let file = |tar: Tar| tar.file("x", "1");
    for tar in [hide(file(Tar::default())), file(hide(Tar::default()))] {
        assert_eq!(said(tar), texts(&[], &[], &["x"]));
    }
    // A directory of this layer begins empty.
    let directory = |tar: Tar| tar.directory("x").file("x/new", "");
    for tar in [hide(directory(Tar::default())), directory(hide(Tar::default()))] {
        assert_eq!(said(tar), texts(&[], &["x"], &["x", "x/new"]));
    }
    // Even one that is only implied.
    let implied = |tar: Tar| tar.file("x/y/new", "");
    for tar in [hide(implied(Tar::default())), implied(hide(Tar::default()))] {
        assert_eq!(said(tar), texts(&[], &["x"], &["x", "x/y", "x/y/new"]));
    }
    let opaque = |tar: Tar| tar.file("x/.wh..wh..opq", "");
    for tar in [opaque(directory(Tar::default())), directory(opaque(Tar::default()))] {
        assert_eq!(said(tar), texts(&[], &["x"], &["x", "x/new"]));
    }
    // Twice is once.
    assert_eq!(said(hide(hide(Tar::default()))), texts(&["x"], &[], &[]));
}

#[test]
fn names_that_cannot_be_hidden_are_refused() {
    for name in [".wh.", ".wh..", ".wh...", "d/.wh...", ".wh.a/b", "a/.wh..wh..opq/b"] {
        let error = Bench::new().unpack(&Tar::default().file(name, "").end()).unwrap_err();
        assert!(matches!(error, LayerError::Refused { .. }), "{name}: {error}");
    }
    // What is gone is nothing that could be linked to.
    let error = Bench::new().unpack(&Tar::default().file(".wh.a", "").hard_link("b", "a").end()).unwrap_err();
    assert!(matches!(error, LayerError::Refused { .. }), "{error}");
}

#[test]
fn what_was_for_aufs_alone_is_left_out() {
    let bench = Bench::new();
    let tar = Tar::default().directory(".wh..wh.plnk").file(".wh..wh.plnk/1.2", "x").file("a", "").end();
    let left_out = bench.unpack(&tar).unwrap().left_out;
    assert_eq!(left_out.len(), 2);
    assert_eq!(left_out[0], LeftOut { path: ".wh..wh.plnk".into(), what: Omission::Aufs });
    assert_eq!(bench.tree().0.len(), 2);
}

#[test]
fn attributes_that_overlayfs_would_obey_are_left_out() {
    let bench = Bench::new();
    let tar = Tar::default()
        .pax(&[
            ("SCHILY.xattr.trusted.overlay.redirect", b"/etc"),
            ("SCHILY.xattr.user.overlay.opaque", b"y"),
            ("SCHILY.xattr.user.harmless", b"1"),
        ])
        .directory("d")
        .end();
    let left_out = bench.unpack(&tar).unwrap().left_out;
    assert_eq!(left_out.len(), 2, "{left_out:?}");
    assert_eq!(left_out[0].what, Omission::Attribute("trusted.overlay.redirect".to_owned()));
    let tree = bench.tree();
    let names: Vec<_> = tree.0[Path::new("d")].xattrs.keys().collect();
    assert_eq!(names, ["user.harmless"]);
}
