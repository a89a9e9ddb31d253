//! From a selection to a file system in which nothing is configured yet.
//!
//! Packages are downloaded and decompressed side by side, and laid out one after another, into one archive, in an order
//! that depends on the selection alone. Beside the packages' files it has dpkg's database, and for
//! [`CONFIGURE`](crate::CONFIGURE):
//!
//! ```text
//! .takelage-bootstrap/essential     names of the packages to configure first
//! .takelage-bootstrap/preinst-essential, preinst-rest    STEM NAME ARCHITECTURE VERSION of packages with a `preinst`
//! .takelage-bootstrap/debs/*.deb    packages that only dpkg itself can unpack
//! ```
//!
//! The latter are those whose `preinst` moves other packages' files aside or changes what unpacking does. The
//! result is the same for all others, and dpkg, which writes each file by a temporary name and waits for the disk, takes longer.

use std::{
    collections::BTreeMap,
    fmt::Write as _,
    io::{BufWriter, Write},
    path::Path,
};

use crate::{
    BootstrapError, Package, Selection, Settings, Stage,
    archive::{Entry, Kind, Writer},
    database::{DIRECTORY, Record, Triggers},
    deb::Deb,
    download::{Downloads, Expected, in_parallel},
    filesystem::{Filesystem, Node},
};

/// The directory for what only the configuration needs. The script removes it.
pub(crate) const SCRATCH: &str = ".takelage-bootstrap";

/// Directories that are links into `/usr` on Debian 12, as debootstrap makes them for amd64. Later
/// releases have them in `base-files`, earlier ones have no merged `/usr` unless the package `usrmerge` makes it.
const MERGED: [&str; 6] = ["bin", "lib", "lib32", "lib64", "libx32", "sbin"];

/// What a `preinst` mentions if it changes how its package is unpacked.
const INTERVENING: [&[u8]; 2] = [b"dpkg-divert", b"dpkg-statoverride"];

/// Downloads wait for the network, not for a processor.
const THREADS: usize = 8;

/// Packages whose content may be in memory at once.
const AHEAD: usize = 12;

/// Downloads the selected packages, unless the cache has them, and lays them out in the tar archive `to`.
///
/// The archive is deterministic, and complete when this returns; on failure it is left cut short.
pub fn unpack(selection: &Selection, settings: &Settings<'_>, to: &Path) -> Result<(), BootstrapError> {
    let downloads = Downloads::new(settings, "packages", Some(selection.download_size()))?;
    let mtime = u64::try_from(selection.date.as_second()).unwrap_or_default();
    let mut layout = Layout::new(BufWriter::with_capacity(1 << 20, fs_err::File::create(to)?), mtime);

    // The links of a merged `/usr` must be there before anything goes through them.
    let (base, others): (Vec<_>, Vec<_>) = selection.packages.iter().partition(|p| p.name == "base-files");
    if selection.packages.iter().any(|package| package.name == "usr-is-merged") {
        layout.merge_usr(&selection.architecture)?;
    }
    let packages: Vec<&Package> = base.into_iter().chain(others).collect();
    in_parallel(
        &packages,
        THREADS,
        AHEAD,
        |package| {
            let bytes =
                downloads.fetch(&package.url, Expected { digest: package.digest, size: package.size })?;
            let deb =
                Deb::open(&bytes).map_err(|reason| BootstrapError::malformed(&*package.name, reason))?;
            let intervening = package.stage == Stage::Rest && intervenes(&deb);
            Ok((deb, intervening.then_some(bytes)))
        },
        |package, (deb, bytes)| {
            downloads.check_cancelled()?;
            match bytes {
                Some(bytes) => {
                    layout.deferred.push((package.name.clone(), bytes));
                    Ok(())
                }
                None => layout.add(package, deb),
            }
        },
    )?;
    layout.finish(selection)
}

fn intervenes(deb: &Deb) -> bool {
    deb.script("preinst").is_some_and(|script| {
        INTERVENING.iter().any(|word| script.content.windows(word.len()).any(|window| window == *word))
    })
}

/// An archive in the making.
struct Layout<W: Write> {
    writer: Writer<W>,
    mtime: u64,
    filesystem: Filesystem,
    records: Vec<Record>,
    packages: Vec<Package>,
    triggers: Triggers,
    /// Left to dpkg.
    deferred: Vec<(String, Vec<u8>)>,
}

impl<W: Write> Layout<W> {
    fn new(to: W, mtime: u64) -> Self {
        Self {
            writer: Writer::new(to),
            mtime,
            filesystem: Filesystem::default(),
            records: Vec::new(),
            packages: Vec::new(),
            triggers: Triggers::default(),
            deferred: Vec::new(),
        }
    }

    fn merge_usr(&mut self, architecture: &str) -> Result<(), BootstrapError> {
        // No package; so no package's files are in its way.
        let nobody = usize::MAX;
        self.directory(b"usr", nobody)?;
        for name in MERGED {
            if name.contains(|c: char| c.is_ascii_digit() || c == 'x') && architecture != "amd64" {
                continue;
            }
            let target = format!("usr/{name}").into_bytes();
            self.directory(&target, nobody)?;
            self.filesystem.insert(name.into(), Node::Symlink(target.clone()), nobody);
            self.writer.append(&self.entry(name.as_bytes(), Kind::Symlink(target), 0o777), &b""[..])?;
        }
        Ok(())
    }

    /// Lays out a package.
    fn add(&mut self, package: &Package, mut deb: Deb) -> Result<(), BootstrapError> {
        let refuse = |reason: String| BootstrapError::malformed(&*package.name, reason);
        let mut triggers = Triggers::default();
        std::mem::swap(&mut triggers, &mut self.triggers);
        let lines = deb.lines("triggers").map_err(refuse)?;
        triggers.add(&package.name, &lines).map_err(refuse)?;
        self.triggers = triggers;

        let mut record = Record::new(package, &mut deb).map_err(refuse)?;
        let index = self.packages.len();
        self.packages.push(package.clone());
        deb.for_each(|entry, content| self.lay_out(package, index, &mut record, entry, content), refuse)?;
        self.records.push(record);
        Ok(())
    }

    fn lay_out(
        &mut self,
        package: &Package,
        index: usize,
        record: &mut Record,
        mut entry: Entry,
        content: &[u8],
    ) -> Result<(), BootstrapError> {
        let original = std::mem::take(&mut entry.path);
        let refuse = |reason: String| {
            BootstrapError::malformed(
                &*package.name,
                format!("`{}` is refused: {reason}", String::from_utf8_lossy(&original)),
            )
        };
        let place = self.filesystem.place(&original).map_err(refuse)?;
        if place.is_empty() {
            return if entry.kind == Kind::Directory { Ok(()) } else { Err(refuse("it is the root".into())) };
        }
        if place.split(|byte| *byte == b'/').next() == Some(SCRATCH.as_bytes()) {
            return Err(refuse("it is takelage's own".into()));
        }
        record.has(&original);
        for parent in self.filesystem.missing_parents(&place) {
            self.directory(&parent, index)?;
        }

        let node = match &mut entry.kind {
            Kind::Directory => Node::Directory,
            Kind::Symlink(target) => Node::Symlink(target.clone()),
            Kind::File(_) => {
                record.has_content(&original, content);
                Node::File
            }
            Kind::Hardlink(target) => {
                let file = self.filesystem.place(target).map_err(refuse)?;
                if !matches!(self.filesystem.get(&file), Some((Node::File, owner)) if *owner == index) {
                    return Err(refuse("it is another name of no file of this package".into()));
                }
                *target = file;
                Node::File
            }
            Kind::Fifo => Node::File,
        };
        match self.filesystem.get(&place).cloned() {
            None => {}
            // What is there stays, with its mode and owner, as dpkg has it; also a link to a directory.
            Some((Node::Directory, _)) if node == Node::Directory => return Ok(()),
            Some((Node::Symlink(_), _))
                if node == Node::Directory && self.filesystem.is_directory(&place) =>
            {
                return Ok(());
            }
            // dpkg does not replace a directory by a link to one either.
            Some((Node::Directory, _)) if matches!(node, Node::Symlink(_)) => return Ok(()),
            Some((_, owner)) => {
                let other = self.packages.get(owner).map_or("the layout", |package| package.name.as_str());
                if owner == index || record.replaces.iter().any(|name| name == other) {
                    if let Some(loser) = self.records.get_mut(owner) {
                        loser.loses(&original);
                    }
                } else if self.records.get(owner).is_some_and(|r| r.replaces.contains(&package.name)) {
                    record.loses(&original);
                    return Ok(());
                } else {
                    return Err(BootstrapError::SameFile {
                        path: format!("/{}", String::from_utf8_lossy(&place)),
                        first: other.into(),
                        second: package.name.clone(),
                    });
                }
            }
        }
        self.filesystem.insert(place.clone(), node, index);
        entry.path = place;
        self.writer.append(&entry, content)?;
        Ok(())
    }

    fn finish(mut self, selection: &Selection) -> Result<(), BootstrapError> {
        for name in ["info", "updates", "triggers", "parts", "alternatives"] {
            self.make_directory(&format!("{DIRECTORY}/{name}"))?;
        }
        let mut records = std::mem::take(&mut self.records);
        records.sort_by(|a, b| a.stem.cmp(&b.stem));
        let status: Vec<_> = records.iter().map(Record::status).collect();
        self.file(&format!("{DIRECTORY}/status"), status.join("\n").as_bytes())?;
        self.file(&format!("{DIRECTORY}/info/format"), b"1\n")?;
        for file in records.iter().flat_map(|record| record.files(self.mtime)) {
            let path = format!("{DIRECTORY}/info/{}", file.name);
            self.writer.append_file(&path, file.mode, file.mtime, &file.content)?;
        }
        for (name, text) in std::mem::take(&mut self.triggers).files() {
            self.file(&format!("{DIRECTORY}/triggers/{name}"), text.as_bytes())?;
        }

        self.make_directory("var/lib/apt")?;
        let mut automatic = String::new();
        for package in selection.packages.iter().filter(|package| package.automatic) {
            let (name, architecture) = (&package.name, &selection.architecture);
            let _ = writeln!(automatic, "Package: {name}\nArchitecture: {architecture}\nAuto-Installed: 1\n");
        }
        self.file("var/lib/apt/extended_states", automatic.as_bytes())?;
        self.make_directory("etc/apt/sources.list.d")?;
        self.file("etc/apt/sources.list.d/debian.sources", selection.sources.as_bytes())?;

        self.scratch(&records)?;
        let mut buffer = self.writer.finish()?;
        buffer.flush()?;
        Ok(())
    }

    /// Writes what the configuration needs.
    fn scratch(&mut self, records: &[Record]) -> Result<(), BootstrapError> {
        self.make_directory(SCRATCH)?;
        self.make_directory(&format!("{SCRATCH}/debs"))?;
        let mut packages = std::mem::take(&mut self.packages);
        // Others' scripts expect the users that this one makes.
        packages.sort_by_key(|package| (package.name != "base-passwd", package.name.clone()));
        let stems: BTreeMap<&str, &Record> = records
            .iter()
            .map(|record| (record.stem.split(':').next().unwrap_or_default(), record))
            .collect();
        let mut names = String::new();
        let (mut first, mut rest) = (String::new(), String::new());
        for package in &packages {
            let Package { name, architecture, version, stage, .. } = package;
            if *stage == Stage::Essential {
                let _ = writeln!(names, "{name}");
            }
            if let Some(record) = stems.get(name.as_str())
                && record.script("preinst").is_some()
            {
                let list = if *stage == Stage::Essential { &mut first } else { &mut rest };
                let _ = writeln!(list, "{} {name} {architecture} {version}", record.stem);
            }
        }
        self.file(&format!("{SCRATCH}/essential"), names.as_bytes())?;
        self.file(&format!("{SCRATCH}/preinst-essential"), first.as_bytes())?;
        self.file(&format!("{SCRATCH}/preinst-rest"), rest.as_bytes())?;
        for (name, bytes) in std::mem::take(&mut self.deferred) {
            self.file(&format!("{SCRATCH}/debs/{name}.deb"), &bytes)?;
        }
        Ok(())
    }

    fn file(&mut self, path: &str, content: &[u8]) -> Result<(), BootstrapError> {
        Ok(self.writer.append_file(path, 0o644, self.mtime, content)?)
    }

    /// Makes a directory with its parents, unless it is there.
    fn make_directory(&mut self, path: &str) -> Result<(), BootstrapError> {
        let mut missing = self.filesystem.missing_parents(path.as_bytes());
        if self.filesystem.get(path.as_bytes()).is_none() {
            missing.push(path.into());
        }
        for path in missing {
            self.directory(&path, usize::MAX)?;
        }
        Ok(())
    }

    fn directory(&mut self, place: &[u8], package: usize) -> Result<(), BootstrapError> {
        self.filesystem.insert(place.to_vec(), Node::Directory, package);
        Ok(self.writer.append(&self.entry(place, Kind::Directory, 0o755), &b""[..])?)
    }

    fn entry(&self, place: &[u8], kind: Kind, mode: u32) -> Entry {
        Entry { path: place.to_vec(), kind, mode, uid: 0, gid: 0, mtime: self.mtime, attributes: Vec::new() }
    }
}

#[cfg(test)]
mod tests;
