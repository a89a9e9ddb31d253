//! Signals, read one after the other like everything else.

use std::os::fd::{AsFd, BorrowedFd, FromRawFd, OwnedFd};

use rustix::{io::Errno, process::Pid};

use crate::sandbox::last_errno;

/// The signals that the agent reads. The others mean that it is broken, or cannot be had.
#[derive(Debug)]
pub(crate) struct Signals {
    fd: OwnedFd,
}

/// Signals by which the kernel says that this very process is at fault.
const FAULTS: [i32; 7] =
    [libc::SIGSEGV, libc::SIGBUS, libc::SIGFPE, libc::SIGILL, libc::SIGTRAP, libc::SIGABRT, libc::SIGSYS];

/// The last signal there is.
const LAST: i32 = 64;

impl Signals {
    /// From now on no signal interrupts anything. A child has to undo this.
    #[expect(unsafe_code, reason = "rustix knows neither signal sets nor descriptors for them")]
    pub(crate) fn new() -> Result<Self, Errno> {
        // Whoever started the agent may have left something ignored.
        for number in 1..=LAST {
            set_default(number)?;
        }
        // SAFETY: the set is initialised before it is used, and all pointers are to it. A descriptor that is returned
        // belongs to nobody else.
        unsafe {
            // A write that nobody reads has to fail.
            libc::signal(libc::SIGPIPE, libc::SIG_IGN);
            let mut set = std::mem::zeroed();
            libc::sigfillset(&raw mut set);
            for fault in FAULTS {
                libc::sigdelset(&raw mut set, fault);
            }
            if libc::sigprocmask(libc::SIG_SETMASK, &raw const set, std::ptr::null_mut()) != 0 {
                return Err(last_errno());
            }
            let fd = libc::signalfd(-1, &raw const set, libc::SFD_CLOEXEC | libc::SFD_NONBLOCK);
            if fd < 0 { Err(last_errno()) } else { Ok(Self { fd: OwnedFd::from_raw_fd(fd) }) }
        }
    }

    /// Takes the next signal: its number, and the process that sent it, if one did.
    pub(crate) fn next(&self) -> Option<(i32, Option<Pid>)> {
        let mut about = [0; size_of::<libc::signalfd_siginfo>()];
        loop {
            match rustix::io::read(&self.fd, &mut about) {
                Ok(_) => {
                    // Words: number, error, code, sender.
                    let (words, _) = about.as_chunks();
                    let [number, _, _, sender, ..] = *words else { return None };
                    return Some((i32::from_ne_bytes(number), Pid::from_raw(i32::from_ne_bytes(sender))));
                }
                Err(Errno::INTR) => {}
                Err(_) => return None,
            }
        }
    }
}

/// Gives a signal its default. libc would leave two alone, which it uses itself and which are inherited all the same.
#[expect(unsafe_code, reason = "libc's own function does not reach all signals")]
pub(crate) fn set_default(number: i32) -> Result<(), Errno> {
    // Handler, flags, restorer and mask, as the kernel has them: all zero is the default.
    let default = [0_u64; 4];
    let none = std::ptr::null_mut::<u64>();
    // SAFETY: the kernel reads no more than these, and writes nothing.
    let result =
        unsafe { libc::syscall(libc::SYS_rt_sigaction, number, default.as_ptr(), none, size_of::<u64>()) };
    match if result == 0 { Ok(()) } else { Err(last_errno()) } {
        // The two that nobody can change.
        Err(Errno::INVAL) => Ok(()),
        result => result,
    }
}

impl AsFd for Signals {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

/// Whether a signal asks somebody to do something, so that it is passed on.
pub(crate) fn is_request(number: i32) -> bool {
    !matches!(number, libc::SIGCHLD | libc::SIGPIPE | libc::SIGTTIN | libc::SIGTTOU | libc::SIGTSTP)
}

/// Whether a signal asks to end.
pub(crate) fn asks_to_end(number: i32) -> bool {
    matches!(number, libc::SIGTERM | libc::SIGINT | libc::SIGQUIT | libc::SIGHUP)
        || number == libc::SIGRTMIN() + 3
}

/// Sends a signal.
#[expect(unsafe_code, reason = "rustix sends no real-time signals")]
pub(crate) fn send(to: Pid, number: i32) -> Result<(), Errno> {
    // SAFETY: it takes no pointers.
    let result = unsafe { libc::kill(to.as_raw_nonzero().get(), number) };
    if result == 0 { Ok(()) } else { Err(last_errno()) }
}
