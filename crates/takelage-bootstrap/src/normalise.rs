//! From what a container happens to contain to what the selection determines.
//!
//! Entries are sorted, no time is later than the selection's date, and what differs between one configuration and the next is
//! left out or emptied: traces of the engine, logs, locks of the moment, backups, caches with times in them.

use std::{
    collections::HashMap,
    io::{self, BufReader, BufWriter, Read, Write},
    os::unix::fs::FileExt,
    path::Path,
};

use sha2::{Digest as _, Sha256};
use takelage_model::Digest;

use crate::{
    BootstrapError, Selection,
    archive::{Entry, Kind, Writer},
    deb::read_entry,
    unpack::SCRATCH,
};

/// What a normalised archive is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Report {
    /// Its digest: the layer's, uncompressed.
    pub digest: Digest,
    /// Its size in bytes.
    pub size: u64,
    /// How many entries it has.
    pub entries: usize,
}

/// The only extended attribute that packages set; others are the engine's or the host's.
const CAPABILITY: &str = "security.capability";

/// Files that an engine puts into every container, and the backups and caches that Debian's tools leave.
const DROPPED: [&str; 23] = [
    ".dockerenv",
    "etc/hosts",
    "etc/resolv.conf",
    "etc/hostname",
    "etc/group-",
    "etc/gshadow-",
    "etc/passwd-",
    "etc/shadow-",
    "etc/subgid-",
    "etc/subuid-",
    "var/cache/apt/pkgcache.bin",
    "var/cache/apt/srcpkgcache.bin",
    "var/cache/debconf/config.dat-old",
    "var/cache/debconf/passwords.dat-old",
    "var/cache/debconf/templates.dat-old",
    "var/cache/ldconfig/aux-cache",
    "var/lib/dbus/machine-id",
    "var/lib/dpkg/available-old",
    "var/lib/dpkg/diversions-old",
    "var/lib/dpkg/statoverride-old",
    "var/lib/dpkg/status-old",
    "var/lib/dpkg/triggers/Unincorp",
    "var/lib/systemd/random-seed",
];

/// Directories that stay and are emptied.
const EMPTIED: [&str; 5] = ["dev", "proc", "run", "sys", "tmp"];

/// Makes the tar archive `exported`, of a configured container, the one that the selection determines.
///
/// Twice the same selection gives twice the same bytes. `to` is complete when this returns; on failure it is left cut short.
pub fn normalise(exported: &Path, selection: &Selection, to: &Path) -> Result<Report, BootstrapError> {
    let refuse = |reason: String| BootstrapError::malformed(exported.display().to_string(), reason);
    let latest = u64::try_from(selection.date.as_second()).unwrap_or_default();
    let file = fs_err::File::open(exported)?;
    let mut items = Vec::new();
    let mut archive = tar::Archive::new(BufReader::with_capacity(1 << 16, &file));
    for entry in archive.entries_with_seek()? {
        let mut entry = entry?;
        let path = plain(&entry.path_bytes());
        if path.is_empty() || is_emptied(&path) {
            continue;
        }
        let position = entry.raw_file_position();
        let mut read = read_entry(&mut entry).map_err(refuse)?;
        read.path = path;
        if let Kind::Hardlink(target) = &mut read.kind {
            *target = plain(target);
        }
        read.mtime = read.mtime.min(latest);
        read.attributes.retain(|(name, _)| name == CAPABILITY);
        items.push((read, position));
    }
    regroup_links(&mut items).map_err(refuse)?;
    items.retain(|(entry, _)| !is_dropped(entry));
    items.sort_by(|(a, _), (b, _)| a.path.cmp(&b.path));

    let output = Digesting {
        to: BufWriter::with_capacity(1 << 20, fs_err::File::create(to)?),
        sum: Sha256::new(),
        size: 0,
    };
    let mut writer = Writer::new(output);
    let entries = items.len();
    for (mut entry, position) in items {
        let Kind::File(size) = entry.kind else {
            writer.append(&entry, io::empty())?;
            continue;
        };
        let mut content = Section { file: &file, position, end: position + size };
        if let Some(replaced) = replacement(&entry.path, &mut content, latest)? {
            entry.kind = Kind::File(replaced.len() as u64);
            writer.append(&entry, replaced.as_slice())?;
        } else {
            writer.append(&entry, content)?;
        }
    }
    let mut output = writer.finish()?;
    output.to.flush()?;
    Ok(Report { digest: Digest::from_bytes(output.sum.finalize().into()), size: output.size, entries })
}

/// Makes the first name of a file, in the order of the result, the file, and its other names links to it.
fn regroup_links(items: &mut [(Entry, u64)]) -> Result<(), String> {
    let places: HashMap<Vec<u8>, usize> =
        items.iter().enumerate().map(|(index, (entry, _))| (entry.path.clone(), index)).collect();
    let mut groups: HashMap<usize, Vec<usize>> = HashMap::new();
    for (index, (entry, _)) in items.iter().enumerate() {
        let Kind::Hardlink(target) = &entry.kind else { continue };
        let missing = || format!("`{}` is another name of no file", String::from_utf8_lossy(&entry.path));
        let target = *places.get(target).ok_or_else(missing)?;
        if !matches!(items[target].0.kind, Kind::File(_)) {
            return Err(missing());
        }
        groups.entry(target).or_insert_with(|| vec![target]).push(index);
    }
    for (file, names) in groups {
        let (kind, position) = (items[file].0.kind.clone(), items[file].1);
        let first =
            names.iter().copied().min_by(|a, b| items[*a].0.path.cmp(&items[*b].0.path)).unwrap_or(file);
        let path = items[first].0.path.clone();
        for name in names {
            items[name].0.kind = if name == first { kind.clone() } else { Kind::Hardlink(path.clone()) };
            items[name].1 = position;
        }
    }
    Ok(())
}

fn is_emptied(path: &[u8]) -> bool {
    EMPTIED.iter().any(|directory| {
        path.strip_prefix(directory.as_bytes())
            .is_some_and(|rest| rest.starts_with(b"/") && (*directory != "run" || rest != b"/lock"))
    })
}

fn is_dropped(entry: &Entry) -> bool {
    let Ok(path) = std::str::from_utf8(&entry.path) else { return false };
    let is_directory = entry.kind == Kind::Directory;
    if path == SCRATCH || path.starts_with(".takelage-bootstrap/") {
        return true;
    }
    if DROPPED.contains(&path) {
        return !is_directory;
    }
    // Docker makes this link; no package does.
    if path == "etc/mtab" {
        return matches!(&entry.kind, Kind::Symlink(target) if target == b"/proc/mounts");
    }
    if is_directory {
        return false;
    }
    path.starts_with("var/lib/apt/lists/")
        || path.starts_with("var/cache/apt/archives/")
        || path.starts_with("var/log/apt/")
        || (path.starts_with("var/log/")
            && Path::new(path).extension().is_some_and(|extension| extension == "log"))
}

/// Returns what a file has to contain instead, if it must not stay as it is.
fn replacement(
    path: &[u8],
    content: &mut Section<'_>,
    latest: u64,
) -> Result<Option<Vec<u8>>, BootstrapError> {
    // An image must not have the identity of a machine; systemd makes one at the first boot where the file is empty.
    if path == b"etc/machine-id" || path.starts_with(b"var/log/") {
        return Ok(Some(Vec::new()));
    }
    if path == b"etc/shadow" {
        let mut text = String::new();
        content.read_to_string(&mut text)?;
        return Ok(Some(dated(&text, latest / 86400).into_bytes()));
    }
    Ok(None)
}

/// Lets no password be changed later than on day `latest`, counted from 1970: the third field of `shadow(5)`.
fn dated(shadow: &str, latest: u64) -> String {
    let mut text = String::with_capacity(shadow.len());
    for line in shadow.split_inclusive('\n') {
        let mut fields: Vec<&str> = line.split(':').collect();
        let day = latest.to_string();
        if let Some(field) = fields.get_mut(2)
            && field.parse::<u64>().is_ok_and(|changed| changed > latest)
        {
            *field = &day;
        }
        text.push_str(&fields.join(":"));
    }
    text
}

/// Strips `./` and final slashes.
fn plain(path: &[u8]) -> Vec<u8> {
    let components: Vec<_> = path
        .split(|byte| *byte == b'/')
        .filter(|component| !component.is_empty() && *component != b".")
        .collect();
    components.join(&b'/')
}

/// A part of a file.
struct Section<'a> {
    file: &'a fs_err::File,
    position: u64,
    end: u64,
}

impl Read for Section<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let left = usize::try_from(self.end - self.position).unwrap_or(usize::MAX);
        let length = left.min(buffer.len());
        let count = self.file.file().read_at(&mut buffer[..length], self.position)?;
        self.position += count as u64;
        Ok(count)
    }
}

/// Digests what it writes.
struct Digesting<W> {
    to: W,
    sum: Sha256,
    size: u64,
}

impl<W: Write> Write for Digesting<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let count = self.to.write(bytes)?;
        self.sum.update(&bytes[..count]);
        self.size += count as u64;
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.to.flush()
    }
}

#[cfg(test)]
mod tests;
