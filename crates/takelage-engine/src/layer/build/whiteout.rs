//! What says that something of the layers below is gone.
//!
//! It says nothing about this layer, whatever comes first in the archive: a name that the layer has, too, is there, and a directory
//! then begins empty.

use std::os::fd::{AsFd, BorrowedFd};

use rustix::{
    fs::{self, FileType, Mode},
    io::Errno,
};

use super::{Builder, Purpose, Spot};
use crate::layer::{LayerError, Namespace, marker, name::Name, tree, xattr::Place};

impl Builder<'_> {
    /// Marks a name as gone from the layers below.
    pub(in crate::layer) fn hide(&mut self, parent: &[u8], component: &[u8]) -> Result<(), LayerError> {
        let name = Name::shown(parent).join(component);
        let spot = Spot { name: &name, parent: self.parent(parent)?, component };
        self.hide_spot(&spot)
    }

    pub(super) fn hide_spot(&mut self, spot: &Spot<'_>) -> Result<(), LayerError> {
        let Spot { name, parent, component } = spot;
        let device = FileType::CharacterDevice;
        match fs::mknodat(parent, *component, device, Mode::empty(), marker::WHITEOUT_DEVICE) {
            Err(Errno::EXIST) => {}
            made => return made.map_err(LayerError::tree("mark as gone", name)),
        }
        let there = tree::look(parent, component).map_err(LayerError::tree("look at", name))?;
        if tree::kind(&there) == FileType::Directory {
            let directory = tree::open_directory(parent, component);
            let directory = directory.map_err(LayerError::tree("open", name))?;
            self.make_opaque(name, directory.as_fd())?;
        }
        Ok(())
    }

    /// Hides everything that the layers below have in a directory.
    pub(in crate::layer) fn hide_all(&mut self, directory: &[u8]) -> Result<(), LayerError> {
        let name = Name::shown(directory);
        let directory = self.parent(directory)?;
        let directory = tree::open_directory(directory, b".").map_err(LayerError::tree("open", &name))?;
        self.make_opaque(&name, directory.as_fd())
    }

    pub(super) fn make_opaque(&self, name: &Name, directory: BorrowedFd<'_>) -> Result<(), LayerError> {
        let attribute = match self.purpose {
            Purpose::Layer(namespace) => Namespace::opaque(namespace),
            Purpose::Living => return Ok(()),
        };
        Place::Open(directory).set(attribute, marker::OPAQUE).map_err(LayerError::tree("make opaque", name))
    }
}
