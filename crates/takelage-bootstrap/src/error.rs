//! What can keep an image from being made.

use std::{fmt, io, path::PathBuf};

use jiff::Timestamp;
use thiserror::Error;

/// Why an image could not be made.
#[derive(Debug, Error)]
#[non_exhaustive]
#[expect(missing_docs, reason = "the messages say what the fields are")]
pub enum BootstrapError {
    /// The mirror cannot be reached, or breaks off again and again.
    #[error("cannot download `{url}`")]
    Unreachable { url: String, source: Box<ureq::Error> },
    /// The mirror answers, but does not have the file.
    #[error("the mirror answers {status} for `{url}`")]
    Status { url: String, status: u16 },
    /// The file is not in the cache, and nothing may be downloaded.
    #[error("`{url}` is not in the cache, and downloading is switched off")]
    Offline { url: String },
    /// The proxy's address cannot be understood.
    #[error("`{proxy}` is not the address of a proxy")]
    Proxy { proxy: String },
    /// What came is not what the signed index says.
    #[error("`{url}` does not have the digest or size that the signed index states")]
    Mismatch { url: String },
    /// What came is larger than such a file may be.
    #[error("`{url}` is larger than {limit} bytes")]
    TooLarge { url: String, limit: u64 },
    /// The release file is not signed by a key that is trusted.
    #[error("`{url}` has no valid signature of a trusted key: {reason}")]
    Signature { url: String, reason: String },
    /// The release file is too old to be trusted.
    #[error("`{url}` was valid until {until}")]
    Expired { url: String, until: Timestamp },
    /// The mirror gives another suite than it was asked for.
    #[error("`{url}` is of the suite `{found}`, not `{asked}`")]
    WrongSuite { url: String, asked: String, found: String },
    /// The release lacks the component or the architecture.
    #[error("`{suite}` has no `{missing}`")]
    NotInSuite { suite: String, missing: String },
    /// No package has this name.
    #[error("`{suite}` has no package `{name}`{}", .nearest.as_ref().map(|n| format!("; the nearest name is `{n}`")).unwrap_or_default())]
    UnknownPackage { suite: String, name: String, nearest: Option<String> },
    /// No package fulfils a relation.
    #[error("`{package}` needs `{relation}`, which no package of the suite provides")]
    Unsatisfiable { package: String, relation: String },
    /// Two packages exclude each other.
    #[error("`{package}` excludes `{other}` by `{relation}`, and both are needed")]
    Conflict { package: String, other: String, relation: String },
    /// Two packages have the same file and neither replaces the other.
    #[error("`{path}` is in `{first}` and in `{second}`, and neither replaces the other")]
    SameFile { path: String, first: String, second: String },
    /// A value of the request is not of the form such a value has.
    #[error("`{value}` is not a {what}")]
    Request { what: &'static str, value: String },
    /// A file does not follow its format.
    #[error("`{file}` is malformed: {reason}")]
    Malformed { file: String, reason: String },
    /// A keyring cannot be read.
    #[error("cannot read the keyring `{}`: {reason}", path.display())]
    Keyring { path: PathBuf, reason: String },
    /// A file of the host cannot be read or written.
    #[error("a file cannot be read or written")]
    Io(#[from] io::Error),
    /// The caller gave up.
    #[error("interrupted")]
    Cancelled,
}

impl BootstrapError {
    /// Says what to do about it, in the imperative.
    pub fn hint(&self) -> Option<&'static str> {
        Some(match self {
            Self::Unreachable { .. } => {
                "check the network and the proxy, or name another mirror with `bootstrap: {mirror: URL}`"
            }
            Self::Status { .. } | Self::NotInSuite { .. } => {
                "check `suite`, `components` and `architecture`, or name another mirror with `bootstrap: {mirror: URL}`"
            }
            Self::Offline { .. } => "run once with the network",
            Self::Mismatch { .. } => {
                "try again later, the mirror may be in the middle of an update, or name another mirror"
            }
            Self::Expired { .. } => "name another mirror, this one is not up to date, or check the clock",
            Self::Signature { .. } => {
                "install the package `debian-archive-keyring`, or name another mirror if this one is not Debian's"
            }
            Self::UnknownPackage { .. } => "correct the name in `include`",
            Self::Conflict { .. } | Self::SameFile { .. } => "leave one of them out of `include`",
            _ => return None,
        })
    }

    pub(crate) fn malformed(file: impl Into<String>, reason: impl fmt::Display) -> Self {
        Self::Malformed { file: file.into(), reason: format!("{reason}") }
    }
}
