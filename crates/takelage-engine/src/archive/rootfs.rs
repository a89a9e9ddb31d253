//! A root file system as the one layer of an image: a tar file, perhaps compressed, or a directory.

use std::{
    collections::HashMap,
    fs::Metadata,
    io::{self, BufReader, BufWriter, Read, Write as _},
    os::unix::{ffi::OsStrExt, fs::MetadataExt},
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
use crate::ImageConfig;

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
    let mut builder = tar::Builder::new(BufWriter::new(file));
    builder.follow_symlinks(false);
    let mut seen = HashMap::new();
    let mut pending = vec![archive.to_owned()];
    while let Some(path) = pending.pop() {
        let metadata = fs_err::symlink_metadata(&path).map_err(|source| contents::read(archive, source))?;
        let name = path.strip_prefix(archive).unwrap_or(&path);
        if metadata.is_dir() {
            let mut below: Vec<_> = fs_err::read_dir(&path)
                .and_then(|entries| entries.map(|entry| Ok(entry?.path())).collect::<io::Result<_>>())
                .map_err(|source| contents::read(archive, source))?;
            below.sort_unstable_by(|a, b| b.cmp(a));
            pending.extend(below);
        }
        if name.as_os_str().is_empty() {
            continue;
        }
        append(&mut builder, &path, name, &metadata, &mut seen)
            .map_err(|source| contents::read(archive, source))?;
    }
    let mut writer = builder.into_inner().map_err(|source| contents::stored(archive, source))?;
    writer.flush().map_err(|source| contents::stored(archive, source))?;
    let file = writer.into_inner().map_err(|error| contents::stored(archive, error.into_error()))?;
    file.into_temp_path().keep().map_err(|error| contents::stored(archive, error.error))
}

/// Packs one file; further names of a file that was packed before become hard links.
fn append<W: io::Write>(
    builder: &mut tar::Builder<W>,
    path: &Path,
    name: &Path,
    metadata: &Metadata,
    seen: &mut HashMap<(u64, u64), PathBuf>,
) -> io::Result<()> {
    use std::os::unix::fs::FileTypeExt as _;

    let kind = metadata.file_type();
    if kind.is_socket() {
        return Ok(());
    }
    let mut header = tar::Header::new_gnu();
    header.set_metadata(metadata);
    if !metadata.is_dir() && metadata.nlink() > 1 {
        if let Some(first) = seen.get(&(metadata.dev(), metadata.ino())) {
            header.set_entry_type(tar::EntryType::Link);
            header.set_size(0);
            return builder.append_link(&mut header, name, first);
        }
        seen.insert((metadata.dev(), metadata.ino()), name.to_owned());
    }
    if kind.is_symlink() {
        header.set_size(0);
        return builder.append_link(&mut header, name, fs_err::read_link(path)?);
    }
    if !kind.is_file() {
        if kind.is_char_device() || kind.is_block_device() {
            header.set_device_major(rustix::fs::major(metadata.rdev()))?;
            header.set_device_minor(rustix::fs::minor(metadata.rdev()))?;
        }
        header.set_size(0);
        return builder.append_data(&mut header, name, io::empty());
    }
    if let Some(capability) = capability(path)? {
        builder.append_pax_extensions([("SCHILY.xattr.security.capability", capability.as_slice())])?;
    }
    // A file that grows meanwhile would damage the archive; one that shrinks is an error.
    let content = File::open(path)?.take(metadata.len());
    builder.append_data(&mut header, name, Exactly { reader: content, left: metadata.len() })
}

/// Reads a program's file capabilities, such as those of `ping`.
fn capability(path: &Path) -> io::Result<Option<Vec<u8>>> {
    let mut buffer = [0_u8; 64];
    match rustix::fs::lgetxattr(path, "security.capability", &mut buffer) {
        Ok(length) => Ok(Some(buffer[..length].to_vec())),
        Err(rustix::io::Errno::NODATA | rustix::io::Errno::OPNOTSUPP) => Ok(None),
        Err(error) => Err(io::Error::new(
            io::Error::from(error).kind(),
            format!("capabilities of `{}`", String::from_utf8_lossy(path.as_os_str().as_bytes())),
        )),
    }
}

/// Fails if there is less to read than announced.
struct Exactly<R> {
    reader: R,
    left: u64,
}

impl<R: Read> Read for Exactly<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let length = self.reader.read(buffer)?;
        self.left -= length as u64;
        if length == 0 && !buffer.is_empty() && self.left > 0 {
            return Err(io::Error::new(
                io::ErrorKind::UnexpectedEof,
                "a file became shorter while it was read",
            ));
        }
        Ok(length)
    }
}

/// A layer made of a file, for [`super::ImageArchive::of_layers`].
pub(super) fn layer(file: &Path, scratch: &TempDir) -> Result<Layer, ArchiveError> {
    let length = fs_err::metadata(file).map_err(|source| contents::read(file, source))?.len();
    let name = file.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let span = Span { file: file.to_owned(), offset: 0, length };
    Ok(contents::unpack(file, &name, &span, scratch)?.layer)
}
