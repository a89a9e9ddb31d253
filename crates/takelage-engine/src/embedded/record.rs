//! What a container is, on disk.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs::{File, TryLockError},
    io,
    path::{Path, PathBuf},
};

use fs_err as fs;
use indexmap::IndexMap;
use rustix::process::Pid;
use serde::{Deserialize, Serialize, de::DeserializeOwned};

use crate::{ContainerState, ExecSpec, ImageId};

/// What a container is: the content of `container.json`.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Record {
    /// Its id: 64 hexadecimal digits, as Docker's.
    pub(super) id: String,
    /// Its name.
    pub(super) name: String,
    /// The image that it was created from.
    pub(super) image: ImageId,
    /// Its labels.
    pub(super) labels: BTreeMap<String, String>,
    /// The environment of everything in it.
    pub(super) env: IndexMap<String, String>,
    /// Whose commands are by default; root if none.
    pub(super) user: Option<String>,
    /// Where commands are run by default.
    pub(super) workdir: String,
    /// The signal that ends its command.
    pub(super) stop_signal: i32,
    /// The names of its volumes that have one.
    #[serde(default)]
    pub(super) volumes: BTreeSet<String>,
    /// What its monitor runs.
    pub(super) monitor: super::monitor::Monitor,
    /// How many of the lower trees of its stack are snapshots'; the others are its image's.
    #[serde(default)]
    pub(super) above: usize,
}

impl Record {
    /// Returns the trees of the snapshots that it goes on from, the highest first.
    pub(super) fn above(&self) -> &[PathBuf] {
        self.monitor.stack.lowers.get(..self.above).unwrap_or_default()
    }

    /// Returns the trees of its image, the highest first.
    pub(super) fn below(&self) -> &[PathBuf] {
        self.monitor.stack.lowers.get(self.above..).unwrap_or_default()
    }

    /// Adds what holds for every command of the container: the agent knows nothing of it.
    pub(super) fn command(&self, spec: ExecSpec) -> ExecSpec {
        let mut env = self.env.clone();
        env.extend(spec.env);
        ExecSpec {
            env,
            workdir: spec.workdir.or_else(|| Some(self.workdir.clone())),
            user: spec.user.or_else(|| self.user.clone()),
            ..spec
        }
    }
}

/// Which processes a running container is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Running {
    /// The process id of its monitor.
    pub(super) monitor: i32,
    /// When the monitor began, in the kernel's ticks: ids are used again.
    pub(super) began: u64,
    /// The process id of its first process, as the host sees it.
    pub(super) first: i32,
}

impl Running {
    /// Describes a container that this process monitors.
    pub(super) fn of(first: Pid) -> io::Result<Self> {
        let monitor = rustix::process::getpid();
        Ok(Self {
            monitor: monitor.as_raw_nonzero().get(),
            began: began(monitor)?,
            first: first.as_raw_nonzero().get(),
        })
    }
}

/// When a process began, in ticks since the machine did.
pub(super) fn began(pid: Pid) -> io::Result<u64> {
    let stat = fs::read_to_string(format!("/proc/{}/stat", pid.as_raw_nonzero()))?;
    // The program's name, in parentheses, may have any character in it.
    let rest = stat.rsplit_once(')').map_or("", |(_, rest)| rest);
    let field = rest.split_whitespace().nth(19).and_then(|field| field.parse().ok());
    field.ok_or_else(|| io::Error::other("the kernel does not say when a process began"))
}

/// The directory of one container.
#[derive(Debug, Clone)]
pub(super) struct Directory(pub(super) PathBuf);

impl Directory {
    /// Reads what the container is. `None`: there is none, or not yet.
    pub(super) fn record(&self) -> io::Result<Option<Record>> {
        read(&self.0.join("container.json"))
    }

    /// Whether it is written down what the container is, in whatever version.
    pub(super) fn is_written(&self) -> bool {
        self.0.join("container.json").exists()
    }

    /// Reads which processes it is.
    pub(super) fn running(&self) -> io::Result<Option<Running>> {
        read(&self.0.join("running.json"))
    }

    /// Whether it runs, and how it ended if not. `None`: it is gone.
    pub(super) fn state(&self) -> io::Result<Option<ContainerState>> {
        if !self.is_written() {
            return Ok(None);
        }
        if self.is_running()? {
            return Ok(Some(ContainerState::Running));
        }
        let status = match fs::read_to_string(self.0.join("exit")) {
            Ok(text) => text.trim().parse().unwrap_or(KILLED),
            // Its monitor was killed before it could say.
            Err(error) if error.kind() == io::ErrorKind::NotFound => KILLED,
            Err(error) => return Err(error),
        };
        Ok(Some(ContainerState::Exited { status }))
    }

    /// Whether its monitor lives.
    pub(super) fn is_running(&self) -> io::Result<bool> {
        Ok(matches!(self.try_lock()?, Lock::Held))
    }

    /// Takes the lock that its monitor would hold, so that none starts meanwhile.
    pub(super) fn try_lock(&self) -> io::Result<Lock> {
        let file = match fs::OpenOptions::new().append(true).open(self.0.join("lock")) {
            Ok(file) => file.into_file(),
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Lock::Missing),
            Err(error) => return Err(error),
        };
        match file.try_lock() {
            Ok(()) => Ok(Lock::Taken(file)),
            Err(TryLockError::WouldBlock) => Ok(Lock::Held),
            Err(TryLockError::Error(error)) => Err(error),
        }
    }
}

/// Reads a file. `None`: it is not there, or another version's.
pub(super) fn read<T: DeserializeOwned>(path: &Path) -> io::Result<Option<T>> {
    match fs::read(path) {
        Ok(text) => Ok(serde_json::from_slice(&text).ok()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// Replaces a file by one rename, so that nobody sees half of it.
pub(super) fn write(path: &Path, content: &impl Serialize) -> io::Result<()> {
    let temporary = path.with_extension("new");
    fs::write(&temporary, serde_json::to_vec(content)?)?;
    fs::rename(temporary, path)
}

/// Draws an id: 64 hexadecimal digits, as Docker's.
pub(super) fn id() -> io::Result<String> {
    let mut bytes = [0_u8; 32];
    rustix::rand::getrandom(&mut bytes, rustix::rand::GetRandomFlags::empty())?;
    Ok(hex::encode(bytes))
}

/// The status of a container that was killed.
const KILLED: i64 = 137;

/// Who has the lock of a container.
#[derive(Debug)]
pub(super) enum Lock {
    /// Its monitor: it runs.
    Held,
    /// This process, until the value is dropped.
    Taken(#[expect(dead_code, reason = "held, not read")] File),
    /// It never ran.
    Missing,
}

/// Lists the directories of all containers below `root`.
pub(super) fn all(root: &Path) -> io::Result<Vec<Directory>> {
    match fs::read_dir(root) {
        Ok(entries) => {
            let mut found = Vec::new();
            for entry in entries {
                found.push(Directory(entry?.path()));
            }
            Ok(found)
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        Err(error) => Err(error),
    }
}
