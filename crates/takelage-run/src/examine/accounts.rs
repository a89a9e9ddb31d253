//! Users and groups of an image.

use std::{collections::BTreeMap, path::Path};

use takelage_engine::ArchiveError;

use super::Tree;

/// Returns the users by name, each with what is said of it but for its password.
pub(super) fn users(tree: &Tree) -> Result<BTreeMap<String, String>, ArchiveError> {
    read(tree, "etc/passwd", |fields| match fields {
        [uid, gid, _, home, shell, ..] => Some(format!("uid {uid}, gid {gid}, home {home}, shell {shell}")),
        _ => None,
    })
}

/// Returns the groups by name, each with its number and members.
pub(super) fn groups(tree: &Tree) -> Result<BTreeMap<String, String>, ArchiveError> {
    read(tree, "etc/group", |fields| match fields {
        [gid, members, ..] if !members.is_empty() => Some(format!("gid {gid}, members {members}")),
        [gid, ..] => Some(format!("gid {gid}")),
        _ => None,
    })
}

/// Reads a file of lines `NAME:PASSWORD:FIELD:FIELD…`.
fn read(
    tree: &Tree,
    path: &str,
    describe: impl Fn(&[&str]) -> Option<String>,
) -> Result<BTreeMap<String, String>, ArchiveError> {
    let text = tree.text(Path::new(path))?.unwrap_or_default();
    let line = |line: &str| {
        let fields: Vec<&str> = line.split(':').collect();
        match fields.as_slice() {
            [name, _password, rest @ ..] if !name.is_empty() => Some(((*name).to_owned(), describe(rest)?)),
            _ => None,
        }
    };
    Ok(text.lines().filter_map(line).collect())
}
