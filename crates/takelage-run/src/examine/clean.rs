//! Images without what provisioning has left in them.

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
};

use takelage_config::Clean;
use takelage_engine::{ArchiveError, ArchiveKind, FileKind, ImageArchive, ImageFile, Omitted};

use super::{Tree, leftovers::leftovers, packages};

/// An image that was cleaned.
pub(crate) struct Cleaned {
    pub(crate) archive: ImageArchive,
    /// How many files were left out of its topmost layer.
    pub(crate) files: usize,
    /// How many bytes they had.
    pub(crate) bytes: u64,
}

/// Leaves out of an image what `rules` say, as long as it lies in its topmost layer: what the layers below have is not hidden, and
/// shows where the topmost one had changed it. An image of no more than `below` layers stays as it is.
///
/// The image is a docker-archive at `path`. What must be unpacked goes to `scratch`. This reads the whole file: call it where
/// blocking is allowed.
pub(crate) fn clean(
    path: PathBuf,
    below: usize,
    rules: &[Clean],
    scratch: &Path,
) -> Result<Cleaned, ArchiveError> {
    let archive = ImageArchive::open(&ImageFile { kind: ArchiveKind::Docker, path }, scratch)?;
    let all = archive.config().layers.len();
    if all <= below {
        return Ok(Cleaned { archive, files: 0, bytes: 0 });
    }
    let image = Tree::read(&archive, all)?;
    let top = all - 1;
    let mut omitted = Omitted::default();
    let owners = packages::owners(&image)?;
    for leftover in leftovers(&image, top, &owners)? {
        if !rules.contains(&Clean::Kind(leftover.what)) {
            continue;
        }
        let path = leftover.path.strip_prefix("/").unwrap_or(&leftover.path).to_owned();
        // Without the file, systemd takes the next start for the first of a machine and sets its units anew.
        let is_needed = path == Path::new("etc/machine-id");
        if is_needed { &mut omitted.emptied } else { &mut omitted.gone }.insert(path);
    }
    let patterns: Vec<_> = rules
        .iter()
        .filter_map(|rule| match rule {
            Clean::Paths(pattern) => Some(pattern),
            Clean::Kind(_) => None,
        })
        .collect();
    let own = image.files().iter().filter(|(_, file)| file.layer == top);
    for (path, _) in own.filter(|(path, _)| patterns.iter().any(|pattern| pattern.matches(path))) {
        omitted.gone.insert(path.clone());
    }
    let below = Tree::read(&archive, top)?;
    let hollow = hollow(&image, &below, &omitted.gone, |path| !owners.contains_key(path));
    omitted.gone.extend(hollow);
    // A directory of which something stays is no more than that.
    let stays = standing(&image, &omitted.gone);
    omitted.gone.retain(|path| !stays.contains(path.as_path()));
    let left_out = omitted.gone.iter().chain(&omitted.emptied).filter_map(|path| image.files().get(path));
    let sizes: Vec<u64> =
        left_out.filter(|file| file.kind != FileKind::Directory).map(|file| file.size).collect();
    let archive =
        if omitted == Omitted::default() { archive } else { archive.omitting(&omitted, scratch)? };
    Ok(Cleaned { archive, files: sizes.len(), bytes: sizes.iter().sum() })
}

/// Returns the directories of compiled modules, of Ansible, and among temporary files that hold nothing but what goes, and no layer
/// below has.
fn hollow(
    image: &Tree,
    below: &Tree,
    gone: &BTreeSet<PathBuf>,
    is_nobodys: impl Fn(&Path) -> bool,
) -> Vec<PathBuf> {
    let mut hollow: BTreeSet<&Path> = BTreeSet::new();
    for path in gone {
        let parents = path
            .ancestors()
            .skip(1)
            .filter(|parent| is_left(parent) && !below.files().contains_key(*parent) && is_nobodys(parent));
        hollow.extend(parents);
    }
    let going: BTreeSet<PathBuf> =
        gone.iter().cloned().chain(hollow.iter().map(|path| path.to_path_buf())).collect();
    let stays = standing(image, &going);
    hollow.into_iter().filter(|path| !stays.contains(path)).map(Path::to_owned).collect()
}

/// Whether a directory would not be there without the files that were in it.
fn is_left(directory: &Path) -> bool {
    let is_in = |place: &str| directory.strip_prefix(place).is_ok_and(|rest| rest != Path::new(""));
    directory.iter().any(|name| name == "__pycache__" || name == ".ansible")
        || is_in("tmp")
        || is_in("var/tmp")
}

/// Returns the directories in which something is that stays.
fn standing<'a>(image: &'a Tree, gone: &BTreeSet<PathBuf>) -> BTreeSet<&'a Path> {
    let staying = image.files().keys().filter(|path| !gone.contains(*path));
    staying.flat_map(|path| path.ancestors().skip(1)).collect()
}
