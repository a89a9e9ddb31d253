//! The suite with the embedded engine, as root.

use std::path::Path;

use takelage_engine::embedded::{Embedded, Settings};
use takelage_testkit::skip;
use tempfile::TempDir;

use crate::{base::Bench, docker};

/// Opens an engine. All tests share one store, as all runs of a user do. `None`: the test is skipped, the reason printed.
pub(crate) async fn bench() -> Option<(Bench<Embedded>, TempDir)> {
    if !rustix::process::geteuid().is_root() {
        skip!("the embedded engine as root needs root");
    }
    let scratch = tempfile::tempdir().unwrap();
    let engine = Embedded::open(&settings()).await.unwrap();
    match Bench::new(engine, scratch.path()).await {
        Ok(bench) => Some((bench, scratch)),
        Err(reason) => skip!("{reason}"),
    }
}

fn settings() -> Settings {
    let directory = Path::new(env!("CARGO_TARGET_TMPDIR"));
    Settings {
        root: directory.join("engine"),
        program: env!("CARGO_BIN_EXE_takelage-engine-helper").into(),
        config_dir: None,
        mirrors: std::collections::BTreeMap::new(),
        docker: Some(docker::settings(directory)),
    }
}

suite!(super::bench:
    embedded_lifecycle embedded_exec embedded_files embedded_images embedded_commit embedded_systemd);
