//! Extended attributes of files that are open and of files that must not be opened.

use std::os::fd::{AsFd, AsRawFd, BorrowedFd};

use rustix::{
    fs::{self, XattrFlags},
    io::{Errno, Result},
};

/// The longest list or value that the kernel gives.
const LONGEST: usize = 64 << 10;
/// What a security module of this host thinks of the file. It says nothing to another host.
const SELINUX: &[u8] = b"security.selinux";
/// Rights that a directory hands on to what is made in it later.
pub(super) const DEFAULT_ACL: &[u8] = b"system.posix_acl_default";
/// What a directory may have from the one that it was made in.
pub(super) const ACLS: [&[u8]; 2] = [b"system.posix_acl_access", DEFAULT_ACL];

/// An attribute's name and value.
pub(super) type Xattr = (Vec<u8>, Vec<u8>);

/// Something that can have attributes.
#[derive(Clone, Copy)]
pub(super) enum Place<'a> {
    /// An open file or directory.
    Open(BorrowedFd<'a>),
    /// The name itself in an open directory: a link, a device, a fifo.
    Name(BorrowedFd<'a>, &'a [u8]),
}

impl Place<'_> {
    /// Sets an attribute.
    pub(super) fn set(self, name: &[u8], value: &[u8]) -> Result<()> {
        match self {
            Self::Open(file) => fs::fsetxattr(file, name, value, XattrFlags::empty()),
            Self::Name(..) => fs::lsetxattr(self.path(), name, value, XattrFlags::empty()),
        }
    }

    /// Returns an attribute. `None`: there is none of this name, or none that the kernel understands: file capabilities can be
    /// set to nothing, and then they can neither be read nor have any effect.
    pub(super) fn get(self, name: &[u8]) -> Result<Option<Vec<u8>>> {
        let mut value = Vec::new();
        let length = loop {
            value.resize(if value.is_empty() { 256 } else { LONGEST }, 0);
            let read = match self {
                Self::Open(file) => fs::fgetxattr(file, name, value.as_mut_slice()),
                Self::Name(..) => fs::lgetxattr(self.path(), name, value.as_mut_slice()),
            };
            match read {
                Err(Errno::RANGE) if value.len() < LONGEST => {}
                Err(Errno::NODATA | Errno::OPNOTSUPP | Errno::INVAL) => return Ok(None),
                read => break read?,
            }
        };
        value.truncate(length);
        Ok(Some(value))
    }

    /// Returns all attributes that belong to the file and not to this host, sorted by name.
    pub(super) fn all(self) -> Result<Vec<Xattr>> {
        let mut list = [0; 256];
        let mut long = Vec::new();
        let names = match self.list(&mut list) {
            Err(Errno::RANGE) => {
                long.resize(LONGEST, 0);
                let length = self.list(&mut long)?;
                &long[..length]
            }
            Err(Errno::OPNOTSUPP) => return Ok(Vec::new()),
            length => &list[..length?],
        };
        let mut all = Vec::new();
        for name in names.split(|&byte| byte == 0).filter(|&name| !name.is_empty() && name != SELINUX) {
            // It may be gone by now.
            if let Some(value) = self.get(name)? {
                all.push((name.to_vec(), value));
            }
        }
        all.sort_unstable();
        Ok(all)
    }

    fn list(self, list: &mut [u8]) -> Result<usize> {
        match self {
            Self::Open(file) => fs::flistxattr(file, list),
            Self::Name(..) => fs::llistxattr(self.path(), list),
        }
    }

    /// Names the file for calls that take no directory.
    fn path(self) -> Vec<u8> {
        let (Self::Open(directory) | Self::Name(directory, _)) = self;
        let mut path = format!("/proc/self/fd/{}", directory.as_raw_fd()).into_bytes();
        if let Self::Name(_, name) = self {
            path.push(b'/');
            path.extend_from_slice(name);
        }
        path
    }
}

/// Sets the mode of a file that must not be opened: a device or a fifo.
pub(super) fn set_mode(directory: impl AsFd, name: &[u8], mode: fs::Mode) -> Result<()> {
    let flags = fs::OFlags::PATH | fs::OFlags::NOFOLLOW | fs::OFlags::CLOEXEC;
    let node = fs::openat(directory, name, flags, fs::Mode::empty())?;
    // The call that takes a descriptor of this kind is younger than the kernels in use.
    fs::chmod(Place::Open(node.as_fd()).path(), mode)
}

/// Removes an attribute, if there is one.
pub(super) fn remove(file: impl AsFd, name: &[u8]) -> Result<()> {
    match fs::fremovexattr(file, name) {
        Err(Errno::NODATA | Errno::OPNOTSUPP) => Ok(()),
        removed => removed,
    }
}
