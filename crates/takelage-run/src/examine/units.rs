//! Units of systemd in an image.

use std::{collections::BTreeMap, path::Path};

use takelage_engine::FileKind;

use super::Tree;

/// Where units of packages and of the administrator are.
const DIRECTORIES: [&str; 3] = ["etc/systemd/system", "lib/systemd/system", "usr/lib/systemd/system"];
/// Kinds of units.
const KINDS: [&str; 8] = ["automount", "mount", "path", "service", "slice", "socket", "swap", "timer"];

/// Returns the units by name: `enabled`, `masked` or `there`.
pub(super) fn units(tree: &Tree) -> BTreeMap<String, String> {
    let mut units = BTreeMap::new();
    let is_unit = |path: &Path| {
        let kind = path.extension().and_then(|kind| kind.to_str());
        kind.is_some_and(|kind| KINDS.contains(&kind))
    };
    for (path, file) in tree.files().iter().filter(|(path, _)| is_unit(path)) {
        let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else { continue };
        let name = name.to_string_lossy().into_owned();
        let wants = parent.extension().is_some_and(|kind| kind == "wants" || kind == "requires");
        if wants && parent.parent() == Some(Path::new(DIRECTORIES[0])) {
            units.insert(name, "enabled");
        } else if DIRECTORIES.iter().any(|directory| parent == Path::new(directory)) {
            let is_masked = matches!(&file.kind, FileKind::Symlink(target) if target == "/dev/null");
            let state = units.entry(name).or_insert("there");
            if is_masked {
                *state = "masked";
            }
        }
    }
    units.into_iter().map(|(name, state)| (name, state.to_owned())).collect()
}
