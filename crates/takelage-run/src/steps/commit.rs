//! Makes an image of a provisioned container, with exactly the metadata that the project file asks for.

use std::collections::BTreeMap;

use takelage_config::{Config, Image, Origin};
use takelage_engine::{
    ArchiveFormat, ConfigPatch, Container, Engine, Healthcheck, History, ImageConfig, ImageRecord, Reference,
};
use takelage_model::{
    event::{Op, Outcome},
    label,
};
use takelage_python::{make_again, memory::Memory};

use super::{Purpose, Target, layer_name, own_name};
use crate::{
    Session, StepError,
    examine::{Cleaned, clean},
    memory::Chain,
    revision::Revision,
};

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
    /// Commits what `target` has become, unless the image that it would be is remembered.
    pub(crate) async fn commit(
        &self,
        target: &Target<E>,
        plan: CommitPlan<'_>,
    ) -> Result<ImageRecord, StepError> {
        self.step(&plan.image.name, Op::Commit, plan.layer, async |_| {
            let chain = match target {
                Target::Container(container) => {
                    let name = plan.last.then(|| own_name(&self.id, &plan.image.name));
                    let (record, summary) = self.commit_container(container, &plan, name, false).await?;
                    return Ok((Outcome::Done { summary }, record));
                }
                Target::Remembered(chain) => chain,
            };
            let config = self.commit_key(&plan).await;
            if let Some(record) = self.committed(chain, &config).await? {
                let reason = format!("{} is the same", record.id.0.short());
                return Ok((Outcome::Cached { reason }, record));
            }
            let container = self.interruptible(chain.materialised()).await?.container;
            let name = match plan.layer {
                Some(layer) if !plan.last => layer_name(&self.id, &plan.image.name, layer),
                _ => own_name(&self.id, &plan.image.name),
            };
            let (record, summary) = self.commit_container(&container, &plan, Some(name), true).await?;
            chain.remember_commit(&config, &record.id).await;
            Ok((Outcome::Done { summary }, record))
        })
        .await
    }

    /// Returns what a commit depends on beside the files. When it is made is no part of that, unless that is told.
    async fn commit_key(&self, plan: &CommitPlan<'_>) -> String {
        let stamp = if self.options.source_date_epoch.is_some() { self.created() } else { String::new() };
        format!("{:?} {:?}", self.configuration(plan, &stamp, true).await, plan.image.clean)
    }

    /// Returns the image that was committed of the same before, if the engine has it.
    async fn committed(&self, chain: &Chain<E>, config: &str) -> Result<Option<ImageRecord>, StepError> {
        match chain.committed(config).await {
            Some(id) => self.interruptible(self.engine.image(&id.to_string())).await,
            None => Ok(None),
        }
    }

    /// Sees to it that there is something to commit: the image, remembered, or a container with all that it is to have.
    ///
    /// Returns false if what was remembered cannot be repeated. Then nothing of it counts any more, and the layer is to be
    /// made anew.
    pub(crate) async fn is_ready_to_commit(
        &self,
        target: &Target<E>,
        plan: &CommitPlan<'_>,
    ) -> Result<bool, StepError> {
        let Target::Remembered(chain) = target else { return Ok(true) };
        if chain.container().await.is_some()
            || self.committed(chain, &self.commit_key(plan).await).await?.is_some()
        {
            return Ok(true);
        }
        let live = self.interruptible(chain.materialised()).await?;
        if make_again(&**chain as &dyn Memory<_>, live).await.is_ok() {
            return Ok(true);
        }
        self.begin_anew(plan.image, chain).await?;
        Ok(false)
    }

    /// Commits `container`, and cleans what was made of it. It is stopped first, so that nothing is half written. Returns a summary, too.
    async fn commit_container(
        &self,
        container: &E::Container,
        plan: &CommitPlan<'_>,
        name: Option<String>,
        remembered: bool,
    ) -> Result<(ImageRecord, String), StepError> {
        self.interruptible(container.stop(std::time::Duration::from_secs(10))).await?;
        let config = self.configuration(plan, &self.created(), remembered).await;
        let name = name.map(|name| name.parse()).transpose()?;
        let newest = self.options.source_date_epoch;
        if plan.image.clean.is_empty() {
            // Not interruptible: a commit takes seconds, and half of one would stay behind in the engine.
            let record = container.commit(&config, name.as_ref(), newest).await?;
            let summary = record.id.0.short();
            return Ok((record, summary));
        }
        let mut interim = config.clone();
        interim.labels.extend(self.run_labels(&plan.image.name, Purpose::Produce));
        let interim = container.commit(&interim, None, newest).await?;
        let cleaned = self.cleaned(&interim, plan, config, name).await;
        let removed = self.engine.remove_image(&interim.id.to_string()).await;
        let cleaned = cleaned?;
        removed?;
        Ok(cleaned)
    }

    /// Makes the image that `interim` is to be without what provisioning has left in it.
    async fn cleaned(
        &self,
        interim: &ImageRecord,
        plan: &CommitPlan<'_>,
        mut config: ImageConfig,
        name: Option<Reference>,
    ) -> Result<(ImageRecord, String), StepError> {
        let path = self.directory.scratch().join(format!("uncleaned-{}.tar", plan.image.name));
        let names = [interim.id.to_string()];
        let progress = |_, _| ();
        self.interruptible(self.engine.save(&names, ArchiveFormat::Docker, &path, &progress)).await?;
        let (saved, below, rules) = (path.clone(), plan.from.config.layers.len(), plan.image.clean.clone());
        let scratch = self.directory.scratch().to_owned();
        let clean = tokio::task::spawn_blocking(move || clean(saved, below, &rules, &scratch));
        let clean = async { clean.await.map_err(|_| StepError::Panicked)?.map_err(StepError::from) };
        let Cleaned { archive, files, bytes } = self.interruptible(clean).await?;
        config.layers.clone_from(&archive.config().layers);
        // Whether the last entry of the history stands for a layer is known to who committed.
        config.history.clone_from(&archive.config().history);
        let archive = archive.with_config(&config).named(name.as_ref());
        let record = self.engine.load(archive).await?;
        // It is as large as the image, and the run may go on for long. Its end removes what is left.
        let _ = fs_err::tokio::remove_file(&path).await;
        let short = record.id.0.short();
        #[expect(clippy::cast_precision_loss, reason = "one digit of it is shown")]
        let megabytes = bytes as f64 / 1e6;
        Ok((record, format!("{short} without {files} files ({megabytes:.1} MB)")))
    }

    async fn configuration(&self, plan: &CommitPlan<'_>, created: &str, remembered: bool) -> ImageConfig {
        let mut config = plan.from.config.clone();
        // The labels by which an interim image is found if this run dies, see below.
        config.labels.retain(|key, _| !label::is_own(key));
        if plan.last {
            config = patch(&plan.image.config).apply(&config);
            config.labels.extend(self.oci_labels(plan, created).await);
            // What the project file says wins over what takelage would say.
            config.labels.extend(plan.image.config.labels.clone());
        } else if !remembered {
            config.labels.extend(self.run_labels(&plan.image.name, Purpose::Produce));
        }
        let playbook = plan.image.layers.iter().find(|layer| layer.name.as_deref() == plan.layer);
        let playbook =
            playbook.map(|layer| layer.playbook.strip_prefix(&self.project.root).unwrap_or(&layer.playbook));
        config.history.push(History {
            created: Some(created.to_owned()),
            created_by: Some(match playbook {
                Some(playbook) => format!("takelage: ansible-playbook {}", playbook.display()),
                None => "takelage: config".to_owned(),
            }),
            ..History::default()
        });
        config.created = Some(created.to_owned());
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
