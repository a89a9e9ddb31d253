//! Volumes with names.

use std::process::Command;

use takelage_engine::{Container, ContainerSpec, Engine, History, ImageId, Volume};

use crate::base::{Bench, LABEL, say, sh, spec};

/// A volume that goes with the test, where Docker has it. Other engines' stores go with the directory that they are in.
struct Named(String);

impl Drop for Named {
    fn drop(&mut self) {
        let _ = Command::new("docker").args(["volume", "rm", "--force", &self.0]).output();
    }
}

fn volume(source: &str, target: &str, read_only: bool) -> Volume {
    Volume { source: source.to_owned(), target: target.to_owned(), read_only }
}

/// An image with a directory `/srv/data` that has a file and belongs to somebody.
async fn with_data<E: Engine>(bench: &Bench<E>) -> ImageId {
    let container = bench.engine.create(&bench.spec()).await.unwrap();
    let script =
        "mkdir /srv/data && echo image > /srv/data/note && chown 7:8 /srv/data && chmod 750 /srv/data";
    say(&container, script).await;
    let mut config = bench.image.config.clone();
    config.history.push(History::default());
    // Nobody else has the same.
    config.labels.insert(LABEL.to_owned(), container.name().to_owned());
    let image = container.commit(&config, None, None).await.unwrap();
    container.remove().await.unwrap();
    image.id
}

pub(crate) async fn a_volume_is_filled_once_and_kept<E: Engine>(bench: Bench<E>) {
    let image = with_data(&bench).await;
    let named = Named(format!("{}-volume", bench.spec().name));
    let volumes = |target: &str, read_only| vec![volume(&named.0, target, read_only)];
    let first = ContainerSpec { volumes: volumes("/srv/data", false), ..spec(image) };
    bench
        .with(&first, async |container| {
            let script = "cat /srv/data/note; stat -c '%u:%g %a' /srv/data; echo own > /srv/data/own; rm /srv/data/note";
            assert_eq!(say(&container, script).await, "image\n7:8 750");
        })
        .await;
    let second = ContainerSpec { volumes: volumes("/srv/data", true), ..spec(image) };
    let elsewhere = ContainerSpec { volumes: volumes("/mnt/deep", false), ..bench.spec() };
    bench
        .with(&second, async |reader| {
            assert_eq!(say(&reader, "ls /srv/data; cat /srv/data/own").await, "own\nown");
            assert_ne!(sh(&reader, "echo x > /srv/data/new").await.status, 0);
            bench
                .with(&elsewhere, async |writer| {
                    say(&writer, "echo new > /mnt/deep/new").await;
                    assert_eq!(say(&reader, "cat /srv/data/new").await, "new");
                })
                .await;
        })
        .await;
    bench.engine.remove_image(&image.to_string()).await.unwrap();
}

pub(crate) async fn what_is_no_volume_is_refused<E: Engine>(bench: Bench<E>) {
    let spec = ContainerSpec { volumes: vec![volume("../up", "/mnt", false)], ..bench.spec() };
    let error = bench.engine.create(&spec).await.err().unwrap();
    assert!(format!("{error:?}").contains("../up"), "{error:?}");
    assert!(bench.engine.containers(&spec.labels).await.unwrap().is_empty());
}
