//! The suite with the Docker engine.

use std::path::Path;

use takelage_engine::docker::{Docker, Settings};
use takelage_testkit::skip;
use tempfile::TempDir;

use crate::base::Bench;

/// Connects to the daemon that `DOCKER_HOST` names, or Docker's own. `None`: the test is skipped, the reason printed.
pub(crate) async fn bench() -> Option<(Bench<Docker>, TempDir)> {
    bench_of(|settings| settings).await
}

/// The same, where every command goes through the API on its own.
pub(crate) async fn plain_bench() -> Option<(Bench<Docker>, TempDir)> {
    bench_of(|settings| Settings { plain: true, ..settings }).await
}

async fn bench_of(change: impl FnOnce(Settings) -> Settings) -> Option<(Bench<Docker>, TempDir)> {
    let scratch = tempfile::tempdir().unwrap();
    let bench = match Docker::connect(&change(settings(scratch.path()))).await {
        Ok(docker) => Bench::new(docker, scratch.path()).await,
        Err(error) => Err(error.to_string()),
    };
    match bench {
        Ok(bench) => Some((Bench { by_manifest: has_containerds_store(), ..bench }, scratch)),
        Err(reason) => skip!("{reason}"),
    }
}

/// Says whether the daemon keeps its images in containerd's store.
fn has_containerds_store() -> bool {
    let output =
        std::process::Command::new("docker").args(["info", "--format", "{{.DriverStatus}}"]).output();
    output.is_ok_and(|output| String::from_utf8_lossy(&output.stdout).contains("io.containerd.snapshotter"))
}

#[expect(clippy::disallowed_methods, reason = "a test is its own caller")]
pub(crate) fn settings(scratch: &Path) -> Settings {
    Settings {
        host: std::env::var("DOCKER_HOST").ok(),
        tls: None,
        config_dir: None,
        scratch: scratch.to_owned(),
        plain: false,
    }
}

mod docker_alone {
    //! What only this engine has to be held to.

    use takelage_engine::{Container as _, Engine as _};
    use takelage_testkit::skip;

    /// Says whether the daemon has a network.
    fn has(network: &str) -> Option<bool> {
        let output = std::process::Command::new("docker").args(["network", "inspect", network]).output();
        output.ok().map(|output| output.status.success())
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn a_private_network_goes_with_the_last_container() {
        let Some((bench, _scratch)) = super::bench().await else { return };
        let network = crate::network::private(&bench);
        if has(&network).is_none() {
            skip!("there is no command `docker`");
        }
        let one = bench.engine.create(&crate::network::member(&bench, &network, "one")).await.unwrap();
        let two = crate::network::member(&bench, &network, "two");
        bench.engine.create(&two).await.unwrap();
        let during = has(&network);
        // As the next run finds it after a kill.
        let found = bench.engine.containers(&two.labels).await.unwrap();
        one.remove().await.unwrap();
        let between = has(&network);
        for record in &found {
            bench.engine.container(record).remove().await.unwrap();
        }
        assert_eq!((found.len(), during, between, has(&network)), (1, Some(true), Some(true), Some(false)));
    }
}

suite!(super::bench:
    docker_lifecycle docker_exec docker_files docker_images docker_commit docker_snapshot docker_volume docker_systemd docker_network);

mod plain {
    suite!(super::super::plain_bench:
        docker_lifecycle docker_exec docker_files docker_images docker_commit docker_snapshot docker_volume docker_systemd docker_network);
}
