//! What directories get at the very end.
//!
//! Every entry in a directory changes the directory's time, and rights that it hands on would be handed on to the
//! entries of the archive, which have their own.

use std::{collections::HashMap, os::fd::AsFd};

use rustix::{
    fs::{self, Stat, Timespec, Timestamps},
    io::Result,
};

use super::{
    LayerError,
    name::Name,
    tree::Tree,
    xattr::{self, Place},
};

/// The directories of an archive in their order.
#[derive(Default)]
pub(super) struct Directories {
    last: Vec<Last>,
    /// Which of them is which, for archives that name one twice.
    known: HashMap<(u64, u64), usize>,
}

struct Last {
    name: Name,
    id: (u64, u64),
    mtime: Timespec,
    acl: Option<Vec<u8>>,
}

impl Directories {
    /// Notes what a directory is to have in the end; what was noted before is forgotten.
    pub(super) fn note(&mut self, name: &Name, stat: &Stat, mtime: Timespec, acl: Option<Vec<u8>>) {
        let id = (stat.st_dev, stat.st_ino);
        let last = Last { name: name.clone(), id, mtime, acl };
        let index = *self.known.entry(id).or_insert(self.last.len());
        match self.last.get_mut(index) {
            Some(known) => *known = last,
            None => self.last.push(last),
        }
    }

    /// Whether something was noted of a directory.
    pub(super) fn knows(&self, stat: &Stat) -> bool {
        self.known.contains_key(&(stat.st_dev, stat.st_ino))
    }

    /// Gives it to them, the last ones first. Those that an entry has replaced are gone.
    pub(super) fn finish(self, tree: &Tree<'_>) -> std::result::Result<(), LayerError> {
        for last in self.last.iter().rev() {
            let Ok(directory) = tree.itself(&last.name) else { continue };
            let give = || -> Result<()> {
                let stat = fs::fstat(&directory)?;
                if (stat.st_dev, stat.st_ino) != last.id {
                    return Ok(());
                }
                if let Some(acl) = &last.acl {
                    Place::Open(directory.as_fd()).set(xattr::DEFAULT_ACL, acl)?;
                }
                fs::futimens(&directory, &times(last.mtime))
            };
            give().map_err(LayerError::tree("finish", &last.name))?;
        }
        Ok(())
    }
}

/// Returns both times of a file. That of the last reading is nobody's concern; the same for everyone is as good.
pub(super) fn times(mtime: Timespec) -> Timestamps {
    Timestamps { last_access: mtime, last_modification: mtime }
}
