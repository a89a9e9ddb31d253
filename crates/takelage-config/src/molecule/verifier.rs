//! What checks the instances.

use std::path::{Path, PathBuf};

use indexmap::IndexMap;

use super::{Flags, Scenario, reader::Reader};
use crate::glob;

/// `verifier:`.
#[derive(Debug, Clone, PartialEq)]
pub struct Verifier {
    /// Which one.
    pub name: VerifierName,
    /// Whether it is used at all.
    pub enabled: bool,
    /// Flags of pytest.
    pub options: Flags,
    /// Its environment, beyond Ansible's.
    pub env: IndexMap<String, String>,
    /// Where pytest's checks are, absolute.
    pub directory: PathBuf,
    /// Patterns of further checks, relative to that directory.
    pub additional: Vec<String>,
}

/// Which verifier.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum VerifierName {
    /// A playbook.
    Ansible,
    /// pytest with testinfra.
    Testinfra,
}

impl VerifierName {
    /// Returns the name that files use.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Ansible => "ansible",
            Self::Testinfra => "testinfra",
        }
    }
}

impl Scenario {
    /// Returns the files and directories that pytest is given, sorted; none if there are no checks.
    ///
    /// Without arguments these are all `test_*.py` below the verifier's directory, links followed, and whatever the
    /// additional patterns match. An argument that is a file is taken as it is; Molecule finds nothing in it.
    pub fn tests(&self, arguments: &[String]) -> Vec<String> {
        let mut tests = Vec::new();
        for argument in arguments {
            let path = self.directory.join(argument);
            if path.is_file() { tests.push(path) } else { walk(&path, &mut Vec::new(), &mut tests) }
        }
        if arguments.is_empty() {
            walk(&self.verifier.directory, &mut Vec::new(), &mut tests);
            for pattern in &self.verifier.additional {
                tests.extend(glob::paths(&self.verifier.directory, pattern));
            }
        }
        let mut tests: Vec<String> =
            tests.into_iter().map(|path| path.to_string_lossy().into_owned()).collect();
        tests.sort();
        tests
    }
}

/// Collects the files of checks below `directory`. `above` are the directories on the way, links resolved: a link to
/// one of them would lead round in circles.
fn walk(directory: &Path, above: &mut Vec<PathBuf>, found: &mut Vec<PathBuf>) {
    let Ok(real) = fs_err::canonicalize(directory) else { return };
    if above.contains(&real) {
        return;
    }
    above.push(real);
    for entry in fs_err::read_dir(directory).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.is_dir() {
            walk(&path, above, found);
        } else if entry.file_name().to_str().is_some_and(|name| glob::matches("test_*.py", name)) {
            found.push(path);
        }
    }
    above.pop();
}

pub(super) fn read(reader: &mut Reader<'_>, directory: &Path) -> Verifier {
    reader.only("/verifier", &["name", "enabled", "options", "env", "directory", "additional_files_or_dirs"]);
    let name = match reader.text("/verifier/name").as_deref() {
        None | Some("ansible") => VerifierName::Ansible,
        Some("testinfra") => VerifierName::Testinfra,
        Some(other) => {
            let message = format!("there is no verifier `{other}`");
            reader.refuse_with("/verifier/name", message, "use `ansible` or `testinfra`");
            VerifierName::Ansible
        }
    };
    let tests = reader.text("/verifier/directory").unwrap_or_else(|| "tests".to_owned());
    Verifier {
        name,
        enabled: reader.boolean("/verifier/enabled").unwrap_or(true),
        options: Flags::read(reader, "/verifier/options"),
        env: reader.text_map("/verifier/env"),
        directory: directory.join(tests),
        additional: reader.texts("/verifier/additional_files_or_dirs"),
    }
}
