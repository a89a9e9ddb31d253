//! Makes a container fit for Ansible.

use std::sync::Arc;

use takelage_config::{Image, Prepare};
use takelage_engine::Engine;
use takelage_model::event::{EventKind, Op, Outcome, SkipCause};
use takelage_python::{
    memory::{Answer, Memory as _, Recall, Wanted},
    prepare::{self, Prepared},
};

use super::Target;
use crate::{Session, StepError, memory::Chain};

impl<E: Engine> Session<E> {
    /// Installs Python in the container if the image wants it and it is missing.
    pub(crate) async fn prepare(
        &self,
        image: &Image,
        layer: Option<&str>,
        target: &Target<E>,
    ) -> Result<(), StepError> {
        self.step(&image.name, Op::Prepare, layer, async |step| {
            if image.prepare == Prepare::None {
                let reason = "the project file says `prepare: none`".to_owned();
                return Ok((Outcome::Skipped { reason, cause: SkipCause::Disabled }, ()));
            }
            let mut output = |line: &str| {
                let line = line.to_owned();
                self.events.emit(EventKind::Output {
                    step: step.clone(),
                    program: "prepare".to_owned(),
                    line,
                });
            };
            let (prepared, is_remembered) = match target {
                Target::Container(container) => {
                    (self.interruptible(prepare::python(container, &mut output)).await?, false)
                }
                Target::Remembered(chain) => self.prepare_remembered(chain, &mut output).await?,
            };
            let outcome = match prepared {
                Prepared::Present { path, .. } => {
                    Outcome::Skipped { reason: format!("{path} is there"), cause: SkipCause::Unneeded }
                }
                Prepared::Installed { path, .. } if is_remembered => {
                    Outcome::Cached { reason: format!("{path} was installed before") }
                }
                Prepared::Installed { path, manager } => {
                    Outcome::Done { summary: format!("{manager} installed {path}") }
                }
            };
            Ok((outcome, ()))
        })
        .await
    }

    /// Does the same with as much as possible from memory. Returns whether all of it was.
    pub(super) async fn prepare_remembered(
        &self,
        chain: &Chain<E>,
        output: &mut (dyn FnMut(&str) + Send),
    ) -> Result<(Prepared, bool), StepError> {
        let live = match self.interruptible(chain.recall(&Arc::new(Wanted::Prepare), None)).await? {
            Recall::Known(Answer::Prepared(prepared)) => return Ok((prepared, true)),
            Recall::Known(_) => self.interruptible(chain.forgo("its records are damaged".to_owned())).await?,
            Recall::Live(live) => live,
        };
        let prepared = self.interruptible(prepare::python(&live.container, output)).await?;
        if let Some(ticket) = live.ticket {
            chain.remember(ticket, Some(&Answer::Prepared(prepared.clone()))).await;
        }
        Ok((prepared, false))
    }
}
