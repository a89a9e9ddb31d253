//! How containers of an image are created.

use indexmap::IndexMap;

/// What `container:` says. None and empty are the engine's defaults.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Container {
    /// Runs instead of the image's entrypoint and command. An empty one leaves those; without any, something waits.
    pub command: Option<Vec<String>>,
    /// Whether the image's entrypoint stays in front of the command, as Molecule's drivers have it.
    pub keep_entrypoint: bool,
    /// Boot systemd, and set what it needs short of `privileged`.
    pub systemd: bool,
    /// Capabilities beyond the engine's default set; `-NAME` drops one.
    pub capabilities: Vec<String>,
    /// Mount point → options, as `docker run --tmpfs` takes them.
    pub tmpfs: IndexMap<String, String>,
    /// Directories of the host and named volumes.
    pub volumes: Vec<Volume>,
    /// Environment in addition to the image's.
    pub env: IndexMap<String, String>,
    /// `host`, `none`, `private` for one of the run's own, or the name of a network that exists.
    pub network: Option<String>,
    /// Every right that the engine can give.
    pub privileged: bool,
    /// User name or id, with `:GROUP` if wanted, of the first process.
    pub user: Option<String>,
    /// The host name.
    pub hostname: Option<String>,
    /// Memory limit in bytes.
    pub memory: Option<u64>,
    /// Published ports, `[ADDRESS:]HOST:CONTAINER[/udp]`.
    pub ports: Vec<String>,
    /// Extra lines of `/etc/hosts`, `NAME:ADDRESS`.
    pub hosts: Vec<String>,
    /// Security options such as `seccomp=unconfined`.
    pub security: Vec<String>,
    /// Kernel parameters of the container's own namespaces.
    pub sysctls: IndexMap<String, String>,
    /// Devices, `HOST[:CONTAINER[:rwm]]`.
    pub devices: Vec<String>,
    /// Size of `/dev/shm` in bytes.
    pub shm_size: Option<u64>,
    /// The most processes and threads that may be in it at once.
    pub processes: Option<u32>,
    /// Limits of each process.
    pub ulimits: Vec<Ulimit>,
    /// Labels beyond takelage's own.
    pub labels: IndexMap<String, String>,
}

/// A limit of each process of a container.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ulimit {
    /// The limit's name, such as `nofile`.
    pub name: String,
    /// What holds until the process raises it. None: no limit.
    pub soft: Option<u64>,
    /// How far the process may raise it. None: no limit.
    pub hard: Option<u64>,
}

/// A directory or volume that the container sees.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Volume {
    /// An absolute path of the host, or a volume's name.
    pub source: String,
    /// Absolute path in the container.
    pub target: String,
    /// Whether the container may not write.
    pub read_only: bool,
}
