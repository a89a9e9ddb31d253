//! Which interpreter each host needed first when its project was last worked on: it starts while Ansible does.
//!
//! The file lies among the payloads, which are the oldest first to go when there are too many.

use std::{
    collections::BTreeMap,
    io::{self, Write as _},
    os::unix::ffi::OsStrExt as _,
    path::{Path, PathBuf},
    sync::{Mutex, PoisonError},
};

use serde::{Deserialize, Serialize};
use takelage_model::Digest;

/// How an interpreter is started.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Start {
    pub(super) user: Option<String>,
    pub(super) argv: Vec<String>,
}

/// What is known of a project's hosts.
#[derive(Debug)]
pub(super) struct Ahead {
    path: PathBuf,
    before: BTreeMap<String, Start>,
    now: Mutex<BTreeMap<String, Start>>,
}

impl Ahead {
    /// Reads what is known of the project at `root`, in the directory of the payloads. A damaged file counts as none.
    pub(super) fn read(payloads: &Path, root: &Path) -> Self {
        let digest = Digest::of(root.as_os_str().as_bytes());
        let path = payloads.join("v1").join(format!("ahead-{}", digest.hex()));
        let before = fs_err::read(&path).ok().and_then(|text| serde_json::from_slice(&text).ok());
        Self { path, before: before.unwrap_or_default(), now: Mutex::default() }
    }

    /// Returns how the interpreter is started that a host is likely to need.
    pub(super) fn of(&self, host: &str) -> Option<&Start> {
        self.before.get(host)
    }

    /// Notes which interpreter a host needs. The first one counts.
    pub(super) fn note(&self, host: &str, start: Start) {
        let mut now = self.now.lock().unwrap_or_else(PoisonError::into_inner);
        now.entry(host.to_owned()).or_insert(start);
    }

    /// Writes down what was noted. Where that cannot be, it costs nothing but time.
    pub(super) fn write(&self) {
        let now = self.now.lock().unwrap_or_else(PoisonError::into_inner);
        let all: BTreeMap<_, _> = self.before.iter().chain(now.iter()).collect();
        if now.iter().all(|(host, start)| self.before.get(host) == Some(start)) {
            return;
        }
        if let Err(error) = self.replace(&serde_json::to_vec(&all).unwrap_or_default()) {
            tracing::debug!(%error, "which interpreters are needed is not kept");
        }
    }

    fn replace(&self, text: &[u8]) -> io::Result<()> {
        // Whoever keeps payloads in it makes it, for its owner only.
        let directory = self.path.parent().unwrap_or(Path::new("."));
        let mut file = tempfile::NamedTempFile::new_in(directory)?;
        file.write_all(text)?;
        file.persist(&self.path).map_err(|error| error.error)?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_interpreter_of_each_host_is_known_again() {
        let payloads = tempfile::tempdir().unwrap();
        fs_err::create_dir(payloads.path().join("v1")).unwrap();
        let read = || Ahead::read(payloads.path(), Path::new("/project"));
        let start = |program: &str| Start { user: None, argv: vec![program.to_owned()] };
        let first = read();
        assert_eq!(first.of("app"), None);
        first.note("app", start("python3"));
        first.note("app", start("python2"));
        first.write();
        let second = read();
        assert_eq!(second.of("app"), Some(&start("python3")));
        second.note("other", start("python3"));
        second.write();
        assert!(["app", "other"].iter().all(|host| read().of(host).is_some()));
        assert_eq!(Ahead::read(payloads.path(), Path::new("/another")).of("app"), None);
        fs_err::write(&second.path, "{").unwrap();
        assert_eq!(read().of("app"), None);
    }
}
