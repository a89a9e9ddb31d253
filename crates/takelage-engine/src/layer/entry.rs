//! One entry of an archive that is written: a header of POSIX's format, behind an extended one if something does not fit in.
//!
//! The same file gives the same bytes: no names of users and groups, no times but that of the last change, in whole seconds.

use tar::{EntryType, Header};

use super::{
    member::{Metadata, Number},
    name::Name,
    pax,
    stream::BLOCK,
    xattr::Xattr,
};

/// What extended headers are called. Nobody sees it.
const EXTENDED: &[u8] = b"././@PaxHeader";
/// Seven octal digits.
const MOST_ID: u32 = 0o777_7777;
/// Eleven octal digits.
const MOST: u64 = 0o777_7777_7777;

/// An entry without its content.
#[derive(Debug)]
pub(super) struct Entry<'a> {
    /// As it stands in the archive: that of a directory ends with a slash.
    pub(super) name: &'a [u8],
    pub(super) kind: EntryType,
    pub(super) mode: u32,
    pub(super) uid: u32,
    pub(super) gid: u32,
    pub(super) size: u64,
    /// In seconds since 1970.
    pub(super) mtime: i64,
    /// What a link leads to.
    pub(super) link: &'a [u8],
    pub(super) device: Option<Number>,
    /// In the order of their names.
    pub(super) xattrs: &'a [Xattr],
}

impl<'a> Entry<'a> {
    /// Returns an entry without content that has what another one has besides.
    pub(super) fn about(name: &'a Name, kind: EntryType, metadata: &'a Metadata) -> Self {
        Self {
            name: name.as_bytes(),
            kind,
            mode: metadata.mode,
            uid: metadata.uid,
            gid: metadata.gid,
            size: 0,
            mtime: metadata.mtime.tv_sec,
            link: b"",
            device: None,
            xattrs: &metadata.xattrs,
        }
    }

    /// Returns an entry that says that something is gone. Nothing but its name matters.
    pub(super) fn marker(name: &'a [u8]) -> Self {
        let kind = EntryType::Regular;
        Self { name, kind, mode: 0, uid: 0, gid: 0, size: 0, mtime: 0, link: b"", device: None, xattrs: &[] }
    }

    /// Returns the blocks before the content.
    pub(super) fn to_blocks(&self) -> Vec<u8> {
        let mut header = Header::new_ustar();
        let mut records = Vec::new();
        header.set_entry_type(self.kind);
        header.set_mode(self.mode & 0o7777);
        text(&mut header.as_old_mut().name, self.name, b"path", &mut records);
        text(&mut header.as_old_mut().linkname, self.link, b"linkpath", &mut records);
        header.set_size(fitting(self.size, MOST, b"size", &mut records));
        header.set_uid(fitting(self.uid.into(), MOST_ID.into(), b"uid", &mut records));
        header.set_gid(fitting(self.gid.into(), MOST_ID.into(), b"gid", &mut records));
        header.set_mtime(if let Ok(mtime) = u64::try_from(self.mtime) {
            fitting(mtime, MOST, b"mtime", &mut records)
        } else {
            pax::append(&mut records, b"mtime", self.mtime.to_string().as_bytes());
            0
        });
        if let (Some(Number { major, minor }), Some(ustar)) = (self.device, header.as_ustar_mut()) {
            ustar.set_device_major(major);
            ustar.set_device_minor(minor);
        }
        for (name, value) in self.xattrs {
            pax::append(&mut records, &pax::key(name), value);
        }
        header.set_cksum();
        let mut blocks = extended(&records);
        blocks.extend_from_slice(header.as_bytes());
        blocks
    }
}

/// Puts a text into its field; a record has the whole of a longer one.
fn text(field: &mut [u8; 100], value: &[u8], key: &[u8], records: &mut Vec<u8>) {
    let length = value.len().min(field.len());
    field[..length].copy_from_slice(&value[..length]);
    if length < value.len() {
        pax::append(records, key, value);
    }
}

/// Returns a number that fits into its field; a record has a larger one.
fn fitting(value: u64, most: u64, key: &[u8], records: &mut Vec<u8>) -> u64 {
    if value <= most {
        return value;
    }
    pax::append(records, key, value.to_string().as_bytes());
    0
}

/// Returns an extended header. No records, no header.
fn extended(records: &[u8]) -> Vec<u8> {
    if records.is_empty() {
        return Vec::new();
    }
    let mut header = Header::new_ustar();
    header.set_entry_type(EntryType::XHeader);
    header.as_old_mut().name[..EXTENDED.len()].copy_from_slice(EXTENDED);
    header.set_mode(0o644);
    header.set_uid(0);
    header.set_gid(0);
    header.set_size(records.len() as u64);
    header.set_cksum();
    let mut blocks = header.as_bytes().to_vec();
    blocks.extend_from_slice(records);
    blocks.resize(blocks.len().next_multiple_of(BLOCK), 0);
    blocks
}
