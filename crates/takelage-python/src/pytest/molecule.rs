//! What checks written for Molecule, and their plugins, find in their environment.

use std::{
    io,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
};

use super::Session;
use crate::ansible::INVENTORY_FILE;

/// Molecule's inventory in its ephemeral directory. pytest-takeltest writes one of `localhost` alone where it is missing.
const INVENTORY: &str = "inventory/ansible_inventory.yml";

/// Files that make a directory one of Molecule's scenarios.
const MARKS: [&str; 2] = ["molecule.yml", "converge.yml"];

/// Makes an ephemeral directory in `directory`, and returns Molecule's variables with their values.
///
/// The scenario's directory is that of the checks or the nearest above it that looks like one, if any. `inventory` is
/// the inventory that is there for other checks.
pub(super) fn environment(
    session: &Session,
    directory: &Path,
    inventory: PathBuf,
) -> io::Result<Vec<(&'static str, PathBuf)>> {
    session.inventory.write(&directory.join("inventory"), &session.project_root)?;
    symlink(INVENTORY_FILE, directory.join(INVENTORY))?;
    let mut variables =
        vec![("MOLECULE_INVENTORY_FILE", inventory), ("MOLECULE_EPHEMERAL_DIRECTORY", directory.to_owned())];
    variables.extend(scenario(session).map(|path| ("MOLECULE_SCENARIO_DIRECTORY", path)));
    Ok(variables)
}

fn scenario(session: &Session) -> Option<PathBuf> {
    let tests = session.project_root.join(&session.tests);
    let within = |path: &&Path| path.starts_with(&session.project_root);
    let is_one = |path: &&Path| MARKS.iter().any(|name| path.join(name).is_file());
    tests.ancestors().take_while(within).find(is_one).map(Path::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ansible::Inventory;

    #[test]
    fn the_scenario_is_above_the_checks_and_the_inventory_has_the_host() {
        let root = tempfile::tempdir().unwrap();
        let directory = root.path().join("roles/web/molecule/default");
        fs_err::create_dir_all(directory.join("tests")).unwrap();
        fs_err::create_dir(root.path().join("tests")).unwrap();
        fs_err::write(directory.join("converge.yml"), "[]").unwrap();
        let session = |tests: &str| Session {
            project_root: root.path().to_owned(),
            tests: tests.into(),
            inventory: Inventory::of("app", []),
            ..Session::default()
        };

        let ephemeral = root.path().join("ephemeral");
        let variables =
            environment(&session("roles/web/molecule/default/tests"), &ephemeral, "i".into()).unwrap();
        let expected = [
            ("MOLECULE_INVENTORY_FILE", PathBuf::from("i")),
            ("MOLECULE_EPHEMERAL_DIRECTORY", ephemeral.clone()),
            ("MOLECULE_SCENARIO_DIRECTORY", directory.clone()),
        ];
        assert_eq!(variables, expected);
        assert!(fs_err::read_to_string(ephemeral.join(INVENTORY)).unwrap().contains("takelage_host"));

        assert_eq!(scenario(&session("roles/web/molecule/default")), Some(directory));
        assert_eq!(scenario(&session("tests")), None);
    }
}
