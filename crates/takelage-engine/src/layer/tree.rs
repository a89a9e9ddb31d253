//! A tree below an open directory: names are resolved by the kernel, as if that directory were the root.
//!
//! A symbolic link on the way is followed, but an absolute one begins at the tree's root and `..` does not lead above it.
//! So it is for whoever runs in the container, too.

use std::{
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    rc::Rc,
};

use rustix::{
    fs::{self, AtFlags, FileType, Mode, OFlags, ResolveFlags, Stat},
    io::{Errno, Result},
};

use super::name::Name;

/// So many directories stay open: a tree is walked from one to the next.
const OPEN: usize = 16;
/// The kernel asks to try again when something was renamed somewhere while it resolved a name with `..`.
const TRIES: usize = 1000;

/// A tree and the directories in it that were used last.
pub(super) struct Tree<'a> {
    root: BorrowedFd<'a>,
    /// What names are relative to, resolved below the root.
    base: Vec<u8>,
    /// Directories by name, the last used at the end. They only serve to create and remove names in them.
    open: Vec<(Vec<u8>, Rc<OwnedFd>)>,
}

impl<'a> Tree<'a> {
    /// Takes names below `base`, which is resolved below `root` like every name and may hold `..`.
    pub(super) fn new(root: BorrowedFd<'a>, base: &[u8]) -> Self {
        Self { root, base: base.to_vec(), open: Vec::new() }
    }

    /// Opens the directory `name` in the tree to name things in it, following symbolic links.
    pub(super) fn directory(&mut self, name: &[u8]) -> Result<Rc<OwnedFd>> {
        if let Some(index) = self.open.iter().rposition(|(open, _)| open == name) {
            let found = self.open.remove(index);
            let directory = found.1.clone();
            self.open.push(found);
            return Ok(directory);
        }
        let directory = Rc::new(self.resolve(name, OFlags::PATH | OFlags::DIRECTORY)?);
        self.keep(name, directory.clone());
        Ok(directory)
    }

    /// Opens the directory that `name` itself is, not what a link in its place leads to.
    pub(super) fn itself(&self, name: &Name) -> Result<OwnedFd> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY;
        // The place that names are relative to may be behind a link.
        let follow = if name.is_root() { OFlags::empty() } else { OFlags::NOFOLLOW };
        self.resolve(name.as_bytes(), flags | follow)
    }

    /// Keeps a directory that is known to be what `name` leads to.
    pub(super) fn keep(&mut self, name: &[u8], directory: Rc<OwnedFd>) {
        if self.open.len() >= OPEN {
            self.open.remove(0);
        }
        self.open.push((name.to_vec(), directory));
    }

    /// Forgets where names lead to. Called before anything is removed that a name may lead through.
    pub(super) fn forget(&mut self) {
        self.open.clear();
    }

    fn resolve(&self, name: &[u8], flags: OFlags) -> Result<OwnedFd> {
        let path = [b"./", self.base.as_slice(), b"/", name].concat();
        resolve(self.root, &path, flags, ResolveFlags::IN_ROOT)
    }
}

/// Opens `path` below `root` under conditions of resolution; links of `/proc` to processes' files never count as such.
pub(super) fn resolve(
    root: impl AsFd,
    path: &[u8],
    flags: OFlags,
    conditions: ResolveFlags,
) -> Result<OwnedFd> {
    let conditions = conditions | ResolveFlags::NO_MAGICLINKS;
    for _ in 1..TRIES {
        match fs::openat2(root.as_fd(), path, flags | OFlags::CLOEXEC, Mode::empty(), conditions) {
            Err(Errno::AGAIN) => {}
            result => return result,
        }
    }
    Err(Errno::AGAIN)
}

/// Looks at what `name` itself is in a directory.
pub(super) fn look(directory: impl AsFd, name: &[u8]) -> Result<Stat> {
    fs::statat(directory, name, AtFlags::SYMLINK_NOFOLLOW)
}

/// Returns the kind of a file.
pub(super) fn kind(stat: &Stat) -> FileType {
    FileType::from_raw_mode(stat.st_mode)
}

/// Opens a directory by its name in another, to read it.
pub(super) fn open_directory(directory: impl AsFd, name: &[u8]) -> Result<OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    fs::openat(directory, name, flags, Mode::empty())
}

/// Removes a file or an empty directory.
pub(super) fn remove_one(directory: impl AsFd, name: &[u8]) -> Result<()> {
    match fs::unlinkat(&directory, name, AtFlags::empty()) {
        Err(Errno::ISDIR) => fs::unlinkat(&directory, name, AtFlags::REMOVEDIR),
        removed => removed,
    }
}
