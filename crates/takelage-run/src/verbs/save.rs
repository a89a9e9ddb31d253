//! `save`: write produced images to a file.

use std::{
    fmt,
    io::Write,
    path::{Path, PathBuf},
};

use takelage_engine::{ArchiveFormat, Engine};
use takelage_model::{
    ImageName,
    event::{Op, Outcome, Step},
};

use super::Verdict;
use crate::{Session, StepError, steps::Purpose};

/// Where an archive goes.
pub enum Destination {
    /// To a file, which is there when it is whole.
    File(PathBuf),
    /// To whoever reads: a pipe, or a device. Nothing is written before the archive is whole.
    Stream {
        /// What takes it.
        stream: Box<dyn Write + Send>,
        /// What that is, in words.
        name: String,
    },
}

impl fmt::Debug for Destination {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => f.debug_tuple("File").field(path).finish(),
            Self::Stream { name, .. } => f.debug_tuple("Stream").field(name).finish(),
        }
    }
}

impl<E: Engine> Session<E> {
    /// Writes images as they were produced last into one archive, with the tags that they have. An image without tags is
    /// in it without a name.
    pub async fn save(&self, images: &[ImageName], format: ArchiveFormat, to: Destination) -> Verdict {
        let Some(last) = images.last() else { return Verdict::new(&self.cancel) };
        let saved = self.step(last, Op::Save, None, async |step| {
            let mut names = Vec::new();
            let mut locks = Vec::new();
            for name in images {
                locks.push(self.lock(name, Purpose::Produce).await?);
                names.extend(self.saved_names(name).await?);
            }
            let place = match to {
                Destination::File(path) => {
                    self.write(&step, &names, format, &path).await?;
                    format!("`{}`", path.display())
                }
                Destination::Stream { stream, name } => {
                    let whole = self.directory.scratch().join("archive.tar");
                    self.write(&step, &names, format, &whole).await?;
                    self.interruptible(send(whole, stream, name.clone())).await?;
                    name
                }
            };
            Ok((Outcome::Done { summary: format!("{} to {place}", names.join(", ")) }, ()))
        });
        Verdict::of(last, saved.await, &self.cancel)
    }

    /// Returns under which names an image is saved: all its tags, or its id if it has none.
    async fn saved_names(&self, name: &ImageName) -> Result<Vec<String>, StepError> {
        let image = self.image(name)?;
        let record = self.produced(image).await?;
        let tags = self.tag_all(image, &record).await?;
        Ok(if tags.is_empty() {
            vec![record.id.to_string()]
        } else {
            tags.iter().map(ToString::to_string).collect()
        })
    }

    async fn write(
        &self,
        step: &Step,
        names: &[String],
        format: ArchiveFormat,
        path: &Path,
    ) -> Result<(), StepError> {
        let progress = |done, total| self.events.progress(step, "save", done, total, "bytes");
        self.interruptible(self.engine.save(names, format, path, &progress)).await
    }
}

/// Hands a file on. Who reads may take its time, so this is on a thread of its own; given up, it ends with the process.
async fn send(file: PathBuf, mut stream: Box<dyn Write + Send>, to: String) -> Result<(), StepError> {
    let copy = move || {
        let mut file = fs_err::File::open(file)?;
        std::io::copy(&mut file, &mut stream)?;
        stream.flush()
    };
    let sent = tokio::task::spawn_blocking(copy).await.map_err(|_| StepError::Panicked)?;
    sent.map_err(|source| StepError::Output { to, source })
}
