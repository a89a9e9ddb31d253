//! Roles and collections that a scenario needs, installed as it says.

use std::{path::PathBuf, time::Duration};

use takelage_config::molecule::DependencyName;
use takelage_engine::Engine;
use takelage_model::event::{Level, Op, Outcome, SkipCause, Step};
use takelage_python::program::Program;

use super::work::Work;
use crate::StepError;

/// How long to wait before each further try: servers are busy at times.
const TRIES: [Duration; 3] = [Duration::from_secs(3), Duration::from_secs(6), Duration::from_secs(9)];

impl<E: Engine> Work<'_, E> {
    /// Installs what the scenario needs.
    pub(super) async fn dependency(&self) -> Result<(), StepError> {
        let dependency = &self.scenario.dependency;
        if !dependency.enabled {
            return self
                .nothing(Op::Dependency, SkipCause::Disabled, "the dependency manager is disabled")
                .await;
        }
        self.step(Op::Dependency, None, async |step| {
            let done = match (dependency.name, &dependency.command) {
                (DependencyName::Shell, Some(command)) => {
                    let arguments = vec!["-c".to_owned(), command.clone()];
                    self.persistently(PathBuf::from("/bin/sh"), arguments, "shell", &step).await?;
                    1
                }
                (DependencyName::Shell, None) => 0,
                (DependencyName::Galaxy, _) => self.galaxy(&step).await?,
            };
            let outcome = if done == 0 {
                Outcome::Skipped { reason: "there are no requirements".to_owned(), cause: SkipCause::Missing }
            } else {
                Outcome::Done { summary: String::new() }
            };
            Ok((outcome, ()))
        })
        .await
    }

    async fn galaxy(&self, step: &Step) -> Result<usize, StepError> {
        let mut done = 0;
        for (file, arguments) in self.scenario.galaxy_commands() {
            if file.is_file() {
                let tools = self.session.toolchain().await?;
                let galaxy = tools.ansible.program.with_file_name("ansible-galaxy");
                self.persistently(galaxy, arguments, "ansible-galaxy", step).await?;
                done += 1;
            }
        }
        Ok(done)
    }

    /// Runs a program until it succeeds, a few times at most.
    async fn persistently(
        &self,
        program: PathBuf,
        arguments: Vec<String>,
        name: &str,
        step: &Step,
    ) -> Result<(), StepError> {
        let mut env = self.environment.clone();
        env.extend(self.scenario.dependency.env.clone());
        let directory = self.scenario.places.project.clone();
        let program = Program { program, arguments, directory, env: env.into_iter().collect() };
        let mut waits = TRIES.iter();
        loop {
            let result = self.run_program(&program, self.printing(step, name)).await;
            let failed = matches!(result, Err(StepError::Program { .. }));
            let Some(wait) = waits.next().filter(|_| failed) else { return result };
            let message = format!("`{name}` failed, and is tried again in {} s", wait.as_secs());
            self.session.events.note(Level::Warning, message, None);
            self.session
                .interruptible(async {
                    tokio::time::sleep(*wait).await;
                    Ok::<_, StepError>(())
                })
                .await?;
        }
    }
}
