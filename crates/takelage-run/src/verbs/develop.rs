//! `develop`: create a container from the base image, provision it, verify it, keep it.

use takelage_config::{Image, Origin};
use takelage_engine::{Container, Engine, ImageRecord};
use takelage_model::{
    ImageName,
    event::{EventKind, Level, Op, Outcome},
};

use super::{Verdict, produce::Remake};
use crate::{
    Session, StepError,
    steps::{ConvergeOptions, Purpose, fits},
};

/// What is done to the container that `develop` keeps.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DevelopOptions {
    /// Create it.
    Create,
    /// Create it, and make it fit for Ansible.
    Prepare,
    /// The same, and run the playbook.
    Converge,
    /// The same, and run the checks: the whole verb.
    Develop,
    /// Run the playbook without changing anything, in a container that exists.
    Check,
    /// Run the playbook a second time, in a container that exists.
    Idempotence,
    /// Run the checks, in a container that exists.
    Verify,
}

impl<E: Engine> Session<E> {
    /// Works on the container that is kept for `name`.
    pub async fn develop(&self, name: &ImageName, what: DevelopOptions) -> Verdict {
        let image = match self.image(name) {
            Ok(image) => image,
            Err(error) => return Verdict::of(name, Err(error), &self.cancel),
        };
        // Verbs on a container that exists do not need what it was made from.
        let needs_base = matches!(
            what,
            DevelopOptions::Create
                | DevelopOptions::Prepare
                | DevelopOptions::Converge
                | DevelopOptions::Develop
        );
        let mut base = None;
        if needs_base && let Origin::Image(of) = &image.from {
            let wanted = [of.clone()];
            let finished =
                self.along_chains(&wanted, |name, base| {
                        let base = base.cloned();
                        async move {
                            self.produce_image(self.image(&name)?, base.as_ref(), Remake::IfNeeded).await
                        }
                    })
                .await;
            let (verdict, mut produced) = Verdict::collect(finished, &self.cancel);
            base = produced.remove(of);
            if base.is_none() {
                return verdict;
            }
        }
        let result = self.work(image, base.as_ref(), what).await;
        Verdict::of(name, result, &self.cancel)
    }

    async fn work(
        &self,
        image: &Image,
        base: Option<&ImageRecord>,
        what: DevelopOptions,
    ) -> Result<(), StepError> {
        let _lock = self.lock(&image.name, Purpose::Develop).await?;
        if matches!(what, DevelopOptions::Check | DevelopOptions::Idempotence | DevelopOptions::Verify) {
            let container = self.existing(&image.name).await?;
            return self.work_on(image, &container, what).await;
        }
        let container = self.kept_or_created(image, base).await?;
        let result = self.provision(image, &container, what).await;
        self.events.emit(EventKind::ContainerKept {
            image: image.name.clone(),
            name: container.name().to_owned(),
            shell: format!("takelage shell {}", image.name),
        });
        result
    }

    async fn provision(
        &self,
        image: &Image,
        container: &E::Container,
        what: DevelopOptions,
    ) -> Result<(), StepError> {
        if what == DevelopOptions::Create {
            return Ok(());
        }
        self.prepare(image, None, container).await?;
        if what == DevelopOptions::Prepare {
            return Ok(());
        }
        for layer in &image.layers {
            self.converge(image, layer, container, ConvergeOptions::default()).await?;
        }
        if what == DevelopOptions::Develop { self.verify(image, container).await } else { Ok(()) }
    }

    async fn work_on(
        &self,
        image: &Image,
        container: &E::Container,
        what: DevelopOptions,
    ) -> Result<(), StepError> {
        match what {
            DevelopOptions::Verify => self.verify(image, container).await,
            DevelopOptions::Idempotence => {
                for layer in &image.layers {
                    self.idempotence(image, layer, container).await?;
                }
                Ok(())
            }
            _ => {
                for layer in &image.layers {
                    self.converge(image, layer, container, ConvergeOptions { check: true, diff: true })
                        .await?;
                }
                Ok(())
            }
        }
    }

    /// Returns the kept container, running.
    async fn existing(&self, image: &ImageName) -> Result<E::Container, StepError> {
        let record =
            self.kept(image).await?.ok_or_else(|| StepError::NoContainer { image: image.clone() })?;
        let container = self.engine.container(&record);
        if !record.running {
            self.interruptible(container.start()).await?;
        }
        Ok(container)
    }

    /// Returns the kept container if it was made of the same image in the same way, else a new one.
    pub(crate) async fn kept_or_created(
        &self,
        image: &Image,
        base: Option<&ImageRecord>,
    ) -> Result<E::Container, StepError> {
        let origin = self.origin(image, base).await?;
        if let Some(record) = self.kept(&image.name).await? {
            let Err(reason) = fits(image, &origin, &record) else {
                return self
                    .step(&image.name, Op::Create, None, async |_| {
                        let container = self.existing(&image.name).await?;
                        Ok((Outcome::Cached { reason: format!("{} is there", record.name) }, container))
                    })
                    .await;
            };
            let message = format!("`{}` {reason}, so it is made again", record.name);
            self.events.note(Level::Info, message, None);
            self.engine.container(&record).remove().await?;
        }
        self.create(image, None, &origin, Purpose::Develop).await
    }
}
