//! Makes a Debian base image from packages, with the engine as the place where they are configured.

use std::sync::Arc;

use takelage_bootstrap::{Mirror, Request, Selection};
use takelage_config::{Bootstrap, Image};
use takelage_engine::{
    Chunk, Container, ContainerSpec, Engine, ExecSpec, History, ImageArchive, ImageConfig, ImageRecord,
    Startup,
};
use takelage_model::{
    Digest,
    event::{EventKind, Op, Outcome, Step},
};
use tokio::sync::mpsc;

use super::{Purpose, commit::patch, create::container_name};
use crate::{
    Session, StepError,
    debian::{blocking, host_mirror},
    store::BootstrapRecord,
};

impl<E: Engine> Session<E> {
    /// Returns the image that `bootstrap` describes, made now or before.
    pub(crate) async fn bootstrap(
        &self,
        image: &Image,
        bootstrap: &Bootstrap,
    ) -> Result<ImageRecord, StepError> {
        self.step(&image.name, Op::Bootstrap, None, async |step| {
            let request = request(bootstrap);
            let selection = self.select(request, &step).await?;
            // An image without layers gets its metadata here; otherwise its last layer does.
            let metadata = if image.layers.is_empty() {
                patch(&image.config)
            } else {
                patch(&takelage_config::Config::default())
            };
            // The key is only ever compared with keys of this same build, so a debug format will do.
            let key =
                Digest::of(format!("{}\n{metadata:?}\n{}", selection.digest(), env!("CARGO_PKG_VERSION")));
            if !self.options.no_cache
                && let Some(record) = self.store.bootstrapped(&key)?
                && let Some(record) = self.interruptible(self.engine.image(&record.id.to_string())).await?
            {
                let reason = format!("same {} packages as before", selection.packages.len());
                return Ok((Outcome::Cached { reason }, record));
            }
            let layer = self.configured(image, &selection, &step).await?;
            let created = selection.date.to_string();
            let base = ImageConfig {
                architecture: "amd64".to_owned(),
                os: "linux".to_owned(),
                created: Some(created.clone()),
                env: std::iter::once(("PATH".to_owned(), DEFAULT_PATH.to_owned())).collect(),
                history: vec![History {
                    created: Some(created),
                    created_by: Some(format!("takelage: bootstrap {}", bootstrap.suite)),
                    ..History::default()
                }],
                ..ImageConfig::default()
            };
            let config = metadata.apply(&base);
            let scratch = self.directory.scratch().to_owned();
            let archive = blocking(move || ImageArchive::of_layers(&config, &[layer], &scratch)).await??;
            let record = self.engine.load(archive).await?;
            self.store.remember_bootstrapped(&key, &BootstrapRecord { id: record.id })?;
            Ok((
                Outcome::Done {
                    summary: format!("{} packages, {}", selection.packages.len(), record.id.0.short()),
                },
                record,
            ))
        })
        .await
    }

    async fn select(&self, request: Request, step: &Step) -> Result<Arc<Selection>, StepError> {
        let archive = self.archive(Some(step))?;
        let work = blocking(move || archive.with(|settings| takelage_bootstrap::resolve(&request, settings)));
        Ok(Arc::new(work.await??))
    }

    /// Unpacks the packages, has their own `dpkg` configure them in a container, and returns the layer.
    async fn configured(
        &self,
        image: &Image,
        selection: &Arc<Selection>,
        step: &Step,
    ) -> Result<std::path::PathBuf, StepError> {
        let scratch = self.directory.scratch().to_owned();
        let [unpacked, exported, layer] = ["unpacked", "exported", "layer"]
            .map(|stage| scratch.join(format!("{}-{stage}.tar", image.name)));
        let archive = self.archive(Some(step))?;
        let (chosen, to) = (Arc::clone(selection), unpacked.clone());
        blocking(move || archive.with(|settings| takelage_bootstrap::unpack(&chosen, settings, &to)))
            .await??;
        let mut config = ImageConfig {
            architecture: "amd64".to_owned(),
            os: "linux".to_owned(),
            ..ImageConfig::default()
        };
        // If this run dies, the next one finds the unpacked image by them.
        config.labels.extend(self.run_labels(&image.name, Purpose::Bootstrap));
        let from = scratch.clone();
        let archive = blocking(move || ImageArchive::of_layers(&config, &[unpacked], &from)).await??;
        // Not interruptible: the engine would go on, and nobody would remove what comes of it.
        let image_record = self.engine.load(archive).await?;
        let spec = ContainerSpec {
            labels: self.labels(&image.name, Purpose::Bootstrap, &image_record),
            startup: Startup::Wait,
            network: takelage_engine::Network::None,
            ephemeral: true,
            ..ContainerSpec::new(container_name(self, &image.name, Purpose::Bootstrap), image_record.id)
        };
        let work = async {
            let container = self.interruptible(self.engine.create(&spec)).await?;
            let work = async {
                self.interruptible(self.configure(&container, step)).await?;
                self.interruptible(container.export(&exported)).await
            };
            let result = work.await;
            container.remove().await?;
            result
        };
        let result = work.await;
        self.engine.remove_image(&image_record.id.to_string()).await?;
        result?;
        let (chosen, to) = (Arc::clone(selection), layer.clone());
        blocking(move || takelage_bootstrap::normalise(&exported, &chosen, &to)).await??;
        Ok(layer)
    }

    async fn configure(&self, container: &E::Container, step: &Step) -> Result<(), StepError> {
        let (sender, mut chunks) = mpsc::channel::<Chunk>(64);
        let script = container.exec(ExecSpec::root(["/bin/sh", "-c", takelage_bootstrap::CONFIGURE]), sender);
        let events = self.events.clone();
        let listen = async {
            let mut text = Vec::new();
            while let Some(chunk) = chunks.recv().await {
                text.extend_from_slice(&chunk.bytes);
                while let Some(end) = text.iter().position(|byte| *byte == b'\n') {
                    let line: Vec<u8> = text.drain(..=end).collect();
                    let line = String::from_utf8_lossy(&line).trim_end().to_owned();
                    events.emit(EventKind::Output { step: step.clone(), program: "dpkg".to_owned(), line });
                }
            }
        };
        let (status, ()) = tokio::join!(script, listen);
        match status? {
            0 => Ok(()),
            status => Err(StepError::Configure { image: step.image.clone(), status }),
        }
    }
}

/// Translates `bootstrap:` into a request. The mirror: the project file's, else the host's, else Debian's.
fn request(bootstrap: &Bootstrap) -> Request {
    Request {
        suite: bootstrap.suite.clone(),
        components: bootstrap.components.clone(),
        include: bootstrap.include.clone(),
        architecture: bootstrap.architecture.clone().unwrap_or_else(|| "amd64".to_owned()),
        mirror: bootstrap.mirror.clone().map_or_else(host_mirror, Mirror::Project),
    }
}

/// The `PATH` of Debian's own images.
const DEFAULT_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
