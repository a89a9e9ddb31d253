//! `--report`: every action of every scenario once more, and how many ended how.

use indexmap::IndexMap;
use takelage_model::event::{Event, EventKind, Outcome, SkipCause, Step};

/// What became of an action, in Molecule's words.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Ended {
    Successful,
    Disabled,
    Skipped,
    Missing,
    Failed,
}

/// A fold over the events of a run.
#[derive(Debug, Default)]
pub(super) struct Recap {
    /// Scenario → its actions, in the order in which they ended.
    scenarios: IndexMap<String, Vec<(String, Ended, String)>>,
}

impl Recap {
    pub(super) fn add(&mut self, event: &Event) {
        let EventKind::StepFinished { step, outcome, .. } = &event.kind else { return };
        let (ended, why) = match outcome {
            Outcome::Done { summary } => (Ended::Successful, summary.clone()),
            Outcome::Cached { reason } => (Ended::Skipped, reason.clone()),
            Outcome::Skipped { reason, cause } => (Ended::because(*cause), reason.clone()),
            Outcome::Failed { message, .. } => (Ended::Failed, message.clone()),
            Outcome::Aborted => (Ended::Failed, "interrupted".to_owned()),
        };
        let (scenario, action) = names(step);
        self.scenarios.entry(scenario).or_default().push((action, ended, why));
    }

    pub(super) fn text(&self) -> String {
        let mut text = String::from("\nDETAILS\n");
        for (scenario, actions) in &self.scenarios {
            for (action, ended, why) in actions {
                let why = why.lines().next().unwrap_or_default();
                let why = if why.is_empty() { String::new() } else { format!(" ({why})") };
                let line = format!("{scenario} > {action}: Executed: {}{why}\n", ended.word());
                text.push_str(&line);
            }
        }
        text.push_str("\nSCENARIO RECAP\n");
        for (scenario, actions) in &self.scenarios {
            let count = |ended| actions.iter().filter(|(_, other, _)| *other == ended).count();
            let line = format!(
                "{scenario:26}: actions={}  successful={}  disabled={}  skipped={}  missing={}  failed={}\n",
                actions.len(),
                count(Ended::Successful),
                count(Ended::Disabled),
                count(Ended::Skipped),
                count(Ended::Missing),
                count(Ended::Failed),
            );
            text.push_str(&line);
        }
        text
    }
}

impl Ended {
    const fn because(cause: SkipCause) -> Self {
        match cause {
            SkipCause::Unneeded => Self::Skipped,
            SkipCause::Disabled => Self::Disabled,
            SkipCause::Missing => Self::Missing,
        }
    }

    const fn word(self) -> &'static str {
        match self {
            Self::Successful => "Successful",
            Self::Disabled => "Disabled",
            Self::Skipped => "Skipped",
            Self::Missing => "Missing",
            Self::Failed => "Failed",
        }
    }
}

/// Returns the scenario and the action of a step; what is done for one instance has the instance behind it.
fn names(step: &Step) -> (String, String) {
    let image = step.image.as_str();
    match image.split_once('.') {
        Some((scenario, instance)) => (scenario.to_owned(), format!("{} {instance}", step.op.name())),
        None => (image.to_owned(), step.op.name().to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use takelage_model::{
        RunId,
        event::{Op, SCHEMA},
    };

    use super::*;

    #[test]
    fn actions_are_listed_and_counted() {
        let mut recap = Recap::default();
        let skipped = |cause, reason: &str| Outcome::Skipped { reason: reason.to_owned(), cause };
        for (image, op, outcome) in [
            ("default", Op::Dependency, skipped(SkipCause::Disabled, "the dependency manager is disabled")),
            ("default.web", Op::Create, Outcome::Done { summary: "c".into() }),
            ("default", Op::Prepare, skipped(SkipCause::Missing, "there is no playbook `prepare.yml`")),
            ("default", Op::Converge, Outcome::Failed { message: "task\nmore".into(), hint: None }),
        ] {
            let step = Step { image: image.parse().unwrap(), op, layer: None };
            recap.add(&Event {
                schema: SCHEMA,
                run: RunId::from_recorded("00"),
                index: 0,
                at: "2026-01-02T03:04:05Z".parse().unwrap(),
                elapsed: Duration::ZERO,
                kind: EventKind::StepFinished { step, outcome, took: Duration::ZERO },
            });
        }
        insta::assert_snapshot!(recap.text(), @r"

        DETAILS
        default > dependency: Executed: Disabled (the dependency manager is disabled)
        default > create web: Executed: Successful (c)
        default > prepare: Executed: Missing (there is no playbook `prepare.yml`)
        default > converge: Executed: Failed (task)

        SCENARIO RECAP
        default                   : actions=4  successful=1  disabled=1  skipped=0  missing=1  failed=1
        ");
    }
}
