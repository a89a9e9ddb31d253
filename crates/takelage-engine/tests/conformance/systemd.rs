//! systemd as a container's first process.
//!
//! These need an image with systemd named `takelage-enginetest/systemd:bookworm`: one of Debian 12 with the
//! packages systemd, systemd-sysv and dbus; and, for the newest systemd, the same of Debian 13 with the tag `trixie`.

use std::time::{Duration, Instant};

use takelage_engine::{Container, ContainerSpec, ContainerState, Engine, EngineError, History, Startup};
use takelage_testkit::skip;

use crate::base::{Bench, say, spec};

const IMAGE: &str = "takelage-enginetest/systemd:bookworm";
const NEWEST: &str = "takelage-enginetest/systemd:trixie";

/// A container that boots. `None`: the test is skipped, the reason printed.
pub(crate) async fn booting<E: Engine>(bench: &Bench<E>) -> Option<ContainerSpec> {
    booting_from(bench, IMAGE).await
}

async fn booting_from<E: Engine>(bench: &Bench<E>, name: &str) -> Option<ContainerSpec> {
    if !bench.engine.capabilities().control_groups {
        refuses(bench).await;
        return None;
    }
    let image = match bench.engine.image(name).await.unwrap() {
        Some(image) => image,
        // Another engine of this machine may have it.
        None => match bench.engine.pull(&name.parse().unwrap(), &|_, _| {}).await {
            Ok(image) => image,
            Err(error) => skip!("there is no image {name}: {error}"),
        },
    };
    let startup = Startup::Systemd(vec!["/lib/systemd/systemd".to_owned()]);
    Some(ContainerSpec { startup, ..spec(image.id) })
}

pub(crate) async fn systemd_boots_and_stops<E: Engine>(bench: Bench<E>) {
    let Some(spec) = booting(&bench).await else { return };
    bench
        .with(&spec, async |container| {
            assert_eq!(say(&container, "systemctl is-system-running").await, "running");
            assert_eq!(say(&container, "stat -c %a /tmp /run; stat -f -c %T /tmp").await, "1777\n755\ntmpfs");
            // Programs may run from `/tmp`, and units can be made, started and stopped.
            let script = "printf '#!/bin/sh\\necho ran\\n' > /tmp/program; chmod +x /tmp/program; /tmp/program";
            assert_eq!(say(&container, script).await, "ran");
            let unit = "[Service]\\nExecStart=/bin/sleep 1000\\nUser=daemon\\nPrivateTmp=yes\\n";
            let script = format!("printf '{unit}' > /etc/systemd/system/nap.service; systemctl daemon-reload; \
                systemctl start nap; systemctl is-active nap; sleep 1; systemctl show -p MainPID --value nap | xargs -I{{}} stat -c %U /proc/{{}}");
            assert_eq!(say(&container, &script).await, "active\ndaemon");
            let start = Instant::now();
            container.stop(Duration::from_secs(90)).await.unwrap();
            assert!(start.elapsed() < Duration::from_secs(60), "{:?}", start.elapsed());
            assert!(matches!(container.state().await.unwrap(), Some(ContainerState::Exited { .. })));
        })
        .await;
}

/// From 256 on systemd refuses cgroup v1 unless it is told otherwise.
pub(crate) async fn the_newest_systemd_boots<E: Engine>(bench: Bench<E>) {
    let Some(spec) = booting_from(&bench, NEWEST).await else { return };
    bench
        .with(&spec, async |container| {
            assert_eq!(say(&container, "systemctl is-system-running").await, "running");
        })
        .await;
}

pub(crate) async fn a_failed_unit_is_named<E: Engine>(bench: Bench<E>) {
    let Some(spec) = booting(&bench).await else { return };
    let mut made = None;
    let name = format!("takelage-enginetest/broken:{}", std::process::id());
    bench
        .with(&ContainerSpec { startup: Startup::Wait, ..spec.clone() }, async |container| {
            let unit = "[Service]\\nType=oneshot\\nExecStart=/bin/sh -c \"echo the reason; exit 3\"\\n[Install]\\nWantedBy=multi-user.target\\n";
            let script = format!("printf '{unit}' > /etc/systemd/system/broken.service; systemctl enable broken 2>&1");
            say(&container, &script).await;
            let mut config = bench.engine.image(IMAGE).await.unwrap().unwrap().config;
            config.history.push(History::default());
            let image = container.commit(&config, None, None).await.unwrap();
            bench.engine.tag(&image.id, &name.parse().unwrap()).await.unwrap();
            made = Some(image.id);
        })
        .await;
    let broken = ContainerSpec { image: made.unwrap(), ..spec };
    let error = bench.engine.create(&broken).await.map(|_| ()).unwrap_err();
    let left = bench.engine.containers(&broken.labels).await.unwrap();
    bench.engine.remove_image(&name).await.unwrap();
    match error {
        EngineError::Systemd { name, reason } => {
            assert_eq!(name, broken.name);
            assert!(reason.contains("broken.service"), "{reason}");
        }
        other => panic!("{other:?}"),
    }
    assert!(left.is_empty());
}

/// An engine that cannot boot a systemd says so.
async fn refuses<E: Engine>(bench: &Bench<E>) {
    let startup = Startup::Systemd(vec!["/lib/systemd/systemd".to_owned()]);
    let spec = ContainerSpec { startup, ..bench.spec() };
    let refused = bench.engine.create(&spec).await.map(|_| ());
    assert!(matches!(refused, Err(EngineError::Unsupported { .. })), "{refused:?}");
    assert!(bench.engine.containers(&spec.labels).await.unwrap().is_empty());
}

pub(crate) async fn a_systemd_that_dies_says_why<E: Engine>(bench: Bench<E>) {
    if !bench.engine.capabilities().control_groups {
        return refuses(&bench).await;
    }
    for (command, why) in [("echo the last words; exit 5", "the last words"), ("sleep 1000", "systemctl")] {
        let command = ["/bin/sh", "-c", command].map(str::to_owned).to_vec();
        let spec = ContainerSpec { startup: Startup::Systemd(command), ..bench.spec() };
        let error = bench.engine.create(&spec).await.map(|_| ()).unwrap_err();
        assert!(matches!(&error, EngineError::Systemd { reason, .. } if reason.contains(why)), "{error:?}");
        assert!(bench.engine.containers(&spec.labels).await.unwrap().is_empty());
    }
}
