//! Instances: made, found and removed.

use std::collections::{BTreeSet, HashMap};

use takelage_config::{
    Prepare, Project,
    molecule::{Action, DriverKind, Scenario, Section},
};
use takelage_engine::{Container, ContainerRecord, Engine, EngineError};
use takelage_model::{
    ImageName,
    event::{Op, SkipCause},
    label,
};
use takelage_python::Host;

use super::{Destroy, ephemeral, work::Work};
use crate::{
    Session, StepError,
    session::identity,
    steps::{Purpose, Target, containers, is},
};

/// A container that takelage made for a platform.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Instance {
    /// The platform's name.
    pub platform: String,
    /// The container.
    pub container: ContainerRecord,
}

/// Returns the containers that takelage made for the platforms of a scenario.
pub async fn instances<E: Engine>(engine: &E, scenario: &Scenario) -> Result<Vec<Instance>, EngineError> {
    let project: Project = scenario.project(&scenario.places.project);
    let found = containers(engine, &identity(&project)).await?;
    let of = |platform: &str| {
        let image = scenario.image_of(platform)?;
        found.iter().find(|record| is(record, &image, Some(Purpose::Develop))).cloned()
    };
    let platforms = scenario.platforms.iter().map(|platform| platform.name.clone());
    Ok(platforms.filter_map(|platform| Some(Instance { container: of(&platform)?, platform })).collect())
}

impl<E: Engine> Work<'_, E> {
    /// Makes the instances, unless they are there.
    pub(super) async fn create(&self) -> Result<(), StepError> {
        if let Some(playbook) = self.scenario.playbook(Section::Create) {
            if self.state.borrow().created {
                return self
                    .nothing(Op::Create, SkipCause::Unneeded, "the instances were created before")
                    .await;
            }
            self.playbook(Op::Create, Action::Create, &playbook, None).await?;
        } else if self.scenario.is_native() {
            self.create_containers().await?;
        } else if self.scenario.driver.kind == DriverKind::Foreign {
            return Err(StepError::NoDriver { driver: self.scenario.driver.name.clone() });
        } else if !self.state.borrow().created {
            self.nothing(Op::Create, SkipCause::Missing, "there is no playbook `create.yml`").await?;
        }
        let driver = self.scenario.driver.name.clone();
        self.remember(|state| (state.created, state.driver) = (true, Some(driver)))
    }

    async fn create_containers(&self) -> Result<(), StepError> {
        for platform in &self.scenario.platforms {
            if let Some(build) = &platform.build
                && self.scenario.path(&build.dockerfile).is_file()
            {
                let (platform, dockerfile) = (platform.name.clone(), build.dockerfile.clone());
                return Err(StepError::Dockerfile { platform, dockerfile });
            }
        }
        let session = &self.session;
        let one = async |image: &takelage_config::Image| {
            let before = session.kept(&image.name).await?;
            let container = session.kept_or_created(image, None).await?;
            let fresh = before.is_none_or(|record| record.id != *container.id());
            if fresh && image.prepare == Prepare::Python {
                session.prepare(image, None, &Target::Container(container)).await?;
            }
            Ok::<_, StepError>(fresh)
        };
        let images: Vec<_> = session.project.images.values().collect();
        let made = futures_util::future::join_all(images.into_iter().map(one)).await;
        let made: Vec<bool> = made.into_iter().collect::<Result<_, _>>()?;
        if made.contains(&true) {
            self.remember(|state| (state.prepared, state.converged) = (false, false))?;
        }
        Ok(())
    }

    /// Removes the instances.
    pub(super) async fn destroy(&self) -> Result<(), StepError> {
        if let Some(playbook) = self.scenario.playbook(Section::Destroy) {
            self.playbook(Op::Destroy, Action::Destroy, &playbook, None).await?;
        } else if !self.scenario.is_native() {
            self.nothing(Op::Destroy, SkipCause::Missing, "there is no playbook `destroy.yml`").await?;
        }
        if self.scenario.is_native() {
            for image in self.own_images().await? {
                self.session.destroy(&image).await?;
            }
        }
        self.forget()
    }

    /// Removes the containers without saying so, because the run is interrupted.
    pub(super) async fn remove_quietly(&self) -> Result<(), StepError> {
        if self.settings.destroy == Destroy::Never || !self.scenario.is_native() {
            return Ok(());
        }
        for record in self.own_containers().await? {
            self.session.engine.container(&record).remove().await?;
        }
        self.forget()
    }

    fn forget(&self) -> Result<(), StepError> {
        self.remember(|state| *state = super::State::default())
    }

    /// Removes what was generated.
    pub(super) fn prune(&self) -> Result<(), StepError> {
        Ok(ephemeral::prune(self.scenario)?)
    }

    /// Returns the containers of the scenario's platforms by the names of their hosts, as far as they run.
    pub(super) async fn hosts(&self) -> Result<HashMap<String, Host<E::Container>>, StepError> {
        let mut hosts = HashMap::new();
        if !self.owner.is_native() {
            return Ok(hosts);
        }
        let session: &Session<E> = &self.owner_session;
        for instance in session.interruptible(instances(&session.engine, self.owner)).await? {
            let container = session.engine.container(&instance.container);
            if !instance.container.running {
                session.interruptible(container.start()).await?;
            }
            hosts.insert(instance.platform, container.into());
        }
        Ok(hosts)
    }

    /// Returns the images of the scenario: of its platforms, and of containers whose platforms are gone from the file.
    async fn own_images(&self) -> Result<BTreeSet<ImageName>, StepError> {
        let mut images: BTreeSet<ImageName> = self.session.project.images.keys().cloned().collect();
        for record in self.own_containers().await? {
            images.extend(record.labels.get(label::IMAGE).and_then(|image| image.parse().ok()));
        }
        Ok(images)
    }

    async fn own_containers(&self) -> Result<Vec<ContainerRecord>, StepError> {
        let prefix = format!("{}.", self.name);
        let own = |record: &ContainerRecord| {
            let has =
                |key: &str, fits: &dyn Fn(&str) -> bool| record.labels.get(key).is_some_and(|it| fits(it));
            has(label::IMAGE, &|image| image.starts_with(&prefix))
                && has(label::PURPOSE, &|purpose| purpose == label::purpose::DEVELOP)
        };
        let all = containers(&self.session.engine, &self.session.id).await?;
        Ok(all.into_iter().filter(own).collect())
    }

    /// Says which instances stay, and how to get into them.
    pub(super) async fn tell_kept(&self) -> Result<(), StepError> {
        for instance in instances(&self.session.engine, self.scenario).await? {
            self.session.events.emit(takelage_model::event::EventKind::ContainerKept {
                image: self.name.clone(),
                name: instance.container.name,
                shell: format!("molecule login -s {} --host {}", self.scenario.name, instance.platform),
            });
        }
        Ok(())
    }

    /// Says that a container that should be there is not, so that it is made again.
    pub(super) async fn vanished(&self) -> Result<bool, StepError> {
        if !self.scenario.is_native() || !self.state.borrow().created {
            return Ok(false);
        }
        let there = self.session.interruptible(instances(&self.session.engine, self.scenario)).await?;
        Ok(there.len() < self.session.project.images.len())
    }
}
