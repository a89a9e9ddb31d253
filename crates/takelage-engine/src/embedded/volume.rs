//! Volumes with names: directories that outlive the containers that have them.
//!
//! ```text
//! volumes/NAME/
//!   data/         what containers see
//!   volume.json   what it is; written when the directory is there
//!   filling       there while what an image has in its place is copied
//! ```
//!
//! A volume comes with the first container that names it. Whenever a container is created and it is empty, it gets what the image has in
//! its place, as on Docker. It stays until somebody prunes what no container has.

use std::{
    collections::{BTreeMap, BTreeSet},
    io,
    os::{
        fd::{AsFd as _, BorrowedFd},
        unix::fs::PermissionsExt as _,
    },
    path::{Path, PathBuf},
};

use fs_err as fs;
use rustix::{
    fs::{FlockOperation, Mode, OFlags, ResolveFlags, flock, openat2, syncfs},
    io::Errno,
};
use serde::{Deserialize, Serialize};

use super::{engine::Shared, helper::Trouble, jobs, record, store::VolumeUsage};
use crate::{ContainerSpec, layer};

/// What a volume is: the content of `volume.json`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Volume {
    /// The labels of the container that it came with.
    labels: BTreeMap<String, String>,
}

/// The directory of one volume.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Directory(pub(super) PathBuf);

/// A volume, and the path in a container at which it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Placed {
    pub(super) volume: Directory,
    pub(super) target: PathBuf,
}

impl Placed {
    /// Copies what an image has in the volume's place, if nothing is in the volume yet; `root` is the image's root.
    pub(super) fn fill(&self, root: BorrowedFd<'_>) -> Result<u64, Trouble> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let conditions = ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS;
        match openat2(root, &self.target, flags, Mode::empty(), conditions) {
            Ok(place) => self.volume.fill(place.as_fd()),
            Err(Errno::NOENT | Errno::NOTDIR) => Ok(0),
            Err(error) => Err(io::Error::from(error).into()),
        }
    }
}

/// Returns the names of the volumes that `spec` asks for. `Err`: what is no name, a sentence.
pub(super) fn names(spec: &ContainerSpec) -> Result<BTreeSet<String>, String> {
    let named = spec.volumes.iter().filter(|volume| is_named(volume));
    named
        .map(|volume| {
            let name = &volume.source;
            is_name(name).then(|| name.clone()).ok_or_else(|| {
                format!("`{name}` is no name of a volume: it begins with a letter or digit, and goes on with these, `_`, `.` and `-`")
            })
        })
        .collect()
}

/// Whether a volume's source is a name; otherwise it is a path of the host.
pub(super) fn is_named(volume: &crate::Volume) -> bool {
    !volume.source.starts_with('/')
}

/// Whether a volume may have this name: what Docker lets one be called, and no more than a directory can be.
fn is_name(name: &str) -> bool {
    let mut characters = name.chars();
    characters.next().is_some_and(|first| first.is_ascii_alphanumeric())
        && characters.all(|it| it.is_ascii_alphanumeric() || matches!(it, '_' | '.' | '-'))
        && (2..=255).contains(&name.len())
}

impl Directory {
    /// Returns where what containers see of it is.
    pub(super) fn data(&self) -> PathBuf {
        self.0.join("data")
    }

    /// Returns its name.
    fn name(&self) -> String {
        self.0.file_name().unwrap_or_default().to_string_lossy().into_owned()
    }

    /// Reads what it is.
    fn volume(&self) -> io::Result<Volume> {
        Ok(record::read(&self.0.join("volume.json"))?.unwrap_or_default())
    }

    /// Makes it unless it is there. Whoever calls this has the lock of names.
    pub(super) fn make(&self, labels: &BTreeMap<String, String>) -> io::Result<()> {
        fs::create_dir_all(&self.0)?;
        // What is in it belongs to whom it belongs, but only through a container.
        fs::set_permissions(&self.0, std::fs::Permissions::from_mode(0o700))?;
        let data = self.data();
        match fs::create_dir(&data) {
            Ok(()) => fs::set_permissions(&data, std::fs::Permissions::from_mode(0o755))?,
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => return Ok(()),
            Err(error) => return Err(error),
        }
        record::write(&self.0.join("volume.json"), &Volume { labels: labels.clone() })
    }

    /// Copies what a directory has, and the directory's own owner and mode, if nothing is in the volume yet.
    fn fill(&self, from: BorrowedFd<'_>) -> Result<u64, Trouble> {
        let lock = jobs::open(&self.0)?;
        flock(&lock, FlockOperation::LockExclusive).map_err(io::Error::from)?;
        let (mark, data) = (self.0.join("filling"), self.data());
        let to = jobs::open(&data)?;
        if mark.exists() {
            // Whoever was filling it is gone.
            for entry in fs::read_dir(&data)? {
                layer::remove(to.as_fd(), Path::new(&entry?.file_name()))?;
            }
        } else if fs::read_dir(&data)?.next().is_some() {
            return Ok(0);
        }
        fs::write(&mark, b"")?;
        let copied = layer::merge(from, to.as_fd(), jobs::markers())?;
        // Without the mark it is whole, after a power loss as well.
        syncfs(&to).map_err(io::Error::from)?;
        fs::remove_file(&mark)?;
        rustix::fs::fsync(&lock).map_err(io::Error::from)?;
        Ok(copied)
    }
}

impl Shared {
    /// Returns the directory of a volume, whether there is one or not.
    pub(super) fn volume(&self, name: &str) -> Directory {
        Directory(self.volumes.join(name))
    }

    /// Says what each volume takes, and which containers have it.
    pub(super) async fn volume_usage(&self) -> io::Result<Vec<VolumeUsage>> {
        let mut all = Vec::new();
        let users = self.volume_users()?;
        for directory in record::all(&self.volumes)? {
            let volume = Directory(directory.0);
            let name = volume.name();
            let containers = match &users {
                Some(users) => users.get(&name).cloned().unwrap_or_default(),
                None => vec![UNKNOWN.to_owned()],
            };
            let size = self.measure(vec![volume.data()]).await?;
            all.push(VolumeUsage { name, size, containers, labels: volume.volume()?.labels });
        }
        all.sort_unstable_by(|one, other| one.name.cmp(&other.name));
        Ok(all)
    }

    /// Removes the volumes that no container has. Returns how many and how many bytes that were.
    pub(super) async fn sweep_volumes(&self) -> io::Result<(usize, u64)> {
        let usage = self.volume_usage().await?;
        let mut gone = Vec::new();
        {
            let _names = self.lock_names().await?;
            let Some(users) = self.volume_users()? else { return Ok((0, 0)) };
            for volume in usage.into_iter().filter(|volume| !users.contains_key(&volume.name)) {
                let to = self.trash.join(record::id()?);
                fs::rename(self.volume(&volume.name).0, &to)?;
                gone.push((to, volume.size));
            }
        }
        for (directory, _) in &gone {
            self.launcher.remove(directory).await?;
        }
        Ok((gone.len(), gone.iter().map(|(_, size)| size).sum()))
    }

    /// Returns the containers that have each volume. `None`: one of another version of takelage may have any.
    fn volume_users(&self) -> io::Result<Option<BTreeMap<String, Vec<String>>>> {
        let mut users: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for directory in record::all(&self.containers)? {
            match directory.record()? {
                Some(record) => {
                    for volume in record.volumes {
                        users.entry(volume).or_default().push(record.name.clone());
                    }
                }
                None if directory.is_written() => return Ok(None),
                None => {}
            }
        }
        Ok(Some(users))
    }
}

/// What stands for a container whose record cannot be read.
const UNKNOWN: &str = "?";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{ImageId, Volume};

    #[test]
    fn names_are_told_from_paths_and_others_are_refused() {
        let of = |sources: &[&str]| {
            let mut spec = ContainerSpec::new("x", ImageId(takelage_model::Digest::of("x")));
            spec.volumes = sources
                .iter()
                .map(|source| Volume {
                    source: (*source).to_owned(),
                    target: "/x".to_owned(),
                    read_only: false,
                })
                .collect();
            names(&spec).map(Vec::from_iter)
        };
        assert_eq!(
            of(&["cache", "/srv", "a.b-c_D", "cache"]),
            Ok(vec!["a.b-c_D".to_owned(), "cache".to_owned()])
        );
        for name in ["x", "../up", "a/b", ".hidden", "", &"x".repeat(256)] {
            assert!(of(&[name]).unwrap_err().contains("no name of a volume"), "{name}");
        }
    }

    fn volume() -> (tempfile::TempDir, tempfile::TempDir, Directory) {
        let (image, root) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let volume = Directory(root.path().join("cache"));
        volume.make(&BTreeMap::from([("colour".to_owned(), "blue".to_owned())])).unwrap();
        fs::create_dir(image.path().join("data")).unwrap();
        fs::set_permissions(image.path().join("data"), std::fs::Permissions::from_mode(0o750)).unwrap();
        fs::write(image.path().join("data/one"), "image").unwrap();
        (image, root, volume)
    }

    fn fill(image: &Path, volume: &Directory, target: &str) -> u64 {
        let placed = Placed { volume: volume.clone(), target: target.into() };
        placed.fill(jobs::open(image).unwrap().as_fd()).unwrap()
    }

    #[test]
    fn an_empty_volume_is_filled_once() {
        let (image, _root, volume) = volume();
        assert_eq!(fill(image.path(), &volume, "/elsewhere"), 0);
        assert_eq!(fill(image.path(), &volume, "/data"), 5);
        let mode = fs::metadata(volume.data()).unwrap().permissions().mode();
        assert_eq!(
            (mode & 0o7777, fs::read_to_string(volume.data().join("one")).unwrap().as_str()),
            (0o750, "image")
        );
        fs::rename(volume.data().join("one"), volume.data().join("two")).unwrap();
        assert_eq!(fill(image.path(), &volume, "/data"), 0);
        assert!(!volume.data().join("one").exists());
        // It keeps what it is.
        volume.make(&BTreeMap::new()).unwrap();
        assert_eq!(volume.volume().unwrap().labels["colour"], "blue");
    }

    #[test]
    fn half_a_volume_is_filled_anew() {
        let (image, _root, volume) = volume();
        fs::create_dir_all(volume.data().join("half/of")).unwrap();
        fs::write(volume.0.join("filling"), "").unwrap();
        assert_eq!(fill(image.path(), &volume, "/data"), 5);
        let names = || fs::read_dir(volume.data()).unwrap().map(|entry| entry.unwrap().file_name());
        assert_eq!(names().collect::<Vec<_>>(), ["one"]);
        assert!(!volume.0.join("filling").exists());
    }

    #[test]
    fn a_links_target_is_looked_for_in_the_image() {
        let (image, _root, volume) = volume();
        std::os::unix::fs::symlink("/data", image.path().join("link")).unwrap();
        std::os::unix::fs::symlink("../../../../../../../../etc", image.path().join("out")).unwrap();
        assert_eq!(fill(image.path(), &volume, "/out"), 0);
        assert_eq!(fill(image.path(), &volume, "/link"), 5);
    }
}
