//! How the agent begins, in each of its roles.

use std::{
    fs::File,
    io::Read,
    os::fd::{FromRawFd, OwnedFd},
};

use rustix::{
    fs::{Mode, OFlags},
    io::{Errno, FdFlags},
    process::{DumpableBehavior, Pid, Resource, Rlimit},
    thread::CapabilitySet,
};
use takelage_model::agent::{AgentConfig, Command, Init};
use thiserror::Error;

use crate::{
    child::{Failure, MOST_DESCRIPTORS, Streams},
    client::Client,
    prepare::{Prepared, Unprepared},
    sandbox::{Sandbox, SandboxError},
    server::{Role, Server},
    signals::Signals,
    spawn::{self, Child, Surroundings, Wanted},
};

/// Where the listening socket is.
const LISTENER: i32 = 3;
/// Where the configuration is.
const CONFIG: i32 = 4;
/// A longer configuration is not ours, in bytes.
const LONGEST_CONFIG: u64 = 8 << 20;
/// What everything that is started has, unless it says otherwise.
const UMASK: u32 = 0o022;

/// What it takes to start commands as anybody, with streams that are theirs, and to kill them.
const NEEDED: CapabilitySet = CapabilitySet::CHOWN
    .union(CapabilitySet::DAC_OVERRIDE)
    .union(CapabilitySet::KILL)
    .union(CapabilitySet::SETGID)
    .union(CapabilitySet::SETUID);

/// Why the agent, or the main command, cannot begin.
#[derive(Debug, Error)]
pub(crate) enum RoleError {
    #[error("the agent is started by takelage, as `serve` or `stdio`")]
    Usage,
    #[error("descriptor {number} is not what the agent expects")]
    Descriptor {
        number: i32,
        #[source]
        source: Errno,
    },
    #[error("the agent's configuration cannot be read")]
    Read(#[from] std::io::Error),
    #[error("the agent's configuration makes no sense")]
    Config(#[from] serde_json::Error),
    #[error("root lacks capabilities here, so what another user runs cannot be started")]
    Powerless,
    #[error("the sandbox cannot be made")]
    Sandbox(#[from] SandboxError),
    #[error("the main command cannot be started")]
    Unprepared(#[from] Unprepared),
    #[error("{message}")]
    NotStarted { message: String, status: Option<u8> },
    #[error("the system refuses")]
    System(#[from] Errno),
}

impl RoleError {
    /// Returns the status that a shell would give, if it is about the main command.
    pub(crate) fn status(&self) -> Option<u8> {
        match self {
            Self::NotStarted { status, .. } => *status,
            _ => None,
        }
    }
}

/// Serves whoever connects, as process 1 or beside it.
pub(crate) fn serve() -> Result<i32, RoleError> {
    let listener = inherited(LISTENER)?;
    rustix::io::ioctl_fionbio(&listener, true)?;
    let mut config = String::new();
    File::from(inherited(CONFIG)?).take(LONGEST_CONFIG).read_to_string(&mut config)?;
    let AgentConfig { main, init, sandbox } = serde_json::from_str(&config)?;
    // Nobody in the container may trace it, or open its descriptors.
    rustix::process::set_dumpable_behavior(DumpableBehavior::NotDumpable)?;
    let surroundings = surroundings(Some(Sandbox::new(&sandbox)?));
    // Before any fork: a main command that ends at once would else end unseen, and one that signals everybody at
    // once, as service managers do, would end the agent.
    let signals = Signals::new()?;
    let role = match (init, main) {
        (Init::Agent, None) => Role::Init(None),
        (Init::Agent, Some(main)) => Role::Init(Some(start(&main, &surroundings)?)),
        (Init::MainAsPid1, None) => return Err(Unprepared::NoCommand.into()),
        (Init::MainAsPid1, Some(main)) => {
            let prepared = Prepared::command(&main)?;
            if spawn::fork()?.is_some() {
                return Err(replace(&prepared, &surroundings));
            }
            // Whoever signals the session of process 1 does not mean the agent.
            rustix::process::setsid()?;
            Role::Beside
        }
    };
    raise_descriptors(&surroundings);
    let mut server = Server::new(signals, role, surroundings);
    server.listen(listener);
    Ok(server.run()?)
}

/// Serves the one on the other end of standard input and output.
///
/// Whoever is not root serves itself only. A root without the rights of one would serve some requests differently from
/// whoever has made the container, so it does not serve at all.
pub(crate) fn stdio() -> Result<i32, RoleError> {
    if rustix::process::geteuid().is_root() && !rustix::thread::capabilities(None)?.effective.contains(NEEDED)
    {
        return Err(RoleError::Powerless);
    }
    // It may have been started by a number; a list of processes shall say what it is.
    rustix::thread::set_name(c"takelage-agent")?;
    let input = rustix::io::fcntl_dupfd_cloexec(rustix::stdio::stdin(), 3)?;
    let output = rustix::io::fcntl_dupfd_cloexec(rustix::stdio::stdout(), 3)?;
    // Whatever else wants to read or write there is kept out of the conversation.
    let null = rustix::fs::open("/dev/null", OFlags::RDWR | OFlags::CLOEXEC, Mode::empty())?;
    rustix::stdio::dup2_stdin(&null)?;
    rustix::stdio::dup2_stdout(&null)?;
    rustix::io::ioctl_fionbio(&input, true)?;
    rustix::io::ioctl_fionbio(&output, true)?;
    let surroundings = surroundings(None);
    let signals = Signals::new()?;
    raise_descriptors(&surroundings);
    let mut server = Server::new(signals, Role::Guest, surroundings);
    server.welcome(Client::new(input, Some(output)));
    Ok(server.run()?)
}

/// Takes a descriptor that takelage has opened for the agent.
#[expect(unsafe_code, reason = "descriptors that were inherited have no owner yet")]
fn inherited(number: i32) -> Result<OwnedFd, RoleError> {
    // SAFETY: it is looked at only, and before anything here has opened a descriptor, so it is whoever's started the
    // agent.
    let borrowed = unsafe { rustix::fd::BorrowedFd::borrow_raw(number) };
    rustix::io::fcntl_setfd(borrowed, FdFlags::CLOEXEC)
        .map_err(|source| RoleError::Descriptor { number, source })?;
    // SAFETY: it is open, it was opened for the agent, and this is called once for each number.
    Ok(unsafe { OwnedFd::from_raw_fd(number) })
}

fn surroundings(sandbox: Option<Sandbox>) -> Surroundings {
    rustix::process::umask(Mode::from_raw_mode(UMASK));
    Surroundings { sandbox, descriptors: rustix::process::getrlimit(Resource::Nofile) }
}

/// Takes as many descriptors as there are: every command under way needs four.
fn raise_descriptors(surroundings: &Surroundings) {
    let Rlimit { maximum, .. } = surroundings.descriptors;
    let most = u64::from(MOST_DESCRIPTORS);
    let current = Some(maximum.map_or(most, |maximum| maximum.min(most)));
    // With fewer, fewer commands run at once.
    let _ = rustix::process::setrlimit(Resource::Nofile, Rlimit { current, maximum });
}

/// Starts the main command beside the agent.
fn start(main: &Command, surroundings: &Surroundings) -> Result<Pid, RoleError> {
    let prepared = Prepared::command(main)?;
    let Child { pid, report, .. } = surroundings.spawn(&prepared, Wanted::Inherited)?;
    rustix::io::ioctl_fionbio(&report, false)?;
    let mut said = Vec::new();
    File::from(report).read_to_end(&mut said)?;
    match Failure::decode(&said) {
        None => Ok(pid),
        Some(failure) => Err(not_started(&prepared, failure)),
    }
}

/// Becomes the main command. Returns only if that fails.
fn replace(prepared: &Prepared, surroundings: &Surroundings) -> RoleError {
    match surroundings.plan(prepared, Streams::Inherited, None).carry_out(None) {
        Ok(()) => RoleError::System(Errno::NOEXEC),
        Err((stage, errno)) => not_started(prepared, Failure { stage, errno }),
    }
}

fn not_started(prepared: &Prepared, failure: Failure) -> RoleError {
    let (status, message) = prepared.explain(failure);
    RoleError::NotStarted { message, status: status.ok().and_then(|status| u8::try_from(status).ok()) }
}
