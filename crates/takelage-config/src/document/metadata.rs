//! `config:` as written.

use indexmap::IndexMap;
use schemars::JsonSchema;
use serde::Deserialize;

use super::{Command, Text};

/// What changes in the metadata of the base image.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Config {
    /// The entrypoint. A string runs in `/bin/sh -c`, as in a Dockerfile; `[]` removes it.
    pub(crate) entrypoint: Option<Command>,
    /// The command. A string runs in `/bin/sh -c`, as in a Dockerfile; `[]` removes it.
    pub(crate) cmd: Option<Command>,
    /// User name or id, with `:GROUP` if wanted.
    pub(crate) user: Option<Text>,
    /// The working directory, an absolute path.
    pub(crate) workdir: Option<String>,
    /// Added to the environment.
    #[serde(default)]
    pub(crate) env: IndexMap<String, Text>,
    /// Added to the labels.
    #[serde(default)]
    pub(crate) labels: IndexMap<String, Text>,
    /// Added to the ports, such as `80` or `53/udp`.
    #[serde(default)]
    pub(crate) expose: Vec<Text>,
    /// Added to the mount points of anonymous volumes, absolute paths.
    #[serde(default)]
    pub(crate) volumes: Vec<String>,
    /// The signal that ends it, such as `SIGTERM`.
    pub(crate) stop_signal: Option<Text>,
    /// How to see whether it is well.
    pub(crate) healthcheck: Option<Healthcheck>,
}

/// How to see whether a container is well.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Healthcheck {
    /// The check. A string runs in a shell; a list is a command, and may begin with `CMD`, `CMD-SHELL` or `NONE`.
    pub(crate) test: Command,
    /// Time between checks, such as `30s`.
    pub(crate) interval: Option<String>,
    /// How long a check may take, such as `5s`.
    pub(crate) timeout: Option<String>,
    /// Grace after the start, such as `1m`.
    pub(crate) start_period: Option<String>,
    /// Failures in a row until it counts as unwell.
    #[schemars(with = "Option<u64>")]
    pub(crate) retries: Option<Text>,
}
