//! Image archives: docker-archive, OCI archive and root file systems, read and written.

use std::path::PathBuf;

use thiserror::Error;

/// What an image file is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ArchiveKind {
    /// What `docker save` writes.
    Docker,
    /// An OCI image layout, as a tar file or a directory.
    Oci,
    /// The files of a root file system, as a tar file (perhaps compressed) or a directory.
    Rootfs,
}

/// An image that is ready to be loaded: a docker-archive on disk, removed with the value if it was made for it.
#[derive(Debug)]
pub struct ImageArchive {
    /// The file.
    #[expect(dead_code, reason = "the engine reads it")]
    path: PathBuf,
}

/// An image archive is damaged or of an unknown kind.
#[derive(Debug, Error)]
pub enum ArchiveError {
    /// It cannot be read.
    #[error("cannot read image archive `{path}`")]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
}
