//! A member of an archive: what its header and the extended headers before it say together.

use rustix::fs::Timespec;
use tar::Header;

use super::{
    extension::Extension,
    header::{self, Wrong},
    name::Name,
    sparse::Map,
    xattr::Xattr,
};

/// A member without its content.
#[derive(Debug)]
pub(super) struct Member {
    pub(super) name: Name,
    pub(super) kind: Kind,
    pub(super) metadata: Metadata,
}

/// What a member is.
#[derive(Debug)]
pub(super) enum Kind {
    File(Map),
    Directory,
    /// With the target as it stands there; it may lead anywhere.
    Symlink(Vec<u8>),
    /// One more name of an earlier member.
    HardLink(Name),
    CharacterDevice(Number),
    BlockDevice(Number),
    Fifo,
}

/// A device's number.
#[derive(Debug, Clone, Copy)]
pub(super) struct Number {
    pub(super) major: u32,
    pub(super) minor: u32,
}

/// What a file has besides its content.
#[derive(Debug)]
pub(super) struct Metadata {
    /// The lower twelve bits.
    pub(super) mode: u32,
    pub(super) uid: u32,
    pub(super) gid: u32,
    pub(super) mtime: Timespec,
    pub(super) xattrs: Vec<Xattr>,
}

impl Metadata {
    pub(super) fn read(header: &Header, extension: Extension) -> Result<Self, Wrong> {
        let old = header.as_old();
        let owner =
            |said: Option<u32>, field| said.or_else(|| header::id(field)).ok_or("its owner cannot be");
        Ok(Self {
            mode: header::mode(header).ok_or("its mode is no number")?,
            uid: owner(extension.uid, &old.uid)?,
            gid: owner(extension.gid, &old.gid)?,
            mtime: extension.mtime.or_else(|| header::mtime(header)).ok_or("its time is no number")?,
            xattrs: extension.xattrs,
        })
    }
}

impl Number {
    /// Reads the number of a device. The kernel has 12 bits for the first part and 20 for the second; it would cut
    /// larger ones off, and make another device.
    pub(super) fn read(header: &Header) -> Result<Self, Wrong> {
        let fields = match (header.as_ustar(), header.as_gnu()) {
            (Some(ustar), _) => Some((&ustar.dev_major, &ustar.dev_minor)),
            (_, Some(gnu)) => Some((&gnu.dev_major, &gnu.dev_minor)),
            _ => None,
        };
        let number = fields.and_then(|(major, minor)| Some((header::id(major)?, header::id(minor)?)));
        match number {
            Some((major, minor)) if major >> 12 == 0 && minor >> 20 == 0 => Ok(Self { major, minor }),
            _ => Err("its device has no number that can be"),
        }
    }
}
