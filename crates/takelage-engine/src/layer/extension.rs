//! What extended headers say, understood.

use rustix::fs::Timespec;

use super::{
    header::Wrong,
    pax,
    sparse::{self, Extent},
    xattr::Xattr,
};

/// What an extended header says of the next entry, where it differs from the entry's own header.
#[derive(Debug, Default)]
pub(super) struct Extension {
    pub(super) path: Option<Vec<u8>>,
    pub(super) link: Option<Vec<u8>>,
    pub(super) size: Option<u64>,
    pub(super) uid: Option<u32>,
    pub(super) gid: Option<u32>,
    pub(super) mtime: Option<Timespec>,
    /// Attributes in the order of the archive; a later one replaces an earlier one of the same name.
    pub(super) xattrs: Vec<Xattr>,
    sparse: Option<Sparse>,
}

/// The records about holes.
#[derive(Debug, Default)]
struct Sparse {
    version: [Option<u64>; 2],
    name: Option<Vec<u8>>,
    size: Option<u64>,
    count: Option<u64>,
    numbers: Vec<u64>,
}

/// Where the map of a sparse file is.
#[derive(Debug)]
pub(super) enum Holes {
    /// In the records: the parts and the file's length.
    Here(Vec<Extent>, u64),
    /// At the beginning of the content: only the file's length is known.
    InContent(u64),
}

impl Extension {
    /// Understands the records of one extended header. The last record of a key counts, an empty one takes earlier
    /// ones back, except of attributes, which may be empty.
    pub(super) fn read(records: &[u8]) -> Result<Self, Wrong> {
        let mut extension = Self::default();
        for record in pax::records(records) {
            let (key, value) = record.map_err(|pax::Malformed| "its extended header is malformed")?;
            extension.take(key, value)?;
        }
        if let Some(name) = extension.sparse.as_ref().and_then(|sparse| sparse.name.clone()) {
            extension.path = Some(name);
        }
        Ok(extension)
    }

    fn take(&mut self, key: &[u8], value: &[u8]) -> Result<(), Wrong> {
        if let Some(name) = pax::attribute(key) {
            if name.is_empty() || name.contains(&0) {
                return Err("an attribute has no name that can be");
            }
            self.xattrs.push((name, value.to_vec()));
            return Ok(());
        }
        if let Some(key) = key.strip_prefix(b"GNU.sparse.") {
            return self.sparse.get_or_insert_default().take(key, value);
        }
        let value = (!value.is_empty()).then_some(value);
        match key {
            b"path" => self.path = value.map(<[u8]>::to_vec),
            b"linkpath" => self.link = value.map(<[u8]>::to_vec),
            b"size" => self.size = value.map(number).transpose()?,
            b"uid" => self.uid = value.map(id).transpose()?,
            b"gid" => self.gid = value.map(id).transpose()?,
            b"mtime" => self.mtime = value.map(time).transpose()?,
            b"SCHILY.realsize" => return Err("sparse files of this format are not known"),
            // Names of users, times that nobody restores, comments, and what other programs note for themselves.
            _ => {}
        }
        Ok(())
    }

    /// Whether it says anything that matters: what is said of all entries to come had better not.
    pub(super) fn is_empty(&self) -> bool {
        let Self { path, link, size, uid, gid, mtime, xattrs, sparse } = self;
        path.is_none()
            && link.is_none()
            && size.is_none()
            && uid.is_none()
            && gid.is_none()
            && mtime.is_none()
            && xattrs.is_empty()
            && sparse.is_none()
    }

    /// Returns where the map of a sparse file is. `None`: the file has no holes.
    pub(super) fn holes(&self) -> Result<Option<Holes>, Wrong> {
        let Some(sparse) = &self.sparse else { return Ok(None) };
        let size = sparse.size.ok_or("a sparse file has no length")?;
        Ok(Some(match sparse.version {
            [Some(1), Some(0)] if sparse.numbers.is_empty() => Holes::InContent(size),
            [None, None] | [Some(0), Some(0 | 1)] => {
                let extents = sparse::pairs(&sparse.numbers)?;
                if sparse.count.is_some_and(|count| count != extents.len() as u64) {
                    return Err("the map of a sparse file is incomplete");
                }
                Holes::Here(extents, size)
            }
            _ => return Err("sparse files of this format are not known"),
        }))
    }
}

impl Sparse {
    fn take(&mut self, key: &[u8], value: &[u8]) -> Result<(), Wrong> {
        match key {
            b"major" => self.version[0] = Some(number(value)?),
            b"minor" => self.version[1] = Some(number(value)?),
            b"name" => self.name = Some(value.to_vec()),
            b"size" | b"realsize" => self.size = Some(number(value)?),
            b"numblocks" => self.count = Some(number(value)?),
            b"map" => self.numbers = sparse::list(value)?,
            // These two alternate, once for each part.
            b"offset" if self.numbers.len().is_multiple_of(2) => self.numbers.push(number(value)?),
            b"numbytes" if !self.numbers.len().is_multiple_of(2) => self.numbers.push(number(value)?),
            _ => return Err("sparse files of this format are not known"),
        }
        Ok(())
    }
}

fn number(text: &[u8]) -> Result<u64, Wrong> {
    pax::decimal(text).ok_or("a number of its extended header is none")
}

fn id(text: &[u8]) -> Result<u32, Wrong> {
    let id = number(text)?;
    u32::try_from(id).ok().filter(|&id| id != u32::MAX).ok_or("its owner cannot be")
}

fn time(text: &[u8]) -> Result<Timespec, Wrong> {
    let (seconds, nanoseconds) = pax::time(text).ok_or("its time cannot be")?;
    Ok(Timespec { tv_sec: seconds, tv_nsec: nanoseconds })
}
