//! Places for mounts that an image does not have.
//!
//! A runtime makes them in the root file system, where they would become part of an image that is made of it. So they
//! are made in a tree of their own between the image and what is written to, as Docker does it.

use std::{
    io,
    os::unix::fs::{DirBuilderExt as _, MetadataExt as _, PermissionsExt as _},
    path::{Component, Path, PathBuf},
};

use fs_err as fs;
use rustix::fs::{AtFlags, Gid, Timespec, Timestamps, Uid};

use super::bundle::MountPoint;

/// How many symbolic links a path may lead over.
const LINKS: usize = 40;

/// Makes in the empty directory `tree` whatever of `points` is missing in `root`. Says whether anything was.
pub(super) fn make(root: &Path, tree: &Path, points: &[MountPoint]) -> io::Result<bool> {
    let mut made = false;
    for point in points {
        let path = resolve(root, Path::new(&point.path))?;
        if fs::symlink_metadata(root.join(&path)).is_ok() || fs::symlink_metadata(tree.join(&path)).is_ok() {
            continue;
        }
        parents(root, tree, path.parent().unwrap_or(Path::new("")))?;
        let place = tree.join(&path);
        if point.directory {
            std::fs::DirBuilder::new().mode(0o755).create(&place)?;
        } else {
            fs::write(&place, b"")?;
            fs::set_permissions(&place, std::fs::Permissions::from_mode(0o644))?;
        }
        made = true;
    }
    Ok(made)
}

/// Follows the symbolic links of `path` within `root`; components that do not exist stand for themselves.
pub(super) fn resolve(root: &Path, path: &Path) -> io::Result<PathBuf> {
    let mut resolved = PathBuf::new();
    let mut ahead: Vec<_> = path.components().rev().map(|it| it.as_os_str().to_owned()).collect();
    let mut links = 0;
    while let Some(name) = ahead.pop() {
        match Path::new(&name).components().next() {
            Some(Component::Normal(_)) => {}
            Some(Component::ParentDir) => {
                resolved.pop();
                continue;
            }
            Some(Component::RootDir) => {
                resolved = PathBuf::new();
                continue;
            }
            _ => continue,
        }
        let next = resolved.join(&name);
        match fs::read_link(root.join(&next)) {
            Ok(target) => {
                links += 1;
                if links > LINKS {
                    return Err(io::Error::other(format!("too many symbolic links at `{}`", path.display())));
                }
                ahead.extend(target.components().rev().map(|it| it.as_os_str().to_owned()));
            }
            Err(_) => resolved = next,
        }
    }
    Ok(resolved)
}

/// Makes the directories of `path` in `tree`, as they are in `root`: what is uppermost decides about a directory.
fn parents(root: &Path, tree: &Path, path: &Path) -> io::Result<()> {
    let mut place = PathBuf::new();
    for component in path.components() {
        place.push(component);
        let copy = tree.join(&place);
        if fs::symlink_metadata(&copy).is_ok() {
            continue;
        }
        std::fs::DirBuilder::new().mode(0o755).create(&copy)?;
        if let Ok(metadata) = fs::symlink_metadata(root.join(&place)) {
            like(&metadata, &copy)?;
        }
    }
    Ok(())
}

/// Gives a directory owner, mode and times of another.
pub(super) fn like(metadata: &std::fs::Metadata, copy: &Path) -> io::Result<()> {
    let owner = (Uid::from_raw(metadata.uid()), Gid::from_raw(metadata.gid()));
    rustix::fs::chownat(rustix::fs::CWD, copy, Some(owner.0), Some(owner.1), AtFlags::SYMLINK_NOFOLLOW)?;
    fs::set_permissions(copy, metadata.permissions())?;
    let time = Timespec { tv_sec: metadata.mtime(), tv_nsec: metadata.mtime_nsec() };
    let times = Timestamps { last_access: time, last_modification: time };
    Ok(rustix::fs::utimensat(rustix::fs::CWD, copy, &times, AtFlags::SYMLINK_NOFOLLOW)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn point(path: &str, directory: bool) -> MountPoint {
        MountPoint { path: path.to_owned(), directory }
    }

    #[test]
    fn only_what_is_missing_is_made_and_parents_are_like_the_images() {
        let (root, tree) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        fs::create_dir(root.path().join("etc")).unwrap();
        fs::set_permissions(root.path().join("etc"), std::fs::Permissions::from_mode(0o700)).unwrap();
        fs::write(root.path().join("etc/hosts"), "").unwrap();
        let points = [point("/etc/hosts", false), point("/etc/hostname", false), point("/srv/a/b", true)];
        assert!(make(root.path(), tree.path(), &points).unwrap());
        assert!(!tree.path().join("etc/hosts").exists());
        assert!(tree.path().join("etc/hostname").is_file() && tree.path().join("srv/a/b").is_dir());
        assert_eq!(fs::metadata(tree.path().join("etc")).unwrap().mode() & 0o7777, 0o700);
        assert!(!make(root.path(), tempfile::tempdir().unwrap().path(), &points[..1]).unwrap());
    }

    #[test]
    fn links_are_followed_within_the_root() {
        let (root, tree) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        fs::create_dir(root.path().join("etc")).unwrap();
        let link = |target: &str, name: &str| {
            std::os::unix::fs::symlink(target, root.path().join(name)).unwrap();
        };
        link("../run/resolve/stub", "etc/resolv.conf");
        link("../../../../../tmp/outside", "etc/hosts");
        link("/etc/circle", "etc/circle");
        make(root.path(), tree.path(), &[point("/etc/resolv.conf", false), point("/etc/hosts", false)])
            .unwrap();
        assert!(tree.path().join("run/resolve/stub").is_file() && tree.path().join("tmp/outside").is_file());
        assert!(make(root.path(), tree.path(), &[point("/etc/circle", false)]).is_err());
    }
}
