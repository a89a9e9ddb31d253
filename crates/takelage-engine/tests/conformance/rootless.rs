//! The suite with the embedded engine of an ordinary user.
//!
//! Who is root runs each test once more as the user that `.ci/setup` makes, in a process of its own.

use std::{
    os::unix::process::CommandExt as _,
    path::{Path, PathBuf},
    process::Command,
};

use takelage_engine::embedded::{Embedded, Settings};
use takelage_testkit::skip;
use tempfile::TempDir;

use crate::base::Bench;

const USER: &str = "takelage-test";

/// Opens an engine, if this process is not root's. `None`: the test ran in another process, or is skipped.
async fn bench() -> Option<(Bench<Embedded>, TempDir)> {
    if rustix::process::geteuid().is_root() {
        let Some(ids) = ids() else { skip!("there is no user `{USER}`; `.ci/setup` makes it") };
        again(ids);
        return None;
    }
    let scratch = tempfile::tempdir().unwrap();
    let engine = Embedded::open(&settings(store())).await.unwrap();
    match Bench::new(engine, scratch.path()).await {
        Ok(bench) => Some((bench, scratch)),
        Err(reason) => skip!("{reason}"),
    }
}

fn settings(root: PathBuf) -> Settings {
    Settings {
        root,
        program: env!("CARGO_BIN_EXE_takelage-engine-helper").into(),
        config_dir: None,
        mirrors: std::collections::BTreeMap::new(),
        docker: None,
    }
}

/// The user's own store: its files belong to ids that only the user has.
fn store() -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).join("rootless")
}

fn ids() -> Option<(u32, u32)> {
    let passwd = fs_err::read_to_string("/etc/passwd").unwrap();
    let line = passwd.lines().find_map(|line| line.strip_prefix(USER)?.strip_prefix(":x:"))?;
    let mut fields = line.split(':').map(|field| field.parse().unwrap());
    Some((fields.next()?, fields.next()?))
}

/// Runs this test as somebody else; it fails if it fails there.
fn again((uid, gid): (u32, u32)) {
    fs_err::create_dir_all(store()).unwrap();
    std::os::unix::fs::chown(store(), Some(uid), Some(gid)).unwrap();
    let thread = std::thread::current();
    let output = Command::new(std::env::current_exe().unwrap())
        .args([thread.name().unwrap(), "--exact", "--nocapture"])
        .current_dir("/")
        .uid(uid)
        .gid(gid)
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    let complained = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && said.contains("1 passed"), "{said}\n{complained}");
}

suite!(super::bench:
    embedded_lifecycle embedded_exec embedded_files embedded_images embedded_commit embedded_snapshot embedded_volume embedded_systemd embedded_network);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_ordinary_users_idle_snapshots_are_pruned() {
    let Some((_, scratch)) = bench().await else { return };
    crate::snapshot::are_pruned(&settings(scratch.path().join("engine")), scratch.path()).await;
}
