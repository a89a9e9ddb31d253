//! What a command in a container may do: its capabilities, and a filter of system calls.
//!
//! Everything is made ready here, before the fork; [`Sandbox::enter`] then only calls the kernel.

mod calls;
mod filter;

use rustix::{
    io::Errno,
    thread::{self, CapabilitySet, CapabilitySets},
};
use seccompiler::BpfProgram;
use takelage_model::agent::{self, Seccomp};
use thiserror::Error;

use crate::child::Stage;

/// All capabilities that there are.
const ALL: &str = "ALL";

/// A sandbox that is ready to be entered.
#[derive(Debug)]
pub(crate) struct Sandbox {
    capabilities: CapabilitySet,
    filter: Option<BpfProgram>,
    no_new_privileges: bool,
}

/// A sandbox that cannot be.
#[derive(Debug, Error)]
pub(crate) enum SandboxError {
    #[error("there is no capability `{name}`")]
    UnknownCapability { name: String },
    #[error("the agent itself has no capability `{names}`, so it cannot give it")]
    MissingCapability { names: String },
    #[error("the filter of system calls cannot be compiled")]
    Filter(#[from] seccompiler::BackendError),
    #[error("the agent's own capabilities cannot be read")]
    Own(#[source] Errno),
}

impl Sandbox {
    /// Makes a sandbox ready.
    pub(crate) fn new(config: &agent::Sandbox) -> Result<Self, SandboxError> {
        let own = thread::capabilities(None).map_err(SandboxError::Own)?.permitted;
        let capabilities = capabilities(&config.capabilities, own)?;
        let filter = match config.seccomp {
            Seccomp::Docker => Some(filter::program(capabilities)?),
            Seccomp::None => None,
        };
        Ok(Self { capabilities, filter, no_new_privileges: config.no_new_privileges })
    }

    /// Applies what only somebody with all rights can apply, while the calling process still is that.
    ///
    /// After a fork: this neither allocates nor locks.
    pub(crate) fn enter(&self) -> Result<(), (Stage, Errno)> {
        if self.no_new_privileges {
            thread::set_no_new_privs(true).map_err(|errno| (Stage::NoNewPrivileges, errno))?;
        }
        if let Some(filter) = &self.filter {
            install(filter).map_err(|errno| (Stage::Filter, errno))?;
        }
        for number in 0..u64::BITS {
            let capability = CapabilitySet::from_bits_retain(1 << number);
            if self.capabilities.contains(capability) {
                continue;
            }
            match thread::remove_capability_from_bounding_set(capability) {
                Ok(()) => {}
                // Beyond the last that the kernel knows.
                Err(Errno::INVAL) => break,
                Err(errno) => return Err((Stage::Bounding, errno)),
            }
        }
        Ok(())
    }

    /// Takes the last rights away, once user and groups are set. Whoever is not root has none.
    ///
    /// After a fork: this neither allocates nor locks.
    pub(crate) fn seal(&self, root: bool) -> Result<(), (Stage, Errno)> {
        let own = if root { self.capabilities } else { CapabilitySet::empty() };
        let sets = CapabilitySets { effective: own, permitted: own, inheritable: CapabilitySet::empty() };
        let sealed =
            thread::clear_ambient_capability_set().and_then(|()| thread::set_capabilities(None, sets));
        sealed.map_err(|errno| (Stage::Capabilities, errno))
    }
}

/// Installs a filter without `no_new_privs`, which would make sudo powerless. That takes `CAP_SYS_ADMIN`.
#[expect(unsafe_code, reason = "the only way to install a filter without `no_new_privs` is the call itself")]
fn install(filter: &BpfProgram) -> Result<(), Errno> {
    let program = libc::sock_fprog {
        len: u16::try_from(filter.len()).map_err(|_| Errno::INVAL)?,
        filter: filter.as_ptr().cast::<libc::sock_filter>().cast_mut(),
    };
    // SAFETY: `program` points to `len` instructions of the layout that the kernel wants, which outlive the call. The
    // kernel only reads them.
    let result =
        unsafe { libc::syscall(libc::SYS_seccomp, libc::SECCOMP_SET_MODE_FILTER, 0, &raw const program) };
    if result == 0 { Ok(()) } else { Err(last_errno()) }
}

/// Returns the error of the last call through libc. Allocates nothing.
pub(crate) fn last_errno() -> Errno {
    Errno::from_io_error(&std::io::Error::last_os_error()).unwrap_or(Errno::IO)
}

fn capabilities(names: &[String], own: CapabilitySet) -> Result<CapabilitySet, SandboxError> {
    let mut capabilities = CapabilitySet::empty();
    for name in names {
        let upper = name.to_uppercase();
        let short = upper.strip_prefix("CAP_").unwrap_or(&upper);
        capabilities |= match CapabilitySet::from_name(short) {
            Some(capability) => capability,
            None if short == ALL => own,
            None => return Err(SandboxError::UnknownCapability { name: name.clone() }),
        };
    }
    let missing: Vec<_> = (capabilities - own).iter_names().map(|(name, _)| name).collect();
    if missing.is_empty() {
        return Ok(capabilities);
    }
    Err(SandboxError::MissingCapability { names: missing.join("`, `") })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(names: &[&str]) -> Result<CapabilitySet, SandboxError> {
        let names: Vec<_> = names.iter().map(|&name| name.to_owned()).collect();
        capabilities(&names, CapabilitySet::CHOWN | CapabilitySet::KILL | CapabilitySet::SYS_ADMIN)
    }

    #[test]
    fn capabilities_have_names() {
        assert_eq!(parsed(&[]).unwrap(), CapabilitySet::empty());
        let both = CapabilitySet::CHOWN | CapabilitySet::SYS_ADMIN;
        assert_eq!(parsed(&["CAP_CHOWN", "sys_admin", "CHOWN"]).unwrap(), both);
        assert_eq!(parsed(&["ALL"]).unwrap(), both | CapabilitySet::KILL);
        says(&parsed(&["FLY"]).unwrap_err(), "there is no capability `FLY`");
        let more = parsed(&["SYS_BOOT", "KILL", "SYS_TIME"]).unwrap_err();
        says(&more, "the agent itself has no capability `SYS_BOOT`, `SYS_TIME`, so it cannot give it");
    }

    fn says(error: &SandboxError, text: &str) {
        assert_eq!(error.to_string(), text);
    }

    #[test]
    fn dockers_capabilities_are_known() {
        let names = agent::DOCKER_CAPABILITIES.map(str::to_owned);
        // What `docker run` shows in `/proc/self/status`.
        assert_eq!(capabilities(&names, CapabilitySet::all()).unwrap().bits(), 0xa804_25fb);
    }
}
