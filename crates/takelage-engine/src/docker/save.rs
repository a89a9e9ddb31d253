//! Images into files.

use std::{
    io,
    path::{Path, PathBuf},
};

use tempfile::TempDir;

use super::{connection::Daemon, errors::unwritable};
use crate::{
    ArchiveError, ArchiveFormat, ArchiveKind, EngineError, ImageArchive, ImageFile, ImageId, Operation,
    Progress, Reference, archive::Layout, whole_file::WholeFile,
};

/// An image and the names under which it is saved.
struct Saved {
    id: ImageId,
    names: Vec<String>,
}

impl Daemon {
    pub(super) async fn save(
        &self,
        names: &[String],
        format: ArchiveFormat,
        path: &Path,
        progress: Progress<'_>,
    ) -> Result<(), EngineError> {
        let images = self.chosen(names).await?;
        let object = names.join(" ");
        match format {
            ArchiveFormat::Docker => {
                let names: Vec<&str> = names.iter().map(String::as_str).collect();
                let stream = self.api.export_images(&names);
                self.download(Operation::Save, &object, stream, path, progress).await
            }
            ArchiveFormat::Oci => self.save_oci(images, &object, path, progress).await,
        }
    }

    /// Finds the images that are meant, each once.
    async fn chosen(&self, words: &[String]) -> Result<Vec<Saved>, EngineError> {
        let mut chosen: Vec<Saved> = Vec::new();
        for word in words {
            let missing = || EngineError::NoSuchImage {
                name: word.clone(),
                message: "it is not in the engine's store".to_owned(),
            };
            let image = self.image(word).await?.ok_or_else(missing)?;
            // What is no name of it was its id, or a name with a digest: both are saved without names, as Docker does it.
            let name = word.parse().map(|it: Reference| format!("{}:{}", it.name(), it.tag()));
            let name = name.ok().filter(|name| image.tags.contains(name));
            match chosen.iter_mut().find(|saved| saved.id == image.id) {
                Some(saved) => saved.names.extend(name),
                None => chosen.push(Saved { id: image.id, names: name.into_iter().collect() }),
            }
        }
        Ok(chosen)
    }

    /// Writes an OCI archive of what the daemon gives as docker-archives: not every version of it can write one itself.
    async fn save_oci(
        &self,
        images: Vec<Saved>,
        object: &str,
        path: &Path,
        progress: Progress<'_>,
    ) -> Result<(), EngineError> {
        let failed = |error: io::Error| unwritable(Operation::Save, object, path, &error);
        let whole = WholeFile::begin(path).map_err(failed)?;
        fs_err::tokio::create_dir_all(&self.scratch).await.map_err(failed)?;
        let scratch = tempfile::Builder::new().prefix("save-").tempdir_in(&self.scratch).map_err(failed)?;
        let mut files = Vec::new();
        let mut before = 0;
        for (number, saved) in images.into_iter().enumerate() {
            let file = scratch.path().join(format!("{number}.tar"));
            let stream = self.api.export_image(&saved.id.to_string());
            let so_far = |bytes, _: Option<u64>| progress(before + bytes, None);
            self.download(Operation::Save, object, stream, &file, &so_far).await?;
            before += fs_err::tokio::metadata(&file).await.map_err(failed)?.len();
            files.push((file, saved.names));
        }
        let to = whole.reopen().map_err(failed)?;
        let packed = tokio::task::spawn_blocking(move || pack(files, &scratch, to)).await;
        let packed = packed.unwrap_or_else(|error| std::panic::resume_unwind(error.into_panic()))?;
        packed.map_err(failed)?;
        whole.finish().await.map_err(failed)
    }
}

/// Writes the images of docker-archives into an OCI archive. An error within the result is one of what is written.
fn pack(
    files: Vec<(PathBuf, Vec<String>)>,
    scratch: &TempDir,
    to: std::fs::File,
) -> Result<io::Result<()>, ArchiveError> {
    let mut archives = Vec::new();
    for (path, names) in files {
        let file = ImageFile { kind: ArchiveKind::Docker, path };
        archives.push((ImageArchive::open(&file, scratch.path())?, names));
    }
    let write = || {
        let mut layout = Layout::begin(io::BufWriter::new(to))?;
        for (archive, names) in &archives {
            archive.add_to(&mut layout, names)?;
        }
        layout.finish()?.into_inner().map(drop).map_err(io::IntoInnerError::into_error)
    };
    Ok(write())
}
