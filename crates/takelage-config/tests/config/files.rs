//! A disk that exists in memory only.

use std::path::{Path, PathBuf};

use takelage_config::{ConfigError, Entry, Files, Project, Source};

/// Paths of files; directories follow from them.
#[derive(Default)]
pub(crate) struct Tree(Vec<PathBuf>);

impl Tree {
    pub(crate) fn new(files: &[&str]) -> Self {
        Self(files.iter().map(PathBuf::from).collect())
    }
}

impl Files for Tree {
    fn entry(&self, path: &Path) -> Option<Entry> {
        if self.0.iter().any(|file| file == path) {
            Some(Entry::File)
        } else {
            self.0.iter().any(|file| file.starts_with(path)).then_some(Entry::Directory)
        }
    }

    fn names(&self, directory: &Path) -> Vec<String> {
        let below = self.0.iter().filter_map(|file| file.strip_prefix(directory).ok()?.components().next());
        below.map(|name| name.as_os_str().to_string_lossy().into_owned()).collect()
    }
}

/// The project that most tests need.
pub(crate) fn project() -> Tree {
    Tree::new(&[
        "/project/takelage.yml",
        "/project/requirements.yml",
        "/project/base.tar",
        "/project/ansible/takelbase.yml",
        "/project/ansible/app.yml",
        "/project/ansible/playbook-system.yml",
        "/project/ansible/playbook-app.yml",
        "/project/ansible/hosts",
        "/project/ansible/roles/web/tasks/main.yml",
        "/project/tests/takelbase/test_base.py",
        "/project/tests/app/test_app.py",
        "/tests/test.py",
    ])
}

pub(crate) fn parse_with(text: &str, env: &dyn Fn(&str) -> Option<String>) -> Result<Project, ConfigError> {
    takelage_config::parse(&Source { file: Path::new("/project/takelage.yml"), text, files: &project() }, env)
}

pub(crate) fn parse_in(tree: &Tree, file: &str, text: &str) -> Result<Project, ConfigError> {
    takelage_config::parse(&Source { file: Path::new(file), text, files: tree }, &|_| None)
}

/// Parses a text that must be right.
pub(crate) fn parse(text: &str) -> Project {
    parse_with(text, &|_| None).unwrap_or_else(|error| panic!("{error}"))
}

/// Parses a text that must be wrong, and returns the listing of its problems.
pub(crate) fn problems(text: &str) -> String {
    match parse_with(text, &|_| None) {
        Ok(project) => panic!("no problem in {project:?}"),
        Err(error) => error.to_string(),
    }
}
