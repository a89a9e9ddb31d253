//! What can go wrong with the store.

use std::{
    io,
    path::{Path, PathBuf},
};

use takelage_model::Digest;
use thiserror::Error;

use crate::{ArchiveError, ConfigError, EngineError, ImageId, ManifestError, Operation, ReferenceError};

/// The store could not do something. Whatever was being written is gone or completely there.
#[derive(Debug, Error)]
pub(crate) enum StoreError {
    /// The disk is full, or the user's share of it.
    #[error("the disk with `{path}` is full")]
    DiskFull {
        /// What could not be written.
        path: PathBuf,
    },
    /// A file cannot be read or written.
    #[error("cannot use `{path}`")]
    File {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The store was made by another version of takelage.
    #[error("`{path}` is no image store of this version of takelage: {reason}")]
    Format {
        /// The file that says so.
        path: PathBuf,
        /// What it says.
        reason: String,
    },
    /// A file is not what it was when it was written.
    #[error("`{path}` is damaged: {reason}")]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// A blob is missing that an image needs.
    #[error("the store has no blob `{0}`")]
    NoSuchBlob(Digest),
    /// A layer is missing that a new image is to be made of.
    #[error("the store has no layer `{0}`")]
    NoSuchLayer(Digest),
    /// There is no such image.
    #[error("there is no image `{0}`")]
    NoSuchImage(String),
    /// What was given is neither a name nor an id.
    #[error(transparent)]
    Reference(#[from] ReferenceError),
    /// What was given is the start of several ids.
    #[error("`{0}` is the start of several images' ids")]
    Ambiguous(String),
    /// A name with a digest was to be given.
    #[error("`{0}`: a name with a digest cannot be given")]
    Given(String),
    /// The image is needed.
    #[error("container `{container}` uses image `{image}`: remove the container first")]
    InUse {
        /// The image.
        image: ImageId,
        /// The container.
        container: String,
    },
    /// Bytes have another digest than they should.
    #[error("it has digest `{actual}` instead of `{expected}`")]
    Digest {
        /// What was announced.
        expected: Digest,
        /// What came.
        actual: Digest,
    },
    /// A layer unpacks to something else than the image's configuration says.
    #[error("layer `{blob}` unpacks to `{actual}` instead of `{expected}`")]
    Layer {
        /// The packed layer.
        blob: Digest,
        /// What the configuration says.
        expected: Digest,
        /// What it is.
        actual: Digest,
    },
    /// A layer unpacks to more than any layer has.
    #[error("layer `{blob}` unpacks to more than {limit} bytes")]
    Bomb {
        /// The packed layer.
        blob: Digest,
        /// How much may come of it.
        limit: u64,
    },
    /// A layer cannot be unpacked.
    #[error("cannot unpack layer `{layer}`")]
    Unpack {
        /// The layer.
        layer: Digest,
        /// Why.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// A manifest is not what it should be.
    #[error("the manifest is refused")]
    Manifest(#[from] ManifestError),
    /// A configuration is not what it should be.
    #[error("the configuration is refused")]
    Config(#[from] ConfigError),
    /// An archive is not what it should be.
    #[error(transparent)]
    Archive(#[from] ArchiveError),
    /// Something that is read on the way into the store ended early.
    #[error("what was to be stored cannot be read")]
    Input(#[source] io::Error),
}

impl StoreError {
    /// An error about a file. A full disk is told apart.
    pub(crate) fn file(path: &Path, source: io::Error) -> Self {
        match source.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
                Self::DiskFull { path: path.to_owned() }
            }
            _ => Self::File { path: path.to_owned(), source },
        }
    }

    /// A file is not what it was.
    pub(super) fn damaged(path: &Path, reason: impl Into<String>) -> Self {
        Self::Damaged { path: path.to_owned(), reason: reason.into() }
    }

    /// Says it in the terms of the engine's contract.
    pub(crate) fn into_engine(self, operation: Operation, object: &str) -> EngineError {
        let object = object.to_owned();
        match self {
            Self::DiskFull { .. } => EngineError::DiskFull { operation, object },
            Self::NoSuchImage(name) => {
                EngineError::NoSuchImage { name, message: "it is not in the engine's store".to_owned() }
            }
            Self::Archive(ArchiveError::Unpack { source, .. })
                if matches!(source.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded) =>
            {
                EngineError::DiskFull { operation, object }
            }
            Self::Archive(error) => EngineError::Archive(error),
            Self::Reference(_) | Self::Ambiguous(_) | Self::Given(_) | Self::InUse { .. } => {
                EngineError::Refused { operation, object, message: self.to_string(), status: None }
            }
            error => EngineError::Broken { operation, object, source: Box::new(error) },
        }
    }
}

/// Names the file in an error about it.
pub(super) trait Named<T> {
    fn named(self, path: &Path) -> Result<T, StoreError>;
}

impl<T> Named<T> for io::Result<T> {
    fn named(self, path: &Path) -> Result<T, StoreError> {
        self.map_err(|source| StoreError::file(path, source))
    }
}

impl<T> Named<T> for rustix::io::Result<T> {
    fn named(self, path: &Path) -> Result<T, StoreError> {
        self.map_err(|source| StoreError::file(path, source.into()))
    }
}
