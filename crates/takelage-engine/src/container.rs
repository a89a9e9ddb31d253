//! What a container is made of.

use std::{collections::BTreeMap, fmt};

use indexmap::IndexMap;

use crate::ImageId;

/// The engine's own id of a container.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ContainerId(pub String);

impl fmt::Display for ContainerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

/// What to create.
#[derive(Debug, Clone)]
pub struct ContainerSpec {
    /// A name that no other container has.
    pub name: String,
    /// The image. An id, never a name: names are resolved before.
    pub image: ImageId,
    /// What runs as its first process.
    pub startup: Startup,
    /// Labels of the container.
    pub labels: BTreeMap<String, String>,
    /// The host name; the engine's choice if none.
    pub hostname: Option<String>,
    /// Environment in addition to the image's.
    pub env: IndexMap<String, String>,
    /// Capabilities beyond the engine's default set, such as `NET_ADMIN`; `-NAME` drops one.
    pub capabilities: Vec<String>,
    /// Mount point → options, as `docker run --tmpfs` takes them.
    pub tmpfs: IndexMap<String, String>,
    /// Directories of the host and named volumes.
    pub volumes: Vec<Volume>,
    /// Where it is connected.
    pub network: Network,
    /// Give it every right the engine can give. Never by default.
    pub privileged: bool,
    /// The user of its first process; the image's own if none.
    pub user: Option<String>,
    /// Memory limit in bytes.
    pub memory: Option<u64>,
    /// Published ports, `[ADDRESS:]HOST:CONTAINER[/udp]`, as `docker run --publish` takes them.
    pub ports: Vec<String>,
    /// Extra lines of `/etc/hosts`, `NAME:ADDRESS`.
    pub hosts: Vec<String>,
    /// Security options such as `seccomp=unconfined`.
    pub security: Vec<String>,
    /// Kernel parameters of its own namespaces.
    pub sysctls: IndexMap<String, String>,
    /// Devices, `HOST[:CONTAINER[:rwm]]`.
    pub devices: Vec<String>,
    /// Size of `/dev/shm` in bytes.
    pub shm_size: Option<u64>,
    /// The most processes and threads that may be in it at once.
    pub processes: Option<u32>,
    /// Limits of each process.
    pub ulimits: Vec<Ulimit>,
    /// Nobody uses it after this boot of the machine: its file system need not wait for the disk when a process asks for that. What
    /// is made of it is as durable as ever. An engine may take no notice.
    pub ephemeral: bool,
}

impl ContainerSpec {
    /// A container of `image` that only waits, without anything from the host.
    pub fn new(name: impl Into<String>, image: ImageId) -> Self {
        Self {
            name: name.into(),
            image,
            startup: Startup::Wait,
            labels: BTreeMap::new(),
            hostname: None,
            env: IndexMap::new(),
            capabilities: Vec::new(),
            tmpfs: IndexMap::new(),
            volumes: Vec::new(),
            network: Network::Default,
            privileged: false,
            user: None,
            memory: None,
            ports: Vec::new(),
            hosts: Vec::new(),
            security: Vec::new(),
            sysctls: IndexMap::new(),
            devices: Vec::new(),
            shm_size: None,
            processes: None,
            ulimits: Vec::new(),
            ephemeral: false,
        }
    }
}

/// What runs as a container's first process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Startup {
    /// A shell of the image that waits for the end, reaps, and ends at once on SIGTERM.
    Wait,
    /// The image's own entrypoint and command. Standard input stays open, so that a shell waits.
    Own,
    /// This command instead of the image's entrypoint and command.
    Command(Vec<String>),
    /// systemd: the given command, with all it needs to boot short of `--privileged`.
    Systemd(Vec<String>),
}

/// A limit of each process of a container.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ulimit {
    /// The limit's name in lower case and without `RLIMIT_`, such as `nofile`.
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

/// Where a container is connected.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Network {
    /// The engine's default network.
    Default,
    /// The host's network.
    Host,
    /// Nowhere.
    None,
    /// A network of its own for all containers that name it: they reach the outside and each other, these also by
    /// their host names and their own. It comes with the first of them and goes with the last.
    Private(String),
    /// A network that the user has created, or that needs no creating.
    Named(String),
}

/// A container as the engine lists it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ContainerRecord {
    /// Its id.
    pub id: ContainerId,
    /// Its name, without a leading slash.
    pub name: String,
    /// The image it was created from.
    pub image: String,
    /// Whether it runs.
    pub running: bool,
    /// All its labels.
    pub labels: BTreeMap<String, String>,
}

/// Whether a container runs, and how it ended if not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ContainerState {
    /// It runs.
    Running,
    /// Its first process ended with this status, or was never started (then 0).
    Exited {
        /// The exit status; 128 plus the number for a signal.
        status: i64,
    },
}
