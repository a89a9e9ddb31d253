//! What can go wrong between a tree and an archive.

use std::{io, path::PathBuf};

use thiserror::Error;

use super::name::Name;

/// A tree could not be made of an archive, or an archive of a tree.
#[derive(Debug, Error)]
pub(crate) enum LayerError {
    /// Whoever delivers the archive failed.
    #[error("cannot read the archive")]
    Read(#[source] io::Error),
    /// Whoever takes the archive failed.
    #[error("cannot write the archive")]
    Write(#[source] io::Error),
    /// It is no whole tar archive.
    #[error("the archive is damaged: {reason} (in `{entry}`)")]
    Damaged {
        /// The entry that is wrong, or the last one before.
        entry: String,
        /// What is wrong.
        reason: String,
    },
    /// It can be read, but it asks for something that is not done.
    #[error("the archive is refused: {reason} (in `{entry}`)")]
    Refused {
        /// The entry that asks for it.
        entry: String,
        /// What it asks for.
        reason: String,
    },
    /// It is larger than the [`Limits`](super::Limits) allow.
    #[error("the archive is refused: it has more than {limit} {what}")]
    TooMuch {
        /// How many may be.
        limit: u64,
        /// Of what.
        what: &'static str,
    },
    /// The tree holds something that no layer can say.
    #[error("`{path}` cannot be packed: {reason}")]
    Unpackable {
        /// Where it is, below the root of the tree.
        path: PathBuf,
        /// Why not.
        reason: &'static str,
    },
    /// The file system refuses a step.
    #[error("cannot {step} `{path}`")]
    Tree {
        /// What was tried.
        step: &'static str,
        /// On what, below the root of the tree.
        path: PathBuf,
        /// Why not.
        #[source]
        source: io::Error,
    },
}

impl LayerError {
    /// Returns an error about an entry that is not carried out.
    pub(super) fn refused(entry: &Name, reason: impl Into<String>) -> Self {
        Self::Refused { entry: entry.to_string(), reason: reason.into() }
    }

    /// Whether it is that something does not exist, rather than that it cannot be used.
    pub(crate) fn is_missing(&self) -> bool {
        use io::ErrorKind::{NotADirectory, NotFound};

        matches!(self, Self::Tree { source, .. } if matches!(source.kind(), NotFound | NotADirectory))
    }

    /// Wraps what the file system said; for `map_err`.
    pub(super) fn tree<E: Into<io::Error>>(step: &'static str, name: &Name) -> impl FnOnce(E) -> Self {
        move |source| Self::Tree { step, path: name.to_path(), source: source.into() }
    }
}
