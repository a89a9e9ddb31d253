//! Where Ansible is configured to look for roles, collections and modules: the variables, else the project's
//! `ansible.cfg`, else Ansible's own defaults. The generated `ansible.cfg` takes the place of the project's, so what it
//! says of paths has to be handed over in the environment.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

/// Where Ansible looks, in its order.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct SearchPaths {
    pub(super) roles: Vec<PathBuf>,
    pub(super) collections: Vec<PathBuf>,
    pub(super) library: Vec<PathBuf>,
    /// Whether Ansible would look for roles elsewhere with the generated `ansible.cfg` alone.
    pub(super) roles_differ: bool,
}

impl SearchPaths {
    /// Returns what is configured. `home` is the user's home directory.
    pub(super) fn configured(
        project: &Path,
        environment: &BTreeMap<String, String>,
        home: Option<&Path>,
    ) -> Self {
        let (file, settings) = config(project, environment, home);
        let expand = |path: &str, relative_to: &Path| -> PathBuf {
            match (path.strip_prefix("~/"), home) {
                (Some(rest), Some(home)) => home.join(rest),
                _ => relative_to.join(path),
            }
        };
        let below = file.as_deref().and_then(Path::parent).unwrap_or(project);
        let ansible = environment.get("ANSIBLE_HOME").map(|path| expand(path, project));
        let ansible = ansible.or_else(|| settings.get("home").map(|path| expand(path, below)));
        let ansible = ansible.or_else(|| home.map(|home| home.join(".ansible"))).unwrap_or_default();
        let paths = |variable: &str, keys: &[&str], defaults: &[&str]| -> Vec<PathBuf> {
            let list = |text: &str, relative_to: &Path| -> Vec<PathBuf> {
                let parts = text.split(':').filter(|part| !part.is_empty());
                parts.map(|part| expand(part.trim(), relative_to)).collect()
            };
            if let Some(text) = environment.get(variable) {
                return list(text, project);
            }
            if let Some(text) = keys.iter().find_map(|key| settings.get(*key)) {
                return list(text, below);
            }
            defaults.iter().map(|path| ansible.join(path)).collect()
        };
        Self {
            roles_differ: settings.contains_key("roles_path"),
            roles: paths(
                "ANSIBLE_ROLES_PATH",
                &["roles_path"],
                &["roles", "/usr/share/ansible/roles", "/etc/ansible/roles"],
            ),
            collections: paths(
                "ANSIBLE_COLLECTIONS_PATH",
                &["collections_path", "collections_paths"],
                &["collections", "/usr/share/ansible/collections"],
            ),
            library: paths(
                "ANSIBLE_LIBRARY",
                &["library"],
                &["plugins/modules", "/usr/share/ansible/plugins/modules"],
            ),
        }
    }
}

impl SearchPaths {
    /// Has roles looked for in `place` first.
    pub(super) fn roles_in(&mut self, place: PathBuf) {
        self.roles.insert(0, place);
        self.roles_differ = true;
    }
}

/// Joins paths as variables have them.
pub(super) fn joined(paths: &[PathBuf]) -> String {
    let mut texts: Vec<String> = Vec::new();
    for path in paths {
        let text = path.to_string_lossy().into_owned();
        if !texts.contains(&text) {
            texts.push(text);
        }
    }
    texts.join(":")
}

/// Returns the configuration file that Ansible would read here, and its section `defaults`.
fn config(
    project: &Path,
    environment: &BTreeMap<String, String>,
    home: Option<&Path>,
) -> (Option<PathBuf>, BTreeMap<String, String>) {
    let named = environment.get("ANSIBLE_CONFIG").map(|path| project.join(path));
    let named = named.map(|path| if path.is_dir() { path.join("ansible.cfg") } else { path });
    let candidates = [
        named,
        Some(project.join("ansible.cfg")),
        home.map(|home| home.join(".ansible.cfg")),
        Some(PathBuf::from("/etc/ansible/ansible.cfg")),
    ];
    let Some(file) = candidates.into_iter().flatten().find(|path| path.is_file()) else {
        return (None, BTreeMap::new());
    };
    let text = fs_err::read_to_string(&file).unwrap_or_default();
    (Some(file), defaults(&text))
}

fn defaults(text: &str) -> BTreeMap<String, String> {
    let mut settings = BTreeMap::new();
    let mut inside = false;
    for line in text.lines() {
        let line = line.split(" ;").next().unwrap_or_default().trim();
        if line.starts_with(['#', ';']) {
            continue;
        }
        if let Some(section) = line.strip_prefix('[') {
            inside = section.trim_end_matches(']').trim() == "defaults";
        } else if inside && let Some((key, value)) = line.split_once(['=', ':']) {
            settings.insert(key.trim().to_lowercase(), value.trim().to_owned());
        }
    }
    settings
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variables_win_over_the_file_and_the_file_over_defaults() {
        let project = tempfile::tempdir().unwrap();
        let config = "# roles_path = no\n[other]\nroles_path = no\n[defaults]\nroles_path = ./r:~/s ; more\nlibrary: m\n";
        fs_err::write(project.path().join("ansible.cfg"), config).unwrap();
        let home = Path::new("/home/me");
        let environment = BTreeMap::from([("ANSIBLE_LIBRARY".to_owned(), "/lib".to_owned())]);
        let paths = SearchPaths::configured(project.path(), &environment, Some(home));
        assert_eq!(paths.roles, [project.path().join("r"), home.join("s")]);
        assert_eq!(paths.library, [Path::new("/lib")]);
        assert_eq!(
            joined(&paths.collections),
            "/home/me/.ansible/collections:/usr/share/ansible/collections"
        );
    }
}
