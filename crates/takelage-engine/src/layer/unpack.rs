//! Trees from archives.

use std::{
    io::Read,
    os::{fd::BorrowedFd, unix::ffi::OsStrExt},
    path::{Path, PathBuf},
};

use takelage_model::Digest;

use super::{
    LayerError, Limits, Namespace,
    build::{Builder, Purpose},
    digesting::Digesting,
    marker::{self, Said},
    member::Member,
    members::Members,
    tree::Tree,
};

/// A layer that was unpacked.
#[derive(Debug)]
pub(crate) struct Unpacked {
    /// The digest of the archive to its last byte, whatever follows its end included.
    pub diff_id: Digest,
    /// The length of the archive.
    pub size: u64,
    /// How many headers it has.
    pub entries: u64,
    /// What of the archive is not in the tree; the first hundred.
    pub left_out: Vec<LeftOut>,
}

/// Something of an archive that is not in the tree, because it cannot be or must not be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct LeftOut {
    /// The entry, below the root of the tree.
    pub path: PathBuf,
    /// What of it is missing.
    pub what: Omission,
}

/// What is missing of an entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Omission {
    /// An extended attribute that the file system or the user namespace does not allow, or that overlayfs would obey.
    Attribute(String),
    /// The whole entry: a device, which no user namespace may make.
    Device,
    /// The whole entry: something that concerned AUFS alone.
    Aufs,
}

/// Unpacks a layer, an archive that is not compressed, below `root`, a new directory. Whiteouts become what overlayfs takes for
/// such in the namespace `markers`.
///
/// Owners, modes, times, attributes, devices and holes are those of the archive, whatever the umask. Of two entries of one name
/// the last counts. A directory that the archive does not mention belongs to the one who unpacks, with mode 0755 and time 0.
///
/// Nothing outside `root` is read or written, whatever the archive says. After an error the tree is unfinished: remove it.
/// Whoever knows what the digest should be compares it before the tree is used.
pub(crate) fn unpack(
    tar: impl Read,
    root: BorrowedFd<'_>,
    markers: Namespace,
    limits: Limits,
) -> Result<Unpacked, LayerError> {
    let mut members = Members::new(tar, limits, Digesting::Yes)?;
    let mut builder = Builder::new(Tree::new(root, b""), Purpose::Layer(markers));
    builder.prepare()?;
    while let Some(member) = members.next()? {
        place(&mut builder, &member, &mut members)?;
    }
    let left_out = builder.finish()?;
    let entries = members.headers();
    let (digest, size) = members.finish()?;
    let diff_id = digest.expect("the stream was to be digested");
    Ok(Unpacked { diff_id, size, entries, left_out })
}

/// Does what one member of a layer says.
fn place<R: Read>(
    builder: &mut Builder<'_>,
    member: &Member,
    members: &mut Members<R>,
) -> Result<(), LayerError> {
    let name = &member.name;
    let Some((parent, component)) = name.split() else { return builder.make(member, members) };
    for component in name.components() {
        if marker::said(component) == Said::Aufs {
            builder.leave_out(name, Omission::Aufs);
            return Ok(());
        }
    }
    if parent.split(|&byte| byte == b'/').any(|component| marker::said(component) != Said::Name) {
        return Err(LayerError::refused(name, "it lies in something that is gone"));
    }
    match marker::said(component) {
        Said::Name => builder.make(member, members),
        Said::Opaque => builder.hide_all(parent),
        Said::Gone(gone) => builder.hide(parent, gone),
        Said::Aufs | Said::Nonsense => Err(LayerError::refused(name, "it hides a name that cannot be")),
    }
}

/// Unpacks an archive below the directory `at` of a tree in use, as GNU tar does for root: owners, modes and times are those
/// of the archive, what is there is replaced, except a directory that is not empty. Names of whiteouts are names.
///
/// `at` must exist; links in it are followed as if `root` were the root. Entries before one that fails are there.
pub(crate) fn extract(tar: impl Read, root: BorrowedFd<'_>, at: &Path) -> Result<Vec<LeftOut>, LayerError> {
    let mut members = Members::new(tar, Limits::default(), Digesting::No)?;
    let tree = Tree::new(root, at.as_os_str().as_bytes());
    let mut builder = Builder::new(tree, Purpose::Living);
    builder.check()?;
    while let Some(member) = members.next()? {
        builder.make(&member, &mut members)?;
    }
    // A layer's digest says whether it is whole; here only its end does.
    members.check_end()?;
    let left_out = builder.finish()?;
    members.finish()?;
    Ok(left_out)
}
