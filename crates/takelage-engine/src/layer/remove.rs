//! Removing trees.

use std::{
    os::{
        fd::{AsFd, BorrowedFd, OwnedFd},
        unix::ffi::OsStrExt,
    },
    path::Path,
};

use rustix::{
    fs::{self, AtFlags, Dir, FileType, IFlags, Mode, OFlags, RenameFlags, ResolveFlags},
    io::{Errno, Result},
};

use super::{LayerError, name::Name, tree};

/// So many directories are open at once. What lies deeper is moved up first.
const DEPTH: usize = 64;

/// Removes the file or directory `name`, one component, from `parent`, and all that lies below. What is not there is removed.
///
/// Modes do not matter, nor that a file is immutable, nor how deep the tree is. A mount does: nothing below it is touched,
/// and this fails with `EXDEV` or `EBUSY`.
pub(crate) fn remove(parent: BorrowedFd<'_>, name: &Path) -> std::result::Result<(), LayerError> {
    let shown = Name::shown(name.as_os_str().as_bytes());
    let component = shown.as_bytes();
    if component.contains(&b'/') || matches!(component, b"" | b"." | b"..") {
        return Err(Errno::INVAL).map_err(LayerError::tree("remove", &shown));
    }
    below(parent, component).map_err(LayerError::tree("remove", &shown))
}

/// Removes `name` from `parent` with all that lies below.
pub(super) fn below(parent: impl AsFd, name: &[u8]) -> Result<()> {
    let parent = parent.as_fd();
    match freed(parent, name, || unlink(parent, name)) {
        Err(Errno::ISDIR) => {}
        result => return gone(result),
    }
    clear(parent, name)?;
    gone(freed(parent, name, || fs::unlinkat(parent, name, AtFlags::REMOVEDIR)))
}

/// A directory that is being emptied.
struct Level {
    name: Vec<u8>,
    directory: OwnedFd,
    entries: Dir,
    /// Whether the directory has changed since its entries were read from the beginning.
    changed: bool,
}

/// Empties the directory `name`.
fn clear(parent: BorrowedFd<'_>, name: &[u8]) -> Result<()> {
    let Some(top) = Level::open(parent, name)? else { return Ok(()) };
    let mut levels = vec![top];
    let mut lifted = 0_u64;
    loop {
        let depth = levels.len();
        let Some(level) = levels.last_mut() else { break };
        let directory = level.directory.as_fd();
        let Some(entry) = level.entries.read().transpose()? else {
            if std::mem::take(&mut level.changed) {
                // A file system may miss entries when others are removed meanwhile.
                level.entries.rewind();
            } else if let Some(empty) = levels.pop()
                && let Some(level) = levels.last_mut()
            {
                let directory = level.directory.as_fd();
                let attempt = || fs::unlinkat(directory, &empty.name, AtFlags::REMOVEDIR);
                gone(coaxed(directory, &empty.name, attempt))?;
                level.changed = true;
            }
            continue;
        };
        let name = entry.file_name().to_bytes();
        if matches!(name, b"." | b"..") {
            continue;
        }
        let removed = if entry.file_type() == FileType::Directory {
            Err(Errno::ISDIR)
        } else {
            coaxed(directory, name, || unlink(directory, name))
        };
        if removed != Err(Errno::ISDIR) {
            gone(removed)?;
            level.changed = true;
            continue;
        }
        if depth < DEPTH {
            let below = Level::open(directory, name)?;
            levels.extend(below);
        } else {
            lift(levels[depth - 1].directory.as_fd(), name, levels[0].directory.as_fd(), &mut lifted)?;
            levels[0].changed = true;
        }
    }
    Ok(())
}

/// Moves a directory to the top, under a name that is free there.
fn lift(from: BorrowedFd<'_>, name: &[u8], top: BorrowedFd<'_>, lifted: &mut u64) -> Result<()> {
    release(top);
    loop {
        *lifted += 1;
        let free = format!(".{lifted}");
        let attempt = || fs::renameat_with(from, name, top, free.as_str(), RenameFlags::NOREPLACE);
        match coaxed(from, name, attempt) {
            Err(Errno::EXIST) => {}
            result => return gone(result),
        }
    }
}

impl Level {
    /// Opens a directory to empty it. `None`: somebody else has removed it.
    fn open(parent: BorrowedFd<'_>, name: &[u8]) -> Result<Option<Self>> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW;
        // A mount's files belong to somebody else.
        let conditions = ResolveFlags::BENEATH | ResolveFlags::NO_XDEV;
        let opened = match tree::resolve(parent, name, flags, conditions) {
            Err(Errno::ACCESS) => {
                fs::chmodat(parent, name, Mode::RWXU, AtFlags::empty())?;
                tree::resolve(parent, name, flags, conditions)
            }
            opened => opened,
        };
        let directory = match opened {
            Err(Errno::NOENT) => return Ok(None),
            opened => opened?,
        };
        let entries = Dir::read_from(&directory)?;
        Ok(Some(Self { name: name.to_vec(), directory, entries, changed: false }))
    }
}

/// Takes for success that somebody else was faster.
fn gone(result: Result<()>) -> Result<()> {
    match result {
        Err(Errno::NOENT) => Ok(()),
        result => result,
    }
}

/// Removes what is no directory; a directory is `EISDIR`.
fn unlink(directory: BorrowedFd<'_>, name: &[u8]) -> Result<()> {
    match fs::unlinkat(directory, name, AtFlags::empty()) {
        // What POSIX wants to be said of a directory.
        Err(Errno::PERM) if is(directory, name, |kind| kind == FileType::Directory) => Err(Errno::ISDIR),
        result => result,
    }
}

/// Tries again after making the directory writable and mutable, if that was what refused.
fn coaxed(directory: BorrowedFd<'_>, name: &[u8], attempt: impl Fn() -> Result<()>) -> Result<()> {
    match attempt() {
        Err(Errno::ACCESS) => fs::fchmod(directory, Mode::RWXU)?,
        Err(Errno::PERM) => release(directory),
        result => return result,
    }
    freed(directory, name, attempt)
}

/// Tries again after making the file itself mutable, if that was what refused.
fn freed(directory: BorrowedFd<'_>, name: &[u8], attempt: impl Fn() -> Result<()>) -> Result<()> {
    match attempt() {
        // Others cannot be immutable, and opening a device may do something.
        Err(Errno::PERM)
            if is(directory, name, |kind| matches!(kind, FileType::RegularFile | FileType::Directory)) =>
        {
            let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
            release(fs::openat(directory, name, flags, Mode::empty())?);
            attempt()
        }
        result => result,
    }
}

fn is(directory: BorrowedFd<'_>, name: &[u8], wanted: impl Fn(FileType) -> bool) -> bool {
    tree::look(directory, name).is_ok_and(|stat| wanted(tree::kind(&stat)))
}

/// Makes a file mutable. Whether it worked is seen when the removal is tried again.
fn release(file: impl AsFd) {
    let fixed = IFlags::IMMUTABLE | IFlags::APPEND;
    if let Ok(flags) = fs::ioctl_getflags(&file)
        && flags.intersects(fixed)
    {
        let _ = fs::ioctl_setflags(&file, flags - fixed);
    }
}
