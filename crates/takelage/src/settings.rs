//! Arguments and environment merged into what commands need. The only place that reads the environment.

use std::{
    collections::BTreeMap,
    io::IsTerminal as _,
    path::{Path, PathBuf},
};

use takelage_config::{EngineChoice, Project};
use takelage_python::toolchain::Wanted;
use takelage_report::Style;

use crate::{
    cli::{ColorChoice, EngineOption, GlobalOptions},
    failure::Failure,
};

/// What commands need to know about the surroundings.
#[derive(Debug)]
pub(crate) struct Settings {
    /// The whole environment, as far as it is text.
    pub(crate) environment: BTreeMap<String, String>,
    /// Where to look for the project file.
    pub(crate) directory: PathBuf,
    /// The user's home directory.
    pub(crate) home: Option<PathBuf>,
    /// What `--engine` says.
    pub(crate) engine: Option<EngineChoice>,
    /// Where takelage remembers what it did; none if nothing says where.
    cache: Option<PathBuf>,
    /// Run Ansible and pytest without any acceleration.
    pub(crate) plain: bool,
    /// Make everything again.
    pub(crate) no_cache: bool,
    /// Make everything again, and remember what comes of it.
    pub(crate) refresh: bool,
    /// Where `--events` goes.
    pub(crate) events: Option<PathBuf>,
    /// Where `--junit` goes.
    pub(crate) junit: Option<PathBuf>,
    /// How the terminal report looks.
    pub(crate) style: Style,
}

impl Settings {
    /// Merges `options` with the environment of this process.
    pub(crate) fn resolve(options: &GlobalOptions) -> Result<Self, Failure> {
        let environment = environment();
        let current = std::env::current_dir().map_err(Failure::CurrentDirectory)?;
        let directory = match &options.directory {
            // Looking above it needs its real place: what is above `..` is not what is written before it.
            Some(path) => fs_err::canonicalize(current.join(path))
                .map_err(|_| Failure::NoDirectory { path: path.clone() })?,
            None => current.clone(),
        };
        // Without the variable, the user's entry in the system's own list counts.
        let home = environment.get("HOME").map(PathBuf::from).or_else(std::env::home_dir);
        let cache = match (&options.cache_dir, environment.get("XDG_CACHE_HOME"), &home) {
            (Some(directory), ..) => Some(place(&current.join(directory))),
            (None, Some(cache), _) if Path::new(cache).is_absolute() => {
                Some(Path::new(cache).join("takelage"))
            }
            (None, _, Some(home)) => Some(home.join(".cache/takelage")),
            (None, _, None) => None,
        };
        let terminal = std::io::stderr().is_terminal();
        let plain = environment.get("NO_COLOR").is_some_and(|value| !value.is_empty())
            || environment.get("TERM").is_some_and(|terminal| terminal == "dumb");
        let ci = environment.contains_key("CI");
        let style = Style {
            color: match options.color.unwrap_or(ColorChoice::Auto) {
                ColorChoice::Always => true,
                ColorChoice::Never => false,
                ColorChoice::Auto => terminal && !plain,
            },
            live: terminal && !ci && environment.get("TERM").is_none_or(|terminal| terminal != "dumb"),
            verbosity: if options.quiet { -1 } else { i8::try_from(options.verbose).unwrap_or(i8::MAX) },
        };
        Ok(Self {
            home,
            directory,
            engine: options.engine.map(|engine| match engine {
                EngineOption::Auto => EngineChoice::Auto,
                EngineOption::Docker => EngineChoice::Docker,
                EngineOption::Embedded => EngineChoice::Embedded,
            }),
            cache,
            plain: options.plain,
            no_cache: options.no_cache,
            refresh: options.refresh,
            events: options.events.as_ref().map(|path| current.join(path)),
            junit: options.junit.as_ref().map(|path| current.join(path)),
            style,
            environment,
        })
    }

    /// Returns the directory where takelage remembers what it did.
    pub(crate) fn cache(&self) -> Result<&Path, Failure> {
        self.cache.as_deref().ok_or(Failure::NoCacheDirectory)
    }

    /// Reads the project file.
    pub(crate) fn project(&self) -> Result<Project, Failure> {
        let file = takelage_config::find(&self.directory)?;
        Ok(takelage_config::load(&file, &|name| self.environment.get(name).cloned())?)
    }

    /// Returns a variable of the environment, unless it is empty.
    pub(crate) fn variable(&self, name: &str) -> Option<&str> {
        self.environment.get(name).map(String::as_str).filter(|value| !value.is_empty())
    }

    /// What is wanted of Ansible and pytest: what the project names, in the surroundings of this process.
    pub(crate) fn wanted(&self, project: Option<&Project>) -> Result<Wanted, Failure> {
        let ansible = project.map(|project| &project.ansible);
        let package = ansible.and_then(|ansible| match (&ansible.package, &ansible.version) {
            (package, Some(version)) => {
                Some(format!("{}=={version}", package.as_deref().unwrap_or("ansible")))
            }
            (package, None) => package.clone(),
        });
        Ok(Wanted {
            ansible: package,
            python: ansible.and_then(|ansible| ansible.python.clone()),
            pip: None,
            pytest: project.and_then(|project| project.pytest.package.clone()),
            virtual_env: self.variable("VIRTUAL_ENV").map(PathBuf::from),
            path: std::env::split_paths(self.variable("PATH").unwrap_or_default()).collect(),
            private: self.cache()?.to_owned(),
            env: self.environment.clone().into_iter().collect(),
        })
    }
}

/// Returns the real place of a path that may not exist yet: what is above `..` is not what is written before it, and some
/// programs refuse to work in such a place.
fn place(path: &Path) -> PathBuf {
    let real = |above: &Path| Some(fs_err::canonicalize(above).ok()?.join(path.strip_prefix(above).ok()?));
    path.ancestors().find_map(real).unwrap_or_else(|| path.to_owned())
}

#[expect(clippy::disallowed_methods, reason = "this is the one place that reads the environment")]
fn environment() -> BTreeMap<String, String> {
    // Variables that are no text cannot be handed on as text; nothing takelage runs needs them.
    std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
        .collect()
}
