//! Makes a container fit for Ansible.

use takelage_config::{Image, Prepare};
use takelage_engine::Engine;
use takelage_model::event::{EventKind, Op, Outcome};
use takelage_python::prepare::{self, Prepared};

use crate::{Session, StepError};

impl<E: Engine> Session<E> {
    /// Installs Python in `container` if the image wants it and it is missing.
    pub(crate) async fn prepare(
        &self,
        image: &Image,
        layer: Option<&str>,
        container: &E::Container,
    ) -> Result<(), StepError> {
        self.step(&image.name, Op::Prepare, layer, async |step| {
            if image.prepare == Prepare::None {
                return Ok((
                    Outcome::Skipped { reason: "the project file says `prepare: none`".to_owned() },
                    (),
                ));
            }
            let mut output = |line: &str| {
                let line = line.to_owned();
                self.events.emit(EventKind::Output {
                    step: step.clone(),
                    program: "prepare".to_owned(),
                    line,
                });
            };
            let outcome = match self.interruptible(prepare::python(container, &mut output)).await? {
                Prepared::Present { path, .. } => Outcome::Skipped { reason: format!("{path} is there") },
                Prepared::Installed { path, manager } => {
                    Outcome::Done { summary: format!("{manager} installed {path}") }
                }
            };
            Ok((outcome, ()))
        })
        .await
    }
}
