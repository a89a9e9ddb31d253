//! What comes before everything else: the project's requirements are installed, and its own role or collection is made
//! findable by its name, through paths that belong to this run alone.

use std::{
    os::unix::fs::symlink,
    path::{Path, PathBuf},
};

use fs_err as fs;
use takelage_config::molecule::{NameCheck, Scenario, collection, role_name};
use takelage_engine::Engine;
use takelage_model::event::Level;
use takelage_python::ansible;

use super::{paths::SearchPaths, work::Work};
use crate::{StepError, StoreError};

/// Where a project may have requirements, relative to it.
const REQUIREMENTS: [&str; 6] = [
    "requirements.yml",
    "roles/requirements.yml",
    "collections/requirements.yml",
    "tests/requirements.yml",
    "tests/integration/requirements.yml",
    "tests/unit/requirements.yml",
];

impl<E: Engine> Work<'_, E> {
    /// Returns where Ansible finds roles, collections and modules in this scenario.
    pub(super) async fn prerun(&self) -> Result<SearchPaths, StepError> {
        let scenario = self.scenario;
        let project = &scenario.places.project;
        let mut paths =
            SearchPaths::configured(project, &self.session.environment, self.settings.home.as_deref());
        if !scenario.prerun {
            return Ok(paths);
        }
        for file in self.requirements(project)? {
            let required = self.require(&file).await?;
            paths.roles_in(required.roles);
            paths.collections.insert(0, required.collections);
        }
        let place = self.session.directory.scratch().join("molecule").join(self.name.as_str());
        if let Some((namespace, name)) = collection(project) {
            let root = place.join("collections");
            link(project, &root.join("ansible_collections").join(namespace).join(name))?;
            paths.collections.insert(0, root);
        } else {
            let modules = project.join("plugins/modules");
            if modules.is_dir() {
                paths.library.insert(0, modules);
            }
            if let Some(name) = self.own_role(scenario)? {
                let root = place.join("roles");
                link(project, &root.join(name))?;
                paths.roles_in(root);
            }
        }
        let roles = project.join("roles");
        if roles.is_dir() {
            paths.roles_in(roles);
        }
        Ok(paths)
    }

    fn own_role(&self, scenario: &Scenario) -> Result<Option<String>, StepError> {
        let Some(role) = role_name(&scenario.places.project, scenario.role_name_check) else {
            return Ok(None);
        };
        if !role.valid {
            let name = role.name.clone();
            if scenario.role_name_check == NameCheck::Refuse {
                return Err(StepError::RoleName { name });
            }
            let message = format!("the role's name {name} does not follow current galaxy requirements");
            let hint = "name it in `meta/main.yml`: `namespace` and `role_name` in lowercase letters, digits and `_`";
            self.session.events.note(Level::Warning, message, Some(hint.to_owned()));
        }
        Ok(Some(role.name))
    }

    /// Returns the files with what the project requires; what a collection depends on becomes one, too.
    fn requirements(&self, project: &Path) -> Result<Vec<PathBuf>, StepError> {
        let files = REQUIREMENTS.iter().map(|file| project.join(file)).filter(|file| file.is_file());
        let mut files: Vec<PathBuf> = files.collect();
        let dependencies = takelage_config::molecule::collection_dependencies(project);
        if !dependencies.is_empty() {
            let entries: Vec<_> = dependencies
                .iter()
                .map(|(name, version)| serde_json::json!({ "name": name, "version": version }))
                .collect();
            let file = self.session.directory.scratch().join(format!("{}-requirements.yml", self.name));
            let text = serde_json::json!({ "collections": entries }).to_string();
            crate::store::write_whole(&file, text.as_bytes())?;
            files.push(file);
        }
        Ok(files)
    }

    async fn require(&self, file: &Path) -> Result<ansible::Required, StepError> {
        let private = self.session.store.directory("toolchains-v1")?;
        let env: Vec<_> = self.session.environment.clone().into_iter().collect();
        let events = &self.session.events;
        let say = |line: &str| events.note(Level::Info, line, None);
        let tools = self.session.toolchain().await?;
        let root = &self.scenario.places.project;
        let cancel = self.session.cancel.token();
        Ok(ansible::require(tools, file, root, &private, &env, &cancel, &say).await?)
    }
}

fn link(target: &Path, link: &Path) -> Result<(), StoreError> {
    let failed = |source| StoreError { what: format!("write `{}`", link.display()), source };
    if let Some(parent) = link.parent() {
        fs::create_dir_all(parent).map_err(failed)?;
    }
    match symlink(target, link) {
        Err(error) if error.kind() != std::io::ErrorKind::AlreadyExists => Err(failed(error)),
        _ => Ok(()),
    }
}
