//! Failures in full: where, what was said, and all that was written.

use takelage_model::event::{Check, CheckStatus, Step, Task, TaskOutput, TaskStatus};

use crate::style::{Role, Style};
use crate::{clean, words};

/// Below the line that says what failed.
const INDENT: &str = "    ";
/// Below a heading of that.
const DEEPER: &str = "        ";

/// Returns `error: MESSAGE`, `warning: MESSAGE`, …, and the hint, if there is one, after a blank line.
pub(crate) fn message(style: Style, word: &str, message: &str, hint: Option<&str>) -> String {
    let role = match word {
        "error" => Role::Bad,
        "warning" => Role::Notable,
        _ => Role::Strong,
    };
    let mut lines = clean::block(message).trim_end().to_owned();
    if lines.contains('\n') {
        let rest = lines.split_off(lines.find('\n').unwrap_or(lines.len()));
        lines.push('\n');
        lines.push_str(clean::indented(&rest[1..], INDENT).trim_end());
    }
    let hint = hint.map(|hint| self::hint(style, hint)).unwrap_or_default();
    format!("{} {lines}\n{hint}", style.paint(role, &format!("{word}:")))
}

/// Returns a blank line and `hint: HINT`.
pub(crate) fn hint(style: Style, hint: &str) -> String {
    format!("\n{} {}\n\n", style.paint(Role::Advice, "hint:"), clean::line(hint))
}

/// Returns a failed task.
pub(crate) fn task(
    style: Style,
    step: &Step,
    task: &Task,
    host: &str,
    item: Option<&str>,
    status: TaskStatus,
    output: &TaskOutput,
) -> String {
    let what = if task.handler { "handler" } else { "task" };
    let item = item.map(|item| format!(" ({item})")).unwrap_or_default();
    let head = format!("{}: {}: {what} {}", step.image, words::operation(step), words::task_status(status));
    // The host says nothing that the image does not say, unless a play has others.
    let on = if host == step.image.as_str() { String::new() } else { format!(" on {host}") };
    let mut text = message(style, "error", &clean::line(&format!("{head}{on}: {}{item}", task.name)), None);
    text.push_str(&place(style, &task.path, &task.action));
    text.push_str(&clean::indented(&output.message, INDENT));
    text.push_str(&written(style, output));
    text
}

/// Returns all that a task wrote.
pub(crate) fn written(style: Style, output: &TaskOutput) -> String {
    let mut text = String::new();
    if let Some(status) = output.status {
        text.push_str(&clean::indented(&format!("exit status {status}"), INDENT));
    }
    text.push_str(&section(style, "stdout", &output.stdout));
    text.push_str(&section(style, "stderr", &output.stderr));
    text.push_str(&section(style, "diff", &output.diff));
    for warning in &output.warnings {
        text.push_str(&clean::indented(&format!("warning: {}", clean::line(warning)), INDENT));
    }
    text
}

/// Returns a failed check.
pub(crate) fn check(style: Style, step: &Step, check: &Check) -> String {
    let what = if check.status == CheckStatus::Error { "check could not run" } else { "check failed" };
    let head = format!("{}: {}: {what}: {}", step.image, words::operation(step), check.id);
    let mut text = message(style, "error", &clean::line(&head), None);
    text.push_str(&place(style, &check.path, ""));
    text.push_str(&clean::indented(&check.message, INDENT));
    text.push_str(&section(style, "output", &check.output));
    text
}

/// Returns a heading and, below it, what was written; nothing if nothing was.
pub(crate) fn section(style: Style, heading: &str, content: &str) -> String {
    let body = clean::indented(content, DEEPER);
    if body.trim().is_empty() {
        return String::new();
    }
    format!("{INDENT}{}\n{body}", style.paint(Role::Strong, &format!("{heading}:")))
}

fn place(style: Style, path: &str, action: &str) -> String {
    let text = match (path.is_empty(), action.is_empty()) {
        (true, true) => return String::new(),
        (true, false) => action.to_owned(),
        (false, true) => format!("at {path}"),
        (false, false) => format!("at {path} ({action})"),
    };
    format!("{INDENT}{}\n", style.paint(Role::Faint, &clean::line(&text)))
}
