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
    embedded_lifecycle embedded_exec embedded_files embedded_images embedded_commit embedded_snapshot embedded_volume embedded_systemd embedded_network);

mod embedded_alone {
    //! What only this engine has to be held to.

    use std::{collections::BTreeSet, path::Path};

    use takelage_engine::{Container as _, Engine as _};

    use crate::base::say;

    #[tokio::test]
    async fn an_ephemeral_container_does_not_wait_for_the_disk() {
        let Some((bench, _scratch)) = super::bench().await else { return };
        for ephemeral in [true, false] {
            let spec = takelage_engine::ContainerSpec { ephemeral, ..bench.spec() };
            bench
                .with(&spec, async |container| {
                    let root = "busybox awk '$2 == \"/\" {print $4}' /proc/mounts";
                    // `volatile`, or `fsync=volatile` in newer kernels.
                    assert_eq!(say(&container, root).await.contains("volatile"), ephemeral);
                    say(&container, "echo here > /file && busybox sync").await;
                    // The kernel would refuse the same tree a second time.
                    container.stop(std::time::Duration::ZERO).await.unwrap();
                    container.start().await.unwrap();
                    assert_eq!(say(&container, "cat /file").await, "here");
                    container.stop(std::time::Duration::ZERO).await.unwrap();
                    assert!(!container.get("/file").await.unwrap().is_empty());
                    let snapshot = container.snapshot(&std::collections::BTreeMap::new()).await.unwrap();
                    container.start().await.unwrap();
                    assert_eq!(say(&container, "cat /file").await, "here");
                    bench.engine.remove_snapshot(&snapshot).await.unwrap();
                })
                .await;
        }
    }

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

    /// What is kept outlives the run that made it.
    #[test]
    fn a_container_stays_when_its_makers_runtime_ends() {
        let within =
            || tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        let made = within().block_on(async {
            let (bench, _scratch) = super::bench().await?;
            let spec = bench.spec();
            bench.engine.create(&spec).await.unwrap();
            Some(spec)
        });
        let Some(spec) = made else { return };
        within().block_on(async {
            let (bench, _scratch) = super::bench().await.unwrap();
            let records = bench.engine.containers(&spec.labels).await.unwrap();
            let container = bench.engine.container(&records[0]);
            let state = container.state().await.unwrap();
            container.remove().await.unwrap();
            assert_eq!(state, Some(takelage_engine::ContainerState::Running));
        });
    }

    /// A process, and when it began.
    type Process = (u32, String);

    /// Returns the state of a process, its parent, and when it began.
    fn status(pid: u32) -> Option<(String, u32, String)> {
        let stat = fs_err::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        let fields: Vec<&str> = stat.rsplit_once(") ")?.1.split(' ').collect();
        Some((fields.first()?.to_string(), fields.get(1)?.parse().ok()?, fields.get(19)?.to_string()))
    }

    /// Returns the switch of a network first, then what that has started.
    fn processes(network: &Path) -> Vec<Process> {
        let all: Vec<u32> = fs_err::read_dir("/proc")
            .unwrap()
            .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
            .collect();
        let is_in = |pid: u32| fs_err::read_link(format!("/proc/{pid}/cwd")).is_ok_and(|cwd| cwd == network);
        let Some(switch) = all.iter().copied().find(|pid| {
            let path = fs_err::read_link(format!("/proc/{pid}/exe")).unwrap_or_default();
            is_in(*pid) && path == Path::new(env!("CARGO_BIN_EXE_takelage-engine-helper"))
        }) else {
            return Vec::new();
        };
        let children = all.iter().copied().filter(|pid| status(*pid).is_some_and(|it| it.1 == switch));
        std::iter::once(switch).chain(children).filter_map(|pid| Some((pid, status(pid)?.2))).collect()
    }

    /// Whether a process is gone or only waits to be asked how it ended.
    fn is_gone((pid, began): &Process) -> bool {
        status(*pid).is_none_or(|(state, _, since)| state == "Z" || since != *began)
    }

    async fn becomes(condition: impl Fn() -> bool) -> bool {
        for _ in 0..1000 {
            if condition() {
                return true;
            }
            tokio::time::sleep(std::time::Duration::from_millis(10)).await;
        }
        false
    }

    fn kill(pid: u32) {
        let pid = rustix::process::Pid::from_raw(pid.cast_signed()).unwrap();
        rustix::process::kill_process(pid, rustix::process::Signal::KILL).unwrap();
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn nothing_of_a_network_stays() {
        let Some((bench, _scratch)) = super::bench().await else { return };
        for by_force in [false, true] {
            let name = crate::network::private(&bench);
            let network = super::settings().root.join("networks").join(format!("private-{name}"));
            let spec = crate::network::member(&bench, &name, "web");
            let container = bench.engine.create(&spec).await.unwrap();
            let ran = processes(&network);
            let devices = fs_err::read_dir("/sys/class/net").unwrap();
            let devices: Vec<_> =
                devices.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
            if by_force {
                let directory = super::settings().root.join("v1/containers").join(&container.id().0);
                let running = fs_err::read_to_string(directory.join("running.json")).unwrap();
                let running: serde_json::Value = serde_json::from_str(&running).unwrap();
                kill(u32::try_from(running["monitor"].as_u64().unwrap()).unwrap());
            } else {
                container.clone().remove().await.unwrap();
            }
            let ended = becomes(|| ran.iter().all(is_gone)).await;
            let swept = becomes(|| !network.exists()).await;
            container.remove().await.unwrap();
            for device in ["bridge", "tap0", "port10"] {
                assert!(!devices.iter().any(|name| name == device), "{devices:?}");
            }
            assert!(ran.len() >= 2, "{ran:?}");
            assert!(ended && swept, "by force: {by_force}, ended: {ended}, swept: {swept}");
        }
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn what_a_killed_switch_leaves_is_removed() {
        let Some((bench, _scratch)) = super::bench().await else { return };
        let name = crate::network::private(&bench);
        let network = super::settings().root.join("networks").join(format!("private-{name}"));
        let container = bench.engine.create(&crate::network::member(&bench, &name, "web")).await.unwrap();
        let ran = processes(&network);
        kill(ran[0].0);
        let ended = becomes(|| ran.iter().all(is_gone)).await;
        // A container that comes later has a network again.
        let later = bench.engine.create(&crate::network::member(&bench, &name, "later")).await;
        let again = processes(&network);
        if let Ok(later) = &later {
            kill(again[0].0);
            later.clone().remove().await.unwrap();
        }
        let ended_again = becomes(|| again.iter().all(is_gone)).await;
        let left = network.exists();
        super::Embedded::open(&super::settings()).await.unwrap();
        let swept = !network.exists();
        container.remove().await.unwrap();
        later.unwrap();
        assert!(ended && ended_again, "{ran:?} {again:?}");
        assert!(left && swept, "{left} {swept}");
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn a_volume_stays_until_it_is_pruned_without_a_container() {
        let Some((_, scratch)) = super::bench().await else { return };
        // What nobody needs is pruned, and tests need what they do not have at the moment.
        let settings = super::Settings { root: scratch.path().join("engine"), ..super::settings() };
        let engine = super::Embedded::open(&settings).await.unwrap();
        let bench = super::Bench::new(engine, scratch.path()).await.unwrap();
        let mut spec = bench.spec();
        spec.volumes = vec![takelage_engine::Volume {
            source: "cache".to_owned(),
            target: "/srv/cache".to_owned(),
            read_only: false,
        }];
        let container = bench.engine.create(&spec).await.unwrap();
        say(&container, "echo 12345 > /srv/cache/kept").await;
        let used = (bench.engine.prune().await.unwrap().volumes, bench.engine.usage().await.unwrap());
        container.remove().await.unwrap();
        let unused = bench.engine.usage().await.unwrap();
        let freed = bench.engine.prune().await.unwrap();
        let after = bench.engine.usage().await.unwrap();
        assert_eq!((used.0, used.1.unneeded.volumes), (0, 0));
        let [volume] = &used.1.volumes[..] else { panic!("{used:?}") };
        assert_eq!((volume.name.as_str(), volume.size, &volume.labels), ("cache", 6, &spec.labels));
        assert_eq!(volume.containers, std::slice::from_ref(&spec.name));
        assert_eq!((unused.volumes[0].containers.len(), unused.unneeded.volumes), (0, 1));
        assert_eq!((freed.volumes, freed.bytes >= 6, after.volumes.len()), (1, true, 0));
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn a_chain_of_snapshots_may_be_long() {
        let Some((bench, _scratch)) = super::bench().await else { return };
        crate::snapshot::chain(&bench, 120).await;
    }

    /// What lies in a directory of the store.
    fn entries(name: &str) -> BTreeSet<std::path::PathBuf> {
        let directory = super::settings().root.join("v1").join(name);
        fs_err::read_dir(directory).unwrap().map(|entry| entry.unwrap().path()).collect()
    }

    /// A process that was killed in the middle leaves what is made up here; the next one that opens the store repairs it.
    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn what_a_killed_process_leaves_of_a_snapshot_is_put_right() {
        let Some((bench, _scratch)) = super::bench().await else { return };
        let container = bench.engine.create(&bench.spec()).await.unwrap();
        say(&container, "echo kept > /srv/kept").await;
        container.stop(std::time::Duration::from_secs(10)).await.unwrap();
        let directory = super::settings().root.join("v1/containers").join(&container.id().0);
        let place = |id: &str| super::settings().root.join("v1/snapshots").join(id);
        // The tree was on its way to a snapshot.
        let (sealing, copying) = (place("00000000000000aa"), place("00000000000000ab"));
        fs_err::create_dir(&sealing).unwrap();
        fs_err::write(sealing.join("maker.json"), r#"{"process": 1, "began": 18446744073709551615}"#)
            .unwrap();
        let note = serde_json::json!({"container": container.id().0, "tree": directory.join("upper")});
        fs_err::write(sealing.join("sealing.json"), note.to_string()).unwrap();
        fs_err::rename(directory.join("upper"), sealing.join("tree")).unwrap();
        // Another one was being copied.
        fs_err::create_dir_all(copying.join("tree/srv")).unwrap();
        takelage_engine::embedded::Embedded::open(&super::settings()).await.unwrap();
        let left = (sealing.exists(), copying.exists());
        container.start().await.unwrap();
        let kept = say(&container, "cat /srv/kept").await;
        // A container that stands still although nobody wants it to any more goes on, and can be removed.
        let state = std::path::Path::new("/sys/fs/cgroup/freezer/takelage").join(&container.id().0);
        if state.exists() {
            fs_err::write(directory.join("frozen"), "").unwrap();
            fs_err::write(state.join("freezer.state"), "FROZEN").unwrap();
            takelage_engine::embedded::Embedded::open(&super::settings()).await.unwrap();
            assert_eq!(say(&container, "cat /srv/kept").await, "kept");
            fs_err::write(directory.join("frozen"), "").unwrap();
            fs_err::write(state.join("freezer.state"), "FROZEN").unwrap();
        }
        container.remove().await.unwrap();
        assert_eq!((left, kept.as_str()), ((false, false), "kept"));
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn idle_snapshots_are_pruned() {
        let Some((_, scratch)) = super::bench().await else { return };
        let settings = super::Settings { root: scratch.path().join("engine"), ..super::settings() };
        crate::snapshot::are_pruned(&settings, scratch.path()).await;
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn a_tree_stays_as_long_as_a_container_has_it() {
        let Some((bench, _scratch)) = super::bench().await else { return };
        let container = bench.engine.create(&bench.spec()).await.unwrap();
        say(&container, "echo kept > /srv/kept").await;
        container.stop(std::time::Duration::from_secs(10)).await.unwrap();
        let snapshot = container.snapshot(&std::collections::BTreeMap::new()).await.unwrap();
        let place = super::settings().root.join("v1/snapshots").join(&snapshot.0);
        let restored = bench.engine.restore(&bench.spec(), &snapshot).await.unwrap();
        bench.engine.remove_snapshot(&snapshot).await.unwrap();
        container.start().await.unwrap();
        let seen = (say(&container, "cat /srv/kept").await, say(&restored, "cat /srv/kept").await);
        container.remove().await.unwrap();
        let (during, listed) = (
            entries("snapshots").contains(&place),
            bench.engine.snapshots(&std::collections::BTreeMap::new()).await.unwrap(),
        );
        restored.remove().await.unwrap();
        assert_eq!(seen, ("kept".to_owned(), "kept".to_owned()));
        assert!(during && listed.iter().all(|found| found.id != snapshot));
        assert!(!entries("snapshots").contains(&place));
    }
}
