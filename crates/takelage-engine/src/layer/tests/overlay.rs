//! An overlay for a test.

use std::{
    path::{Path, PathBuf},
    process::Command,
};

/// An overlay that is mounted until it is dropped.
pub(super) struct Overlay {
    directory: tempfile::TempDir,
}

impl Overlay {
    /// Mounts layers, the lowest first, below an empty upper directory. `Err`: why it cannot be done here.
    pub(super) fn mount(lower: &[PathBuf]) -> Result<Self, String> {
        let directory = tempfile::tempdir().unwrap();
        for name in ["upper", "work", "merged"] {
            fs_err::create_dir(directory.path().join(name)).unwrap();
        }
        rustix::fs::chmod(directory.path().join("upper"), rustix::fs::Mode::from_raw_mode(0o755)).unwrap();
        let lower: Vec<_> = lower.iter().rev().map(|path| path.to_str().unwrap()).collect();
        let options = format!(
            "lowerdir={},upperdir={1}/upper,workdir={1}/work,redirect_dir=off,metacopy=off,index=off",
            lower.join(":"),
            directory.path().display(),
        );
        let output = Command::new("mount")
            .args(["-t", "overlay", "overlay", "-o", &options])
            .arg(directory.path().join("merged"))
            .output()
            .map_err(|error| format!("`mount` does not start: {error}"))?;
        if !output.status.success() {
            let reason = String::from_utf8_lossy(&output.stderr).into_owned();
            return Err(format!("no overlay can be mounted here: {reason}"));
        }
        Ok(Self { directory })
    }

    pub(super) fn merged(&self) -> PathBuf {
        self.directory.path().join("merged")
    }

    pub(super) fn upper(&self) -> PathBuf {
        self.directory.path().join("upper")
    }
}

impl Drop for Overlay {
    fn drop(&mut self) {
        unmount(&self.merged());
    }
}

fn unmount(path: &Path) {
    let _ = Command::new("umount").arg(path).status();
}
