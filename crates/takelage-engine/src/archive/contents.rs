//! Where the parts of an archive lie: an index of a tar file, or a directory.

use std::{
    collections::HashMap,
    io::{self, BufReader, Read},
    ops::Range,
    path::{Path, PathBuf},
};

use fs_err::File;
use sha2::Digest as _;
use takelage_model::Digest;
use tempfile::{NamedTempFile, TempDir};

use super::{
    ArchiveError,
    compression::{self, Compression},
    image::Layer,
};
use crate::layer;

/// JSON longer than this is no manifest, index or configuration.
const JSON_LIMIT: u64 = 8 << 20;
/// An archive with more entries than this is no image archive, which has a few per layer.
const ENTRY_LIMIT: usize = 100_000;
/// Links that lead to links; Docker's archives have chains of one.
const LINK_LIMIT: usize = 8;

/// A readable archive.
#[derive(Debug)]
pub(super) struct Contents {
    /// The archive as the user named it, for messages.
    archive: PathBuf,
    place: Place,
}

#[derive(Debug)]
enum Place {
    Tar(HashMap<String, Entry>),
    Directory,
}

/// An entry of a tar file, by its name without a leading `./`.
#[derive(Debug)]
enum Entry {
    Content(Span),
    Link(String),
}

/// A part of a file.
#[derive(Debug, Clone)]
pub(super) struct Span {
    pub(super) file: PathBuf,
    pub(super) offset: u64,
    pub(super) length: u64,
}

impl layer::Archive for Span {
    fn length(&self) -> u64 {
        self.length
    }

    fn part(&self, range: Range<u64>) -> io::Result<impl Read> {
        let file = File::open(&self.file)?.into_parts().0;
        compression::span(file, self.offset + range.start, range.end - range.start)
    }
}

impl Contents {
    /// Opens a directory, or a tar file, which is unpacked to `scratch` first if it is compressed.
    pub(super) fn open(archive: &Path, scratch: &TempDir) -> Result<Self, ArchiveError> {
        let metadata = fs_err::metadata(archive).map_err(|source| read(archive, source))?;
        if metadata.is_dir() {
            return Ok(Self { archive: archive.to_owned(), place: Place::Directory });
        }
        let file = plain(archive, scratch)?;
        let entries = index(archive, &file)?;
        Ok(Self { archive: archive.to_owned(), place: Place::Tar(entries) })
    }

    /// Returns where the entry `name` lies, or `None` if there is none.
    pub(super) fn find(&self, name: &str) -> Result<Option<Span>, ArchiveError> {
        match &self.place {
            Place::Directory => {
                // Names come from an index in the archive: they may only lead down.
                if !Path::new(name).components().all(|part| matches!(part, std::path::Component::Normal(_))) {
                    return Err(self.damaged(name, "the name leads out of the archive"));
                }
                let file = self.archive.join(name);
                match fs_err::metadata(&file) {
                    Ok(metadata) if metadata.is_file() => {
                        Ok(Some(Span { file, offset: 0, length: metadata.len() }))
                    }
                    Ok(_) => Err(self.damaged(name, "it is not a regular file")),
                    Err(source) if source.kind() == io::ErrorKind::NotFound => Ok(None),
                    Err(source) => Err(read(&self.archive, source)),
                }
            }
            Place::Tar(entries) => {
                let mut name = clean(name);
                for _ in 0..LINK_LIMIT {
                    match entries.get(&name) {
                        None => return Ok(None),
                        Some(Entry::Content(span)) => return Ok(Some(span.clone())),
                        Some(Entry::Link(target)) => name.clone_from(target),
                    }
                }
                Err(self.damaged(&name, "its links lead in a circle"))
            }
        }
    }

    /// Returns where the entry `name` lies.
    pub(super) fn require(&self, name: &str) -> Result<Span, ArchiveError> {
        self.find(name)?.ok_or_else(|| self.damaged(name, "it is missing"))
    }

    /// Reads a small entry whole.
    pub(super) fn bytes(&self, name: &str) -> Result<Vec<u8>, ArchiveError> {
        let span = self.require(name)?;
        if span.length > JSON_LIMIT {
            return Err(self.damaged(name, &format!("{} bytes are too long for JSON", span.length)));
        }
        let mut bytes = Vec::new();
        File::open(&span.file)
            .and_then(|file| compression::span(file.into_parts().0, span.offset, span.length))
            .and_then(|mut reader| reader.read_to_end(&mut bytes))
            .map_err(|source| read(&self.archive, source))?;
        Ok(bytes)
    }

    /// Reads a small entry as JSON.
    pub(super) fn json<T: serde::de::DeserializeOwned>(&self, name: &str) -> Result<T, ArchiveError> {
        serde_json::from_slice(&self.bytes(name)?).map_err(|error| self.damaged(name, &error.to_string()))
    }

    /// Takes the entry `name` as a layer: unpacks it to `scratch` if it is compressed and computes its digests.
    ///
    /// `blob` is what the packed bytes must digest to, `diff` what the unpacked ones must.
    pub(super) fn layer(
        &self,
        name: &str,
        scratch: &TempDir,
        blob: Option<Digest>,
        diff: Digest,
    ) -> Result<Layer, ArchiveError> {
        let span = self.require(name)?;
        let unpacked = unpack(&self.archive, name, &span, scratch)?;
        if let Some(blob) = blob.filter(|blob| *blob != unpacked.blob) {
            return Err(self.damaged(name, &format!("its digest is {} instead of {blob}", unpacked.blob)));
        }
        if unpacked.layer.digest != diff {
            return Err(
                self.damaged(name, &format!("it unpacks to {} instead of {diff}", unpacked.layer.digest))
            );
        }
        Ok(unpacked.layer)
    }

    /// Returns an error about an entry.
    pub(super) fn damaged(&self, entry: &str, reason: &str) -> ArchiveError {
        damaged(&self.archive, entry, reason)
    }

    /// Returns an error about the number or kind of images.
    pub(super) fn choice(&self, reason: String) -> ArchiveError {
        ArchiveError::Choice { path: self.archive.clone(), reason }
    }
}

/// Returns an error about the archive as a whole.
pub(super) fn read(archive: &Path, source: io::Error) -> ArchiveError {
    ArchiveError::Read { path: archive.to_owned(), source }
}

/// Returns an error about scratch space.
pub(super) fn stored(archive: &Path, source: io::Error) -> ArchiveError {
    ArchiveError::Unpack { path: archive.to_owned(), source }
}

/// Returns an error about an entry.
pub(super) fn damaged(archive: &Path, entry: &str, reason: &str) -> ArchiveError {
    ArchiveError::Damaged { path: archive.to_owned(), entry: entry.to_owned(), reason: reason.to_owned() }
}

/// Returns a file with the unpacked bytes of `archive`: itself if it is not compressed, else one in `scratch`.
pub(super) fn plain(archive: &Path, scratch: &TempDir) -> Result<PathBuf, ArchiveError> {
    let file = File::open(archive).map_err(|source| read(archive, source))?;
    let length = file.metadata().map_err(|source| read(archive, source))?.len();
    let mut file = file.into_parts().0;
    let compression = Compression::sniff(&mut file, 0).map_err(|source| read(archive, source))?;
    if compression == Compression::Plain {
        return Ok(archive.to_owned());
    }
    let mut reader = compression::span(file, 0, length)
        .and_then(|reader| compression.reader(reader))
        .map_err(|source| read(archive, source))?;
    let name = archive.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    copy(archive, &name, &mut reader, scratch, |_| ())
}

/// A layer and the digest of its bytes as they lie in the archive.
pub(super) struct Unpacked {
    pub(super) layer: Layer,
    pub(super) blob: Digest,
}

/// Digests a part of a file, packed and unpacked, and stores the unpacked bytes in `scratch` if they differ.
pub(super) fn unpack(
    archive: &Path,
    entry: &str,
    span: &Span,
    scratch: &TempDir,
) -> Result<Unpacked, ArchiveError> {
    let file = File::open(&span.file).map_err(|source| read(archive, source))?;
    let mut file = file.into_parts().0;
    let compression = Compression::sniff(&mut file, span.offset).map_err(|source| read(archive, source))?;
    let packed = compression::span(file, span.offset, span.length).map_err(|source| read(archive, source))?;
    let mut packed = Digesting { reader: packed, hasher: sha2::Sha256::new(), length: 0 };
    let mut unpacked = sha2::Sha256::new();
    let place = if compression == Compression::Plain {
        io::copy(&mut packed, &mut io::sink()).map_err(|source| read(archive, source))?;
        span.clone()
    } else {
        let mut reader = compression.reader(&mut packed).map_err(|source| read(archive, source))?;
        let file = copy(archive, entry, &mut reader, scratch, |bytes| unpacked.update(bytes))?;
        drop(reader);
        // What lies behind the compressed stream belongs to the blob as well.
        io::copy(&mut packed, &mut io::sink()).map_err(|source| read(archive, source))?;
        let length = fs_err::metadata(&file).map_err(|source| stored(archive, source))?.len();
        Span { file, offset: 0, length }
    };
    if packed.length != span.length {
        return Err(damaged(archive, entry, "the file ends too early"));
    }
    let blob = Digest::from_bytes(packed.hasher.finalize().into());
    let digest =
        if compression == Compression::Plain { blob } else { Digest::from_bytes(unpacked.finalize().into()) };
    Ok(Unpacked { layer: Layer { digest, place }, blob })
}

/// Stores all that `reader` yields in a new file of `scratch` and shows it to `see`.
fn copy(
    archive: &Path,
    entry: &str,
    reader: &mut dyn Read,
    scratch: &TempDir,
    mut see: impl FnMut(&[u8]),
) -> Result<PathBuf, ArchiveError> {
    let mut file = NamedTempFile::new_in(scratch.path()).map_err(|source| stored(archive, source))?;
    let mut buffer = vec![0; 1 << 16];
    loop {
        match reader.read(&mut buffer) {
            Ok(0) => break,
            Ok(length) => {
                see(&buffer[..length]);
                io::Write::write_all(&mut file, &buffer[..length])
                    .map_err(|source| stored(archive, source))?;
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(damaged(archive, entry, &error.to_string())),
        }
    }
    // It goes with the directory.
    file.into_temp_path().keep().map_err(|error| stored(archive, error.error))
}

/// Digests what is read through it.
struct Digesting<R> {
    reader: R,
    hasher: sha2::Sha256,
    length: u64,
}

impl<R: Read> Read for Digesting<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let length = self.reader.read(buffer)?;
        self.hasher.update(&buffer[..length]);
        self.length += length as u64;
        Ok(length)
    }
}

/// Finds the entries of a tar file without reading their contents.
fn index(archive: &Path, file: &Path) -> Result<HashMap<String, Entry>, ArchiveError> {
    let whole = File::open(file).map_err(|source| read(archive, source))?;
    let length = whole.metadata().map_err(|source| read(archive, source))?.len();
    let mut tar = tar::Archive::new(BufReader::new(whole));
    let mut entries = HashMap::new();
    let mut last = "the start".to_owned();
    let wrong = |last: &str, error: &io::Error| damaged(archive, last, &format!("not a tar file: {error}"));
    for entry in tar.entries_with_seek().map_err(|error| wrong(&last, &error))? {
        let entry = entry.map_err(|error| wrong(&last, &error))?;
        let name = clean(&String::from_utf8_lossy(&entry.path_bytes()));
        last.clone_from(&name);
        let kind = entry.header().entry_type();
        if kind.is_symlink() || kind.is_hard_link() {
            let target = entry.link_name_bytes().unwrap_or_default();
            let target = String::from_utf8_lossy(&target).into_owned();
            let target = if kind.is_symlink() { beside(&name, &target) } else { clean(&target) };
            entries.insert(name, Entry::Link(target));
        } else if kind.is_file() || kind.is_contiguous() {
            let span =
                Span { file: file.to_owned(), offset: entry.raw_file_position(), length: entry.size() };
            if span.offset.checked_add(span.length).is_none_or(|end| end > length) {
                return Err(damaged(archive, &last, "the file ends too early"));
            }
            entries.insert(name, Entry::Content(span));
        }
        if entries.len() > ENTRY_LIMIT {
            return Err(damaged(archive, &last, "it has too many entries for an image archive"));
        }
    }
    Ok(entries)
}

/// Brings an entry's name into the form that the index uses.
fn clean(name: &str) -> String {
    let mut parts: Vec<&str> = Vec::new();
    for part in name.split('/') {
        match part {
            "" | "." => {}
            ".." => drop(parts.pop()),
            part => parts.push(part),
        }
    }
    parts.join("/")
}

/// Resolves the target of a symbolic link, within the archive.
fn beside(name: &str, target: &str) -> String {
    match name.rsplit_once('/') {
        Some((parent, _)) if !target.starts_with('/') => clean(&format!("{parent}/{target}")),
        _ => clean(target),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn names_stay_within_the_archive() {
        assert_eq!(clean("./a//b/../c"), "a/c");
        assert_eq!(clean("../../etc/passwd"), "etc/passwd");
        assert_eq!(beside("a/layer.tar", "../b/layer.tar"), "b/layer.tar");
        assert_eq!(beside("a/layer.tar", "../../../x"), "x");
        let empty = tempfile::tempdir().unwrap();
        let contents = Contents::open(empty.path(), &tempfile::tempdir().unwrap()).unwrap();
        for name in ["../x", "/etc/passwd", "a/../../x"] {
            assert!(matches!(contents.find(name), Err(ArchiveError::Damaged { .. })), "{name}");
        }
    }

    proptest! {
        #[test]
        fn arbitrary_bytes_never_make_the_index_panic(bytes: Vec<u8>, tail in 0..2048_usize) {
            let file = NamedTempFile::new().unwrap();
            fs_err::write(file.path(), [bytes, vec![0; tail]].concat()).unwrap();
            let scratch = tempfile::tempdir().unwrap();
            let _ = Contents::open(file.path(), &scratch);
        }
    }
}
