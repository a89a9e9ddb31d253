//! The environment of Ansible and pytest.

use std::collections::BTreeMap;

use takelage_engine::Engine;

use super::{
    paths::{SearchPaths, joined},
    work::Work,
};

impl<E: Engine> Work<'_, E> {
    /// Returns the environment of every program of the scenario: this process's, the env file's, Molecule's variables
    /// and the scenario's own, each in place of what came before.
    pub(super) fn environment(&self, paths: &SearchPaths) -> BTreeMap<String, String> {
        let scenario = self.scenario;
        let settings = self.settings;
        let mut environment = self.session.environment.clone();
        environment.extend(settings.env_file.clone());
        let mut set = |name: &str, value: String| environment.insert(name.to_owned(), value);
        if paths.roles_differ && scenario.prerun {
            set("ANSIBLE_ROLES_PATH", joined(&paths.roles));
        }
        if scenario.prerun {
            set("ANSIBLE_COLLECTIONS_PATH", joined(&paths.collections));
        }
        if scenario.places.project.join("plugins/modules").is_dir() && scenario.prerun {
            set("ANSIBLE_LIBRARY", joined(&paths.library));
        }
        if settings.verbosity > 0 {
            set("ANSIBLE_VERBOSITY", settings.verbosity.to_string());
        }
        if settings.color && !self.session.environment.contains_key("ANSIBLE_FORCE_COLOR") {
            set("ANSIBLE_FORCE_COLOR", "1".to_owned());
        }
        let config = scenario.places.ephemeral.join("ansible.cfg");
        set("ANSIBLE_CONFIG", config.to_string_lossy().into_owned());
        for (name, value) in scenario.variables(settings.additions.debug) {
            set(name, value);
        }
        environment.extend(scenario.ansible.env.clone());
        environment.insert("ANSIBLE_DEBUG".to_owned(), "0".to_owned());
        environment.insert("ANSIBLE_VERBOSE_TO_STDERR".to_owned(), "True".to_owned());
        environment
    }

    /// Returns the environment of what checks the instances.
    pub(super) fn verifier_environment(&self) -> Vec<(String, String)> {
        let mut environment = self.environment.clone();
        environment.extend(self.scenario.verifier.env.clone());
        environment.into_iter().collect()
    }
}
