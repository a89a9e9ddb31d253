//! Producing and testing, interrupted and killed at every level.

use rustix::process::{Pid, Signal};

use crate::{harbour::Harbour, need_everything};

const SLOW: &str = "- name: wait for wind\n  ansible.builtin.command: sleep 600";

#[test]
fn embedded_an_image_is_produced_tested_and_known_again() {
    need_everything!();
    let harbour = Harbour::new("e2e-embedded");
    let run = harbour.succeed(&["test"]);
    assert!(run.stderr.contains("with embedded engine"), "{run}");
    assert!(run.stderr.contains("1 passed"), "{run}");
    harbour.assert_nothing_remains();
    let again = harbour.succeed(&["test"]);
    assert!(again.stderr.contains("is up to date"), "{again}");
    let list = harbour.succeed(&["list", "--json"]);
    assert!(list.stdout.contains("\"state\": \"produced\""), "{list}");
    let pruned = harbour.succeed(&["prune", "--json"]);
    let pruned: serde_json::Value = serde_json::from_str(&pruned.stdout).unwrap();
    let names = pruned["images"].to_string();
    assert!(names.contains("takelage-e2e/e2e-embedded:1"), "{pruned:#}");
    // What has a name is still there.
    let known = harbour.succeed(&["test"]);
    assert!(known.stderr.contains("is up to date"), "{known}");
}

#[test]
fn embedded_develop_keeps_a_container_that_outlives_takelage() {
    need_everything!();
    let harbour = Harbour::new("e2e-embedded-dev");
    harbour.succeed(&["develop"]);
    let groups = Harbour::groups(&harbour.containers()[0]);
    let shell = harbour.succeed(&["shell", "--", "cat", "/greeting"]);
    assert_eq!(shell.stdout, "ahoy\n");
    assert_eq!(harbour.start_reading(&["shell"], "cat /greeting\n").finish().stdout, "ahoy\n");
    let again = harbour.succeed(&["develop", "--live"]);
    assert!(again.stderr.contains("is there"), "{again}");
    let id = harbour.containers().remove(0);
    harbour.succeed(&["destroy"]);
    harbour.assert_nothing_remains();
    assert!(!groups.is_empty() && Harbour::groups(&id).is_empty(), "{groups:?}");
}

#[test]
fn embedded_an_interrupt_leaves_nothing() {
    need_everything!();
    let harbour = Harbour::new("e2e-embedded-int");
    harbour.tasks(SLOW);
    let mut run = harbour.start(&["produce"]);
    run.wait_for_task("wait for wind");
    let id = harbour.containers().remove(0);
    run.signal(Signal::INT);
    let run = run.finish();
    assert_eq!(run.status, Some(130), "{run}");
    assert_eq!(run.events.last().unwrap()["exit"], "interrupted");
    harbour.assert_nothing_remains();
    assert!(Harbour::groups(&id).is_empty());
}

#[test]
fn embedded_an_interrupt_while_the_container_is_created_leaves_nothing() {
    need_everything!();
    let harbour = Harbour::new("e2e-embedded-early");
    let mut run = harbour.start(&["produce"]);
    run.wait_for_step("create");
    run.signal(Signal::INT);
    let run = run.finish();
    assert_eq!(run.status, Some(130), "{run}");
    harbour.assert_nothing_remains();
}

#[test]
fn embedded_what_a_killed_run_left_goes_with_the_next() {
    need_everything!();
    let harbour = Harbour::new("e2e-embedded-kill");
    harbour.tasks(SLOW);
    let mut run = harbour.start(&["produce"]);
    run.wait_for_task("wait for wind");
    let id = harbour.containers().remove(0);
    run.signal(Signal::KILL);
    run.finish();
    assert_eq!(harbour.containers().len(), 1, "nobody could remove it");
    harbour.tasks("- name: sail\n  ansible.builtin.command: \"true\"");
    harbour.succeed(&["test"]);
    harbour.assert_nothing_remains();
    assert!(Harbour::groups(&id).is_empty());
}

#[test]
fn embedded_a_container_whose_monitor_is_killed_fails_the_run_clearly() {
    need_everything!();
    let harbour = Harbour::new("e2e-embedded-monitor");
    harbour.tasks(SLOW);
    let mut run = harbour.start(&["produce"]);
    run.wait_for_task("wait for wind");
    rustix::process::kill_process(Pid::from_raw(harbour.monitor()).unwrap(), Signal::KILL).unwrap();
    let run = run.finish();
    assert!(matches!(run.status, Some(1 | 3)), "{run}");
    assert!(run.stderr.contains("gone") || run.stderr.contains("unreachable"), "{run}");
    harbour.assert_nothing_remains();
}

#[test]
fn embedded_is_taken_where_no_docker_answers_and_says_so() {
    need_everything!();
    let mut harbour = Harbour::new("e2e-embedded-auto");
    let file = fs_err::read_to_string(harbour.root().join("takelage.yml")).unwrap();
    harbour.write("takelage.yml", &file.replace("engine: embedded\n", ""));
    harbour.set("DOCKER_HOST", "unix:///nonexistent.sock");
    let doctor = harbour.run(&["doctor"]);
    let reason = "because no Docker engine answers at `unix:///nonexistent.sock`";
    assert!(doctor.stdout.contains("embedded engine") && doctor.stdout.contains(reason), "{doctor}");
}
