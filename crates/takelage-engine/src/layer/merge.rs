//! Upper directories of overlays laid onto each other: copies that need neither an archive nor a mount.

use std::{
    collections::HashMap,
    fs::File,
    io,
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    rc::Rc,
};

use rustix::{
    fs::{self, AtFlags, FileType, Gid, Mode, OFlags, ResolveFlags, SeekFrom, Statx, Timespec, Uid},
    io::{Errno, Result},
};

use super::{
    LayerError, Namespace,
    directories::{Directories, times},
    marker,
    name::Name,
    remove,
    tree::{self, Tree},
    walk::{self, Found, Walk},
    xattr::{self, Place, Xattr},
};

/// Lays the upper directory `from` onto `onto`, which is an upper directory, too, or empty. Returns the bytes of the files
/// that were copied.
///
/// Over any lower layers, the result alone shows what the two show when they are stacked: what `from` has replaces what
/// `onto` has, what it marks as gone goes, and the marks stay for the layers below. Everything of a file is kept: hard links
/// within `from`, holes, owners, attributes, times to the nanosecond, sockets. Whoever writes to `from` stands still meanwhile.
pub(crate) fn merge(
    from: BorrowedFd<'_>,
    onto: BorrowedFd<'_>,
    markers: Namespace,
) -> std::result::Result<u64, LayerError> {
    let root = Name::default();
    let top = tree::open_directory(from, b".").map_err(LayerError::tree("open", &root))?;
    let start = tree::open_directory(onto, b".").map_err(LayerError::tree("open", &root))?;
    let mut merge = Merge {
        onto,
        markers,
        place: (Vec::new(), Rc::new(start)),
        links: HashMap::new(),
        directories: Directories::default(),
        bytes: 0,
    };
    let mut walk = Walk::new(top, root);
    while let Some(found) = walk.next()? {
        merge.lay(&found, &mut walk).map_err(LayerError::tree("copy", &found.name))?;
    }
    merge.directories.finish(&Tree::new(onto, b""))?;
    Ok(merge.bytes)
}

/// What is known on the way.
struct Merge<'a> {
    onto: BorrowedFd<'a>,
    markers: Namespace,
    /// The directory that is being filled.
    place: (Vec<u8>, Rc<OwnedFd>),
    /// The first names of files that have several.
    links: HashMap<(u32, u32, u64), Name>,
    directories: Directories,
    bytes: u64,
}

impl Merge<'_> {
    fn lay(&mut self, found: &Found, walk: &mut Walk) -> Result<()> {
        let (parent, component) = found.name.split().unwrap_or((b"", b"."));
        let place = self.directory(parent)?;
        match found.kind() {
            FileType::Directory => self.lay_directory(found, &place, walk),
            kind => {
                remove::below(&place, component)?;
                if self.is_linked(found, &place)? {
                    return Ok(());
                }
                match kind {
                    FileType::RegularFile => self.lay_file(found, &place),
                    FileType::Symlink => {
                        let target = fs::readlinkat(&found.parent, component, Vec::new())?;
                        fs::symlinkat(target, &place, component)?;
                        dress_name(found, &place)
                    }
                    kind => {
                        let stat = &found.stat;
                        let device = fs::makedev(stat.stx_rdev_major, stat.stx_rdev_minor);
                        fs::mknodat(&place, component, kind, Mode::empty(), device)?;
                        dress_name(found, &place)
                    }
                }
            }
        }
    }

    /// Makes a directory, or takes the one that is there, and goes on with what is in it.
    fn lay_directory(&mut self, found: &Found, place: &Rc<OwnedFd>, walk: &mut Walk) -> Result<()> {
        let component = found.component();
        let from = Rc::new(tree::open_directory(&found.parent, component)?);
        let mut xattrs = Place::Open(from.as_fd()).all()?;
        let mut opaque =
            xattrs.iter().any(|(name, value)| name == self.markers.opaque() && value == marker::OPAQUE);
        xattrs.retain(|(name, _)| !marker::is_overlay(name));
        let is_root = found.name.is_root();
        match tree::look(place, component) {
            Err(Errno::NOENT) => fs::mkdirat(place, component, Mode::RWXU)?,
            Ok(there) if tree::kind(&there) == FileType::Directory && (is_root || !opaque) => {}
            Ok(_) => {
                // It hides what layers below have of this name, as what was there did.
                opaque = true;
                remove::below(place, component)?;
                fs::mkdirat(place, component, Mode::RWXU)?;
            }
            Err(error) => return Err(error),
        }
        let made = tree::open_directory(place, component)?;
        if opaque {
            Place::Open(made.as_fd()).set(self.markers.opaque(), marker::OPAQUE)?;
        }
        for (name, _) in Place::Open(made.as_fd()).all()? {
            if !marker::is_overlay(&name) {
                xattr::remove(&made, &name)?;
            }
        }
        let (owner, group) = owner(&found.stat);
        fs::fchown(&made, owner, group)?;
        fs::fchmod(&made, mode(&found.stat))?;
        let (last, now): (Vec<_>, Vec<_>) =
            xattrs.into_iter().partition(|(name, _)| name == xattr::DEFAULT_ACL);
        set(Place::Open(made.as_fd()), &now)?;
        let acl = last.into_iter().next().map(|(_, value)| value);
        self.directories.note(&found.name, &fs::fstat(&made)?, mtime(&found.stat), acl);
        self.place = (found.name.as_bytes().to_vec(), Rc::new(made));
        walk.descend(&found.name, from)
    }

    fn lay_file(&mut self, found: &Found, place: &OwnedFd) -> Result<()> {
        let component = found.component();
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let from = fs::openat(&found.parent, component, flags, Mode::empty())?;
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let to = fs::openat(place, component, flags, Mode::RUSR | Mode::WUSR)?;
        let size = found.stat.stx_size;
        copy(&from, &to, size)?;
        let (owner, group) = owner(&found.stat);
        fs::fchown(&to, owner, group)?;
        fs::fchmod(&to, mode(&found.stat))?;
        replace_attributes(Place::Open(from.as_fd()), Place::Open(to.as_fd()))?;
        fs::futimens(&to, &times(mtime(&found.stat)))?;
        self.bytes += size;
        Ok(())
    }

    /// Gives a file one more name if it was copied under another.
    fn is_linked(&mut self, found: &Found, place: &OwnedFd) -> Result<bool> {
        let stat = &found.stat;
        // Overlayfs shares one file among all its marks of what is gone.
        if stat.stx_nlink < 2 || is_whiteout(stat) {
            return Ok(false);
        }
        let id = (stat.stx_dev_major, stat.stx_dev_minor, stat.stx_ino);
        let Some(first) = self.links.get(&id).cloned() else {
            self.links.insert(id, found.name.clone());
            return Ok(false);
        };
        let (parent, component) = first.split().unwrap_or((b"", b"."));
        let directory = resolve(self.onto, parent)?;
        fs::linkat(&directory, component, place, found.component(), AtFlags::empty())?;
        Ok(true)
    }

    /// Opens a directory of `onto`, which is there, since its own name came first.
    fn directory(&mut self, name: &[u8]) -> Result<Rc<OwnedFd>> {
        if self.place.0 != name {
            self.place = (name.to_vec(), Rc::new(resolve(self.onto, name)?));
        }
        Ok(self.place.1.clone())
    }
}

/// Removes from an upper directory the marks that hide nothing of the layers below, which `below` shows.
///
/// They would show: overlayfs reads a directory that no layer below has, too, as it is, with all marks in it.
pub(crate) fn trim(
    upper: BorrowedFd<'_>,
    below: BorrowedFd<'_>,
    markers: Namespace,
) -> std::result::Result<(), LayerError> {
    let root = Name::default();
    let top = tree::open_directory(upper, b".").map_err(LayerError::tree("open", &root))?;
    let mut trim = Trim { below, markers, hidden: None, directories: Directories::default() };
    let mut walk = Walk::new(top, root);
    while let Some(found) = walk.next()? {
        trim.look(&found, &mut walk).map_err(LayerError::tree("trim", &found.name))?;
    }
    trim.directories.finish(&Tree::new(upper, b""))
}

struct Trim<'a> {
    below: BorrowedFd<'a>,
    markers: Namespace,
    /// A directory in which nothing of the layers below shows.
    hidden: Option<Name>,
    directories: Directories,
}

impl Trim<'_> {
    fn look(&mut self, found: &Found, walk: &mut Walk) -> Result<()> {
        if found.kind() == FileType::Directory {
            let directory = Rc::new(tree::open_directory(&found.parent, found.component())?);
            let place = Place::Open(directory.as_fd());
            let opaque = place.get(self.markers.opaque())?.is_some();
            let shows = self.below(&found.name)? == Some(FileType::Directory);
            if opaque && !shows {
                xattr::remove(&directory, self.markers.opaque())?;
            }
            if (opaque || !shows) && !self.is_hidden(&found.name) {
                self.hidden = Some(found.name.clone());
            }
            walk.descend(&found.name, directory)?;
        } else if is_whiteout(&found.stat) && self.below(&found.name)?.is_none() {
            let stat = fs::fstat(&found.parent)?;
            let mtime = Timespec { tv_sec: stat.st_mtime, tv_nsec: stat.st_mtime_nsec.cast_signed() };
            let (parent, component) = found.name.split().unwrap_or_default();
            fs::unlinkat(&found.parent, component, AtFlags::empty())?;
            let parent = Name::parse(parent, usize::MAX).unwrap_or_default();
            if !self.directories.knows(&stat) {
                self.directories.note(&parent, &stat, mtime, None);
            }
        }
        Ok(())
    }

    /// Whether a name lies in a directory in which nothing shows.
    fn is_hidden(&self, name: &Name) -> bool {
        let inside = |hidden: &Name| {
            let rest = name.as_bytes().strip_prefix(hidden.as_bytes());
            hidden.is_root() || rest.is_some_and(|rest| rest.starts_with(b"/"))
        };
        self.hidden.as_ref().is_some_and(inside)
    }

    /// Returns what the layers below show under a name. `None`: nothing.
    fn below(&self, name: &Name) -> Result<Option<FileType>> {
        if self.is_hidden(name) {
            return Ok(None);
        }
        let path = if name.is_root() { b".".as_slice() } else { name.as_bytes() };
        let conditions = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS;
        match tree::resolve(self.below, path, OFlags::PATH | OFlags::NOFOLLOW, conditions) {
            Ok(there) => {
                let stat = fs::fstat(&there)?;
                Ok((!marker::is_whiteout(&stat)).then(|| tree::kind(&stat)))
            }
            Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP) => Ok(None),
            Err(error) => Err(error),
        }
    }
}

fn resolve(onto: BorrowedFd<'_>, name: &[u8]) -> Result<OwnedFd> {
    let name = if name.is_empty() { b".".as_slice() } else { name };
    let conditions = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS;
    tree::resolve(onto, name, OFlags::RDONLY | OFlags::DIRECTORY, conditions)
}

/// Gives owner, mode, attributes and times to what must not be opened.
fn dress_name(found: &Found, place: &OwnedFd) -> Result<()> {
    let component = found.component();
    let (owner, group) = owner(&found.stat);
    fs::chownat(place, component, owner, group, AtFlags::SYMLINK_NOFOLLOW)?;
    if found.kind() != FileType::Symlink && !is_whiteout(&found.stat) {
        xattr::set_mode(place, component, mode(&found.stat))?;
    }
    replace_attributes(Place::Name(found.parent.as_fd(), component), Place::Name(place.as_fd(), component))?;
    fs::utimensat(place, component, &times(mtime(&found.stat)), AtFlags::SYMLINK_NOFOLLOW)
}

/// Gives a new file the attributes of another. Overlayfs's own are about the place that they come from.
fn replace_attributes(from: Place<'_>, to: Place<'_>) -> Result<()> {
    let mut xattrs = from.all()?;
    xattrs.retain(|(name, _)| !marker::is_overlay(name));
    set(to, &xattrs)
}

fn set(place: Place<'_>, xattrs: &[Xattr]) -> Result<()> {
    xattrs.iter().try_for_each(|(name, value)| place.set(name, value))
}

/// Copies a file's content into an empty one: by sharing it where the file system can, else with its holes.
fn copy(from: &OwnedFd, to: &OwnedFd, size: u64) -> Result<()> {
    if size == 0 || fs::ioctl_ficlone(to, from).is_ok() {
        return Ok(());
    }
    let mut offset = 0;
    while offset < size {
        let start = match fs::seek(from, SeekFrom::Data(offset)) {
            Ok(start) => start,
            // Nothing but a hole up to the end.
            Err(Errno::NXIO) => break,
            Err(error) => return Err(error),
        };
        let end = fs::seek(from, SeekFrom::Hole(start))?.min(size);
        copy_piece(from, to, start, end)?;
        offset = end;
    }
    fs::ftruncate(to, size)
}

fn copy_piece(from: &OwnedFd, to: &OwnedFd, mut start: u64, end: u64) -> Result<()> {
    while start < end {
        let (mut read, mut written) = (start, start);
        let length = usize::try_from(end - start).unwrap_or(usize::MAX);
        match fs::copy_file_range(from, Some(&mut read), to, Some(&mut written), length) {
            // It became shorter, or the file system does not say how it would be done.
            Ok(0) | Err(Errno::XDEV | Errno::INVAL | Errno::OPNOTSUPP | Errno::NOSYS) => {
                return copy_through(from, to, start, end);
            }
            Ok(copied) => start += copied as u64,
            Err(Errno::INTR) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

fn copy_through(from: &OwnedFd, to: &OwnedFd, start: u64, end: u64) -> Result<()> {
    let failed = |error: io::Error| Errno::from_io_error(&error).unwrap_or(Errno::IO);
    let (from, to) = (from.try_clone().map_err(failed)?, to.try_clone().map_err(failed)?);
    fs::seek(&from, SeekFrom::Start(start))?;
    fs::seek(&to, SeekFrom::Start(start))?;
    let mut piece = io::Read::take(File::from(from), end - start);
    io::copy(&mut piece, &mut File::from(to)).map(drop).map_err(failed)
}

fn is_whiteout(stat: &Statx) -> bool {
    walk::kind(stat) == FileType::CharacterDevice && (stat.stx_rdev_major, stat.stx_rdev_minor) == (0, 0)
}

fn owner(stat: &Statx) -> (Option<Uid>, Option<Gid>) {
    (Some(Uid::from_raw(stat.stx_uid)), Some(Gid::from_raw(stat.stx_gid)))
}

fn mode(stat: &Statx) -> Mode {
    Mode::from_raw_mode(u32::from(stat.stx_mode) & 0o7777)
}

fn mtime(stat: &Statx) -> Timespec {
    Timespec { tv_sec: stat.stx_mtime.tv_sec, tv_nsec: stat.stx_mtime.tv_nsec.into() }
}
