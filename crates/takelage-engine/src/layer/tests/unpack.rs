//! What archives say, and what becomes of it.

use std::path::Path;

use takelage_testkit::tree::{File, Kind, Tree};
use tar::{EntryType, Header};

use super::*;

fn at<'t>(tree: &'t Tree, path: &str) -> &'t File {
    tree.0.get(Path::new(path)).unwrap_or_else(|| panic!("no `{path}` in {tree:?}"))
}

fn content(content: &[u8]) -> Kind {
    Kind::Regular { size: content.len() as u64, sha256: takelage_model::Digest::of(content).hex() }
}

#[test]
fn every_kind_has_its_mode_and_its_time() {
    let mut set = Tar::header(EntryType::Regular, b"directory/setuid");
    set.set_mode(0o6755);
    let mut private = Tar::header(EntryType::Directory, b"directory");
    private.set_mode(0o1770);
    private.set_mtime(1);
    let tree = tree_of(
        &Tar::default()
            .with(private, b"")
            .with(set, b"")
            .file("./directory//file", "content")
            .symlink("link", "/nowhere/at/all")
            .hard_link("directory/other", "/directory/setuid")
            .with(Tar::header(EntryType::Fifo, b"fifo"), b"")
            .end(),
    );
    assert_eq!(tree.0.len(), 7, "{tree:?}");
    let directory = at(&tree, "directory");
    assert_eq!((&directory.kind, directory.mode, directory.mtime), (&Kind::Directory, 0o1770, (1, 0)));
    assert_eq!(at(&tree, "directory/setuid").mode, 0o6755);
    assert_eq!(at(&tree, "directory/other").same_as.as_deref(), Some(Path::new("directory/other")));
    assert_eq!(at(&tree, "directory/setuid").same_as.as_deref(), Some(Path::new("directory/other")));
    assert_eq!(at(&tree, "directory/file").kind, content(b"content"));
    assert_eq!(at(&tree, "directory/file").mtime, (1_000_000_000, 0));
    assert_eq!(at(&tree, "link").kind, Kind::Symlink("/nowhere/at/all".into()));
    assert_eq!(at(&tree, "link").mtime, (1_000_000_000, 0));
    assert_eq!((&at(&tree, "fifo").kind, at(&tree, "fifo").mode), (&Kind::Fifo, 0o644));
    // The root that the archive does not mention.
    assert_eq!((at(&tree, ".").mode, at(&tree, ".").mtime), (0o755, (0, 0)));
}

#[test]
fn the_umask_does_not_matter() {
    let name = "layer::tests::unpack::every_kind_has_its_mode_and_its_time";
    let output = std::process::Command::new("sh")
        .args(["-c", "umask 077; exec \"$0\" --exact \"$1\""])
        .arg(std::env::current_exe().unwrap())
        .arg(name)
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && said.contains("1 passed"), "{said}");
}

#[test]
fn what_the_archive_does_not_mention_is_made_like_anywhere_else() {
    let tree = tree_of(&Tar::default().file("a/b/file", "").end());
    for path in ["a", "a/b"] {
        let said = at(&tree, path);
        assert_eq!((&said.kind, said.mode, said.mtime), (&Kind::Directory, 0o755, (0, 0)));
    }
    // Mentioned later, it is what is said of it.
    let tree = tree_of(&Tar::default().file("a/b/file", "").directory("a/b").end());
    assert_eq!((at(&tree, "a").mtime, at(&tree, "a/b").mtime), ((0, 0), (1_000_000_000, 0)));
}

#[test]
fn the_root_can_be_mentioned() {
    let mut root = Tar::header(EntryType::Directory, b"./");
    root.set_mode(0o711);
    let tree = tree_of(&Tar::default().with(root, b"").file("file", "").end());
    assert_eq!((at(&tree, ".").mode, at(&tree, ".").mtime), (0o711, (1_000_000_000, 0)));
    let error = Bench::new().unpack(&Tar::default().file("./", "x").end()).unwrap_err();
    assert!(matches!(error, LayerError::Damaged { .. }), "{error}");
    let error = Bench::new().unpack(&Tar::default().symlink("/", "x").end()).unwrap_err();
    assert!(error.to_string().contains("root is no directory"), "{error}");
}

#[test]
fn a_root_that_is_not_empty_is_no_place_for_a_layer() {
    let bench = Bench::new();
    fs_err::write(bench.root().join("there"), "before").unwrap();
    let error = bench.unpack(&Tar::default().end()).unwrap_err();
    assert!(matches!(error, LayerError::Tree { step: "unpack into", .. }), "{error}");
}

#[test]
fn the_digest_is_that_of_the_whole_stream() {
    let whole = Tar::default().file("a", "1").end();
    for tail in [0, 1, 512, 9000, 1 << 20] {
        let tar = [whole.as_slice(), &vec![0; tail]].concat();
        let unpacked = Bench::new().unpack(&tar).unwrap();
        assert_eq!(unpacked.diff_id, takelage_model::Digest::of(&tar));
        assert_eq!((unpacked.size, unpacked.entries), (tar.len() as u64, 1));
    }
    // Archives without an end are in use, and empty ones, too.
    for tar in [b"".as_slice(), &[0; 512], &whole[..1024]] {
        assert_eq!(Bench::new().unpack(tar).unwrap().diff_id, takelage_model::Digest::of(tar));
    }
}

#[test]
fn a_source_may_deliver_as_little_as_it_likes() {
    struct Drops<'a>(&'a [u8], usize);
    impl std::io::Read for Drops<'_> {
        fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
            self.1 = self.1 * 31 % 701;
            if self.1.is_multiple_of(7) {
                return Err(std::io::ErrorKind::Interrupted.into());
            }
            let length = self.1.min(buffer.len());
            std::io::Read::read(&mut self.0, &mut buffer[..length])
        }
    }
    let long = "0123456789".repeat(50_000);
    let tar = Tar::default().file("a", "1").file("long", &long).directory("d").end();
    let bench = Bench::new();
    let source = Drops(&tar, 3);
    let unpacked = super::super::unpack(source, open(&bench.root()).as_fd(), markers(), Limits::default());
    assert_eq!(unpacked.unwrap().diff_id, takelage_model::Digest::of(&tar));
    bench.tree().assert_same(&tree_of(&tar), "in drops");
}

#[test]
fn long_names_are_whole_in_every_format() {
    let name = format!("{}/{}", "d".repeat(120), "n".repeat(120));
    let zero = |text: &str| [text.as_bytes(), b"\0"].concat();
    let prefix = {
        let mut header = Tar::header(EntryType::Regular, &name.as_bytes()[121..][..100]);
        header.as_ustar_mut().unwrap().prefix[..120].copy_from_slice(&[b'd'; 120]);
        Tar::default().with(header, b"")
    };
    assert_eq!(tree_of(&prefix.end()).0.len(), 3);
    for tar in [
        Tar::default()
            .extended(EntryType::GNULongName, &zero(&name))
            .extended(EntryType::GNULongLink, &zero(&name)),
        Tar::default()
            .extended(EntryType::GNULongLink, name.as_bytes())
            .extended(EntryType::GNULongName, name.as_bytes()),
        Tar::default().pax(&[("path", name.as_bytes()), ("linkpath", name.as_bytes())]),
        Tar::default().extended(EntryType::GNULongName, &zero(&name)).pax(&[("linkpath", name.as_bytes())]),
    ] {
        let tree = tree_of(&tar.symlink("short", "short").end());
        assert_eq!(at(&tree, &name).kind, Kind::Symlink(name.clone().into()), "{tree:?}");
    }
}

#[test]
fn records_say_more_than_headers() {
    let strange = b"user.with=equals%and\xff\n".as_slice();
    let value = b"\x01\n12 path=nowhere\n\0\n".as_slice();
    let mut key = String::from("SCHILY.xattr.user.takelage");
    let tar = Tar::default()
        .pax(&[
            (&key, value),
            ("SCHILY.xattr.user.empty", b""),
            ("mtime", b"-1.5"),
            ("path", b"overwritten"),
            ("path", b"new\nline"),
            ("linkpath", b""),
            ("unknown.key", b"whatever"),
        ])
        .file("old", "content")
        .end();
    let tree = tree_of(&tar);
    let file = at(&tree, "new\nline");
    assert_eq!((&file.kind, file.mtime), (&content(b"content"), (-2, 500_000_000)));
    assert_eq!(file.xattrs["user.takelage"], value);
    assert_eq!(file.xattrs["user.empty"], b"");
    key.truncate(13);
    let encoded = pax::key(strange);
    let mut records = Vec::new();
    pax::append(&mut records, &encoded, b"1");
    let tree = tree_of(&Tar::default().extended(EntryType::XHeader, &records).file("a", "").end());
    assert!(at(&tree, "a").xattrs.contains_key(String::from_utf8_lossy(strange).as_ref()), "{tree:?}");
}

#[test]
fn a_length_in_a_record_counts() {
    // The `tar` crate misses it behind a value with a newline, and then reads content as headers.
    let inner = Tar::default().file("smuggled", "x").0;
    let mut outer = Tar::header(EntryType::Regular, b"outer");
    outer.set_size(0);
    let size = inner.len().to_string();
    let tar = Tar::default()
        .pax(&[("SCHILY.xattr.user.a", b"\n"), ("size", size.as_bytes())])
        .with(outer, &inner)
        .end();
    let tree = tree_of(&tar);
    assert_eq!(tree.0.len(), 2);
    assert_eq!(at(&tree, "outer").kind, content(&inner));
}

#[test]
fn what_is_no_file_has_no_content_whatever_its_header_says() {
    let mut directory = Tar::header(EntryType::Directory, b"directory");
    directory.set_size(512);
    let mut link = Tar::header(EntryType::Symlink, b"link");
    link.set_size(3);
    link.as_old_mut().linkname[..1].copy_from_slice(b"x");
    let tree = tree_of(&Tar::default().with(directory, b"").with(link, b"").file("file", "1").end());
    assert_eq!(tree.0.len(), 4);
}

#[test]
fn old_archives_mark_a_directory_by_its_name() {
    let mut header = Header::new_old();
    header.as_old_mut().name[..4].copy_from_slice(b"old/");
    header.set_mode(0o700);
    header.set_uid(getuid().as_raw().into());
    header.set_gid(getgid().as_raw().into());
    header.set_size(0);
    header.set_entry_type(EntryType::new(0));
    let tree = tree_of(&Tar::default().with(header, b"").file("old/file", "").end());
    assert_eq!((&at(&tree, "old").kind, at(&tree, "old").mode), (&Kind::Directory, 0o700));
}

#[test]
fn links_within_the_archive_are_followed_as_in_a_container() {
    let tree = tree_of(
        &Tar::default()
            .directory("usr")
            .directory("usr/bin")
            .symlink("bin", "/usr/bin")
            .symlink("relative", "../../../usr")
            .file("bin/program", "1")
            .file("relative/bin/other", "2")
            .hard_link("bin/linked", "relative/bin/program")
            .end(),
    );
    assert_eq!(at(&tree, "usr/bin/program").kind, content(b"1"));
    assert_eq!(at(&tree, "usr/bin/other").kind, content(b"2"));
    assert!(at(&tree, "usr/bin/linked").same_as.is_some());
    assert_eq!(at(&tree, "usr/bin").mtime, (1_000_000_000, 0));
}

#[test]
fn holes_stay_holes() {
    use std::os::unix::fs::MetadataExt;

    let mut header = Header::new_gnu();
    header.set_entry_type(EntryType::GNUSparse);
    header.as_old_mut().name[..6].copy_from_slice(b"sparse");
    header.set_mode(0o600);
    header.set_uid(getuid().as_raw().into());
    header.set_gid(getgid().as_raw().into());
    header.set_size(512 + 3);
    let gnu = header.as_gnu_mut().unwrap();
    gnu.set_real_size(1 << 26);
    gnu.sparse[0].set_offset(1 << 20);
    gnu.sparse[0].set_length(512);
    gnu.sparse[1].set_offset(1 << 25);
    gnu.sparse[1].set_length(3);
    gnu.sparse[2].set_offset(1 << 26);
    gnu.sparse[2].set_length(0);
    let data = ["x".repeat(512), "end".to_owned()].concat();
    let bench = Bench::new();
    bench.unpack(&Tar::default().with(header, data.as_bytes()).file("next", "").end()).unwrap();
    let metadata = fs_err::metadata(bench.root().join("sparse")).unwrap();
    assert_eq!(metadata.len(), 1 << 26);
    assert!(metadata.blocks() * 512 < 1 << 20, "{}", metadata.blocks());
    let content = fs_err::read(bench.root().join("sparse")).unwrap();
    assert_eq!(&content[1 << 20..][..512], "x".repeat(512).as_bytes());
    assert_eq!(&content[1 << 25..][..3], b"end");
    assert_eq!(content.iter().map(|&byte| usize::from(byte > 0)).sum::<usize>(), 515);
}
