//! From files to a scenario.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::Arc,
};

use indexmap::IndexMap;
use serde_json::{Map, Value};

use super::{
    Ansible, Driver, DriverKind, Executor, Flags, Inventory, NameCheck, Places, Provisioner, Scenario,
    Sequences,
    connection::yaml_file,
    defaults, dependency,
    merge::{Merged, Renamed},
    platform, playbooks, python_text,
    reader::Reader,
    verifier,
};
use crate::{
    ConfigError, Position, Problem,
    interpolation::interpolate,
    position::join,
    yaml::{self, Duplicates},
};

/// What is around a scenario: everything that its meaning depends on beside its files.
#[derive(Clone, Copy)]
pub struct Surroundings<'a> {
    /// The environment.
    pub environment: &'a BTreeMap<String, String>,
    /// The directory in which `molecule` was called, absolute.
    pub project: &'a Path,
    /// The base configurations, the weakest first. What does not exist is noted and passed over.
    pub base_configs: &'a [PathBuf],
    /// The file with variables, absolute, there or not.
    pub env_file: &'a Path,
    /// The ephemeral directory, and the file for what is remembered, of a scenario; and whether its state is shared.
    pub places: &'a dyn Fn(&str, bool) -> (PathBuf, PathBuf),
    /// What the command line says about `shared_state`.
    pub shared_state: Option<bool>,
    /// What the command line says about `driver.name`.
    pub driver: Option<&'a str>,
}

impl std::fmt::Debug for Surroundings<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Surroundings").field("project", &self.project).finish_non_exhaustive()
    }
}

/// Reads a scenario. `file` is its `molecule.yml`, absolute; `name` is what its place calls it.
pub fn load(file: &Path, name: &str, surroundings: &Surroundings<'_>) -> Result<Scenario, ConfigError> {
    let mut environment = surroundings.environment.clone();
    environment.extend(read_env_file(surroundings.env_file)?);
    let directory = file.parent().unwrap_or(Path::new("/"));
    let text = |path: &Path| path.to_string_lossy().into_owned();
    // What is known before the file is read; the rest of Molecule's variables depend on what it says.
    environment.insert("MOLECULE_SCENARIO_DIRECTORY".to_owned(), text(directory));
    environment.insert("MOLECULE_PROJECT_DIRECTORY".to_owned(), text(surroundings.project));
    environment.insert("MOLECULE_ENV_FILE".to_owned(), text(surroundings.env_file));
    let first = read(file, name, directory, surroundings, &environment)?;
    let variables = first.variables(false);
    environment.extend(variables.into_iter().map(|(name, value)| (name.to_owned(), value)));
    let scenario = read(file, name, directory, surroundings, &environment)?;
    // A name that is made of itself would never come to rest.
    Ok(Scenario { name: first.name, places: first.places, ..scenario })
}

/// Returns the base configurations that count where the command line names none: the first that exists of the version
/// control root's, the collection's, and the user's own.
pub fn base_configs(project: &Path, home: Option<&Path>) -> Vec<PathBuf> {
    let is_root = |directory: &&Path| {
        let git = directory.join(".git");
        git.join("HEAD").is_file()
            || git.is_file()
            || [".hg", ".svn"].iter().any(|name| directory.join(name).is_dir())
    };
    let root = project.ancestors().find(is_root).or(home);
    let collection =
        project.join("galaxy.yml").is_file().then(|| project.join("extensions/molecule/config.yml"));
    let candidates = [
        root.map(|root| root.join(".config/molecule/config.yml")),
        collection,
        home.map(|home| home.join(".config/molecule/config.yml")),
    ];
    candidates.into_iter().flatten().find(|path| path.is_file()).into_iter().collect()
}

/// Returns the variables of an env file: a flat map. A value that is no text is written out as one.
pub fn read_env_file(file: &Path) -> Result<BTreeMap<String, String>, ConfigError> {
    if !file.is_file() {
        return Ok(BTreeMap::new());
    }
    let problem = |message: &str| {
        let at = Position::START;
        let problem = Problem {
            file: file.to_owned(),
            line: at.line,
            column: at.column,
            message: message.to_owned(),
            hint: Some("write one variable a line, `NAME: value`".to_owned()),
        };
        ConfigError::Problems { problems: vec![problem] }
    };
    match yaml_file(file) {
        Some(Value::Null) => Ok(BTreeMap::new()),
        Some(Value::Object(map)) => {
            let mut variables = BTreeMap::new();
            for (name, value) in map {
                if matches!(value, Value::Array(_) | Value::Object(_)) {
                    return Err(problem(&format!("`{name}` is no text")));
                }
                variables
                    .insert(name, if value.is_null() { String::new() } else { python_text::str(&value) });
            }
            Ok(variables)
        }
        _ => Err(problem("this is no map of variables")),
    }
}

fn read(
    file: &Path,
    name: &str,
    directory: &Path,
    surroundings: &Surroundings<'_>,
    environment: &BTreeMap<String, String>,
) -> Result<Scenario, ConfigError> {
    let mut merged = Merged::default();
    let mut notes = Vec::new();
    let mut problems = Vec::new();
    for base in surroundings.base_configs {
        if base.is_file() {
            add(&mut merged, base, environment, &mut problems)?;
        } else {
            notes.push(Problem {
                file: base.clone(),
                line: 1,
                column: 1,
                message: "there is no such base configuration".to_owned(),
                hint: None,
            });
        }
    }
    add(&mut merged, file, environment, &mut problems)?;
    if !problems.is_empty() {
        return Err(ConfigError::Problems { problems });
    }
    for (legacy, native) in defaults::RENAMED {
        let at = merged.problem(legacy, String::new());
        if let Renamed::Replaced { file, at: replaced } = merged.rename(legacy, native) {
            let dotted = |pointer: &str| pointer.trim_start_matches('/').replace('/', ".");
            let message = format!(
                "`{}` wins over `{}`, which is at {}:{replaced}",
                dotted(legacy),
                dotted(native),
                file.display()
            );
            notes.push(Problem { message, ..at });
        }
    }
    merged.on_top_of(defaults::configuration(name));
    let mut reader = Reader::new(&merged);
    let mut scenario = scenario(&mut reader, file, directory, surroundings);
    let Reader { problems, notes: found, .. } = reader;
    if !problems.is_empty() {
        return Err(ConfigError::Problems { problems });
    }
    notes.extend(found);
    scenario.notes = notes;
    scenario.merged = merged.value;
    if let Some(driver) = surroundings.driver {
        scenario.merged["driver"]["name"] = driver.into();
    }
    Ok(scenario)
}

fn add(
    merged: &mut Merged,
    file: &Path,
    environment: &BTreeMap<String, String>,
    problems: &mut Vec<Problem>,
) -> Result<(), ConfigError> {
    let text = fs_err::read_to_string(file)
        .map_err(|source| ConfigError::Read { file: file.to_owned(), source: Arc::new(source) })?;
    let text = text.strip_prefix('\u{feff}').unwrap_or(&text);
    let (text, faults) = interpolate(text, &|name| environment.get(name).cloned());
    let wrong = !faults.is_empty();
    problems.extend(faults.into_iter().map(|fault| fault.into_problem(file.to_owned())));
    let document = yaml::read(&text.text, Duplicates::LastWins, &|index| text.locate(index));
    // A wrong placeholder, left as it is, may be no YAML: it is reported once.
    if !wrong {
        problems.extend(document.faults.into_iter().map(|fault| fault.into_problem(file.to_owned())));
    }
    match document.value {
        None => {}
        Some(Value::Null) => merged.add(file, Value::Object(Map::new()), document.marks),
        Some(value @ Value::Object(_)) => merged.add(file, value, document.marks),
        Some(_) => problems.push(Problem {
            file: file.to_owned(),
            line: 1,
            column: 1,
            message: "the file must be a map".to_owned(),
            hint: None,
        }),
    }
    Ok(())
}

fn scenario(
    reader: &mut Reader<'_>,
    file: &Path,
    directory: &Path,
    surroundings: &Surroundings<'_>,
) -> Scenario {
    reader.only(
        "",
        &[
            "ansible",
            "dependency",
            "driver",
            "lint",
            "log",
            "platforms",
            "prerun",
            "provisioner",
            "role_name_check",
            "scenario",
            "shared_state",
            "verifier",
        ],
    );
    let sequences: Vec<String> = [
        "check",
        "cleanup",
        "converge",
        "create",
        "dependency",
        "destroy",
        "idempotence",
        "lint",
        "prepare",
        "side_effect",
        "syntax",
        "test",
        "verify",
    ]
    .iter()
    .map(|command| format!("{command}_sequence"))
    .collect();
    let keys: Vec<&str> = std::iter::once("name").chain(sequences.iter().map(String::as_str)).collect();
    reader.only("/scenario", &keys);
    let name = reader.text("/scenario/name").unwrap_or_default();
    let shared_state = surroundings.shared_state.or_else(|| reader.boolean("/shared_state")).unwrap_or(false);
    let (ephemeral, state) = (surroundings.places)(&name, shared_state);
    let driver = driver(reader, surroundings.driver);
    let provisioner_name = reader.text("/provisioner/name").unwrap_or_default();
    if provisioner_name != "ansible" {
        let message = format!("there is no provisioner `{provisioner_name}`");
        reader.refuse_with("/provisioner/name", message, "use `ansible`");
    }
    Scenario {
        platforms: platform::read(reader, driver.kind, directory),
        ansible: ansible(reader, &driver),
        driver,
        dependency: dependency::read(reader),
        provisioner: Provisioner {
            options: Flags::read(reader, "/provisioner/options"),
            connection_options: reader.map("/provisioner/connection_options").cloned().unwrap_or_default(),
            inventory: inventory(reader),
        },
        verifier: verifier::read(reader, directory),
        sequences: Sequences::read(reader),
        prerun: reader.boolean("/prerun").unwrap_or(true),
        role_name_check: match reader.text("/role_name_check").as_deref() {
            None | Some("0") => NameCheck::Refuse,
            Some("1") => NameCheck::Warn,
            Some("2") => NameCheck::Ignore,
            Some(_) => {
                reader.refuse("/role_name_check", "`role_name_check` must be 0, 1 or 2");
                NameCheck::Refuse
            }
        },
        shared_state,
        places: Places {
            project: surroundings.project.to_owned(),
            env_file: surroundings.env_file.to_owned(),
            ephemeral,
            state,
        },
        name,
        file: file.to_owned(),
        directory: directory.to_owned(),
        merged: Value::Null,
        notes: Vec::new(),
    }
}

fn driver(reader: &mut Reader<'_>, named: Option<&str>) -> Driver {
    let name = named.map(str::to_owned).or_else(|| reader.text("/driver/name"));
    let name = match name.as_deref() {
        None | Some("delegated" | "") => "default".to_owned(),
        Some(name) => name.to_owned(),
    };
    let kind = match name.as_str() {
        "default" => DriverKind::Default,
        "docker" | "podman" | "containers" => DriverKind::Containers,
        _ => DriverKind::Foreign,
    };
    Driver {
        name,
        kind,
        managed: reader.boolean("/driver/options/managed").unwrap_or(true),
        options: reader.map("/driver/options").cloned().unwrap_or_default(),
        ssh_connection_options: reader.texts("/driver/ssh_connection_options"),
        safe_files: reader.texts("/driver/safe_files"),
    }
}

fn ansible(reader: &mut Reader<'_>, driver: &Driver) -> Ansible {
    reader.only("/ansible", &["cfg", "env", "executor", "playbooks"]);
    reader.only("/ansible/executor", &["backend", "args"]);
    reader.only("/ansible/executor/args", &["ansible_playbook", "ansible_navigator"]);
    let executor = match reader.text("/ansible/executor/backend").as_deref() {
        None | Some("ansible-playbook") => Executor::Playbook,
        Some("ansible-navigator") => Executor::Navigator,
        Some(other) => {
            let message = format!("there is no executor `{other}`");
            reader.refuse_with(
                "/ansible/executor/backend",
                message,
                "use `ansible-playbook` or `ansible-navigator`",
            );
            Executor::Playbook
        }
    };
    let mut cfg = IndexMap::new();
    let sections: Vec<&String> = reader.map("/ansible/cfg").into_iter().flat_map(Map::keys).collect();
    for section in sections {
        let settings = reader.map(&join("/ansible/cfg", section)).into_iter().flatten();
        let settings = settings.map(|(key, value)| (key.clone(), python_text::str(value)));
        cfg.insert(section.clone(), settings.collect());
    }
    let env = reader.map("/ansible/env").into_iter().flatten();
    Ansible {
        env: env.map(|(name, value)| (name.clone(), python_text::str(value))).collect(),
        cfg,
        executor,
        playbook_args: reader.texts("/ansible/executor/args/ansible_playbook"),
        navigator_args: reader.texts("/ansible/executor/args/ansible_navigator"),
        playbooks: playbooks::read(reader, &driver.name, driver.kind),
    }
}

fn inventory(reader: &mut Reader<'_>) -> Inventory {
    let at = "/provisioner/inventory";
    let map = |reader: &mut Reader<'_>, key: &str| reader.map(&join(at, key)).cloned().unwrap_or_default();
    Inventory {
        hosts: map(reader, "hosts"),
        host_vars: map(reader, "host_vars"),
        group_vars: map(reader, "group_vars"),
        links: reader.text_map(&join(at, "links")),
    }
}
