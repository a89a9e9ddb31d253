//! `test`: create a container from the produced image and verify it.

use std::collections::BTreeSet;

use takelage_config::Image;
use takelage_engine::{Engine, ImageRecord};
use takelage_model::{
    ImageName,
    event::{Op, Outcome},
};

use super::{Verdict, produce::Remake};
use crate::{Session, StepError, steps::Purpose};

/// An image that was produced, and how its checks went. Images based on it do not wait for those.
#[derive(Debug)]
struct Tested {
    record: ImageRecord,
    checks: Result<(), StepError>,
}

impl<E: Engine> Session<E> {
    /// Tests `images`, after producing them and what they are based on where that is missing or out of date.
    pub async fn test(&self, images: &[ImageName]) -> Verdict {
        let wanted: BTreeSet<&ImageName> = images.iter().collect();
        let finished = self
            .along_chains(images, |name, base| {
                let base = base.map(|tested: &Tested| tested.record.clone());
                let is_wanted = wanted.contains(&name);
                async move {
                    let image = self.image(&name)?;
                    let record = self.produce_image(image, base.as_ref(), Remake::IfNeeded).await?;
                    let checks = if is_wanted { self.test_image(image, &record).await } else { Ok(()) };
                    Ok(Tested { record, checks })
                }
            })
            .await;
        let (mut verdict, tested) = Verdict::collect(finished, &self.cancel);
        for (image, tested) in tested {
            if let Err(error) = tested.checks {
                verdict.add(image, error);
            }
        }
        verdict
    }

    /// Verifies a produced image in a container that runs it as its users will.
    async fn test_image(&self, image: &Image, record: &ImageRecord) -> Result<(), StepError> {
        if image.tests.is_none() {
            return self
                .step(&image.name, Op::Verify, None, async |_| {
                    Ok((Outcome::Skipped { reason: "the project file names no tests".to_owned() }, ()))
                })
                .await;
        }
        let container = self.create(image, None, record, Purpose::Test).await?;
        let result = self.verify(image, &container).await;
        let removed = self.discard(&image.name, container, result.is_err()).await;
        result.and(removed)
    }
}
