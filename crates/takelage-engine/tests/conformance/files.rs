//! Files in and out of containers.

use std::{
    collections::BTreeMap,
    io::Read,
    time::{Duration, Instant},
};

use bytes::Bytes;
use takelage_engine::{Container, ContainerSpec, Engine, EngineError, Startup};

use crate::{
    base::{Bench, say, sh},
    systemd,
};

/// What an archive says of an entry: kind, mode, owner, group, time, target and content.
pub(crate) type Entry = (u8, u32, u64, u64, u64, String, Vec<u8>);

/// Reads an archive into something that can be compared.
pub(crate) fn read(tar: impl Read) -> BTreeMap<String, Entry> {
    let mut archive = tar::Archive::new(tar);
    let mut entries = BTreeMap::new();
    for entry in archive.entries().unwrap() {
        let mut entry = entry.unwrap();
        let name = String::from_utf8(entry.path_bytes().into_owned()).unwrap();
        let target = String::from_utf8(entry.link_name_bytes().unwrap_or_default().into_owned()).unwrap();
        let mut content = Vec::new();
        entry.read_to_end(&mut content).unwrap();
        let header = entry.header();
        let kind = header.entry_type().as_byte();
        let said = (
            kind,
            header.mode().unwrap() & 0o7777,
            header.uid().unwrap(),
            header.gid().unwrap(),
            header.mtime().unwrap(),
            target,
            content,
        );
        entries.insert(name.trim_end_matches('/').to_owned(), said);
    }
    entries
}

/// A tree with everything that can get lost on an engine.
pub(crate) fn tree(engine: &impl Engine) -> Bytes {
    let somebody = if engine.capabilities().all_ids { 4_000_000 } else { 40_000 };
    let mut tar = tar::Builder::new(Vec::new());
    let mut add = |name: &str, kind: tar::EntryType, mode, owner, content: &[u8]| {
        let mut header = tar::Header::new_gnu();
        header.set_entry_type(kind);
        header.set_mode(mode);
        header.set_uid(owner);
        header.set_gid(owner + 1);
        header.set_mtime(1_500_000_000 + owner);
        header.set_size(0);
        if kind.is_symlink() || kind.is_hard_link() {
            tar.append_link(&mut header, name, String::from_utf8_lossy(content).as_ref()).unwrap();
        } else {
            header.set_size(content.len() as u64);
            tar.append_data(&mut header, name, content).unwrap();
        }
    };
    let long = format!("tree/{}/{}", "d".repeat(120), "f".repeat(150));
    add("tree", tar::EntryType::Directory, 0o750, 7, b"");
    add("tree/empty", tar::EntryType::Directory, 0o1777, 0, b"");
    add(long.rsplit_once('/').unwrap().0, tar::EntryType::Directory, 0o755, 0, b"");
    add(&long, tar::EntryType::Regular, 0o600, 1000, b"long");
    add("tree/set-user", tar::EntryType::Regular, 0o4755, 0, b"#!/bin/sh\n");
    add("tree/file", tar::EntryType::Regular, 0o644, 0, b"twice");
    // Docker's own unpacking would drop the bit of a set-user file with two names, so this one has none.
    add("tree/same-file", tar::EntryType::Link, 0o644, 0, b"tree/file");
    add("tree/with space\nand line", tar::EntryType::Regular, 0o644, somebody, b"\0\xff");
    add("tree/dangling", tar::EntryType::Symlink, 0o777, 1, b"../nowhere");
    add("tree/nothing", tar::EntryType::Regular, 0o000, 1, b"");
    add("tree/pipe", tar::EntryType::Fifo, 0o640, 1, b"");
    tar.into_inner().unwrap().into()
}

/// What packs and unpacks in the container.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Tar {
    /// GNU tar, or the engine itself: everything is restored.
    Full,
    /// The one of busybox, which restores neither times of directories nor owners and times of symbolic links.
    Busybox,
}

async fn round_trip(container: &impl Container, tree: Bytes, at: &str, tar: Tar) {
    container.put(at, tree.clone()).await.unwrap();
    let back = container.get(&format!("{at}/tree")).await.unwrap();
    let (expected, mut actual) = (read(tree.as_ref()), read(back.as_ref()));
    // Which of two names of a file comes first is the packer's choice.
    let pair = ["tree/file", "tree/same-file"].map(|name| actual[name].clone());
    assert_eq!(pair.iter().filter(|entry| entry.0 == b'1').count(), 1, "{pair:?}");
    if pair[0].0 == b'1' {
        let (file, link) =
            (pair[1].clone(), (b'1', pair[0].1, 0, 1, pair[0].4, "tree/file".to_owned(), Vec::new()));
        actual.insert("tree/file".to_owned(), file);
        actual.insert("tree/same-file".to_owned(), link);
    }
    assert_eq!(actual.keys().collect::<Vec<_>>(), expected.keys().collect::<Vec<_>>());
    for (name, expected) in &expected {
        let mut expected = expected.clone();
        if tar == Tar::Busybox && expected.0 == b'5' {
            expected.4 = actual[name].4;
        } else if tar == Tar::Busybox && expected.0 == b'2' {
            (expected.2, expected.3, expected.4) = (actual[name].2, actual[name].3, actual[name].4);
        }
        assert_eq!(actual[name], expected, "{name}");
    }
    // A symbolic link is packed as such, a file has its own name.
    let link = read(container.get(&format!("{at}/tree/dangling")).await.unwrap().as_ref());
    assert_eq!((link["dangling"].0, link["dangling"].5.as_str()), (b'2', "../nowhere"));
    let file = read(container.get(&format!("{at}/tree/set-user")).await.unwrap().as_ref());
    assert_eq!((file.len(), file["set-user"].6.as_slice()), (1, &b"#!/bin/sh\n"[..]));
    // What is there already is replaced.
    container.put(at, tree).await.unwrap();
}

pub(crate) async fn a_tree_comes_back_as_it_was<E: Engine>(bench: Bench<E>) {
    // The first process' user does not matter.
    let spec = ContainerSpec { user: Some("app".to_owned()), ..bench.spec() };
    bench
        .with(&spec, async |container| {
            round_trip(&container, tree(&bench.engine), "/srv", Tar::Busybox).await;
        })
        .await;
}

pub(crate) async fn the_same_with_gnu_tar_in_the_image<E: Engine>(bench: Bench<E>) {
    let Some(spec) = systemd::booting(&bench).await else { return };
    let spec = ContainerSpec { startup: Startup::Wait, ..spec };
    bench
        .with(&spec, async |container| round_trip(&container, tree(&bench.engine), "/srv", Tar::Full).await)
        .await;
}

pub(crate) async fn the_same_without_tar_in_the_image<E: Engine>(bench: Bench<E>) {
    bench
        .with(&bench.spec(), async |container| {
            say(&container, "rm /bin/tar").await;
            round_trip(&container, tree(&bench.engine), "/srv", Tar::Full).await;
            missing(&container).await;
        })
        .await;
}

async fn missing(container: &impl Container) {
    for path in ["/no/such", "/etc/passwd/below", "/srv/new\nline"] {
        let error = container.get(path).await.unwrap_err();
        assert!(matches!(&error, EngineError::NoSuchPath { path: named, .. } if named == path), "{error:?}");
    }
    let error = container.put("/no/such", Bytes::new()).await.unwrap_err();
    assert!(matches!(&error, EngineError::NoSuchPath { path, .. } if path == "/no/such"), "{error:?}");
    assert!(container.get("relative").await.is_err());
    assert!(container.put("relative", Bytes::new()).await.is_err());
    assert!(container.put("/srv", Bytes::from_static(b"this is no tar archive at all")).await.is_err());
}

pub(crate) async fn missing_paths_are_named<E: Engine>(bench: Bench<E>) {
    bench.with(&bench.spec(), async |container| missing(&container).await).await;
}

pub(crate) async fn a_tmpfs_is_written_and_read<E: Engine>(bench: Bench<E>) {
    let tmpfs = [("/scratch".to_owned(), "mode=1777".to_owned())].into();
    let spec = ContainerSpec { tmpfs, ..bench.spec() };
    bench
        .with(&spec, async |container| {
            say(&container, "ln -s /scratch /etc/alias").await;
            round_trip(&container, tree(&bench.engine), "/etc/alias", Tar::Busybox).await;
            assert_eq!(say(&container, "stat -f -c %T /scratch/tree/set-user").await, "tmpfs");
            say(&container, "echo inside > /scratch/made").await;
            let made = read(container.get("/scratch/made").await.unwrap().as_ref());
            assert_eq!(made["made"].6, b"inside\n");
            // Nothing went to the layer below.
            let path = bench.scratch.join("root.tar");
            container.export(&path).await.unwrap();
            let root = read(fs_err::File::open(&path).unwrap());
            assert!(!root.keys().any(|name| name.contains("tree")), "{:?}", root.keys());
        })
        .await;
}

pub(crate) async fn a_stopped_container_takes_and_gives_files<E: Engine>(bench: Bench<E>) {
    bench
        .with(&bench.spec(), async |container| {
            container.stop(Duration::from_secs(10)).await.unwrap();
            round_trip(&container, tree(&bench.engine), "/srv", Tar::Full).await;
            let error = container.get("/no/such").await.unwrap_err();
            assert!(matches!(error, EngineError::NoSuchPath { .. }), "{error:?}");
        })
        .await;
}

pub(crate) async fn much_content_goes_through<E: Engine>(bench: Bench<E>) {
    const LENGTH: usize = 200 << 20;
    bench
        .with(&bench.spec(), async |container| {
            let mut tar = tar::Builder::new(Vec::new());
            let mut header = tar::Header::new_gnu();
            header.set_mode(0o644);
            header.set_size(LENGTH as u64);
            tar.append_data(&mut header, "big", std::io::repeat(b'x').take(LENGTH as u64)).unwrap();
            let start = Instant::now();
            container.put("/srv", tar.into_inner().unwrap().into()).await.unwrap();
            assert_eq!(say(&container, "stat -c %s /srv/big").await, LENGTH.to_string());
            let back = container.get("/srv/big").await.unwrap();
            assert!(back.len() > LENGTH, "{}", back.len());
            assert!(start.elapsed() < Duration::from_secs(120), "{:?}", start.elapsed());
        })
        .await;
}

pub(crate) async fn an_export_has_everything<E: Engine>(bench: Bench<E>) {
    let spec = ContainerSpec { tmpfs: [("/tmp".to_owned(), String::new())].into(), ..bench.spec() };
    bench
        .with(&spec, async |container| {
            say(&container, "echo new > /srv/new; rm /etc/group; echo volatile > /tmp/file").await;
            let path = bench.scratch.join("export.tar");
            fs_err::write(&path, "something older").unwrap();
            container.export(&path).await.unwrap();
            let root = read(fs_err::File::open(&path).unwrap());
            assert_eq!(root["srv/new"].6, b"new\n");
            assert!(root.contains_key("bin/busybox") && !root.contains_key("etc/group"));
            assert!(!root.contains_key("tmp/file"));
            let beside = fs_err::read_dir(&bench.scratch).unwrap().count();
            assert!(container.export(&bench.scratch.join("no/such/directory/file")).await.is_err());
            assert_eq!(fs_err::read_dir(&bench.scratch).unwrap().count(), beside);
            assert_eq!(sh(&container, "true").await.status, 0);
        })
        .await;
}
