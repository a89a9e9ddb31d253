//! One scenario while it is worked on.

use std::{
    cell::{Cell, RefCell},
    collections::BTreeMap,
    fmt,
    path::{Path, PathBuf},
    sync::Arc,
};

use takelage_config::molecule::{Additions, Scenario};
use takelage_engine::Engine;
use takelage_model::{
    ImageName,
    event::{EventKind, Op, Outcome, SkipCause, Step},
};

use super::{STDERR, ephemeral, paths::SearchPaths, state::State};
use crate::{Session, StepError, session::place_identity};

/// What becomes of the instances at the end of a test.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Destroy {
    /// They are removed.
    Always,
    /// They stay, also those that were there before.
    Never,
    /// They are removed if everything succeeded.
    OnSuccess,
    /// They are removed if something failed.
    OnFailure,
    /// The user is asked if something failed.
    Ask,
}

/// What the command line and the surroundings decide about a run.
#[derive(Clone)]
pub struct Settings {
    /// What is added to the command lines of Ansible and pytest.
    pub additions: Additions,
    /// How many `-v` Ansible gets through its environment.
    pub verbosity: u8,
    /// Whether Ansible writes in colour.
    pub color: bool,
    /// What becomes of the instances.
    pub destroy: Destroy,
    /// Run `prepare` although it was run before.
    pub force: bool,
    /// How many scenarios are worked on at once.
    pub workers: usize,
    /// Whether scenarios begin after another one has failed.
    pub continue_on_failure: bool,
    /// The variables of the env file.
    pub env_file: BTreeMap<String, String>,
    /// The user's home directory.
    pub home: Option<PathBuf>,
    /// Asks the user something that is answered by yes or no.
    pub ask: Arc<dyn Fn(&str) -> bool + Send + Sync>,
}

impl fmt::Debug for Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Settings").field("additions", &self.additions).finish_non_exhaustive()
    }
}

/// Returns the identity of the project in `root`: what its containers and directories are named after.
pub fn project_id(root: &Path) -> String {
    let name = root.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    place_identity(&name, root)
}

/// A scenario while it is worked on.
pub(super) struct Work<'a, E: Engine> {
    /// The run, on the project that the scenario is.
    pub(super) session: Session<E>,
    pub(super) scenario: &'a Scenario,
    pub(super) settings: &'a Settings,
    /// The scenario's name, as steps have it.
    pub(super) name: ImageName,
    /// The scenario whose instances are used: itself, or `default` where state is shared.
    pub(super) owner: &'a Scenario,
    pub(super) owner_session: Session<E>,
    pub(super) state: RefCell<State>,
    pub(super) environment: BTreeMap<String, String>,
    pub(super) paths: SearchPaths,
    /// The exit status of the last program that failed.
    pub(super) status: Cell<Option<i32>>,
}

impl<'a, E: Engine> Work<'a, E> {
    /// Begins to work on a scenario with the instances of `owner`.
    pub(super) async fn begin(
        session: &Session<E>,
        scenario: &'a Scenario,
        owner: &'a Scenario,
        settings: &'a Settings,
    ) -> Result<Self, StepError> {
        let root = &scenario.places.project;
        let mut work = Self {
            session: session.beside(scenario.project(root)),
            scenario,
            settings,
            name: scenario.image_name(),
            owner,
            owner_session: session.beside(owner.project(root)),
            state: RefCell::new(State::read(&scenario.places.state)),
            environment: BTreeMap::new(),
            paths: SearchPaths::default(),
            status: Cell::new(None),
        };
        ephemeral::share(scenario, owner)?;
        work.paths = work.prerun().await?;
        work.environment = work.environment(&work.paths);
        Ok(work)
    }

    /// Runs one step of the scenario as a whole.
    pub(super) async fn step<T>(
        &self,
        op: Op,
        what: Option<&str>,
        work: impl AsyncFnOnce(Step) -> Result<(Outcome, T), StepError>,
    ) -> Result<T, StepError> {
        self.session.step(&self.name, op, what, work).await
    }

    /// Says that there is nothing to do, and why.
    pub(super) async fn nothing(&self, op: Op, cause: SkipCause, reason: &str) -> Result<(), StepError> {
        let reason = reason.to_owned();
        self.step(op, None, async |_| Ok((Outcome::Skipped { reason, cause }, ()))).await
    }

    /// Changes what is remembered.
    pub(super) fn remember(&self, change: impl FnOnce(&mut State)) -> Result<(), StepError> {
        let mut state = self.state.borrow_mut();
        change(&mut state);
        Ok(state.write(&self.scenario.places.state)?)
    }

    /// Returns what takes the lines that a program prints.
    pub(super) fn printing(&self, step: &Step, program: &str) -> impl FnMut(bool, &str) + use<E> {
        let (events, step, program) = (self.session.events.clone(), step.clone(), program.to_owned());
        move |is_stderr, line| {
            let program = if is_stderr { format!("{program}{STDERR}") } else { program.clone() };
            events.emit(EventKind::Output { step: step.clone(), program, line: line.to_owned() });
        }
    }

    /// Notes how a program ended, and passes its result on.
    pub(super) fn ended<T, F: Into<StepError>>(
        &self,
        status: Option<i32>,
        result: Result<T, F>,
    ) -> Result<T, StepError> {
        if result.is_err() {
            self.status.set(status);
        }
        result.map_err(Into::into)
    }
}
