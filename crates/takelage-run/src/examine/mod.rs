//! What is in an image, and what it adds to its base.

mod accounts;
mod clean;
mod leftovers;
mod packages;
mod units;

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use serde::Serialize;
use takelage_engine::{
    ArchiveError, ArchiveKind, FileKind, History, ImageArchive, ImageConfig, ImageFile, ImageTree, TreeFile,
};
use takelage_model::Digest;

pub(crate) use clean::{Cleaned, clean};
pub use leftovers::Leftover;

/// Text files longer than this, in bytes, are not read: no database of packages is, but images come from anywhere.
const LONGEST: u64 = 64 << 20;

/// What an image is made of.
#[derive(Debug, Clone, Serialize)]
pub struct Examination {
    /// All layers, lowest first.
    pub layers: Vec<LayerSummary>,
    /// How many of them are the base's.
    pub base_layers: usize,
    /// What the others add to it.
    #[serde(flatten)]
    pub difference: Difference,
    /// What provisioning has left in them that no image needs.
    pub leftovers: Vec<Leftover>,
}

/// A layer.
#[derive(Debug, Clone, Serialize)]
pub struct LayerSummary {
    /// The digest of its unpacked archive.
    pub digest: Digest,
    /// The archive's length in bytes.
    pub size: u64,
    /// What made it, as the image's history says.
    pub made_by: Option<String>,
}

/// What an image adds to its base.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Difference {
    /// Packages and their versions. `None`: there is neither a database of dpkg nor one of apk.
    pub packages: Option<Vec<Change>>,
    /// Users, and what `/etc/passwd` says of them.
    pub users: Vec<Change>,
    /// Groups, and what `/etc/group` says of them.
    pub groups: Vec<Change>,
    /// Units of systemd, and whether they are enabled.
    pub units: Vec<Change>,
    /// Files.
    pub files: Vec<FileChange>,
}

/// Something that is not the same in both images.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Change {
    /// Its name.
    pub name: String,
    /// What it is in the base, if it is there.
    pub before: Option<String>,
    /// What it is in the image, if it is there.
    pub after: Option<String>,
}

/// A file that is not the same in both images.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct FileChange {
    /// Its path, from the root.
    pub path: PathBuf,
    /// What it is in the base, if it is there.
    pub before: Option<FileSummary>,
    /// What it is in the image, if it is there.
    pub after: Option<FileSummary>,
    /// The package that has installed it.
    pub package: Option<String>,
}

/// A file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct FileSummary {
    /// `file`, `directory`, `symlink`, `device` or `fifo`.
    pub kind: &'static str,
    /// What a link leads to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub target: Option<String>,
    /// The lower twelve bits of its mode, in octal.
    pub mode: String,
    /// Whose it is.
    pub uid: u32,
    /// Which group's it is.
    pub gid: u32,
    /// Its length in bytes.
    pub size: u64,
}

/// Reads the docker-archive at `path`, of which the highest `own` layers are those of the image itself. What must be unpacked goes
/// to `scratch`. This reads the whole file: call it where blocking is allowed.
pub(crate) fn examine(path: PathBuf, own: usize, scratch: &Path) -> Result<Examination, ArchiveError> {
    let archive = ImageArchive::open(&ImageFile { kind: ArchiveKind::Docker, path }, scratch)?;
    let config = archive.config();
    let all = config.layers.len();
    let base_layers = all.saturating_sub(own);
    let base = Tree::read(&archive, base_layers)?;
    let image = Tree::read(&archive, all)?;
    let made_by = config.history.iter().filter(|entry| !entry.empty_layer).map(|entry| &entry.created_by);
    let made_by: Vec<_> =
        if made_by.clone().count() == all { made_by.cloned().collect() } else { vec![None; all] };
    let layers = config.layers.iter().zip(archive.layer_sizes()).zip(made_by);
    let layers =
        layers.map(|((digest, size), made_by)| LayerSummary { digest: *digest, size, made_by }).collect();
    let owners = packages::owners(&image)?;
    let packages = match (packages::installed(&base)?, packages::installed(&image)?) {
        (None, None) => None,
        (before, after) => Some(changes(&before.unwrap_or_default(), &after.unwrap_or_default())),
    };
    let difference = Difference {
        packages,
        users: changes(&accounts::users(&base)?, &accounts::users(&image)?),
        groups: changes(&accounts::groups(&base)?, &accounts::groups(&image)?),
        units: changes(&units::units(&base), &units::units(&image)),
        files: files(&base, &image, base_layers, &owners),
    };
    let leftovers = leftovers::leftovers(&image, base_layers, &owners)?;
    Ok(Examination { layers, base_layers, difference, leftovers })
}

/// Returns how many of an image's layers are its own, if it was made by so many steps.
pub(crate) fn own_layers(config: &ImageConfig, steps: usize) -> usize {
    let is_ours = |entry: &&History| {
        let made_by = entry.created_by.as_deref().unwrap_or_default();
        made_by.starts_with("takelage: ansible-playbook ") || made_by == "takelage: config"
    };
    let own = config.history.iter().rev().take(steps.max(1)).take_while(is_ours);
    own.filter(|entry| !entry.empty_layer).count()
}

/// The files of some layers.
struct Tree(ImageTree);

impl Tree {
    fn read(archive: &ImageArchive, layers: usize) -> Result<Self, ArchiveError> {
        archive.tree(layers).map(Self)
    }

    fn files(&self) -> &BTreeMap<PathBuf, TreeFile> {
        self.0.files()
    }

    /// Returns a text file, if there is one. What is no text in it is replaced.
    fn text(&self, path: &Path) -> Result<Option<String>, ArchiveError> {
        let content = self.0.content(path, LONGEST)?;
        Ok(content.map(|content| String::from_utf8_lossy(&content).into_owned()))
    }
}

/// Returns what differs between two maps of names to what they are.
fn changes(before: &BTreeMap<String, String>, after: &BTreeMap<String, String>) -> Vec<Change> {
    let names: std::collections::BTreeSet<&String> = before.keys().chain(after.keys()).collect();
    let change = |name: &String| {
        let (before, after) = (before.get(name).cloned(), after.get(name).cloned());
        (before != after).then(|| Change { name: name.clone(), before, after })
    };
    names.into_iter().filter_map(change).collect()
}

/// Returns which files differ. A file that is in a layer of the image's own counts, although its content may be the same; a directory
/// only if it is another one.
fn files(
    base: &Tree,
    image: &Tree,
    base_layers: usize,
    owners: &BTreeMap<PathBuf, String>,
) -> Vec<FileChange> {
    let differs = |path: &PathBuf, file: &TreeFile| match base.files().get(path) {
        None => true,
        Some(before) if file.kind == FileKind::Directory => summary(before) != summary(file),
        Some(_) => file.layer >= base_layers,
    };
    let change = |path: &PathBuf| FileChange {
        path: Path::new("/").join(path),
        before: base.files().get(path).map(summary),
        after: image.files().get(path).map(summary),
        package: owners.get(path).cloned(),
    };
    let there = image.files().iter().filter(|(path, file)| differs(path, file)).map(|(path, _)| change(path));
    let gone = base.files().keys().filter(|path| !image.files().contains_key(*path)).map(change);
    let mut all: Vec<_> = there.chain(gone).collect();
    all.sort_by(|one, other| one.path.cmp(&other.path));
    all
}

fn summary(file: &TreeFile) -> FileSummary {
    let (kind, target) = match &file.kind {
        FileKind::File => ("file", None),
        FileKind::Directory => ("directory", None),
        FileKind::Symlink(target) => ("symlink", Some(target.clone())),
        FileKind::Device => ("device", None),
        FileKind::Fifo => ("fifo", None),
    };
    let TreeFile { mode, uid, gid, size, .. } = *file;
    FileSummary { kind, target, mode: format!("{mode:04o}"), uid, gid, size }
}
