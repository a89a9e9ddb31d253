//! Which scenarios a project has, and which of them are meant.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use thiserror::Error;

use super::role::collection;
use crate::glob;

/// Where scenarios are, relative to the project: `*` stands for the scenario's name.
const PATTERN: &str = "molecule/*/molecule.yml";
/// Where they are in a collection, at any depth.
const COLLECTION: &str = "extensions/molecule";

/// A scenario that was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Discovered {
    /// What its place calls it.
    pub name: String,
    /// Its `molecule.yml`, absolute.
    pub file: PathBuf,
}

/// Which scenarios are meant.
#[derive(Debug, Clone, Default)]
pub struct Wanted {
    /// Names, or patterns with braces; all scenarios if there are none.
    pub names: Vec<String>,
    /// Names or patterns of those that are not meant after all.
    pub excluded: Vec<String>,
    /// `MOLECULE_GLOB`, in place of where scenarios are otherwise.
    pub glob: Option<String>,
}

/// No scenarios could be found.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum DiscoveryError {
    /// There are none at all.
    #[error("there is no scenario at `{pattern}` in `{}`", project.display())]
    None {
        /// Where they were looked for.
        pattern: String,
        /// The project.
        project: PathBuf,
    },
    /// A name matches none.
    #[error("there is no scenario `{name}`: `{pattern}` glob failed")]
    Unknown {
        /// The name or pattern.
        name: String,
        /// Where it was looked for.
        pattern: String,
        /// The scenarios there are.
        known: Vec<String>,
    },
    /// A name leads out of the project.
    #[error("`{name}` is no scenario's name: it leads out of the project")]
    Outside {
        /// The name.
        name: String,
    },
    /// Two scenarios go by one name.
    #[error("two scenarios go by the name `{name}`: `{}` and `{}`", first.display(), second.display())]
    Duplicate {
        /// The name.
        name: String,
        /// One of them.
        first: PathBuf,
        /// The other one.
        second: PathBuf,
    },
}

/// Finds scenarios of the project in `project`, in the order of the names, or else sorted by directory.
pub fn discover(project: &Path, wanted: &Wanted) -> Result<Vec<Discovered>, DiscoveryError> {
    let place = Place::of(project, wanted.glob.as_deref());
    let all = distinct(place.find(project, None))?;
    if all.is_empty() && wanted.names.is_empty() {
        return Err(DiscoveryError::None { pattern: place.pattern(), project: project.to_owned() });
    }
    let excluded =
        |name: &str| wanted.excluded.iter().any(|pattern| pattern == name || glob::matches(pattern, name));
    let mut found: Vec<Discovered> = Vec::new();
    if wanted.names.is_empty() {
        found = all;
    } else {
        for name in wanted.names.iter().filter(|name| !excluded(name)) {
            if name.starts_with('/') || name.contains("..") {
                return Err(DiscoveryError::Outside { name: name.clone() });
            }
            let matching = place.find(project, Some(name));
            if matching.is_empty() {
                let known = all.iter().map(|scenario| scenario.name.clone()).collect();
                let pattern = place.pattern().replacen('*', name, 1);
                return Err(DiscoveryError::Unknown { name: name.clone(), pattern, known });
            }
            for scenario in matching {
                if !found.iter().any(|known| known.file == scenario.file) {
                    found.push(scenario);
                }
            }
        }
    }
    let mut found = distinct(found)?;
    found.retain(|scenario| !excluded(&scenario.name));
    Ok(found)
}

fn distinct(found: Vec<Discovered>) -> Result<Vec<Discovered>, DiscoveryError> {
    let mut seen: BTreeMap<&str, &Path> = BTreeMap::new();
    for Discovered { name, file } in &found {
        if let Some(first) = seen.insert(name, file) {
            let (first, second) = (first.to_owned(), file.clone());
            return Err(DiscoveryError::Duplicate { name: name.clone(), first, second });
        }
    }
    Ok(found)
}

/// Where scenarios are.
enum Place {
    /// At a path with `*` in place of the name.
    Pattern(String),
    /// At any depth below a collection's directory.
    Collection,
}

impl Place {
    fn of(project: &Path, glob: Option<&str>) -> Self {
        match glob {
            Some(glob) if glob.starts_with(COLLECTION) && glob.contains("**") => Self::Collection,
            Some(glob) => Self::Pattern(glob.to_owned()),
            None if collection(project).is_some() && !project.join("molecule").exists() => Self::Collection,
            None => Self::Pattern(PATTERN.to_owned()),
        }
    }

    fn pattern(&self) -> String {
        match self {
            Self::Pattern(pattern) => pattern.clone(),
            Self::Collection => format!("{COLLECTION}/**/molecule.yml"),
        }
    }

    /// Returns the scenarios, or those whose names match `name`, sorted by directory.
    fn find(&self, project: &Path, name: Option<&str>) -> Vec<Discovered> {
        let mut found = Vec::new();
        match self {
            Self::Pattern(pattern) => {
                let pattern = name.map_or_else(|| pattern.clone(), |name| pattern.replace('*', name));
                // Names that begin with a dot count as well.
                for pattern in glob::unfold_braces(&pattern) {
                    let hidden = pattern.replace("/*/", "/.*/");
                    found.extend(glob::paths(project, &pattern));
                    if hidden != pattern {
                        found.extend(glob::paths(project, &hidden));
                    }
                }
            }
            Self::Collection => {
                let root = project.join(COLLECTION);
                let mut files = Vec::new();
                below(&root, &mut files);
                let patterns = name.map(glob::unfold_braces);
                found.extend(files.into_iter().filter(|file| {
                    let own = name_below(file, &root);
                    patterns.as_ref().is_none_or(|patterns| patterns.iter().any(|it| is_meant(it, &own)))
                }));
            }
        }
        found.retain(|file| file.is_file());
        found.sort_by(|a, b| a.parent().cmp(&b.parent()));
        found.dedup();
        found.into_iter().map(|file| Discovered { name: scenario_name(&file), file }).collect()
    }
}

/// Whether a pattern means the scenario of this name in a collection. A pattern also means all that is below what it
/// matches, a plain name only itself.
fn is_meant(pattern: &str, name: &str) -> bool {
    let (patterns, names): (Vec<&str>, Vec<&str>) = (pattern.split('/').collect(), name.split('/').collect());
    let deeper = pattern.contains(['*', '?', '[']) && names.len() > patterns.len();
    (deeper || names.len() == patterns.len())
        && patterns.iter().zip(&names).all(|(pattern, name)| glob::matches(pattern, name))
}

/// Returns what a scenario's place calls it: the path below a collection's scenarios, else its directory's name.
fn scenario_name(file: &Path) -> String {
    let directory = file.parent().unwrap_or(Path::new(""));
    let text = directory.to_string_lossy();
    if let Some((_, name)) = text.rsplit_once("extensions/molecule/") {
        return name.to_owned();
    }
    directory.file_name().map_or_else(|| "default".to_owned(), |name| name.to_string_lossy().into_owned())
}

fn name_below(file: &Path, root: &Path) -> String {
    let directory = file.parent().and_then(|directory| directory.strip_prefix(root).ok());
    directory.unwrap_or(Path::new("")).to_string_lossy().into_owned()
}

fn below(directory: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs_err::read_dir(directory).into_iter().flatten().flatten() {
        let path = entry.path();
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            below(&path, found);
        } else if entry.file_name() == "molecule.yml" {
            found.push(path);
        }
    }
}
