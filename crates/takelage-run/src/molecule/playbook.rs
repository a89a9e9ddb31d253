//! Playbooks: one run of Ansible on all instances.

use std::path::{Path, PathBuf};

use takelage_config::molecule::{Action, Executor, Section};
use takelage_engine::Engine;
use takelage_model::event::{Op, Outcome, SkipCause, Step};
use takelage_python::{
    ansible::{self, AnsibleError, Converged},
    program::{self, Ended, Program},
};

use super::{ephemeral, work::Work};
use crate::{Session, StepError, steps::summary};

impl<E: Engine> Work<'_, E> {
    /// Runs a playbook as a step of its own.
    pub(super) async fn playbook(
        &self,
        op: Op,
        action: Action,
        playbook: &Path,
        named: Option<&str>,
    ) -> Result<(), StepError> {
        self.step(op, named, async |step| {
            let converged = self.ansible(action, playbook, &step).await?;
            Ok((Outcome::Done { summary: summary(&converged.totals) }, ()))
        })
        .await
    }

    /// Runs the playbook of a section, if there is one.
    pub(super) async fn section(&self, op: Op, action: Action, section: Section) -> Result<(), StepError> {
        match self.scenario.playbook(section) {
            Some(playbook) => self.playbook(op, action, &playbook, None).await,
            None => {
                self.nothing(op, SkipCause::Missing, &format!("there is no playbook `{}.yml`", section.key()))
                    .await
            }
        }
    }

    /// Runs the playbooks that a sequence names, or else the section's own.
    pub(super) async fn named(
        &self,
        op: Op,
        action: Action,
        section: Section,
        names: &[String],
    ) -> Result<(), StepError> {
        if names.is_empty() {
            return self.section(op, action, section).await;
        }
        for name in names {
            let playbook = self.scenario.path(name);
            if !playbook.is_file() {
                let missing = AnsibleError::NoPlaybook { path: name.into() };
                return self.step(op, Some(name), async |_| Err(missing.into())).await;
            }
            self.playbook(op, action, &playbook, Some(name)).await?;
        }
        Ok(())
    }

    /// Prepares the instances, unless that was done before.
    pub(super) async fn prepare(&self) -> Result<(), StepError> {
        if self.state.borrow().prepared && !self.settings.force {
            return self
                .nothing(Op::Prepare, SkipCause::Unneeded, "the instances were prepared before")
                .await;
        }
        self.section(Op::Prepare, Action::Prepare, Section::Prepare).await?;
        self.remember(|state| state.prepared = true)
    }

    /// Runs the playbook that converges.
    pub(super) async fn converge(&self) -> Result<(), StepError> {
        self.section(Op::Converge, Action::Converge, Section::Converge).await?;
        self.remember(|state| state.converged = true)
    }

    /// Runs the playbook that converges a second time: no task and no handler may change anything.
    pub(super) async fn idempotence(&self) -> Result<(), StepError> {
        let Some(playbook) = self.scenario.playbook(Section::Converge) else {
            return self
                .nothing(Op::Idempotence, SkipCause::Missing, "there is no playbook `converge.yml`")
                .await;
        };
        self.step(Op::Idempotence, None, async |step| {
            if !self.state.borrow().converged {
                return Err(StepError::NotConverged { scenario: self.scenario.name.clone() });
            }
            let converged = self.ansible(Action::Idempotence, &playbook, &step).await?;
            if converged.changed.is_empty() {
                return Ok((Outcome::Done { summary: summary(&converged.totals) }, ()));
            }
            let changed = converged.changed.iter();
            let tasks = changed.map(|task| format!("`{}` ({}) on `{}`", task.task, task.path, task.host));
            Err(StepError::NotIdempotent { image: self.name.clone(), tasks: tasks.collect() })
        })
        .await
    }

    /// Runs Ansible.
    async fn ansible(&self, action: Action, playbook: &Path, step: &Step) -> Result<Converged, StepError> {
        let scenario = self.scenario;
        ephemeral::write(scenario, &scenario.connections(&self.environment))?;
        let (program, arguments) = scenario.playbook_command(action, playbook, &self.settings.additions);
        let mut printing = self.printing(step, program);
        let env: Vec<(String, String)> = match action {
            Action::Verify => self.verifier_environment(),
            _ => self.environment.clone().into_iter().collect(),
        };
        let directory = scenario.directory.clone();
        if scenario.ansible.executor == Executor::Navigator {
            let program = Program { program: PathBuf::from(program), arguments, directory, env };
            return self.run_program(&program, &mut printing).await.map(|()| Converged::default());
        }
        let tools = self.session.toolchain().await?;
        let bridge = self.session.bridge(self.hosts().await?, step).await?;
        let diff = action == Action::Idempotence;
        let invocation = ansible::Invocation { arguments, directory, env, diff };
        let cancel = self.session.cancel.token();
        let invoked = ansible::invoke(tools, &invocation, &bridge, cancel, &mut printing).await;
        bridge.close().await;
        let invoked = invoked?;
        self.ended(invoked.status, invoked.result)
    }

    /// Runs any program, and takes a status other than 0 for a failure.
    pub(super) async fn run_program(
        &self,
        program: &Program,
        printing: impl FnMut(bool, &str),
    ) -> Result<(), StepError> {
        let session: &Session<E> = &self.session;
        let name = program.program.display().to_string();
        let mark = format!("{}-{}", session.run, self.name);
        let ended = program::run(program, mark.as_ref(), &session.cancel.token(), printing).await;
        let status = match ended.map_err(|source| StepError::Start { program: name.clone(), source })? {
            Ended::Exited(0) => return Ok(()),
            Ended::Exited(status) => status,
            Ended::Killed => 1,
            Ended::Cancelled => return Err(StepError::Interrupted),
        };
        self.ended(Some(status), Err(StepError::Program { program: name, status }))
    }
}
