//! Everything that is no directory.

use std::{
    fs::File,
    io::{self, Read},
    os::{fd::AsFd, unix::fs::FileExt},
};

use rustix::{
    fs::{self, AtFlags, FileType, Gid, Mode, OFlags, Uid},
    io::Errno,
};

use super::{
    Builder, Purpose, Spot,
    writers::{self, Owner, Unwritten},
};
use crate::layer::{
    LayerError, Namespace, Omission,
    directories::times,
    marker,
    member::{Metadata, Number},
    members::Members,
    name::Name,
    sparse::Map,
    tree,
    xattr::{self, Place, Xattr},
};

impl Builder<'_> {
    /// Makes a file. A small one is written beside what comes next.
    pub(super) fn file<R: Read>(
        &mut self,
        spot: &Spot<'_>,
        metadata: &Metadata,
        map: &Map,
        members: &mut Members<R>,
    ) -> Result<(), LayerError> {
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let mode = Mode::RUSR | Mode::WUSR;
        let file = self.create(spot, || fs::openat(&spot.parent, spot.component, flags, mode))?;
        let file = File::from(file);
        let name = spot.name;
        let owner = Owner::of(metadata);
        // What cannot be set must be noted in the archive's order.
        if map.is_whole() && map.size <= writers::LARGEST && metadata.xattrs.is_empty() {
            let content = whole(map.size, members)?;
            return self.writers.write(Unwritten { name: name.clone(), file, content, owner });
        }
        fill(name, &file, map, members)?;
        owner.give(name, &file)?;
        self.attributes(name, Place::Open(file.as_fd()), &metadata.xattrs)?;
        owner.date(name, &file)
    }

    /// Makes a symbolic link.
    pub(super) fn symlink(
        &mut self,
        spot: &Spot<'_>,
        metadata: &Metadata,
        target: &[u8],
    ) -> Result<(), LayerError> {
        self.create(spot, || fs::symlinkat(target, &spot.parent, spot.component))?;
        own(spot, metadata)?;
        self.complete(spot, metadata)
    }

    /// Gives a file one more name.
    pub(super) fn hard_link(&mut self, spot: &Spot<'_>, target: &Name) -> Result<(), LayerError> {
        let refuse =
            || LayerError::refused(spot.name, format!("it is a link to `{target}`, which is no file"));
        let (parent, component) = target.split().ok_or_else(refuse)?;
        let directory = match self.tree.directory(parent) {
            Err(Errno::NOENT | Errno::NOTDIR) => return Err(refuse()),
            directory => directory.map_err(LayerError::tree("open", target))?,
        };
        let there = match tree::look(&directory, component) {
            Err(Errno::NOENT) => return Err(refuse()),
            there => there.map_err(LayerError::tree("look at", target))?,
        };
        if tree::kind(&there) == FileType::Directory || self.is_marker(&there) {
            return Err(refuse());
        }
        let link = || fs::linkat(&directory, component, &spot.parent, spot.component, AtFlags::empty());
        if link() == Err(Errno::EXIST) {
            let other = tree::look(&spot.parent, spot.component);
            let other = other.map_err(LayerError::tree("look at", spot.name))?;
            if (other.st_dev, other.st_ino) == (there.st_dev, there.st_ino) {
                return Ok(());
            }
        }
        self.create(spot, link)
    }

    /// Makes a device or a fifo.
    pub(super) fn node(
        &mut self,
        spot: &Spot<'_>,
        metadata: &Metadata,
        kind: FileType,
        Number { major, minor }: Number,
    ) -> Result<(), LayerError> {
        let device = fs::makedev(major, minor);
        let user = self.purpose == Purpose::Layer(Namespace::User);
        let made = self.create(spot, || {
            match fs::mknodat(&spot.parent, spot.component, kind, Mode::empty(), device) {
                Err(Errno::PERM) if user => Ok(false),
                made => made.map(|()| true),
            }
        })?;
        if !made {
            // No user namespace may make devices. What lower layers have of this name is gone all the same.
            self.leave_out(spot.name, Omission::Device);
            return self.hide_spot(spot);
        }
        own(spot, metadata)?;
        xattr::set_mode(&spot.parent, spot.component, Mode::from_raw_mode(metadata.mode))
            .map_err(LayerError::tree("set the mode of", spot.name))?;
        self.complete(spot, metadata)
    }

    /// Sets attributes and times of what must not be opened.
    fn complete(&mut self, spot: &Spot<'_>, metadata: &Metadata) -> Result<(), LayerError> {
        self.attributes(spot.name, Place::Name(spot.parent.as_fd(), spot.component), &metadata.xattrs)?;
        let times = times(metadata.mtime);
        fs::utimensat(&spot.parent, spot.component, &times, AtFlags::SYMLINK_NOFOLLOW)
            .map_err(LayerError::tree("set the time of", spot.name))
    }

    /// Sets attributes. Those that this file system or this user cannot set are left out, and so are overlayfs's own.
    pub(super) fn attributes<'x>(
        &mut self,
        name: &Name,
        place: Place<'_>,
        xattrs: impl IntoIterator<Item = &'x Xattr>,
    ) -> Result<(), LayerError> {
        for (attribute, value) in xattrs {
            let set =
                if marker::is_overlay(attribute) { Err(Errno::PERM) } else { place.set(attribute, value) };
            match set {
                Err(Errno::PERM | Errno::OPNOTSUPP) => {
                    let attribute = String::from_utf8_lossy(attribute).into_owned();
                    self.leave_out(name, Omission::Attribute(attribute));
                }
                set => set.map_err(LayerError::tree("set attributes of", name))?,
            }
        }
        Ok(())
    }
}

/// Sets the owner of what must not be opened.
fn own(spot: &Spot<'_>, metadata: &Metadata) -> Result<(), LayerError> {
    let owner = (Some(Uid::from_raw(metadata.uid)), Some(Gid::from_raw(metadata.gid)));
    fs::chownat(&spot.parent, spot.component, owner.0, owner.1, AtFlags::SYMLINK_NOFOLLOW)
        .map_err(LayerError::tree("set the owner of", spot.name))
}

/// Returns the content of a small file without holes.
fn whole<R: Read>(size: u64, members: &mut Members<R>) -> Result<Vec<u8>, LayerError> {
    let mut content = Vec::new();
    let mut left = size;
    while left > 0 {
        let piece = members.content(left)?;
        content.extend_from_slice(piece);
        left -= piece.len() as u64;
    }
    Ok(content)
}

/// Writes a file's content where it belongs. Holes stay holes.
fn fill<R: Read>(name: &Name, file: &File, map: &Map, members: &mut Members<R>) -> Result<(), LayerError> {
    let write = |source: io::Error| LayerError::tree("write", name)(source);
    let mut end = 0;
    for extent in &map.extents {
        end = extent.offset;
        let last = extent.offset + extent.length;
        while end < last {
            let piece = members.content(last - end)?;
            file.write_all_at(piece, end).map_err(write)?;
            end += piece.len() as u64;
        }
    }
    if end < map.size {
        file.set_len(map.size).map_err(write)?;
    }
    Ok(())
}
