//! Creating containers.

use std::{collections::HashMap, io, os::unix::fs::PermissionsExt as _, path::PathBuf, time::Duration};

use fs_err as fs;
use indexmap::IndexMap;
use takelage_model::agent::{AgentConfig, Command, Init, Sandbox, Seccomp};

use super::{
    bundle::{self, Place},
    cgroup,
    container::{EmbeddedContainer, failure},
    engine::{Embedded, Shared},
    helper::Task,
    jobs::Job,
    monitor::Monitor,
    mount_points,
    network::{self, Attachment},
    overlay::{Stack, Upper},
    record::{self, Directory, Record},
    rootless,
    store::{StoreError, Trees},
    volume::{self, Placed},
};
use crate::{
    Container, ContainerSpec, ContainerState, DEFAULT_PATH, EngineError, ImageConfig, Operation, SnapshotId,
    Startup, systemd,
};

/// When to look whether the container's own command ended right away, from its start.
const LOOKS: [Duration; 3] = [Duration::ZERO, Duration::from_millis(50), Duration::from_millis(200)];
/// How often to look whether a container whose agent does not answer has ended.
const LAST_LOOKS: u32 = 20;
/// How much of the log of a container that ended is told.
const LOG_LINES: usize = 20;
/// How many characters of the id are its host name where it has no other.
const SHORT: usize = 12;

impl Embedded {
    /// Creates and starts a container, and removes it again if it does not come up.
    pub(super) async fn create_container(
        &self,
        spec: &ContainerSpec,
        snapshot: Option<&SnapshotId>,
    ) -> Result<EmbeddedContainer, EngineError> {
        let container = self.prepare(spec, snapshot).await?;
        let created = match container.fill_volumes(spec).await {
            Ok(()) => container.bring_up(spec).await,
            Err(error) => Err(error),
        };
        match created {
            Ok(()) => Ok(container),
            Err(error) => {
                // The first error is the one to tell.
                let _ = container.remove().await;
                Err(error)
            }
        }
    }

    /// Writes down what the container is.
    async fn prepare(
        &self,
        spec: &ContainerSpec,
        snapshot: Option<&SnapshotId>,
    ) -> Result<EmbeddedContainer, EngineError> {
        let failed = |error: io::Error| failure(Operation::Create, &spec.name, error.into());
        let name = spec.image.to_string();
        let store = &self.shared.store;
        let image =
            store.image(&name).await.map_err(|error| error.into_engine(Operation::Create, &spec.name))?;
        let Some(image) = image else {
            let message = "the embedded engine does not have it".to_owned();
            return Err(EngineError::NoSuchImage { name, message });
        };
        // They stay as long as the value lives; after that, the container's record keeps them.
        let trees = store
            .layer_trees(image.id)
            .await
            .map_err(|error| error.into_engine(Operation::Create, &spec.name))?;
        let id = record::id().map_err(failed)?;
        let directory = self.shared.containers.join(&id);
        let hostname = spec.hostname.clone().unwrap_or_else(|| id[..SHORT].to_owned());
        let rootless = rootless::is_needed();
        let network = Attachment::of(spec, &id, &hostname, &self.shared.networks, rootless)
            .map_err(|reason| EngineError::Unsupported { name: spec.name.clone(), reason })?;
        let place = Place {
            id: &id,
            directory: &directory,
            volumes: &self.shared.volumes,
            hostname: &hostname,
            cgroups: cgroup::host(),
            rootless,
            own_network: network.is_own(),
        };
        let _names = self.shared.lock_names().await.map_err(failed)?;
        for other in record::all(&self.shared.containers).map_err(failed)? {
            if other.record().map_err(failed)?.is_some_and(|record| record.name == spec.name) {
                return Err(EngineError::NameTaken { name: spec.name.clone() });
            }
        }
        let above = match snapshot {
            Some(id) => self.trees_of(id, spec)?,
            None => Vec::new(),
        };
        fs::create_dir(&directory).map_err(failed)?;
        // Its record comes last, so that it is there as a whole or not at all.
        let written = match trees.pin(&directory).await {
            Ok(()) => fill(spec, &image.config, &place, network, &trees, above),
            Err(error) => Err(Refusal::Store(error)),
        };
        let record = match written {
            Ok(record) => record,
            Err(refusal) => {
                let _ = fs::remove_dir_all(&directory);
                return Err(match refusal {
                    Refusal::Unsupported(reason) => {
                        EngineError::Unsupported { name: spec.name.clone(), reason }
                    }
                    Refusal::Io(error) => failed(error),
                    Refusal::Store(error) => error.into_engine(Operation::Create, &spec.name),
                });
            }
        };
        Ok(self.of_directory(Directory(directory), record.id, record.name))
    }
}

impl Embedded {
    /// Returns the trees of a snapshot for a container. Whoever calls this has the lock of names, so they stay.
    fn trees_of(&self, id: &SnapshotId, spec: &ContainerSpec) -> Result<Vec<PathBuf>, EngineError> {
        let place = self.shared.place(id);
        let found = place.map_or(Ok(None), |place| place.snapshot());
        match found.map_err(|error| failure(Operation::Create, &spec.name, error.into()))? {
            Some(snapshot) if snapshot.image == spec.image => Ok(snapshot.trees),
            Some(_) => Err(EngineError::Unsupported {
                name: spec.name.clone(),
                reason: format!("snapshot `{id}` is not of image `{}`", spec.image),
            }),
            None => Err(EngineError::NoSuchSnapshot { id: id.clone() }),
        }
    }
}

/// Why a container cannot be written down.
enum Refusal {
    Unsupported(String),
    Io(io::Error),
    Store(StoreError),
}

impl From<io::Error> for Refusal {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

/// Fills a container's directory.
fn fill(
    spec: &ContainerSpec,
    image: &ImageConfig,
    place: &Place<'_>,
    network: Attachment,
    trees: &Trees,
    mut lowers: Vec<PathBuf>,
) -> Result<Record, Refusal> {
    let directory = place.directory;
    fs::set_permissions(directory, std::fs::Permissions::from_mode(0o700))?;
    own_files(spec, place, &network)?;
    let volumes = volume::names(spec).map_err(Refusal::Unsupported)?;
    for name in &volumes {
        volume::Directory(place.volumes.join(name)).make(&spec.labels)?;
    }
    let bundle = bundle::bundle(spec, place).map_err(Refusal::Unsupported)?;
    let env = environment(spec, image, place.hostname);
    let user = spec.user.clone().or_else(|| Some(image.user.clone()).filter(|user| !user.is_empty()));
    let workdir = if image.workdir.is_empty() { "/".to_owned() } else { image.workdir.clone() };
    let systemd = matches!(spec.startup, Startup::Systemd(_));
    let upper =
        Upper { tree: directory.join("upper"), work: directory.join("work"), volatile: spec.ephemeral };
    fs::create_dir(&upper.tree)?;
    fs::set_permissions(&upper.tree, std::fs::Permissions::from_mode(0o755))?;
    let above = lowers.len();
    lowers.extend(self::lowers(&trees.paths));
    if let Some(highest) = lowers.first() {
        // The uppermost directory decides about the root's owner, mode and times: it begins as the image has it.
        mount_points::like(&fs::metadata(highest)?, &upper.tree)?;
    }
    fs::create_dir(&upper.work)?;
    let main = command(spec, image).map(|argv| Command {
        argv,
        env: env.clone().into_iter().collect(),
        cwd: Some(workdir.clone()),
        user: user.clone(),
        ..Command::default()
    });
    let record = Record {
        id: place.id.to_owned(),
        name: spec.name.clone(),
        image: spec.image,
        labels: spec.labels.clone(),
        env,
        user,
        workdir,
        stop_signal: stop_signal(spec, image),
        volumes,
        monitor: Monitor {
            id: place.id.to_owned(),
            directory: directory.to_owned(),
            stack: Stack { lowers, upper: Some(upper) },
            mount_points: bundle.mount_points,
            agent: AgentConfig {
                main,
                init: if systemd { Init::MainAsPid1 } else { Init::Agent },
                sandbox: Sandbox {
                    capabilities: bundle::children(spec).map_err(Refusal::Unsupported)?,
                    seccomp: if bundle::is_filtered(spec) { Seccomp::Docker } else { Seccomp::None },
                    no_new_privileges: bundle::no_new_privileges(spec),
                },
            },
            stdin: spec.startup == Startup::Own,
            systemd,
            cgroups: place.cgroups,
            network,
        },
        above,
    };
    fs::write(directory.join("config.json"), bundle.config.to_string())?;
    record::write(&directory.join("container.json"), &record)?;
    Ok(record)
}

/// Returns trees in the order of an overlay, the highest first. One that is there twice hides its lower self.
fn lowers(trees: &[PathBuf]) -> Vec<PathBuf> {
    let mut lowers: Vec<PathBuf> = Vec::new();
    for tree in trees.iter().rev() {
        if !lowers.contains(tree) {
            lowers.push(tree.clone());
        }
    }
    lowers
}

/// Writes the files of `/etc` that belong to the container and not to its image.
fn own_files(spec: &ContainerSpec, place: &Place<'_>, network: &Attachment) -> Result<(), Refusal> {
    let write = |name: &str, text: String| {
        let path = place.directory.join(name);
        fs::write(&path, text)?;
        fs::set_permissions(&path, std::fs::Permissions::from_mode(0o644))
    };
    write("hostname", format!("{}\n", place.hostname))?;
    let own = format!("127.0.1.1 {}\n", place.hostname);
    let mut hosts = match network {
        Attachment::Host => host_names() + &own,
        Attachment::Alone => network::LOCAL.to_owned() + &own,
        // Its own line is written with its address.
        Attachment::Member(_) => network::LOCAL.to_owned(),
    };
    for pair in &spec.hosts {
        hosts += &network.extra_host(pair).map_err(Refusal::Unsupported)?;
    }
    write("hosts", hosts)?;
    write("resolv.conf", fs::read_to_string("/etc/resolv.conf").unwrap_or_default())?;
    Ok(())
}

/// Returns what the host calls others.
fn host_names() -> String {
    let mut hosts = fs::read_to_string("/etc/hosts").unwrap_or_else(|_| "127.0.0.1 localhost\n".to_owned());
    if !hosts.ends_with('\n') {
        hosts.push('\n');
    }
    hosts
}

/// Returns what every process of the container has in its environment.
fn environment(spec: &ContainerSpec, image: &ImageConfig, hostname: &str) -> IndexMap<String, String> {
    let mut env = IndexMap::from([("PATH".to_owned(), DEFAULT_PATH.to_owned())]);
    env.insert("HOSTNAME".to_owned(), hostname.to_owned());
    if matches!(spec.startup, Startup::Systemd(_)) {
        env.insert("container".to_owned(), "docker".to_owned());
    }
    env.extend(image.env.clone());
    env.extend(spec.env.clone());
    env
}

/// Returns what the agent starts; nothing where the container only waits.
fn command(spec: &ContainerSpec, image: &ImageConfig) -> Option<Vec<String>> {
    match &spec.startup {
        Startup::Wait => None,
        Startup::Own => {
            Some([&image.entrypoint, &image.cmd].into_iter().flatten().flatten().cloned().collect())
        }
        Startup::Command(command) => Some(command.clone()),
        Startup::Systemd(command) => {
            let mut command = command.clone();
            command.push(systemd::LEGACY.to_owned());
            Some(command)
        }
    }
}

/// Returns the number of the signal that ends the container's command.
fn stop_signal(spec: &ContainerSpec, image: &ImageConfig) -> i32 {
    let name = match &spec.startup {
        Startup::Systemd(_) => Some(systemd::STOP_SIGNAL),
        Startup::Wait => None,
        Startup::Own | Startup::Command(_) => image.stop_signal.as_deref(),
    };
    name.and_then(signal).unwrap_or(15)
}

/// Reads a signal's name or number.
fn signal(name: &str) -> Option<i32> {
    let name = name.strip_prefix("SIG").unwrap_or(name);
    if let Some(offset) = name.strip_prefix("RTMIN+") {
        return offset.parse::<i32>().ok().map(|offset| 34 + offset);
    }
    let known: HashMap<&str, i32> = [
        ("HUP", 1),
        ("INT", 2),
        ("QUIT", 3),
        ("ABRT", 6),
        ("KILL", 9),
        ("USR1", 10),
        ("USR2", 12),
        ("ALRM", 14),
        ("TERM", 15),
        ("CONT", 18),
        ("WINCH", 28),
        ("PWR", 30),
    ]
    .into();
    name.parse().ok().or_else(|| known.get(name).copied())
}

impl EmbeddedContainer {
    /// Gives its volumes that are empty what its image has in their places.
    async fn fill_volumes(&self, spec: &ContainerSpec) -> Result<(), EngineError> {
        let named = spec.volumes.iter().filter(|volume| volume::is_named(volume));
        let volumes: Vec<Placed> = named
            .map(|volume| Placed {
                volume: self.shared.volume(&volume.source),
                target: PathBuf::from(&volume.target),
            })
            .collect();
        if volumes.is_empty() {
            return Ok(());
        }
        let job = Job::Fill { root: self.view(Operation::Create)?, volumes };
        self.job(Operation::Create, job, "/", tokio::io::empty(), &mut tokio::io::sink()).await.map(drop)
    }

    /// Starts the container and waits until it is up.
    async fn bring_up(&self, spec: &ContainerSpec) -> Result<(), EngineError> {
        let record = self.record(Operation::Create)?;
        self.shared.run(&record).await?;
        if let Err(error) = self.agent().await {
            // It answers as soon as it runs. If not, how the container ended says more, and the looks below say it.
            if !self.ends_soon().await? {
                return Err(error);
            }
        }
        let looks = match &spec.startup {
            Startup::Systemd(_) => return systemd::wait(self, record.monitor.cgroups.version()).await,
            Startup::Wait => &LOOKS[..1],
            Startup::Own | Startup::Command(_) => &LOOKS[..],
        };
        let start = tokio::time::Instant::now();
        for look in looks {
            tokio::time::sleep_until(start + *look).await;
            if let Some(error) = self.ended().await? {
                return Err(error);
            }
        }
        Ok(())
    }

    /// Whether the container has ended or is about to.
    async fn ends_soon(&self) -> Result<bool, EngineError> {
        for _ in 0..LAST_LOOKS {
            if self.state().await? != Some(ContainerState::Running) {
                return Ok(true);
            }
            tokio::time::sleep(LOOKS[1]).await;
        }
        Ok(false)
    }

    /// Says how the container ended, if it did.
    async fn ended(&self) -> Result<Option<EngineError>, EngineError> {
        let name = self.name.clone();
        match self.state().await? {
            Some(ContainerState::Running) => Ok(None),
            Some(ContainerState::Exited { status }) => {
                Ok(Some(EngineError::Ended { name, status, log: self.logs(LOG_LINES).await? }))
            }
            None => Ok(Some(EngineError::NoSuchContainer { name })),
        }
    }
}

impl Shared {
    /// Starts a container that is written down.
    pub(super) async fn run(&self, record: &Record) -> Result<(), EngineError> {
        // From here on it may change again.
        let _ = fs::remove_file(record.monitor.directory.join(super::commit::NOTE));
        let failed = |trouble| failure(Operation::Start, &record.name, trouble);
        // Until the container is in it, nothing else keeps its network.
        let _network = match record.monitor.network.directory() {
            Some(network) => Some(self.hold_network(network).await.map_err(|error| failed(error.into()))?),
            None => None,
        };
        let task = Task::Monitor(Box::new(record.monitor.clone()));
        self.launcher.resident(&task).await.map_err(failed)
    }

    /// Takes the lock under which names of containers are given.
    pub(super) async fn lock_names(&self) -> io::Result<std::fs::File> {
        let path = self.containers.with_file_name("containers.lock");
        let work = move || {
            let file = fs::OpenOptions::new().create(true).append(true).open(path)?.into_file();
            file.lock()?;
            Ok(file)
        };
        tokio::task::spawn_blocking(work).await.map_err(io::Error::other)?
    }
}
