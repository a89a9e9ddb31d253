//! What changes in the metadata of the base image when an image is produced.

use std::time::Duration;

use indexmap::IndexMap;

/// What `config:` says. None and empty leave what the base image has.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Config {
    /// The entrypoint; an empty list removes it.
    pub entrypoint: Option<Vec<String>>,
    /// The command; an empty list removes it.
    pub cmd: Option<Vec<String>>,
    /// User name or id, with `:GROUP` if wanted.
    pub user: Option<String>,
    /// The working directory.
    pub workdir: Option<String>,
    /// Added to the environment.
    pub env: IndexMap<String, String>,
    /// Added to the labels.
    pub labels: IndexMap<String, String>,
    /// Added to the ports, `80/tcp`.
    pub expose: Vec<String>,
    /// Added to the mount points of anonymous volumes.
    pub volumes: Vec<String>,
    /// The signal that ends it.
    pub stop_signal: Option<String>,
    /// How to see whether it is well.
    pub healthcheck: Option<Healthcheck>,
}

/// How to see whether a container is well.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Healthcheck {
    /// `["CMD", …]`, `["CMD-SHELL", "…"]` or `["NONE"]`.
    pub test: Vec<String>,
    /// Time between checks.
    pub interval: Option<Duration>,
    /// How long a check may take.
    pub timeout: Option<Duration>,
    /// Grace after the start.
    pub start_period: Option<Duration>,
    /// Failures in a row until it counts as unwell.
    pub retries: Option<u64>,
}
