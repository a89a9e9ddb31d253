//! Registries: images come from them and go to them, over HTTP, into and out of the store.
//!
//! The crate `oci-client` speaks the protocol where one sends: it asks for tokens, looks for blobs, uploads. What is
//! fetched is read here, since a registry's answer is not to be trusted before it is checked: the crate reads a
//! manifest of any length into memory, and does not pass on how long a busy registry asks to wait.

mod download;
mod error;
mod identity;
mod mirror;
mod patience;
mod progress;
mod pull;
mod push;
mod source;
#[cfg(test)]
mod tests;

pub(crate) use error::RegistryError;
pub(crate) use pull::Registries;

use std::{collections::BTreeMap, path::PathBuf, time::Duration};

/// As many blobs are fetched or sent at once.
const AT_ONCE: usize = 3;

/// How to reach registries. All of it comes from the user's surroundings, which the caller knows.
#[derive(Debug, Clone, Default)]
pub(crate) struct Settings {
    /// `DOCKER_CONFIG` or `~/.docker`, for the logins.
    pub(crate) config_dir: Option<PathBuf>,
    /// Where to look first, by registry (`docker.io`): `https://HOST[:PORT][/PATH]`, `http://…` or a host alone.
    pub(crate) mirrors: BTreeMap<String, Vec<String>>,
    /// How images are sent that were made here.
    pub(crate) packing: Packing,
    /// What to do when something fails that may work later.
    pub(crate) backoff: Backoff,
}

/// How layers that were made here are sent. Those that came from a registry are sent as they came.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum Packing {
    /// So that every engine can read them, Docker before version 23 as well.
    #[default]
    Gzip,
    /// As they are stored: faster and smaller.
    #[cfg_attr(
        not(test),
        expect(dead_code, reason = "old engines would not be able to pull; nobody can ask for it yet")
    )]
    Zstd,
}

/// How often something is tried, and how long one waits in between.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Backoff {
    /// Attempts in a row that bring nothing.
    pub(crate) attempts: u32,
    /// The first wait; each further one is twice as long.
    pub(crate) first: Duration,
    /// A registry that asks to wait longer is not waited for.
    pub(crate) longest: Duration,
}

impl Default for Backoff {
    fn default() -> Self {
        Self { attempts: 5, first: Duration::from_millis(500), longest: Duration::from_secs(120) }
    }
}
