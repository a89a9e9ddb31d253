//! Event streams as runs produce them.

use std::io::{self, Write};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use takelage_model::event::{
    Check, CheckStatus, Event, EventKind, Level, Op, Outcome, SCHEMA, SkipCause, Step, Task, TaskOutput,
    TaskStatus, Totals,
};
use takelage_model::{Digest, Exit, RunId};

/// Numbers events and moves the clock on by 1.5 seconds with each.
#[derive(Default)]
pub(crate) struct Recorder {
    pub(crate) events: Vec<Event>,
}

impl Recorder {
    pub(crate) fn started(command: &str, images: &[&str]) -> Self {
        let mut recorder = Self::default();
        recorder.add(EventKind::RunStarted {
            command: command.into(),
            project: "harbour".into(),
            engine: "docker 20.10.24".into(),
            version: "0.1.0".into(),
            images: images.iter().map(|image| image.parse().unwrap()).collect(),
        });
        recorder
    }

    pub(crate) fn add(&mut self, kind: EventKind) -> &mut Self {
        let index = self.events.len() as u64;
        let elapsed = Duration::from_millis(1500 * index);
        self.events.push(Event {
            schema: SCHEMA,
            run: RunId::from_random([1, 2, 3, 4, 5, 6]),
            index,
            at: "2026-01-02T03:04:05Z".parse::<jiff::Timestamp>().unwrap() + elapsed,
            elapsed,
            kind,
        });
        self
    }

    pub(crate) fn begin(&mut self, step: &Step) -> &mut Self {
        self.add(EventKind::StepStarted { step: step.clone() })
    }

    pub(crate) fn end(&mut self, step: &Step, outcome: Outcome) -> &mut Self {
        self.add(EventKind::StepFinished { step: step.clone(), outcome, took: Duration::from_millis(2300) })
    }

    pub(crate) fn done(&mut self, step: &Step, summary: &str) -> &mut Self {
        self.end(step, Outcome::Done { summary: summary.into() })
    }

    pub(crate) fn result(
        &mut self,
        step: &Step,
        name: &str,
        status: TaskStatus,
        output: TaskOutput,
    ) -> &mut Self {
        self.add(EventKind::Task { step: step.clone(), task: task(name) }).add(EventKind::TaskResult {
            step: step.clone(),
            task: task(name),
            host: step.image.to_string(),
            item: None,
            status,
            output,
            took: Duration::from_millis(840),
        })
    }

    pub(crate) fn check(&mut self, step: &Step, id: &str, status: CheckStatus, message: &str) -> &mut Self {
        let output = if status == CheckStatus::Failed { "connecting\n".into() } else { String::new() };
        self.add(EventKind::Check {
            step: step.clone(),
            check: Check {
                id: id.into(),
                path: "tests/test_app.py:12".into(),
                status,
                took: Duration::from_millis(120),
                message: message.into(),
                output,
                cached: false,
            },
        })
    }

    pub(crate) fn finished(&mut self, exit: Exit) -> Vec<Event> {
        self.add(EventKind::RunFinished { exit });
        std::mem::take(&mut self.events)
    }
}

pub(crate) fn step(image: &str, op: Op) -> Step {
    Step { image: image.parse().unwrap(), op, layer: None }
}

pub(crate) fn task(name: &str) -> Task {
    Task {
        id: format!("id-{name}"),
        name: name.into(),
        action: "ansible.builtin.apt".into(),
        path: "roles/nginx/tasks/main.yml:12".into(),
        handler: false,
    }
}

/// Two images, one on the other, both made and verified.
pub(crate) fn produced() -> Vec<Event> {
    let mut run = Recorder::started("produce", &["base", "app"]);
    let (resolve, converge, commit) =
        (step("base", Op::Resolve), step("base", Op::Converge), step("base", Op::Commit));
    run.begin(&resolve).end(&resolve, Outcome::Cached { reason: "pinned before".into() });
    run.begin(&converge)
        .result(&converge, "base : install packages", TaskStatus::Changed, TaskOutput::default())
        .result(&converge, "base : remove cache", TaskStatus::Ok, TaskOutput::default())
        .done(&converge, "2 tasks, 1 changed");
    run.begin(&commit).done(&commit, "");
    run.add(EventKind::ImageProduced {
        image: "base".parse().unwrap(),
        id: Digest::of("base"),
        tags: vec!["harbour/base:latest".into()],
        size: 85_300_000,
    });
    let layer = Step { layer: Some("system".into()), ..step("app", Op::Converge) };
    run.begin(&layer)
        .add(EventKind::Play { step: layer.clone(), name: "system".into(), hosts: vec!["app".into()] })
        .result(&layer, "nginx : install", TaskStatus::Changed, TaskOutput::default())
        .add(EventKind::Recap {
            step: layer.clone(),
            host: "app".into(),
            totals: Totals { ok: 1, changed: 1, ..Totals::default() },
        })
        .done(&layer, "1 task, 1 changed");
    let verify = step("app", Op::Verify);
    run.begin(&verify)
        .check(&verify, "tests/test_app.py::test_port[app]", CheckStatus::Passed, "")
        .check(&verify, "tests/test_app.py::TestWeb::test_tls", CheckStatus::Skipped, "no certificate")
        .done(&verify, "1 passed, 1 skipped");
    run.add(EventKind::ImageProduced {
        image: "app".parse().unwrap(),
        id: Digest::of("app"),
        tags: vec!["registry.example/app:1.2".into(), "app:latest".into()],
        size: 310_200_000,
    });
    run.finished(Exit::Done)
}

/// A task fails, and the container is kept.
pub(crate) fn failing_task() -> Vec<Event> {
    let mut run = Recorder::started("develop", &["app"]);
    let converge = step("app", Op::Converge);
    run.begin(&converge)
        .result(
            &converge,
            "nginx : look for a proxy",
            TaskStatus::Ignored,
            TaskOutput { message: "no proxy".into(), ..TaskOutput::default() },
        )
        .result(
            &converge,
            "nginx : install",
            TaskStatus::Failed,
            TaskOutput {
                message: "No package matching 'ngnix' is available".into(),
                stdout: "Reading package lists...\n\nBuilding tree...\n".into(),
                stderr: "\x1b[31mE: Unable to locate package ngnix\x1b[0m\n".into(),
                status: Some(100),
                warnings: vec!["the cache is old".into()],
                ..TaskOutput::default()
            },
        )
        .end(&converge, Outcome::Failed { message: "1 task failed".into(), hint: None })
        .add(EventKind::ContainerKept {
            image: "app".parse().unwrap(),
            name: "harbour-app-1a2b".into(),
            shell: "takelage shell app".into(),
        });
    run.finished(Exit::Failed)
}

/// A check fails, another cannot run.
pub(crate) fn failing_check() -> Vec<Event> {
    let mut run = Recorder::started("test", &["app"]);
    let verify = step("app", Op::Verify);
    run.begin(&verify)
        .check(&verify, "tests/test_app.py::test_user", CheckStatus::Passed, "")
        .check(
            &verify,
            "tests/test_app.py::test_port[app]",
            CheckStatus::Failed,
            "    def test_port(host):\n>       assert host.socket('tcp://80').is_listening\nE       assert False\n",
        )
        .check(&verify, "tests/test_app.py::test_db", CheckStatus::Error, "E   fixture 'db' not found")
        .check(&verify, "tests/test_app.py::test_old", CheckStatus::XFailed, "known")
        .check(&verify, "tests/test_app.py::test_new", CheckStatus::XPassed, "")
        .end(&verify, Outcome::Failed { message: "1 failed, 1 error".into(), hint: None });
    run.finished(Exit::Failed)
}

/// A step fails by itself: what its program wrote last is all that explains it.
pub(crate) fn failing_step() -> Vec<Event> {
    let mut run = Recorder::started("produce", &["slim"]);
    let bootstrap = step("slim", Op::Bootstrap);
    run.begin(&bootstrap);
    for line in ["Setting up libc6 ...", "dpkg: error processing package"] {
        run.add(EventKind::Output { step: bootstrap.clone(), program: "dpkg".into(), line: line.into() });
    }
    run.end(
        &bootstrap,
        Outcome::Failed { message: "`dpkg --configure -a` ended with status 1".into(), hint: None },
    );
    run.add(EventKind::Note {
        level: Level::Error,
        message: "no space left on the engine's disk".into(),
        hint: Some("make room with `takelage prune`".into()),
    });
    run.finished(Exit::Surroundings)
}

/// Ctrl-C in the middle of two images that are made side by side.
pub(crate) fn interrupted() -> Vec<Event> {
    let mut run = Recorder::started("produce", &["web", "db"]);
    let (web, db) = (step("web", Op::Converge), step("db", Op::Converge));
    run.begin(&web)
        .begin(&db)
        .result(&web, "web : install", TaskStatus::Changed, TaskOutput::default())
        .result(&db, "db : install", TaskStatus::Changed, TaskOutput::default())
        .add(EventKind::Note {
            level: Level::Warning,
            message: "interrupted, cleaning up".into(),
            hint: Some("press Ctrl-C again to stop at once".into()),
        })
        .end(&web, Outcome::Aborted)
        .end(&db, Outcome::Aborted);
    run.finished(Exit::Interrupted)
}

/// One event of every kind.
pub(crate) fn every_kind() -> Vec<Event> {
    let mut run = Recorder::default();
    run.events.extend(produced());
    run.events.extend(failing_task());
    run.events.extend(failing_step());
    let create = step("app", Op::Create);
    let before = run.events.len();
    run.begin(&create)
        .add(EventKind::Progress {
            step: create.clone(),
            what: "download".into(),
            done: 1_500_000,
            total: Some(3_000_000),
            unit: "bytes".into(),
        })
        .add(EventKind::Unknown)
        .end(&create, Outcome::Skipped { reason: "it runs already".into(), cause: SkipCause::Unneeded });
    assert_eq!(run.events.len(), before + 4);
    run.events
}

/// A writer whose content the test reads.
#[derive(Clone, Default)]
pub(crate) struct Paper(Arc<Mutex<Vec<u8>>>);

impl Paper {
    pub(crate) fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
    }
}

impl Write for Paper {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Checks that did not run again.
pub(crate) fn cached_checks() -> Vec<Event> {
    let verify = step("app", Op::Verify);
    let mut run = Recorder::started("test", &["app"]);
    run.begin(&verify);
    run.check(&verify, "tests/test_app.py::test_user", CheckStatus::Passed, "");
    run.check(&verify, "tests/test_app.py::test_old", CheckStatus::Skipped, "known");
    for event in &mut run.events {
        if let EventKind::Check { check, .. } = &mut event.kind {
            check.cached = true;
        }
    }
    run.end(&verify, Outcome::Cached { reason: "1 passed, 1 skipped, as at 2026-01-01T00:00:00Z".into() });
    run.finished(Exit::Done)
}
