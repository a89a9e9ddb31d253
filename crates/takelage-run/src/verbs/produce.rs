//! `produce`: provision the base image and commit the result.

use std::collections::{BTreeMap, BTreeSet};

use takelage_config::{Image, Layer, Origin};
use takelage_engine::{Engine, ImageId, ImageRecord};
use takelage_model::{
    Digest, ImageName,
    event::{EventKind, Level, Op, Outcome},
};

use super::Verdict;
use crate::{
    Session, StepError,
    recipe::{ProjectFiles, Recipe},
    schedule::{Finished, in_order},
    steps::{CommitPlan, ConvergeOptions, Purpose, layer_name, own_name},
    store::ImageMemory,
};

/// When an image is made again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Remake {
    /// It was asked for.
    Always,
    /// Only if it is missing or out of date.
    IfNeeded,
}

impl<E: Engine> Session<E> {
    /// Produces `images`, and those they are based on where they are missing or out of date.
    pub async fn produce(&self, images: &[ImageName]) -> Verdict {
        let wanted: BTreeSet<&ImageName> = images.iter().collect();
        let finished = self
            .along_chains(images, |name, base: Option<&ImageRecord>| {
                let remake = if wanted.contains(&name) { Remake::Always } else { Remake::IfNeeded };
                let base = base.cloned();
                async move { self.produce_image(self.image(&name)?, base.as_ref(), remake).await }
            })
            .await;
        Verdict::collect(finished, &self.cancel).0
    }

    /// Works on every image of the chains of `images`, bases first and independent ones side by side.
    pub(super) async fn along_chains<T, W>(
        &self,
        images: &[ImageName],
        work: impl FnMut(ImageName, Option<&T>) -> W,
    ) -> BTreeMap<ImageName, Finished<T, StepError>>
    where
        W: Future<Output = Result<T, StepError>>,
    {
        in_order(&self.bases(images), self.options.jobs, || !self.cancel.is_interrupted(), work).await
    }

    /// Returns each image of the chains of `images` with the image of the project that it is based on.
    pub(super) fn bases(&self, images: &[ImageName]) -> BTreeMap<ImageName, Option<ImageName>> {
        let chains = images.iter().flat_map(|image| self.project.chain(image));
        chains
            .map(|image| match &image.from {
                Origin::Image(base) => (image.name.clone(), Some(base.clone())),
                _ => (image.name.clone(), None),
            })
            .collect()
    }

    /// Produces one image on its produced base.
    pub(super) async fn produce_image(
        &self,
        image: &Image,
        base: Option<&ImageRecord>,
        remake: Remake,
    ) -> Result<ImageRecord, StepError> {
        let _lock = self.lock(&image.name, Purpose::Produce).await?;
        let origin = self.origin(image, base).await?;
        let former = self.former(image).await?;
        let record = if image.layers.is_empty()
            && (matches!(image.from, Origin::Bootstrap(_)) || is_unchanged(image))
        {
            // Nothing is provisioned: the image is its origin, by another name.
            self.name(image, origin).await?
        } else {
            let recipe = self.recipe(image, &origin).await?;
            let known =
                if remake == Remake::IfNeeded { self.up_to_date(image, &recipe).await? } else { None };
            match known {
                Some(record) => self.name(image, record).await?,
                None => self.make(image, &origin, recipe).await?,
            }
        };
        for id in former.into_iter().filter(|id| *id != record.id) {
            self.remove_nameless(&id).await;
        }
        Ok(record)
    }

    /// Returns the images that were produced before: the one that has the name, and the one that is remembered. They
    /// differ if a run died in between.
    async fn former(&self, image: &Image) -> Result<BTreeSet<ImageId>, StepError> {
        let named = self.engine.image(&own_name(&self.id, &image.name)).await?.map(|record| record.id);
        let remembered = self.store.image(&self.id, &image.name)?.map(|memory| memory.id);
        Ok(named.into_iter().chain(remembered).collect())
    }

    /// Makes an image, and remembers what it was made from.
    async fn make(
        &self,
        image: &Image,
        origin: &ImageRecord,
        recipe: Digest,
    ) -> Result<ImageRecord, StepError> {
        self.remove_failed(&image.name).await?;
        let record = self.layers(image, origin).await?;
        let record = self.name(image, record).await?;
        if self.options.no_cache {
            return Ok(record);
        }
        // Somebody may have edited a file while Ansible read it: then nobody knows what the image was made from.
        let files = self.read_files().await?;
        if self.recipe_of(image, origin, &files).await? == recipe {
            let memory = ImageMemory { recipe, id: record.id, produced: jiff::Timestamp::now() };
            self.store.remember_image(&self.id, &image.name, &memory)?;
        } else {
            let message = format!(
                "files of the project changed while `{}` was produced; the next run makes it again",
                image.name
            );
            self.events.note(Level::Warning, message, None);
        }
        Ok(record)
    }

    /// Removes an image that this one has taken the last name from. An image with a name, a container or a
    /// dependent image is in use, and stays.
    async fn remove_nameless(&self, id: &ImageId) {
        let Ok(Some(record)) = self.engine.image(&id.to_string()).await else { return };
        if record.tags.is_empty()
            && let Err(error) = self.engine.remove_image(&id.to_string()).await
        {
            tracing::debug!(%error, %id, "the image made before stays");
        }
    }

    /// Provisions and commits layer after layer; without any, commits the changed metadata.
    async fn layers(&self, image: &Image, origin: &ImageRecord) -> Result<ImageRecord, StepError> {
        let mut from = origin.clone();
        let layers: Vec<_> = image.layers.iter().map(Some).collect();
        let layers = if layers.is_empty() { vec![None] } else { layers };
        for (index, layer) in layers.iter().enumerate() {
            let name = layer.and_then(|layer| layer.name.as_deref());
            let last = index + 1 == layers.len();
            let plan = CommitPlan { image, layer: name, from: &from, base: origin, last };
            let named = match name {
                Some(name) => self.engine.image(&layer_name(&self.id, &image.name, name)).await?,
                None => None,
            };
            let committed = self.layer(*layer, plan).await;
            if let (Some(former), Ok(committed)) = (named, &committed)
                && former.id != committed.id
            {
                self.remove_nameless(&former.id).await;
            }
            if index > 0 && from.tags.is_empty() {
                // The interim image lives on as a layer of this one. If it cannot be removed now, a container that
                // failed is kept of it, and a later run removes both.
                let removed = self.engine.remove_image(&from.id.to_string()).await;
                if let Err(error) = removed {
                    tracing::debug!(%error, id = %from.id, "an interim image stays");
                }
            }
            from = committed?;
        }
        Ok(from)
    }

    /// Provisions a container and commits it.
    async fn layer(&self, layer: Option<&Layer>, plan: CommitPlan<'_>) -> Result<ImageRecord, StepError> {
        let (image, name) = (plan.image, plan.layer);
        let target = self.target(image, name, plan.from, Purpose::Produce).await?;
        let work = async {
            if let Some(layer) = layer {
                self.prepare(image, name, &target).await?;
                self.converge(image, layer, &target, ConvergeOptions::default()).await?;
                if !self.is_ready_to_commit(&target, &plan).await? {
                    self.prepare(image, name, &target).await?;
                    self.converge(image, layer, &target, ConvergeOptions::default()).await?;
                }
            }
            self.commit(&target, plan).await
        };
        let result = work.await;
        let removed = self.discard(&image.name, target, result.is_err()).await;
        let committed = result?;
        removed?;
        Ok(committed)
    }

    /// Gives an image all its names, and says that it is produced.
    async fn name(&self, image: &Image, record: ImageRecord) -> Result<ImageRecord, StepError> {
        let own = own_name(&self.id, &image.name);
        self.step(&image.name, Op::Tag, None, async |_| {
            for name in std::iter::once(&own).chain(&image.tags) {
                self.engine.tag(&record.id, &name.parse()?).await?;
            }
            Ok((Outcome::Done { summary: image.tags.join(", ") }, ()))
        })
        .await?;
        self.events.emit(EventKind::ImageProduced {
            image: image.name.clone(),
            id: record.id.0,
            tags: image.tags.clone(),
            size: record.size,
        });
        Ok(record)
    }

    async fn recipe(&self, image: &Image, origin: &ImageRecord) -> Result<Digest, StepError> {
        self.recipe_of(image, origin, self.files().await?).await
    }

    async fn recipe_of(
        &self,
        image: &Image,
        origin: &ImageRecord,
        files: &ProjectFiles,
    ) -> Result<Digest, StepError> {
        let tools = self.toolchain().await?;
        let recipe = Recipe {
            base: origin.id.to_string(),
            settings: self.settings(image),
            files,
            environment: &self.environment,
            versions: BTreeMap::from([
                ("takelage", env!("CARGO_PKG_VERSION").to_owned()),
                ("ansible-core", tools.ansible_core.clone()),
            ]),
        };
        Ok(recipe.digest())
    }

    /// Returns the image's keys as text: what the project file says, after interpolation, without absolute paths.
    fn settings(&self, image: &Image) -> String {
        let layers: Vec<_> = image.layers.iter().map(|layer| (&layer.name, &layer.playbook)).collect();
        let text = format!(
            "{layers:?}\n{:?}\n{:?}\n{:?}\n{:?}\n{:?}\n{:?}\n{:?}\n{:?}",
            image.prepare,
            image.roles_path,
            image.extra_vars,
            image.inventory,
            image.container,
            image.config,
            image.clean,
            self.project.ansible,
        );
        text.replace(&self.project.root.display().to_string(), "")
    }

    /// Returns the image as it was produced before, if it would be the same today.
    async fn up_to_date(&self, image: &Image, recipe: &Digest) -> Result<Option<ImageRecord>, StepError> {
        if self.options.no_cache || self.options.refresh {
            return Ok(None);
        }
        let Some(memory) = self.store.image(&self.id, &image.name)? else { return Ok(None) };
        if memory.recipe != *recipe || !self.is_young(memory.produced) {
            return Ok(None);
        }
        let Some(record) = self.interruptible(self.engine.image(&memory.id.to_string())).await? else {
            return Ok(None);
        };
        self.step(&image.name, Op::Commit, None, async |_| {
            let reason = format!("{} is up to date", record.id.0.short());
            Ok((Outcome::Cached { reason }, record))
        })
        .await
        .map(Some)
    }
}

/// Whether the project file asks for no change of the origin's metadata.
fn is_unchanged(image: &Image) -> bool {
    image.config == takelage_config::Config::default()
}
