//! Hosts, groups and variables, as Ansible reads them.

use std::{
    io,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
};

use indexmap::{IndexMap, IndexSet};
use serde_json::{Map, Value, json};

/// Variables by name.
pub type Variables = IndexMap<String, Value>;

/// The hosts of a run: names that the bridge knows, with groups and variables.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Inventory {
    /// Host → its variables. Every host is a container of the bridge.
    pub hosts: IndexMap<String, Variables>,
    /// Group → what belongs to it. `all` may be among them, for its variables.
    pub groups: IndexMap<String, Group>,
    /// Name beside our own file → existing inventory file or directory, such as `hosts` or `group_vars`;
    /// relative to the project's root.
    pub links: IndexMap<String, PathBuf>,
}

/// A group of hosts.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Group {
    /// Its hosts.
    pub hosts: IndexSet<String>,
    /// Groups whose hosts are also its hosts.
    pub children: IndexSet<String>,
    /// Its variables.
    pub vars: Variables,
}

/// Our own file. Ansible reads a directory in alphabetical order, and what comes last wins.
pub(crate) const INVENTORY_FILE: &str = "zz-takelage.json";

impl Inventory {
    /// An inventory of one host that is in all of `groups`.
    pub fn of(host: impl Into<String>, groups: impl IntoIterator<Item = String>) -> Self {
        let host = host.into();
        let member = |name| (name, Group { hosts: IndexSet::from([host.clone()]), ..Group::default() });
        let groups = groups.into_iter().map(member).collect();
        Self { hosts: IndexMap::from([(host, Variables::new())]), groups, links: IndexMap::new() }
    }

    /// Writes it as a directory that `-i` takes. Links are resolved against `root`.
    pub(crate) fn write(&self, directory: &Path, root: &Path) -> io::Result<()> {
        fs_err::create_dir_all(directory)?;
        for (name, target) in &self.links {
            // A name with a slash would end up elsewhere; `file_name` is what Molecule's users mean by it.
            let name = Path::new(name).file_name().ok_or(io::ErrorKind::InvalidFilename)?;
            symlink(root.join(target), directory.join(name))?;
        }
        fs_err::write(directory.join(INVENTORY_FILE), serde_json::to_vec_pretty(&self.document())?)
    }

    /// Returns Ansible's YAML inventory, of which JSON is a part.
    fn document(&self) -> Value {
        let hosts: Map<String, Value> = self
            .hosts
            .iter()
            .map(|(name, vars)| {
                let mut all = Map::new();
                all.extend(vars.iter().map(|(key, value)| (key.clone(), value.clone())));
                all.insert("ansible_connection".into(), "takelage".into());
                all.entry("ansible_host").or_insert_with(|| name.as_str().into());
                all.insert("takelage_host".into(), name.as_str().into());
                (name.clone(), Value::Object(all))
            })
            .collect();
        let mut all = json!({ "hosts": hosts });
        let mut children = Map::new();
        for (name, group) in &self.groups {
            let mut content = Map::new();
            let empty = |names: &IndexSet<String>| -> Map<String, Value> {
                names.iter().map(|name| (name.clone(), Value::Null)).collect()
            };
            if !group.vars.is_empty() {
                content.insert("vars".into(), json!(group.vars));
            }
            if !group.children.is_empty() {
                content.insert("children".into(), empty(&group.children).into());
            }
            if name == "all" {
                if let Some(vars) = content.remove("vars") {
                    all["vars"] = vars;
                }
                continue;
            }
            if !group.hosts.is_empty() {
                content.insert("hosts".into(), empty(&group.hosts).into());
            }
            children.insert(name.clone(), Value::Object(content));
        }
        if !children.is_empty() {
            all["children"] = children.into();
        }
        json!({ "all": all })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_connection_wins_over_host_variables_and_the_host_keeps_its_address() {
        let mut inventory = Inventory::of("app", ["web".to_owned()]);
        inventory.hosts["app"].insert("ansible_connection".into(), "ssh".into());
        inventory.hosts["app"].insert("ansible_host".into(), "10.0.0.1".into());
        inventory
            .groups
            .insert("all".into(), Group { vars: [("a".into(), json!(1))].into(), ..Group::default() });
        inventory.groups.insert("top".into(), Group { children: ["web".into()].into(), ..Group::default() });
        let document = inventory.document();
        let host = &document["all"]["hosts"]["app"];
        assert_eq!(host["ansible_connection"], "takelage");
        assert_eq!((&host["ansible_host"], &host["takelage_host"]), (&json!("10.0.0.1"), &json!("app")));
        assert_eq!(document["all"]["vars"], json!({"a": 1}));
        assert_eq!(document["all"]["children"]["web"]["hosts"], json!({"app": null}));
        assert_eq!(document["all"]["children"]["top"]["children"], json!({"web": null}));
    }

    #[test]
    fn links_lie_beside_our_file() {
        let directory = tempfile::tempdir().unwrap();
        let mut inventory = Inventory::of("app", []);
        inventory.links.insert("group_vars".into(), "inventory/group_vars".into());
        inventory.write(&directory.path().join("i"), Path::new("/project")).unwrap();
        let link = fs_err::read_link(directory.path().join("i/group_vars")).unwrap();
        assert_eq!(link, Path::new("/project/inventory/group_vars"));
        assert!(directory.path().join("i").join(INVENTORY_FILE).is_file());
    }
}
