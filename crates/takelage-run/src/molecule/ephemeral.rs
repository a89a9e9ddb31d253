//! The ephemeral directory: what Molecule generates for Ansible, pytest and playbooks.
//!
//! ```text
//! molecule.yml                       the merged scenario
//! ansible.cfg
//! inventory/ansible_inventory.yml    the instances
//! inventory/{hosts,host_vars,group_vars}   of the scenario's inventory, or links to what it names
//! ```

use std::{os::unix::fs::symlink, path::Path};

use fs_err as fs;
use serde_json::{Map, Value};
use takelage_config::molecule::{Connections, Scenario};

use crate::{StoreError, store::write_whole};

const HEADER: &str = "# Molecule managed\n";

/// Names in the inventory that are made anew each time.
const GENERATED: [&str; 3] = ["hosts", "host_vars", "group_vars"];

/// Writes everything.
pub(super) fn write(scenario: &Scenario, connections: &Connections) -> Result<(), StoreError> {
    let directory = &scenario.places.ephemeral;
    let inventory = scenario.places.inventory();
    yaml(&directory.join("molecule.yml"), &scenario.merged)?;
    write_whole(&directory.join("ansible.cfg"), scenario.ansible_cfg_text().as_bytes())?;
    yaml(&inventory.join("ansible_inventory.yml"), &scenario.inventory(connections))?;
    for name in GENERATED {
        remove(&inventory.join(name))?;
    }
    let own = &scenario.provisioner.inventory;
    if !own.links.is_empty() {
        for (name, target) in &own.links {
            let link = inventory.join(name);
            // As Molecule spells it: a link may lead through another one on its way up.
            let target = scenario.directory.join(target);
            if !target.exists() {
                let source = std::io::ErrorKind::NotFound.into();
                return Err(StoreError { what: format!("link `{name}` to `{}`", target.display()), source });
            }
            remove(&link)?;
            symlink(&target, &link)
                .map_err(|source| StoreError { what: format!("write `{}`", link.display()), source })?;
        }
        return Ok(());
    }
    if !own.hosts.is_empty() {
        yaml(&inventory.join("hosts"), &Value::Object(own.hosts.clone()))?;
    }
    variables(&inventory.join("host_vars"), &own.host_vars)?;
    variables(&inventory.join("group_vars"), &own.group_vars)
}

/// Lets a scenario find how the instances of `owner` are reached, where both have directories of their own.
pub(super) fn share(scenario: &Scenario, owner: &Scenario) -> Result<(), StoreError> {
    let link = scenario.places.instance_config();
    if scenario.places.ephemeral == owner.places.ephemeral || link.symlink_metadata().is_ok() {
        return Ok(());
    }
    let failed = |source| StoreError { what: format!("write `{}`", link.display()), source };
    fs::create_dir_all(&scenario.places.ephemeral).map_err(failed)?;
    symlink(owner.places.instance_config(), &link).map_err(failed)
}

fn variables(directory: &Path, files: &Map<String, Value>) -> Result<(), StoreError> {
    files.iter().try_for_each(|(name, content)| yaml(&directory.join(name), content))
}

/// Writes a value as YAML, of which JSON is a part that every reader agrees on.
fn yaml(path: &Path, value: &Value) -> Result<(), StoreError> {
    write_whole(path, format!("{HEADER}---\n{value:#}\n").as_bytes())
}

fn remove(path: &Path) -> Result<(), StoreError> {
    let removed = match path.symlink_metadata() {
        Ok(metadata) if metadata.is_dir() => fs::remove_dir_all(path),
        Ok(_) => fs::remove_file(path),
        Err(_) => Ok(()),
    };
    removed.map_err(|source| StoreError { what: format!("remove `{}`", path.display()), source })
}

/// Removes what was generated, but for what later commands need and the scenario declares safe.
pub(super) fn prune(scenario: &Scenario) -> Result<(), StoreError> {
    let places = &scenario.places;
    let kept = [
        places.state.clone(),
        places.ephemeral.join("ansible.cfg"),
        places.inventory().join("ansible_inventory.yml"),
    ];
    let safe = |path: &Path| kept.contains(&path.to_owned()) || scenario.is_safe(path);
    empty(&places.ephemeral, &safe)
        .map_err(|source| StoreError { what: format!("prune `{}`", places.ephemeral.display()), source })
}

fn empty(directory: &Path, safe: &dyn Fn(&Path) -> bool) -> std::io::Result<()> {
    for entry in fs::read_dir(directory)? {
        let path = entry?.path();
        if path.symlink_metadata()?.is_dir() {
            empty(&path, safe)?;
            // It may hold what is safe.
            let _ = fs::remove_dir(&path);
        } else if !safe(&path) {
            fs::remove_file(&path)?;
        }
    }
    Ok(())
}
