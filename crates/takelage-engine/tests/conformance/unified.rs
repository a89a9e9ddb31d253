//! Tests with the embedded engine, as root, where there is cgroup v2 only.
//!
//! On a hybrid host each runs once more in a mount namespace in which a group of the hierarchy of cgroup v2 is all there is.
//! Such a group has no controllers, so nothing here is about limits.

use std::{
    path::{Path, PathBuf},
    process::Command,
};

use takelage_engine::embedded::Embedded;
use takelage_testkit::skip;
use tempfile::TempDir;

use crate::base::Bench;

const ROOT: &str = "/sys/fs/cgroup";

/// Opens an engine, if this process sees cgroup v2 only. `None`: the test ran in another process, or is skipped.
async fn bench() -> Option<(Bench<Embedded>, TempDir)> {
    if Path::new(ROOT).join("cgroup.procs").exists() {
        return crate::embedded::bench().await;
    }
    let Some(group) = Group::new() else { skip!("no group of cgroup v2 can be made") };
    let script = "mount --bind \"$0\" /sys/fs/cgroup && exec \"$@\"";
    let output = Command::new("unshare")
        .args(["--mount", "sh", "-c", script])
        .arg(&group.0)
        .arg(std::env::current_exe().unwrap())
        .args([std::thread::current().name().unwrap(), "--exact", "--nocapture"])
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    let complained = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && said.contains("1 passed"), "{said}\n{complained}");
    None
}

/// A group of a hybrid host's hierarchy of cgroup v2, which goes with the test.
struct Group(PathBuf);

impl Group {
    fn new() -> Option<Self> {
        let group =
            Path::new(ROOT).join("unified").join(format!("takelage-enginetest-{}", std::process::id()));
        fs_err::create_dir(&group).ok()?;
        Some(Self(group))
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        let _ = fs_err::remove_dir(self.0.join("takelage"));
        let _ = fs_err::remove_dir(&self.0);
    }
}

tests! {
    super::bench;
    unified_lifecycle = lifecycle:
        a_waiting_container_stops_at_once_and_reaps
        only_listed_devices_can_be_opened;
    unified_snapshot = snapshot:
        a_snapshot_is_one_moment_of_a_container_that_writes;
    unified_systemd = systemd:
        systemd_boots_and_stops
        the_newest_systemd_boots;
}
