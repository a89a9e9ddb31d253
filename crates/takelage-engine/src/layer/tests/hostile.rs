//! Archives that nobody should have made. Each says what happens; [`Bench`] sees to it that nothing happens outside.

use proptest::prelude::*;

use super::*;

/// What the error of an archive is.
fn refusal(tar: Tar) -> String {
    match Bench::new().unpack(&tar.end()) {
        Ok(_) => panic!("it was unpacked"),
        Err(error) => error.to_string(),
    }
}

#[track_caller]
fn refused(tar: Tar, reason: &str) {
    let error = refusal(tar);
    assert!(error.contains(reason), "{error}");
}

#[test]
fn names_above_the_root_are_refused() {
    for name in ["../outside/file", "a/../../outside/file", "..", "/..", "a/..", "a/../b"] {
        refused(Tar::default().file(name, "x"), "`..`");
        refused(Tar::default().hard_link("a", name), "`..`");
        refused(Tar::default().pax(&[("path", name.as_bytes())]).file("a", "x"), "`..`");
    }
}

#[test]
fn absolute_names_are_below_the_root() {
    let tree = tree_of(&Tar::default().file("/etc/passwd", "x").file("//tmp///y", "").end());
    assert!(tree.0.contains_key(std::path::Path::new("etc/passwd")));
    assert!(tree.0.contains_key(std::path::Path::new("tmp/y")));
}

#[test]
fn links_out_of_the_root_lead_into_it() {
    let bench = Bench::new();
    let outside = bench.path("outside");
    let outside = outside.to_str().unwrap();
    // What they lead to does not exist below the root.
    for target in ["../outside", "../../../../../../tmp", outside] {
        let bench = Bench::new();
        let tar = Tar::default().symlink("x", target).file("x/file", "overwritten").end();
        let error = bench.unpack(&tar).unwrap_err();
        assert!(matches!(error, LayerError::Tree { .. }), "{error}");
    }
    // Where it exists, it is that of the tree.
    let tar = Tar::default().directory("outside").symlink("x", "../../outside").file("x/file", "x").end();
    bench.unpack(&tar).unwrap();
    assert_eq!(fs_err::read(bench.root().join("outside/file")).unwrap(), b"x");
}

#[test]
fn a_link_in_place_of_a_file_is_replaced_and_not_followed() {
    let bench = Bench::new();
    let outside = bench.path("outside/file");
    let outside = outside.to_str().unwrap();
    let mut wide = Tar::header(EntryType::Directory, b"d");
    wide.set_mode(0o777);
    let tar = Tar::default()
        .symlink("file", outside)
        .file("file", "mine")
        .symlink("d", bench.path("outside").to_str().unwrap())
        .with(wide, b"")
        .end();
    bench.unpack(&tar).unwrap();
    assert_eq!(fs_err::read(bench.root().join("file")).unwrap(), b"mine");
}

#[test]
fn hard_links_reach_only_what_the_archive_has() {
    let bench = Bench::new();
    let outside = bench.path("outside/file");
    refused(Tar::default().hard_link("a", outside.to_str().unwrap()), "which is no file");
    refused(Tar::default().hard_link("a", "missing"), "which is no file");
    refused(Tar::default().hard_link("a", "missing/x"), "which is no file");
    refused(Tar::default().file("f", "").hard_link("a", "f/x"), "which is no file");
    refused(Tar::default().directory("d").hard_link("a", "d"), "which is no file");
    refused(Tar::default().hard_link("a", "/"), "which is no file");
    refused(Tar::default().hard_link("a", ""), "which is no file");
    // Through a link out of the root, and to a link: the link itself gets one more name.
    refused(Tar::default().symlink("x", "../outside").hard_link("a", "x/file"), "which is no file");
    let tree = tree_of(&Tar::default().symlink("x", outside.to_str().unwrap()).hard_link("a", "x").end());
    assert!(tree.0[std::path::Path::new("a")].same_as.is_some());
}

#[test]
fn a_parent_that_is_no_directory_is_an_error() {
    refused(Tar::default().file("a", "").file("a/b", ""), "cannot open `a`");
    refused(Tar::default().symlink("a", "a").file("a/b", ""), "cannot open `a`");
    refused(Tar::default().symlink("a", "nowhere").file("a/b/c", ""), "cannot open `a`");
    refused(Tar::default().symlink("a", "/proc/self/root").file("a/b", ""), "cannot open `a`");
}

#[test]
fn devices_with_impossible_numbers_are_refused() {
    let no = "no number that can be";
    refused(Tar::default().device("d", EntryType::Char, 4096 + 1, 3), no);
    refused(Tar::default().device("d", EntryType::Block, 8, 1 << 20), no);
    refused(
        Tar::default().with(
            {
                let mut header = Header::new_old();
                header.set_entry_type(EntryType::Char);
                header.as_old_mut().name[0] = b'd';
                header
            },
            b"",
        ),
        no,
    );
}

#[test]
fn kinds_that_nobody_knows_are_refused() {
    for kind in [b'V', b'M', b'D', b'N', b'X', b'9', 0xff] {
        let header = Tar::header(EntryType::new(kind), b"a");
        refused(Tar::default().with(header, b""), "are not known");
    }
}

#[test]
fn what_programs_understand_differently_is_refused() {
    let long = b"long\0".as_slice();
    refused(
        Tar::default().extended(EntryType::GNULongName, long).pax(&[("path", b"b")]).file("a", ""),
        "two long",
    );
    refused(
        Tar::default().extended(EntryType::GNULongLink, long).pax(&[("linkpath", b"b")]).symlink("a", "b"),
        "two long",
    );
    for kind in [EntryType::XHeader, EntryType::GNULongName, EntryType::GNULongLink] {
        let tar = Tar::default().extended(kind, b"8 a=bcd\n").extended(kind, b"8 a=bcd\n").file("a", "");
        refused(tar, "two extended headers");
        refused(Tar::default().file("a", "").extended(kind, b"8 a=bcd\n"), "ends with an extended header");
    }
    refused(
        Tar::default().extended(EntryType::XGlobalHeader, b"13 path=abcd\n").file("a", ""),
        "all further entries",
    );
    refused(Tar::default().extended(EntryType::XHeader, b"13 path=abc").file("a", ""), "malformed");
    refused(Tar::default().pax(&[("size", b"-1")]).file("a", ""), "is none");
    refused(Tar::default().pax(&[("uid", b"4294967295")]).file("a", ""), "owner");
    refused(Tar::default().pax(&[("uid", b"99999999999")]).file("a", ""), "owner");
    refused(Tar::default().pax(&[("mtime", b"never")]).file("a", ""), "time");
    refused(Tar::default().pax(&[("path", b"a\0b")]).file("a", ""), "zero byte");
    refused(Tar::default().pax(&[("linkpath", b"a\0b")]).symlink("a", "b"), "nothing that can be");
    refused(Tar::default().symlink("a", ""), "nothing that can be");
    refused(Tar::default().pax(&[("SCHILY.xattr.", b"b")]).file("a", ""), "no name that can be");
    let zeros = Tar::default().blocks(&[0; 512]);
    refused(Tar::default().blocks(&zeros.file("a", "").0), "goes on behind its end");
    // A comment of all entries is harmless.
    tree_of(&Tar::default().extended(EntryType::XGlobalHeader, b"14 comment=ab\n").file("a", "").end());
}

#[test]
fn sparse_files_whose_content_is_not_certain_are_refused() {
    let sparse = |records: &[(&str, &[u8])], content: &str| Tar::default().pax(records).file("a", content);
    refused(
        sparse(&[("GNU.sparse.major", b"2"), ("GNU.sparse.minor", b"0"), ("GNU.sparse.realsize", b"9")], ""),
        "not known",
    );
    refused(sparse(&[("GNU.sparse.major", b"1"), ("GNU.sparse.minor", b"0")], ""), "no length");
    refused(sparse(&[("GNU.sparse.strange", b"1")], ""), "not known");
    refused(sparse(&[("SCHILY.realsize", b"1")], ""), "not known");
    refused(sparse(&[("GNU.sparse.size", b"9"), ("GNU.sparse.map", b"0,3,5")], "abc"), "incomplete");
    refused(sparse(&[("GNU.sparse.size", b"9"), ("GNU.sparse.map", b"0,3")], "ab"), "not its content");
    refused(sparse(&[("GNU.sparse.size", b"2"), ("GNU.sparse.map", b"0,3")], "abc"), "not its content");
    let blocks = "x".repeat(1024);
    refused(
        sparse(&[("GNU.sparse.size", b"9999"), ("GNU.sparse.map", b"512,512,511,512")], &blocks),
        "overlap",
    );
    refused(
        sparse(&[("GNU.sparse.size", b"9"), ("GNU.sparse.numblocks", b"2"), ("GNU.sparse.map", b"0,1")], "a"),
        "incomplete",
    );
    let one =
        [("GNU.sparse.major", b"1".as_slice()), ("GNU.sparse.minor", b"0"), ("GNU.sparse.realsize", b"9")];
    refused(sparse(&one, "short"), "incomplete");
    refused(sparse(&one, &"x".repeat(512)), "not of numbers");
    refused(sparse(&one, &format!("9999999\n{}", "1\n".repeat(300))), "too many parts");
    let mut header = Tar::header(EntryType::GNUSparse, b"a");
    header.set_size(0);
    refused(Tar::default().with(header, b""), "no header of GNU tar");
}

#[test]
fn bombs_end_at_the_limits() {
    let small = Limits { entries: 10, bytes: 100_000, name: 100, names: 600 };
    let refused = |tar: Tar, what: &str| {
        let bench = Bench::new();
        let error = bench.unpack_within(&tar.end(), small).unwrap_err().to_string();
        assert!(error.contains(what), "{error}");
    };
    refused((0..11).fold(Tar::default(), |tar, n| tar.file(&n.to_string(), "")), "10 entries");
    refused((0..11).fold(Tar::default(), |tar, _| tar.extended(EntryType::XGlobalHeader, b"")), "10 entries");
    refused(
        (0..9).fold(Tar::default(), |tar, n| tar.file(&format!("{n}{}", "x".repeat(80)), "")),
        "600 bytes of names",
    );
    refused(Tar::default().pax(&[("path", &[b'x'; 101])]).file("a", ""), "too long");
    refused(Tar::default().file("a", &"x".repeat(100_000)), "100000 bytes");
    refused(Tar::default().blocks(&vec![0; 100_000]), "100000 bytes");
    // Holes cost nothing until somebody reads them.
    let hole = [("GNU.sparse.size", b"100001".as_slice()), ("GNU.sparse.map", b"100001,0")];
    refused(Tar::default().pax(&hole).file("a", ""), "100000 bytes in its files");
    let mut long = Tar::header(EntryType::XHeader, b"x");
    long.set_size(1 << 40);
    refused(Tar::default().with(long, b""), "extended header is too long");
    // The default lets a name of any length that can be made pass.
    let name = vec!["x".repeat(250); 16].join("/");
    assert!(name.len() < 4095);
    tree_of(&Tar::default().pax(&[("path", name.as_bytes())]).file("a", "").end());
    let error =
        Bench::new().unpack(&Tar::default().pax(&[("path", &[b'x'; 256])]).file("a", "").end()).unwrap_err();
    assert!(matches!(error, LayerError::Tree { step: "create", .. }), "{error}");
}

#[test]
fn a_damaged_header_is_damage_and_so_is_an_end_too_early() {
    let whole = Tar::default()
        .directory("d")
        .pax(&[("path", b"d/long"), ("SCHILY.xattr.user.a", &[b'x'; 600])])
        .file("a", &"content".repeat(200))
        .symlink("d/link", "long");
    let whole = whole.end();
    let boundaries = [0, 512, 512 + 512 + 1024 + 512 + 1536, 512 + 512 + 1024 + 512 + 1536 + 512];
    for length in (0..whole.len() - 1024).filter(|length| length % 43 == 0 || length % 256 < 2) {
        let result = Bench::new().unpack(&whole[..length]);
        match result {
            Ok(unpacked) => {
                assert!(boundaries.contains(&length), "{length}");
                assert_ne!(unpacked.diff_id, takelage_model::Digest::of(&whole));
            }
            Err(error) => assert!(matches!(error, LayerError::Damaged { .. }), "{length}: {error}"),
        }
    }
    for at in [0, 100, 124, 148, 156, 257, 400] {
        let mut wrong = whole.clone();
        wrong[at] ^= 1;
        let error = Bench::new().unpack(&wrong).unwrap_err();
        assert!(error.to_string().contains("checksum"), "{at}: {error}");
    }
}

#[test]
fn a_source_that_fails_is_not_a_damaged_archive() {
    struct Broken;
    impl std::io::Read for Broken {
        fn read(&mut self, _: &mut [u8]) -> std::io::Result<usize> {
            Err(std::io::Error::other("the wire is cut"))
        }
    }
    let whole = Tar::default().file("a", "1").0;
    let source = std::io::Read::chain(whole.as_slice(), Broken);
    let bench = Bench::new();
    let error = super::super::unpack(source, open(&bench.root()).as_fd(), markers(), Limits::default());
    assert!(matches!(error, Err(LayerError::Read(_))), "{error:?}");
}

/// An entry of whatever kind, with names that meet.
fn entry() -> impl Strategy<Value = (u8, String, String, Vec<u8>)> {
    let name = prop::collection::vec(
        prop::sample::select(vec![
            "a",
            "b",
            "c",
            "..",
            ".",
            "",
            ".wh.a",
            ".wh..wh..opq",
            ".wh.",
            "outside",
            "file",
        ]),
        1..5,
    );
    let name = name.prop_map(|parts| parts.join("/"));
    (
        prop::sample::select(b"0123456570xgLKS".to_vec()),
        name.clone(),
        name,
        prop::collection::vec(any::<u8>(), 0..40),
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn nothing_reaches_the_outside(entries in prop::collection::vec(entry(), 1..12), slash: bool) {
        let mut tar = Tar::default();
        for (kind, name, target, content) in entries {
            let mut header = Tar::header(EntryType::new(kind), name.as_bytes());
            let target = if slash { format!("/{target}") } else { format!("../{target}") };
            header.as_old_mut().linkname[..target.len()].copy_from_slice(target.as_bytes());
            header.set_size(if matches!(kind, b'0' | b'7' | b'x' | b'g' | b'L' | b'K') { content.len() as u64 } else { 0 });
            let content = if header.entry_size().unwrap() == 0 { b"".as_slice() } else { &content };
            tar = tar.with(header, content);
        }
        let _ = Bench::new().unpack(&tar.end());
    }

    #[test]
    fn flipped_bytes_never_make_it_panic(flips in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..8)) {
        let mut tar = Tar::default()
            .pax(&[("path", b"d/long"), ("mtime", b"1.5")])
            .file("a", "content")
            .symlink("link", "d")
            .hard_link("link/other", "d/long")
            .end();
        for (index, byte) in flips {
            let at = index.index(tar.len());
            tar[at] = byte;
            // With the checksum as it should be, the other fields are looked at.
            let block = at / 512 * 512;
            if tar[block..].len() >= 512 && tar[block + 257..].starts_with(b"ustar") {
                let mut header = Header::new_old();
                header.as_mut_bytes().copy_from_slice(&tar[block..block + 512]);
                header.set_cksum();
                tar[block..block + 512].copy_from_slice(header.as_bytes());
            }
        }
        let _ = Bench::new().unpack(&tar);
    }
}
