//! Checks: a playbook, or pytest on all instances.

use takelage_config::molecule::{Action, Section, VerifierName};
use takelage_engine::Engine;
use takelage_model::event::{Op, Outcome, SkipCause};
use takelage_python::pytest;

use super::{ephemeral, work::Work};
use crate::{StepError, steps::verified};

impl<E: Engine> Work<'_, E> {
    /// Checks the instances.
    pub(super) async fn verify(&self, arguments: &[String]) -> Result<(), StepError> {
        let verifier = &self.scenario.verifier;
        if !verifier.enabled {
            return self.nothing(Op::Verify, SkipCause::Disabled, "the verifier is disabled").await;
        }
        match verifier.name {
            VerifierName::Ansible => self.named(Op::Verify, Action::Verify, Section::Verify, arguments).await,
            VerifierName::Testinfra => self.testinfra(arguments).await,
        }
    }

    async fn testinfra(&self, arguments: &[String]) -> Result<(), StepError> {
        let scenario = self.scenario;
        if let Some(missing) = arguments.iter().find(|argument| !scenario.path(argument).exists()) {
            let missing = pytest::PytestError::NoTests { tests: missing.into() };
            return self.step(Op::Verify, None, async |_| Err(missing.into())).await;
        }
        let tests = scenario.tests(arguments);
        if tests.is_empty() {
            return self.nothing(Op::Verify, SkipCause::Missing, "no tests found").await;
        }
        let named = (!arguments.is_empty()).then(|| arguments.join(" "));
        self.step(Op::Verify, named.as_deref(), async |step| {
            ephemeral::write(scenario, &scenario.connections(&self.environment))?;
            let tools = self.session.toolchain().await?;
            let hosts = self.hosts().await?;
            let invocation = pytest::Invocation {
                arguments: scenario.pytest_arguments(&tests, self.settings.additions.debug),
                directory: scenario.directory.clone(),
                env: self.verifier_environment(),
                inventory: scenario.places.inventory(),
                hosts: hosts.keys().cloned().collect(),
            };
            let bridge = self.session.bridge(hosts, &step).await?;
            let cancel = self.session.cancel.token();
            let printing = self.printing(&step, "pytest");
            let invoked = pytest::invoke(tools, &invocation, &bridge, cancel, printing).await;
            bridge.close().await;
            let invoked = invoked?;
            let summary = verified(&self.ended(invoked.status, invoked.result)?);
            Ok((Outcome::Done { summary }, ()))
        })
        .await
    }
}
