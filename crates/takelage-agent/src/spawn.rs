//! Starts children.

use std::os::fd::{AsFd, OwnedFd};

use rustix::{
    fs::{FileType, Mode, OFlags},
    io::Errno,
    pipe::PipeFlags,
    process::{Pid, Rlimit},
    pty::OpenptFlags,
    termios::Winsize,
};
use takelage_model::agent::Size;

use crate::{
    child::{Plan, Streams},
    prepare::Prepared,
    sandbox::{Sandbox, last_errno},
};

/// What holds for every child.
#[derive(Debug)]
pub(crate) struct Surroundings {
    pub(crate) sandbox: Option<Sandbox>,
    pub(crate) descriptors: Rlimit,
}

/// The parent's ends of a child's streams.
#[derive(Debug, Default)]
pub(crate) struct Ends {
    pub(crate) input: Option<OwnedFd>,
    pub(crate) outputs: [Option<OwnedFd>; 2],
}

/// A child that was started.
#[derive(Debug)]
pub(crate) struct Child {
    pub(crate) pid: Pid,
    /// Closes when the child is somebody else, or gone; says before why it could not become that.
    pub(crate) report: OwnedFd,
    pub(crate) ends: Ends,
}

/// Which streams a child shall have.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Wanted {
    /// Pipes; the first one only if there is input.
    Pipes { input: bool, room: Room },
    /// A terminal.
    Terminal(Size),
    /// The agent's own.
    Inherited,
}

/// How much a pipe holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Room {
    /// What the kernel gives.
    Usual,
    /// More, for content that flows as fast as it can.
    Large,
}

/// How much a large pipe holds, in bytes.
const LARGE: usize = 1 << 19;

impl Surroundings {
    /// Starts a child.
    pub(crate) fn spawn(&self, prepared: &Prepared, wanted: Wanted) -> Result<Child, Errno> {
        match wanted {
            Wanted::Inherited => self.start(prepared, Streams::Inherited, Ends::default()),
            Wanted::Terminal(size) => {
                let (master, terminal) = terminal(size)?;
                let input = rustix::io::fcntl_dupfd_cloexec(&master, 3)?;
                let ends = Ends { input: Some(input), outputs: [Some(master), None] };
                self.start(prepared, Streams::Terminal(terminal.as_fd()), ends)
            }
            Wanted::Pipes { input, room } => {
                let (stdin, to_stdin) = if input {
                    let (stdin, to_stdin) = pipe(room)?;
                    rustix::io::ioctl_fionbio(&to_stdin, true)?;
                    (stdin, Some(to_stdin))
                } else {
                    (nothing()?, None)
                };
                let (from_stdout, stdout) = pipe(room)?;
                let (from_stderr, stderr) = pipe(Room::Usual)?;
                rustix::io::ioctl_fionbio(&from_stdout, true)?;
                rustix::io::ioctl_fionbio(&from_stderr, true)?;
                let ends = Ends { input: to_stdin, outputs: [Some(from_stdout), Some(from_stderr)] };
                let streams = [stdin.as_fd(), stdout.as_fd(), stderr.as_fd()];
                self.start(prepared, Streams::Each(streams), ends)
            }
        }
    }

    fn start(&self, prepared: &Prepared, streams: Streams<'_>, ends: Ends) -> Result<Child, Errno> {
        let (report, to_report) = rustix::pipe::pipe_with(PipeFlags::CLOEXEC)?;
        rustix::io::ioctl_fionbio(&report, true)?;
        let bound = (!matches!(streams, Streams::Inherited)).then(rustix::process::getpid);
        let plan = self.plan(prepared, streams, bound);
        let Some(pid) = fork()? else { plan.run(&to_report) };
        Ok(Child { pid, report, ends })
    }

    /// Says what a child has to become.
    pub(crate) fn plan<'a>(
        &'a self,
        prepared: &'a Prepared,
        streams: Streams<'a>,
        bound: Option<Pid>,
    ) -> Plan<'a> {
        Plan {
            work: &prepared.work,
            identity: &prepared.identity,
            cwd: &prepared.cwd,
            streams,
            sandbox: self.sandbox.as_ref(),
            descriptors: &self.descriptors,
            bound,
        }
    }
}

/// Forks. `None`: this is the child.
#[expect(unsafe_code, reason = "a fork has no safe function")]
pub(crate) fn fork() -> Result<Option<Pid>, Errno> {
    // SAFETY: the agent has one thread, so nothing is left locked or half written in the child.
    let pid = unsafe { libc::fork() };
    if pid < 0 { Err(last_errno()) } else { Ok(Pid::from_raw(pid)) }
}

/// Makes a pipe: the end to read from, and the one to write to.
fn pipe(room: Room) -> Result<(OwnedFd, OwnedFd), Errno> {
    let pipe = rustix::pipe::pipe_with(PipeFlags::CLOEXEC)?;
    if room == Room::Large {
        // With less it is slower.
        let _ = rustix::pipe::fcntl_setpipe_size(&pipe.0, LARGE);
    }
    Ok(pipe)
}

/// Opens what is always at its end: the null device, or a pipe that nobody writes to if the container's own device
/// is none.
fn nothing() -> Result<OwnedFd, Errno> {
    let flags = OFlags::RDWR | OFlags::CLOEXEC | OFlags::NONBLOCK | OFlags::NOCTTY;
    if let Ok(null) = rustix::fs::open("/dev/null", flags, Mode::empty()) {
        let about = rustix::fs::fstat(&null)?;
        let device = FileType::from_raw_mode(about.st_mode) == FileType::CharacterDevice;
        if device && about.st_rdev == rustix::fs::makedev(1, 3) {
            rustix::io::ioctl_fionbio(&null, false)?;
            return Ok(null);
        }
    }
    Ok(rustix::pipe::pipe_with(PipeFlags::CLOEXEC)?.0)
}

/// Makes a terminal: the end that it is controlled by, and the one that a command sees.
fn terminal(size: Size) -> Result<(OwnedFd, OwnedFd), Errno> {
    let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC;
    let master = rustix::pty::openpt(flags)?;
    rustix::pty::unlockpt(&master)?;
    let terminal = rustix::pty::ioctl_tiocgptpeer(&master, flags)?;
    resize(&master, size)?;
    rustix::io::ioctl_fionbio(&master, true)?;
    Ok((master, terminal))
}

/// Gives a terminal another size.
pub(crate) fn resize(master: impl AsFd, size: Size) -> Result<(), Errno> {
    let size = Winsize { ws_row: size.rows, ws_col: size.columns, ws_xpixel: 0, ws_ypixel: 0 };
    rustix::termios::tcsetwinsize(master, size)
}
