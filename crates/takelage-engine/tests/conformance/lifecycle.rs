//! Containers come, run, end and go.

use std::time::{Duration, Instant};

use takelage_engine::{
    Container, ContainerSpec, ContainerState, Engine, EngineError, ExecSpec, ImageId, Network, Startup,
    Ulimit, Volume,
};
use takelage_model::Digest;

use crate::base::{Bench, say, sh, shell};

pub(crate) async fn a_container_is_listed_by_its_labels_until_it_is_removed<E: Engine>(bench: Bench<E>) {
    let mut spec = bench.spec();
    spec.labels.insert("colour".to_owned(), "blue green".to_owned());
    let container = bench.engine.create(&spec).await.unwrap();
    let mut other = spec.labels.clone();
    other.insert("colour".to_owned(), "red".to_owned());
    let listed = bench.engine.containers(&spec.labels).await.unwrap();
    let elsewhere = bench.engine.containers(&other).await.unwrap();
    container.stop(Duration::from_secs(10)).await.unwrap();
    container.stop(Duration::from_secs(10)).await.unwrap();
    let stopped = bench.engine.containers(&spec.labels).await.unwrap();
    container.start().await.unwrap();
    let restarted = container.state().await.unwrap();
    container.clone().remove().await.unwrap();
    assert_eq!((listed.len(), elsewhere.len(), stopped.len()), (1, 0, 1));
    assert_eq!((&listed[0].name, &listed[0].id), (&spec.name, container.id()));
    assert_eq!(listed[0].labels.get("colour").map(String::as_str), Some("blue green"));
    assert_eq!((listed[0].running, stopped[0].running), (true, false));
    assert_eq!(restarted, Some(ContainerState::Running));
    assert!(bench.engine.containers(&spec.labels).await.unwrap().is_empty());
    let again = bench.engine.container(&listed[0]);
    assert_eq!(again.state().await.unwrap(), None);
    again.remove().await.unwrap();
}

pub(crate) async fn a_name_is_taken_once<E: Engine>(bench: Bench<E>) {
    let spec = bench.spec();
    bench
        .with(&spec, async |_| {
            let error = bench.engine.create(&spec).await.err().unwrap();
            assert!(matches!(&error, EngineError::NameTaken { name } if *name == spec.name), "{error:?}");
        })
        .await;
}

pub(crate) async fn an_image_that_is_not_there_is_named<E: Engine>(bench: Bench<E>) {
    let missing = ImageId(Digest::of("no such image"));
    let error = bench.engine.create(&ContainerSpec { image: missing, ..bench.spec() }).await.err().unwrap();
    assert!(
        matches!(&error, EngineError::NoSuchImage { name, .. } if *name == missing.to_string()),
        "{error:?}"
    );
}

pub(crate) async fn a_waiting_container_stops_at_once_and_reaps<E: Engine>(bench: Bench<E>) {
    bench
        .with(&bench.spec(), async |container| {
            say(&container, "(sleep 0.1; sleep 0.1) & (sleep 0.05 &)").await;
            tokio::time::sleep(Duration::from_millis(600)).await;
            let zombies = say(&container, "cat /proc/[0-9]*/stat 2>/dev/null | grep -c ') Z ' || true").await;
            assert_eq!(zombies, "0");
            let start = Instant::now();
            container.stop(Duration::from_secs(60)).await.unwrap();
            assert!(start.elapsed() < Duration::from_secs(20), "{:?}", start.elapsed());
            assert!(matches!(container.state().await.unwrap(), Some(ContainerState::Exited { .. })));
        })
        .await;
}

pub(crate) async fn a_command_that_ends_at_once_is_told_with_its_log<E: Engine>(bench: Bench<E>) {
    let script = ["/bin/sh", "-c", "echo first; echo reason >&2; exit 7"];
    let spec =
        ContainerSpec { startup: Startup::Command(script.map(str::to_owned).to_vec()), ..bench.spec() };
    match bench.engine.create(&spec).await {
        Err(EngineError::Ended { name, status: 7, log }) => {
            assert_eq!(name, spec.name);
            assert!(log.contains("first") && log.contains("reason"), "{log}");
        }
        other => panic!("{:?}", other.err()),
    }
    assert!(bench.engine.containers(&spec.labels).await.unwrap().is_empty());
}

pub(crate) async fn a_start_that_fails_leaves_nothing<E: Engine>(bench: Bench<E>) {
    for startup in [Startup::Command(vec!["/no/such/program".to_owned()]), Startup::Command(Vec::new())] {
        let spec = ContainerSpec { startup, ..bench.spec() };
        let error = bench.engine.create(&spec).await.err().unwrap();
        assert!(error.to_string().contains(&spec.name), "{error:?}");
        assert!(bench.engine.containers(&spec.labels).await.unwrap().is_empty());
    }
}

pub(crate) async fn the_images_own_command_runs<E: Engine>(bench: Bench<E>) {
    let spec = ContainerSpec { startup: Startup::Own, ..bench.spec() };
    bench
        .with(&spec, async |container| {
            // `cat` would have ended if its input were closed.
            assert_eq!(container.state().await.unwrap(), Some(ContainerState::Running));
            assert_eq!(container.logs(10).await.unwrap(), "own\n");
        })
        .await;
}

pub(crate) async fn a_command_replaces_entrypoint_and_command<E: Engine>(bench: Bench<E>) {
    let command = ["/bin/busybox", "sh", "-c", "echo \"$0 $#\"; echo two >&2; sleep 1000"];
    let spec =
        ContainerSpec { startup: Startup::Command(command.map(str::to_owned).to_vec()), ..bench.spec() };
    bench
        .with(&spec, async |container| {
            let log = container.logs(10).await.unwrap();
            assert!(log.contains("sh 0\n") && log.contains("two\n") && !log.contains("own"), "{log}");
            assert_eq!(container.logs(1).await.unwrap().lines().count(), 1);
        })
        .await;
}

pub(crate) async fn only_listed_devices_can_be_opened<E: Engine>(bench: Bench<E>) {
    if !bench.engine.capabilities().control_groups {
        return;
    }
    let spec = ContainerSpec { devices: vec!["/dev/kmsg:/dev/log:w".to_owned()], ..bench.spec() };
    bench
        .with(&spec, async |container| {
            // Whatever it is called and whoever has made it: kind, numbers and rights decide.
            let script = "mknod /dev/none c 1 5 && head -c 1 /dev/none | wc -c; : > /dev/log && echo written; \
                mknod /dev/fuse c 10 229 && mknod /dev/loop b 7 0; \
                for device in /dev/log /dev/fuse /dev/loop; do (: < $device) 2>&1 | grep -c 'not permitted'; done";
            assert_eq!(say(&container, script).await, "1\nwritten\n1\n1\n1");
        })
        .await;
    let privileged = ContainerSpec { privileged: true, ..bench.spec() };
    // Docker refuses it where root lacks a right itself.
    if let Ok(container) = bench.engine.create(&privileged).await {
        let opened = sh(&container, "mknod /dev/log c 1 11 && : < /dev/log").await;
        container.remove().await.unwrap();
        assert!(opened.success(), "{opened:?}");
    }
}

pub(crate) async fn every_part_of_a_specification_arrives<E: Engine>(bench: Bench<E>) {
    let shared = bench.scratch.join("shared");
    fs_err::create_dir_all(&shared).unwrap();
    fs_err::write(shared.join("note"), "from the host").unwrap();
    let volume = |target: &str, read_only| Volume {
        source: shared.to_string_lossy().into_owned(),
        target: target.to_owned(),
        read_only,
    };
    let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    let spec = ContainerSpec {
        hostname: Some("harbour".to_owned()),
        env: [pair("ZED", "spec"), pair("EXTRA", "a b=c")].into(),
        capabilities: vec!["NET_ADMIN".to_owned(), "-CHOWN".to_owned()],
        tmpfs: [pair("/scratch", "size=1m,mode=0700")].into(),
        volumes: vec![volume("/rw", false), volume("/ro", true)],
        network: Network::None,
        memory: Some(64 << 20),
        hosts: vec!["pier:192.0.2.1".to_owned()],
        sysctls: [pair("net.ipv4.ip_forward", "1")].into(),
        devices: vec!["/dev/null:/dev/nothing:r".to_owned()],
        shm_size: Some(1 << 20),
        ulimits: vec![Ulimit { name: "nofile".to_owned(), soft: Some(100), hard: Some(200) }],
        security: vec!["no-new-privileges".to_owned()],
        user: Some("1000:1001".to_owned()),
        ..bench.spec()
    };
    let limits = bench.engine.capabilities().control_groups;
    let spec = if limits { spec } else { ContainerSpec { memory: None, devices: Vec::new(), ..spec } };
    bench
        .with(&spec, async |container| {
            assert_eq!(say(&container, "hostname").await, "harbour");
            assert_eq!(say(&container, "echo $ZED,$ALPHA,$EXTRA").await, "spec,2=3,a b=c");
            assert_eq!(say(&container, "id -u; id -g").await, "1000\n1001");
            assert_eq!(say(&container, "cat /ro/note").await, "from the host");
            let root = |script: &str| ExecSpec { user: Some("0".to_owned()), ..shell(script) };
            let as_root = async |script: &str| {
                let output = container.run(root(script)).await.unwrap();
                (output.status, String::from_utf8(output.stdout).unwrap().trim_end().to_owned())
            };
            assert_eq!(as_root("echo x > /ro/new").await.0, 1);
            assert_eq!(as_root("echo x > /rw/new && cat /ro/new").await, (0, "x".to_owned()));
            assert_eq!(as_root("chown 1 /etc/passwd").await.0, 1);
            assert_eq!(
                as_root("stat -c %a /scratch; stat -f -c %T /scratch").await,
                (0, "700\ntmpfs".to_owned())
            );
            // Bits 0 (CHOWN) and 12 (NET_ADMIN) of what a process may have at most.
            let bound = as_root("grep CapBnd /proc/self/status").await.1;
            let bound = u64::from_str_radix(bound.split_whitespace().last().unwrap(), 16).unwrap();
            assert_eq!((bound & 1, bound >> 12 & 1), (0, 1));
            assert_eq!(as_root("grep -c pier /etc/hosts").await.1, "1");
            assert_eq!(as_root("cat /proc/sys/net/ipv4/ip_forward").await.1, "1");
            assert_eq!(as_root("ls /sys/class/net").await.1, "lo");
            if limits {
                assert_eq!(as_root("cat /dev/nothing").await, (0, String::new()));
            }
            assert_eq!(as_root("ulimit -n; ulimit -H -n").await.1, "100\n200");
            assert_eq!(as_root("df -k /dev/shm | grep -c ' 1024 '").await.1, "1");
            assert_eq!(as_root("grep NoNewPrivs /proc/1/status | cut -f2").await.1, "1");
        })
        .await;
    if !limits {
        for spec in [
            ContainerSpec { memory: Some(16 << 20), ..bench.spec() },
            ContainerSpec { processes: Some(16), ..bench.spec() },
        ] {
            let refused = bench.engine.create(&spec).await.map(|_| ());
            assert!(matches!(refused, Err(EngineError::Unsupported { .. })), "{refused:?}");
        }
        return;
    }
    // The kernel's view from inside differs between cgroup versions; that a limit is taken shows by exceeding it.
    let limited = ContainerSpec { memory: Some(16 << 20), ..bench.spec() };
    bench
        .with(&limited, async |container| {
            let output = container.run(shell("dd if=/dev/zero of=/dev/null bs=64M count=1")).await.unwrap();
            assert_ne!(output.status, 0);
        })
        .await;
    let few = ContainerSpec { processes: Some(16), ..bench.spec() };
    bench
        .with(&few, async |container| {
            let script = "for _ in $(seq 40); do sleep 5 & done; true";
            let output = container.run(shell(script)).await.unwrap();
            assert!(String::from_utf8_lossy(&output.stderr).contains("fork"), "{output:?}");
        })
        .await;
}
