//! Removes containers: those of this project, never others.

use std::collections::BTreeMap;

use takelage_engine::{Container, ContainerRecord, Engine, EngineError};
use takelage_model::{
    ImageName, RunId,
    event::{Level, Op, Outcome, SkipCause},
    label,
};

use super::{Purpose, Target};
use crate::{Session, StepError};

impl<E: Engine> Session<E> {
    /// Returns the container that `develop` keeps for `image`, if there is one.
    pub(crate) async fn kept(&self, image: &ImageName) -> Result<Option<ContainerRecord>, StepError> {
        let containers = self.interruptible(containers(&self.engine, &self.id)).await?;
        Ok(containers.into_iter().find(|record| is(record, image, Some(Purpose::Develop))))
    }

    /// Removes a container that was created for this run alone, whatever happened before. `failed` is whether
    /// something failed in it.
    ///
    /// Runs also when the run is interrupted: cleaning up is what an interrupt waits for.
    pub(crate) async fn discard(
        &self,
        image: &ImageName,
        target: Target<E>,
        failed: bool,
    ) -> Result<(), StepError> {
        let name = target.container().await.map(|container| container.name().to_owned());
        if failed && self.options.keep_failed && !self.cancel.is_interrupted() {
            let Some(name) = name else { return Ok(()) };
            self.store.keep(&name)?;
            self.events.emit(takelage_model::event::EventKind::ContainerKept {
                image: image.clone(),
                name,
                shell: format!("takelage shell --failed {image}"),
            });
            return Ok(());
        }
        if let Err(error) = target.remove().await {
            let hint = "the next run removes it".to_owned();
            let name = name.unwrap_or_else(|| "a container".to_owned());
            self.events.note(Level::Warning, format!("`{name}` could not be removed"), Some(hint));
            return Err(error);
        }
        if failed && name.is_some() && !self.cancel.is_interrupted() {
            let hint =
                format!("keep it with `--on-failure keep`, or work in one with `takelage develop {image}`");
            let message = format!("the container of `{image}` that failed is removed");
            self.events.note(Level::Info, message, Some(hint));
        }
        Ok(())
    }

    /// Removes all containers of `image` that no living run needs: kept ones, and those that failed.
    pub(crate) async fn destroy(&self, image: &ImageName) -> Result<(), StepError> {
        self.step(image, Op::Destroy, None, async |_| {
            let _lock = self.lock(image, Purpose::Develop).await?;
            self.store.forget_developed(&self.id, image)?;
            let mut removed = Vec::new();
            for record in containers(&self.engine, &self.id).await? {
                let kept = is(&record, image, Some(Purpose::Develop));
                if kept || (is(&record, image, None) && !self.lives(&record.labels)?) {
                    self.engine.container(&record).remove().await?;
                    self.store.release(&record.name)?;
                    removed.push(record.name);
                }
            }
            let outcome = match removed.as_slice() {
                [] => Outcome::Skipped {
                    reason: "there is no container".to_owned(),
                    cause: SkipCause::Unneeded,
                },
                names => Outcome::Done { summary: names.join(", ") },
            };
            Ok((outcome, ()))
        })
        .await
    }

    /// Removes containers of `image` that were kept because something failed in them.
    pub(crate) async fn remove_failed(&self, image: &ImageName) -> Result<(), StepError> {
        for record in containers(&self.engine, &self.id).await? {
            if is(&record, image, None) && self.store.is_kept(&record.name) {
                self.engine.container(&record).remove().await?;
                self.store.release(&record.name)?;
            }
        }
        Ok(())
    }

    /// Removes containers and interim images that killed runs of this project have left behind, and says so.
    ///
    /// A container that was kept because something failed in it stays until the next run of the image.
    pub(crate) async fn remove_leavings(&self) -> Result<(), StepError> {
        self.remove_left_containers().await?;
        self.remove_left_images().await
    }

    async fn remove_left_images(&self) -> Result<(), StepError> {
        let labels = BTreeMap::from([(label::PROJECT.to_owned(), self.id.clone())]);
        for id in self.interruptible(self.engine.images(&labels)).await? {
            let Some(record) = self.engine.image(&id.to_string()).await? else { continue };
            if self.lives(&record.config.labels)? {
                continue;
            }
            match self.engine.remove_image(&id.to_string()).await {
                Ok(()) => {
                    let message =
                        format!("removed the image {}, which an interrupted run had left", id.0.short());
                    self.events.note(Level::Info, message, None);
                }
                // A container that was kept is made of it.
                Err(error) => tracing::debug!(%error, %id, "an interim image stays"),
            }
        }
        Ok(())
    }

    async fn remove_left_containers(&self) -> Result<(), StepError> {
        for record in self.interruptible(containers(&self.engine, &self.id)).await? {
            let kept =
                record.labels.get(label::PURPOSE).is_some_and(|purpose| purpose == label::purpose::DEVELOP);
            if !kept && !self.lives(&record.labels)? && !self.store.is_kept(&record.name) {
                self.engine.container(&record).remove().await?;
                let message = format!("removed `{}`, which an interrupted run had left", record.name);
                self.events.note(Level::Info, message, None);
            }
        }
        Ok(())
    }

    /// Whether the run that created an object with these labels lives.
    fn lives(&self, labels: &BTreeMap<String, String>) -> Result<bool, StepError> {
        match labels.get(label::RUN) {
            Some(run) => Ok(self.store.is_alive(&RunId::from_recorded(run.clone()))?),
            None => Ok(false),
        }
    }
}

/// Lists a project's containers.
pub(crate) async fn containers<E: Engine>(
    engine: &E,
    project: &str,
) -> Result<Vec<ContainerRecord>, EngineError> {
    let labels = BTreeMap::from([(label::PROJECT.to_owned(), project.to_owned())]);
    engine.containers(&labels).await
}

/// Whether a container belongs to `image`, and was created for `purpose`, if that matters.
pub(crate) fn is(record: &ContainerRecord, image: &ImageName, purpose: Option<Purpose>) -> bool {
    let has = |key: &str, value: &str| record.labels.get(key).is_some_and(|found| found == value);
    has(label::IMAGE, image.as_str()) && purpose.is_none_or(|purpose| has(label::PURPOSE, purpose.label()))
}
