//! Making the files of an archive's members in a tree.

mod directory;
mod file;
mod whiteout;
mod writers;

use std::{io::Read, os::fd::OwnedFd, rc::Rc};

use rustix::{fs::FileType, io::Errno};

use self::writers::Writers;
use super::{
    LayerError, LeftOut, Namespace, Omission,
    directories::Directories,
    member::{Kind, Member, Number},
    members::Members,
    name::Name,
    remove,
    tree::{self, Tree},
};

/// So much of what is left out is told by name.
const MOST_LEFT_OUT: usize = 100;

/// What the tree is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Purpose {
    /// It is a layer of an overlay, and has nothing that is not in the archive.
    Layer(Namespace),
    /// It is in use.
    Living,
}

/// Builds a tree of an archive's members.
pub(super) struct Builder<'a> {
    tree: Tree<'a>,
    purpose: Purpose,
    directories: Directories,
    left_out: Vec<LeftOut>,
    writers: Writers,
}

/// Where a member belongs: its whole name, the directory that it lies in, and its name there.
struct Spot<'n> {
    name: &'n Name,
    parent: Rc<OwnedFd>,
    component: &'n [u8],
}

impl<'a> Builder<'a> {
    pub(super) fn new(tree: Tree<'a>, purpose: Purpose) -> Self {
        Self {
            tree,
            purpose,
            directories: Directories::default(),
            left_out: Vec::new(),
            writers: Writers::default(),
        }
    }

    /// Makes the file of a member, with its content, which `members` delivers.
    pub(super) fn make<R: Read>(
        &mut self,
        member: &Member,
        members: &mut Members<R>,
    ) -> Result<(), LayerError> {
        let Member { name, kind, metadata } = member;
        let Some((parent, component)) = name.split() else { return self.root(member) };
        let spot = Spot { name, parent: self.parent(parent)?, component };
        match kind {
            Kind::File(map) => self.file(&spot, metadata, map, members),
            Kind::Directory => self.directory(&spot, metadata),
            Kind::Symlink(target) => self.symlink(&spot, metadata, target),
            Kind::HardLink(target) => self.hard_link(&spot, target),
            Kind::CharacterDevice(number) => self.node(&spot, metadata, FileType::CharacterDevice, *number),
            Kind::BlockDevice(number) => self.node(&spot, metadata, FileType::BlockDevice, *number),
            Kind::Fifo => self.node(&spot, metadata, FileType::Fifo, Number { major: 0, minor: 0 }),
        }
    }

    /// Waits for files under way and gives the directories their times. Returns what was left out.
    pub(super) fn finish(mut self) -> Result<Vec<LeftOut>, LayerError> {
        self.writers.finish()?;
        self.directories.finish(&self.tree)?;
        Ok(self.left_out)
    }

    /// Notes that something of an entry is not in the tree.
    pub(super) fn leave_out(&mut self, name: &Name, what: Omission) {
        if self.left_out.len() < MOST_LEFT_OUT {
            self.left_out.push(LeftOut { path: name.to_path(), what });
        }
    }

    /// Makes something that is not there yet; what is there in its place is removed.
    fn create<T>(
        &mut self,
        spot: &Spot<'_>,
        attempt: impl Fn() -> Result<T, Errno>,
    ) -> Result<T, LayerError> {
        match attempt() {
            Err(Errno::EXIST) => {
                self.clear(spot)?;
                attempt()
            }
            result => result,
        }
        .map_err(LayerError::tree("create", spot.name))
    }

    /// Removes what is in the place of an entry.
    fn clear(&mut self, spot: &Spot<'_>) -> Result<(), LayerError> {
        // Names may have led through it.
        self.tree.forget();
        let removed = match self.purpose {
            Purpose::Layer(_) => remove::below(&spot.parent, spot.component),
            // A directory that is in use is not removed with what somebody keeps in it; nor does GNU tar.
            Purpose::Living => tree::remove_one(&spot.parent, spot.component),
        };
        removed.map_err(LayerError::tree("replace", spot.name))
    }
}
