//! What people read.

use insta::assert_snapshot;
use proptest::prelude::*;
use takelage_model::event::{Event, EventKind, Level, Op, Outcome, TaskOutput, TaskStatus};
use takelage_report::{Style, Terminal};

use crate::streams::{self, Paper, Recorder, step};

fn shown_in(style: Style, events: &[Event]) -> String {
    let paper = Paper::default();
    let mut terminal = Terminal::new(style, Box::new(paper.clone()));
    for event in events {
        terminal.handle(event).unwrap();
    }
    paper.text()
}

fn shown(verbosity: i8, events: &[Event]) -> String {
    shown_in(Style { verbosity, ..Style::default() }, events)
}

#[test]
fn two_images_are_produced() {
    assert_snapshot!(shown(0, &streams::produced()), @r"
    harbour: produce base, app with docker 20.10.24 (takelage 0.1.0)
    base: resolve ...
    base: resolve: cached (pinned before)
    base: converge ...
    base: converge: changed: base : install packages (0.8 s)
    base: converge: done in 2.3 s (2 tasks, 1 changed)
    base: commit ...
    base: commit: done in 2.3 s
    base: image cae662172fd4 (85.30 MB): harbour/base:latest
    app: converge (system) ...
    app: converge (system): changed: nginx : install (0.8 s)
    app: converge (system): done in 2.3 s (1 task, 1 changed)
    app: verify ...
    app: verify: skipped: tests/test_app.py::TestWeb::test_tls (no certificate)
    app: verify: done in 2.3 s (1 passed, 1 skipped)
    app: image a172cedcae47 (310.20 MB): registry.example/app:1.2, app:latest

    image  step               result   took  details
    base   resolve            cached  2.3 s
           converge           done    2.3 s  2 tasks: 1 ok, 1 changed
           commit             done    2.3 s
    app    converge (system)  done    2.3 s  1 task: 1 changed
           verify             done    2.3 s  2 checks: 1 passed, 1 skipped

    base  cae662172fd4   85.30 MB  harbour/base:latest
    app   a172cedcae47  310.20 MB  registry.example/app:1.2, app:latest

    harbour: produce done in 34.5 s (2 images produced; 3 tasks: 1 ok, 2 changed; 2 checks: 1 passed, 1 skipped)
    ");
}

#[test]
fn every_task_and_check_is_shown_on_demand() {
    assert_snapshot!(shown(1, &streams::produced()), @r"
    harbour: produce base, app with docker 20.10.24 (takelage 0.1.0)
    base: resolve ...
    base: resolve: cached (pinned before)
    base: converge ...
    base: converge: changed: base : install packages (0.8 s)
    base: converge: ok: base : remove cache (0.8 s)
    base: converge: done in 2.3 s (2 tasks, 1 changed)
    base: commit ...
    base: commit: done in 2.3 s
    base: image cae662172fd4 (85.30 MB): harbour/base:latest
    app: converge (system) ...
    app: converge (system): play system (app)
    app: converge (system): changed: nginx : install (0.8 s)
    app: converge (system): app: ok=1 changed=1 unreachable=0 failed=0 skipped=0 rescued=0 ignored=0
    app: converge (system): done in 2.3 s (1 task, 1 changed)
    app: verify ...
    app: verify: passed: tests/test_app.py::test_port[app]
    app: verify: skipped: tests/test_app.py::TestWeb::test_tls (no certificate)
    app: verify: done in 2.3 s (1 passed, 1 skipped)
    app: image a172cedcae47 (310.20 MB): registry.example/app:1.2, app:latest

    image  step               result   took  details
    base   resolve            cached  2.3 s
           converge           done    2.3 s  2 tasks: 1 ok, 1 changed
           commit             done    2.3 s
    app    converge (system)  done    2.3 s  1 task: 1 changed
           verify             done    2.3 s  2 checks: 1 passed, 1 skipped

    base  cae662172fd4   85.30 MB  harbour/base:latest
    app   a172cedcae47  310.20 MB  registry.example/app:1.2, app:latest

    harbour: produce done in 34.5 s (2 images produced; 3 tasks: 1 ok, 2 changed; 2 checks: 1 passed, 1 skipped)
    ");
}

#[test]
fn a_failing_task_is_shown_in_full_with_a_way_into_the_container() {
    assert_snapshot!(shown(0, &streams::failing_task()), @r"
    harbour: develop app with docker 20.10.24 (takelage 0.1.0)
    app: converge ...
    app: converge: ignored: nginx : look for a proxy (0.8 s)
        no proxy
    error: app: converge: task failed: nginx : install
        at roles/nginx/tasks/main.yml:12 (ansible.builtin.apt)
        No package matching 'ngnix' is available
        exit status 100
        stdout:
            Reading package lists...

            Building tree...
        stderr:
            E: Unable to locate package ngnix
        warning: the cache is old
    error: app: converge failed after 2.3 s: 1 task failed

    hint: the container `harbour-app-1a2b` of app is as it failed; open a shell in it with `takelage shell app`

    image  step      result   took  details
    app    converge  failed  2.3 s  2 tasks: 1 failed, 1 ignored

    failed: app: converge: nginx : install (roles/nginx/tasks/main.yml:12)

    harbour: develop failed after 12.0 s (2 tasks: 1 failed, 1 ignored)
    ");
}

#[test]
fn checks_that_did_not_run_again_are_told() {
    assert_snapshot!(shown(1, &streams::cached_checks()), @r"
    harbour: test app with docker 20.10.24 (takelage 0.1.0)
    app: verify ...
    app: verify: passed, cached: tests/test_app.py::test_user
    app: verify: skipped, cached: tests/test_app.py::test_old (known)
    app: verify: cached (1 passed, 1 skipped, as at 2026-01-01T00:00:00Z)

    image  step    result   took  details
    app    verify  cached  2.3 s  2 checks: 1 passed, 1 skipped

    harbour: test done in 7.5 s (2 checks: 1 passed, 1 skipped)
    ");
}

#[test]
fn a_failing_check_is_shown_in_full() {
    assert_snapshot!(shown(0, &streams::failing_check()), @r"
    harbour: test app with docker 20.10.24 (takelage 0.1.0)
    app: verify ...
    error: app: verify: check failed: tests/test_app.py::test_port[app]
        at tests/test_app.py:12
            def test_port(host):
        >       assert host.socket('tcp://80').is_listening
        E       assert False
        output:
            connecting
    error: app: verify: check could not run: tests/test_app.py::test_db
        at tests/test_app.py:12
        E   fixture 'db' not found
    app: verify: xpassed: tests/test_app.py::test_new
    error: app: verify failed after 2.3 s: 1 failed, 1 error

    image  step    result   took  details
    app    verify  failed  2.3 s  5 checks: 2 passed, 2 failed, 1 skipped

    failed: app: verify: tests/test_app.py::test_port[app] (tests/test_app.py:12)
    failed: app: verify: tests/test_app.py::test_db (tests/test_app.py:12)

    harbour: test failed after 12.0 s (5 checks: 2 passed, 2 failed, 1 skipped)
    ");
}

#[test]
fn a_failing_step_shows_the_last_lines_of_its_program() {
    assert_snapshot!(shown(0, &streams::failing_step()), @r"
    harbour: produce slim with docker 20.10.24 (takelage 0.1.0)
    slim: bootstrap ...
    error: slim: bootstrap failed after 2.3 s: `dpkg --configure -a` ended with status 1
        last lines:
            dpkg: Setting up libc6 ...
            dpkg: dpkg: error processing package
    error: no space left on the engine's disk

    hint: make room with `takelage prune`

    image  step       result   took  details
    slim   bootstrap  failed  2.3 s

    failed: slim: bootstrap: `dpkg --configure -a` ended with status 1

    harbour: produce stopped after 9.0 s
    ");
}

#[test]
fn an_interrupted_run_says_what_was_going_on() {
    assert_snapshot!(shown(0, &streams::interrupted()), @r"
    harbour: produce web, db with docker 20.10.24 (takelage 0.1.0)
    web: converge ...
    db: converge ...
    web: converge: changed: web : install (0.8 s)
    db: converge: changed: db : install (0.8 s)
    warning: interrupted, cleaning up

    hint: press Ctrl-C again to stop at once

    web: converge: interrupted after 2.3 s
    db: converge: interrupted after 2.3 s

    image  step      result        took  details
    web    converge  interrupted  2.3 s  1 task: 1 changed
    db     converge  interrupted  2.3 s  1 task: 1 changed

    harbour: produce interrupted after 15.0 s (2 tasks: 2 changed)
    ");
}

#[test]
fn quietly_only_errors_and_the_last_line_are_shown() {
    assert_snapshot!(shown(-1, &streams::produced()), @r"
    harbour: produce done in 34.5 s (2 images produced; 3 tasks: 1 ok, 2 changed; 2 checks: 1 passed, 1 skipped)
    ");
    assert_snapshot!(shown(-1, &streams::failing_task()), @r"
    error: app: converge: task failed: nginx : install
        at roles/nginx/tasks/main.yml:12 (ansible.builtin.apt)
        No package matching 'ngnix' is available
        exit status 100
        stdout:
            Reading package lists...

            Building tree...
        stderr:
            E: Unable to locate package ngnix
        warning: the cache is old
    error: app: converge failed after 2.3 s: 1 task failed

    hint: the container `harbour-app-1a2b` of app is as it failed; open a shell in it with `takelage shell app`

    harbour: develop failed after 12.0 s (2 tasks: 1 failed, 1 ignored)
    ");
}

#[test]
fn a_run_that_ends_before_it_begins_says_only_why() {
    let mut run = Recorder::default();
    run.add(EventKind::Note {
        level: Level::Error,
        message: "no Docker daemon answers\ntried `unix:///run/docker.sock`".into(),
        hint: Some("start it".into()),
    });
    let events = run.finished(takelage_model::Exit::Surroundings);
    assert_snapshot!(shown(0, &events), @r"
    error: no Docker daemon answers
        tried `unix:///run/docker.sock`

    hint: start it
    ");
}

#[test]
fn loops_show_their_items_on_demand_and_their_failures_always() {
    let mut run = Recorder::started("converge", &["app"]);
    let converge = step("app", Op::Converge);
    run.begin(&converge);
    for (item, status) in [("nginx", TaskStatus::Changed), ("ngnix", TaskStatus::Failed)] {
        run.add(EventKind::TaskResult {
            step: converge.clone(),
            task: streams::task("install"),
            host: "delegate".into(),
            item: Some(item.into()),
            status,
            output: TaskOutput { message: format!("{item} it is"), ..TaskOutput::default() },
            took: std::time::Duration::ZERO,
        });
    }
    assert_snapshot!(shown(0, &run.events), @r"
    harbour: converge app with docker 20.10.24 (takelage 0.1.0)
    app: converge ...
    error: app: converge: task failed on delegate: install (ngnix)
        at roles/nginx/tasks/main.yml:12 (ansible.builtin.apt)
        ngnix it is
    ");
    assert_snapshot!(shown(1, &run.events), @r"
    harbour: converge app with docker 20.10.24 (takelage 0.1.0)
    app: converge ...
    app: converge: changed: install (nginx) on delegate
    error: app: converge: task failed on delegate: install (ngnix)
        at roles/nginx/tasks/main.yml:12 (ansible.builtin.apt)
        ngnix it is
    ");
}

#[test]
fn colors_change_nothing_but_the_color() {
    for events in [streams::every_kind(), streams::failing_check(), streams::interrupted()] {
        for verbosity in -1..=2 {
            let plain = shown(verbosity, &events);
            let color = shown_in(Style { color: true, live: false, verbosity }, &events);
            assert!(color.contains("\x1b["), "{color}");
            assert_eq!(anstream::adapter::strip_str(&color).to_string(), plain);
        }
    }
}

/// Every text that an event can carry from a container, an engine or a project.
fn hostile(text: &str) -> Vec<Event> {
    let mut run = Recorder::started("test", &["app"]);
    let converge = step("app", Op::Converge);
    let output = TaskOutput {
        message: text.into(),
        stdout: text.into(),
        stderr: text.into(),
        status: Some(1),
        diff: text.into(),
        warnings: vec![text.into()],
    };
    run.begin(&converge);
    run.add(EventKind::Play { step: converge.clone(), name: text.into(), hosts: vec![text.into()] });
    run.add(EventKind::Output { step: converge.clone(), program: text.into(), line: text.into() });
    for status in [TaskStatus::Ok, TaskStatus::Failed, TaskStatus::Ignored] {
        let task =
            takelage_model::event::Task { path: text.into(), action: text.into(), ..streams::task(text) };
        run.add(EventKind::TaskResult {
            step: converge.clone(),
            task,
            host: text.into(),
            item: Some(text.into()),
            status,
            output: output.clone(),
            took: std::time::Duration::ZERO,
        });
    }
    for status in [takelage_model::event::CheckStatus::Failed, takelage_model::event::CheckStatus::Skipped] {
        run.check(&converge, text, status, text);
    }
    run.add(EventKind::Note { level: Level::Error, message: text.into(), hint: Some(text.into()) });
    run.add(EventKind::ContainerKept {
        image: "app".parse().unwrap(),
        name: text.into(),
        shell: text.into(),
    });
    run.end(&converge, Outcome::Failed { message: text.into(), hint: None });
    run.finished(takelage_model::Exit::Failed)
}

proptest! {
    #[test]
    fn no_text_reaches_the_terminal_as_a_command(text in any::<String>(), verbosity in -1_i8..=2) {
        let shown = shown(verbosity, &hostile(&text));
        let commands: Vec<_> = shown.chars().filter(|c| c.is_control() && !matches!(c, '\n' | '\t')).collect();
        prop_assert!(commands.is_empty(), "{commands:?} in {shown}");
    }

    #[test]
    fn no_text_forges_a_line_of_takelage(text in "[a-z]{0,3}\n?error: forged", verbosity in 0_i8..=2) {
        let shown = shown(verbosity, &hostile(&text));
        prop_assert!(!shown.lines().any(|line| line.starts_with("error: forged") && !text.starts_with("error:")));
    }
}
