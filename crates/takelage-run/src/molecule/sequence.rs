//! A sequence of actions on one scenario, and what becomes of the instances when it fails.

use takelage_config::molecule::{Action, Section, SequenceEntry};
use takelage_engine::Engine;
use takelage_model::event::{Level, Op, SkipCause};

use super::{Destroy, work::Work};
use crate::StepError;

/// Why a sequence ended early.
#[derive(Debug)]
pub(super) struct Stopped {
    pub(super) action: Action,
    pub(super) status: u8,
    pub(super) error: StepError,
}

impl<E: Engine> Work<'_, E> {
    /// Carries out a command's sequence.
    pub(super) async fn sequence(&self, command: &str, shared: bool) -> Result<(), Stopped> {
        let entries = self.scenario.sequences.of(command).unwrap_or_default();
        let result = self.entries(command, &entries, shared).await;
        let Err(stopped) = result else {
            let destroys = entries.iter().any(|entry| entry.action == Action::Destroy);
            if destroys && !shared && self.settings.destroy == Destroy::Always {
                self.prune().map_err(|error| self.stopped(Action::Destroy, error))?;
            }
            return Ok(());
        };
        if command == "test" {
            // The first failure is the one to tell.
            if let Err(error) = self.after_failure(shared).await {
                tracing::debug!(%error, "cleaning up failed");
            }
        }
        Err(stopped)
    }

    async fn entries(&self, command: &str, entries: &[SequenceEntry], shared: bool) -> Result<(), Stopped> {
        let first_create = entries.iter().position(|entry| entry.action == Action::Create);
        for (index, entry) in entries.iter().enumerate() {
            if shared && matches!(entry.action, Action::Create | Action::Destroy) {
                continue;
            }
            let trailing = first_create.is_some_and(|create| create < index);
            if entry.action == Action::Destroy && command == "test" && self.keeps(trailing) {
                let kept = self.nothing(Op::Destroy, SkipCause::Disabled, "`--destroy` says so").await;
                kept.map_err(|error| self.stopped(Action::Destroy, error))?;
                continue;
            }
            self.action(entry).await.map_err(|error| self.stopped(entry.action, error))?;
        }
        Ok(())
    }

    /// Whether a destroy of a test that succeeds is left out.
    fn keeps(&self, trailing: bool) -> bool {
        match self.settings.destroy {
            Destroy::Never => true,
            Destroy::OnFailure => trailing,
            Destroy::Always | Destroy::OnSuccess | Destroy::Ask => false,
        }
    }

    fn stopped(&self, action: Action, error: StepError) -> Stopped {
        let status =
            self.status.take().and_then(|status| u8::try_from(status).ok()).filter(|status| *status > 0);
        Stopped { action, status: status.unwrap_or(1), error }
    }

    async fn after_failure(&self, shared: bool) -> Result<(), StepError> {
        if self.session.cancel.is_interrupted() {
            return self.remove_quietly().await;
        }
        let destroys = match self.settings.destroy {
            Destroy::Always | Destroy::OnFailure => true,
            Destroy::Never | Destroy::OnSuccess => false,
            Destroy::Ask => {
                let question = format!("`{}` failed; destroy its instances?", self.scenario.name);
                (self.settings.ask)(&question)
            }
        };
        if !destroys {
            return self.tell_kept().await;
        }
        self.section(Op::Cleanup, Action::Cleanup, Section::Cleanup).await?;
        if !shared {
            self.destroy().await?;
            self.prune()?;
        }
        Ok(())
    }

    /// Carries out one action.
    pub(super) async fn action(&self, entry: &SequenceEntry) -> Result<(), StepError> {
        match entry.action {
            Action::Dependency => self.dependency().await,
            Action::Cleanup => self.section(Op::Cleanup, Action::Cleanup, Section::Cleanup).await,
            Action::Destroy => self.destroy().await,
            Action::Syntax => self.section(Op::Syntax, Action::Syntax, Section::Converge).await,
            Action::Create => self.create().await,
            Action::Prepare => self.prepare().await,
            Action::Converge => self.converge().await,
            Action::Idempotence => self.idempotence().await,
            Action::Check => self.section(Op::Check, Action::Check, Section::Converge).await,
            Action::SideEffect => {
                self.named(Op::SideEffect, Action::SideEffect, Section::SideEffect, &entry.arguments).await
            }
            Action::Verify => self.verify(&entry.arguments).await,
        }
    }

    /// Tells of containers that should be there and are not.
    pub(super) async fn tell_vanished(&self) -> Result<(), StepError> {
        if self.vanished().await? {
            let message = format!("instances of `{}` are gone", self.scenario.name);
            let hint = "create them again with `molecule create`".to_owned();
            self.session.events.note(Level::Warning, message, Some(hint));
            self.remember(|state| (state.created, state.prepared) = (false, false))?;
        }
        Ok(())
    }
}
