//! A root file system as the one layer of an image: a tar file, perhaps compressed, or a directory.

use std::{
    io::{self, BufReader},
    os::fd::AsFd,
    path::{Path, PathBuf},
};

use fs_err::File;
use tempfile::{NamedTempFile, TempDir};

use super::{
    ArchiveError,
    contents::{self, Span},
    image::{Layer, Parts},
    oci::architecture,
};
use crate::{
    ImageConfig,
    layer::{self, ArchiveOptions, LayerError, Mounts},
};

/// Makes an image of a root file system.
///
/// Its configuration depends on the files alone: `created` is the newest time stamp among them.
pub(super) fn read(archive: &Path, scratch: &TempDir) -> Result<Parts, ArchiveError> {
    let metadata = fs_err::metadata(archive).map_err(|source| contents::read(archive, source))?;
    let file = if metadata.is_dir() { pack(archive, scratch)? } else { contents::plain(archive, scratch)? };
    let newest = newest(archive, &file)?;
    let length = fs_err::metadata(&file).map_err(|source| contents::read(archive, source))?.len();
    let unpacked =
        contents::unpack(archive, "the root file system", &Span { file, offset: 0, length }, scratch)?;
    let config = ImageConfig {
        architecture: architecture().to_owned(),
        os: "linux".to_owned(),
        created: jiff::Timestamp::from_second(newest).ok().map(|time| time.to_string()),
        ..ImageConfig::default()
    };
    Ok(Parts::new(config, vec![unpacked.layer]))
}

/// Reads a tar file to its end and returns the newest time stamp of its entries, in seconds since 1970.
fn newest(archive: &Path, file: &Path) -> Result<i64, ArchiveError> {
    let reader =
        BufReader::with_capacity(1 << 16, File::open(file).map_err(|it| contents::read(archive, it))?);
    let mut tar = tar::Archive::new(reader);
    let (mut newest, mut last, mut empty) = (0, "the start".to_owned(), true);
    let wrong = |last: &str, error: &io::Error| contents::damaged(archive, last, &error.to_string());
    for entry in tar.entries().map_err(|error| wrong(&last, &error))? {
        let mut entry = entry.map_err(|error| wrong(&last, &error))?;
        last = String::from_utf8_lossy(&entry.path_bytes()).into_owned();
        let declared = entry.size();
        let seen = io::copy(&mut entry, &mut io::sink()).map_err(|error| wrong(&last, &error))?;
        if seen != declared {
            return Err(contents::damaged(archive, &last, "the file ends too early"));
        }
        let time = entry.header().mtime().map_err(|error| wrong(&last, &error))?;
        newest = newest.max(i64::try_from(time).unwrap_or(0));
        empty = false;
    }
    if empty {
        return Err(contents::damaged(archive, &last, "it has no entries"));
    }
    Ok(newest)
}

/// Packs a directory in the order of its names, owners by number. Sockets are left out, as everywhere.
fn pack(archive: &Path, scratch: &TempDir) -> Result<PathBuf, ArchiveError> {
    let file = NamedTempFile::new_in(scratch.path()).map_err(|source| contents::stored(archive, source))?;
    let root = File::open(archive).map_err(|source| contents::read(archive, source))?;
    let options = ArchiveOptions { mounts: Mounts::Packed, ..ArchiveOptions::default() };
    layer::archive(root.file().as_fd(), Path::new("/"), &file, &options).map_err(|error| match error {
        LayerError::Write(source) => contents::stored(archive, source),
        error => contents::read(archive, io::Error::other(error)),
    })?;
    file.into_temp_path().keep().map_err(|error| contents::stored(archive, error.error))
}

/// A layer made of a file, for [`super::ImageArchive::of_layers`].
pub(super) fn layer(file: &Path, scratch: &TempDir) -> Result<Layer, ArchiveError> {
    let length = fs_err::metadata(file).map_err(|source| contents::read(file, source))?.len();
    let name = file.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let span = Span { file: file.to_owned(), offset: 0, length };
    Ok(contents::unpack(file, &name, &span, scratch)?.layer)
}
