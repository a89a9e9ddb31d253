//! A full disk and a daemon that dies: what is told, and that the next run does not trip over what remains.

use insta::assert_snapshot;

use crate::{
    harbour::Harbour,
    need_everything,
    proxy::{Disturbance, Proxy},
};

#[test]
fn docker_the_disk_is_full_while_committing() {
    need_everything!();
    let mut harbour = Harbour::new("e2e-full");
    let proxy = Proxy::start(harbour.directory(), "POST", "/commit", Disturbance::DiskFull);
    harbour.set("DOCKER_HOST", &proxy.endpoint);
    let run = harbour.run(&["--no-cache", "produce"]);
    assert!(proxy.happened());
    assert_snapshot!(run, @r#"
    status: 3
    --- stderr ---
    e2e-full: produce app with docker [VERSION], because it answers (takelage 0.1.0)
    app: resolve ...
    app: resolve: done in [TIME] (takelwerk/takelslim:latest is [ID])
    app: create ...
    app: create: done in [TIME] (takelage-e2e-full-[PLACE]-app-produce-[ID])
    app: prepare ...
    app: prepare: skipped (/usr/bin/python3 is there)
    app: converge ...
    app: converge: changed: write the greeting
    app: converge: changed: open the harbour
    app: converge: done in [TIME] (2 tasks, 2 changed)
    app: commit ...
    error: app: commit failed after [TIME]: cannot commit container `takelage-e2e-full-[PLACE]-app-produce-[ID]`: the engine's disk is full

    hint: make room, for example with `docker image prune`, and run it again

    note: the container of `app` that failed is removed

    hint: keep it with `--on-failure keep`, or work in one with `takelage develop app`

    image  step      result  took  details
    app    resolve   done  [TIME]
           create    done  [TIME]
           prepare   skipped
           converge  done  [TIME]  2 tasks: 2 changed
           commit    failed  [TIME]

    failed: app: commit: cannot commit container `takelage-e2e-full-[PLACE]-app-produce-[ID]`: the engine's disk is full

    e2e-full: produce stopped after [TIME] (2 tasks: 2 changed)
    "#);
    harbour.assert_nothing_remains_but(&[]);
    // There is room again.
    harbour.succeed(&["test"]);
    harbour.assert_nothing_remains_but(&[]);
}

#[test]
fn docker_the_daemon_dies_while_the_playbook_runs() {
    need_everything!();
    let mut harbour = Harbour::new("e2e-dies");
    let proxy = Proxy::start(harbour.directory(), "POST", "/exec/", Disturbance::Death);
    harbour.set("DOCKER_HOST", &proxy.endpoint);
    let run = harbour.run(&["produce"]);
    assert!(proxy.happened());
    assert_snapshot!(run, @r#"
    status: 3
    --- stderr ---
    e2e-dies: produce app with docker [VERSION], because it answers (takelage 0.1.0)
    app: resolve ...
    app: resolve: done in [TIME] (takelwerk/takelslim:latest is [ID])
    app: create ...
    app: create: done in [TIME] (takelage-e2e-dies-[PLACE]-app-produce-[ID])
    app: prepare ...
    error: app: prepare failed after [TIME]: the engine at `unix://[DIR]/proxy.sock` went away: takelage could not run a command in container `takelage-e2e-dies-[PLACE]-app-produce-[ID]`

    hint: see whether it runs, with `takelage doctor`; the next run removes what this one left

    warning: `takelage-e2e-dies-[PLACE]-app-produce-[ID]` could not be removed

    hint: the next run removes it

    image  step     result  took  details
    app    resolve  done  [TIME]
           create   done  [TIME]
           prepare  failed  [TIME]

    failed: app: prepare: the engine at `unix://[DIR]/proxy.sock` went away: takelage could not run a command in container `takelage-e2e-dies-[PLACE]-app-produce-[ID]`

    e2e-dies: produce stopped after [TIME]
    "#);
    let left = harbour.containers();
    assert_eq!(left.len(), 1, "nobody could remove it");
    harbour.set("DOCKER_HOST", "unix:///var/run/docker.sock");
    harbour.succeed(&["test"]);
    harbour.assert_nothing_remains_but(&[]);
}

#[test]
fn docker_the_daemon_dies_while_committing() {
    need_everything!();
    let mut harbour = Harbour::new("e2e-dies-commit");
    let proxy = Proxy::start(harbour.directory(), "POST", "/commit", Disturbance::Death);
    harbour.set("DOCKER_HOST", &proxy.endpoint);
    let run = harbour.run(&["--no-cache", "produce"]);
    assert!(proxy.happened());
    assert_snapshot!(run, @r#"
    status: 3
    --- stderr ---
    e2e-dies-commit: produce app with docker [VERSION], because it answers (takelage 0.1.0)
    app: resolve ...
    app: resolve: done in [TIME] (takelwerk/takelslim:latest is [ID])
    app: create ...
    app: create: done in [TIME] (takelage-e2e-dies-commit-[PLACE]-app-produce-[ID])
    app: prepare ...
    app: prepare: skipped (/usr/bin/python3 is there)
    app: converge ...
    app: converge: changed: write the greeting
    app: converge: changed: open the harbour
    app: converge: done in [TIME] (2 tasks, 2 changed)
    app: commit ...
    error: app: commit failed after [TIME]: the engine at `unix://[DIR]/proxy.sock` went away: takelage could not commit container `takelage-e2e-dies-commit-[PLACE]-app-produce-[ID]`

    hint: see whether it runs, with `takelage doctor`; the next run removes what this one left

    warning: `takelage-e2e-dies-commit-[PLACE]-app-produce-[ID]` could not be removed

    hint: the next run removes it

    image  step      result  took  details
    app    resolve   done  [TIME]
           create    done  [TIME]
           prepare   skipped
           converge  done  [TIME]  2 tasks: 2 changed
           commit    failed  [TIME]

    failed: app: commit: the engine at `unix://[DIR]/proxy.sock` went away: takelage could not commit container `takelage-e2e-dies-commit-[PLACE]-app-produce-[ID]`

    e2e-dies-commit: produce stopped after [TIME] (2 tasks: 2 changed)
    "#);
    harbour.set("DOCKER_HOST", "unix:///var/run/docker.sock");
    harbour.succeed(&["produce"]);
    harbour.assert_nothing_remains_but(&[]);
}
