//! The recorded log.

use std::time::Duration;

use jiff::Timestamp;
use proptest::prelude::*;
use takelage_model::event::{
    Check, CheckStatus, Event, EventKind, Op, Outcome, Step, TaskOutput, TaskStatus,
};
use takelage_model::{Digest, Exit, ImageName, RunId};
use takelage_report::{JsonLines, ReplayError, Summary, replay};

use crate::streams::{self, Paper, Recorder, step, task};

fn written(events: &[Event]) -> String {
    let paper = Paper::default();
    let mut log = JsonLines::new(Box::new(paper.clone()));
    for event in events {
        log.handle(event).unwrap();
    }
    log.finish().unwrap();
    paper.text()
}

fn read(text: &str) -> Vec<Event> {
    replay(text.as_bytes()).collect::<Result<_, _>>().unwrap()
}

#[test]
fn every_kind_round_trips() {
    let events = streams::every_kind();
    assert_eq!(read(&written(&events)), events);
}

#[test]
fn a_replayed_run_comes_to_the_same() {
    let summary = |events: &[Event]| {
        let mut summary = Summary::default();
        for event in events {
            summary.add(event);
        }
        summary
    };
    let events = streams::produced();
    assert_eq!(summary(&read(&written(&events))), summary(&events));
    assert_eq!((summary(&events).tasks().total(), summary(&events).checks().total()), (3, 2));
}

#[test]
fn facts_are_written_at_once() {
    let paper = Paper::default();
    let mut log = JsonLines::new(Box::new(paper.clone()));
    let mut lines = 0;
    for event in streams::every_kind() {
        log.handle(&event).unwrap();
        lines += 1;
        if !matches!(event.kind, EventKind::Progress { .. }) {
            assert_eq!(paper.text().lines().count(), lines);
        }
    }
}

#[test]
fn kinds_of_a_newer_takelage_are_passed_over() {
    let line = r#"{"schema":2,"run":"00","index":0,"at":"2026-01-02T03:04:05Z","elapsed":0,"event":"teleported","to":"x"}"#;
    assert_eq!(read(line)[0].kind, EventKind::Unknown);
}

#[test]
fn what_cannot_be_read_is_named_by_its_line() {
    let good = written(&streams::interrupted()[..1]);
    let error = |text: String| replay(text.as_bytes()).find_map(Result::err);
    assert!(matches!(error(format!("{good}\nnonsense\n")), Some(ReplayError::Parse { line: 3, .. })));
    assert!(matches!(error(format!("{good}\u{0}\n")), Some(ReplayError::Parse { line: 2, .. })));
    let newer = r#"{"schema":9,"event":"note","message":7}"#;
    assert!(matches!(error(format!("{newer}\n{good}")), Some(ReplayError::Newer { line: 1, schema: 9 })));
}

#[test]
fn a_log_that_was_cut_off_ends_with_its_last_whole_line() {
    let events = streams::failing_task();
    let text = written(&events);
    let whole = text.lines().count();
    let start_of_last = text.trim_end().rfind('\n').unwrap() + 1;
    for cut in start_of_last..text.len() - 1 {
        assert_eq!(read(&text[..cut]).len(), whole - 1, "cut at {cut}");
    }
}

fn text() -> impl Strategy<Value = String> {
    prop_oneof![any::<String>(), "[ -~\n\u{2028}\"\\\\]{0,40}"]
}

fn time() -> impl Strategy<Value = Duration> {
    // The log keeps microseconds.
    (0..10_000_000_000_u64).prop_map(Duration::from_micros)
}

fn a_step() -> impl Strategy<Value = Step> {
    ("[a-z][a-z0-9]{0,8}", proptest::option::of(text())).prop_map(|(image, layer)| Step {
        image: image.parse::<ImageName>().unwrap(),
        op: Op::Converge,
        layer,
    })
}

fn kind() -> impl Strategy<Value = EventKind> {
    let statuses = [TaskStatus::Ok, TaskStatus::Changed, TaskStatus::Rescued, TaskStatus::Unreachable];
    let result = (a_step(), text(), proptest::option::of(text()), text(), 0..statuses.len(), time());
    let check = (a_step(), text(), text(), time());
    prop_oneof![
        result.prop_map(move |(step, name, item, said, status, took)| EventKind::TaskResult {
            step,
            task: task(&name),
            host: name,
            item,
            status: statuses[status],
            output: TaskOutput { message: said.clone(), stderr: said, ..TaskOutput::default() },
            took,
        }),
        check.prop_map(|(step, id, message, took)| EventKind::Check {
            step,
            check: Check {
                id,
                path: String::new(),
                status: CheckStatus::XFailed,
                took,
                message,
                output: String::new(),
                cached: took.subsec_nanos() % 2 == 0,
            },
        }),
        (a_step(), text(), time()).prop_map(|(step, message, took)| EventKind::StepFinished {
            step,
            outcome: Outcome::Failed { message, hint: None },
            took
        }),
        (a_step(), text(), any::<u64>(), any::<Option<u64>>()).prop_map(|(step, what, done, total)| {
            EventKind::Progress { step, what, done, total, unit: "bytes".into() }
        }),
        (proptest::collection::vec(text(), 0..4), any::<u64>(), any::<[u8; 32]>()).prop_map(
            |(tags, size, id)| {
                EventKind::ImageProduced {
                    image: "app".parse().unwrap(),
                    id: Digest::from_bytes(id),
                    tags,
                    size,
                }
            }
        ),
        Just(EventKind::StepStarted { step: step("app", Op::Create) }),
        Just(EventKind::RunFinished { exit: Exit::Interrupted }),
        Just(EventKind::Unknown),
    ]
}

proptest! {
    #[test]
    fn every_event_is_one_line_and_reads_back_equal(
        kinds in proptest::collection::vec((kind(), time(), 0..4_000_000_000_i64), 0..20),
    ) {
        let mut run = Recorder::default();
        for (kind, elapsed, second) in kinds {
            run.add(kind);
            let event = run.events.last_mut().unwrap();
            event.elapsed = elapsed;
            event.at = Timestamp::from_second(second).unwrap();
            event.run = RunId::from_recorded("any");
        }
        let text = written(&run.events);
        prop_assert_eq!(text.lines().count(), run.events.len());
        prop_assert_eq!(read(&text), run.events);
    }
}
