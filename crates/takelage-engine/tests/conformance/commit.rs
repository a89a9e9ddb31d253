//! Committing: exactly the given metadata, exactly the changes.

use std::io::Read as _;

use takelage_engine::{
    ArchiveFormat, Container, ContainerSpec, Engine, History, ImageConfig, ImageId, ImageRecord, Reference,
    Startup, Volume,
};
use takelage_model::Digest;

use crate::{
    base::{Bench, LABEL, config, say, spec},
    files,
};

/// A configuration for a test of its own: the base's, one more entry of history, and a label nobody else has.
fn wanted<E: Engine>(bench: &Bench<E>, change: impl FnOnce(&mut ImageConfig)) -> ImageConfig {
    let mut config = bench.image.config.clone();
    config.labels.insert(LABEL.to_owned(), format!("commit {}", std::process::id()));
    let created = Some("2026-03-04T05:06:07Z".to_owned());
    config.history.push(History { created, created_by: Some("takelage".to_owned()), ..History::default() });
    change(&mut config);
    config
}

/// A container with a command, labels, environment and host name of its own, none of which may reach the image.
fn busy<E: Engine>(bench: &Bench<E>) -> ContainerSpec {
    let mut spec = bench.spec();
    spec.startup = Startup::Command(["/bin/sh", "-c", "cat; sleep 1000"].map(str::to_owned).to_vec());
    spec.hostname = Some("leaky".to_owned());
    spec.env.insert("LEAKY".to_owned(), "1".to_owned());
    spec.user = Some("app".to_owned());
    if bench.engine.capabilities().private_networks {
        spec.ports.push("127.0.0.1::8080".to_owned());
    }
    spec.tmpfs.insert("/tmp".to_owned(), String::new());
    spec
}

fn check<E: Engine>(bench: &Bench<E>, made: &ImageRecord, wanted: &ImageConfig, layers: &[Digest]) {
    let expected = ImageConfig { layers: layers.to_vec(), ..wanted.clone() };
    assert_eq!(made.config, expected);
    bench.check_id(made, ImageId(Digest::of(expected.to_json())));
    let env = |config: &ImageConfig| config.env.keys().cloned().collect::<Vec<_>>();
    assert_eq!(env(&made.config), env(wanted));
}

pub(crate) async fn the_image_has_the_given_metadata_and_no_other<E: Engine>(bench: Bench<E>) {
    let word = |word: &str| Some(vec![word.to_owned()]);
    let variants = [
        wanted(&bench, |_| ()),
        wanted(&bench, |config| (config.entrypoint, config.cmd) = (None, None)),
        wanted(&bench, |config| (config.entrypoint, config.cmd) = (None, word("/bin/true"))),
        wanted(&bench, |config| {
            (config.entrypoint, config.cmd) = (word("/bin/entry"), None);
            config.env.shift_remove("PATH");
            config.env.insert("AARDVARK".to_owned(), "last".to_owned());
            config.labels.remove("org.example");
            "app:extra".clone_into(&mut config.user);
            config.workdir = String::new();
            config.expose.clear();
            config.volumes.insert("/data".to_owned());
            config.stop_signal = None;
            config.author = Some("somebody".to_owned());
        }),
    ];
    bench
        .with(&busy(&bench), async |container| {
            say(&container, "echo change > /srv/change 2>/dev/null || echo change > /etc/change || true")
                .await;
            for wanted in variants {
                let made = container.commit(&wanted, None, None).await.unwrap();
                let layers = made.config.layers.clone();
                assert_eq!(layers[..1], bench.image.config.layers[..]);
                let mut wanted = wanted;
                if layers.len() == 1 {
                    wanted.history.last_mut().unwrap().empty_layer = true;
                }
                check(&bench, &made, &wanted, &layers);
                bench.engine.remove_image(&made.id.to_string()).await.unwrap();
            }
        })
        .await;
    // The base is as it was.
    assert_eq!(bench.engine.image(&bench.image.id.to_string()).await.unwrap().unwrap(), bench.image);
}

pub(crate) async fn the_layer_has_the_changes_and_no_others<E: Engine>(bench: Bench<E>) {
    let wanted = wanted(&bench, |_| ());
    let mut made = None;
    let name = format!("takelage-enginetest/layer:{}", std::process::id());
    let mut root = busy(&bench);
    root.user = None;
    bench
        .with(&root, async |container| {
            let script = "echo new > /srv/new; rm /etc/group; chmod 700 /root; echo x > /tmp/volatile";
            say(&container, script).await;
            made = Some(container.commit(&wanted, None, None).await.unwrap());
            assert_eq!(say(&container, "cat /srv/new").await, "new");
        })
        .await;
    let made = made.unwrap();
    assert_eq!(made.config.layers.len(), 2);
    check(&bench, &made, &wanted, &made.config.layers);
    bench.engine.tag(&made.id, &name.parse().unwrap()).await.unwrap();
    assert_eq!(top_layer(&bench, &made, &name).await, ["etc/.wh.group", "root", "srv/new"]);
    // And a container of it has the same files.
    bench
        .with(&spec(made.id), async |container| {
            assert_eq!(
                say(&container, "cat /srv/new; ls /etc/group 2>/dev/null; stat -c %a /root; true").await,
                "new\n700"
            );
            assert!(!say(&container, "hostname; env").await.contains("eaky"));
        })
        .await;
    bench.engine.remove_image(&name).await.unwrap();
}

/// Returns what the topmost layer of the image `name` has, without directories that hold some of it.
pub(crate) async fn top_layer<E: Engine>(bench: &Bench<E>, made: &ImageRecord, name: &str) -> Vec<String> {
    let path = bench.scratch.join("committed.tar");
    bench.engine.save(&[name.to_owned()], ArchiveFormat::Docker, &path, &|_, _| ()).await.unwrap();
    // The layer is one of the archive's entries, whatever its name. Containerd's store gives it as it has it, compressed.
    let layer = files::read(fs_err::File::open(&path).unwrap())
        .into_values()
        .map(|entry| {
            let mut plain = Vec::new();
            let read = flate2::read::GzDecoder::new(entry.6.as_slice()).read_to_end(&mut plain);
            if read.is_ok() { plain } else { entry.6 }
        })
        .find(|content| Digest::of(content) == *made.config.layers.last().unwrap())
        .expect("the saved image has its layer");
    let mut names: Vec<_> = files::read(layer.as_slice()).into_keys().collect();
    names.retain(|name| !matches!(name.as_str(), "etc" | "run" | "srv" | "."));
    names
}

pub(crate) async fn mount_points_stay_with_the_container<E: Engine>(bench: Bench<E>) {
    let shared = bench.scratch.join("shared");
    fs_err::create_dir_all(&shared).unwrap();
    fs_err::write(shared.join("note"), "from the host").unwrap();
    let volume = |source: &std::path::Path, target: &str| Volume {
        source: source.to_string_lossy().into_owned(),
        target: target.to_owned(),
        read_only: true,
    };
    let mut spec = bench.spec();
    spec.tmpfs.insert("/volatile".to_owned(), String::new());
    spec.volumes = vec![volume(&shared, "/srv/deep/er"), volume(&shared.join("note"), "/opt/note")];
    let mut wanted = wanted(&bench, |config| config.cmd = None);
    let name: Reference = format!("takelage-enginetest/mounts:{}", std::process::id()).parse().unwrap();
    bench
        .with(&spec, async |container| {
            assert_eq!(
                say(&container, "cat /srv/deep/er/note /opt/note").await,
                "from the hostfrom the host"
            );
            say(&container, "echo new > /srv/new; mkdir /srv/mine").await;
            let made = container.commit(&wanted, Some(&name), None).await.unwrap();
            check(&bench, &made, &wanted, &made.config.layers);
            assert_eq!(top_layer(&bench, &made, name.as_str()).await, ["srv/mine", "srv/new"]);
            bench.engine.remove_image(name.as_str()).await.unwrap();
        })
        .await;
    // Where nothing else changed there is no layer.
    let spec = ContainerSpec { volumes: vec![volume(&shared, "/opt/note")], ..bench.spec() };
    bench
        .with(&spec, async |container| {
            let made = container.commit(&wanted, None, None).await.unwrap();
            assert_eq!(made.config.layers, bench.image.config.layers);
            wanted.history.last_mut().unwrap().empty_layer = true;
            check(&bench, &made, &wanted, &bench.image.config.layers);
            bench.engine.remove_image(&made.id.to_string()).await.unwrap();
        })
        .await;
}

pub(crate) async fn a_container_without_changes_is_committed<E: Engine>(bench: Bench<E>) {
    let mut wanted = wanted(&bench, |config| config.cmd = None);
    bench
        .with(&bench.spec(), async |container| {
            let made = container.commit(&wanted, None, None).await.unwrap();
            // An empty layer is no layer.
            assert_eq!(made.config.layers, bench.image.config.layers);
            wanted.history.last_mut().unwrap().empty_layer = true;
            check(&bench, &made, &wanted, &bench.image.config.layers);
            bench.engine.remove_image(&made.id.to_string()).await.unwrap();
            // A stopped container as well.
            container.stop(std::time::Duration::from_secs(10)).await.unwrap();
            let made =
                container.commit(&ImageConfig { history: Vec::new(), ..config() }, None, None).await.unwrap();
            assert_eq!(made.config.layers, bench.image.config.layers);
            bench.engine.remove_image(&made.id.to_string()).await.unwrap();
        })
        .await;
}

pub(crate) async fn nothing_else_stays_in_the_store<E: Engine>(bench: Bench<E>) {
    bench
        .with(&bench.spec(), async |container| {
            say(&container, "echo once > /srv/once").await;
            let first =
                container.commit(&wanted(&bench, |config| config.cmd = None), None, None).await.unwrap();
            let again =
                container.commit(&wanted(&bench, |config| config.cmd = None), None, None).await.unwrap();
            // Same files and same metadata are the same image: no time and no temporary id went in.
            assert_eq!(first, again);
            bench.engine.remove_image(&first.id.to_string()).await.unwrap();
            assert_eq!(bench.engine.image(&first.id.to_string()).await.unwrap(), None);
            assert!(bench.engine.image(&bench.image.id.to_string()).await.unwrap().is_some());
        })
        .await;
}

/// Makes the same changes in a container of its own and commits them.
async fn made_of_equal_changes<E: Engine>(bench: &Bench<E>, newest: Option<i64>) -> ImageRecord {
    let mut made = None;
    bench
        .with(&bench.spec(), async |container| {
            let script = "echo new > /srv/new; ln /srv/new /srv/again; ln -s new /srv/link; mkdir -p /srv/a/b; \
                rm /etc/group; touch -d '2001-02-03 04:05:06' /srv/old; touch -d '2100-01-01 00:00:00' /srv/ahead";
            say(&container, script).await;
            let wanted = wanted(bench, |config| config.cmd = None);
            made = Some(container.commit(&wanted, None, newest).await.unwrap());
        })
        .await;
    // The next one is made in another second.
    tokio::time::sleep(std::time::Duration::from_millis(1100)).await;
    made.unwrap()
}

pub(crate) async fn equal_changes_make_an_equal_image_at_any_time<E: Engine>(bench: Bench<E>) {
    const NEWEST: i64 = 1_600_000_000;
    if !bench.engine.capabilities().newest_time {
        return;
    }
    let first = made_of_equal_changes(&bench, Some(NEWEST)).await;
    let again = made_of_equal_changes(&bench, Some(NEWEST)).await;
    assert_eq!(first, again);
    bench
        .with(&spec(first.id), async |container| {
            let times = say(&container, "cd /srv; stat -c %Y . new again link a/b ahead old").await;
            assert_eq!(times, format!("{}981173106", format!("{NEWEST}\n").repeat(6)));
        })
        .await;
    // Without it they are what they were.
    let other = made_of_equal_changes(&bench, None).await;
    assert_ne!(first, other);
    bench
        .with(&spec(other.id), async |container| {
            assert_eq!(say(&container, "stat -c %Y /srv/ahead").await, "4102444800");
        })
        .await;
    for made in [first, other] {
        bench.engine.remove_image(&made.id.to_string()).await.unwrap();
    }
}
