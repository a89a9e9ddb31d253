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
    embedded_lifecycle embedded_exec embedded_files embedded_images embedded_commit embedded_systemd embedded_network);

mod embedded_alone {
    //! What only this engine has to be held to.

    use std::collections::BTreeSet;

    use takelage_engine::{Container as _, Engine as _};

    /// What systemd makes where it takes a hierarchy of control groups for its own, and how it marks it.
    fn marks() -> BTreeSet<String> {
        let mut marks = BTreeSet::new();
        for hierarchy in ["", "systemd", "unified"] {
            for name in ["init.scope", "system.slice", "user.slice"] {
                let group = std::path::Path::new("/sys/fs/cgroup").join(hierarchy).join(name);
                if group.exists() {
                    marks.insert(group.display().to_string());
                }
            }
        }
        let mounts = fs_err::read_to_string("/proc/self/mounts").unwrap();
        marks.extend(mounts.lines().filter(|line| line.contains("nsdelegate")).map(str::to_owned));
        marks
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn a_systemd_has_no_effect_on_the_hosts_control_groups() {
        let Some((bench, _scratch)) = super::bench().await else { return };
        let Some(spec) = crate::systemd::booting(&bench).await else { return };
        let before = marks();
        let container = bench.engine.create(&spec).await.unwrap();
        let during = marks();
        container.remove().await.unwrap();
        assert_eq!(during, before);
        assert_eq!(marks(), before);
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn nothing_of_a_container_is_seen_on_the_host() {
        let Some((bench, _scratch)) = super::bench().await else { return };
        let container = bench.engine.create(&bench.spec()).await.unwrap();
        let mounts = fs_err::read_to_string("/proc/self/mountinfo").unwrap();
        let mounted = mounts.contains(&container.id().0);
        let id = container.id().0.clone();
        container.remove().await.unwrap();
        assert!(!mounted, "{mounts}");
        let groups = fs_err::read_dir("/sys/fs/cgroup").unwrap().map(|entry| entry.unwrap().path());
        assert_eq!(groups.filter(|path| path.join("takelage").join(&id).exists()).count(), 0);
    }
}
