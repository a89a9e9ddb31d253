//! From a directory to a project: the search for the file, the reading, and the stages one after the other.

use std::{
    collections::HashSet,
    path::{Path, PathBuf, absolute},
    sync::Arc,
};

use crate::{
    ConfigError, Problem, Project, assemble, document,
    error::Fault,
    interpolation::{Interpolated, interpolate},
    position::Position,
    settings, shape,
    yaml::{self, Duplicates},
};

/// The project file's name.
pub const FILE_NAME: &str = "takelage.yml";

/// A longer file is no project file: 1 MiB.
const LENGTH: usize = 1 << 20;

/// The text of a project file, and what is around it.
#[derive(Clone, Copy)]
pub struct Source<'a> {
    /// Where the text is from. Its directory is the project's root.
    pub file: &'a Path,
    /// The text as written.
    pub text: &'a str,
    /// How to see whether a path that the text names exists.
    pub files: &'a dyn Files,
}

impl std::fmt::Debug for Source<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Source").field("file", &self.file).field("text", &self.text).finish_non_exhaustive()
    }
}

/// What a path is, symbolic links followed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Entry {
    /// A file, or anything else that is no directory.
    File,
    /// A directory.
    Directory,
}

/// The little that the check of a project file must know of the disk.
pub trait Files {
    /// Says what is at `path`, if anything.
    fn entry(&self, path: &Path) -> Option<Entry>;
    /// Returns the names in `directory`, in any order; none if it cannot be read.
    fn names(&self, directory: &Path) -> Vec<String>;
}

/// The disk itself.
#[derive(Debug, Clone, Copy)]
pub struct Disk;

impl Files for Disk {
    fn entry(&self, path: &Path) -> Option<Entry> {
        let metadata = fs_err::metadata(path).ok()?;
        Some(if metadata.is_dir() { Entry::Directory } else { Entry::File })
    }

    fn names(&self, directory: &Path) -> Vec<String> {
        let entries = fs_err::read_dir(directory).into_iter().flatten().flatten();
        entries.filter_map(|entry| entry.file_name().into_string().ok()).collect()
    }
}

/// Finds the project file: `takelage.yml` in `start` or the nearest directory above it.
///
/// A file of that name that holds settings of the Ruby takelage is [`ConfigError::Settings`].
pub fn find(start: &Path) -> Result<PathBuf, ConfigError> {
    let start = absolute(start)
        .map_err(|source| ConfigError::Read { file: start.into(), source: Arc::new(source) })?;
    let Some(file) = start.ancestors().map(|directory| directory.join(FILE_NAME)).find(|file| file.is_file())
    else {
        return Err(ConfigError::NotFound { start });
    };
    if settings::recognise(&text(&file)?) { Err(ConfigError::Settings { file }) } else { Ok(file) }
}

/// Reads and checks a project file. `env` gives the values of environment variables.
pub fn load(file: &Path, env: &dyn Fn(&str) -> Option<String>) -> Result<Project, ConfigError> {
    // Paths of the project must hold wherever the program goes.
    let file =
        absolute(file).map_err(|source| ConfigError::Read { file: file.into(), source: Arc::new(source) })?;
    parse(&Source { file: &file, text: &text(&file)?, files: &Disk }, env)
}

/// Checks the text of a project file; see [`load`]. It touches nothing but what `source` brings along.
pub fn parse(source: &Source<'_>, env: &dyn Fn(&str) -> Option<String>) -> Result<Project, ConfigError> {
    if settings::recognise(source.text) {
        return Err(ConfigError::Settings { file: source.file.to_owned() });
    }
    check(source, env).map_err(|mut faults| {
        faults.sort_by(|a, b| (a.at, &a.message).cmp(&(b.at, &b.message)));
        faults.dedup();
        let problems: Vec<Problem> =
            faults.into_iter().map(|fault| fault.into_problem(source.file.to_owned())).collect();
        ConfigError::Problems { problems }
    })
}

fn check(source: &Source<'_>, env: &dyn Fn(&str) -> Option<String>) -> Result<Project, Vec<Fault>> {
    if source.text.len() > LENGTH {
        return Err(vec![Fault::new(Position::START, "the file is longer than 1 MiB")]);
    }
    // A byte order mark is not text.
    let (text, faults) = interpolate(source.text.strip_prefix('\u{feff}').unwrap_or(source.text), env);
    let project = understand(source, &text);
    if faults.is_empty() {
        return project;
    }
    // A wrong placeholder, left as it is, may be no YAML or have no meaning: it is reported once.
    let spoilt: HashSet<usize> = faults.iter().map(|fault| fault.at.line).collect();
    let others = project.err().unwrap_or_default();
    Err(others.into_iter().filter(|fault| !spoilt.contains(&fault.at.line)).chain(faults).collect())
}

fn understand(source: &Source<'_>, text: &Interpolated) -> Result<Project, Vec<Fault>> {
    let yaml::Document { value, marks, mut faults } =
        yaml::read(&text.text, Duplicates::Refused, &|index| text.locate(index));
    let Some(mut value) = value else { return Err(faults) };
    faults.extend(shape::check(&mut value, &marks));
    let document: document::Document = match serde_json::from_value(value) {
        Ok(document) => document,
        Err(_) if !faults.is_empty() => return Err(faults),
        Err(error) => return Err(vec![Fault::new(Position::START, error.to_string())]),
    };
    let (project, found) = assemble::project(source, &marks, document);
    faults.extend(found);
    match project {
        Some(project) if faults.is_empty() => Ok(project),
        _ => Err(faults),
    }
}

fn text(file: &Path) -> Result<String, ConfigError> {
    let refuse = |source| ConfigError::Read { file: file.to_owned(), source: Arc::new(source) };
    fs_err::read_to_string(file).map_err(refuse)
}
