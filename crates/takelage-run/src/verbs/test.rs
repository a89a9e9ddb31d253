//! `test`: create a container from the produced image and verify it.

use std::collections::BTreeMap;

use takelage_config::Image;
use takelage_engine::{Engine, ImageRecord};
use takelage_model::{
    ImageName,
    event::{Level, Op},
};

use super::{Verdict, produce::Remake};
use crate::{
    Session, StepError,
    schedule::in_order,
    steps::{Purpose, Target, no_tests},
};

/// A piece of the work on an image. Producing comes first, for other images may wait for it; nothing waits for a
/// check.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Phase {
    Produce,
    Test,
}

impl<E: Engine> Session<E> {
    /// Tests `images`, after producing them and what they are based on where that is missing or out of date.
    pub async fn test(&self, images: &[ImageName]) -> Verdict {
        let produce = |image: ImageName| (Phase::Produce, image);
        let mut pieces: BTreeMap<_, _> =
            self.bases(images).into_iter().map(|(image, base)| (produce(image), base.map(produce))).collect();
        pieces
            .extend(images.iter().map(|image| ((Phase::Test, image.clone()), Some(produce(image.clone())))));
        let may_start = || !self.cancel.is_interrupted();
        let finished =
            in_order(&pieces, self.options.jobs, may_start, |(phase, name), base: Option<&ImageRecord>| {
                let base = base.cloned();
                async move {
                    let image = self.image(&name)?;
                    match (phase, base) {
                        (Phase::Test, Some(record)) => self.test_image(image, &record).await.map(|()| record),
                        (_, base) => self.produce_image(image, base.as_ref(), Remake::IfNeeded).await,
                    }
                }
            })
            .await;
        let mut verdict = Verdict::new(&self.cancel);
        for ((_, image), finished) in finished {
            verdict.add_finished(image, finished);
        }
        verdict
    }

    /// Verifies a produced image in a container that runs it as its users will.
    async fn test_image(&self, image: &Image, record: &ImageRecord) -> Result<(), StepError> {
        if image.tests.is_none() {
            return self.step(&image.name, Op::Verify, None, async |_| Ok((no_tests(), ()))).await;
        }
        let recipe = self.checks_recipe(image, record, self.files().await?).await?;
        if let Some(recipe) = recipe
            && self.recall_checks(image, recipe).await?
        {
            return Ok(());
        }
        let container = self.create(image, None, record, Purpose::Test).await?;
        let result = self.verify(image, &container).await;
        let removed = self.discard(&image.name, Target::Container(container), result.is_err()).await;
        if let Some(recipe) = recipe
            && let Err(error) = self.remember_checks(image, record, recipe, &result).await
        {
            let message = format!("what the checks of `{}` came to is not remembered: {error}", image.name);
            self.events.note(Level::Warning, message, None);
        }
        result?;
        removed
    }
}
