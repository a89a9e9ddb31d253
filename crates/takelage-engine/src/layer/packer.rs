//! Entries of an archive for the files of a tree.

use std::{
    collections::{HashMap, HashSet},
    fs::File,
    io::Write,
    os::fd::AsFd,
    path::PathBuf,
    rc::Rc,
};

use rustix::{
    fs::{self, FileType, Mode, OFlags, Statx},
    io::Errno,
};
use tar::EntryType;

use super::{
    LayerError, Limits, Mounts, Namespace,
    entry::Entry,
    marker::{self, Said},
    member::Number,
    name::Name,
    output::{Copied, Output},
    tree,
    walk::{self, Found, Walk},
    xattr::{Place, Xattr},
};

/// What is packed of a tree, and how.
pub(super) struct Rules {
    /// `None`: the tree is no layer, so a marker is a device.
    pub(super) markers: Option<Namespace>,
    pub(super) newest: Option<i64>,
    pub(super) mounts: Mounts,
    /// Where the archive begins, which may itself be a mount.
    pub(super) start: Name,
    pub(super) skip: HashSet<Vec<u8>>,
}

/// Writes entries for files.
pub(super) struct Packer<W> {
    output: Output<W>,
    rules: Rules,
    /// The first names of files that have several.
    links: HashMap<(u32, u32, u64), Vec<u8>>,
    sockets: Vec<PathBuf>,
}

impl<W: Write> Packer<W> {
    pub(super) fn new(output: Output<W>, rules: Rules) -> Self {
        Self { output, rules, links: HashMap::new(), sockets: Vec::new() }
    }

    /// Returns what is to be finished, and the sockets that were left out.
    pub(super) fn finish(self) -> (Output<W>, Vec<PathBuf>) {
        (self.output, self.sockets)
    }

    /// Writes what a layer or an archive says of a file.
    pub(super) fn file(&mut self, found: &Found, walk: &mut Walk) -> Result<(), LayerError> {
        let name = &found.name;
        if self.rules.skip.contains(name.as_bytes()) {
            return Ok(());
        }
        if name.as_bytes().len() > Limits::default().name {
            return Err(unpackable(name, "its path is longer than any program can name"));
        }
        let markers = self.rules.markers.is_some();
        if markers && marker::said(found.component()) != Said::Name {
            return Err(unpackable(name, "in a layer, its name would hide another file"));
        }
        let mounted = found.is_mount() && self.rules.mounts == Mounts::Empty && *name != self.rules.start;
        match found.kind() {
            FileType::Directory => self.directory(found, walk, mounted),
            _ if mounted => Ok(()),
            FileType::RegularFile => self.regular(found),
            FileType::Socket => {
                self.sockets.push(name.to_path());
                Ok(())
            }
            FileType::CharacterDevice if markers && number(&found.stat).is_none() => self.whiteout(found),
            kind => self.named(found, kind),
        }
    }

    fn directory(&mut self, found: &Found, walk: &mut Walk, mounted: bool) -> Result<(), LayerError> {
        let name = &found.name;
        let directory = match tree::open_directory(&found.parent, found.component()) {
            Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP) => return Ok(()),
            directory => Rc::new(directory.map_err(LayerError::tree("open", name))?),
        };
        let (xattrs, opaque) = self.xattrs(name, Place::Open(directory.as_fd()))?;
        let own = [name.as_bytes(), b"/"].concat();
        if self.rules.markers.is_some() || !name.is_root() {
            let own = if name.is_root() { b"./" } else { own.as_slice() };
            self.entry(&Entry { xattrs: &xattrs, ..self.about(own, EntryType::Directory, &found.stat) })?;
        }
        if opaque {
            self.marker(name.join(marker::OPAQUE_ENTRY).as_bytes())?;
        }
        if mounted {
            return Ok(());
        }
        walk.descend(name, directory).map_err(LayerError::tree("read", name))
    }

    fn regular(&mut self, found: &Found) -> Result<(), LayerError> {
        let name = &found.name;
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let file = match fs::openat(&found.parent, found.component(), flags, Mode::empty()) {
            Err(Errno::NOENT | Errno::LOOP) => return Ok(()),
            file => file.map_err(LayerError::tree("open", name))?,
        };
        // The name may lead to another file than when it was found; from here on there is only this one.
        let stat = walk::stat(file.as_fd(), b"").map_err(LayerError::tree("look at", name))?;
        if walk::kind(&stat) != FileType::RegularFile {
            return Err(unpackable(name, "it was replaced meanwhile"));
        }
        let (xattrs, _) = self.xattrs(name, Place::Open(file.as_fd()))?;
        if self.is_link(name, &stat, &xattrs)? {
            return Ok(());
        }
        let about = self.about(name.as_bytes(), EntryType::Regular, &stat);
        self.entry(&Entry { size: stat.stx_size, xattrs: &xattrs, ..about })?;
        self.output.copy(&File::from(file), stat.stx_size).map_err(|error| match error {
            Copied::Unread(source) => LayerError::tree("read", name)(source),
            Copied::Short => unpackable(name, "it became shorter while it was read"),
            Copied::Unwritten(error) => error,
        })
    }

    /// Writes a link, a device or a fifo.
    fn named(&mut self, found: &Found, kind: FileType) -> Result<(), LayerError> {
        let Found { name, parent, stat } = found;
        let (xattrs, _) = self.xattrs(name, Place::Name(parent.as_fd(), found.component()))?;
        if self.is_link(name, stat, &xattrs)? {
            return Ok(());
        }
        let target;
        let (kind, link) = match kind {
            FileType::Symlink => {
                target = match fs::readlinkat(parent, found.component(), Vec::new()) {
                    Err(Errno::NOENT | Errno::INVAL) => return Ok(()),
                    target => target.map_err(LayerError::tree("read", name))?.into_bytes(),
                };
                (EntryType::Symlink, target.as_slice())
            }
            FileType::CharacterDevice => (EntryType::Char, b"".as_slice()),
            FileType::BlockDevice => (EntryType::Block, b"".as_slice()),
            FileType::Fifo => (EntryType::Fifo, b"".as_slice()),
            _ => return Err(unpackable(name, "it is of no kind that an archive knows")),
        };
        let device = matches!(kind, EntryType::Char | EntryType::Block)
            .then(|| number(stat).unwrap_or(Number { major: 0, minor: 0 }));
        let about = self.about(name.as_bytes(), kind, stat);
        self.entry(&Entry { link, device, xattrs: &xattrs, ..about })
    }

    fn whiteout(&mut self, found: &Found) -> Result<(), LayerError> {
        let (parent, component) = found.name.split().unwrap_or_default();
        self.marker(Name::shown(parent).join(&marker::whiteout(component)).as_bytes())
    }

    fn marker(&mut self, name: &[u8]) -> Result<(), LayerError> {
        self.entry(&Entry::marker(name))
    }

    /// Writes a link if the file was packed under another name. Docker takes the file's owner and then its attributes from
    /// this entry once more, and the former removes the latter: so the entry has all of them.
    fn is_link(&mut self, name: &Name, stat: &Statx, xattrs: &[Xattr]) -> Result<bool, LayerError> {
        if stat.stx_nlink < 2 {
            return Ok(false);
        }
        let id = (stat.stx_dev_major, stat.stx_dev_minor, stat.stx_ino);
        let Some(first) = self.links.get(&id) else {
            self.links.insert(id, name.as_bytes().to_vec());
            return Ok(false);
        };
        let about = self.about(name.as_bytes(), EntryType::Link, stat);
        let blocks = Entry { link: first, xattrs, ..about }.to_blocks();
        self.output.write(&blocks)?;
        Ok(true)
    }

    /// Returns the attributes that an archive has, and whether overlayfs takes a directory for opaque.
    fn xattrs(&self, name: &Name, place: Place<'_>) -> Result<(Vec<Xattr>, bool), LayerError> {
        let mut xattrs = match place.all() {
            Err(Errno::NOENT) => Vec::new(),
            xattrs => xattrs.map_err(LayerError::tree("read attributes of", name))?,
        };
        let mut opaque = false;
        if let Some(markers) = self.rules.markers {
            for (attribute, value) in &xattrs {
                if markers.borrowed().contains(&attribute.as_slice()) {
                    return Err(unpackable(name, "its content is in a layer below, under another name"));
                }
                opaque |= attribute == markers.opaque() && value == marker::OPAQUE;
            }
        }
        xattrs.retain(|(attribute, _)| !marker::is_overlay(attribute));
        Ok((xattrs, opaque))
    }

    /// Returns an entry with what all kinds of files have.
    fn about<'e>(&self, name: &'e [u8], kind: EntryType, stat: &Statx) -> Entry<'e> {
        let mtime = stat.stx_mtime.tv_sec;
        Entry {
            name,
            kind,
            mode: stat.stx_mode.into(),
            uid: stat.stx_uid,
            gid: stat.stx_gid,
            size: 0,
            mtime: self.rules.newest.map_or(mtime, |newest| mtime.min(newest)),
            link: b"",
            device: None,
            xattrs: &[],
        }
    }

    fn entry(&mut self, entry: &Entry<'_>) -> Result<(), LayerError> {
        self.output.write(&entry.to_blocks())
    }
}

/// Returns a device's number. `None`: it is 0:0, which no device has.
fn number(stat: &Statx) -> Option<Number> {
    let (major, minor) = (stat.stx_rdev_major, stat.stx_rdev_minor);
    ((major, minor) != (0, 0)).then_some(Number { major, minor })
}

fn unpackable(name: &Name, reason: &'static str) -> LayerError {
    LayerError::Unpackable { path: name.to_path(), reason }
}
