//! What the steps of a layer work on: a container, or one that is only there if it has to be.

use std::{collections::BTreeMap, sync::Arc};

use rustix::system::uname;
use takelage_config::{Image, Prepare};
use takelage_engine::{Container as _, ContainerSpec, Engine, ImageRecord, Network};
use takelage_model::event::{Level, Op, Outcome};
use takelage_python::Host;

use super::{Purpose, create::settings};
use crate::{
    Session, StepError,
    memory::{Beginning, Chain, ENGINE, IMAGE, Machine, Records, Start},
};

/// What steps work on.
#[derive(Debug)]
pub(crate) enum Target<E: Engine> {
    /// A container.
    Container(E::Container),
    /// One of which as much as possible comes from memory.
    Remembered(Arc<Chain<E>>),
}

impl<E: Engine> Clone for Target<E> {
    fn clone(&self) -> Self {
        match self {
            Self::Container(container) => Self::Container(container.clone()),
            Self::Remembered(chain) => Self::Remembered(Arc::clone(chain)),
        }
    }
}

impl<E: Engine> Target<E> {
    /// Returns what a bridge does with requests to it.
    pub(super) fn host(&self) -> Host<E::Container> {
        match self {
            Self::Container(container) => container.clone().into(),
            Self::Remembered(chain) => Host::remembered(Arc::clone(chain) as _),
        }
    }

    /// Returns the container, if there is one.
    pub(crate) async fn container(&self) -> Option<E::Container> {
        match self {
            Self::Container(container) => Some(container.clone()),
            Self::Remembered(chain) => chain.container().await,
        }
    }

    /// Removes the container, if there is one.
    pub(crate) async fn remove(self) -> Result<(), StepError> {
        match self {
            Self::Container(container) => container.remove().await?,
            Self::Remembered(chain) => chain.remove().await?,
        }
        Ok(())
    }
}

impl<E: Engine> Session<E> {
    /// Returns what a layer is made on: a container of `from`, or what is remembered of one.
    pub(crate) async fn target(
        &self,
        image: &Image,
        layer: Option<&str>,
        from: &ImageRecord,
        purpose: Purpose,
    ) -> Result<Target<E>, StepError> {
        let Some(records) = self.records(image, from) else {
            if purpose == Purpose::Develop
                && let Some(kept) = self.kept(&image.name).await?
            {
                let message = format!(
                    "`{}` is made again from scratch, because nothing of it is remembered",
                    kept.name
                );
                let hint =
                    format!("`takelage develop --live {}` converges the one that is there", image.name);
                self.events.note(Level::Info, message, Some(hint));
                self.engine.container(&kept).remove().await?;
            }
            return self.create(image, layer, from, purpose).await.map(Target::Container);
        };
        self.step(&image.name, Op::Create, layer, async |_| {
            let spec = self.specify(image, from, purpose);
            let beginning = self.beginning(image, layer, &spec, &records).await?;
            let machine = Machine::new(self.engine.clone(), spec, records.store_name());
            let chain = Chain::begin(machine, records, beginning, self.events.clone());
            if self.options.refresh {
                chain.refresh().await;
            } else if chain.may_recall(image.prepare == Prepare::Python).await {
                let reason = "put off until something has to run in it".to_owned();
                return Ok((Outcome::Cached { reason }, Target::Remembered(chain)));
            }
            match self.interruptible(chain.materialised()).await {
                Ok(live) => {
                    let summary = live.container.name().to_owned();
                    Ok((Outcome::Done { summary }, Target::Remembered(chain)))
                }
                Err(error) => {
                    chain.remove().await?;
                    Err(error)
                }
            }
        })
        .await
    }

    /// Forgets what was replayed of a chain, because it cannot be repeated with the same results.
    pub(super) async fn begin_anew(&self, image: &Image, chain: &Chain<E>) -> Result<(), StepError> {
        let differed = chain.anew().await?;
        let message = format!(
            "{differed} came to something else when it was made again, so nothing that was remembered of `{}` counts",
            image.name
        );
        self.events.note(Level::Info, message, None);
        Ok(())
    }

    /// Opens the records, unless nothing of `image` is to be remembered, or the store cannot be used.
    fn records(&self, image: &Image, from: &ImageRecord) -> Option<Records> {
        let never = self.options.no_cache || self.options.plain;
        let has_volumes = self.engine.capabilities().image_volumes && !from.config.volumes.is_empty();
        if never || has_volumes || reaches_out(&image.container) || image.layers.is_empty() {
            return None;
        }
        match self.store.records() {
            Ok(records) => Some(records),
            Err(error) => {
                let message = format!("nothing is remembered: {}: {}", error, error.source);
                self.events.note(Level::Warning, message, None);
                None
            }
        }
    }

    async fn beginning(
        &self,
        image: &Image,
        layer: Option<&str>,
        spec: &ContainerSpec,
        records: &Records,
    ) -> Result<Beginning, StepError> {
        // Labels say which run it is of, and its name and that of its network as well; no process sees any of them.
        let network = match &spec.network {
            Network::Private(_) => Network::Private(String::new()),
            network => network.clone(),
        };
        let seen = ContainerSpec {
            name: String::new(),
            labels: BTreeMap::new(),
            network,
            ephemeral: false,
            ..spec.clone()
        };
        let start = Start::from([
            (IMAGE, spec.image.to_string()),
            ("a setting below `container:`", settings(&seen)),
            (ENGINE, self.interruptible(self.engine.describe()).await?),
            ("the host's kernel", host()),
            ("takelage", format!("{} {}", env!("CARGO_PKG_VERSION"), takelage_python::memory::FORMAT)),
        ]);
        Ok(Beginning {
            start,
            max_age: self.project.cache.max_age,
            root: self.project.root.clone(),
            journal: records.journal_path(&self.id, &image.name, layer),
        })
    }
}

/// Whether what lies in a volume, or what a device or the kernel is told, makes a container's state: no image has that.
pub(crate) fn reaches_out(container: &takelage_config::Container) -> bool {
    !container.volumes.is_empty() || !container.devices.is_empty() || container.privileged
}

/// Returns what processes see of the host: its kernel, its architecture and its number of processors.
pub(super) fn host() -> String {
    let machine = uname();
    let processors = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    format!("{} {} {processors}", machine.machine().to_string_lossy(), machine.release().to_string_lossy())
}
