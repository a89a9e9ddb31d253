use jiff::Timestamp;
use tar::{EntryType, Header};

use super::*;

const DATE: u64 = 1_700_000_000;

fn selection() -> Selection {
    Selection::for_test(Timestamp::from_second(1_700_000_000).unwrap())
}

fn exported(entries: &[(&str, EntryType, &str, u64)]) -> tempfile::NamedTempFile {
    let file = tempfile::NamedTempFile::new().unwrap();
    let mut builder = tar::Builder::new(&file);
    for (path, kind, content, mtime) in entries {
        let mut header = Header::new_gnu();
        header.set_entry_type(*kind);
        header.set_mode(0o644);
        header.set_uid(0);
        header.set_gid(0);
        header.set_mtime(*mtime);
        header.set_size(0);
        match kind {
            EntryType::Symlink | EntryType::Link => builder.append_link(&mut header, path, content).unwrap(),
            _ => {
                header.set_size(content.len() as u64);
                builder.append_data(&mut header, path, content.as_bytes()).unwrap();
            }
        }
    }
    builder.finish().unwrap();
    drop(builder);
    file
}

/// Path, content or target, and time of each entry of the result, and the result.
fn normalised(entries: &[(&str, EntryType, &str, u64)]) -> (Vec<(String, String, u64)>, Report) {
    let (from, to) = (exported(entries), tempfile::NamedTempFile::new().unwrap());
    let report = normalise(from.path(), &selection(), to.path()).unwrap();
    let bytes = fs_err::read(to.path()).unwrap();
    assert_eq!((report.digest, report.size), (Digest::of(&bytes), bytes.len() as u64));
    let mut archive = tar::Archive::new(bytes.as_slice());
    let read = archive.entries().unwrap().map(|entry| {
        let mut entry = entry.unwrap();
        let path = String::from_utf8(entry.path_bytes().into_owned()).unwrap();
        let mut content = entry
            .link_name_bytes()
            .map(|link| String::from_utf8_lossy(&link).into_owned())
            .unwrap_or_default();
        let mtime = entry.header().mtime().unwrap();
        entry.read_to_string(&mut content).unwrap();
        (path, content, mtime)
    });
    let read: Vec<_> = read.collect();
    assert_eq!(report.entries, read.len());
    (read, report)
}

const FILE: EntryType = EntryType::Regular;
const DIRECTORY: EntryType = EntryType::Directory;

#[test]
fn the_order_and_the_clock_of_the_container_do_not_matter() {
    let one = [
        ("etc", DIRECTORY, "", DATE + 5),
        ("etc/b", FILE, "b", DATE + 6),
        ("etc/a", FILE, "a", 3),
        ("etc/shadow", FILE, "root:*:20000:0:99999:7:::\ndaemon:*:19000:::\nodd\nnew:!::\n", DATE + 7),
        ("var/log/dpkg.log", FILE, "now", DATE + 8),
        ("var/log/faillog", FILE, "something", DATE + 8),
        ("etc/machine-id", FILE, "0123\n", DATE + 8),
    ];
    let two = [
        ("etc/shadow", FILE, "root:*:20001:0:99999:7:::\ndaemon:*:19000:::\nodd\nnew:!::\n", DATE + 70),
        ("etc/a", FILE, "a", 3),
        ("etc/machine-id", FILE, "4567\n", DATE + 80),
        ("etc", DIRECTORY, "", DATE + 50),
        ("etc/b", FILE, "b", DATE + 60),
        ("run/pid", FILE, "7", DATE),
        ("var/log/faillog", FILE, "else", DATE + 8),
        ("etc/passwd-", FILE, "old", DATE),
    ];
    let (first, second) = (normalised(&one), normalised(&two));
    assert_eq!(first, second);
    let texts: Vec<_> =
        first.0.iter().map(|(path, content, mtime)| (path.as_str(), content.as_str(), *mtime)).collect();
    assert_eq!(
        texts,
        [
            ("etc/", "", DATE),
            ("etc/a", "a", 3),
            ("etc/b", "b", DATE),
            ("etc/machine-id", "", DATE),
            ("etc/shadow", "root:*:19675:0:99999:7:::\ndaemon:*:19000:::\nodd\nnew:!::\n", DATE),
            ("var/log/faillog", "", DATE),
        ]
    );
}

#[test]
fn traces_of_the_engine_go_and_directories_stay() {
    let (entries, _) = normalised(&[
        (".dockerenv", FILE, "", 0),
        ("dev", DIRECTORY, "", 0),
        ("dev/console", EntryType::Char, "", 0),
        ("etc/hosts", FILE, "127.0.0.1", 0),
        ("etc/mtab", EntryType::Symlink, "/proc/mounts", 0),
        ("run/lock", DIRECTORY, "", 0),
        ("run/x", DIRECTORY, "", 0),
        ("tmp/x", FILE, "", 0),
        ("var/cache/apt/archives/partial", DIRECTORY, "", 0),
        ("var/cache/apt/archives/x.deb", FILE, "", 0),
    ]);
    let paths: Vec<_> = entries.iter().map(|(path, ..)| path.as_str()).collect();
    assert_eq!(paths, ["dev/", "run/lock/", "var/cache/apt/archives/partial/"]);
}

#[test]
fn the_first_name_of_a_file_is_the_file() {
    let (entries, _) = normalised(&[
        ("usr/z", FILE, "content", 0),
        ("usr/a", EntryType::Link, "usr/z", 0),
        ("usr/m", EntryType::Link, "usr/z", 0),
    ]);
    let texts: Vec<_> = entries.iter().map(|(path, content, _)| (path.as_str(), content.as_str())).collect();
    assert_eq!(texts, [("usr/a", "content"), ("usr/m", "usr/a"), ("usr/z", "usr/a")]);
}

#[test]
fn long_names_and_capabilities_are_kept_and_other_attributes_go() {
    let file = tempfile::NamedTempFile::new().unwrap();
    let mut builder = tar::Builder::new(&file);
    let long = format!("usr/{}", "x".repeat(180));
    builder
        .append_pax_extensions([
            ("path", long.as_bytes()),
            ("SCHILY.xattr.security.capability", &b"\x01\0\0\x02\xff"[..]),
            ("SCHILY.xattr.user.engine", b"x"),
        ])
        .unwrap();
    let mut header = Header::new_ustar();
    header.set_size(0);
    header.set_mode(0o755);
    header.set_uid(0);
    header.set_gid(0);
    header.set_mtime(0);
    header.set_cksum();
    builder.append(&header, io::empty()).unwrap();
    builder.finish().unwrap();
    drop(builder);
    let to = tempfile::NamedTempFile::new().unwrap();
    normalise(file.path(), &selection(), to.path()).unwrap();
    let mut archive = tar::Archive::new(fs_err::File::open(to.path()).unwrap());
    let mut entry = archive.entries().unwrap().next().unwrap().unwrap();
    assert_eq!(entry.path_bytes().as_ref(), long.as_bytes());
    let read = read_entry(&mut entry).unwrap();
    assert_eq!(read.attributes, [("security.capability".to_owned(), b"\x01\0\0\x02\xff".to_vec())]);
}

#[test]
fn what_is_no_archive_is_refused() {
    let (from, to) = (tempfile::NamedTempFile::new().unwrap(), tempfile::NamedTempFile::new().unwrap());
    fs_err::write(from.path(), vec![b'x'; 2000]).unwrap();
    assert!(normalise(from.path(), &selection(), to.path()).is_err());
}
