//! The summary at the end of a run.

use takelage_model::Exit;
use takelage_model::event::Outcome;

use crate::style::{Role, Style};
use crate::{Checks, StepSummary, Summary, Tasks, clean, words};

/// Returns the table of steps, the images, what failed, and the last line. Quietly, only the last line.
///
/// A run that ended before it began has said why, and there is nothing to sum up.
pub(crate) fn render(style: Style, summary: &Summary) -> String {
    if summary.command.is_empty() {
        return String::new();
    }
    if style.verbosity < 0 {
        return last_line(style, summary);
    }
    let parts = [steps(style, summary), images(summary), failures(summary)];
    let mut text = String::new();
    for part in parts.iter().filter(|part| !part.is_empty()) {
        text.push('\n');
        text.push_str(part);
    }
    format!("{text}\n{}", last_line(style, summary))
}

fn steps(style: Style, summary: &Summary) -> String {
    let mut rows = vec![["image", "step", "result", "took", "details"].map(str::to_owned)];
    for image in &summary.images {
        for (index, step) in image.steps.iter().enumerate() {
            let name = if index == 0 { image.image.to_string() } else { String::new() };
            let (result, took) = result(step);
            rows.push([name, clean::line(&words::operation(&step.step)), result.into(), took, details(step)]);
        }
    }
    if rows.len() == 1 {
        return String::new();
    }
    let mut text = String::new();
    for (index, line) in align(&rows, &[3]).lines().enumerate() {
        text.push_str(&if index == 0 { style.paint(Role::Strong, line) } else { line.to_owned() });
        text.push('\n');
    }
    text
}

fn result(step: &StepSummary) -> (&'static str, String) {
    let took = words::duration(step.took);
    match &step.outcome {
        Some(Outcome::Done { .. }) => ("done", took),
        Some(Outcome::Cached { .. }) => ("cached", took),
        Some(Outcome::Skipped { .. }) => ("skipped", String::new()),
        Some(Outcome::Failed { .. }) => ("failed", took),
        Some(Outcome::Aborted) => ("interrupted", took),
        None => ("unfinished", String::new()),
    }
}

fn details(step: &StepSummary) -> String {
    let mut parts = Vec::new();
    if step.tasks.total() > 0 {
        parts.push(tasks(step.tasks));
    }
    if step.checks.total() > 0 {
        parts.push(checks(step.checks));
    }
    parts.join("; ")
}

fn tasks(tasks: Tasks) -> String {
    let numbers = numbers(&[
        (tasks.ok, "ok"),
        (tasks.changed, "changed"),
        (tasks.failed, "failed"),
        (tasks.ignored, "ignored"),
        (tasks.skipped, "skipped"),
    ]);
    format!("{}: {numbers}", words::count(tasks.total(), "task"))
}

fn checks(checks: Checks) -> String {
    let numbers =
        numbers(&[(checks.passed, "passed"), (checks.failed, "failed"), (checks.skipped, "skipped")]);
    format!("{}: {numbers}", words::count(checks.total(), "check"))
}

fn numbers(numbers: &[(u64, &str)]) -> String {
    let shown: Vec<_> = numbers
        .iter()
        .filter(|(number, _)| *number > 0)
        .map(|(number, word)| format!("{number} {word}"))
        .collect();
    shown.join(", ")
}

fn images(summary: &Summary) -> String {
    let rows: Vec<_> = summary
        .images
        .iter()
        .filter_map(|image| {
            let made = image.produced.as_ref()?;
            let size = indicatif::DecimalBytes(made.size).to_string();
            Some([image.image.to_string(), made.id.short(), size, clean::line(&made.tags.join(", "))])
        })
        .collect();
    align(&rows, &[2])
}

fn failures(summary: &Summary) -> String {
    let mut text = String::new();
    for failure in &summary.failures {
        let path = failure.path.as_ref().map(|path| format!(" ({path})")).unwrap_or_default();
        let line = format!(
            "{}: {}: {}{path}",
            failure.step.image,
            words::operation(&failure.step),
            failure.what.lines().next().unwrap_or_default()
        );
        text.extend(["failed: ", &clean::line(&line), "\n"]);
    }
    text
}

fn last_line(style: Style, summary: &Summary) -> String {
    let (role, result) = match summary.exit {
        Some(Exit::Done) => (Role::Good, "done in"),
        Some(Exit::Interrupted) => (Role::Notable, "interrupted after"),
        Some(Exit::Failed) => (Role::Bad, "failed after"),
        Some(Exit::Usage | Exit::Surroundings) | None => (Role::Bad, "stopped after"),
    };
    let produced = summary.images.iter().filter(|image| image.produced.is_some()).count() as u64;
    let mut parts = Vec::new();
    if produced > 0 {
        parts.push(format!("{} produced", words::count(produced, "image")));
    }
    if summary.tasks().total() > 0 {
        parts.push(tasks(summary.tasks()));
    }
    if summary.checks().total() > 0 {
        parts.push(checks(summary.checks()));
    }
    let parts = if parts.is_empty() { String::new() } else { format!(" ({})", parts.join("; ")) };
    format!(
        "{}: {} {} {}{parts}\n",
        clean::line(&summary.project),
        clean::line(&summary.command),
        style.paint(role, result),
        words::duration(summary.elapsed)
    )
}

/// Returns the rows with their columns aligned, `right` of them to the right, and no blanks at the line ends.
fn align<const N: usize>(rows: &[[String; N]], right: &[usize]) -> String {
    let widths: Vec<_> = (0..N)
        .map(|column| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or_default())
        .collect();
    let mut text = String::new();
    for row in rows {
        let cells: Vec<_> = row
            .iter()
            .enumerate()
            .map(|(column, cell)| {
                let width = widths[column];
                if right.contains(&column) { format!("{cell:>width$}") } else { format!("{cell:<width$}") }
            })
            .collect();
        text.push_str(cells.join("  ").trim_end());
        text.push('\n');
    }
    text
}
