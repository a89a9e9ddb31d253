//! Snapshots are taken, gone back to, and go.

use std::{
    collections::BTreeMap,
    path::Path,
    time::{Duration, Instant},
};

use takelage_engine::{
    Container, ContainerSpec, Engine, EngineError, History, SnapshotId, Startup,
    embedded::{Embedded, Settings},
};

use crate::{
    base::{Bench, LABEL, say, sh},
    files,
};

/// Labels that no other test has.
fn labels(of: &str) -> BTreeMap<String, String> {
    [(LABEL.to_owned(), format!("snapshot {of} {}", std::process::id()))].into()
}

/// Takes a snapshot of a container that runs.
async fn taken(container: &impl Container, of: &str) -> SnapshotId {
    container.snapshot(&labels(of)).await.unwrap()
}

async fn stopped(container: &impl Container, of: &str) -> SnapshotId {
    container.stop(Duration::from_secs(10)).await.unwrap();
    let snapshot = container.snapshot(&labels(of)).await.unwrap();
    container.start().await.unwrap();
    snapshot
}

/// Runs `test` with a container that is restored.
async fn with<E: Engine>(bench: &Bench<E>, snapshot: &SnapshotId, test: impl AsyncFnOnce(E::Container)) {
    let container = bench.engine.restore(&bench.spec(), snapshot).await.unwrap();
    let result =
        futures_util::FutureExt::catch_unwind(std::panic::AssertUnwindSafe(test(container.clone()))).await;
    container.remove().await.unwrap();
    if let Err(panic) = result {
        std::panic::resume_unwind(panic);
    }
}

async fn remove<E: Engine>(bench: &Bench<E>, snapshots: impl IntoIterator<Item = SnapshotId>) {
    for snapshot in snapshots {
        bench.engine.remove_snapshot(&snapshot).await.unwrap();
        bench.engine.remove_snapshot(&snapshot).await.unwrap();
    }
}

/// What an export says of all files but those that each container has of its own.
async fn exported(container: &impl Container, scratch: &Path) -> BTreeMap<String, String> {
    let entries = entries(container, scratch).await.into_iter();
    entries.map(|(name, entry)| (name, format!("{entry:?}"))).collect()
}

/// The same without times, which are those of when something was done.
async fn untimed(container: &impl Container, scratch: &Path) -> BTreeMap<String, String> {
    let entries = entries(container, scratch).await.into_iter();
    entries
        .map(|(name, entry)| (name, format!("{:?}", (entry.0, entry.1, entry.2, entry.3, entry.5, entry.6))))
        .collect()
}

async fn entries(container: &impl Container, scratch: &Path) -> BTreeMap<String, files::Entry> {
    let path = scratch.join("exported.tar");
    container.export(&path).await.unwrap();
    let own =
        ["", ".", "dev", "etc", "etc/hosts", "etc/hostname", "etc/resolv.conf", "etc/mtab", ".dockerenv"];
    let all = files::read(fs_err::File::open(&path).unwrap()).into_iter();
    all.filter(|(name, _)| !own.contains(&name.as_str()) && !name.starts_with("dev/")).collect()
}

fn same(a: &BTreeMap<String, String>, b: &BTreeMap<String, String>) {
    let names: std::collections::BTreeSet<_> = a.keys().chain(b.keys()).collect();
    let short = |text: Option<&String>| text.map(|text| text.chars().take(120).collect::<String>());
    let different = names.into_iter().filter(|name| a.get(*name) != b.get(*name));
    let different: Vec<_> = different.map(|name| (name, short(a.get(name)), short(b.get(name)))).collect();
    assert!(different.is_empty(), "{different:#?}");
}

/// Files of the image that go, directories that are removed and made anew, links, owners. Not a link to a file of the image:
/// Docker's commit makes two files of it.
const CHANGES: &str = "rm /etc/group; rm -r /run; mkdir /run; echo x > /run/new; chmod 700 /root; \
    ln -s nowhere /srv/link; mkdir -p /srv/a/b; echo y > /srv/a/b/c; ln /srv/a/b/c /srv/again; \
    chown 1000:1001 /srv/a/b/c; chmod 4750 /srv/a/b/c; dd if=/dev/zero of=/srv/big bs=1M count=3 2>/dev/null";

pub(crate) async fn a_restored_container_has_the_files_of_the_snapshot<E: Engine>(bench: Bench<E>) {
    for of in ["running", "stopped"] {
        let mut snapshot = None;
        let mut before = BTreeMap::new();
        bench
            .with(&bench.spec(), async |container| {
                container.put("/srv", files::tree(&bench.engine)).await.unwrap();
                say(&container, CHANGES).await;
                before = exported(&container, &bench.scratch).await;
                snapshot = Some(match of {
                    "running" => taken(&container, of).await,
                    _ => stopped(&container, of).await,
                });
                same(&before, &exported(&container, &bench.scratch).await);
                // What comes later is not in it.
                say(&container, "rm -r /srv/a; echo later > /srv/later; chmod 755 /root; echo z >> /run/new")
                    .await;
            })
            .await;
        let snapshot = snapshot.unwrap();
        // Its container is gone, it is not.
        for _ in 0..2 {
            with(&bench, &snapshot, async |container| {
                same(&before, &exported(&container, &bench.scratch).await);
                assert_eq!(
                    say(&container, "stat -c %h /srv/again; cat /run/new; ls /run").await,
                    "2\nx\nnew"
                );
                // What is done in one restored container is not in the next.
                say(&container, "rm -r /srv/tree; echo again > /run/new").await;
            })
            .await;
        }
        remove(&bench, [snapshot]).await;
    }
}

pub(crate) async fn a_snapshot_is_listed_by_its_labels_until_it_is_removed<E: Engine>(bench: Bench<E>) {
    let labels = labels("listed");
    bench
        .with(&bench.spec(), async |container| {
            let (first, second) = (taken(&container, "listed").await, taken(&container, "listed").await);
            assert_ne!(first, second);
            let listed = bench.engine.snapshots(&labels).await.unwrap();
            assert_eq!(listed.len(), 2, "{listed:?}");
            for found in listed {
                assert!(found.id == first || found.id == second, "{found:?}");
                assert_eq!((found.image, &found.labels[LABEL]), (bench.image.id, &labels[LABEL]));
            }
            assert!(bench.engine.images(&labels).await.unwrap().is_empty());
            remove(&bench, [first]).await;
            assert_eq!(bench.engine.snapshots(&labels).await.unwrap().len(), 1);
            remove(&bench, [second.clone()]).await;
            assert!(bench.engine.snapshots(&labels).await.unwrap().is_empty());
            let gone = bench.engine.restore(&bench.spec(), &second).await.err().unwrap();
            assert!(matches!(&gone, EngineError::NoSuchSnapshot { id } if *id == second), "{gone:?}");
        })
        .await;
}

pub(crate) async fn a_snapshot_is_one_moment_of_a_container_that_writes<E: Engine>(bench: Bench<E>) {
    // Two files that grow one after the other: never by more than one line apart.
    let script = "while :; do echo line >> /srv/first; echo line >> /srv/second; done";
    let startup = Startup::Command(["/bin/sh", "-c", script].map(str::to_owned).to_vec());
    let spec = ContainerSpec { startup, ..bench.spec() };
    bench
        .with(&spec, async |container| {
            let mut snapshots = Vec::new();
            for _ in 0..3 {
                // It has written something, and something since the last one.
                let lines = "wc -l < /srv/second 2>/dev/null || echo 0";
                let before: u64 = say(&container, lines).await.trim().parse().unwrap();
                let script = format!("until [ $({lines}) -gt {before} ]; do sleep 0.1; done");
                say(&container, &script).await;
                snapshots.push(taken(&container, "writes").await);
            }
            let lines = async |container: &E::Container| {
                let said = say(container, "wc -l < /srv/first; wc -l < /srv/second").await;
                let lines: Vec<i64> = said.lines().map(|line| line.trim().parse().unwrap()).collect();
                (lines[0], lines[1])
            };
            let before = lines(&container).await.0;
            tokio::time::sleep(Duration::from_millis(200)).await;
            assert!(lines(&container).await.0 > before, "it goes on");
            let mut last = 0;
            for snapshot in snapshots {
                with(&bench, &snapshot, async |restored| {
                    let (first, second) = lines(&restored).await;
                    assert!(first > last && (0..=1).contains(&(first - second)), "{last} {first} {second}");
                    last = first;
                    tokio::time::sleep(Duration::from_millis(50)).await;
                    assert_eq!(lines(&restored).await, (first, second), "nothing runs in it");
                })
                .await;
                remove(&bench, [snapshot]).await;
            }
        })
        .await;
}

/// What is done in one container, or in four of which each begins as the one before ended.
const STEPS: [&str; 4] = [
    "mkdir -p /srv/a/b /srv/away; echo y > /srv/a/b/c; ln /srv/a/b/c /srv/again; chown 1000:1001 /srv/a/b/c; \
     chmod 4750 /srv/a/b/c; echo secret > /srv/secret; ln /srv/secret /srv/told; rm -r /opt; rm /etc/group; mkfifo /srv/fifo",
    "rm -r /srv/away; rm /srv/secret; mkdir /opt; echo new > /opt/new; ln -s nowhere /srv/link; rm /etc/passwd; \
     mkdir /srv/turns; echo in > /srv/turns/in",
    "rm -r /srv/turns; echo file > /srv/turns; echo back > /etc/group; chmod 700 /root; rm /srv/fifo; \
     dd if=/dev/zero of=/srv/big bs=1M count=3 2>/dev/null",
    "rm /srv/turns; mkdir /srv/turns; rm /srv/link; chown 7:8 /opt/new; rm /srv/big; echo end > /srv/end",
];

pub(crate) async fn a_restored_container_is_committed_as_if_it_had_never_been_one<E: Engine>(
    bench: Bench<E>,
) {
    let tree = files::tree(&bench.engine);
    // What has no name goes as soon as another test prunes.
    let named = |name: &str| format!("takelage-enginetest/as-if-{name}:{}", std::process::id());
    let commit = async |container: &E::Container, name: &str| {
        let mut config = bench.image.config.clone();
        config.history.push(History::default());
        container.commit(&config, Some(&named(name).parse().unwrap()), None).await.unwrap()
    };
    let mut plain = None;
    bench
        .with(&bench.spec(), async |container| {
            container.put("/srv", tree.clone()).await.unwrap();
            for step in STEPS {
                say(&container, step).await;
            }
            plain = Some(commit(&container, "plain").await);
        })
        .await;
    let mut snapshots = Vec::new();
    let mut container = bench.engine.create(&bench.spec()).await.unwrap();
    container.put("/srv", tree).await.unwrap();
    for step in STEPS {
        say(&container, step).await;
        let snapshot = taken(&container, "as if").await;
        container.remove().await.unwrap();
        container = bench.engine.restore(&bench.spec(), &snapshot).await.unwrap();
        snapshots.push(snapshot);
    }
    let restored = commit(&container, "restored").await;
    // What a commit needs on its way is no snapshot, and not there any more.
    let listed = bench.engine.snapshots(&labels("as if")).await.unwrap();
    assert_eq!(listed.len(), snapshots.len());
    container.remove().await.unwrap();
    remove(&bench, snapshots.into_iter().rev()).await;
    let plain = plain.unwrap();
    assert_eq!(restored.config.layers.len(), plain.config.layers.len());
    let base = bench.image.config.layers.len();
    assert_eq!(restored.config.layers[..base], bench.image.config.layers);
    let mut seen = Vec::new();
    for (image, name) in [(&plain, "plain"), (&restored, "restored")] {
        let name = named(name);
        let layer = crate::commit::top_layer(&bench, image, &name).await;
        let mut files = BTreeMap::new();
        bench
            .with(&crate::base::spec(image.id), async |container| {
                files = untimed(&container, &bench.scratch).await;
            })
            .await;
        seen.push((layer, files));
        bench.engine.remove_image(&name).await.unwrap();
    }
    let [(plain, all), (restored, all_restored)] = <[_; 2]>::try_from(seen).unwrap();
    let gone = |names: &[String]| {
        names
            .iter()
            .filter(|name| name.contains(".wh.") && !name.contains("opq"))
            .cloned()
            .collect::<Vec<_>>()
    };
    assert!(gone(&plain).contains(&"etc/.wh.passwd".to_owned()), "{plain:?}");
    assert!(!restored.iter().any(|name| name.contains("secret")), "{restored:?}");
    assert!(restored.contains(&"srv/told".to_owned()), "{restored:?}");
    assert!(gone(&restored).iter().all(|name| gone(&plain).contains(name)), "{plain:?} {restored:?}");
    same(&all, &all_restored);
}

pub(crate) async fn snapshots_of_restored_containers_build_on_each_other<E: Engine>(bench: Bench<E>) {
    chain(&bench, 4).await;
}

/// Makes a chain of so many snapshots, each of a container that was restored from the one before, and an image at its end.
pub(crate) async fn chain<E: Engine>(bench: &Bench<E>, length: usize) {
    let mut snapshots = Vec::new();
    let mut container = bench.engine.create(&bench.spec()).await.unwrap();
    for number in 0..length {
        // A file is added, one is changed, one of two before goes.
        let script = format!(
            "echo {number} > /srv/{number}; echo {number} >> /srv/all; rm -f /srv/{}; rm -rf /opt; mkdir -p /opt; echo {number} > /opt/{number}",
            number.wrapping_sub(2)
        );
        say(&container, &script).await;
        let snapshot = stopped(&container, "chain").await;
        container.remove().await.unwrap();
        container = bench.engine.restore(&bench.spec(), &snapshot).await.unwrap();
        snapshots.push(snapshot);
    }
    let expected = format!("{}\n{}\n{}\nall\n{}", length, length - 2, length - 1, length - 1);
    let look = "wc -l < /srv/all; ls /srv | grep -v all; echo all; ls /opt";
    let seen = say(&container, look).await;
    let mut config = bench.image.config.clone();
    config.history.push(History::default());
    let made = container.commit(&config, None, None).await.unwrap();
    assert_eq!(made.config.layers.len(), bench.image.config.layers.len() + 1);
    container.remove().await.unwrap();
    // The last one is whole without those before.
    let last = snapshots.pop().unwrap();
    remove(bench, snapshots.into_iter().rev()).await;
    let mut restored = String::new();
    with(bench, &last, async |container| restored = say(&container, look).await).await;
    remove(bench, [last]).await;
    let mut committed = String::new();
    bench
        .with(&crate::base::spec(made.id), async |container| {
            committed = say(&container, look).await;
            assert!(!sh(&container, "ls /srv/0").await.success());
        })
        .await;
    bench.engine.remove_image(&made.id.to_string()).await.unwrap();
    assert_eq!((seen, restored, committed), (expected.clone(), expected.clone(), expected));
}

/// Prunes an embedded engine of its own: others' idle snapshots may be on their way somewhere.
pub(crate) async fn are_pruned(settings: &Settings, scratch: &Path) {
    let engine = Embedded::open(settings).await.unwrap();
    let bench = Bench::new(engine, scratch).await.unwrap();
    bench
        .with(&bench.spec(), async |container| {
            // Some of it is another user's.
            let script =
                "dd if=/dev/zero of=/srv/big bs=1M count=3 2>/dev/null; chown 7 /srv/big; chmod 0 /srv/big";
            say(&container, script).await;
            let (kept, idle) = (taken(&container, "kept").await, taken(&container, "idle").await);
            // As if the process that has made it had ended.
            let maker = settings.root.join("v1/snapshots").join(&idle.0).join("maker.json");
            fs_err::write(maker, r#"{"process": 1, "began": 18446744073709551615}"#).unwrap();
            let before = bench.engine.usage().await.unwrap();
            let freed = bench.engine.prune().await.unwrap();
            let after = bench.engine.usage().await.unwrap();
            let listed = bench.engine.snapshots(&BTreeMap::new()).await.unwrap();
            assert_eq!((before.snapshots, before.unneeded.snapshots), (2, 1));
            assert!(before.snapshot_bytes >= 6 << 20 && before.unneeded.bytes >= 3 << 20, "{before:?}");
            assert!((freed.snapshots, after.snapshots) == (1, 1) && freed.bytes >= 3 << 20, "{freed:?}");
            assert_eq!(listed.into_iter().map(|found| found.id).collect::<Vec<_>>(), [kept]);
        })
        .await;
}

/// How long it takes, in seconds: the median of five.
async fn seconds(mut work: impl AsyncFnMut()) -> f64 {
    let mut times = Vec::new();
    for _ in 0..5 {
        let start = Instant::now();
        work().await;
        times.push(start.elapsed().as_secs_f64());
    }
    times.sort_by(f64::total_cmp);
    times[2]
}

/// Returns how long snapshots and commits of an unchanged container take, and a snapshot of one that is stopped and has
/// written many files.
pub(crate) async fn costs<E: Engine>(bench: &Bench<E>) -> [f64; 3] {
    let mut costs = [0.0; 3];
    let mut snapshots = Vec::new();
    bench
        .with(&bench.spec(), async |container| {
            costs[0] =
                seconds(async || snapshots.push(container.snapshot(&labels("cost")).await.unwrap())).await;
            costs[1] = seconds(async || {
                let made = container.commit(&bench.image.config, None, None).await.unwrap();
                // Of an image without changes it may be the image itself.
                if made.id != bench.image.id {
                    bench.engine.remove_image(&made.id.to_string()).await.unwrap();
                }
            })
            .await;
            say(&container, "mkdir /srv/d; for i in $(seq 1000); do echo $i > /srv/d/$i; done").await;
            say(&container, "dd if=/dev/zero of=/srv/big bs=1M count=100 2>/dev/null").await;
            container.stop(Duration::from_secs(10)).await.unwrap();
            let start = Instant::now();
            snapshots.push(container.snapshot(&labels("cost")).await.unwrap());
            costs[2] = start.elapsed().as_secs_f64();
        })
        .await;
    remove(bench, snapshots).await;
    costs
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[expect(clippy::print_stdout, reason = "the figures, for whoever looks at the output of the test")]
async fn docker_embedded_a_snapshot_costs_a_small_part_of_a_commit_of_dockers() {
    let (Some((docker, _one)), Some((embedded, _other))) =
        (crate::docker::bench().await, crate::embedded::bench().await)
    else {
        return;
    };
    let [_, commit, _] = costs(&docker).await;
    let [unchanged, _, stopped] = costs(&embedded).await;
    println!("docker commit {commit:.4} s, snapshot unchanged {unchanged:.4} s, of 100 MB {stopped:.4} s");
    // The goal is 0.02; a machine that is busy with other tests is given some room.
    assert!(unchanged <= commit * 0.05, "{unchanged} of {commit}");
    assert!(stopped <= commit * 0.5, "{stopped} of {commit}");
}
