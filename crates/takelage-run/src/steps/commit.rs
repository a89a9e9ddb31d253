//! Makes an image of a provisioned container, with exactly the metadata that the project file asks for.

use std::collections::BTreeMap;

use takelage_config::{Config, Image, Origin};
use takelage_engine::{ConfigPatch, Container, Engine, Healthcheck, History, ImageConfig, ImageRecord};
use takelage_model::{
    event::{Op, Outcome},
    label,
};

use super::{Purpose, own_name};
use crate::{Session, StepError, revision::Revision};

/// How the configuration of one committed layer comes about.
#[derive(Debug)]
pub(crate) struct CommitPlan<'a> {
    /// The image in the project file.
    pub image: &'a Image,
    /// The layer's name, if it has one.
    pub layer: Option<&'a str>,
    /// The image that the container was created from.
    pub from: &'a ImageRecord,
    /// The image at the bottom of the whole image, and its name, for the OCI labels.
    pub base: &'a ImageRecord,
    /// Whether this is the image's last layer: it gets the metadata.
    pub last: bool,
}

impl<E: Engine> Session<E> {
    /// Commits `container`. It is stopped first, so that nothing is half written.
    pub(crate) async fn commit(
        &self,
        container: &E::Container,
        plan: CommitPlan<'_>,
    ) -> Result<ImageRecord, StepError> {
        self.step(&plan.image.name, Op::Commit, plan.layer, async |_| {
            self.interruptible(container.stop(std::time::Duration::from_secs(10))).await?;
            let config = self.configuration(&plan).await;
            let name = own_name(&self.id, &plan.image.name).parse()?;
            let newest = self.options.source_date_epoch;
            // Not interruptible: a commit takes seconds, and half of one would stay behind in the engine.
            let record = container.commit(&config, plan.last.then_some(&name), newest).await?;
            Ok((Outcome::Done { summary: record.id.0.short() }, record))
        })
        .await
    }

    async fn configuration(&self, plan: &CommitPlan<'_>) -> ImageConfig {
        let created = self.created();
        let mut config = plan.from.config.clone();
        // The labels by which an interim image is found if this run dies, see below.
        config.labels.retain(|key, _| !label::is_own(key));
        if plan.last {
            config = patch(&plan.image.config).apply(&config);
            config.labels.extend(self.oci_labels(plan, &created).await);
            // What the project file says wins over what takelage would say.
            config.labels.extend(plan.image.config.labels.clone());
        } else {
            config.labels.extend(self.run_labels(&plan.image.name, Purpose::Produce));
        }
        let playbook = plan.image.layers.iter().find(|layer| layer.name.as_deref() == plan.layer);
        let playbook =
            playbook.map(|layer| layer.playbook.strip_prefix(&self.project.root).unwrap_or(&layer.playbook));
        config.history.push(History {
            created: Some(created.clone()),
            created_by: Some(match playbook {
                Some(playbook) => format!("takelage: ansible-playbook {}", playbook.display()),
                None => "takelage: config".to_owned(),
            }),
            ..History::default()
        });
        config.created = Some(created);
        config
    }

    /// Returns the time of creation, RFC 3339: `SOURCE_DATE_EPOCH`, else now.
    fn created(&self) -> String {
        let stamp =
            self.options.source_date_epoch.and_then(|seconds| jiff::Timestamp::from_second(seconds).ok());
        let stamp = stamp.unwrap_or_else(jiff::Timestamp::now);
        format!("{stamp:.0}")
    }

    /// The labels of the OCI image specification that say what an image is made from. The base's own ones,
    /// which would be wrong here, are replaced.
    async fn oci_labels(&self, plan: &CommitPlan<'_>, created: &str) -> BTreeMap<String, String> {
        let mut labels =
            BTreeMap::from([("org.opencontainers.image.created".to_owned(), created.to_owned())]);
        if let Some(revision) = Revision::of(&self.project.root).await {
            labels.insert("org.opencontainers.image.revision".to_owned(), revision.to_string());
        }
        let name = match &plan.image.from {
            Origin::Reference(name) => Some(name.clone()),
            Origin::Image(base) => self.project.images.get(base).and_then(|base| base.tags.first().cloned()),
            Origin::Bootstrap(_) | Origin::File { .. } => None,
        };
        if let Some(name) = name {
            labels.insert("org.opencontainers.image.base.name".to_owned(), name);
        }
        let digest = plan.base.digests.first().and_then(|digest| digest.rsplit_once('@'));
        let digest = digest.map_or_else(|| plan.base.id.to_string(), |(_, digest)| digest.to_owned());
        labels.insert("org.opencontainers.image.base.digest".to_owned(), digest);
        labels
    }
}

/// Translates `config:` into the engine's words.
pub(crate) fn patch(config: &Config) -> ConfigPatch {
    let config = config.clone();
    ConfigPatch {
        entrypoint: config.entrypoint,
        cmd: config.cmd,
        user: config.user,
        workdir: config.workdir,
        env: config.env,
        labels: config.labels.into_iter().collect(),
        expose: config.expose.into_iter().collect(),
        volumes: config.volumes.into_iter().collect(),
        stop_signal: config.stop_signal,
        healthcheck: config.healthcheck.map(|check| Healthcheck {
            test: check.test,
            interval: check.interval,
            timeout: check.timeout,
            start_period: check.start_period,
            retries: check.retries,
        }),
    }
}
