//! What fuzz targets reach of the parts that are no interface. Only with the feature `fuzzing`, and without any promise.

use std::{io::Read, os::fd::BorrowedFd, path::Path};

use crate::layer::{self, Limits, Namespace, PackOptions};

/// Unpacks a layer of at most so many bytes below `root`. Returns its digest, or why it is refused.
pub fn unpack_layer(
    tar: impl Read,
    root: BorrowedFd<'_>,
    bytes: u64,
) -> Result<takelage_model::Digest, String> {
    let limits = Limits { bytes, ..Limits::default() };
    layer::unpack(tar, root, Namespace::Trusted, limits)
        .map(|unpacked| unpacked.diff_id)
        .map_err(|error| error.to_string())
}

/// Packs the tree below `root` as a layer.
pub fn pack_layer(root: BorrowedFd<'_>) -> Result<Vec<u8>, String> {
    let mut tar = Vec::new();
    let options = PackOptions { markers: Namespace::Trusted, newest: None, skip: vec![] };
    layer::pack(root, &mut tar, &options).map_err(|error| error.to_string())?;
    Ok(tar)
}

/// Removes the tree `name` from a directory.
pub fn remove_tree(parent: BorrowedFd<'_>, name: &Path) -> Result<(), String> {
    layer::remove(parent, name).map_err(|error| error.to_string())
}
