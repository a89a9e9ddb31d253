//! Runs an image's checks against a container.

use std::collections::HashMap;

use takelage_config::Image;
use takelage_engine::Engine;
use takelage_model::event::{Op, Outcome};
use takelage_python::pytest::{self, Verified};

use super::converge::inventory;
use crate::{Session, StepError};

impl<E: Engine> Session<E> {
    /// Runs the checks of `image` against `container`.
    pub(crate) async fn verify(&self, image: &Image, container: &E::Container) -> Result<(), StepError> {
        self.step(&image.name, Op::Verify, None, async |step| {
            let Some(tests) = &image.tests else {
                return Ok((Outcome::Skipped { reason: "the project file names no tests".to_owned() }, ()));
            };
            let tools = self.toolchain().await?;
            let bridge =
                self.bridge(HashMap::from([(image.name.to_string(), container.clone())]), &step).await?;
            let [roles_path, collections_path] = self.search_paths(image).await?;
            let session = pytest::Session {
                tests: tests.clone(),
                project_root: self.project.root.clone(),
                hosts: vec![image.name.to_string()],
                options: self.project.pytest.options.clone(),
                plugins: self.project.pytest.plugins.clone(),
                verbosity: self.options.verbosity,
                inventory: inventory(image),
                config: self.project.ansible.config.clone(),
                roles_path,
                collections_path,
                env: self.environment.clone().into_iter().collect(),
                interactive: false,
            };
            let result = pytest::verify(tools, &session, &bridge, self.cancel.token()).await;
            bridge.close().await;
            Ok((Outcome::Done { summary: summary(&result?) }, ()))
        })
        .await
    }
}

pub(crate) fn summary(verified: &Verified) -> String {
    let mut words = vec![format!("{} passed", verified.passed)];
    for (count, word) in
        [(verified.skipped, "skipped"), (verified.xfailed, "xfailed"), (verified.xpassed, "xpassed")]
    {
        if count > 0 {
            words.push(format!("{count} {word}"));
        }
    }
    words.join(", ")
}
