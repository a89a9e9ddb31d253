//! Several processes at work in one store.

use std::{
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use takelage_model::Digest;

use super::fixture::{Bench, archive, check_whole, noise, reference, tar};
use crate::{
    ImageId,
    embedded::store::{Fetch, Store},
};

/// How children of the test learn what to do.
const TASK: &str = "TAKELAGE_STORE_TEST";

/// Runs a test of this program, one that waits to be run so, as a process of its own.
pub(super) fn child(test: &str, task: &str) -> Child {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", &format!("embedded::store::tests::{test}"), "--ignored", "--nocapture"]);
    command.env(TASK, task).stdout(Stdio::null()).stderr(Stdio::inherit()).spawn().unwrap()
}

/// Returns what this process was started for.
#[expect(clippy::disallowed_methods, reason = "the test is its own caller")]
pub(super) fn task() -> String {
    std::env::var(TASK).expect("it is run by another test")
}

#[tokio::test]
#[ignore = "a part of many_processes_do_not_get_in_each_others_way"]
async fn busy() {
    let task = task();
    let (number, base) = task.split_once(' ').unwrap();
    let number: u32 = number.parse().unwrap();
    let base = std::path::Path::new(base);
    let store = Store::open(base, super::fixture::Simple::default()).await.unwrap();
    let scratch = tempfile::tempdir().unwrap();
    let end = Instant::now() + Duration::from_secs(2);
    let mut round = number;
    while Instant::now() < end {
        // Few contents, so that all want the same at the same time, and one removes what another adds.
        let layers = [tar("base", &noise(1, 100_000)), tar("top", &noise(round % 3, 1000))];
        let name = reference(&format!("shared:{}", round % 2));
        let image = store.load(archive(scratch.path(), &layers).named(Some(&name))).await.unwrap();
        match store.layer_trees(image.id).await {
            Ok(trees) => {
                for tree in &trees.paths {
                    assert_eq!(fs_err::read_dir(tree).unwrap().count(), 1);
                }
                tokio::task::yield_now().await;
                assert!(trees.paths.iter().all(|tree| tree.is_dir()));
            }
            // Another took its name and removed it.
            Err(error) => assert!(gone(&error), "{error:?}"),
        }
        match round % 5 {
            0 => drop(store.gc().await.unwrap()),
            1 => store.remove(&image.id.to_string()).await.unwrap(),
            2 => drop(store.usage().await.unwrap()),
            _ => drop(store.image(name.as_str()).await.unwrap()),
        }
        round += 7;
    }
}

fn gone(error: &crate::embedded::store::StoreError) -> bool {
    matches!(error, crate::embedded::store::StoreError::NoSuchImage(_))
}

#[tokio::test]
async fn many_processes_do_not_get_in_each_others_way() {
    let directory = tempfile::tempdir().unwrap();
    let start = |number: i32| child("together::busy", &format!("{number} {}", directory.path().display()));
    for mut child in (0..4).map(start).collect::<Vec<_>>() {
        assert!(child.wait().unwrap().success());
    }
    check_whole(directory.path()).await;
}

#[tokio::test]
async fn a_blob_is_fetched_by_one_while_others_wait() {
    let bench = Bench::new().await;
    let content = noise(13, 3000);
    let digest = Digest::of(&content);
    let _lease = bench.store.lease(vec![digest]).await.unwrap();
    let Fetch::Missing(mut partial) = bench.store.fetch(digest, 3000, false).await.unwrap() else { panic!() };
    let other = bench.another().await;
    let waiting = tokio::spawn(async move { other.fetch(digest, 3000, false).await.unwrap() });
    tokio::time::sleep(Duration::from_millis(50)).await;
    assert!(!waiting.is_finished());
    partial.write(&content).await.unwrap();
    partial.finish().await.unwrap();
    drop(partial);
    assert!(matches!(waiting.await.unwrap(), Fetch::Present));
}

#[tokio::test]
async fn changes_of_names_are_not_lost() {
    let bench = Bench::new().await;
    let image = bench.load(&[tar("a", b"1")], Some("first")).await;
    let stores = [bench.store.clone(), bench.another().await, bench.another().await];
    let tag = async |store: &Store, id: ImageId, number: usize| {
        store.tag(id, &reference(&format!("name:{number}"))).await.unwrap();
    };
    let work = (0..60).map(|number| tag(&stores[number % 3], image.id, number));
    futures_util::future::join_all(work).await;
    assert_eq!(bench.store.image("first").await.unwrap().unwrap().tags.len(), 61);
}
