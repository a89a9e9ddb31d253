//! The revision of the project's sources, for the label `org.opencontainers.image.revision`.

use std::{fmt, path::Path, process::Stdio};

use tokio::process::Command;

/// A commit of the project's own version control.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Revision {
    commit: String,
    modified: bool,
}

impl Revision {
    /// Asks git for the revision of `root`. `None`: git is missing, or `root` is under no control of it.
    pub(crate) async fn of(root: &Path) -> Option<Self> {
        let commit = git(root, &["rev-parse", "--verify", "HEAD"]).await?;
        let modified = git(root, &["status", "--porcelain", "--", "."]).await?;
        Some(Self { commit, modified: !modified.is_empty() })
    }
}

impl fmt::Display for Revision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", self.commit, if self.modified { "-modified" } else { "" })
    }
}

async fn git(root: &Path, arguments: &[&str]) -> Option<String> {
    let output =
        Command::new("git").arg("-C").arg(root).args(arguments).stdin(Stdio::null()).output().await.ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    output.status.success().then(|| text.trim().to_owned())
}
