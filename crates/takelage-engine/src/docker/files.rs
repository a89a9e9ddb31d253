//! Files in and out of a container.
//!
//! The API has endpoints for this, but they work on the container's layers from outside: whatever the container has
//! mounted at run time is invisible to them. On Docker 20.10, reading below a tmpfs says that there is no such file,
//! and writing there puts the file into the layer **under** the mount, where the container never sees it and a commit
//! finds it. So a running container is asked to do it itself, by its own `tar`; only a container that is stopped or
//! has no `tar` is served by the API.
//!
//! It is as exact as the image's `tar` is: GNU tar restores everything, the one of busybox neither the times of directories
//! nor owners and times of symbolic links.

use bollard::{
    body_full,
    query_parameters::{DownloadFromContainerOptionsBuilder, UploadToContainerOptionsBuilder},
};
use bytes::Bytes;

use super::{
    container::DockerContainer,
    errors::{refusal, status, text},
    transfer,
};
use crate::{Container, EngineError, ExecOutput, ExecSpec, Operation};

impl DockerContainer {
    /// Unpacks a tar archive below `at`.
    pub(super) async fn unpack(&self, at: &str, tar: Bytes) -> Result<(), EngineError> {
        self.absolute(Operation::Put, at)?;
        let argv = ["tar", "-x", "-p", "--numeric-owner", "-C", at, "-f", "-"];
        let spec = ExecSpec { stdin: Some(tar.clone()), ..ExecSpec::root(argv) };
        match self.own_tar(Operation::Put, spec).await? {
            Some(output) if output.success() => Ok(()),
            Some(output) => Err(self.tar_failure(Operation::Put, at, &output).await?),
            None => self.upload(at, tar).await,
        }
    }

    /// Packs the file or directory `path`.
    pub(super) async fn pack(&self, path: &str) -> Result<Bytes, EngineError> {
        self.absolute(Operation::Get, path)?;
        let trimmed = path.trim_end_matches('/');
        let Some((parent, name)) = trimmed.rsplit_once('/').filter(|(_, name)| !matches!(*name, "." | ".."))
        else {
            // The root has no name that entries could begin with; what the API calls it will do.
            return self.fetch(path).await;
        };
        let parent = if parent.is_empty() { "/" } else { parent };
        let argv = ["tar", "-c", "--numeric-owner", "-C", parent, "-f", "-", "--", name];
        match self.own_tar(Operation::Get, ExecSpec::root(argv)).await? {
            // GNU tar's status 1: a file changed while it was read. It is packed all the same.
            Some(output)
                if output.success()
                    || (output.status == 1 && !output.stdout.is_empty() && self.exists(path).await?) =>
            {
                Ok(output.stdout.into())
            }
            Some(output) => Err(self.tar_failure(Operation::Get, path, &output).await?),
            None => self.fetch(path).await,
        }
    }

    /// Runs the container's own `tar`. `None`: it has none, or does not run.
    async fn own_tar(&self, operation: Operation, spec: ExecSpec) -> Result<Option<ExecOutput>, EngineError> {
        match self.run(spec).await {
            Ok(output) if matches!(output.status, 126 | 127) => Ok(None),
            Ok(output) => Ok(Some(output)),
            Err(EngineError::NoSuchContainer { .. }) => Ok(None),
            Err(EngineError::Refused { object, message, status, .. }) => {
                Err(EngineError::Refused { operation, object, message, status })
            }
            Err(EngineError::Broken { object, source, .. }) => {
                Err(EngineError::Broken { operation, object, source })
            }
            Err(error) => Err(error),
        }
    }

    /// Says why the container's own `tar` failed.
    async fn tar_failure(
        &self,
        operation: Operation,
        path: &str,
        output: &ExecOutput,
    ) -> Result<EngineError, EngineError> {
        if !self.exists(path).await? {
            return Ok(self.no_such_path(path));
        }
        let message = String::from_utf8_lossy(&output.stderr).trim().to_owned();
        Ok(refusal(operation, self.name.clone(), &message, None))
    }

    /// Whether there is something at `path`, a dangling symbolic link included.
    async fn exists(&self, path: &str) -> Result<bool, EngineError> {
        let script = "test -e \"$1\" || test -L \"$1\"";
        let output = self.run(ExecSpec::root(["/bin/sh", "-c", script, "sh", path])).await?;
        Ok(output.status != 1)
    }

    async fn upload(&self, at: &str, tar: Bytes) -> Result<(), EngineError> {
        let options = UploadToContainerOptionsBuilder::new().path(at).build();
        let uploaded = self.daemon.api.upload_to_container(&self.id.0, Some(options), body_full(tar)).await;
        uploaded.map_err(|error| self.path_failure(Operation::Put, at, error))
    }

    async fn fetch(&self, path: &str) -> Result<Bytes, EngineError> {
        let options = DownloadFromContainerOptionsBuilder::new().path(path).build();
        let stream = self.daemon.api.download_from_container(&self.id.0, Some(options));
        transfer::collect(Box::pin(stream))
            .await
            .map_err(|error| self.path_failure(Operation::Get, path, error))
    }

    fn path_failure(&self, operation: Operation, path: &str, error: bollard::errors::Error) -> EngineError {
        match status(&error) {
            // The same status stands for a container that is gone.
            Some(404) if !text(&error).starts_with("No such container: ") => self.no_such_path(path),
            Some(_) if text(&error).ends_with(": not a directory") => self.no_such_path(path),
            _ => self.failure(operation, error),
        }
    }

    fn no_such_path(&self, path: &str) -> EngineError {
        EngineError::NoSuchPath { container: self.name.clone(), path: path.to_owned() }
    }

    fn absolute(&self, operation: Operation, path: &str) -> Result<(), EngineError> {
        if path.starts_with('/') && !path.contains('\0') {
            return Ok(());
        }
        let message = format!("`{path}` is not an absolute path");
        Err(refusal(operation, self.name.clone(), &message, None))
    }
}
