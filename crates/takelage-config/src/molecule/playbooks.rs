//! Which playbook an action runs.

use std::path::PathBuf;

use indexmap::IndexMap;
use serde_json::Value;

use super::{DriverKind, Scenario, reader::Reader};

/// The actions that have a playbook of their own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[expect(missing_docs, reason = "the names are Molecule's own")]
pub enum Section {
    Cleanup,
    Create,
    Converge,
    Destroy,
    Prepare,
    SideEffect,
    Verify,
}

impl Section {
    /// All sections.
    pub const ALL: [Self; 7] = [
        Self::Cleanup,
        Self::Create,
        Self::Converge,
        Self::Destroy,
        Self::Prepare,
        Self::SideEffect,
        Self::Verify,
    ];

    /// Returns the key below `playbooks`.
    pub const fn key(self) -> &'static str {
        match self {
            Self::Cleanup => "cleanup",
            Self::Create => "create",
            Self::Converge => "converge",
            Self::Destroy => "destroy",
            Self::Prepare => "prepare",
            Self::SideEffect => "side_effect",
            Self::Verify => "verify",
        }
    }
}

impl Scenario {
    /// Returns the absolute path of a section's playbook. `None`: there is none, and the action has nothing to do.
    ///
    /// The playbook of `converge` is returned whether it exists or not, because Ansible's complaint is the best there
    /// is; where it is missing, `playbook.yml` beside it will do, which it was called long ago.
    pub fn playbook(&self, section: Section) -> Option<PathBuf> {
        let path = self.path(self.ansible.playbooks.get(&section)?.as_deref()?);
        if path.exists() {
            return Some(path);
        }
        if section != Section::Converge {
            return None;
        }
        let old = path.with_file_name("playbook.yml");
        let fallback = path.file_name().is_some_and(|name| name == "converge.yml") && old.is_file();
        Some(if fallback { old } else { path })
    }
}

/// Reads `ansible.playbooks`. What stands below the driver's name wins: Molecule once had it so, and passes it over now.
pub(super) fn read(
    reader: &mut Reader<'_>,
    driver: &str,
    kind: DriverKind,
) -> IndexMap<Section, Option<String>> {
    let mut playbooks = IndexMap::new();
    // `delegated` and `default` are one driver under two names.
    let names: &[&str] = if kind == DriverKind::Default { &["default", "delegated"] } else { &[driver] };
    for section in Section::ALL {
        let mut at = format!("/ansible/playbooks/{}", section.key());
        for name in names {
            let own = format!("/ansible/playbooks/{name}/{}", section.key());
            if reader.merged.value.pointer(&own).is_some() {
                at = own;
            }
        }
        let written = reader.merged.value.pointer(&at).is_some_and(|value| *value != Value::Null);
        let playbook = reader.text(&at).map(|path| path.trim().to_owned()).filter(|path| !path.is_empty());
        if written && playbook.is_none() {
            reader.note(&at, format!("`{}` names no playbook", section.key()), None);
        }
        playbooks.insert(section, playbook);
    }
    playbooks
}
