//! Ctrl-C in each step, twice, and `kill -9`: what is told, and what remains.

use std::time::{Duration, Instant};

use insta::assert_snapshot;
use rustix::process::Signal;

use crate::{
    harbour::Harbour,
    need_everything,
    proxy::{Disturbance, Proxy},
    support::Finished,
};

const SLOW: &str = "- name: wait for wind\n  ansible.builtin.command: sleep 600";

/// Interrupts `verb` once a step began, and checks that everything is gone but `kept`.
fn interrupt(harbour: &Harbour, verb: &str, step: &str, kept: &[String]) -> Finished {
    let mut run = harbour.start(&[verb]);
    if step == "converge" {
        run.wait_for_task("wait for wind");
    } else {
        run.wait_for_step(step);
    }
    run.signal(Signal::INT);
    let asked = Instant::now();
    let run = run.finish();
    assert_eq!(run.status, Some(130), "{run}");
    assert!(asked.elapsed() < Duration::from_secs(30), "took {:?}: {run}", asked.elapsed());
    assert_eq!(run.events.last().unwrap()["exit"], "interrupted");
    harbour.assert_nothing_remains_but(kept);
    run
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
    e2e-int-converge: produce app with docker [VERSION], the only engine of this version (takelage 0.1.0)
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
                while !proxy.happened() {
                    std::thread::sleep(Duration::from_millis(20));
                }
                std::thread::sleep(Duration::from_millis(500));
                run.signal(Signal::INT);
                let run = run.finish();
                assert_eq!(run.status, Some(130), "{run}");
                harbour.assert_nothing_remains_but(&[]);
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
    while !proxy.happened() {
        std::thread::sleep(Duration::from_millis(20));
    }
    // A commit is waited for, because half of one would remain; this one never ends.
    run.signal(Signal::INT);
    run.wait_for("the warning", |event| event["event"] == "note" && event["level"] == "warning");
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
