//! Upper directories laid onto each other show the same as when they are stacked.

use std::{
    os::{
        fd::AsFd,
        unix::fs::{MetadataExt as _, PermissionsExt as _},
    },
    path::{Path, PathBuf},
};

use fs_err as fs;
use proptest::prelude::*;
use rustix::fs::{FileType, Mode};
use takelage_testkit::{skip, tree::Tree};

use super::{
    super::*,
    flatten::{Bytes, names},
    overlay::Overlay,
};

/// What somebody does in a container.
#[derive(Debug, Clone)]
enum Change {
    Write(PathBuf, u8),
    Directory(PathBuf),
    Remove(PathBuf),
    Link(PathBuf, PathBuf),
    Symlink(PathBuf),
    Rename(PathBuf, PathBuf),
    Mode(PathBuf, u32),
    Attribute(PathBuf, u8),
}

impl Change {
    /// Does it below `root`; what cannot be done is not.
    fn make(&self, root: &Path) {
        let at = |path: &Path| root.join(path);
        let _ = match self {
            Self::Write(path, byte) => fs::write(at(path), vec![*byte; usize::from(*byte)]),
            Self::Directory(path) => fs::create_dir_all(at(path)),
            Self::Remove(path) => fs::remove_dir_all(at(path)).or_else(|_| fs::remove_file(at(path))),
            Self::Link(from, to) => fs::hard_link(at(from), at(to)),
            Self::Symlink(path) => std::os::unix::fs::symlink("nowhere", at(path)),
            Self::Rename(from, to) => fs::rename(at(from), at(to)),
            Self::Mode(path, mode) => {
                if fs::symlink_metadata(at(path)).is_ok_and(|it| !it.is_symlink()) {
                    fs::set_permissions(at(path), std::fs::Permissions::from_mode(*mode)).unwrap();
                }
                Ok(())
            }
            Self::Attribute(path, byte) => {
                let none = rustix::fs::XattrFlags::empty();
                rustix::fs::lsetxattr(at(path), "trusted.test", &[*byte], none).map_err(Into::into)
            }
        };
    }
}

fn changes() -> impl Strategy<Value = Vec<Change>> {
    let path = || proptest::collection::vec(prop_oneof!["a", "b", "c"], 1..=3).prop_map(PathBuf::from_iter);
    let change = prop_oneof![
        3 => (path(), any::<u8>()).prop_map(|(path, byte)| Change::Write(path, byte)),
        3 => path().prop_map(Change::Directory),
        3 => path().prop_map(Change::Remove),
        1 => (path(), path()).prop_map(|(from, to)| Change::Link(from, to)),
        1 => path().prop_map(Change::Symlink),
        1 => (path(), path()).prop_map(|(from, to)| Change::Rename(from, to)),
        1 => (path(), 0o700_u32..0o10000).prop_map(|(path, mode)| Change::Mode(path, mode)),
        1 => (path(), any::<u8>()).prop_map(|(path, byte)| Change::Attribute(path, byte)),
    ];
    proptest::collection::vec(change, 1..25)
}

fn lay(trees: &[PathBuf], onto: &Path) -> u64 {
    let onto = fs::File::open(onto).unwrap();
    let lay = |tree| merge(fs::File::open(tree).unwrap().as_fd(), onto.as_fd(), Namespace::Trusted).unwrap();
    trees.iter().map(lay).sum()
}

/// Packs a tree as a layer.
fn packed(tree: &Path) -> Vec<u8> {
    let options = PackOptions { markers: Namespace::Trusted, newest: None, skip: Vec::new() };
    let mut tar = Vec::new();
    pack(fs::File::open(tree).unwrap().as_fd(), &mut tar, &options).unwrap();
    tar
}

#[test]
fn root_merged_trees_show_what_stacked_ones_do() {
    let image = tempfile::tempdir().unwrap();
    if let Err(reason) = Overlay::mount(&[image.path().to_owned()]) {
        skip!("{reason}");
    }
    proptest!(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(24) }, |(runs in proptest::collection::vec(changes(), 4))| {
        let image = tempfile::tempdir().unwrap();
        let mut stack = vec![image.path().to_owned()];
        let mut overlays = Vec::new();
        for (number, run) in runs.iter().enumerate() {
            if number == 0 {
                for change in run {
                    change.make(image.path());
                }
                continue;
            }
            let overlay = Overlay::mount(&stack).unwrap();
            for change in run {
                change.make(&overlay.merged());
            }
            stack.push(overlay.upper());
            overlays.push(overlay);
        }
        let stacked = Overlay::mount(&stack).unwrap();
        let merged = tempfile::tempdir().unwrap();
        lay(&stack[1..], merged.path());
        trim(
            fs::File::open(merged.path()).unwrap().as_fd(),
            fs::File::open(image.path()).unwrap().as_fd(),
            Namespace::Trusted,
        )
        .unwrap();
        let both = Overlay::mount(&[image.path().to_owned(), merged.path().to_owned()]).unwrap();
        let seen = |overlay: &Overlay| {
            let mut tree = Tree::of(&overlay.merged()).unwrap();
            // That of the empty tree on top.
            tree.0.remove(Path::new("."));
            tree
        };
        seen(&stacked).assert_same(&seen(&both), "merged trees");
        // The same without any tree.
        let packed: Vec<_> = stack.iter().map(|tree| Bytes(packed(tree))).collect();
        let mut flat = Vec::new();
        prop_assert!(flatten(&packed[1..], &packed[..1], &mut flat).unwrap());
        prop_assert!(flat == self::packed(merged.path()), "{:?}", [names(&flat), names(&self::packed(merged.path()))]);
    });
}

#[test]
fn root_a_copy_is_the_same_to_the_nanosecond_with_holes_and_links() {
    let (from, onto) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    if !rustix::process::geteuid().is_root() {
        skip!("owners and devices need root");
    }
    let at = |name: &str| from.path().join(name);
    let sparse = fs::File::create(at("sparse")).unwrap();
    sparse.set_len(64 << 20).unwrap();
    std::os::unix::fs::FileExt::write_all_at(sparse.file(), b"end", (32 << 20) + 5).unwrap();
    fs::write(at("file"), "content").unwrap();
    std::os::unix::fs::lchown(at("file"), Some(1000), Some(1001)).unwrap();
    fs::set_permissions(at("file"), std::fs::Permissions::from_mode(0o4750)).unwrap();
    let capability = [1, 0, 0, 2, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    let none = rustix::fs::XattrFlags::empty();
    rustix::fs::lsetxattr(at("file"), "security.capability", &capability, none).unwrap();
    fs::hard_link(at("file"), at("again")).unwrap();
    let _socket = std::os::unix::net::UnixListener::bind(at("socket")).unwrap();
    for (name, kind) in [("fifo", FileType::Fifo), ("gone", FileType::CharacterDevice)] {
        rustix::fs::mknodat(rustix::fs::CWD, at(name), kind, Mode::empty(), 0).unwrap();
    }
    let copied = lay(&[from.path().to_owned()], onto.path());
    assert_eq!(copied, (64 << 20) + 7);
    Tree::of(from.path()).unwrap().assert_same(&Tree::of(onto.path()).unwrap(), "a copy");
    assert!(fs::metadata(onto.path().join("sparse")).unwrap().blocks() < 1000);
    // What an opaque directory hides in the tree below is not there.
    let upper = tempfile::tempdir().unwrap();
    fs::create_dir(onto.path().join("full")).unwrap();
    fs::write(onto.path().join("full/old"), "").unwrap();
    fs::create_dir(upper.path().join("full")).unwrap();
    rustix::fs::lsetxattr(upper.path().join("full"), "trusted.overlay.opaque", b"y", none).unwrap();
    lay(&[upper.path().to_owned()], onto.path());
    assert_eq!(fs::read_dir(onto.path().join("full")).unwrap().count(), 0);
    let mut mark = [0];
    rustix::fs::lgetxattr(onto.path().join("full"), "trusted.overlay.opaque", &mut mark[..]).unwrap();
    assert_eq!(&mark, b"y");
}
