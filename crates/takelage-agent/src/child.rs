//! What happens between the fork and the command: the child becomes what it shall be, and then somebody else.
//!
//! Nothing here allocates, locks or panics. All that is needed has been made ready by the parent, in the kernel's own
//! terms, and rustix calls the kernel directly. What goes wrong is told through the report pipe, which closes by itself
//! when another program begins.

use std::{
    ffi::{CString, c_char},
    os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd},
};

use rustix::{
    fs::{FileType, Mode, OFlags},
    io::Errno,
    pipe::SpliceFlags,
    process::{Pid, Resource, Rlimit, Signal},
};

use crate::{
    sandbox::{Sandbox, last_errno},
    signals,
    users::Identity,
};

/// At which step a child failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Stage {
    Session = 1,
    Streams,
    Directory,
    NoNewPrivileges,
    Filter,
    Bounding,
    Identity,
    Capabilities,
    Program,
    Open,
    Transfer,
    Mode,
}

impl Stage {
    const ALL: [Self; 12] = [
        Self::Session,
        Self::Streams,
        Self::Directory,
        Self::NoNewPrivileges,
        Self::Filter,
        Self::Bounding,
        Self::Identity,
        Self::Capabilities,
        Self::Program,
        Self::Open,
        Self::Transfer,
        Self::Mode,
    ];
}

/// Why a child failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Failure {
    pub(crate) stage: Stage,
    pub(crate) errno: Errno,
}

/// The agent never has more descriptors than this.
pub(crate) const MOST_DESCRIPTORS: u32 = 1 << 16;

/// How much goes from a pipe to a file or back at once, in bytes.
const SPLICED: usize = 1 << 20;

/// How long a failure is in the report pipe, in bytes.
pub(crate) const REPORT: usize = 5;

impl Failure {
    fn encode(self) -> [u8; REPORT] {
        let [a, b, c, d] = self.errno.raw_os_error().to_ne_bytes();
        [self.stage as u8, a, b, c, d]
    }

    /// Reads a failure out of a report. `None`: that is none.
    pub(crate) fn decode(report: &[u8]) -> Option<Self> {
        let &[stage, a, b, c, d] = report else { return None };
        let stage = Stage::ALL.into_iter().find(|known| *known as u8 == stage)?;
        Some(Self { stage, errno: Errno::from_raw_os_error(i32::from_ne_bytes([a, b, c, d])) })
    }
}

/// What a child shall become.
#[derive(Debug)]
pub(crate) struct Plan<'a> {
    pub(crate) work: &'a Work,
    pub(crate) identity: &'a Identity,
    pub(crate) cwd: &'a CString,
    pub(crate) streams: Streams<'a>,
    /// None where somebody else has made one around the agent.
    pub(crate) sandbox: Option<&'a Sandbox>,
    /// How many descriptors a command may have. The agent itself takes as many as it gets.
    pub(crate) descriptors: &'a Rlimit,
    /// The agent's own number, if the child shall end when the agent ends.
    pub(crate) bound: Option<Pid>,
}

/// What a child does.
#[derive(Debug)]
pub(crate) enum Work {
    /// Becomes another program.
    Program(Program),
    /// Copies its standard input into a file.
    Write { path: CString, mode: Option<u32> },
    /// Copies a file to its standard output.
    Read { path: CString },
}

/// A program with all that the kernel wants to know of it.
#[derive(Debug)]
pub(crate) struct Program {
    candidates: Vec<CString>,
    arguments: Strings,
    environment: Strings,
}

impl Program {
    /// The first of `candidates` that can be started is it.
    pub(crate) fn new(candidates: Vec<CString>, arguments: Vec<CString>, environment: Vec<CString>) -> Self {
        Self { candidates, arguments: Strings::new(arguments), environment: Strings::new(environment) }
    }

    /// Becomes the program. Returns only if that fails.
    #[expect(
        unsafe_code,
        reason = "executing a program after a fork has no safe function that does not allocate"
    )]
    fn execute(&self) -> Errno {
        let mut verdict = Errno::NOENT;
        for candidate in &self.candidates {
            // SAFETY: the path ends with a zero byte; both lists end with a null pointer, and what they point to is
            // owned by `self` and does not move.
            unsafe {
                libc::execve(
                    candidate.as_ptr(),
                    self.arguments.pointers.as_ptr(),
                    self.environment.pointers.as_ptr(),
                );
            }
            match last_errno() {
                Errno::NOENT | Errno::NOTDIR => {}
                // Another directory may have one that can be started.
                Errno::ACCESS => verdict = Errno::ACCESS,
                errno => return errno,
            }
        }
        verdict
    }
}

/// Strings as the kernel wants a list of them.
#[derive(Debug)]
struct Strings {
    _owned: Vec<CString>,
    pointers: Vec<*const c_char>,
}

impl Strings {
    fn new(owned: Vec<CString>) -> Self {
        let pointers = owned.iter().map(|string| string.as_ptr()).chain([std::ptr::null()]).collect();
        Self { _owned: owned, pointers }
    }
}

/// Where a child's three standard streams lead.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Streams<'a> {
    /// Standard input, output and error.
    Each([BorrowedFd<'a>; 3]),
    /// All to a terminal, which becomes the controlling one.
    Terminal(BorrowedFd<'a>),
    /// Where the agent's own lead.
    Inherited,
}

impl Plan<'_> {
    /// Carries out the plan in a child, and ends it.
    pub(crate) fn run(&self, report: &OwnedFd) -> ! {
        let status = match self.carry_out(Some(report)) {
            Ok(()) => 0,
            Err((stage, errno)) => {
                // The parent learns of the failure by the pipe, or by the status if that is gone.
                let _ = rustix::io::write(report, &Failure { stage, errno }.encode());
                1
            }
        };
        end(status)
    }

    /// Becomes what is planned. Returns when that is done, if it was no program.
    ///
    /// Of the agent's descriptors only the `report` stays open.
    pub(crate) fn carry_out(&self, report: Option<&OwnedFd>) -> Result<(), (Stage, Errno)> {
        self.begin().map_err(at(Stage::Session))?;
        self.connect().map_err(at(Stage::Streams))?;
        // Whoever copies a file would else keep its own input open, and that of others.
        let close_all = match report.map(|report| report.as_raw_fd().unsigned_abs()) {
            Some(report) => close(3, report - 1).and_then(|()| close(report + 1, u32::MAX)),
            None => close(3, u32::MAX),
        };
        close_all.map_err(at(Stage::Streams))?;
        // As root first, as Docker does it: the directory need not be one that the user can reach.
        let directory = rustix::process::chdir(self.cwd);
        if !matches!(directory, Ok(()) | Err(Errno::ACCESS)) {
            directory.map_err(at(Stage::Directory))?;
        }
        if let Some(sandbox) = self.sandbox {
            sandbox.enter()?;
        }
        self.identify().map_err(at(Stage::Identity))?;
        if let Some(sandbox) = self.sandbox {
            sandbox.seal(self.identity.uid.is_root())?;
        }
        if directory.is_err() {
            rustix::process::chdir(self.cwd).map_err(at(Stage::Directory))?;
        }
        if let Some(agent) = self.bound {
            let bound = rustix::process::set_parent_process_death_signal(Some(Signal::KILL));
            bound.map_err(at(Stage::Session))?;
            if rustix::process::getppid() != Some(agent) {
                // It ended before it could be said that this matters.
                return Err((Stage::Session, Errno::SRCH));
            }
        }
        match &self.work {
            Work::Program(program) => Err((Stage::Program, program.execute())),
            Work::Write { path, mode } => write_file(path, *mode),
            Work::Read { path } => read_file(path),
        }
    }

    /// A session of its own, and nothing that the agent set for itself.
    fn begin(&self) -> Result<(), Errno> {
        match rustix::process::setsid() {
            // Process 1 may lead one already.
            Ok(_) | Err(Errno::PERM) => {}
            Err(errno) => return Err(errno),
        }
        signals::set_default(libc::SIGPIPE)?;
        unblock_signals()?;
        rustix::process::setrlimit(Resource::Nofile, *self.descriptors)
    }

    fn connect(&self) -> Result<(), Errno> {
        let streams = match self.streams {
            Streams::Each(streams) => streams,
            Streams::Terminal(terminal) => {
                rustix::process::ioctl_tiocsctty(terminal)?;
                [terminal; 3]
            }
            Streams::Inherited => return self.own(),
        };
        rustix::stdio::dup2_stdin(streams[0])?;
        rustix::stdio::dup2_stdout(streams[1])?;
        rustix::stdio::dup2_stderr(streams[2])?;
        self.own()
    }

    /// Makes the streams the user's own, so that `/dev/stdout` can be opened. Files of others stay theirs.
    fn own(&self) -> Result<(), Errno> {
        for stream in [rustix::stdio::stdin(), rustix::stdio::stdout(), rustix::stdio::stderr()] {
            let about = rustix::fs::fstat(stream)?;
            let kind = FileType::from_raw_mode(about.st_mode);
            let terminal = kind == FileType::CharacterDevice && rustix::termios::isatty(stream);
            if (kind == FileType::Fifo || terminal) && about.st_uid != self.identity.uid.as_raw() {
                match rustix::fs::fchown(stream, Some(self.identity.uid), None) {
                    // In a user namespace it may be somebody's who is not in it.
                    Ok(()) | Err(Errno::PERM | Errno::INVAL) => {}
                    Err(errno) => return Err(errno),
                }
            }
        }
        Ok(())
    }

    fn identify(&self) -> Result<(), Errno> {
        let Identity { uid, gid, groups, .. } = self.identity;
        // An agent without rights can only be who it is, and then there is nothing to do.
        if !rustix::process::geteuid().is_root() && rustix::process::geteuid() == *uid {
            return Ok(());
        }
        rustix::thread::set_thread_groups(groups)?;
        rustix::thread::set_thread_res_gid(*gid, *gid, *gid)?;
        rustix::thread::set_thread_res_uid(*uid, *uid, *uid)
    }
}

fn at(stage: Stage) -> impl Fn(Errno) -> (Stage, Errno) {
    move |errno| (stage, errno)
}

/// Lets signals through: the agent blocks them.
#[expect(unsafe_code, reason = "rustix knows no signal sets")]
fn unblock_signals() -> Result<(), Errno> {
    // SAFETY: the set is initialised before it is used.
    let result = unsafe {
        let mut none = std::mem::zeroed();
        libc::sigemptyset(&raw mut none);
        libc::sigprocmask(libc::SIG_SETMASK, &raw const none, std::ptr::null_mut())
    };
    if result == 0 { Ok(()) } else { Err(last_errno()) }
}

/// Closes a range of descriptors.
#[expect(unsafe_code, reason = "descriptors that nobody owns here can be closed by number only")]
fn close(first: u32, last: u32) -> Result<(), Errno> {
    if first > last {
        return Ok(());
    }
    // SAFETY: the process is about to become another or to end, and uses none of its owned descriptors any more.
    if unsafe { libc::syscall(libc::SYS_close_range, first, last, 0) } == 0 {
        return Ok(());
    }
    match last_errno() {
        // Before Linux 5.9.
        Errno::NOSYS => {
            for fd in first..=last.min(MOST_DESCRIPTORS) {
                // SAFETY: as above.
                unsafe { libc::close(fd.cast_signed()) };
            }
            Ok(())
        }
        errno => Err(errno),
    }
}

/// Ends the process at once: nothing of the parent's is flushed twice.
#[expect(unsafe_code, reason = "a child must end without running what the parent would run at its end")]
fn end(status: i32) -> ! {
    // SAFETY: it takes no pointer and does not return.
    unsafe { libc::_exit(status) }
}

/// Writes a file as `cat >` does: what is there is truncated, and links are followed.
fn write_file(path: &CString, mode: Option<u32>) -> Result<(), (Stage, Errno)> {
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::TRUNC | OFlags::CLOEXEC | OFlags::NOCTTY;
    let file = rustix::fs::open(path, flags, Mode::from_raw_mode(0o666)).map_err(at(Stage::Open))?;
    copy(rustix::stdio::stdin(), file.as_fd())?;
    if let Some(mode) = mode {
        rustix::fs::fchmod(&file, Mode::from_raw_mode(mode)).map_err(at(Stage::Mode))?;
    }
    Ok(())
}

fn read_file(path: &CString) -> Result<(), (Stage, Errno)> {
    let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NOCTTY;
    let file = rustix::fs::open(path, flags, Mode::empty()).map_err(at(Stage::Open))?;
    let about = rustix::fs::fstat(&file).map_err(at(Stage::Open))?;
    if FileType::from_raw_mode(about.st_mode) == FileType::Directory {
        return Err((Stage::Open, Errno::ISDIR));
    }
    copy(file.as_fd(), rustix::stdio::stdout())
}

/// Copies all there is. One of both is a pipe.
fn copy(from: BorrowedFd<'_>, to: BorrowedFd<'_>) -> Result<(), (Stage, Errno)> {
    loop {
        match rustix::pipe::splice(from, None, to, None, SPLICED, SpliceFlags::empty()) {
            Ok(0) => return Ok(()),
            Ok(_) | Err(Errno::INTR) => {}
            // Not every file and device can do that.
            Err(Errno::INVAL) => return copy_bytes(from, to),
            Err(errno) => return Err((Stage::Transfer, errno)),
        }
    }
}

#[expect(
    clippy::large_stack_arrays,
    reason = "after a fork nothing may be allocated, and the stack is the parent's"
)]
fn copy_bytes(from: BorrowedFd<'_>, to: BorrowedFd<'_>) -> Result<(), (Stage, Errno)> {
    let mut buffer = [0; 1 << 16];
    loop {
        let count = match rustix::io::read(from, &mut buffer) {
            Ok(0) => return Ok(()),
            Ok(count) => count,
            Err(Errno::INTR) => continue,
            Err(errno) => return Err((Stage::Transfer, errno)),
        };
        let mut rest = buffer.get(..count).unwrap_or_default();
        while !rest.is_empty() {
            match rustix::io::write(to, rest) {
                Ok(written) => rest = rest.get(written..).unwrap_or_default(),
                Err(Errno::INTR) => {}
                Err(errno) => return Err((Stage::Transfer, errno)),
            }
        }
    }
}
