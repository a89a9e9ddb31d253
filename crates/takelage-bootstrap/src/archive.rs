//! Entries of tar archives, written byte for byte the same from the same values.
//!
//! Plain ustar; what does not fit (long names, extended attributes) goes into a pax header before it, which all
//! engines and every `tar` read.

use std::io::{self, Read, Write};

use tar::{EntryType, Header};

/// What an entry says besides its content.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Entry {
    /// Path below the root, without a slash at either end.
    pub(crate) path: Vec<u8>,
    pub(crate) kind: Kind,
    pub(crate) mode: u32,
    pub(crate) uid: u64,
    pub(crate) gid: u64,
    /// Seconds since 1970.
    pub(crate) mtime: u64,
    /// Extended attributes, by name.
    pub(crate) attributes: Vec<(String, Vec<u8>)>,
}

/// What is at a path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Kind {
    Directory,
    /// A file of so many bytes.
    File(u64),
    /// A symbolic link with its target, word for word.
    Symlink(Vec<u8>),
    /// Another name of a file that comes earlier in the archive, with that file's path.
    Hardlink(Vec<u8>),
    Fifo,
}

/// The prefix of extended attributes in a pax header.
pub(crate) const ATTRIBUTE: &str = "SCHILY.xattr.";

/// An archive being written.
pub(crate) struct Writer<W: Write>(tar::Builder<W>);

impl<W: Write> Writer<W> {
    pub(crate) fn new(to: W) -> Self {
        Self(tar::Builder::new(to))
    }

    /// Appends an entry; `content` has as many bytes as its kind says.
    pub(crate) fn append(&mut self, entry: &Entry, content: impl Read) -> io::Result<()> {
        let mut header = Header::new_ustar();
        let (kind, size, link) = match &entry.kind {
            Kind::Directory => (EntryType::Directory, 0, None),
            Kind::File(size) => (EntryType::Regular, *size, None),
            Kind::Symlink(target) => (EntryType::Symlink, 0, Some(target)),
            Kind::Hardlink(target) => (EntryType::Link, 0, Some(target)),
            Kind::Fifo => (EntryType::Fifo, 0, None),
        };
        header.set_entry_type(kind);
        header.set_size(size);
        header.set_mode(entry.mode);
        header.set_uid(entry.uid);
        header.set_gid(entry.gid);
        header.set_mtime(entry.mtime);

        let mut extensions: Vec<(String, Vec<u8>)> = Vec::new();
        let mut path = entry.path.clone();
        if entry.kind == Kind::Directory {
            path.push(b'/');
        }
        if !fill(&mut header.as_old_mut().name, &path) {
            extensions.push(("path".into(), path));
        }
        if let Some(link) = link
            && !fill(&mut header.as_old_mut().linkname, link)
        {
            extensions.push(("linkpath".into(), link.clone()));
        }
        extensions.extend(
            entry.attributes.iter().map(|(name, value)| (format!("{ATTRIBUTE}{name}"), value.clone())),
        );
        if !extensions.is_empty() {
            self.0.append_pax_extensions(
                extensions.iter().map(|(name, value)| (name.as_str(), value.as_slice())),
            )?;
        }
        header.set_cksum();
        self.0.append(&header, content)
    }

    /// Appends a plain file of root's.
    pub(crate) fn append_file(
        &mut self,
        path: &str,
        mode: u32,
        mtime: u64,
        content: &[u8],
    ) -> io::Result<()> {
        let entry = Entry {
            path: path.into(),
            kind: Kind::File(content.len() as u64),
            mode,
            uid: 0,
            gid: 0,
            mtime,
            attributes: Vec::new(),
        };
        self.append(&entry, content)
    }

    /// Ends the archive.
    pub(crate) fn finish(self) -> io::Result<W> {
        self.0.into_inner()
    }
}

/// Writes `value` into a field, as far as it fits, and says whether it did.
fn fill(field: &mut [u8], value: &[u8]) -> bool {
    let length = value.len().min(field.len());
    field[..length].copy_from_slice(&value[..length]);
    length == value.len()
}
