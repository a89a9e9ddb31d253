//! Verbs on containers that exist: `destroy`, `syntax`, `shell`.

use takelage_config::Project;
use takelage_engine::{ContainerRecord, Engine};
use takelage_model::ImageName;

use super::Verdict;
use crate::{
    Session, StepError, Store,
    session::identity,
    steps::{Purpose, containers, is},
};

impl<E: Engine> Session<E> {
    /// Removes the containers of `images`.
    pub async fn destroy_all(&self, images: &[ImageName]) -> Verdict {
        let mut verdict = Verdict::default();
        for image in images {
            if let Err(error) = self.destroy(image).await {
                verdict.add(image.clone(), error);
            }
        }
        verdict
    }

    /// Checks the syntax of all playbooks of `images`.
    pub async fn syntax_all(&self, images: &[ImageName]) -> Verdict {
        let mut verdict = Verdict::default();
        for name in images {
            let checked = async {
                let image = self.image(name)?;
                for layer in &image.layers {
                    self.syntax(image, layer).await?;
                }
                Ok(())
            };
            if let Err(error) = checked.await {
                verdict.add(name.clone(), error);
            }
        }
        verdict
    }
}

/// Returns the container to open a shell in: the one of `develop`, or the one that was kept because it failed.
///
/// Whoever works in the one of `develop` may change it, so the next `develop` makes another one.
pub async fn container_for_shell<E: Engine>(
    engine: &E,
    project: &Project,
    store: &Store,
    image: &ImageName,
    failed: bool,
) -> Result<ContainerRecord, StepError> {
    let id = identity(project);
    if !failed {
        store.forget_developed(&id, image)?;
    }
    let found = containers(engine, &id).await?;
    let wanted = |record: &ContainerRecord| {
        if failed {
            is(record, image, None) && store.is_kept(&record.name)
        } else {
            is(record, image, Some(Purpose::Develop))
        }
    };
    found.into_iter().find(wanted).ok_or_else(|| StepError::NoContainer { image: image.clone() })
}
