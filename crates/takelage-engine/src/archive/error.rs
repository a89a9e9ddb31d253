//! What can be wrong with an image archive.

use std::{io, path::PathBuf};

use thiserror::Error;

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
        source: io::Error,
    },
    /// Something that was unpacked or packed on its behalf cannot be stored.
    #[error("cannot unpack image archive `{path}`")]
    Unpack {
        /// The archive.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// It is not what it should be.
    #[error("image archive `{path}` is damaged: {reason} (in `{entry}`)")]
    Damaged {
        /// The file.
        path: PathBuf,
        /// The entry of the archive that is wrong.
        entry: String,
        /// What is wrong.
        reason: String,
    },
    /// It has no image for this kind of machine, or more than one.
    #[error("image archive `{path}` {reason}")]
    Choice {
        /// The file.
        path: PathBuf,
        /// What there is instead.
        reason: String,
    },
}
