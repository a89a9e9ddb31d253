//! What says that something of a lower layer is gone, in archives and on overlayfs.
//!
//! | | in a layer's archive | in an overlay's upper directory |
//! | --- | --- | --- |
//! | `name` is gone | an entry `.wh.name` | `name` is a character device 0:0 |
//! | the directory hides what lies below | an entry `.wh..wh..opq` in it | its attribute `….overlay.opaque` is `y` |
//!
//! Which namespace of attributes overlayfs reads depends on who mounts it; this file is the only place that knows.

use rustix::fs::{Dev, FileType, Stat};

/// Begins the name of an entry that hides something.
const WHITEOUT: &[u8] = b".wh.";
/// Begins the names of what AUFS once kept for itself; only one of them has a meaning elsewhere.
const OWN: &[u8] = b".wh..wh.";
/// The entry that makes its directory opaque.
pub(super) const OPAQUE_ENTRY: &[u8] = b".wh..wh..opq";
/// What overlayfs expects the attribute to be. Other values say other things.
pub(super) const OPAQUE: &[u8] = b"y";
/// The attributes of both namespaces.
const PREFIXES: [&[u8]; 2] = [b"trusted.overlay.", b"user.overlay."];

/// Where overlayfs keeps its attributes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Namespace {
    /// `trusted.overlay.`: mounted by root.
    Trusted,
    /// `user.overlay.`: mounted in a user namespace with the option `userxattr`.
    User,
}

impl Namespace {
    /// The attribute of an opaque directory.
    pub(super) fn opaque(self) -> &'static [u8] {
        match self {
            Self::Trusted => b"trusted.overlay.opaque",
            Self::User => b"user.overlay.opaque",
        }
    }

    /// Attributes of what takes its content from another name or file below, so that it is not whole by itself.
    pub(super) fn borrowed(self) -> [&'static [u8]; 2] {
        match self {
            Self::Trusted => [b"trusted.overlay.redirect", b"trusted.overlay.metacopy"],
            Self::User => [b"user.overlay.redirect", b"user.overlay.metacopy"],
        }
    }
}

/// Whether an attribute belongs to overlayfs, in whichever namespace.
///
/// In an archive it would be an order to overlayfs, such as to show another directory of the layers below.
pub(super) fn is_overlay(attribute: &[u8]) -> bool {
    PREFIXES.iter().any(|prefix| attribute.starts_with(prefix))
}

/// Whether a file is overlayfs's whiteout.
pub(super) fn is_whiteout(stat: &Stat) -> bool {
    FileType::from_raw_mode(stat.st_mode) == FileType::CharacterDevice && stat.st_rdev == WHITEOUT_DEVICE
}

/// The number of that device.
pub(super) const WHITEOUT_DEVICE: Dev = 0;

/// What the last component of an entry's name says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Said<'a> {
    /// Nothing: it is a name.
    Name,
    /// The directory that it lies in is opaque.
    Opaque,
    /// This name beside it is gone.
    Gone(&'a [u8]),
    /// Something that concerned AUFS alone.
    Aufs,
    /// It hides a name that cannot be, such as `..`.
    Nonsense,
}

/// Reads the last component of a name.
pub(super) fn said(component: &[u8]) -> Said<'_> {
    match component.strip_prefix(WHITEOUT) {
        None => Said::Name,
        Some(_) if component == OPAQUE_ENTRY => Said::Opaque,
        Some(_) if component.starts_with(OWN) => Said::Aufs,
        Some(b"" | b"." | b"..") => Said::Nonsense,
        Some(name) => Said::Gone(name),
    }
}

/// Returns the entry that hides `name`.
pub(super) fn whiteout(name: &[u8]) -> Vec<u8> {
    [WHITEOUT, name].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_hide_are_told_from_names() {
        assert_eq!(said(b"wh.a"), Said::Name);
        assert_eq!(said(&whiteout(b"a")), Said::Gone(b"a"));
        assert_eq!(said(OPAQUE_ENTRY), Said::Opaque);
        assert_eq!(said(b".wh..wh.plnk"), Said::Aufs);
        for nonsense in [b".wh.".as_slice(), b".wh..", b".wh..."] {
            assert_eq!(said(nonsense), Said::Nonsense);
        }
        // A hidden name may itself begin with a dot.
        assert_eq!(said(b".wh..hidden"), Said::Gone(b".hidden"));
    }
}
