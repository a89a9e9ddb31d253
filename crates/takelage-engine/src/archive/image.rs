//! An image that was read from somewhere and is ready to be loaded.

use std::{
    collections::BTreeSet,
    io,
    path::{Path, PathBuf},
};

use takelage_model::Digest;
use tempfile::{NamedTempFile, TempDir};

use super::{
    ArchiveError, compression,
    contents::{self, Contents, Span},
    docker, oci, rootfs,
    strip::{self, Stripped},
    write,
};
use crate::{
    History, ImageConfig, ImageFile, ImageId, Reference,
    layer::{self, LayerError, Omitted},
};

/// What an image file is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ArchiveKind {
    /// What `docker save` writes.
    Docker,
    /// An OCI image layout, as a tar file or a directory.
    Oci,
    /// The files of a root file system, as a tar file (perhaps compressed) or a directory.
    Rootfs,
}

/// How images are written into a file.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum ArchiveFormat {
    /// As `docker save` always wrote them: every engine reads it. Layers are not compressed.
    #[default]
    Docker,
    /// An OCI image layout as a tar file. Layers are as the engine has them.
    Oci,
}

/// An image that is ready to be loaded: its configuration and where its layers lie.
///
/// What had to be unpacked lies in a directory of its own that goes with the value. Layers that are used where
/// they are must stay there until the image is loaded.
#[derive(Debug)]
pub struct ImageArchive {
    pub(super) parts: Parts,
    /// The name that the engine gives it in the same instant.
    name: Option<Reference>,
    scratch: Vec<TempDir>,
}

/// The parts of an image.
#[derive(Debug)]
pub(super) struct Parts {
    /// The configuration, byte for byte; its digest is the image's id.
    pub(super) json: Vec<u8>,
    /// The same, read.
    pub(super) config: ImageConfig,
    /// The layers' files, lowest first. Missing ones must be in the engine's store already.
    pub(super) layers: Vec<Layer>,
}

/// A layer and where its unpacked bytes lie.
#[derive(Debug, Clone)]
pub(super) struct Layer {
    /// The digest of the unpacked bytes.
    pub(super) digest: Digest,
    pub(super) place: Span,
}

impl Parts {
    /// Makes an image of these layers, with one entry of history for each if `config` has none.
    pub(super) fn new(mut config: ImageConfig, layers: Vec<Layer>) -> Self {
        config.layers = layers.iter().map(|layer| layer.digest).collect();
        if config.history.is_empty() {
            let entry = History { created: config.created.clone(), ..History::default() };
            config.history = vec![entry; layers.len()];
        }
        Self { json: config.to_json(), config, layers }
    }
}

impl ImageArchive {
    /// Opens an image file and checks all its digests. What must be unpacked goes to a new directory in `scratch`.
    ///
    /// An OCI layout with several platforms gives the image for linux and this machine's processor. This reads the
    /// whole file: call it where blocking is allowed.
    pub fn open(file: &ImageFile, scratch: &Path) -> Result<Self, ArchiveError> {
        let scratch = directory(&file.path, scratch)?;
        let parts = match file.kind {
            ArchiveKind::Docker => docker::read(&Contents::open(&file.path, &scratch)?, &scratch)?,
            ArchiveKind::Oci => oci::read(&Contents::open(&file.path, &scratch)?, &scratch)?,
            ArchiveKind::Rootfs => rootfs::read(&file.path, &scratch)?,
        };
        Ok(Self { parts, name: None, scratch: vec![scratch] })
    }

    /// Makes an image of layers, lowest first: tar files, which stay where they are (compressed ones are unpacked to a
    /// new directory in `scratch`). `config.layers` is filled in, and `config.history` if it is empty.
    ///
    /// Same configuration and layers, same image id. This reads the layers: call it where blocking is allowed.
    pub fn of_layers(config: &ImageConfig, layers: &[PathBuf], scratch: &Path) -> Result<Self, ArchiveError> {
        let place = layers.first().map_or(scratch, PathBuf::as_path);
        let scratch = directory(place, scratch)?;
        let layers = layers.iter().map(|file| rootfs::layer(file, &scratch)).collect::<Result<_, _>>()?;
        Ok(Self { parts: Parts::new(config.clone(), layers), name: None, scratch: vec![scratch] })
    }

    /// Takes a configuration whose layers are all in the engine's store already.
    pub(crate) fn of_stored_layers(config: &ImageConfig) -> Self {
        let parts = Parts { json: config.to_json(), config: config.clone(), layers: Vec::new() };
        Self { parts, name: None, scratch: Vec::new() }
    }

    /// Has the engine give the image this name in the same instant, taking it away from the image that had it.
    #[must_use]
    pub fn named(self, name: Option<&Reference>) -> Self {
        Self { name: name.cloned(), ..self }
    }

    /// Replaces the configuration; the layers stay, so `config` must name the same.
    #[must_use]
    pub fn with_config(mut self, config: &ImageConfig) -> Self {
        self.parts.json = config.to_json();
        self.parts.config = config.clone();
        self
    }

    /// Leaves what `names` says out of the topmost layer, unless something would be lost with it: a file with content,
    /// or a directory that holds something else. A layer of which nothing is left goes as well.
    pub(crate) fn without(mut self, names: &BTreeSet<String>, scratch: &Path) -> Result<Self, ArchiveError> {
        let Some(top) = self.parts.layers.last() else { return Ok(self) };
        let scratch = directory(&top.place.file, scratch)?;
        let stripped = strip::strip(&top.place, names, &scratch)
            .map_err(|source| contents::stored(&top.place.file, source))?;
        match stripped {
            Stripped::Whole => return Ok(self),
            Stripped::Nothing => drop(self.parts.layers.pop()),
            Stripped::Rest(file) => {
                let layer = rootfs::layer(&file, &scratch)?;
                self.parts.layers.pop();
                self.parts.layers.push(layer);
            }
        }
        self.parts.config.layers = self.parts.layers.iter().map(|layer| layer.digest).collect();
        self.parts.json = self.parts.config.to_json();
        self.scratch.push(scratch);
        Ok(self)
    }

    /// Leaves files out of the topmost layer, whatever is in them. The layer stays, if with nothing in it. What a layer below has in their
    /// place shows again. This reads the layer: call it where blocking is allowed.
    pub fn omitting(mut self, omitted: &Omitted, scratch: &Path) -> Result<Self, ArchiveError> {
        let Some(top) = self.parts.layers.pop() else { return Ok(self) };
        let path = top.place.file.clone();
        let scratch = directory(&path, scratch)?;
        let stored = |source| contents::stored(&path, source);
        let file = NamedTempFile::new_in(scratch.path()).map_err(stored)?;
        layer::omit(&top.place, omitted, &file).map_err(|error| unmade(&path, error))?;
        // It goes with the directory.
        let file = file.into_temp_path().keep().map_err(|error| stored(error.error))?;
        self.parts.layers.push(rootfs::layer(&file, &scratch)?);
        self.parts.config.layers = self.parts.layers.iter().map(|layer| layer.digest).collect();
        self.parts.json = self.parts.config.to_json();
        self.scratch.push(scratch);
        Ok(self)
    }

    /// Makes one layer of all those above the lowest `below`; see [`flatten`](layer::flatten).
    pub(crate) fn flattened(mut self, below: usize, scratch: &Path) -> Result<Self, ArchiveError> {
        let (below, above) = self.parts.layers.split_at(below.min(self.parts.layers.len()));
        let Some(top) = above.last() else { return Ok(self) };
        let path = top.place.file.clone();
        let scratch = directory(&path, scratch)?;
        let stored = |source| contents::stored(&path, source);
        let spans = |layers: &[Layer]| layers.iter().map(|layer| layer.place.clone()).collect::<Vec<_>>();
        let file = NamedTempFile::new_in(scratch.path()).map_err(stored)?;
        let any =
            layer::flatten(&spans(above), &spans(below), &file).map_err(|error| unmade(&path, error))?;
        let mut layers = below.to_vec();
        if any {
            // It goes with the directory.
            let file = file.into_temp_path().keep().map_err(|error| stored(error.error))?;
            layers.push(rootfs::layer(&file, &scratch)?);
        }
        self.parts.layers = layers;
        self.parts.config.layers = self.parts.layers.iter().map(|layer| layer.digest).collect();
        self.parts.json = self.parts.config.to_json();
        self.scratch.push(scratch);
        Ok(self)
    }

    /// The same without the files of the lowest `stored` layers, which the engine must have. It reads the others' files for as long
    /// as this value lives.
    pub(crate) fn above(&self, stored: usize) -> Self {
        let layers = self.parts.layers.iter().skip(stored).cloned().collect();
        let Parts { json, config, .. } = &self.parts;
        let parts = Parts { json: json.clone(), config: config.clone(), layers };
        Self { parts, name: self.name.clone(), scratch: Vec::new() }
    }

    /// Returns the image's id: the digest of its configuration.
    pub fn id(&self) -> ImageId {
        ImageId(Digest::of(&self.parts.json))
    }

    /// Returns the name that it is to have.
    pub fn name(&self) -> Option<&Reference> {
        self.name.as_ref()
    }

    /// Returns the image's configuration.
    pub fn config(&self) -> &ImageConfig {
        &self.parts.config
    }

    /// Returns the configuration, byte for byte.
    pub(crate) fn json(&self) -> &[u8] {
        &self.parts.json
    }

    /// Opens the unpacked bytes of a layer. `None`: there is no file of it, the engine must have the layer already.
    pub(crate) fn layer(&self, digest: Digest) -> Option<io::Result<impl io::Read + use<>>> {
        let place = &self.parts.layers.iter().find(|layer| layer.digest == digest)?.place;
        let file = fs_err::File::open(&place.file);
        Some(file.and_then(|file| compression::span(file.into_parts().0, place.offset, place.length)))
    }

    /// Writes it as a docker-archive: same image and name, same bytes.
    pub fn write(&self, to: impl io::Write) -> io::Result<()> {
        write::docker_archive(self.id(), &self.parts, self.name(), to)
    }
}

/// Returns an error about a layer that could not be made of others.
fn unmade(archive: &Path, error: LayerError) -> ArchiveError {
    match error {
        LayerError::Write(source) => contents::stored(archive, source),
        LayerError::Read(source) => contents::read(archive, source),
        error => contents::damaged(archive, "the layers", &error.to_string()),
    }
}

/// Makes a directory for what is unpacked on behalf of `archive`.
fn directory(archive: &Path, scratch: &Path) -> Result<TempDir, ArchiveError> {
    fs_err::create_dir_all(scratch)
        .and_then(|()| tempfile::Builder::new().prefix("archive-").tempdir_in(scratch))
        .map_err(|source| contents::stored(archive, source))
}

/// Writes an error and what caused it on one line.
pub(super) fn reason(error: &dyn std::error::Error) -> String {
    let mut reason = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        reason = format!("{reason}: {error}");
        source = error.source();
    }
    reason
}
