//! `push`: send produced images to their registries.

use takelage_config::Image;
use takelage_engine::{Engine, ImageRecord, Reference};
use takelage_model::{
    ImageName,
    event::{Op, Outcome},
};

use super::Verdict;
use crate::{
    Session, StepError,
    steps::{Purpose, own_name},
};

impl<E: Engine> Session<E> {
    /// Sends images to the registries of their tags, as they were produced last.
    ///
    /// Of images that were `named`, each must have a tag. Of all images, only those with a tag are sent, but one must have
    /// one.
    pub async fn push(&self, images: &[ImageName], named: bool) -> Verdict {
        let mut verdict = Verdict::new(&self.cancel);
        let tagged = |name: &&ImageName| self.image(name).is_ok_and(|image| !image.tags.is_empty());
        let wanted: Vec<_> = images.iter().filter(|name| named || tagged(name)).collect();
        // Without any, the last one says what is missing.
        let wanted = if wanted.is_empty() { images.last().into_iter().collect() } else { wanted };
        for name in wanted {
            if let Err(error) = self.push_image(name).await {
                verdict.add(name.clone(), error);
            }
        }
        verdict
    }

    async fn push_image(&self, name: &ImageName) -> Result<(), StepError> {
        let image = self.image(name)?;
        let _lock = self.lock(name, Purpose::Produce).await?;
        self.step(name, Op::Push, None, async |step| {
            if image.tags.is_empty() {
                return Err(StepError::NoTags { image: name.clone() });
            }
            let record = self.produced(image).await?;
            let mut sent = Vec::new();
            for tag in self.tag_all(image, &record).await? {
                let what = format!("push {tag}");
                let progress = |done, total| self.events.progress(&step, &what, done, total, "bytes");
                self.interruptible(self.engine.push(&tag, &progress)).await?;
                sent.push(self.known_as(&tag).await?);
            }
            Ok((Outcome::Done { summary: sent.join(", ") }, ()))
        })
        .await
    }

    /// Returns the image as it was produced last.
    pub(super) async fn produced(&self, image: &Image) -> Result<ImageRecord, StepError> {
        let own = own_name(&self.id, &image.name);
        let found = self.interruptible(self.engine.image(&own)).await?;
        found.ok_or_else(|| StepError::NoImage { image: image.name.clone() })
    }

    /// Gives an image the tags that the project file has for it now, whoever has them meanwhile, and returns them.
    pub(super) async fn tag_all(
        &self,
        image: &Image,
        record: &ImageRecord,
    ) -> Result<Vec<Reference>, StepError> {
        let mut tags = Vec::new();
        for tag in &image.tags {
            let tag: Reference = tag.parse()?;
            self.engine.tag(&record.id, &tag).await?;
            tags.push(tag);
        }
        Ok(tags)
    }

    /// Returns a tag with the digest by which its registry knows the image.
    async fn known_as(&self, tag: &Reference) -> Result<String, StepError> {
        let record = self.interruptible(self.engine.image(tag.as_str())).await?;
        let digests = record.into_iter().flat_map(|record| record.digests);
        let digest = digests
            .filter_map(|digest| digest.parse::<Reference>().ok())
            .find(|it| (it.registry(), it.repository()) == (tag.registry(), tag.repository()));
        Ok(match digest.as_ref().and_then(Reference::digest) {
            Some(digest) => format!("{tag}@{digest}"),
            None => tag.to_string(),
        })
    }
}
