//! What the store writes, Docker loads, and the other way round.

use std::process::{Command, Stdio};

use takelage_testkit::skip;

use super::fixture::{Bench, noise, reference, tar};
use crate::ArchiveFormat;

/// Runs Docker's own client. `None`: it is not there, or no daemon answers.
fn docker(arguments: &[&str]) -> Option<String> {
    let output = Command::new("docker").args(arguments).output().ok()?;
    output.status.success().then(|| String::from_utf8(output.stdout).unwrap().trim().to_owned())
}

#[tokio::test]
async fn docker_loads_what_is_saved_and_the_store_what_docker_saves() {
    if docker(&["version"]).is_none() {
        skip!("no Docker daemon answers");
    }
    let bench = Bench::new().await;
    let name = format!("takelage-enginetest/store:{}", std::process::id());
    let layers = [tar("a", b"one"), tar("b", &noise(12, 200_000)), tar("a", b"one")];
    let made = bench.load(&layers, Some(&name)).await;
    let path = bench.directory.path().join("image.tar");
    bench.save(std::slice::from_ref(&name), ArchiveFormat::Docker, &path).await.unwrap();
    bench.store.remove(&name).await.unwrap();
    docker(&["load", "--input", path.to_str().unwrap()]).expect("Docker loads the archive");
    let inspected = docker(&["image", "inspect", "--format", "{{.Id}}", &name]);
    let mut saved = tokio::process::Command::new("docker");
    let mut saved = saved.args(["save", &name]).stdout(Stdio::piped()).spawn().unwrap();
    let stream = saved.stdout.take().unwrap();
    let loaded = bench.store.load_stream(stream, Some(&reference("from-docker"))).await;
    assert!(saved.wait().await.unwrap().success());
    docker(&["rmi", &name]).unwrap();
    assert_eq!(inspected, Some(made.id.to_string()));
    let loaded = loaded.unwrap();
    assert_eq!((loaded.id, loaded.config), (made.id, made.config));
    assert_eq!(loaded.tags, ["from-docker:latest"]);
}
