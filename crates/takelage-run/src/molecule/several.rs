//! A command on several scenarios: one after the other, or side by side.

use std::{cell::Cell, collections::BTreeMap};

use takelage_config::molecule::{Action, Scenario, SequenceEntry};
use takelage_engine::Engine;

use super::{Destroy, Settings, sequence::Stopped, work::Work};
use crate::{
    Session, StepError,
    schedule::{Finished, in_order},
    steps::Purpose,
};

/// How a command ended.
#[derive(Debug, Default)]
pub struct ScenarioVerdict {
    /// What failed, in the order of the scenarios.
    pub failures: Vec<ScenarioFailure>,
    /// Scenarios that did not begin, because another one failed.
    pub not_started: Vec<String>,
    /// Whether the run was interrupted.
    pub interrupted: bool,
}

/// The work on a scenario failed.
#[derive(Debug)]
pub struct ScenarioFailure {
    /// The scenario.
    pub scenario: String,
    /// The action that failed; none if it did not come to one.
    pub action: Option<Action>,
    /// The exit status that Molecule would pass on: that of the program that failed, or 1.
    pub status: u8,
    /// Why.
    pub error: StepError,
}

impl ScenarioVerdict {
    /// Returns the exit status, as Molecule has it.
    pub fn status(&self) -> u8 {
        match self.failures.first() {
            _ if self.interrupted => 1,
            Some(failure) => failure.status,
            None => 0,
        }
    }

    fn add(&mut self, scenario: &Scenario, stopped: Stopped) {
        let Stopped { action, status, error } = stopped;
        self.fail(scenario, Some(action), status, error);
    }

    fn fail(&mut self, scenario: &Scenario, action: Option<Action>, status: u8, error: StepError) {
        if error.is_interruption() {
            self.interrupted = true;
        } else {
            self.failures.push(ScenarioFailure { scenario: scenario.name.clone(), action, status, error });
        }
    }
}

/// Carries out `command` on `scenarios`. `default` is the scenario whose instances all use where state is shared.
pub async fn run<E: Engine>(
    session: &Session<E>,
    scenarios: &[Scenario],
    default: Option<&Scenario>,
    command: &str,
    settings: &Settings,
) -> ScenarioVerdict {
    let owner = default.filter(|_| scenarios.iter().any(|scenario| scenario.shared_state));
    let mut verdict = ScenarioVerdict::default();
    let first = [(owner, Action::Create), (owner, Action::Destroy)];
    if !shared(session, first[0], command, settings, &mut verdict).await {
        return verdict;
    }
    let failed = Cell::new(false);
    let may_start = || !session.cancel.is_interrupted() && (settings.continue_on_failure || !failed.get());
    // One after the other is a chain, so that the order is that of the command line.
    let pieces: BTreeMap<usize, Option<usize>> = (0..scenarios.len()).map(|index| (index, None)).collect();
    let finished = in_order(&pieces, settings.workers.max(1), may_start, |index, _: Option<&()>| {
        let (scenario, failed) = (&scenarios[index], &failed);
        async move {
            let result = one(session, scenario, owner, command, settings).await;
            failed.set(failed.get() || result.is_err());
            result
        }
    })
    .await;
    for (index, finished) in finished {
        let scenario = &scenarios[index];
        match finished {
            Finished::Done(()) => {}
            Finished::Failed(One::Begin(error)) => verdict.fail(scenario, None, 1, error),
            Finished::Failed(One::Stopped(stopped)) => verdict.add(scenario, stopped),
            Finished::NotStarted => verdict.not_started.push(scenario.name.clone()),
        }
    }
    let cleans = verdict.failures.is_empty() || (command == "test" && settings.destroy == Destroy::Always);
    if cleans {
        shared(session, first[1], command, settings, &mut verdict).await;
    }
    verdict
}

/// Why the work on one scenario failed.
enum One {
    Begin(StepError),
    Stopped(Stopped),
}

async fn one<E: Engine>(
    session: &Session<E>,
    scenario: &Scenario,
    owner: Option<&Scenario>,
    command: &str,
    settings: &Settings,
) -> Result<(), One> {
    let _lock = session.lock(&scenario.image_name(), Purpose::Develop).await.map_err(One::Begin)?;
    let work = Work::begin(session, scenario, owner.unwrap_or(scenario), settings).await;
    let work = work.map_err(One::Begin)?;
    if owner.is_none() {
        work.tell_vanished().await.map_err(One::Begin)?;
    }
    work.sequence(command, owner.is_some()).await.map_err(One::Stopped)
}

/// Makes or removes the instances that all scenarios share, if this command's sequence has that at all.
async fn shared<E: Engine>(
    session: &Session<E>,
    (owner, action): (Option<&Scenario>, Action),
    command: &str,
    settings: &Settings,
    verdict: &mut ScenarioVerdict,
) -> bool {
    let Some(owner) = owner else { return true };
    let entries = owner.sequences.of(command).unwrap_or_default();
    let kept = action == Action::Destroy && command == "test" && settings.destroy == Destroy::Never;
    if kept || !entries.iter().any(|entry| entry.action == action) {
        return true;
    }
    let work = match Work::begin(session, owner, owner, settings).await {
        Ok(work) => work,
        Err(error) => {
            verdict.fail(owner, None, 1, error);
            return false;
        }
    };
    match work.action(&SequenceEntry::of(action)).await {
        Ok(()) => true,
        Err(error) => {
            let status = work.status.take().and_then(|status| u8::try_from(status).ok()).unwrap_or(1);
            verdict.fail(owner, Some(action), status, error);
            false
        }
    }
}
