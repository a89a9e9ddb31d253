//! Committing a container with exactly the metadata that the caller wants.
//!
//! The API's commit mixes the container's own command, labels, environment and host name into the image, and cannot
//! express "no entrypoint" at all. So it is used for one thing only, to turn the container's changes into a layer:
//!
//! 1. commit to an image without a name (it has the container's labels, by which it is found if nobody comes back
//!    for it), and see which layers it has;
//! 2. write the configuration that the caller wants, with these layers;
//! 3. load it as a docker-archive, which names it as well. Docker does not read the files of layers that it has, so there are none in the
//!    archive. Where the engine insists (containerd's image store, Podman), the image is saved and loaded
//!    again with its files under the new configuration;
//!    An image whose container has mount points that it was not made with goes the same way, without them, and so does one
//!    whose container began as a snapshot, with one layer instead of one for each snapshot;
//! 4. remove the image without a name. Layers are counted, so what the new image needs stays.

use std::collections::BTreeSet;

use bollard::{
    models::{ChangeType, ContainerConfig, ContainerInspectResponse},
    query_parameters::CommitContainerOptionsBuilder,
};
use takelage_model::Digest;

use super::{container::DockerContainer, snapshot};
use crate::{
    ArchiveKind, EngineError, ImageArchive, ImageConfig, ImageFile, ImageRecord, Operation, Reference,
};

/// Where systemd wants something mounted, and every image has a directory.
const EVERYWHERE: [&str; 3] = ["run", "tmp", "sys/fs/cgroup"];

/// What Podman puts into a container's own layer.
const RUNTIME: [&str; 5] = ["etc/hosts", "etc/hostname", "etc/resolv.conf", "etc/mtab", "run/.containerenv"];

/// What becomes of the layers of snapshots that a container comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Layers {
    /// They are made one with that of the container.
    Flat,
    /// They stay below that of the container.
    Stacked,
}

/// What is to be another in the image than in the container.
#[derive(Debug, Default)]
struct Changes {
    /// Paths, without the leading slash, at which something is only because something is mounted there.
    mount_points: BTreeSet<String>,
    /// So many layers stay as they are, and those above become one.
    below: Option<usize>,
}

impl DockerContainer {
    /// Makes an image of the container's file system and `config`, whose layers are filled in.
    ///
    /// The last entry of `config.history` stands for the new layer. A container without changes adds no layer,
    /// then the entry is marked as one for metadata.
    pub(super) async fn commit_as(
        &self,
        config: &ImageConfig,
        name: Option<&Reference>,
        layers: Layers,
    ) -> Result<ImageRecord, EngineError> {
        let daemon = &self.daemon;
        let options = CommitContainerOptionsBuilder::new().container(&self.id.0).pause(true).build();
        let committed = daemon.api.commit_container(options, ContainerConfig::default()).await;
        let temporary = committed.map_err(|error| self.failure(Operation::Commit, error))?.id;
        let made = match self.changes(layers).await {
            Ok(changes) => self.rewrite(&temporary, config, name, changes).await,
            Err(error) => Err(error),
        };
        let removed = daemon.remove_image(&temporary).await;
        let made = made?;
        removed?;
        Ok(made)
    }

    /// Makes an image of the layers of `temporary` and `config`.
    async fn rewrite(
        &self,
        temporary: &str,
        config: &ImageConfig,
        name: Option<&Reference>,
        changes: Changes,
    ) -> Result<ImageRecord, EngineError> {
        let daemon = &self.daemon;
        if !changes.mount_points.is_empty() || changes.below.is_some() {
            return Box::pin(self.reload(temporary, config, name, changes)).await;
        }
        let layers = daemon.present(Operation::Commit, temporary).await?.config.layers;
        let config = with_layers(config, layers);
        match daemon.load(ImageArchive::of_stored_layers(&config).named(name)).await {
            // The engine wants the layers' files.
            Err(EngineError::Refused { message, .. }) => {
                tracing::debug!(container = self.name, message, "committing with the files of all layers");
                Box::pin(self.reload(temporary, &config, name, changes)).await
            }
            result => result.map_err(|error| self.while_committing(error)),
        }
    }

    /// Saves `temporary` and loads its files again under `config`, with these changes.
    async fn reload(
        &self,
        temporary: &str,
        config: &ImageConfig,
        name: Option<&Reference>,
        changes: Changes,
    ) -> Result<ImageRecord, EngineError> {
        let daemon = &self.daemon;
        let failed = |source| EngineError::Broken {
            operation: Operation::Commit,
            object: self.name.clone(),
            source: Box::<dyn std::error::Error + Send + Sync>::from(source),
        };
        let scratch = daemon.scratch.clone();
        fs_err::tokio::create_dir_all(&scratch).await.map_err(failed)?;
        let directory = tempfile::Builder::new().prefix("commit-").tempdir_in(&scratch).map_err(failed)?;
        let path = directory.path().join("image.tar");
        let stream = daemon.api.export_image(temporary);
        daemon.download(Operation::Commit, &self.name, stream, &path, &|_, _| ()).await?;
        let Changes { mut mount_points, below } = changes;
        mount_points.extend(RUNTIME.map(str::to_owned));
        let open = move || {
            let file = ImageFile { kind: ArchiveKind::Docker, path };
            let archive = ImageArchive::open(&file, &scratch)?.without(&mount_points, &scratch)?;
            match below {
                Some(below) => archive.flattened(below, &scratch),
                None => Ok(archive),
            }
        };
        let opened = tokio::task::spawn_blocking(open).await;
        let archive = opened.unwrap_or_else(|error| std::panic::resume_unwind(error.into_panic()))?;
        let config = with_layers(config, archive.config().layers.clone());
        let archive = archive.with_config(&config).named(name);
        if let Some(below) = below {
            match daemon.load(archive.above(below)).await {
                // The engine wants the other files as well.
                Err(EngineError::Refused { message, .. }) => {
                    tracing::debug!(
                        container = self.name,
                        message,
                        "committing with the files of all layers"
                    );
                }
                result => return result.map_err(|error| self.while_committing(error)),
            }
        }
        daemon.load(archive).await.map_err(|error| self.while_committing(error))
    }

    /// Returns what is to be another in an image of the container.
    async fn changes(&self, layers: Layers) -> Result<Changes, EngineError> {
        let inspect = self.daemon.api.inspect_container(&self.id.0, None).await;
        let inspect = inspect.map_err(|error| self.failure(Operation::Commit, error))?;
        let labels = inspect.config.as_ref().and_then(|config| config.labels.as_ref());
        let below = match labels.and_then(|labels| labels.get(snapshot::RESTORED)) {
            Some(below) if layers == Layers::Flat => {
                Some(self.daemon.present(Operation::Commit, below).await?.config.layers.len())
            }
            _ => None,
        };
        Ok(Changes { mount_points: self.mount_points(inspect).await?, below })
    }

    /// Returns the paths at which the container has a directory or an empty file only because something is mounted there.
    async fn mount_points(&self, inspect: ContainerInspectResponse) -> Result<BTreeSet<String>, EngineError> {
        let api = &self.daemon.api;
        let failed = |error| self.failure(Operation::Commit, error);
        let volumes = inspect.mounts.unwrap_or_default().into_iter().filter_map(|mount| mount.destination);
        let tmpfs = inspect.host_config.and_then(|host| host.tmpfs).unwrap_or_default();
        let targets: Vec<String> = volumes
            .chain(tmpfs.into_keys())
            .map(|target| target.trim_matches('/').to_owned())
            .filter(|target| !EVERYWHERE.contains(&target.as_str()))
            .collect();
        if targets.is_empty() {
            // Looking for changes takes the daemon some time.
            return Ok(BTreeSet::new());
        }
        let changes = api.container_changes(&self.id.0).await.map_err(failed)?.unwrap_or_default();
        let leads_to_one = |path: &str| {
            let below = format!("{path}/");
            targets.iter().any(|target| target == path || target.starts_with(&below))
        };
        let added = changes.into_iter().filter(|change| change.kind == ChangeType::_1);
        let paths = added.map(|change| change.path.trim_matches('/').to_owned());
        Ok(paths.filter(|path| leads_to_one(path)).collect())
    }

    /// Names the container in an error about an image that has no name.
    fn while_committing(&self, error: EngineError) -> EngineError {
        let (operation, object) = (Operation::Commit, self.name.clone());
        match error {
            EngineError::Refused { message, status, .. } => {
                EngineError::Refused { operation, object, message, status }
            }
            EngineError::Broken { source, .. } => EngineError::Broken { operation, object, source },
            EngineError::DiskFull { .. } => EngineError::DiskFull { operation, object },
            error => error,
        }
    }
}

/// Returns `config` with these layers. Where the last entry of its history stands for none of them, it says so.
fn with_layers(config: &ImageConfig, layers: Vec<Digest>) -> ImageConfig {
    let mut config = ImageConfig { layers, ..config.clone() };
    let layered = config.history.iter().filter(|entry| !entry.empty_layer).count();
    if let Some(last) = config.history.last_mut()
        && !last.empty_layer
        && layered > config.layers.len()
    {
        last.empty_layer = true;
    }
    config
}

#[cfg(test)]
mod tests {
    use takelage_testkit::skip;

    use super::Changes;
    use crate::{
        Container, ContainerSpec, Engine, History,
        docker::{Docker, Settings},
    };

    #[tokio::test]
    async fn docker_an_engine_that_wants_the_files_gets_them() {
        let scratch = tempfile::tempdir().unwrap();
        let settings = Settings {
            host: None,
            tls: None,
            config_dir: None,
            scratch: scratch.path().to_owned(),
            plain: false,
        };
        let docker = match Docker::connect(&settings).await {
            Ok(docker) => docker,
            Err(error) => skip!("{error}"),
        };
        // The first is small, but there only after a run of the conformance suite.
        let mut base = docker.image("takelage-enginetest/busybox:latest").await.unwrap();
        if base.is_none() {
            base = docker.image("debian:bookworm-slim").await.unwrap();
        }
        let Some(base) = base else { skip!("there is no image debian:bookworm-slim") };
        let name = format!("takelage-enginetest-reload-{}", std::process::id());
        let container = docker.create(&ContainerSpec::new(name, base.id)).await.unwrap();
        let mut config = base.config.clone();
        config.entrypoint = None;
        config.history.push(History {
            created_by: Some("reload".to_owned()),
            empty_layer: true,
            ..History::default()
        });
        let made = container.reload(&base.id.to_string(), &config, None, Changes::default()).await;
        container.remove().await.unwrap();
        let made = made.unwrap();
        assert_eq!(made.config, config);
        docker.remove_image(&made.id.to_string()).await.unwrap();
        assert_eq!(std::fs::read_dir(scratch.path()).unwrap().count(), 0);
    }
}
