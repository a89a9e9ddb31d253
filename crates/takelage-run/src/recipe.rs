//! What an image is made from, in one digest: equal recipes make equal images, as far as takelage can see.
//!
//! This is the coarse question "is the image out of date?", asked of a whole image at a time. It errs on the
//! side of making it again: any change in the project's directory counts, whether the image uses it or not.
//!
//! | in the recipe | why |
//! | --- | --- |
//! | id of the base image | everything before matters |
//! | the image's keys in the project file, rendered | what to run, with which variables, to which metadata |
//! | path, mode and content of every file of the project, of roles outside it, and of what links lead to | playbooks, roles, templates, vars |
//! | variables of the environment that a file of the project mentions by name, and `ANSIBLE_*` | `lookup('env', …)` |
//! | versions of takelage, ansible-core and Python | another version, another effect |
//!
//! Left out on purpose: modification times, owners and absolute paths, which differ between equal checkouts;
//! version control's own files, byte code and pytest's cache, which no playbook reads. Not seen: what playbooks
//! fetch from the network or read outside the project. That is why a recipe only counts for `cache.max_age`.

use std::{
    collections::{BTreeMap, BTreeSet},
    io::Read as _,
    os::unix::{ffi::OsStrExt as _, fs::PermissionsExt as _},
    path::{Path, PathBuf},
};

use fs_err as fs;
use sha2::{Digest as _, Sha256};
use takelage_model::Digest;
use thiserror::Error;

/// Directories that never are an image's input.
const PASSED_OVER: [&str; 6] = [".git", ".hg", ".svn", "__pycache__", ".pytest_cache", ".ruff_cache"];

/// A file of the project cannot be read.
#[derive(Debug, Error)]
#[error("cannot read the project's file `{path}`")]
pub struct RecipeError {
    /// The file.
    pub path: PathBuf,
    /// Why.
    #[source]
    pub source: std::io::Error,
}

/// The files of a project, read once per run.
#[derive(Debug)]
pub struct ProjectFiles {
    digest: Digest,
    /// Words that could be names of environment variables.
    words: BTreeSet<String>,
}

impl ProjectFiles {
    /// Reads everything below `roots`.
    pub fn read(roots: &[PathBuf]) -> Result<Self, RecipeError> {
        let real = roots.iter().filter_map(|root| root.canonicalize().ok()).collect();
        let mut reader = Reader { hash: Sha256::new(), words: BTreeSet::new(), roots: real };
        for root in roots {
            reader.directory(root, root)?;
        }
        Ok(Self { digest: Digest::from_bytes(reader.hash.finalize().into()), words: reader.words })
    }

    /// Returns those variables of `environment` that could reach the result.
    fn relevant<'a>(&self, environment: &'a BTreeMap<String, String>) -> BTreeMap<&'a str, &'a str> {
        let reaches = |name: &str| name.starts_with("ANSIBLE_") || self.words.contains(name);
        environment
            .iter()
            .filter(|(name, _)| reaches(name))
            .map(|(name, value)| (name.as_str(), value.as_str()))
            .collect()
    }
}

/// The named parts of a recipe.
#[derive(Debug)]
pub(crate) struct Recipe<'a> {
    /// The id of the base image.
    pub base: String,
    /// The image's keys, rendered.
    pub settings: String,
    /// The project's files.
    pub files: &'a ProjectFiles,
    /// The environment that Ansible will see.
    pub environment: &'a BTreeMap<String, String>,
    /// Program → version.
    pub versions: BTreeMap<&'static str, String>,
}

impl Recipe<'_> {
    /// Digests the recipe.
    pub(crate) fn digest(&self) -> Digest {
        let mut hash = Sha256::new();
        field(&mut hash, b"takelage image recipe 2");
        field(&mut hash, self.base.as_bytes());
        field(&mut hash, self.settings.as_bytes());
        field(&mut hash, self.files.digest.to_string().as_bytes());
        for (name, value) in self.files.relevant(self.environment) {
            field(&mut hash, name.as_bytes());
            field(&mut hash, value.as_bytes());
        }
        for (program, version) in &self.versions {
            field(&mut hash, program.as_bytes());
            field(&mut hash, version.as_bytes());
        }
        Digest::from_bytes(hash.finalize().into())
    }
}

/// Adds one value with its length in front, so that no two lists of values give the same bytes.
fn field(hash: &mut Sha256, value: &[u8]) {
    hash.update((value.len() as u64).to_le_bytes());
    hash.update(value);
}

struct Reader {
    hash: Sha256,
    words: BTreeSet<String>,
    /// What is read or will be, with all links resolved.
    roots: Vec<PathBuf>,
}

impl Reader {
    fn directory(&mut self, root: &Path, directory: &Path) -> Result<(), RecipeError> {
        let failed = |source| RecipeError { path: directory.to_owned(), source };
        let mut entries =
            fs::read_dir(directory).and_then(Iterator::collect::<Result<Vec<_>, _>>).map_err(failed)?;
        entries.sort_by_key(fs::DirEntry::file_name);
        for entry in entries {
            let path = entry.path();
            let kind = entry.file_type().map_err(|source| RecipeError { path: path.clone(), source })?;
            if kind.is_dir() && PASSED_OVER.iter().any(|name| entry.file_name() == *name) {
                continue;
            }
            self.entry(root, &path, kind).map_err(|source| RecipeError { path: path.clone(), source })?;
            if kind.is_dir() {
                self.directory(root, &path)?;
            } else if kind.is_symlink() {
                self.behind(&path)?;
            }
        }
        Ok(())
    }

    fn entry(&mut self, root: &Path, path: &Path, kind: std::fs::FileType) -> std::io::Result<()> {
        let name = path.strip_prefix(root).unwrap_or(path);
        field(&mut self.hash, name.as_os_str().as_bytes());
        if kind.is_symlink() {
            field(&mut self.hash, b"link");
            field(&mut self.hash, fs::read_link(path)?.as_os_str().as_bytes());
        } else if kind.is_dir() {
            field(&mut self.hash, b"directory");
            self.mode(&fs::metadata(path)?);
        } else if kind.is_file() {
            self.content(path)?;
        }
        Ok(())
    }

    fn content(&mut self, path: &Path) -> std::io::Result<()> {
        let mut file = fs::File::open(path)?;
        field(&mut self.hash, b"file");
        self.mode(&file.metadata()?);
        let mut content = Vec::new();
        file.read_to_end(&mut content)?;
        field(&mut self.hash, &content);
        self.words.extend(words(&content));
        Ok(())
    }

    /// Modules copy modes where they are asked to preserve them.
    fn mode(&mut self, metadata: &std::fs::Metadata) {
        field(&mut self.hash, &(metadata.permissions().mode() & 0o7777).to_le_bytes());
    }

    /// Reads what a link leads to, unless that is read anyway: roles are often links to another checkout.
    fn behind(&mut self, link: &Path) -> Result<(), RecipeError> {
        // A link to nowhere is an input as such.
        let Ok(target) = link.canonicalize() else { return Ok(()) };
        if self.roots.iter().any(|root| target.starts_with(root)) {
            return Ok(());
        }
        self.roots.push(target.clone());
        if target.is_dir() {
            self.directory(&target, &target)
        } else if target.is_file() {
            self.content(&target).map_err(|source| RecipeError { path: target, source })
        } else {
            Ok(())
        }
    }
}

/// Finds words of the form of an environment variable's name, at least two characters long.
fn words(content: &[u8]) -> impl Iterator<Item = String> + '_ {
    content
        .split(|byte| !(byte.is_ascii_alphanumeric() || *byte == b'_'))
        .filter(|word| (2..=128).contains(&word.len()) && !word[0].is_ascii_digit())
        .map(|word| String::from_utf8_lossy(word).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn digest(root: &Path, environment: &[(&str, &str)]) -> Digest {
        let files = ProjectFiles::read(&[root.to_owned()]).unwrap();
        let environment =
            environment.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        let recipe = Recipe {
            base: "sha256:0".to_owned(),
            settings: "playbook: site.yml".to_owned(),
            files: &files,
            environment: &environment,
            versions: BTreeMap::new(),
        };
        recipe.digest()
    }

    fn project() -> tempfile::TempDir {
        let root = tempfile::tempdir().unwrap();
        fs::write(root.path().join("site.yml"), "msg: \"{{ lookup('env', 'LAST') }}\"").unwrap();
        fs::create_dir(root.path().join("files")).unwrap();
        fs::write(root.path().join("files/a"), "a").unwrap();
        root
    }

    #[test]
    fn equal_checkouts_have_equal_recipes() {
        assert_eq!(digest(project().path(), &[]), digest(project().path(), &[]));
    }

    #[test]
    fn every_input_counts() {
        let root = project();
        let path = root.path();
        let mut seen = vec![digest(path, &[])];
        let mut expect_new = |digest: Digest, what: &str| {
            assert!(!seen.contains(&digest), "{what}");
            seen.push(digest);
        };
        expect_new(digest(path, &[("LAST", "1")]), "a variable that a file mentions");
        expect_new(digest(path, &[("ANSIBLE_FORKS", "1")]), "Ansible's own variable");
        fs::write(path.join("files/a"), "b").unwrap();
        expect_new(digest(path, &[]), "content");
        fs::set_permissions(path.join("files/a"), std::fs::Permissions::from_mode(0o640)).unwrap();
        expect_new(digest(path, &[]), "mode");
        fs::rename(path.join("files/a"), path.join("files/c")).unwrap();
        expect_new(digest(path, &[]), "name");
        std::os::unix::fs::symlink("c", path.join("files/d")).unwrap();
        expect_new(digest(path, &[]), "link");
        fs::create_dir(path.join("files/empty")).unwrap();
        expect_new(digest(path, &[]), "a directory without files");
        let outside = tempfile::tempdir().unwrap();
        fs::write(outside.path().join("main.yml"), "1").unwrap();
        std::os::unix::fs::symlink(outside.path(), path.join("role")).unwrap();
        expect_new(digest(path, &[]), "a link to the outside");
        fs::write(outside.path().join("main.yml"), "2").unwrap();
        expect_new(digest(path, &[]), "what a link leads to");
        std::os::unix::fs::symlink(path, outside.path().join("back")).unwrap();
        expect_new(digest(path, &[]), "a circle of links");
    }

    #[test]
    fn what_no_playbook_reads_does_not_count() {
        let root = project();
        let before = digest(root.path(), &[]);
        fs::create_dir(root.path().join(".git")).unwrap();
        fs::write(root.path().join(".git/index"), "x").unwrap();
        assert_eq!(digest(root.path(), &[("TERM", "xterm")]), before);
    }
}
