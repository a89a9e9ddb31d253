//! What is remembered of a scenario between commands.
//!
//! A YAML file, as Molecule has it, with its own keys: `created`, `prepared`, `converged` and `driver`.

use std::path::Path;

use fs_err as fs;
use serde::{Deserialize, Serialize};

use crate::{StoreError, store::write_whole};

/// How far a scenario is.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct State {
    /// Whether `converge` succeeded.
    pub converged: bool,
    /// Whether the instances were made.
    pub created: bool,
    /// The driver that made them.
    pub driver: Option<String>,
    /// Whether `prepare` succeeded, or had nothing to do.
    pub prepared: bool,
}

impl State {
    /// Reads it; what is damaged or not there is a scenario of which nothing is known.
    pub fn read(path: &Path) -> Self {
        let text = fs::read_to_string(path).unwrap_or_default();
        let lines: Vec<&str> = text.lines().filter(|line| !line.starts_with(['#', '-'])).collect();
        serde_json::from_str(&lines.join("\n")).unwrap_or_default()
    }

    /// Writes it. JSON is YAML as well.
    pub fn write(&self, path: &Path) -> Result<(), StoreError> {
        let failed = |source| StoreError { what: format!("write `{}`", path.display()), source };
        let json = serde_json::to_string_pretty(self).map_err(|error| failed(error.into()))?;
        write_whole(path, format!("# Molecule managed\n---\n{json}\n").as_bytes())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_comes_back_as_it_was_and_damage_is_none() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("deep/state.yml");
        assert_eq!(State::read(&path), State::default());
        let state = State { created: true, driver: Some("docker".into()), ..State::default() };
        state.write(&path).unwrap();
        assert_eq!(State::read(&path), state);
        fs::write(&path, "{").unwrap();
        assert_eq!(State::read(&path), State::default());
    }
}
