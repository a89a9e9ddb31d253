//! `diff` and `inspect`: what is in an image.

use takelage_engine::{ArchiveFormat, Engine, ImageRecord};
use takelage_model::{
    ImageName,
    event::{Op, Outcome},
};

use super::Verdict;
use crate::{
    Session, StepError,
    examine::{Examination, examine, own_layers},
    steps::Purpose,
};

impl<E: Engine> Session<E> {
    /// Reads what is in an image as it was produced last.
    pub async fn examine(&self, name: &ImageName) -> (Verdict, Option<(ImageRecord, Examination)>) {
        match self.examined(name).await {
            Ok(found) => (Verdict::of(name, Ok(()), &self.cancel), Some(found)),
            Err(error) => (Verdict::of(name, Err(error), &self.cancel), None),
        }
    }

    async fn examined(&self, name: &ImageName) -> Result<(ImageRecord, Examination), StepError> {
        let image = self.image(name)?;
        let _lock = self.lock(name, Purpose::Produce).await?;
        self.step(name, Op::Examine, None, async |step| {
            let record = self.produced(image).await?;
            let path = self.directory.scratch().join("examined.tar");
            let progress = |done, total| self.events.progress(&step, "save", done, total, "bytes");
            let names = [record.id.to_string()];
            self.interruptible(self.engine.save(&names, ArchiveFormat::Docker, &path, &progress)).await?;
            let own = own_layers(&record.config, image.layers.len());
            let scratch = self.directory.scratch().to_owned();
            let read = tokio::task::spawn_blocking(move || examine(path, own, &scratch));
            let read = async { read.await.map_err(|_| StepError::Panicked)?.map_err(StepError::from) };
            let examination = self.interruptible(read).await?;
            let (all, base) = (examination.layers.len(), examination.base_layers);
            let summary = format!("{} of {all} layers are its own", all - base);
            Ok((Outcome::Done { summary }, (record, examination)))
        })
        .await
    }
}
