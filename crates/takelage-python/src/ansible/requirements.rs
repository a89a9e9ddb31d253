//! Roles and collections that a project requires, kept beside the private environment.

use std::path::{Path, PathBuf};

use takelage_model::Digest;
use tokio::process::Command;
use tokio_util::sync::CancellationToken;

use super::AnsibleError;
use crate::{
    process::{Terminal, watch},
    shim,
    toolchain::{Say, Toolchain},
};

/// Where required roles and collections are, for [`Playbook`](super::Playbook).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Required {
    /// Goes into `roles_path`.
    pub roles: PathBuf,
    /// Goes into `collections_path`.
    pub collections: PathBuf,
}

/// Installs what a requirements file lists, once per content of the file and version of Ansible.
///
/// `ansible-galaxy` does it, in `root` and with the environment `env`, so the user's servers and logins count. The
/// result is kept below `private` and found again without network.
pub async fn require(
    tools: &Toolchain,
    file: &Path,
    root: &Path,
    private: &Path,
    env: &[(String, String)],
    cancel: &CancellationToken,
    say: Say<'_>,
) -> Result<Required, AnsibleError> {
    let input = |source| AnsibleError::Input { directory: private.to_owned(), source };
    let path = root.join(file);
    let content = fs_err::read(&path).map_err(|source| AnsibleError::Requirements {
        file: file.to_owned(),
        message: source.to_string(),
        output: String::new(),
    })?;
    let key = Digest::of([content.as_slice(), b"\n", tools.ansible_core.as_bytes()].concat());
    let parent = private.join("requirements-v1");
    let kept = parent.join(key.short());
    let required = Required { roles: kept.join("roles"), collections: kept.join("collections") };
    if kept.is_dir() {
        return Ok(required);
    }
    fs_err::create_dir_all(&parent).map_err(input)?;
    let work = tempfile::Builder::new().prefix("part").tempdir_in(&parent).map_err(input)?;
    let shims = shim::write(work.path()).map_err(input)?;
    let result = work.path().join("result");
    for kind in ["role", "collection"] {
        say(&format!("installing the {kind}s of `{}`", file.display()));
        let target = result.join(format!("{kind}s"));
        fs_err::create_dir_all(&target).map_err(input)?;
        let mut command = Command::new(&tools.ansible.python);
        command
            .arg(shims.join("launch_ansible.py"))
            .args(["ansible-galaxy", kind, "install", "-r"])
            .arg(&path)
            .arg("-p")
            .arg(&target)
            .current_dir(root)
            .env_clear()
            .envs(env.iter().map(|(name, value)| (name, value)))
            .envs(crate::toolchain::quiet())
            .envs(crate::toolchain::locale(env))
            .env("ANSIBLE_NOCOLOR", "1");
        let ended = watch(command, work.path().as_os_str(), Terminal::None, cancel, |_, _| {})
            .await
            .map_err(|source| AnsibleError::Start { program: tools.ansible.python.clone(), source })?;
        if ended.cancelled {
            return Err(AnsibleError::Cancelled);
        }
        if !ended.status.success() {
            let mut lines = ended.stderr.lines().filter(|line| !line.trim().is_empty());
            let message = lines.clone().find(|line| line.contains("ERROR")).or_else(|| lines.next_back());
            let message = message.unwrap_or("it said nothing");
            let (file, message) = (file.to_owned(), message.trim().to_owned());
            return Err(AnsibleError::Requirements { file, message, output: ended.stderr });
        }
    }
    match fs_err::rename(&result, &kept) {
        Ok(()) => Ok(required),
        // Another process was faster with the same.
        Err(_) if kept.is_dir() => Ok(required),
        Err(source) => Err(input(source)),
    }
}
