//! Kinds of files that provisioning leaves in an image.

use std::str::FromStr;

use serde::Serialize;

/// Kinds of files that provisioning leaves although no container needs them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Leftovers {
    /// What is made again when it is needed: of package managers, of users.
    Caches,
    /// What services and package managers have written down.
    Logs,
    /// What tells one machine from another, and would be the same in all containers: the machine's id, host keys, random seeds.
    Identity,
    /// Python's compiled modules.
    Bytecode,
    /// Temporary files, those of Ansible included.
    Temporary,
    /// Earlier versions of files, which tools keep beside them.
    Backups,
}

impl Leftovers {
    /// All kinds.
    pub const ALL: [Self; 6] =
        [Self::Caches, Self::Logs, Self::Identity, Self::Bytecode, Self::Temporary, Self::Backups];

    /// Returns the kind's name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Caches => "caches",
            Self::Logs => "logs",
            Self::Identity => "identity",
            Self::Bytecode => "bytecode",
            Self::Temporary => "temporary",
            Self::Backups => "backups",
        }
    }
}

/// A name that is none of a kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("there are no such leftovers")]
pub struct UnknownLeftovers;

impl FromStr for Leftovers {
    type Err = UnknownLeftovers;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        Self::ALL.into_iter().find(|kind| kind.name() == name).ok_or(UnknownLeftovers)
    }
}
