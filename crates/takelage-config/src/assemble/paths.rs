//! Paths that the project file names: resolved against the project's root and looked up.

use std::path::{Path, PathBuf};

use super::Assembly;
use crate::{Entry, error::Fault, suggestion};

/// What must be at a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Want {
    File,
    Directory,
    Either,
}

impl Assembly<'_> {
    /// Resolves a path without looking it up; `.` and repeated separators are taken out, `..` stays.
    pub(super) fn resolve(&self, path: &str) -> PathBuf {
        self.root.join(path).components().collect()
    }

    /// Resolves a path and reports it if it is not what it must be.
    pub(super) fn path(&mut self, path: &str, pointer: &str, want: Want) -> PathBuf {
        let resolved = self.resolve(path);
        let found = if path.is_empty() { None } else { self.source.files.entry(&resolved) };
        let message = match (found, want) {
            (Some(_), Want::Either)
            | (Some(Entry::File), Want::File)
            | (Some(Entry::Directory), Want::Directory) => {
                return resolved;
            }
            (Some(Entry::Directory), Want::File) => format!("`{path}` is a directory, but must be a file"),
            (Some(Entry::File), Want::Directory) => format!("`{path}` is a file, but must be a directory"),
            (None, Want::File) => format!("there is no file `{path}`"),
            (None, Want::Directory) => format!("there is no directory `{path}`"),
            (None, Want::Either) => format!("there is no file or directory `{path}`"),
        };
        let fault = Fault::new(self.marks.value(pointer), message);
        let near = found.is_none().then(|| self.near(path, &resolved)).flatten();
        self.faults.push(match near {
            Some(near) => Fault { message: format!("{}, did you mean `{near}`?", fault.message), ..fault },
            None if path.starts_with('~') => {
                fault.hint("write `${HOME}` in place of `~`, which only shells know")
            }
            None => fault,
        });
        resolved
    }

    /// Resolves a program: a path if it has a separator, which must exist, or else a name for `PATH`.
    pub(super) fn command(&mut self, command: &str, pointer: &str) -> PathBuf {
        if command.contains('/') { self.path(command, pointer, Want::File) } else { command.into() }
    }

    /// Returns `path` with its first wrong component replaced by a near name that exists.
    fn near(&self, path: &str, resolved: &Path) -> Option<String> {
        if path.is_empty() || path.starts_with('~') {
            return None;
        }
        let missing =
            resolved.ancestors().take_while(|path| self.source.files.entry(path).is_none()).last()?;
        let wrong = missing.file_name()?.to_str()?;
        let mut names = self.source.files.names(missing.parent()?);
        names.sort();
        let near = suggestion::nearest(wrong, names.iter().map(String::as_str))?;
        let candidate = missing.with_file_name(near).join(resolved.strip_prefix(missing).ok()?);
        self.source.files.entry(&candidate)?;
        let shown = if Path::new(path).is_absolute() {
            &candidate
        } else {
            candidate.strip_prefix(self.root).ok()?
        };
        Some(shown.to_string_lossy().into_owned())
    }
}
