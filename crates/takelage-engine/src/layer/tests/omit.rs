//! Archives written again without some of their files.

use std::collections::BTreeSet;

use super::{
    flatten::{Bytes, names},
    *,
};

fn paths(names: &[&str]) -> BTreeSet<PathBuf> {
    names.iter().map(PathBuf::from).collect()
}

fn without(tar: Tar, gone: &[&str], emptied: &[&str]) -> Vec<u8> {
    let mut left = Vec::new();
    let omitted = Omitted { gone: paths(gone), emptied: paths(emptied) };
    omit(&Bytes(tar.end()), &omitted, &mut left).unwrap();
    left
}

#[test]
fn what_is_omitted_goes_and_the_rest_stays_as_it_was() {
    let long = format!("long/{}x", "name/".repeat(30));
    let rest = |tar: Tar| tar.pax(&[("path", long.as_bytes())]).file("short", "xyz").file(".wh.d", "");
    let tar = rest(Tar::default().directory("cache").file("cache/a", "a").file("b", &"b".repeat(600)));
    assert_eq!(without(tar, &["cache", "cache/a", "b", "never"], &[]), rest(Tar::default()).end());
}

#[test]
fn a_file_that_is_emptied_keeps_all_but_its_content() {
    let left = without(Tar::default().file("id", "content").directory("d"), &[], &["id", "d"]);
    assert_eq!(left, Tar::default().file("id", "").directory("d").end());
}

#[test]
fn content_that_another_name_needs_stays() {
    let tar = Tar::default().file("a", "x").hard_link("b", "a").hard_link("c", "b").file("d", "y");
    assert_eq!(names(&without(tar.clone(), &["a", "b", "d"], &[])), ["a", "b -> a", "c -> b"]);
    assert_eq!(names(&without(tar.clone(), &["a", "b", "c"], &[])), ["d"]);
    assert_eq!(names(&without(tar.clone(), &["c"], &[])), ["a", "b -> a", "d"]);
    // All names of it would be empty.
    assert_eq!(without(tar.clone(), &[], &["a"]), tar.end());
}
