//! Durations, counts and names of steps in words.

use std::time::Duration;

use takelage_model::event::{CheckStatus, Step, TaskStatus};

/// Returns `1.2 s`, `3 min 04 s` or `1 h 02 min`.
pub(crate) fn duration(time: Duration) -> String {
    let tenths = (time.as_millis() + 50) / 100;
    let seconds = (time.as_millis() + 500) / 1000;
    match seconds {
        _ if tenths < 600 => format!("{}.{} s", tenths / 10, tenths % 10),
        ..3600 => format!("{} min {:02} s", seconds / 60, seconds % 60),
        _ => format!("{} h {:02} min", seconds / 3600, seconds % 3600 / 60),
    }
}

/// Returns `1 task`, `2 tasks`.
pub(crate) fn count(number: u64, singular: &str) -> String {
    if number == 1 { format!("1 {singular}") } else { format!("{number} {singular}s") }
}

/// Returns `converge`, or `converge (system)` for a layer.
pub(crate) fn operation(step: &Step) -> String {
    match &step.layer {
        Some(layer) => format!("{} ({layer})", step.op.name()),
        None => step.op.name().to_owned(),
    }
}

/// Returns the word that Ansible's users know for a result.
pub(crate) const fn task_status(status: TaskStatus) -> &'static str {
    match status {
        TaskStatus::Ok => "ok",
        TaskStatus::Changed => "changed",
        TaskStatus::Skipped => "skipped",
        TaskStatus::Failed => "failed",
        TaskStatus::Ignored => "ignored",
        TaskStatus::Rescued => "rescued",
        TaskStatus::Unreachable => "unreachable",
    }
}

/// Returns the word that pytest's users know for a result.
pub(crate) const fn check_status(status: CheckStatus) -> &'static str {
    match status {
        CheckStatus::Passed => "passed",
        CheckStatus::Failed => "failed",
        CheckStatus::Error => "error",
        CheckStatus::Skipped => "skipped",
        CheckStatus::XFailed => "xfailed",
        CheckStatus::XPassed => "xpassed",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_round_without_jumping_units() {
        let text = |millis| duration(Duration::from_millis(millis));
        assert_eq!(text(0), "0.0 s");
        assert_eq!(text(1_249), "1.2 s");
        assert_eq!(text(59_949), "59.9 s");
        assert_eq!(text(59_951), "1 min 00 s");
        assert_eq!(text(184_000), "3 min 04 s");
        assert_eq!(text(3_599_400), "59 min 59 s");
        assert_eq!(text(3_599_600), "1 h 00 min");
        assert_eq!(text(3_720_000), "1 h 02 min");
    }

    #[test]
    fn one_is_singular() {
        assert_eq!([count(0, "task"), count(1, "task"), count(2, "task")], ["0 tasks", "1 task", "2 tasks"]);
    }
}
