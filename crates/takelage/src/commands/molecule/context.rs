//! What all commands on scenarios need: the project, its base configurations, and where generated files go.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use serde_json::Value;
use takelage_config::molecule::{self, Discovered, Scenario, Surroundings, Wanted};

use crate::{
    cli::{MoleculeOptions, Selection, SequenceArguments},
    failure::Failure,
    settings::Settings,
};

/// The scenario that is meant where none is named.
pub(super) const DEFAULT: &str = "default";

pub(super) struct Context<'a> {
    pub(super) settings: &'a Settings,
    /// The directory in which scenarios are looked for.
    pub(super) directory: PathBuf,
    /// The project that scenarios belong to.
    pub(super) project: PathBuf,
    pub(super) debug: bool,
    pub(super) env_file: PathBuf,
    base_configs: Vec<PathBuf>,
    /// Below it, a directory per scenario.
    generated: PathBuf,
}

impl<'a> Context<'a> {
    pub(super) fn new(settings: &'a Settings, options: &MoleculeOptions) -> Result<Self, Failure> {
        let directory = settings.directory.clone();
        let project = settings.variable("MOLECULE_PROJECT_DIRECTORY").map(|path| directory.join(path));
        let project = project.unwrap_or_else(|| directory.clone());
        let base_configs = if options.base_config.is_empty() {
            molecule::base_configs(&directory, settings.home.as_deref())
        } else {
            options.base_config.iter().map(|path| directory.join(path)).collect()
        };
        let debug = settings.variable("MOLECULE_DEBUG").is_some_and(is_true);
        let id = takelage_run::molecule::project_id(&project);
        Ok(Self {
            generated: settings.cache()?.join("molecule-v1").join(id),
            env_file: directory.join(&options.env_file),
            debug: (options.debug || debug) && !options.no_debug,
            base_configs,
            settings,
            directory,
            project,
        })
    }

    /// Finds scenarios. `names` empty: all.
    pub(super) fn find(&self, names: &[String], excluded: &[String]) -> Result<Vec<Discovered>, Failure> {
        let glob = self.settings.variable("MOLECULE_GLOB").map(str::to_owned);
        let wanted = Wanted { names: names.to_vec(), excluded: excluded.to_vec(), glob };
        Ok(molecule::discover(&self.directory, &wanted)?)
    }

    /// Finds what an argument means.
    pub(super) fn selected(&self, selection: &Selection) -> Result<Vec<Discovered>, Failure> {
        let names = match (selection.all, selection.names.as_slice()) {
            (true, _) => Vec::new(),
            (false, []) => vec![DEFAULT.to_owned()],
            (false, names) => names.to_vec(),
        };
        self.find(&names, &selection.exclude)
    }

    /// Reads a scenario as its files have it.
    pub(super) fn load(&self, found: &Discovered) -> Result<Scenario, Failure> {
        self.read(found, &Choices::default())
    }

    /// Reads a scenario as the command line wants it.
    pub(super) fn load_for(
        &self,
        found: &Discovered,
        arguments: &SequenceArguments,
    ) -> Result<Scenario, Failure> {
        let shared = match (arguments.shared_state, arguments.no_shared_state) {
            (true, _) => Some(true),
            (_, true) => Some(false),
            _ => None,
        };
        let driver = arguments.driver_name.as_deref();
        let apart = arguments.workers.is_some_and(|workers| workers > 1);
        let mut scenario = self.read(found, &Choices { shared_state: shared, driver, apart })?;
        let platform = arguments.platform_name.as_deref();
        if let Some(name) = platform.or_else(|| self.settings.variable("MOLECULE_PLATFORM_NAME")) {
            scenario.platforms.retain(|platform| platform.name == name);
            if scenario.platforms.is_empty() {
                return Err(Failure::NoPlatform { name: name.to_owned(), scenario: scenario.name });
            }
            if let Some(Value::Array(platforms)) = scenario.merged.get_mut("platforms") {
                platforms.retain(|platform| platform.get("name").and_then(Value::as_str) == Some(name));
            }
        }
        Ok(scenario)
    }

    /// Returns the directory that scenarios share.
    pub(super) fn shared_directory(&self) -> PathBuf {
        self.generated.join("shared")
    }

    /// Returns the variables of the env file.
    pub(super) fn env_file_variables(&self) -> Result<BTreeMap<String, String>, Failure> {
        Ok(molecule::read_env_file(&self.env_file)?)
    }

    fn read(&self, found: &Discovered, choices: &Choices<'_>) -> Result<Scenario, Failure> {
        let given = self.settings.variable("MOLECULE_EPHEMERAL_DIRECTORY");
        let given = given.map(|path| self.directory.join(path));
        let places = |name: &str, shared: bool| {
            let own = if shared { self.shared_directory() } else { self.generated.join(plain(name)) };
            let ephemeral = given.clone().unwrap_or_else(|| own.clone());
            let apart = shared && choices.apart;
            let ephemeral = if apart { ephemeral.join(plain(name)) } else { ephemeral };
            (ephemeral, own.join("state.yml"))
        };
        let surroundings = Surroundings {
            environment: &self.settings.environment,
            project: &self.project,
            base_configs: &self.base_configs,
            env_file: &self.env_file,
            places: &places,
            shared_state: choices.shared_state,
            driver: choices.driver,
        };
        Ok(molecule::load(&found.file, &found.name, &surroundings)?)
    }
}

/// What the command line says about a scenario.
#[derive(Debug, Default)]
struct Choices<'a> {
    shared_state: Option<bool>,
    driver: Option<&'a str>,
    /// Scenarios that share their state have generated files of their own, because they run at the same time.
    apart: bool,
}

/// Returns a directory's name for a scenario that may lie deeper.
fn plain(name: &str) -> PathBuf {
    Path::new(&name.replace('/', "--")).to_owned()
}

/// Whether a variable says yes, in the words that Ansible takes for it.
pub(super) fn is_true(text: &str) -> bool {
    matches!(text.to_ascii_lowercase().as_str(), "1" | "true" | "yes" | "on" | "y" | "t")
}
