//! The suite with the Docker engine.

use std::path::Path;

use takelage_engine::docker::{Docker, Settings};
use takelage_testkit::skip;
use tempfile::TempDir;

use crate::base::Bench;

/// Connects to the daemon that `DOCKER_HOST` names, or Docker's own. `None`: the test is skipped, the reason printed.
pub(crate) async fn bench() -> Option<(Bench<Docker>, TempDir)> {
    let scratch = tempfile::tempdir().unwrap();
    let bench = match Docker::connect(&settings(scratch.path())).await {
        Ok(docker) => Bench::new(docker, scratch.path()).await,
        Err(error) => Err(error.to_string()),
    };
    match bench {
        Ok(bench) => Some((bench, scratch)),
        Err(reason) => skip!("{reason}"),
    }
}

#[expect(clippy::disallowed_methods, reason = "a test is its own caller")]
pub(crate) fn settings(scratch: &Path) -> Settings {
    Settings {
        host: std::env::var("DOCKER_HOST").ok(),
        tls: None,
        config_dir: None,
        scratch: scratch.to_owned(),
    }
}

suite!(super::bench:
    docker_lifecycle docker_exec docker_files docker_images docker_commit docker_snapshot docker_systemd);
