//! What the tests of layers share: archives made by hand, and places to unpack them.

mod differential;
mod docker;
mod duplicates;
mod extract;
mod flatten;
mod gnu;
mod hostile;
mod listing;
mod merge;
mod omit;
mod overlay;
mod pack;
mod remove;
mod rootless;
mod round_trip;
mod unpack;
mod whiteouts;

use std::{fs::File, os::fd::AsFd, path::PathBuf};

use rustix::process::{getgid, getuid};
use takelage_testkit::tree::Tree;
use tar::{EntryType, Header};
use tempfile::TempDir;

use super::*;

/// An archive that is made entry by entry, with whatever it should not have.
#[derive(Clone, Default)]
pub(super) struct Tar(Vec<u8>);

impl Tar {
    /// A header with everything that must be there.
    pub(super) fn header(kind: EntryType, name: &[u8]) -> Header {
        let mut header = Header::new_ustar();
        header.set_entry_type(kind);
        header.as_old_mut().name[..name.len()].copy_from_slice(name);
        header.set_mode(0o644);
        header.set_uid(getuid().as_raw().into());
        header.set_gid(getgid().as_raw().into());
        header.set_size(0);
        header.set_mtime(1_000_000_000);
        header
    }

    /// Appends a header as it is, but with the right checksum, and content.
    pub(super) fn with(mut self, mut header: Header, content: &[u8]) -> Self {
        header.set_cksum();
        self.0.extend_from_slice(header.as_bytes());
        self.blocks(content)
    }

    /// Appends content and fills its last block.
    pub(super) fn blocks(mut self, content: &[u8]) -> Self {
        self.0.extend_from_slice(content);
        self.0.resize(self.0.len().next_multiple_of(512), 0);
        self
    }

    pub(super) fn file(self, name: &str, content: &str) -> Self {
        let mut header = Self::header(EntryType::Regular, name.as_bytes());
        header.set_size(content.len() as u64);
        self.with(header, content.as_bytes())
    }

    pub(super) fn directory(self, name: &str) -> Self {
        let mut header = Self::header(EntryType::Directory, name.as_bytes());
        header.set_mode(0o755);
        self.with(header, b"")
    }

    pub(super) fn link(self, kind: EntryType, name: &str, target: &str) -> Self {
        let mut header = Self::header(kind, name.as_bytes());
        header.as_old_mut().linkname[..target.len()].copy_from_slice(target.as_bytes());
        self.with(header, b"")
    }

    pub(super) fn symlink(self, name: &str, target: &str) -> Self {
        self.link(EntryType::Symlink, name, target)
    }

    pub(super) fn hard_link(self, name: &str, target: &str) -> Self {
        self.link(EntryType::Link, name, target)
    }

    pub(super) fn device(self, name: &str, kind: EntryType, major: u32, minor: u32) -> Self {
        let mut header = Self::header(kind, name.as_bytes());
        header.set_device_major(major).unwrap();
        header.set_device_minor(minor).unwrap();
        self.with(header, b"")
    }

    /// Appends an extended header of this kind.
    pub(super) fn extended(self, kind: EntryType, content: &[u8]) -> Self {
        let mut header = Self::header(kind, b"extended");
        header.set_size(content.len() as u64);
        self.with(header, content)
    }

    /// Appends an extended header for the next entry.
    pub(super) fn pax(self, records: &[(&str, &[u8])]) -> Self {
        let mut content = Vec::new();
        for (key, value) in records {
            pax::append(&mut content, key.as_bytes(), value);
        }
        self.extended(EntryType::XHeader, &content)
    }

    pub(super) fn end(mut self) -> Vec<u8> {
        self.0.extend_from_slice(&[0; 1024]);
        self.0
    }
}

/// The namespace of markers that whoever runs the tests may set.
pub(super) fn markers() -> Namespace {
    if is_root() { Namespace::Trusted } else { Namespace::User }
}

pub(super) fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

/// A directory to unpack into, and one beside it that nothing may reach.
pub(super) struct Bench {
    directory: TempDir,
}

impl Bench {
    pub(super) fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        fs_err::create_dir(directory.path().join("root")).unwrap();
        fs_err::create_dir(directory.path().join("outside")).unwrap();
        fs_err::write(directory.path().join("outside/file"), "untouched").unwrap();
        Self { directory }
    }

    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    pub(super) fn root(&self) -> PathBuf {
        self.path("root")
    }

    /// Unpacks, and sees to it that nothing reached the outside.
    pub(super) fn unpack(&self, tar: &[u8]) -> Result<Unpacked, LayerError> {
        self.unpack_within(tar, Limits::default())
    }

    pub(super) fn unpack_within(&self, tar: &[u8], limits: Limits) -> Result<Unpacked, LayerError> {
        let before = Tree::of(&self.path("outside")).unwrap();
        let root = open(&self.root());
        let unpacked = super::unpack(tar, root.as_fd(), markers(), limits);
        before.assert_same(&Tree::of(&self.path("outside")).unwrap(), "the outside");
        assert_eq!(fs_err::read_dir(self.directory.path()).unwrap().count(), 2);
        unpacked
    }

    pub(super) fn tree(&self) -> Tree {
        Tree::of(&self.root()).unwrap()
    }
}

/// Opens a directory.
pub(super) fn open(path: &std::path::Path) -> File {
    fs_err::File::open(path).unwrap().into_parts().0
}

/// Unpacks what must be unpackable and returns the tree.
pub(super) fn tree_of(tar: &[u8]) -> Tree {
    let bench = Bench::new();
    bench.unpack(tar).unwrap();
    bench.tree()
}
