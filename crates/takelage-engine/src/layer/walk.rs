//! All files of a tree, in the order of their names.
//!
//! The tree may change meanwhile: what vanishes is not found, and nothing outside is, whatever becomes a link.

use std::{
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    rc::Rc,
};

use rustix::{
    fs::{self, AtFlags, Dir, FileType, OFlags, ResolveFlags, Statx, StatxAttributes, StatxFlags},
    io::{Errno, Result},
};

use super::{LayerError, name::Name, tree};

/// A walk through a tree. Only one directory is open at a time, however deep it is.
pub(super) struct Walk {
    top: Rc<OwnedFd>,
    /// What is still to come, the next one last.
    pending: Vec<Name>,
    /// The directory that is open.
    present: (Vec<u8>, Rc<OwnedFd>),
}

/// A file that was found: where it is, and what it is.
pub(super) struct Found {
    pub(super) name: Name,
    pub(super) parent: Rc<OwnedFd>,
    pub(super) stat: Statx,
}

impl Walk {
    /// Walks through what `start` in the directory `top` is. The empty name is `top` itself.
    pub(super) fn new(top: OwnedFd, start: Name) -> Self {
        let top = Rc::new(top);
        Self { top: top.clone(), pending: vec![start], present: (Vec::new(), top) }
    }

    /// Finds the next file.
    pub(super) fn next(&mut self) -> std::result::Result<Option<Found>, LayerError> {
        while let Some(name) = self.pending.pop() {
            match self.find(&name) {
                Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP) => {}
                Ok((parent, stat)) => return Ok(Some(Found { name, parent, stat })),
                Err(error) => return Err(error).map_err(LayerError::tree("look at", &name)),
            }
        }
        Ok(None)
    }

    /// Has the walk go on with what is in a directory that it has found.
    pub(super) fn descend(&mut self, name: &Name, directory: Rc<OwnedFd>) -> Result<()> {
        let mut components = Vec::new();
        for entry in Dir::read_from(&directory)? {
            let entry = entry?;
            let component = entry.file_name().to_bytes();
            if !matches!(component, b"." | b"..") {
                components.push(component.to_vec());
            }
        }
        components.sort_unstable_by(|a, b| b.cmp(a));
        self.pending.extend(components.iter().map(|component| name.join(component)));
        self.present = (name.as_bytes().to_vec(), directory);
        Ok(())
    }

    fn find(&mut self, name: &Name) -> Result<(Rc<OwnedFd>, Statx)> {
        let (parent, component) = name.split().unwrap_or((b"", b"."));
        if self.present.0 != parent {
            let directory = if parent.is_empty() {
                self.top.clone()
            } else {
                let flags = OFlags::PATH | OFlags::DIRECTORY;
                let conditions = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS;
                Rc::new(tree::resolve(&self.top, parent, flags, conditions)?)
            };
            self.present = (parent.to_vec(), directory);
        }
        let stat = stat(self.present.1.as_fd(), component)?;
        Ok((self.present.1.clone(), stat))
    }
}

/// Returns how many bytes the files below a directory have.
pub(crate) fn measure(tree: BorrowedFd<'_>) -> std::result::Result<u64, LayerError> {
    let root = Name::default();
    let top = tree::open_directory(tree, b".").map_err(LayerError::tree("open", &root))?;
    let mut walk = Walk::new(top, root);
    let mut bytes = 0;
    while let Some(found) = walk.next()? {
        if found.kind() == FileType::RegularFile {
            bytes += found.stat.stx_size;
        } else if found.kind() == FileType::Directory
            && let Ok(directory) = tree::open_directory(&found.parent, found.component())
        {
            walk.descend(&found.name, Rc::new(directory)).map_err(LayerError::tree("read", &found.name))?;
        }
    }
    Ok(bytes)
}

impl Found {
    /// Returns its name in the directory that it lies in.
    pub(super) fn component(&self) -> &[u8] {
        self.name.split().map_or(b".", |(_, component)| component)
    }

    pub(super) fn kind(&self) -> FileType {
        kind(&self.stat)
    }

    /// Whether something is mounted here.
    pub(super) fn is_mount(&self) -> bool {
        self.stat.stx_attributes.contains(StatxAttributes::MOUNT_ROOT)
    }
}

/// Returns the kind of a file.
pub(super) fn kind(stat: &Statx) -> FileType {
    FileType::from_raw_mode(stat.stx_mode.into())
}

/// Looks at what `name` itself is in a directory; the empty name is the open file itself.
pub(super) fn stat(directory: BorrowedFd<'_>, name: &[u8]) -> Result<Statx> {
    let flags = AtFlags::SYMLINK_NOFOLLOW | AtFlags::EMPTY_PATH | AtFlags::NO_AUTOMOUNT;
    fs::statx(directory, name, flags, StatxFlags::BASIC_STATS)
}
