//! How roles and collections are installed that a scenario needs.

use std::path::PathBuf;

use indexmap::IndexMap;

use super::{Flags, OptionValue, Scenario, reader::Reader};

/// `dependency:`.
#[derive(Debug, Clone, PartialEq)]
pub struct Dependency {
    /// What installs them.
    pub name: DependencyName,
    /// Whether it is used at all.
    pub enabled: bool,
    /// The command line of `shell`.
    pub command: Option<String>,
    /// Flags of `ansible-galaxy`.
    pub options: Flags,
    /// Its environment. Molecule reads it and does not pass it on.
    pub env: IndexMap<String, String>,
}

/// What installs roles and collections.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DependencyName {
    /// `ansible-galaxy`.
    Galaxy,
    /// A command line.
    Shell,
}

impl DependencyName {
    /// Returns the name that files use.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Galaxy => "galaxy",
            Self::Shell => "shell",
        }
    }
}

impl Scenario {
    /// Returns the arguments of `ansible-galaxy` for roles and for collections, each with the file that it installs.
    ///
    /// The files that options name are relative to the project's directory, the default ones to the scenario's.
    pub fn galaxy_commands(&self) -> [(PathBuf, Vec<String>); 2] {
        let command = |words: &[&str], option: &str, other: &str, file: &str| {
            let mut options = Flags::default().text(option, self.directory.join(file).to_string_lossy());
            options.set("force", OptionValue::Flag(false));
            options = options.overridden_by(&self.dependency.options);
            options.remove(other);
            let verbosity = options.take_verbosity();
            let file = match options.get(option) {
                Some(OptionValue::Text(path)) => self.places.project.join(path),
                _ => self.directory.join(file),
            };
            let words = words.iter().map(|word| (*word).to_owned()).chain(options.arguments());
            let verbosity = (verbosity > 0).then(|| format!("-{}", "v".repeat(verbosity)));
            (file, words.chain(verbosity).collect())
        };
        [
            command(&["install"], "role-file", "requirements-file", "requirements.yml"),
            command(&["collection", "install"], "requirements-file", "role-file", "collections.yml"),
        ]
    }
}

pub(super) fn read(reader: &mut Reader<'_>) -> Dependency {
    reader.mostly("/dependency", &["name", "enabled", "command", "options", "env"]);
    let name = match reader.text("/dependency/name").as_deref() {
        None | Some("galaxy") => DependencyName::Galaxy,
        Some("shell") => DependencyName::Shell,
        Some(other) => {
            let message = format!("there is no dependency manager `{other}`");
            reader.refuse_with("/dependency/name", message, "use `galaxy` or `shell`");
            DependencyName::Galaxy
        }
    };
    Dependency {
        name,
        enabled: reader.boolean("/dependency/enabled").unwrap_or(true),
        command: reader.text("/dependency/command").filter(|command| !command.trim().is_empty()),
        options: Flags::read(reader, "/dependency/options"),
        env: reader.text_map("/dependency/env"),
    }
}
