//! Finds the image that another one is based on, and pins its digest.

use takelage_config::{FileKind, Image, Origin};
use takelage_engine::{ArchiveKind, Engine, EngineError, ImageArchive, ImageFile, ImageRecord, Reference};
use takelage_model::event::{Op, Outcome, Step};

use crate::{Session, StepError};

impl<E: Engine> Session<E> {
    /// Returns the image at the bottom of `image`'s own layers. `base` is the produced image, if the project has it.
    pub(crate) async fn origin(
        &self,
        image: &Image,
        base: Option<&ImageRecord>,
    ) -> Result<ImageRecord, StepError> {
        match (&image.from, base) {
            (Origin::Image(_), Some(base)) => Ok(base.clone()),
            (Origin::Image(name), None) => Err(StepError::NotProduced { image: name.clone() }),
            (Origin::Bootstrap(bootstrap), _) => self.bootstrap(image, bootstrap).await,
            (Origin::Reference(reference), _) => {
                self.step(&image.name, Op::Resolve, None, async |step| self.reference(reference, &step).await)
                    .await
            }
            (Origin::File { kind, path }, _) => {
                let kind = match kind {
                    FileKind::DockerArchive => ArchiveKind::Docker,
                    FileKind::OciArchive => ArchiveKind::Oci,
                    FileKind::Rootfs => ArchiveKind::Rootfs,
                };
                let file = ImageFile { kind, path: path.clone() };
                self.step(&image.name, Op::Resolve, None, async |_| self.load(file).await).await
            }
        }
    }

    async fn reference(&self, name: &str, step: &Step) -> Result<(Outcome, ImageRecord), StepError> {
        // An id is no reference, but names an image as well as one.
        if let Some(record) = self.interruptible(self.engine.image(name)).await? {
            return Ok((Outcome::Done { summary: format!("{name} is {}", record.id.0.short()) }, record));
        }
        let reference: Reference = name.parse()?;
        let progress = |done, total| self.events.progress(step, "pull", done, total, "bytes");
        let record = self.interruptible(self.engine.pull(&reference, &progress)).await?;
        Ok((Outcome::Done { summary: format!("pulled {name}, which is {}", record.id.0.short()) }, record))
    }

    async fn load(&self, file: ImageFile) -> Result<(Outcome, ImageRecord), StepError> {
        let scratch = self.directory.scratch().to_owned();
        let archive = tokio::task::spawn_blocking(move || ImageArchive::open(&file, &scratch));
        let archive = archive.await.map_err(|_| StepError::Panicked)??;
        let record = self.interruptible::<_, EngineError>(self.engine.load(archive)).await?;
        Ok((Outcome::Done { summary: format!("loaded {}", record.id.0.short()) }, record))
    }
}
