//! What provisioning leaves in an image although no container of it needs that.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use serde::Serialize;
use takelage_engine::{ArchiveError, FileKind};
use takelage_model::Leftovers;

use super::Tree;

/// A file of an image's own layers that no container of it needs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Leftover {
    /// What it is.
    pub what: Leftovers,
    /// Its path, from the root.
    pub path: PathBuf,
    /// Its length in bytes.
    pub size: u64,
}

/// Returns what is left in the layers from `base_layers` on, by kind and path.
pub(super) fn leftovers(
    image: &Tree,
    base_layers: usize,
    owners: &BTreeMap<PathBuf, String>,
) -> Result<Vec<Leftover>, ArchiveError> {
    let own =
        image.files().iter().filter(|(_, file)| file.layer >= base_layers && file.kind == FileKind::File);
    let mut found = Vec::new();
    // What a package brings is no leftover, wherever it lies.
    for (path, file) in own.filter(|(path, _)| !owners.contains_key(*path)) {
        let Some(what) = kind(path, file.size) else { continue };
        if what == Leftovers::Identity && is_unset(image, path)? {
            continue;
        }
        found.push(Leftover { what, path: Path::new("/").join(path), size: file.size });
    }
    found.sort_by(|one, other| (one.what, &one.path).cmp(&(other.what, &other.path)));
    Ok(found)
}

/// Whether it is the id of a machine that gets one when it starts.
fn is_unset(image: &Tree, path: &Path) -> Result<bool, ArchiveError> {
    let is_id = path.file_name().is_some_and(|name| name == "machine-id");
    let text = if is_id { image.text(path)? } else { None };
    Ok(text.is_some_and(|text| matches!(text.trim(), "" | "uninitialized")))
}

fn kind(path: &Path, size: u64) -> Option<Leftovers> {
    let words: Vec<&str> = path.iter().map(|word| word.to_str().unwrap_or_default()).collect();
    let name = *words.last()?;
    let home = match words.as_slice() {
        ["root", rest @ ..] | ["home", _, rest @ ..] => rest,
        _ => &[],
    };
    let is_bytecode = path.extension().is_some_and(|kind| kind == "pyc" || kind == "pyo");
    Some(match (words.as_slice(), home) {
        (["tmp" | "run", ..] | ["var", "tmp", ..], _) | (_, [".ansible", ..]) => Leftovers::Temporary,
        // apt's lock and a log that was emptied have nothing in them.
        (["var", "cache" | "log", ..] | ["var", "lib", "apt", "lists", ..], _) if size == 0 => return None,
        (["var", "cache", ..] | ["var", "lib", "apt", "lists", ..], _) | (_, [".cache", ..]) => {
            Leftovers::Caches
        }
        (["var", "log", ..], _) => Leftovers::Logs,
        (
            ["etc", "machine-id"]
            | ["var", "lib", "dbus", "machine-id"]
            | ["var", "lib", "systemd", "random-seed"],
            _,
        ) => Leftovers::Identity,
        (["etc", "ssh", key], _) if key.starts_with("ssh_host_") => Leftovers::Identity,
        _ if is_bytecode || words.contains(&"__pycache__") => Leftovers::Bytecode,
        (["var", "lib", "dpkg", _] | ["var", "backups", _], _) if name.ends_with("-old") => {
            Leftovers::Backups
        }
        (["etc", "passwd-" | "group-" | "shadow-" | "gshadow-" | "subuid-" | "subgid-"], _) => {
            Leftovers::Backups
        }
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn leftovers_are_told_by_where_they_lie() {
        for (path, what) in [
            ("var/cache/apt/archives/a.deb", Some("caches")),
            ("root/.cache/pip/http/1", Some("caches")),
            ("home/bob/.cache/x", Some("caches")),
            ("var/log/dpkg.log", Some("logs")),
            ("etc/machine-id", Some("identity")),
            ("etc/ssh/ssh_host_rsa_key.pub", Some("identity")),
            ("usr/lib/python3/dist-packages/__pycache__/six.cpython-311.pyc", Some("bytecode")),
            ("root/.ansible/tmp/x", Some("temporary")),
            ("tmp/x", Some("temporary")),
            ("var/lib/dpkg/status-old", Some("backups")),
            ("etc/passwd-", Some("backups")),
            ("etc/passwd", None),
            ("home/bob/cache/x", None),
            ("srv/tmp/x", None),
        ] {
            assert_eq!(kind(Path::new(path), 1).map(Leftovers::name), what, "{path}");
        }
        assert_eq!(kind(Path::new("var/log/empty"), 0), None);
    }
}
