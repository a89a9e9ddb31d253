//! Leaving the host's namespaces.

use std::io;

use rustix::{mount::MountPropagationFlags, thread::UnshareFlags};

/// Moves this process into new namespaces.
#[expect(unsafe_code, reason = "the function is unsafe for flags that are not used here")]
pub(super) fn unshare(flags: UnshareFlags) -> io::Result<()> {
    debug_assert!(!flags.contains(UnshareFlags::FILES));
    // SAFETY: only a table of descriptors that two threads share could become two different ones; this process has
    // one thread, and the flag is not used.
    Ok(unsafe { rustix::thread::unshare_unsafe(flags) }?)
}

/// Moves this process into a mount namespace of its own, from which nothing reaches the host's.
pub(super) fn unshare_mounts() -> io::Result<()> {
    unshare(UnshareFlags::NEWNS)?;
    let flags = MountPropagationFlags::PRIVATE | MountPropagationFlags::REC;
    Ok(rustix::mount::mount_change("/", flags)?)
}
