//! The overlay that is a container's root file system.
//!
//! It is mounted in the mount namespace of the process that needs it, so it goes with that process, whatever ends it.

use std::{
    io,
    os::fd::AsFd as _,
    path::{Path, PathBuf},
};

use rustix::mount::{
    FsMountFlags, FsOpenFlags, MountAttrFlags, MountFlags, MoveMountFlags, UnmountFlags, fsconfig_create,
    fsconfig_set_flag, fsconfig_set_string, fsmount, fsopen, move_mount, unmount,
};
use serde::{Deserialize, Serialize};

/// What is stacked, and where.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Stack {
    /// Trees that are only read, the highest first.
    pub(super) lowers: Vec<PathBuf>,
    /// The tree that is written to. None: nothing is.
    pub(super) upper: Option<Upper>,
}

/// A tree that is written to, and an empty directory beside it for the kernel's own use.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Upper {
    /// The tree.
    pub(super) tree: PathBuf,
    /// On the same file system; empty.
    pub(super) work: PathBuf,
    /// Whether nothing that is written waits for the disk, whatever a process asks for: the tree counts until the machine stops.
    #[serde(default)]
    pub(super) volatile: bool,
}

/// Where the kernel notes, below `work`, that a tree was written to without waiting for the disk. It refuses such a tree later, as it
/// cannot know whether the machine has stopped meanwhile.
const WAS_VOLATILE: &str = "work/incompat/volatile";

impl Stack {
    /// Mounts it at `target`. In a user namespace the markers are `user.` attributes.
    pub(super) fn mount(&self, target: &Path, in_user_namespace: bool) -> io::Result<()> {
        let Some(upper) = self.upper.as_ref().filter(|upper| upper.volatile) else {
            return self.mount_as_it_is(target, in_user_namespace);
        };
        match fs_err::remove_dir_all(upper.work.join(WAS_VOLATILE)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        self.mount_as_it_is(target, in_user_namespace).or_else(|error| {
            // Linux before 5.10 knows no such thing.
            let upper = Upper { volatile: false, ..upper.clone() };
            let plain = Self { lowers: self.lowers.clone(), upper: Some(upper) };
            plain.mount_as_it_is(target, in_user_namespace).map_err(|_| error)
        })
    }

    fn mount_as_it_is(&self, target: &Path, in_user_namespace: bool) -> io::Result<()> {
        let named = |error: rustix::io::Errno, what: &str| {
            let error = io::Error::from(error);
            io::Error::new(error.kind(), format!("cannot mount an overlay ({what}): {error}"))
        };
        let context = fsopen("overlay", FsOpenFlags::FSOPEN_CLOEXEC).map_err(|error| named(error, "open"))?;
        let fd = context.as_fd();
        for lower in &self.lowers {
            // One by one, a stack may have five hundred; in one string of options, a page full.
            match fsconfig_set_string(fd, "lowerdir+", lower.as_path()) {
                Ok(()) => {}
                // Linux before 6.5.
                Err(rustix::io::Errno::INVAL) => return self.mount_by_options(target, in_user_namespace),
                Err(error) => return Err(named(error, &lower.to_string_lossy())),
            }
        }
        for (key, value) in self.options(in_user_namespace) {
            fsconfig_set_string(fd, key, value.as_path()).map_err(|error| named(error, key))?;
        }
        for flag in self.flags(in_user_namespace) {
            fsconfig_set_flag(fd, flag).map_err(|error| named(error, flag))?;
        }
        fsconfig_create(fd).map_err(|error| named(error, "create"))?;
        let mount = fsmount(fd, FsMountFlags::FSMOUNT_CLOEXEC, MountAttrFlags::empty())
            .map_err(|error| named(error, "mount"))?;
        move_mount(mount.as_fd(), "", rustix::fs::CWD, target, MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH)
            .map_err(|error| named(error, &target.to_string_lossy()))
    }

    /// Everything but the lower trees. Features that would tie a tree to those below it, by file handles or by names,
    /// are off: trees are stacked anew in other places.
    fn options(&self, in_user_namespace: bool) -> Vec<(&'static str, PathBuf)> {
        let off = |key| (key, PathBuf::from("off"));
        let mut options = vec![off("index"), off("metacopy")];
        if !in_user_namespace {
            // There it is off by itself, and the kernel refuses to hear it.
            options.push(off("redirect_dir"));
        }
        if let Some(upper) = &self.upper {
            options.extend([("upperdir", upper.tree.clone()), ("workdir", upper.work.clone())]);
        }
        options
    }

    fn flags(&self, in_user_namespace: bool) -> impl Iterator<Item = &'static str> {
        let volatile = self.upper.as_ref().is_some_and(|upper| upper.volatile);
        [("userxattr", in_user_namespace), ("volatile", volatile)]
            .into_iter()
            .filter_map(|(flag, is_set)| is_set.then_some(flag))
    }

    fn mount_by_options(&self, target: &Path, in_user_namespace: bool) -> io::Result<()> {
        let escaped = |path: &Path| {
            path.to_string_lossy().replace('\\', "\\\\").replace(':', "\\:").replace(',', "\\,")
        };
        let lowers: Vec<String> = self.lowers.iter().map(|lower| escaped(lower)).collect();
        let mut options = format!("lowerdir={}", lowers.join(":"));
        for (key, value) in self.options(in_user_namespace) {
            options = format!("{options},{key}={}", escaped(&value));
        }
        for flag in self.flags(in_user_namespace) {
            options = format!("{options},{flag}");
        }
        let options = std::ffi::CString::new(options)?;
        rustix::mount::mount("overlay", target, "overlay", MountFlags::empty(), Some(options.as_c_str()))?;
        Ok(())
    }
}

/// Takes a mount away.
pub(super) fn take_away(target: &Path) -> io::Result<()> {
    Ok(unmount(target, UnmountFlags::DETACH)?)
}
