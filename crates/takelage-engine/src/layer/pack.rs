//! Archives from trees.

use std::{
    collections::HashSet,
    io::Write,
    os::{
        fd::{AsFd, BorrowedFd},
        unix::ffi::OsStrExt,
    },
    path::{Component, Path, PathBuf},
};

use rustix::{
    fs::{OFlags, ResolveFlags},
    io::Errno,
};
use takelage_model::Digest;

use super::{
    LayerError, Namespace,
    digesting::Digesting,
    name::Name,
    output::Output,
    packer::{Packer, Rules},
    tree,
    walk::{self, Walk},
};

/// How a layer is packed.
#[derive(Debug, Clone)]
pub(crate) struct PackOptions {
    /// Where overlayfs keeps what it says of the tree.
    pub markers: Namespace,
    /// Later times are brought down to this, in seconds since 1970 (`SOURCE_DATE_EPOCH`).
    pub newest: Option<i64>,
    /// What is left out, with all that lies below.
    pub skip: Vec<PathBuf>,
}

/// How an archive of a tree in use is made.
#[derive(Debug, Clone, Default)]
pub(crate) struct ArchiveOptions {
    pub mounts: Mounts,
    /// Names in the archive that are left out, with all that lies below.
    pub skip: Vec<PathBuf>,
}

/// What becomes of other file systems that are mounted in a tree.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum Mounts {
    /// A directory is there and empty; a file is left out.
    #[default]
    Empty,
    /// They are packed as if they were part of the tree.
    Packed,
}

/// A layer that was packed.
#[derive(Debug)]
pub(crate) struct Packed {
    /// The digest of the archive.
    pub diff_id: Digest,
    /// The length of the archive.
    pub size: u64,
    /// Sockets, which no archive can hold.
    pub skipped: Vec<PathBuf>,
}

/// Packs the upper directory of an overlay as a layer: everything in it in the order of names, its root first, what overlayfs
/// marks as gone as whiteouts.
///
/// The same tree gives the same bytes. What a layer cannot say is an error: a name that would be taken for a whiteout, a
/// directory or file that takes its content from another one below (mount with `redirect_dir=off,metacopy=off`).
pub(crate) fn pack(
    upper: BorrowedFd<'_>,
    to: impl Write,
    options: &PackOptions,
) -> Result<Packed, LayerError> {
    let root = Name::default();
    let rules = Rules {
        markers: Some(options.markers),
        newest: options.newest,
        mounts: Mounts::Empty,
        start: root.clone(),
        skip: names(&options.skip),
    };
    let mut packer = Packer::new(Output::new(to, Digesting::Yes)?, rules);
    let top = tree::open_directory(upper, b".").map_err(LayerError::tree("open", &root))?;
    let mut walk = Walk::new(top, root);
    while let Some(found) = walk.next()? {
        packer.file(&found, &mut walk)?;
    }
    let (output, skipped) = packer.finish();
    let (digest, size) = output.finish()?;
    Ok(Packed { diff_id: digest.expect("the output was to be digested"), size, skipped })
}

/// Packs what `path` is in a tree in use, with all that lies below. Names in the archive begin with the last component of `path`;
/// those of a whole tree, `/`, begin with the names in it. Returns the sockets that were left out.
///
/// Links on the way to `path` are followed as if `root` were the root; `path` itself is packed as the link that it may be.
/// A file that grows meanwhile is packed as long as it was, one that becomes shorter is an error.
pub(crate) fn archive(
    root: BorrowedFd<'_>,
    path: &Path,
    to: impl Write,
    options: &ArchiveOptions,
) -> Result<Vec<PathBuf>, LayerError> {
    let shown = Name::shown(path.as_os_str().as_bytes());
    let mut components = path.components();
    let (parent, start) = match components.next_back() {
        Some(Component::Normal(last)) => (components.as_path(), Name::shown(last.as_bytes())),
        None | Some(Component::RootDir | Component::CurDir) => (Path::new("."), Name::default()),
        Some(_) => return Err(Errno::INVAL).map_err(LayerError::tree("pack", &shown)),
    };
    let parent = [b"./", parent.as_os_str().as_bytes()].concat();
    let flags = OFlags::RDONLY | OFlags::DIRECTORY;
    let top = tree::resolve(root, &parent, flags, ResolveFlags::IN_ROOT)
        .map_err(LayerError::tree("open", &shown))?;
    let component = if start.is_root() { b"." } else { start.as_bytes() };
    walk::stat(top.as_fd(), component).map_err(LayerError::tree("look at", &shown))?;
    let rules = Rules {
        markers: None,
        newest: None,
        mounts: options.mounts,
        start: start.clone(),
        skip: names(&options.skip),
    };
    let mut packer = Packer::new(Output::new(to, Digesting::No)?, rules);
    let mut walk = Walk::new(top, start);
    while let Some(found) = walk.next()? {
        packer.file(&found, &mut walk)?;
    }
    let (output, skipped) = packer.finish();
    output.finish()?;
    Ok(skipped)
}

/// Brings paths into the form of names.
fn names(paths: &[PathBuf]) -> HashSet<Vec<u8>> {
    let clean = |path: &PathBuf| {
        let components: Vec<_> = path
            .components()
            .filter_map(|component| match component {
                Component::Normal(component) => Some(component.as_bytes()),
                _ => None,
            })
            .collect();
        components.join(&b'/')
    };
    paths.iter().map(clean).collect()
}
