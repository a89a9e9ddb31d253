//! `develop`: create a container from the base image, provision it, verify it, keep it.

use takelage_config::{Image, Origin};
use takelage_engine::{Container, Engine, ImageRecord};
use takelage_model::{
    ImageName,
    event::{EventKind, Level, Op, Outcome},
};
use takelage_python::ansible::AnsibleError;

use super::{Verdict, produce::Remake};
use crate::{
    Session, StepError,
    steps::{ConvergeOptions, Purpose, Target, fits},
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
    /// Have one that is as if all that were done in a new one, and run the checks: the whole verb.
    Develop,
    /// Run playbook and checks in the container that is there, or in a new one.
    Live,
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
                | DevelopOptions::Live
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
        let work = self.work(image, base.as_ref(), what);
        let needs_tools = !matches!(what, DevelopOptions::Create | DevelopOptions::Prepare)
            && (!image.layers.is_empty() || image.tests.is_some());
        let result = if needs_tools { self.with_toolchain_ahead(work).await } else { work.await };
        Verdict::of(name, result, &self.cancel)
    }

    async fn work(
        &self,
        image: &Image,
        base: Option<&ImageRecord>,
        what: DevelopOptions,
    ) -> Result<(), StepError> {
        let _lock = self.lock(&image.name, Purpose::Develop).await?;
        if what == DevelopOptions::Develop {
            return self.develop_anew(image, base).await;
        }
        if !matches!(what, DevelopOptions::Create | DevelopOptions::Verify) {
            self.store.forget_developed(&self.id, &image.name)?;
        }
        if matches!(what, DevelopOptions::Check | DevelopOptions::Idempotence | DevelopOptions::Verify) {
            let container = self.existing(&image.name).await?;
            return self.work_on(image, &container, what).await;
        }
        let container = self.kept_or_created(image, base).await?;
        let result = self.provision(image, &container, what).await;
        self.say_kept(image, &container);
        result
    }

    /// Provisions a container as if from scratch, with as much as possible from memory, and verifies it.
    async fn develop_anew(&self, image: &Image, base: Option<&ImageRecord>) -> Result<(), StepError> {
        let origin = self.origin(image, base).await?;
        let target = self.target(image, None, &origin, Purpose::Develop).await?;
        let provisioned = self.provisioned(image, &target).await;
        let container = match (&provisioned, &target) {
            (Ok(container), _) => Some(container.clone()),
            // Whoever looks for the reason finds the state in which the task failed.
            (Err(error), Target::Remembered(chain))
                if matches!(error.untold(), StepError::Ansible(AnsibleError::Failed(_))) =>
            {
                self.settled(image, chain).await.ok().flatten()
            }
            _ => target.container().await,
        };
        let result = match (&provisioned, &container) {
            (Ok(_), Some(container)) => self.verify(image, container).await.map(drop),
            _ => Ok(()),
        };
        match container {
            Some(container) => self.say_kept(image, &container),
            None => target.remove().await?,
        }
        provisioned.and(result)
    }

    /// Prepares and converges, and returns the container in that state.
    async fn provisioned(&self, image: &Image, target: &Target<E>) -> Result<E::Container, StepError> {
        loop {
            self.prepare(image, None, target).await?;
            for layer in &image.layers {
                self.converge(image, layer, target, ConvergeOptions::default()).await?;
            }
            match target {
                Target::Container(container) => return Ok(container.clone()),
                Target::Remembered(chain) => {
                    if let Some(container) = self.settled(image, chain).await? {
                        if let Err(error) = self.remember_settled(image, chain, &container).await {
                            let what = "the next `develop` makes another container of";
                            let message = format!("{what} `{}`: {}", image.name, error.sentence());
                            self.events.note(Level::Warning, message, None);
                        }
                        return Ok(container);
                    }
                }
            }
        }
    }

    fn say_kept(&self, image: &Image, container: &E::Container) {
        self.events.emit(EventKind::ContainerKept {
            image: image.name.clone(),
            name: container.name().to_owned(),
            shell: format!("takelage shell {}", image.name),
        });
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
        let target = Target::Container(container.clone());
        self.prepare(image, None, &target).await?;
        if what == DevelopOptions::Prepare {
            return Ok(());
        }
        for layer in &image.layers {
            self.converge(image, layer, &target, ConvergeOptions::default()).await?;
        }
        if what == DevelopOptions::Live {
            self.verify(image, container).await?;
        }
        Ok(())
    }

    async fn work_on(
        &self,
        image: &Image,
        container: &E::Container,
        what: DevelopOptions,
    ) -> Result<(), StepError> {
        match what {
            DevelopOptions::Verify => self.verify(image, container).await.map(drop),
            DevelopOptions::Idempotence => {
                for layer in &image.layers {
                    self.idempotence(image, layer, container).await?;
                }
                Ok(())
            }
            _ => {
                let target = Target::Container(container.clone());
                for layer in &image.layers {
                    self.converge(image, layer, &target, ConvergeOptions { check: true, diff: true }).await?;
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
