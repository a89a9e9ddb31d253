//! The files that Ansible reads, in the bridge's private directory.

use std::{
    io::{self, Write},
    os::unix::fs::{OpenOptionsExt, PermissionsExt},
    path::{Path, PathBuf},
};

use indexmap::IndexMap;
use serde_json::json;

use super::{Inventory, Playbook};
use crate::{pytest::Session, shim, toolchain::Toolchain};

/// The programs of Ansible that checks call by name.
const PROGRAMS: [&str; 3] = ["ansible", "ansible-inventory", "ansible-playbook"];

/// The input of one run, removed with the value.
pub(crate) struct Input {
    directory: tempfile::TempDir,
    pub(crate) shims: PathBuf,
}

impl Input {
    /// Writes the input of a playbook below `private`.
    pub(super) fn of_playbook(private: &Path, playbook: &Playbook) -> io::Result<Self> {
        let Playbook { inventory, project_root, config, roles_path, collections_path, .. } = playbook;
        let paths = [roles_path.as_slice(), collections_path];
        let input = Self::new(private, inventory, project_root, config, paths)?;
        private_file(&input.path("extra_vars.json"), &serde_json::to_vec(&playbook.extra_vars)?)?;
        Ok(input)
    }

    /// Writes what the Ansible that checks call needs, and programs that start it.
    pub(crate) fn of_checks(private: &Path, session: &Session, tools: &Toolchain) -> io::Result<Self> {
        let Session { inventory, project_root, config, roles_path, collections_path, .. } = session;
        let input = Self::new(private, inventory, project_root, config, [roles_path, collections_path])?;
        let bin = input.path("bin");
        fs_err::create_dir(&bin)?;
        let python = quote(&tools.ansible.python);
        let launcher = quote(&input.shims.join("launch_ansible.py"));
        for program in PROGRAMS {
            executable(&bin.join(program), &format!("{python} {launcher} {program}"))?;
        }
        let server = quote(&input.shims.join("serve_ansible.py"));
        executable(&input.path("serve-ansible"), &format!("{python} {server}"))?;
        Ok(input)
    }

    /// Returns the variable by which checks have these programs run in forks of one that is up, if they are made faster.
    pub(crate) fn variable(&self) -> (&'static str, PathBuf) {
        ("TAKELAGE_ANSIBLE", self.path("bin"))
    }

    fn new(
        private: &Path,
        inventory: &Inventory,
        root: &Path,
        config: &IndexMap<String, IndexMap<String, String>>,
        paths: [&[PathBuf]; 2],
    ) -> io::Result<Self> {
        let shims = shim::write(private)?;
        let directory = tempfile::Builder::new().prefix("input").tempdir_in(private)?;
        inventory.write(&directory.path().join("inventory"), root)?;
        let [roles, collections] =
            paths.map(|paths| paths.iter().map(|path| root.join(path)).collect::<Vec<_>>());
        let settings = serde_json::to_vec(
            &json!({ "config": config, "roles_path": roles, "collections_path": collections }),
        )?;
        private_file(&directory.path().join("settings.json"), &settings)?;
        Ok(Self { directory, shims })
    }

    /// Returns the path of one of the files.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }
}

/// Writes a file that only its owner can read.
fn private_file(path: &Path, content: &[u8]) -> io::Result<()> {
    let mut file = std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    file.write_all(content)
}

/// Writes a program that is a command with its arguments.
fn executable(path: &Path, command: &str) -> io::Result<()> {
    fs_err::write(path, format!("#!/bin/sh\nexec {command} \"$@\"\n"))?;
    fs_err::set_permissions(path, std::fs::Permissions::from_mode(0o700))
}

/// Quotes a path for the shell.
fn quote(path: &Path) -> String {
    format!("'{}'", path.to_string_lossy().replace('\'', r"'\''"))
}
