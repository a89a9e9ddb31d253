//! The process that runs one container: it mounts, creates, waits, and says how it ended.
//!
//! ```text
//! DIRECTORY/
//!   container.json    what the container is: see `record`
//!   config.json       the same in the words of the runtime specification
//!   rootfs/           where the overlay is mounted, in the monitor's own mount namespace
//!   points/           places for mounts that the image does not have
//!   agent.sock        where the agent listens
//!   log               what the container's own command writes
//!   lock              held while the container runs
//!   running.json      which processes it is
//!   exit              its exit status, after its end
//!   state/            the runtime's own
//! ```
//!
//! When the monitor ends, for whatever reason, the kernel ends the container: its first process dies with its parent,
//! all others with it, and the mounts with the namespace.

use std::{
    fs::{File, TryLockError},
    io,
    os::{
        fd::{AsFd as _, AsRawFd as _, FromRawFd as _, OwnedFd, RawFd},
        unix::{
            net::{UnixListener, UnixStream},
            process::CommandExt as _,
        },
    },
    path::{Path, PathBuf},
    process::{Command, ExitCode},
    rc::Rc,
};

use fs_err as fs;
use libcontainer::{
    container::{Container, builder::ContainerBuilder},
    oci_spec::runtime::Spec,
    syscall::syscall::SyscallType,
    workload::{Executor, ExecutorError, ExecutorValidationError},
};
use rustix::{
    fs::{MemfdFlags, Mode, SealFlags},
    process::{DumpableBehavior, Pid, Signal, WaitOptions, WaitStatus},
};
use serde::{Deserialize, Serialize};
use takelage_model::agent::AgentConfig;

use super::{
    bundle::{MountPoint, OWN_FILES},
    cgroup,
    helper::{Answer, Outcome, Trouble, quieten, tell},
    mount_points, namespaces,
    network::Attachment,
    overlay,
    record::Running,
    rootless,
};

/// The descriptor on which the agent expects its listening socket.
const LISTENER: RawFd = 3;
/// The descriptor from which the agent reads what it is to do.
const CONFIG: RawFd = 4;

/// A container to run.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Monitor {
    /// The container's id.
    pub(super) id: String,
    /// Its directory.
    pub(super) directory: PathBuf,
    /// Its root file system, without the places for mounts.
    pub(super) stack: overlay::Stack,
    /// Where something is mounted.
    pub(super) mount_points: Vec<MountPoint>,
    /// What the agent is to do.
    pub(super) agent: AgentConfig,
    /// Whether the command's standard input stays open instead of being at its end.
    pub(super) stdin: bool,
    /// Whether it needs the control groups of systemd.
    pub(super) systemd: bool,
    /// How the host arranges its control groups.
    pub(super) cgroups: cgroup::Host,
    /// How it is connected.
    #[serde(default)]
    pub(super) network: Attachment,
}

impl Monitor {
    /// Runs the container until it ends; says when it runs, or why it does not.
    pub(super) fn run(self) -> ExitCode {
        let _ = rustix::process::setsid();
        let started = self.start();
        let (mut container, pid, _held) = match started {
            Ok(started) => started,
            Err(error) => {
                // Only a group that has nobody in it any more can be removed; what is left goes with the container.
                let _ = cgroup::remove(&self.id);
                tell(&Outcome::Failed(Trouble::from(error)));
                return ExitCode::FAILURE;
            }
        };
        tell(&Outcome::Done(Answer::default()));
        quieten();
        let status = wait(pid);
        let _ = write_whole(&self.directory.join("exit"), status.to_string().as_bytes());
        let _ = container.delete(true);
        let _ = cgroup::remove(&self.id);
        ExitCode::SUCCESS
    }

    /// Starts the container; returns what it needs held open for as long as it runs.
    fn start(&self) -> io::Result<(Container, Pid, (File, Option<UnixStream>))> {
        rustix::process::umask(Mode::from_raw_mode(0o022));
        std::env::set_current_dir(&self.directory)?;
        let lock = lock(Path::new("lock"))?;
        rootless::enter()?;
        for stale in ["agent.sock", "running.json", "exit"] {
            let _ = fs::remove_file(stale);
        }
        let _ = fs::remove_dir_all("state");
        fs::create_dir("state")?;
        self.mount()?;
        let listener = UnixListener::bind("agent.sock")?;
        let log: OwnedFd = fs::OpenOptions::new().create(true).append(true).open("log")?.into_file().into();
        let agent = Agent {
            program: Rc::new(program()?),
            listener: Rc::new(listener.into()),
            config: Rc::new(config(&self.agent)?),
        };
        let joined = if self.systemd { Some(cgroup::join(&self.id)?) } else { None };
        let built = self.build(agent, log);
        if let Some(joined) = joined {
            joined.leave()?;
        }
        let mut container = built.map_err(io::Error::other)?;
        // The runtime hides this process from its own user, who has to be able to enter its namespaces.
        rustix::process::set_dumpable_behavior(DumpableBehavior::Dumpable)?;
        let pid = container.pid().and_then(|pid| Pid::from_raw(pid.as_raw()));
        let pid = pid.ok_or_else(|| io::Error::other("the container has no process"))?;
        // Rules and network are there when the first program of it begins.
        self.restrict_devices()?;
        let network = self.network.set_up(pid)?;
        container.start().map_err(io::Error::other)?;
        let running = Running::of(pid)?;
        write_whole(Path::new("running.json"), &serde_json::to_vec(&running)?)?;
        Ok((container, pid, (lock, network)))
    }

    /// Mounts the root file system in a mount namespace of this process.
    fn mount(&self) -> io::Result<()> {
        namespaces::unshare_mounts()?;
        if self.cgroups == cgroup::Host::None {
            cgroup::hide(&self.id)?;
        }
        let root = self.directory.join("rootfs");
        let points = self.directory.join("points");
        fs::create_dir_all(&root)?;
        let _ = fs::remove_dir_all(&points);
        fs::create_dir(&points)?;
        let in_user_namespace = rootless::is_inside();
        let mut stack = self.stack.clone();
        // With one tree alone nothing is stacked; the empty one beside it makes two.
        let image = overlay::Stack {
            lowers: self.stack.lowers.iter().cloned().chain([points.clone()]).collect(),
            upper: None,
        };
        image.mount(&root, in_user_namespace)?;
        mount_points::like(&fs::metadata(&root)?, &points)?;
        let missing = mount_points::make(&root, &points, &self.mount_points)?;
        mount_points::like(&fs::metadata(&root)?, &points)?;
        overlay::take_away(&root)?;
        if missing {
            stack.lowers.insert(0, points);
        }
        stack.mount(&root, in_user_namespace)?;
        for file in OWN_FILES {
            let place = root.join(mount_points::resolve(&root, &Path::new("/etc").join(file))?);
            rustix::mount::mount_bind(self.directory.join(file), place)?;
        }
        Ok(())
    }

    /// Holds the container to its rules about devices where the runtime does not: it knows cgroup v1's only.
    fn restrict_devices(&self) -> io::Result<()> {
        // In a user namespace nobody may, and nobody can make a device that works either.
        if self.cgroups != cgroup::Host::Unified || rootless::is_inside() {
            return Ok(());
        }
        let specification = Spec::load("config.json").map_err(io::Error::other)?;
        let resources = specification.linux().as_ref().and_then(|linux| linux.resources().as_ref());
        let rules = resources.and_then(|resources| resources.devices().as_deref()).unwrap_or_default();
        cgroup::restrict(&self.id, rules)
            .map_err(|error| io::Error::other(format!("cannot restrict its access to devices: {error}")))
    }

    fn build(
        &self,
        agent: Agent,
        log: OwnedFd,
    ) -> Result<Container, Box<dyn std::error::Error + Send + Sync>> {
        let stdin =
            if self.stdin { open_for_ever()? } else { fs::File::open("/dev/null")?.into_file().into() };
        let stderr = log.try_clone()?;
        let container = ContainerBuilder::new(self.id.clone(), SyscallType::default())
            .with_root_path(self.directory.join("state"))?
            .with_executor(agent)
            .with_stdin(stdin)
            .with_stdout(log)
            .with_stderr(stderr)
            .validate_id()?
            .as_init(&self.directory)
            .with_systemd(false)
            .with_detach(true)
            .build()?;
        Ok(container)
    }
}

/// Becomes the agent, in the container, after everything else is in place.
#[derive(Debug, Clone)]
struct Agent {
    program: Rc<OwnedFd>,
    listener: Rc<OwnedFd>,
    config: Rc<OwnedFd>,
}

impl Executor for Agent {
    /// Called when the process has become what it stays, and before the monitor says that the container runs.
    fn validate(&self, _: &Spec) -> Result<(), ExecutorValidationError> {
        let ready = rustix::process::set_parent_process_death_signal(Some(Signal::KILL)).and_then(|()| {
            // Only then may the monitor of an ordinary user enter its network. Nobody else is in the container yet.
            rustix::process::set_dumpable_behavior(DumpableBehavior::Dumpable)
        });
        ready.map_err(|error| ExecutorValidationError::ArgValidationError(error.to_string()))
    }

    fn exec(&self, _: &Spec) -> Result<(), ExecutorError> {
        let other = |error: io::Error| ExecutorError::Other(error.to_string());
        // Out of the way of the numbers that they get.
        let far = |fd: &OwnedFd| {
            rustix::io::fcntl_dupfd_cloexec(fd, CONFIG + 1).map_err(|error| other(error.into()))
        };
        let [program, listener, config] = [far(&self.program)?, far(&self.listener)?, far(&self.config)?];
        become_descriptor(&listener, LISTENER).map_err(other)?;
        become_descriptor(&config, CONFIG).map_err(other)?;
        let path = format!("/proc/self/fd/{}", program.as_raw_fd());
        let error = Command::new(path).arg0("takelage-agent").arg("serve").env_clear().exec();
        Err(other(error))
    }
}

/// Makes `fd` known under `number` as well, and keeps it open in the next program.
#[expect(unsafe_code, reason = "a descriptor by its number has no owner in the eyes of the compiler")]
fn become_descriptor(fd: &OwnedFd, number: RawFd) -> io::Result<()> {
    // SAFETY: this process is about to become another program, and whoever owned the number is never used or dropped
    // again. The value is forgotten, so the descriptor stays open.
    let mut target = std::mem::ManuallyDrop::new(unsafe { OwnedFd::from_raw_fd(number) });
    Ok(rustix::io::dup2(fd, &mut target)?)
}

/// The agent as a file in memory that nobody can write to, so that no process of a container can change it.
fn program() -> io::Result<OwnedFd> {
    sealed("takelage-agent", crate::agent::BINARY)
}

fn config(config: &AgentConfig) -> io::Result<OwnedFd> {
    let fd = sealed("takelage-agent-config", &serde_json::to_vec(config)?)?;
    rustix::fs::seek(&fd, rustix::fs::SeekFrom::Start(0))?;
    Ok(fd)
}

fn sealed(name: &str, content: &[u8]) -> io::Result<OwnedFd> {
    use std::io::Write as _;

    let fd = rustix::fs::memfd_create(name, MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING)?;
    let mut file = File::from(fd);
    file.write_all(content)?;
    rustix::fs::fcntl_add_seals(
        file.as_fd(),
        SealFlags::WRITE | SealFlags::GROW | SealFlags::SHRINK | SealFlags::SEAL,
    )?;
    Ok(file.into())
}

/// Takes the container's lock, which the kernel gives back when this process ends.
fn lock(path: &Path) -> io::Result<File> {
    let file = fs::OpenOptions::new().create(true).append(true).open(path)?.into_file();
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(io::Error::other("the container runs already")),
        Err(TryLockError::Error(error)) => Err(error),
    }
}

/// Waits for the end of the container's first process; returns its exit status.
fn wait(pid: Pid) -> i32 {
    loop {
        match rustix::process::waitpid(Some(pid), WaitOptions::empty()) {
            Ok(Some((_, status))) => return exit_status(status),
            Ok(None) | Err(rustix::io::Errno::INTR) => {}
            // There is nobody to wait for.
            Err(_) => return 255,
        }
    }
}

fn exit_status(status: WaitStatus) -> i32 {
    let signal = status.terminating_signal().map(|signal| 128 + signal);
    status.exit_status().or(signal).unwrap_or(255)
}

/// Returns something to read from that neither has anything nor ends, as long as this process lives.
fn open_for_ever() -> io::Result<OwnedFd> {
    let (read, write) = rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC)?;
    std::mem::forget(write);
    Ok(read)
}

/// Replaces a file by one rename, so that nobody sees half of it.
fn write_whole(path: &Path, content: &[u8]) -> io::Result<()> {
    let temporary = path.with_extension("new");
    fs::write(&temporary, content)?;
    fs::rename(&temporary, path)
}
