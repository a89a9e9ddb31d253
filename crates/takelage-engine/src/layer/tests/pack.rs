//! What trees become in archives.

use std::{
    collections::BTreeMap,
    io::Read,
    os::unix::{fs::PermissionsExt, net::UnixListener},
    path::Path,
};

use rustix::fs::{AtFlags, CWD, FileType, Mode, Timespec, Timestamps, XattrFlags};
use takelage_model::Digest;
use tar::Header;

use super::*;

fn options() -> PackOptions {
    PackOptions { markers: markers(), newest: None, skip: vec![] }
}

fn packed(root: &Path, options: &PackOptions) -> (Vec<u8>, Packed) {
    let mut tar = Vec::new();
    let packed = super::super::pack(open(root).as_fd(), &mut tar, options).unwrap();
    (tar, packed)
}

fn refusal(root: &Path) -> String {
    super::super::pack(open(root).as_fd(), std::io::sink(), &options()).unwrap_err().to_string()
}

/// What an independent reader finds, in order: names, headers and contents.
fn entries(tar: &[u8]) -> Vec<(String, Header, Vec<u8>)> {
    let mut archive = tar::Archive::new(tar);
    let mut all = Vec::new();
    for entry in archive.entries().unwrap() {
        let mut entry = entry.unwrap();
        let mut content = Vec::new();
        entry.read_to_end(&mut content).unwrap();
        let name = String::from_utf8(entry.path_bytes().into_owned()).unwrap();
        all.push((name, entry.header().clone(), content));
    }
    all
}

fn names(tar: &[u8]) -> Vec<String> {
    entries(tar).into_iter().map(|(name, ..)| name).collect()
}

fn archived(root: &Path, path: &str, options: &ArchiveOptions) -> Result<Vec<u8>, LayerError> {
    let mut tar = Vec::new();
    super::super::archive(open(root).as_fd(), Path::new(path), &mut tar, options)?;
    Ok(tar)
}

#[test]
fn a_layer_is_sorted_and_says_the_same_of_the_same_tree() {
    let make = |names: &[&str]| {
        let bench = Bench::new();
        for name in names {
            let path = bench.root().join(name);
            fs_err::create_dir_all(path.parent().unwrap()).unwrap();
            fs_err::write(path, name).unwrap();
        }
        bench
    };
    let sorted = ["a/b", "a/c/d", "a-b", "a.c", "b"];
    let mut shuffled = sorted;
    shuffled.reverse();
    let newest = PackOptions { newest: Some(1000), ..options() };
    let (first, said) = packed(&make(&sorted).root(), &newest);
    let (second, _) = packed(&make(&shuffled).root(), &newest);
    assert!(first == second);
    assert_eq!((said.diff_id, said.size), (Digest::of(&first), first.len() as u64));
    assert_eq!(names(&first), ["./", "a/", "a/b", "a/c/", "a/c/d", "a-b", "a.c", "b"]);
    for (name, header, _) in entries(&first) {
        assert_eq!(header.mtime().unwrap(), 1000, "{name}");
        assert_eq!((header.username().unwrap(), header.groupname().unwrap()), (Some(""), Some("")));
    }
    assert_eq!(first[first.len() - 1024..], [0; 1024]);
}

#[test]
fn times_are_whole_seconds_and_older_ones_stay() {
    let bench = Bench::new();
    for (name, tv_sec, tv_nsec) in [("new", 5000, 999_999_999), ("old", 500, 7), ("before", -5, 500_000_000)]
    {
        let path = bench.root().join(name);
        fs_err::write(&path, "").unwrap();
        let time = Timespec { tv_sec, tv_nsec };
        let times = Timestamps { last_access: time, last_modification: time };
        rustix::fs::utimensat(CWD, &path, &times, AtFlags::empty()).unwrap();
    }
    let (tar, _) = packed(&bench.root(), &PackOptions { newest: Some(1000), ..options() });
    let times: BTreeMap<_, _> = tree_of(&tar).0.into_iter().map(|(path, file)| (path, file.mtime)).collect();
    assert_eq!(times[Path::new("new")], (1000, 0));
    assert_eq!(times[Path::new("old")], (500, 0));
    assert_eq!(times[Path::new("before")], (-5, 0));
    assert_eq!(times[Path::new(".")], (1000, 0));
}

#[test]
fn the_first_name_is_the_file_and_further_ones_are_links() {
    let bench = Bench::new();
    fs_err::write(bench.root().join("b"), "content").unwrap();
    for name in ["c", "a"] {
        fs_err::hard_link(bench.root().join("b"), bench.root().join(name)).unwrap();
    }
    // Only one of the two names of this file is in the tree.
    fs_err::hard_link(bench.path("outside/file"), bench.root().join("d")).unwrap();
    let (tar, _) = packed(&bench.root(), &options());
    let said: Vec<_> = entries(&tar)
        .into_iter()
        .map(|(name, header, content)| (name, header.entry_type(), content.len()))
        .collect();
    assert_eq!(
        said[1..],
        [
            ("a".to_owned(), EntryType::Regular, 7),
            ("b".to_owned(), EntryType::Link, 0),
            ("c".to_owned(), EntryType::Link, 0),
            ("d".to_owned(), EntryType::Regular, 9),
        ]
    );
}

#[test]
fn sockets_are_told_and_what_is_skipped_is_not() {
    let bench = Bench::new();
    fs_err::create_dir_all(bench.root().join("run/deep")).unwrap();
    fs_err::write(bench.root().join("run/deep/file"), "").unwrap();
    let _listener = UnixListener::bind(bench.root().join("run/socket")).unwrap();
    let (tar, said) = packed(&bench.root(), &options());
    assert_eq!(said.skipped, [Path::new("run/socket")]);
    assert_eq!(names(&tar), ["./", "run/", "run/deep/", "run/deep/file"]);
    let skip = vec!["/run/deep/".into(), "run/socket".into(), "other".into()];
    let (tar, said) = packed(&bench.root(), &PackOptions { skip, ..options() });
    assert!(said.skipped.is_empty());
    assert_eq!(names(&tar), ["./", "run/"]);
}

#[test]
fn markers_become_whiteouts() {
    let bench = Bench::new();
    fs_err::create_dir(bench.root().join("d")).unwrap();
    for name in ["gone", "d/gone"] {
        rustix::fs::mknodat(CWD, bench.root().join(name), FileType::CharacterDevice, Mode::empty(), 0)
            .unwrap();
    }
    let opaque = |value: &[u8]| {
        rustix::fs::setxattr(bench.root().join("d"), markers().opaque(), value, XattrFlags::empty()).unwrap();
        names(&packed(&bench.root(), &options()).0)
    };
    assert_eq!(opaque(b"x"), ["./", "d/", "d/.wh.gone", ".wh.gone"]);
    assert_eq!(opaque(b"y"), ["./", "d/", "d/.wh..wh..opq", "d/.wh.gone", ".wh.gone"]);
    // And back.
    let (tar, _) = packed(&bench.root(), &options());
    let tree = tree_of(&tar);
    assert_eq!(packed(&bench.root(), &options()).1.diff_id, Digest::of(&tar));
    for (path, file) in &bench.tree().0 {
        assert_eq!((&file.kind, &file.xattrs), (&tree.0[path].kind, &tree.0[path].xattrs), "{path:?}");
    }
    // A tree in use has no markers, and nobody else's.
    let tar = archived(&bench.root(), "/", &ArchiveOptions::default()).unwrap();
    let said: Vec<_> =
        entries(&tar).into_iter().map(|(name, header, _)| (name, header.entry_type())).collect();
    assert_eq!(
        said,
        [
            ("d/".to_owned(), EntryType::Directory),
            ("d/gone".to_owned(), EntryType::Char),
            ("gone".to_owned(), EntryType::Char),
        ]
    );
}

#[test]
fn what_a_layer_cannot_say_is_an_error() {
    for name in [".wh.file", "d/.wh..wh..opq", ".wh."] {
        let bench = Bench::new();
        fs_err::create_dir(bench.root().join("d")).unwrap();
        fs_err::write(bench.root().join(name), "").unwrap();
        assert!(refusal(&bench.root()).contains("would hide another file"));
        // Elsewhere it is a name like others.
        assert!(
            names(&archived(&bench.root(), "/", &ArchiveOptions::default()).unwrap()).contains(&name.into())
        );
    }
    for attribute in markers().borrowed() {
        let bench = Bench::new();
        rustix::fs::setxattr(bench.root(), attribute, b"/elsewhere", XattrFlags::empty()).unwrap();
        assert!(refusal(&bench.root()).contains("is in a layer below"));
    }
}

#[test]
fn numbers_and_names_that_do_not_fit_have_records() {
    let long = "n".repeat(200);
    let entry = entry::Entry {
        name: long.as_bytes(),
        kind: EntryType::Symlink,
        mode: 0o777,
        uid: 3_000_000,
        gid: 4_000_000_000,
        size: 0,
        mtime: 1 << 40,
        link: long.as_bytes(),
        device: None,
        xattrs: &[(b"user.a=%".to_vec(), b"\n\0".to_vec())],
    };
    let mut members = members::Members::new(
        std::io::Cursor::new(entry.to_blocks()),
        Limits::default(),
        digesting::Digesting::No,
    )
    .unwrap();
    let member = members.next().unwrap().unwrap();
    let metadata = member.metadata;
    assert_eq!((metadata.uid, metadata.gid, metadata.mtime.tv_sec), (3_000_000, 4_000_000_000, 1 << 40));
    assert_eq!(metadata.xattrs, entry.xattrs);
    assert_eq!(member.name.as_bytes(), long.as_bytes());
    assert!(matches!(member.kind, member::Kind::Symlink(target) if target == long.as_bytes()));
    let entry = entry::Entry { size: 1 << 33, kind: EntryType::Regular, link: b"", ..entry };
    let mut members = members::Members::new(
        std::io::Cursor::new(entry.to_blocks()),
        Limits::default(),
        digesting::Digesting::No,
    )
    .unwrap();
    let member = members.next().unwrap().unwrap();
    assert!(matches!(member.kind, member::Kind::File(map) if map.size == 1 << 33));
    // A name that just fits needs no record.
    let entry = entry::Entry {
        name: &[b'x'; 100],
        kind: EntryType::Fifo,
        uid: 0,
        gid: 0,
        size: 0,
        mtime: 1,
        link: b"",
        xattrs: &[],
        ..entry
    };
    assert_eq!(entry.to_blocks().len(), 512);
}

#[test]
fn an_archive_begins_with_the_last_component_of_its_path() {
    let bench = Bench::new();
    let root = bench.root();
    fs_err::create_dir_all(root.join("srv/data/sub")).unwrap();
    fs_err::write(root.join("srv/data/sub/file"), "1").unwrap();
    std::os::unix::fs::symlink("/srv/data", root.join("link")).unwrap();
    std::os::unix::fs::symlink("../outside", root.join("out")).unwrap();
    let names = |path: &str| archived(&root, path, &ArchiveOptions::default()).map(|tar| names(&tar));
    let all = ["data/", "data/sub/", "data/sub/file"];
    assert_eq!(names("/srv/data").unwrap(), all);
    assert_eq!(names("srv/./data//").unwrap(), all);
    assert_eq!(names("/link").unwrap(), ["link"]);
    assert_eq!(names("/link/sub/file").unwrap(), ["file"]);
    assert_eq!(names("/link/../data").unwrap(), all);
    assert_eq!(
        names("/").unwrap(),
        ["link", "out", "srv/", "srv/data/", "srv/data/sub/", "srv/data/sub/file"]
    );
    assert_eq!(names("../../../srv/data").unwrap(), all);
    for missing in ["/nowhere", "/srv/nowhere/file", "/srv/data/sub/file/x", "/out/file"] {
        let error = names(missing).unwrap_err();
        assert!(error.is_missing(), "{missing}: {error}");
    }
    assert!(names("/srv/..").is_err());
    let skip = ArchiveOptions { skip: vec!["data/sub".into()], ..ArchiveOptions::default() };
    assert_eq!(super::pack::names(&archived(&root, "/srv/data", &skip).unwrap()), ["data/"]);
}

#[test]
fn what_is_mounted_in_a_tree_is_packed_only_if_asked_for() {
    if !fs_err::read_to_string("/proc/mounts").unwrap().contains(" /dev/pts ") {
        takelage_testkit::skip!("nothing is mounted at /dev/pts");
    }
    let root = Path::new("/");
    let options =
        ArchiveOptions { skip: vec!["dev/shm".into(), "dev/mqueue".into()], ..ArchiveOptions::default() };
    let own = names(&archived(root, "/dev", &options).unwrap());
    assert!(own.contains(&"dev/pts/".to_owned()) && !own.contains(&"dev/pts/ptmx".to_owned()), "{own:?}");
    let options = ArchiveOptions { mounts: Mounts::Packed, ..options };
    let all = names(&archived(root, "/dev", &options).unwrap());
    assert!(all.contains(&"dev/pts/ptmx".to_owned()), "{all:?}");
}

/// A disk that is full.
struct Full;
impl std::io::Write for Full {
    fn write(&mut self, _: &[u8]) -> std::io::Result<usize> {
        Err(std::io::ErrorKind::StorageFull.into())
    }
    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[test]
fn a_file_that_shrinks_is_an_error_and_so_is_a_full_disk() {
    let bench = Bench::new();
    let path = bench.root().join("file");
    fs_err::write(&path, "x".repeat(100)).unwrap();
    let mut output = output::Output::new(Vec::new(), digesting::Digesting::No).unwrap();
    let copied = output.copy(&open(&path), 101);
    assert!(matches!(copied, Err(output::Copied::Short)));
    let error = super::super::pack(open(&bench.root()).as_fd(), Full, &options()).unwrap_err();
    assert!(matches!(error, LayerError::Write(_)), "{error}");
    fs_err::set_permissions(&path, std::fs::Permissions::from_mode(0o000)).unwrap();
    if !is_root() {
        assert!(refusal(&bench.root()).contains("cannot open `file`"));
    }
}

#[test]
fn root_packs_files_whose_capabilities_nobody_can_read() {
    if !is_root() {
        takelage_testkit::skip!("only root may set capabilities");
    }
    let bench = Bench::new();
    let path = bench.root().join("file");
    fs_err::write(&path, "1").unwrap();
    rustix::fs::setxattr(&path, "security.capability", b"", XattrFlags::empty()).unwrap();
    assert!(rustix::fs::getxattr(&path, "security.capability", &mut [0_u8; 64]).is_err());
    assert_eq!(names(&packed(&bench.root(), &options()).0), ["./", "file"]);
}
