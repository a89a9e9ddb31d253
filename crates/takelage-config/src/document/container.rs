//! `container:` as written.

use indexmap::IndexMap;
use schemars::JsonSchema;
use serde::Deserialize;

use super::{Command, Text};

/// How containers of this image are created while it is developed, produced and tested.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Container {
    /// Runs instead of the image's entrypoint and command, which `""` leaves. A string is split as a shell splits words.
    pub(crate) command: Option<Command>,
    /// Boot systemd, and set what it needs short of `privileged`. Default: `false`.
    #[serde(default)]
    pub(crate) systemd: bool,
    /// Capabilities beyond the engine's default set, such as `NET_ADMIN`; `-NAME` drops one.
    #[serde(default)]
    pub(crate) capabilities: Vec<String>,
    /// Mount points in memory: a list of `PATH[:OPTIONS]`, or a map of path and options.
    pub(crate) tmpfs: Option<Mounts>,
    /// Directories and volumes, `SOURCE:TARGET[:ro]`. Relative sources begin with `.`.
    #[serde(default)]
    pub(crate) volumes: Vec<String>,
    /// Environment in addition to the image's.
    #[serde(default)]
    pub(crate) env: IndexMap<String, Text>,
    /// `host`, `none`, `private` for one of the run's own, or the name of a network that exists.
    pub(crate) network: Option<String>,
    /// Give it every right that the engine can give. Default: `false`.
    #[serde(default)]
    pub(crate) privileged: bool,
    /// User name or id, with `:GROUP` if wanted, of the first process.
    pub(crate) user: Option<Text>,
    /// The host name.
    pub(crate) hostname: Option<String>,
    /// Memory limit, such as `512MiB`.
    pub(crate) memory: Option<Text>,
    /// Published ports, `[ADDRESS:]HOST:CONTAINER[/udp]`.
    #[serde(default)]
    pub(crate) ports: Vec<String>,
    /// Extra lines of /etc/hosts, `NAME:ADDRESS`.
    #[serde(default)]
    pub(crate) hosts: Vec<String>,
    /// Security options, such as `seccomp=unconfined`.
    #[serde(default)]
    pub(crate) security: Vec<String>,
    /// Kernel parameters of the container's own namespaces.
    #[serde(default)]
    pub(crate) sysctls: IndexMap<String, Text>,
    /// Devices, `HOST[:CONTAINER[:rwm]]`.
    #[serde(default)]
    pub(crate) devices: Vec<String>,
    /// Size of /dev/shm, such as `64MiB`.
    pub(crate) shm_size: Option<Text>,
    /// The most processes and threads that may be in it at once.
    pub(crate) processes: Option<Text>,
    /// Limits of each process, `NAME=SOFT[:HARD]` with the names of `ulimit`, such as `nofile=1024:4096`.
    #[serde(default)]
    pub(crate) ulimits: Vec<String>,
}

/// Mount points in memory.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(untagged)]
#[schemars(inline)]
pub(crate) enum Mounts {
    /// `PATH[:OPTIONS]`.
    List(Vec<String>),
    /// Path and options.
    Map(IndexMap<String, String>),
}
