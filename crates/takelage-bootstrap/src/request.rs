//! What to make an image of, and the surroundings to make it in.

use std::{fmt, path::PathBuf, sync::atomic::AtomicBool, time::Duration};

/// Debian's own address of the archive, served from a place nearby.
pub const DEFAULT_MIRROR: &str = "http://deb.debian.org/debian";

/// What a base image is made of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// Codename or suite: `bookworm`, `stable`, ….
    pub suite: String,
    /// Parts of the archive; the first is where the essential packages are. Usually `main` alone.
    pub components: Vec<String>,
    /// Packages to add to the essential and required ones and `apt`, each with what it depends on.
    pub include: Vec<String>,
    /// Debian's name of the architecture, such as `amd64`.
    pub architecture: String,
    /// Where packages come from.
    pub mirror: Mirror,
}

impl Request {
    /// Asks for `suite` with nothing included, from Debian's own address, for amd64.
    pub fn new(suite: impl Into<String>) -> Self {
        Self {
            suite: suite.into(),
            components: vec!["main".into()],
            include: Vec::new(),
            architecture: "amd64".into(),
            mirror: Mirror::Default,
        }
    }
}

/// Where packages come from, and whether the image's own `apt` is told so.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Mirror {
    /// The project names it: the image's apt uses it too.
    Project(String),
    /// The host happens to use it (see [`host_mirror`](crate::host_mirror)): the image's apt uses
    /// [`DEFAULT_MIRROR`], for the image must not depend on where it was made.
    Host(String),
    /// [`DEFAULT_MIRROR`].
    Default,
}

impl Mirror {
    /// Returns the address to download from, without a final slash.
    pub(crate) fn download(&self) -> &str {
        match self {
            Self::Project(url) | Self::Host(url) => url.trim_end_matches('/'),
            Self::Default => DEFAULT_MIRROR,
        }
    }

    /// Returns the address that the image's apt is told, without a final slash.
    pub(crate) fn in_image(&self) -> &str {
        match self {
            Self::Project(url) => url.trim_end_matches('/'),
            Self::Host(_) | Self::Default => DEFAULT_MIRROR,
        }
    }
}

/// How far a long operation is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress<'a> {
    /// What is counted: `index`, `packages`, `unpack`.
    pub what: &'a str,
    /// Bytes done.
    pub done: u64,
    /// Bytes in all, when known.
    pub total: Option<u64>,
}

/// The surroundings. Nothing here changes the result.
pub struct Settings<'a> {
    /// Directory for downloads. Concurrent processes may share it; it may be removed at any time in between.
    pub cache: PathBuf,
    /// Directories or files with further public keys (`*.gpg`, `*.pgp`, `*.asc`), besides Debian's own, which are built in.
    pub keyrings: Vec<PathBuf>,
    /// Proxy for http and https, such as `http://proxy:3128`.
    pub proxy: Option<String>,
    /// How old a downloaded `InRelease` may be before it is asked for again.
    pub max_age: Duration,
    /// Use only what the cache has.
    pub offline: bool,
    /// Told how far things are, from several threads and often.
    pub progress: &'a (dyn Fn(Progress<'_>) + Sync),
    /// Set to true by the caller to give up; seen within a moment.
    pub cancelled: &'a AtomicBool,
}

impl fmt::Debug for Settings<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Settings")
            .field("cache", &self.cache)
            .field("keyrings", &self.keyrings)
            .field("max_age", &self.max_age)
            .field("offline", &self.offline)
            .finish_non_exhaustive()
    }
}
