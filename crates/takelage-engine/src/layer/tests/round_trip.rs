//! Any tree becomes a layer, and the layer the same tree.

use std::{ffi::OsStr, os::unix::ffi::OsStrExt, path::Path};

use proptest::prelude::*;
use rustix::fs::{AtFlags, CWD, FileType, Mode, Timespec, Timestamps, XattrFlags};
use takelage_model::Digest;
use takelage_testkit::tree::Kind;

use super::*;

/// A file to be made: its name's bytes, in which directory, and what it is.
#[derive(Debug, Clone)]
struct Plan {
    name: Vec<u8>,
    parent: prop::sample::Index,
    kind: u8,
    mode: u32,
    owner: (u32, u32),
    mtime: i64,
    content: Vec<u8>,
    xattrs: Vec<(String, Vec<u8>)>,
}

fn plan() -> impl Strategy<Value = Plan> {
    let byte = any::<u8>().prop_filter("no name has these", |byte| !matches!(byte, 0 | b'/'));
    let name = prop::collection::vec(byte, 1..120);
    let content = prop_oneof![
        prop::collection::vec(any::<u8>(), 0..40),
        (any::<u8>(), 500..530_usize).prop_map(|(byte, length)| vec![byte; length]),
        (any::<u8>(), 0..600_000_usize).prop_map(|(byte, length)| vec![byte; length]),
    ];
    let xattr = ("user\\.[a-z=%]{1,20}", prop::collection::vec(any::<u8>(), 0..60));
    let time = prop_oneof![0..2_000_000_000_i64, -2_000_000..0_i64, 5_000_000_000..10_000_000_000_i64];
    (
        name,
        any::<prop::sample::Index>(),
        any::<u8>(),
        0..0o10000_u32,
        any::<(u32, u32)>(),
        time,
        content,
        prop::collection::vec(xattr, 0..3),
    )
        .prop_map(|(name, parent, kind, mode, owner, mtime, content, xattrs)| Plan {
            name,
            parent,
            kind,
            mode,
            owner,
            mtime,
            content,
            xattrs,
        })
}

/// Makes the files, and then, the last first, everything about them that making others would change.
fn make(root: &Path, plans: &[Plan]) {
    let mut directories = vec![root.to_owned()];
    let mut files = vec![];
    let mut made = vec![];
    for plan in plans {
        let path = plan.parent.get(&directories).join(OsStr::from_bytes(&plan.name));
        let reserved = matches!(plan.name.as_slice(), b"." | b"..") || plan.name.starts_with(b".wh.");
        if reserved || fs_err::symlink_metadata(&path).is_ok() {
            continue;
        }
        match plan.kind % if is_root() { 10 } else { 8 } {
            0 | 1 => {
                fs_err::create_dir(&path).unwrap();
                directories.push(path.clone());
            }
            2 | 3 => {
                fs_err::write(&path, &plan.content).unwrap();
                files.push(path.clone());
            }
            4 => {
                let mut target = plan.content.clone();
                target.retain(|&byte| byte != 0);
                target.truncate(300);
                target.push(b'x');
                rustix::fs::symlinkat(target.as_slice(), CWD, &path).unwrap();
            }
            5 => rustix::fs::mkfifoat(CWD, &path, Mode::RUSR).unwrap(),
            6 if !files.is_empty() => {
                fs_err::hard_link(plan.parent.get(&files), &path).unwrap();
                continue;
            }
            8 => node(&path, FileType::CharacterDevice, plan.owner),
            9 => node(&path, FileType::BlockDevice, plan.owner),
            _ => fs_err::write(&path, "").unwrap(),
        }
        made.push((path, plan));
    }
    for (path, plan) in made.into_iter().rev() {
        describe(&path, plan);
    }
}

fn node(path: &Path, kind: FileType, (major, minor): (u32, u32)) {
    let device = rustix::fs::makedev(major % 0xfff + 1, minor & 0xf_ffff);
    rustix::fs::mknodat(CWD, path, kind, Mode::RUSR, device).unwrap();
}

fn describe(path: &Path, plan: &Plan) {
    let kind = fs_err::symlink_metadata(path).unwrap().file_type();
    if is_root() {
        let (uid, gid) = (plan.owner.0 & 0x7fff_ffff, plan.owner.1 & 0x7fff_ffff);
        std::os::unix::fs::lchown(path, Some(uid), Some(gid)).unwrap();
    }
    if !kind.is_symlink() {
        // Whoever is not root must still be able to read it.
        let mode = if is_root() { plan.mode } else { plan.mode | 0o700 };
        rustix::fs::chmod(path, Mode::from_raw_mode(mode)).unwrap();
    }
    if kind.is_file() || kind.is_dir() {
        for (name, value) in &plan.xattrs {
            rustix::fs::setxattr(path, name.as_str(), value, XattrFlags::empty()).unwrap();
        }
    }
    if is_root() {
        rustix::fs::lsetxattr(path, "trusted.takelage", &plan.name, XattrFlags::empty()).unwrap();
        if kind.is_file() {
            let capability = [1, 0, 0, 2, b'\n', b'\n', 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
            rustix::fs::setxattr(path, "security.capability", &capability, XattrFlags::empty()).unwrap();
        }
    }
    let time = Timespec { tv_sec: plan.mtime, tv_nsec: 0 };
    let times = Timestamps { last_access: time, last_modification: time };
    rustix::fs::utimensat(CWD, path, &times, AtFlags::SYMLINK_NOFOLLOW).unwrap();
}

fn pack(root: &Path) -> Vec<u8> {
    let options = PackOptions { markers: markers(), newest: None, skip: vec![] };
    let mut tar = Vec::new();
    let packed = super::super::pack(open(root).as_fd(), &mut tar, &options).unwrap();
    assert_eq!((packed.diff_id, packed.size), (Digest::of(&tar), tar.len() as u64));
    tar
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(100))]

    #[test]
    fn a_tree_becomes_a_layer_and_the_layer_the_same_tree(plans in prop::collection::vec(plan(), 0..25)) {
        let (before, after, copy) = (Bench::new(), Bench::new(), Bench::new());
        make(&before.root(), &plans);
        rustix::fs::utimensat(CWD, before.root(), &time_of_root(), AtFlags::empty()).unwrap();
        let layer = pack(&before.root());
        let unpacked = after.unpack(&layer).unwrap();
        prop_assert_eq!(unpacked.diff_id, Digest::of(&layer));
        prop_assert_eq!(&unpacked.left_out, &[]);
        let tree = before.tree();
        tree.assert_same(&after.tree(), "unpacked");
        prop_assert!(tree.0.values().any(|file| file.kind == Kind::Directory));
        // The copy of a copy has the same bytes.
        prop_assert!(pack(&after.root()) == layer);
        // The same by way of an archive of a tree in use.
        let mut archive = Vec::new();
        super::super::archive(open(&before.root()).as_fd(), Path::new("/"), &mut archive, &ArchiveOptions::default()).unwrap();
        super::super::extract(archive.as_slice(), open(&copy.root()).as_fd(), Path::new("/")).unwrap();
        let mut copied = copy.tree();
        copied.0.insert(".".into(), tree.0[Path::new(".")].clone());
        tree.assert_same(&copied, "extracted");
    }
}

fn time_of_root() -> Timestamps {
    let time = Timespec { tv_sec: 7, tv_nsec: 0 };
    Timestamps { last_access: time, last_modification: time }
}
