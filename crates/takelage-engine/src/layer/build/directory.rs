//! Directories: those of the archive, and those that it does not mention but has something in.

use std::{
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    rc::Rc,
};

use rustix::{
    fs::{self, Dir, FileType, Gid, Mode, Timespec, Uid},
    io::Errno,
    process::{getegid, geteuid},
};

use super::{Builder, Purpose, Spot};
use crate::layer::{
    LayerError, marker,
    member::{Kind, Member, Metadata},
    name::Name,
    tree,
    xattr::{self, Place},
};

impl Builder<'_> {
    /// Makes the root of a new layer what a root is if the archive does not mention it, wherever its directory was made.
    pub(in crate::layer) fn prepare(&mut self) -> Result<(), LayerError> {
        let root = Name::default();
        let directory = self.tree.itself(&root).map_err(LayerError::tree("open", &root))?;
        let entries = Dir::read_from(&directory).and_then(Iterator::collect::<Result<Vec<_>, _>>);
        let entries = entries.map_err(LayerError::tree("read", &root))?;
        if entries.iter().any(|entry| !matches!(entry.file_name().to_bytes(), b"." | b"..")) {
            return Err(Errno::NOTEMPTY).map_err(LayerError::tree("unpack into", &root));
        }
        for acl in xattr::ACLS {
            xattr::remove(&directory, acl).map_err(LayerError::tree("prepare", &root))?;
        }
        self.dress(&root, directory.as_fd(), &implied())
    }

    /// Checks that there is a directory to unpack into.
    pub(in crate::layer) fn check(&self) -> Result<(), LayerError> {
        let root = Name::default();
        self.tree.itself(&root).map(drop).map_err(LayerError::tree("open", &root))
    }

    /// Gives the root what the archive says of it.
    pub(super) fn root(&mut self, member: &Member) -> Result<(), LayerError> {
        if !matches!(member.kind, Kind::Directory) {
            return Err(LayerError::refused(&member.name, "its root is no directory"));
        }
        let directory = self.tree.itself(&member.name).map_err(LayerError::tree("open", &member.name))?;
        self.dress(&member.name, directory.as_fd(), &member.metadata)
    }

    /// Makes a directory, or takes the one that is there.
    pub(super) fn directory(&mut self, spot: &Spot<'_>, metadata: &Metadata) -> Result<(), LayerError> {
        let directory = self.make_directory(spot)?;
        self.dress(spot.name, directory.as_fd(), metadata)
    }

    /// Opens the directory that something lies in. What is missing on the way is made.
    pub(super) fn parent(&mut self, parent: &[u8]) -> Result<Rc<OwnedFd>, LayerError> {
        match self.tree.directory(parent) {
            Ok(directory) => Ok(directory),
            Err(Errno::NOENT | Errno::NOTDIR) => self.imply(parent),
            Err(error) => Err(error).map_err(LayerError::tree("open", &Name::shown(parent))),
        }
    }

    fn imply(&mut self, wanted: &[u8]) -> Result<Rc<OwnedFd>, LayerError> {
        let mut name = Name::default();
        let mut directory = self.tree.directory(b"").map_err(LayerError::tree("open", &name))?;
        for component in wanted.split(|&byte| byte == b'/') {
            name = name.join(component);
            directory = match self.tree.directory(name.as_bytes()) {
                Ok(directory) => directory,
                Err(error @ (Errno::NOENT | Errno::NOTDIR)) => {
                    // A file, or a link that leads nowhere: the archive did not say that a directory replaces it.
                    match tree::look(&directory, component) {
                        Err(Errno::NOENT) => {}
                        Ok(stat) if self.is_marker(&stat) => {}
                        _ => return Err(error).map_err(LayerError::tree("open", &name)),
                    }
                    let made = self.make_directory(&Spot { name: &name, parent: directory, component })?;
                    match self.purpose {
                        Purpose::Layer(_) => self.dress(&name, made.as_fd(), &implied())?,
                        Purpose::Living => fs::fchmod(&made, Mode::from_raw_mode(IMPLIED_MODE))
                            .map_err(LayerError::tree("set the mode of", &name))?,
                    }
                    made
                }
                Err(error) => return Err(error).map_err(LayerError::tree("open", &name)),
            };
        }
        Ok(directory)
    }

    fn make_directory(&mut self, spot: &Spot<'_>) -> Result<Rc<OwnedFd>, LayerError> {
        let attempt = || fs::mkdirat(&spot.parent, spot.component, Mode::RWXU);
        let mut was_gone = false;
        match attempt() {
            Err(Errno::EXIST) => {
                let there = tree::look(&spot.parent, spot.component);
                let there = there.map_err(LayerError::tree("look at", spot.name))?;
                if tree::kind(&there) != FileType::Directory {
                    was_gone = self.is_marker(&there);
                    self.create(spot, attempt)?;
                }
            }
            result => result.map_err(LayerError::tree("create", spot.name))?,
        }
        let directory = tree::open_directory(&spot.parent, spot.component);
        let directory = Rc::new(directory.map_err(LayerError::tree("open", spot.name))?);
        if was_gone {
            // What the marker hid stays hidden.
            self.make_opaque(spot.name, directory.as_fd())?;
        }
        self.tree.keep(spot.name.as_bytes(), directory.clone());
        Ok(directory)
    }

    /// Gives a directory what an entry says of it; some of it at the end.
    fn dress(
        &mut self,
        name: &Name,
        directory: BorrowedFd<'_>,
        metadata: &Metadata,
    ) -> Result<(), LayerError> {
        let owner = (Some(Uid::from_raw(metadata.uid)), Some(Gid::from_raw(metadata.gid)));
        fs::fchown(directory, owner.0, owner.1).map_err(LayerError::tree("set the owner of", name))?;
        fs::fchmod(directory, Mode::from_raw_mode(metadata.mode))
            .map_err(LayerError::tree("set the mode of", name))?;
        let (last, now): (Vec<_>, Vec<_>) =
            metadata.xattrs.iter().partition(|(name, _)| name == xattr::DEFAULT_ACL);
        self.attributes(name, Place::Open(directory), now)?;
        let stat = fs::fstat(directory).map_err(LayerError::tree("look at", name))?;
        let acl = last.last().map(|(_, value)| value.clone());
        self.directories.note(name, &stat, metadata.mtime, acl);
        Ok(())
    }

    /// Whether a file is there to say that something is gone.
    pub(super) fn is_marker(&self, stat: &fs::Stat) -> bool {
        matches!(self.purpose, Purpose::Layer(_)) && marker::is_whiteout(stat)
    }
}

const IMPLIED_MODE: u32 = 0o755;

/// Returns what a directory gets of which the archive says nothing: the same on every machine.
fn implied() -> Metadata {
    Metadata {
        mode: IMPLIED_MODE,
        uid: geteuid().as_raw(),
        gid: getegid().as_raw(),
        mtime: Timespec { tv_sec: 0, tv_nsec: 0 },
        xattrs: Vec::new(),
    }
}
