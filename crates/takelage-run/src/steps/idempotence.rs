//! Runs the playbook a second time: nothing may change.

use takelage_config::{Image, Layer};
use takelage_engine::Engine;
use takelage_model::event::{Op, Outcome};

use super::{
    Target,
    converge::{ConvergeOptions, summary},
};
use crate::{Session, StepError};

impl<E: Engine> Session<E> {
    /// Runs the playbook of `layer` again, with differences shown, and fails if a task or handler changes anything.
    pub(crate) async fn idempotence(
        &self,
        image: &Image,
        layer: &Layer,
        container: &E::Container,
    ) -> Result<(), StepError> {
        self.step(&image.name, Op::Idempotence, layer.name.as_deref(), async |step| {
            let options = ConvergeOptions { check: false, diff: true };
            let converged =
                self.playbook(image, layer, &Target::Container(container.clone()), &step, options).await?;
            if converged.changed.is_empty() {
                return Ok((Outcome::Done { summary: summary(&converged.totals) }, ()));
            }
            let tasks =
                converged.changed.iter().map(|task| format!("`{}` ({})", task.task, task.path)).collect();
            Err(StepError::NotIdempotent { image: image.name.clone(), tasks })
        })
        .await
    }
}
