//! Ctrl-C in each step, twice, and `kill -9`: what is told, and what remains.

use std::{
    os::unix::fs::PermissionsExt,
    time::{Duration, Instant},
};

use insta::assert_snapshot;
use rustix::process::Signal;
use serde_json::Value;

use crate::{
    daemon::{BASE, can},
    harbour::{Harbour, PLAYBOOK},
    need_everything,
    proxy::{Disturbance, Proxy},
    running::PATIENCE,
    support::Finished,
};

/// An image without Python.
const PLAIN: &str = "debian:bookworm-slim";

const SLOW: &str = "- name: wait for wind\n  ansible.builtin.command: sleep 600";

/// Interrupts `verb` once a step began, and checks that everything is gone but `kept`.
fn interrupt(harbour: &Harbour, verb: &str, step: &str, kept: &[String]) -> Finished {
    let mut run = harbour.start(&[verb]);
    if step == "converge" {
        run.wait_for_task("wait for wind");
        // What comes before it may have come from memory, so that there is a container only now.
        let look = "grep -qas '[s]leep.600' /proc/[0-9]*/cmdline";
        let runs = |name: &String| can(&["exec", name, "sh", "-c", look]);
        while !harbour.containers().iter().any(runs) {
            std::thread::sleep(Duration::from_millis(50));
        }
    } else {
        run.wait_for_step(step);
    }
    run.interrupt(harbour, kept)
}

fn is_warning(event: &Value) -> bool {
    event["event"] == "note" && event["level"] == "warning"
}

#[test]
fn docker_interrupted_while_the_playbook_runs() {
    need_everything!();
    let harbour = Harbour::new("e2e-int-converge");
    harbour.tasks(SLOW);
    let run = interrupt(&harbour, "produce", "converge", &[]);
    assert_snapshot!(run, @r#"
    status: 130
    --- stderr ---
    e2e-int-converge: produce app with docker [VERSION], because it answers (takelage 0.1.0)
    app: resolve ...
    app: resolve: done in [TIME] (takelwerk/takelslim:latest is [ID])
    app: create ...
    app: create: done in [TIME] (takelage-e2e-int-converge-[PLACE]-app-produce-[ID])
    app: prepare ...
    app: prepare: skipped (/usr/bin/python3 is there)
    app: converge ...
    warning: interrupted: stopping and cleaning up

    hint: press Ctrl-C again to stop at once; the next run cleans up then

    app: converge: interrupted after [TIME]

    image  step      result  took  details
    app    resolve   done  [TIME]
           create    done  [TIME]
           prepare   skipped
           converge  interrupted  [TIME]

    e2e-int-converge: produce interrupted after [TIME]
    "#);
    // What `develop` keeps stays, and is named.
    let run = interrupt(&harbour, "develop", "converge", &[harbour.kept()]);
    assert!(run.stderr.contains(&format!("container {} is kept", harbour.kept())), "{run}");
    harbour.tasks("- name: sail\n  ansible.builtin.copy: {content: \"ahoy\\n\", dest: /greeting}");
    harbour.succeed(&["develop"]);
    harbour.tasks(SLOW);
    interrupt(&harbour, "idempotence", "converge", &[harbour.kept()]);
}

#[test]
fn docker_interrupted_while_python_is_installed() {
    need_everything!();
    if !can(&["image", "inspect", PLAIN]) {
        takelage_testkit::skip!("there is no image `{PLAIN}`; `.ci/setup` makes it");
    }
    let file = format!(
        "name: e2e-int-prepare\nimages:\n  app:\n    from: {PLAIN}\n    playbook: app.yml\n    \
         container: {{volumes: ['./apt-get:/usr/bin/apt-get:ro']}}\n"
    );
    let harbour = Harbour::with_file("e2e-int-prepare", &file);
    harbour.write("apt-get", "#!/bin/sh\necho rowing\nexec sleep 600\n");
    fs_err::set_permissions(harbour.root().join("apt-get"), PermissionsExt::from_mode(0o755)).unwrap();
    let rowing = |event: &Value| event["event"] == "output" && event["line"] == "rowing";
    for (verb, kept) in [("produce", vec![]), ("prepare", vec![harbour.kept()])] {
        let mut run = harbour.start(&[verb]);
        run.wait_for("the package manager", rowing);
        run.interrupt(&harbour, &kept);
    }
}

#[test]
fn docker_interrupted_while_the_daemon_pulls() {
    need_everything!();
    let file = "name: e2e-int-pull\nimages: {app: {from: 'localhost:1/takelage-e2e/nowhere:1', playbook: app.yml}}\n";
    let mut harbour = Harbour::with_file("e2e-int-pull", file);
    let proxy = Proxy::start(harbour.directory(), "POST", "/images/create", Disturbance::Silence);
    harbour.set("DOCKER_HOST", &proxy.endpoint);
    let run = harbour.start(&["produce"]);
    proxy.wait();
    run.interrupt(&harbour, &[]);
}

#[test]
fn docker_interrupted_twice_where_the_daemon_is_waited_for() {
    need_everything!();
    // These take the daemon no time, so that one that works is waited for; this one never answers.
    for (name, verb, method, path) in [
        ("e2e-int-tag", "produce", "POST", "/tag?"),
        ("e2e-int-destroy", "destroy", "DELETE", "/containers/"),
    ] {
        let mut harbour = Harbour::new(name);
        harbour.succeed(&["create"]);
        let proxy = Proxy::start(harbour.directory(), method, path, Disturbance::Silence);
        harbour.set("DOCKER_HOST", &proxy.endpoint);
        let mut run = harbour.start(&[verb]);
        proxy.wait();
        run.signal(Signal::INT);
        run.wait_for("the warning", is_warning);
        run.signal(Signal::INT);
        assert_eq!(run.finish().status, Some(130));
        let run = harbour.succeed(&["destroy"]);
        let left = run.events.iter().any(|event| event["level"] == "warning");
        assert!(!left, "{run}");
        harbour.assert_nothing_remains_but(&[]);
        harbour.succeed(&["test"]);
        harbour.assert_nothing_remains_but(&[]);
    }
}

#[test]
fn docker_interrupted_while_checks_run() {
    need_everything!();
    let harbour = Harbour::new("e2e-int-verify");
    let slow = "import time\n\ndef test_slow(host):\n    host.run('touch /tmp/began')\n    time.sleep(600)\n";
    harbour.write("tests/test_app.py", slow);
    interrupt(&harbour, "test", "verify", &[]);
}

#[test]
fn docker_interrupted_while_a_container_is_created() {
    need_everything!();
    for (path, name) in [("/containers/create", "e2e-int-create"), ("/start", "e2e-int-start")] {
        let mut harbour = Harbour::new(name);
        // The daemon does it, but takelage does not learn of it before it is interrupted.
        let proxy = Proxy::start(harbour.directory(), "POST", path, Disturbance::Silence);
        harbour.set("DOCKER_HOST", &proxy.endpoint);
        for (verb, kept) in [("produce", vec![]), ("develop", vec![harbour.kept()])] {
            let mut run = harbour.start(&[verb]);
            run.wait_for_step("create");
            if verb == "produce" {
                proxy.wait();
                std::thread::sleep(Duration::from_millis(500));
                run.interrupt(&harbour, &[]);
            } else {
                assert_eq!(run.finish().status, Some(0));
                harbour.assert_nothing_remains_but(&kept);
            }
        }
    }
}

#[test]
fn docker_interrupted_while_committing_once_and_twice() {
    need_everything!();
    let harbour = Harbour::new("e2e-int-commit");
    interrupt(&harbour, "produce", "commit", &[]);

    let mut harbour = harbour;
    let proxy = Proxy::start(harbour.directory(), "POST", "/commit", Disturbance::Silence);
    harbour.set("DOCKER_HOST", &proxy.endpoint);
    let mut run = harbour.start(&["produce", "--no-cache"]);
    run.wait_for_step("commit");
    proxy.wait();
    // A commit is waited for, because half of one would remain; this one never ends.
    run.signal(Signal::INT);
    run.wait_for("the warning", is_warning);
    assert!(run.child.try_wait().unwrap().is_none());
    run.signal(Signal::INT);
    let asked = Instant::now();
    let run = run.finish();
    assert!(asked.elapsed() < Duration::from_secs(5), "took {:?}: {run}", asked.elapsed());
    assert_eq!(run.status, Some(130), "{run}");
    assert_eq!(harbour.containers().len(), 1, "there was no time");

    let run = harbour.succeed(&["produce"]);
    assert!(run.stderr.contains("which an interrupted run had left"), "{run}");
    harbour.assert_nothing_remains_but(&[]);
}

#[test]
fn docker_killed_and_run_again() {
    need_everything!();
    let harbour = Harbour::new("e2e-killed");
    harbour.tasks(SLOW);
    let mut run = harbour.start(&["produce"]);
    run.wait_for_task("wait for wind");
    run.signal(Signal::KILL);
    assert_eq!(run.finish().status, None);
    let left = harbour.containers();
    assert_eq!(left.len(), 1);

    harbour.tasks("- name: sail\n  ansible.builtin.copy: {content: \"ahoy\\n\", dest: /greeting}");
    let run = harbour.succeed(&["test"]);
    assert!(
        run.stderr.contains(&format!("removed `{}`, which an interrupted run had left", left[0])),
        "{run}"
    );
    harbour.assert_nothing_remains_but(&[]);
}

#[test]
fn docker_killed_while_committing_and_run_again() {
    need_everything!();
    let file = format!(
        "name: e2e-killed-commit\nimages:\n  app:\n    from: {BASE}\n    layers: [system, app]\n    \
         tags: ['takelage-e2e/e2e-killed-commit:1']\n"
    );
    // The daemon does it, but nobody is there to learn of it: an image of the container, then also one of a layer.
    for (path, images) in [("/commit", 1), ("/images/load", 2)] {
        let mut harbour = Harbour::with_file("e2e-killed-commit", &file);
        harbour.write("playbook-system.yml", PLAYBOOK);
        harbour.write(
            "playbook-app.yml",
            &PLAYBOOK.replace("/greeting", "/farewell").replace("/harbour", "/quay"),
        );
        let proxy = Proxy::start(harbour.directory(), "POST", path, Disturbance::Silence);
        harbour.set("DOCKER_HOST", &proxy.endpoint);
        let run = harbour.start(&["--no-cache", "produce"]);
        proxy.wait();
        let deadline = Instant::now() + PATIENCE;
        while harbour.interim_images().len() < images {
            assert!(Instant::now() < deadline, "{path}: {:?}", harbour.interim_images());
            std::thread::sleep(Duration::from_millis(50));
        }
        run.signal(Signal::KILL);
        assert_eq!(run.finish().status, None);

        let run = harbour.succeed(&["produce"]);
        assert!(run.stderr.contains("removed the image "), "{path}: {run}");
        assert_eq!(harbour.interim_images(), Vec::<String>::new(), "{path}");
        harbour.assert_nothing_remains_but(&[]);
    }
}
