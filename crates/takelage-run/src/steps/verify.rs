//! Runs an image's checks against a container.

use std::collections::{BTreeMap, HashMap};

use takelage_config::Image;
use takelage_engine::{Engine, ImageRecord};
use takelage_model::{
    Digest,
    event::{Check, EventKind, Op, Outcome, SkipCause},
};
use takelage_python::pytest::{self, Verified};

use super::{converge::inventory, target::host};
use crate::{
    Session, StepError, checks,
    recipe::{ProjectFiles, Recipe},
    store::CheckMemory,
};

/// What checks came to; none failed.
#[derive(Debug, Default)]
pub(crate) struct Checked {
    checks: Vec<Check>,
    summary: String,
}

/// How the step ends where there is nothing to check.
pub(crate) fn no_tests() -> Outcome {
    let reason = "the project file names no tests".to_owned();
    Outcome::Skipped { reason, cause: SkipCause::Missing }
}

impl<E: Engine> Session<E> {
    /// Runs the checks of `image` against `container`. Returns how each ended; none failed.
    pub(crate) async fn verify(&self, image: &Image, container: &E::Container) -> Result<Checked, StepError> {
        self.step(&image.name, Op::Verify, None, async |step| {
            let Some(tests) = &image.tests else {
                return Ok((no_tests(), Checked::default()));
            };
            let tools = self.toolchain().await?;
            let bridge = self
                .bridge(HashMap::from([(image.name.to_string(), container.clone().into())]), &step)
                .await?;
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
            let mut checks = Vec::new();
            let seen = |check| checks.push(check);
            let result = pytest::verify(tools, &session, &bridge, self.cancel.token(), seen).await;
            bridge.close().await;
            let summary = summary(&result?);
            Ok((Outcome::Done { summary: summary.clone() }, Checked { checks, summary }))
        })
        .await
    }

    /// Says of the checks of a produced image what they came to before, if nothing that counts has changed since. Returns false
    /// if they have to run.
    pub(crate) async fn recall_checks(&self, image: &Image, recipe: Digest) -> Result<bool, StepError> {
        if self.options.refresh || self.options.no_cached_checks {
            return Ok(false);
        }
        let Some(known) = self.store.checks(&self.id, &image.name)? else { return Ok(false) };
        if known.recipe != recipe || !self.is_young(known.at) {
            return Ok(false);
        }
        self.step(&image.name, Op::Verify, None, async |step| {
            for check in known.checks {
                let check = Check { cached: true, ..check };
                self.events.emit(EventKind::Check { step: step.clone(), check });
            }
            let reason = format!("{}, as at {:.0}", known.summary, known.at);
            Ok((Outcome::Cached { reason }, true))
        })
        .await
    }

    /// Remembers what the checks of a produced image came to; if any failed, nothing.
    pub(crate) async fn remember_checks(
        &self,
        image: &Image,
        record: &ImageRecord,
        recipe: Digest,
        result: &Result<Checked, StepError>,
    ) -> Result<(), StepError> {
        let Ok(Checked { checks, summary }) = result else {
            // What was interrupted came to nothing.
            if !self.cancel.is_interrupted() {
                self.store.forget_checks(&self.id, &image.name)?;
            }
            return Ok(());
        };
        // Somebody may have edited a file meanwhile, or checks write into the project: then nobody knows what they depend on.
        let files = self.read_files().await?;
        if self.checks_recipe(image, record, &files).await? == Some(recipe) {
            let (checks, summary) = (checks.clone(), summary.clone());
            let memory = CheckMemory { recipe, at: jiff::Timestamp::now(), checks, summary };
            self.store.remember_checks(&self.id, &image.name, &memory)?;
        }
        Ok(())
    }

    /// Returns what the checks of a produced image depend on. `None`: nothing of them is remembered.
    pub(crate) async fn checks_recipe(
        &self,
        image: &Image,
        record: &ImageRecord,
        files: &ProjectFiles,
    ) -> Result<Option<Digest>, StepError> {
        if self.options.no_cache || self.options.plain {
            return Ok(None);
        }
        let (root, pytest) = (&self.project.root, &self.project.pytest);
        if let Some(reason) = checks::exception(image, root, &pytest.options) {
            tracing::debug!(image = %image.name, reason, "what checks come to is not remembered");
            return Ok(None);
        }
        let Some(installed) = self.installed().await? else { return Ok(None) };
        let settings = format!(
            "checks\n{:?}\n{:?}\n{:?}\n{:?}\n{pytest:?}\n{:?}\n{}",
            image.tests,
            image.container,
            image.inventory,
            self.search_paths(image).await?,
            self.project.ansible.config,
            checks::configuration(root, self.environment.iter()),
        );
        let recipe = Recipe {
            base: record.id.to_string(),
            settings: settings.replace(&root.display().to_string(), ""),
            files,
            environment: &self.environment,
            versions: BTreeMap::from([
                ("takelage", env!("CARGO_PKG_VERSION").to_owned()),
                ("ansible-core", self.toolchain().await?.ansible_core.clone()),
                ("pytest", installed.to_owned()),
                ("engine", self.interruptible(self.engine.describe()).await?),
                ("host", host()),
            ]),
        };
        Ok(Some(recipe.digest()))
    }

    /// Whether something that was made then still counts.
    pub(crate) fn is_young(&self, at: jiff::Timestamp) -> bool {
        let age = jiff::Timestamp::now().duration_since(at);
        std::time::Duration::try_from(age).is_ok_and(|age| age <= self.project.cache.max_age)
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
