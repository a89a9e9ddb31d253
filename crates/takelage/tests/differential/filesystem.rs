//! All files of a container or a directory, as far as they must be equal.

use std::{collections::BTreeMap, io::Read, path::Path, sync::LazyLock};

use regex::Regex;
use sha2::{Digest as _, Sha256};
use tar::EntryType;

use crate::normalise::{self, Normaliser};

/// Path → type, mode, owner, link or digest of the content, and time if it was set on purpose. Files whose names by
/// chance became the same word are sorted and joined.
pub(crate) type Files = BTreeMap<String, String>;

/// Whose presence and content are Docker's or the boot's own.
const PASSED_OVER: [&str; 8] = [
    // Written by Docker when a container starts.
    "etc/hosts",
    "etc/resolv.conf",
    // Where Docker mounts what the container asks for.
    "sys/",
    // Made at random when systemd boots for the first time.
    "etc/machine-id",
    "var/lib/systemd/random-seed",
    // Named by it.
    "var/log/journal/",
    // Files in here are named by the clock and the process id.
    "root/.ansible_async/",
    "home/sailor/.ansible_async/",
];

/// Whose content has times in it.
const CONTENT_PASSED_OVER: [&str; 4] = [
    "var/log/",
    // Times and inodes of libraries.
    "var/cache/ldconfig/aux-cache",
    // Times of the package database.
    "var/cache/apt/pkgcache.bin",
    // What Ansible itself leaves of asynchronous tasks: its payloads hold the time at which they were built.
    "var/tmp/ansible-tmp-",
];

/// Passwords and, because no file is changed without a copy, those before.
const PASSWORDS: [&str; 2] = ["etc/shadow", "etc/shadow-"];

/// The day at which a user got a password, in days since 1970: midnight may come between the two sides.
static TODAY: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(r"(?m)^((?:sailor|ghost):[^:]*):[0-9]+:").unwrap());

/// Reads a tar of a root file system.
pub(crate) fn of_archive(archive: impl Read) -> Files {
    let normaliser = Normaliser::default();
    let mut archive = tar::Archive::new(archive);
    let entries = archive.entries().unwrap().map(|entry| {
        let mut entry = entry.unwrap();
        let path = String::from_utf8_lossy(&entry.path_bytes()).trim_end_matches('/').to_owned();
        let header = entry.header().clone();
        let link = entry.link_name_bytes().map(|link| String::from_utf8_lossy(&link).into_owned());
        let content = content(&path, header.entry_type(), &mut entry);
        let (mode, uid, gid) = (header.mode().unwrap(), header.uid().unwrap(), header.gid().unwrap());
        let what =
            format!("{:?} {mode:o} {uid}:{gid} {}{content}", header.entry_type(), link.unwrap_or_default());
        // A directory's time is that of its last file, which the clock set.
        let time = if header.entry_type() == EntryType::Directory { 0 } else { header.mtime().unwrap() };
        (path, format!("{what} {}", long_ago(time)))
    });
    let files = collect(
        entries
            .filter(|(path, _)| !PASSED_OVER.iter().any(|passed| path.starts_with(passed)))
            .map(|(path, what)| (normaliser.text(path), what)),
    );
    // What is behind the end of an archive must be read, or whoever writes it fails.
    std::io::copy(&mut archive.into_inner(), &mut std::io::sink()).unwrap();
    assert!(files.len() > 1000, "an archive with only {} files", files.len());
    files
}

/// Reads a directory of this host; the playbook's dump of its results is compared elsewhere.
pub(crate) fn of_directory(directory: &Path) -> Files {
    let mut tar = tar::Builder::new(Vec::new());
    tar.follow_symlinks(false);
    tar.append_dir_all("", directory).unwrap();
    let archive = tar.into_inner().unwrap();
    let mut archive = tar::Archive::new(archive.as_slice());
    let entries = archive.entries().unwrap().map(|entry| {
        let mut entry = entry.unwrap();
        let path = String::from_utf8_lossy(&entry.path_bytes()).into_owned();
        let kind = entry.header().entry_type();
        let mode = entry.header().mode().unwrap();
        let content = content(&path, kind, &mut entry);
        (path, format!("{kind:?} {mode:o} {content}"))
    });
    entries.filter(|(path, _)| path != "registered.json").collect()
}

fn collect(files: impl Iterator<Item = (String, String)>) -> Files {
    let mut by_path = BTreeMap::<_, Vec<_>>::new();
    for (path, what) in files {
        by_path.entry(path).or_default().push(what);
    }
    let joined = |mut whats: Vec<String>| {
        whats.sort_unstable();
        whats.join(" and ")
    };
    by_path.into_iter().map(|(path, whats)| (path, joined(whats))).collect()
}

fn content(path: &str, kind: EntryType, file: &mut impl Read) -> String {
    if kind != EntryType::Regular || CONTENT_PASSED_OVER.iter().any(|passed| path.starts_with(passed)) {
        return String::new();
    }
    let mut content = Vec::new();
    file.read_to_end(&mut content).unwrap();
    if PASSWORDS.contains(&path) {
        content = TODAY.replace_all(str::from_utf8(&content).unwrap(), "$1:<day>:").into_owned().into();
    }
    // Of a short one its reader wants to see more than a digest.
    match str::from_utf8(&content) {
        Ok(text) if content.len() < 200 => format!("{text:?}"),
        _ => hex::encode(Sha256::digest(&content)),
    }
}

#[expect(clippy::cast_precision_loss, reason = "times of files are far below the limit")]
fn long_ago(time: u64) -> String {
    if normalise::recent(time as f64) { String::new() } else { time.to_string() }
}
