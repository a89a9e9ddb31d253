//! `diff` and `inspect`: what is in an image, for people and as JSON.

use std::fmt::Write as _;

use serde_json::{Value, json};
use takelage_engine::ImageRecord;
use takelage_model::{Exit, ImageName};
use takelage_run::{Change, Examination, FileChange, FileSummary, Leftover};

use super::{looking, one, run};
use crate::{
    cli::{DiffArguments, ImageArgument, InspectArguments},
    failure::Failure,
    output,
    settings::Settings,
};

/// Prints what an image adds to its base.
pub(crate) fn diff(settings: &Settings, arguments: &DiffArguments) -> Result<Exit, Failure> {
    examined(settings, "diff", &arguments.image, |name, record, examination| {
        if arguments.json {
            let Examination { layers, base_layers, difference, .. } = examination;
            let said = json!({
                "image": name, "id": record.id.0, "layers": layers, "base_layers": base_layers, "difference": difference,
            });
            return format!("{said:#}\n");
        }
        difference(name, examination, arguments.all)
    })
}

/// Prints what an image is, and what provisioning has left in it.
pub(crate) fn inspect(settings: &Settings, arguments: &InspectArguments) -> Result<Exit, Failure> {
    examined(settings, "inspect", &arguments.image, |name, record, examination| {
        if arguments.json {
            let config: Value = serde_json::from_slice(&record.config.to_json()).unwrap_or_default();
            let Examination { layers, base_layers, leftovers, .. } = examination;
            let said = json!({
                "image": name, "id": record.id.0, "tags": record.tags, "size": record.size, "config": config,
                "layers": layers, "base_layers": base_layers, "leftovers": leftovers,
            });
            return format!("{said:#}\n");
        }
        description(name, record, examination)
    })
}

/// Reads what is in one image, and prints it if that succeeds.
fn examined(
    settings: &Settings,
    command: &'static str,
    image: &ImageArgument,
    print: impl FnOnce(&ImageName, &ImageRecord, &Examination) -> String,
) -> Result<Exit, Failure> {
    let project = settings.project()?;
    let name = one(&project, image)?;
    let mut found = None;
    let work = run::Work { command, project, images: vec![name.clone()], choices: run::Choices::default() };
    let exit = run::run(settings, work, async |session, _| {
        let (verdict, examination) = session.examine(&name).await;
        found = examination;
        verdict
    })?;
    if let Some((record, examination)) = &found {
        // Whoever made the image chose the names in it; none of them is to move the cursor.
        let text = print(&name, record, examination);
        output::data(&text.replace(|c: char| c.is_control() && c != '\n', "\u{fffd}"))?;
    }
    Ok(exit)
}

fn difference(name: &ImageName, examination: &Examination, all: bool) -> String {
    let Examination { layers, base_layers, difference, .. } = examination;
    let mut text = format!(
        "{name}: {} above {base_layers} of its base\n",
        looking::count(layers.len() - base_layers, "layer")
    );
    text.push_str(&layer_table(examination, *base_layers));
    match &difference.packages {
        Some(packages) => changes("packages", packages, &mut text),
        None => text.push_str("packages: there is no database of dpkg or apk\n"),
    }
    changes("users", &difference.users, &mut text);
    changes("groups", &difference.groups, &mut text);
    changes("units", &difference.units, &mut text);
    let shown = |file: &&FileChange| all || file.package.is_none() || file.before.is_some();
    let hidden = difference.files.iter().filter(|file| !shown(file)).count();
    let marks = difference.files.iter().map(|file| mark(file.before.is_some(), file.after.is_some()));
    let _ = writeln!(text, "files: {}", counted(marks));
    for file in difference.files.iter().filter(shown) {
        let described = match (&file.before, &file.after) {
            (Some(before), Some(after)) if before.kind != after.kind => {
                format!("{} -> {}", said(before), said(after))
            }
            (_, Some(file)) | (Some(file), None) => said(file),
            (None, None) => String::new(),
        };
        let mark = mark(file.before.is_some(), file.after.is_some());
        let _ = writeln!(text, "  {mark} {}  {described}", file.path.display());
    }
    if hidden > 0 {
        let _ =
            writeln!(text, "  and {} of packages, which `--all` lists", looking::count(hidden, "new file"));
    }
    text
}

fn description(name: &ImageName, record: &ImageRecord, examination: &Examination) -> String {
    let config = &record.config;
    let mut text = format!("{name}: {}, {}\n", record.id, looking::size(record.size));
    let words = |words: &Option<Vec<String>>| words.as_ref().map(|words| format!("{words:?}"));
    let list = |names: Vec<String>| (!names.is_empty()).then(|| names.join(", "));
    let pairs = |pairs: Vec<(String, String)>| {
        list(pairs.into_iter().map(|(name, value)| format!("{name}={value}")).collect())
    };
    let lines = [
        ("tags", list(record.tags.clone())),
        ("created", config.created.clone()),
        ("entrypoint", words(&config.entrypoint)),
        ("command", words(&config.cmd)),
        ("user", Some(config.user.clone()).filter(|user| !user.is_empty())),
        ("directory", Some(config.workdir.clone()).filter(|directory| !directory.is_empty())),
        ("environment", pairs(config.env.clone().into_iter().collect())),
        ("labels", pairs(config.labels.clone().into_iter().collect())),
        ("ports", list(config.expose.iter().cloned().collect())),
        ("volumes", list(config.volumes.iter().cloned().collect())),
    ];
    for (key, value) in lines {
        if let Some(value) = value {
            let _ = writeln!(text, "{key}: {value}");
        }
    }
    text.push_str(&layer_table(examination, 0));
    let mut rest = examination.leftovers.as_slice();
    if rest.is_empty() {
        text.push_str("leftovers: none\n");
    }
    while let Some(first) = rest.first() {
        let (these, others) = rest.split_at(rest.partition_point(|leftover| leftover.what == first.what));
        let size: u64 = these.iter().map(|leftover| leftover.size).sum();
        let _ = writeln!(
            text,
            "{}: {}, {}",
            first.what.name(),
            looking::count(these.len(), "file"),
            looking::size(size)
        );
        for Leftover { path, size, .. } in these {
            let _ = writeln!(text, "  {}  {}", path.display(), looking::size(*size));
        }
        rest = others;
    }
    text
}

/// Lists the layers from `first` on.
fn layer_table(examination: &Examination, first: usize) -> String {
    let layers = examination.layers.iter().enumerate().skip(first);
    let row = |(index, layer): (usize, &takelage_run::LayerSummary)| {
        let of = if index < examination.base_layers { "the base" } else { "the image" };
        let made_by = layer.made_by.clone().unwrap_or_else(|| "-".to_owned());
        vec![layer.digest.short(), looking::size(layer.size), of.to_owned(), made_by]
    };
    looking::table(&["LAYER", "SIZE", "OF", "MADE BY"], layers.map(row))
}

fn changes(title: &str, changes: &[Change], text: &mut String) {
    let marks = changes.iter().map(|change| mark(change.before.is_some(), change.after.is_some()));
    let _ = writeln!(text, "{title}: {}", counted(marks));
    for Change { name, before, after } in changes {
        let described = match (before, after) {
            (Some(before), Some(after)) => format!("{before} -> {after}"),
            (Some(value), None) | (None, Some(value)) => value.clone(),
            (None, None) => String::new(),
        };
        let _ = writeln!(text, "  {} {name}  {described}", mark(before.is_some(), after.is_some()));
    }
}

const fn mark(before: bool, after: bool) -> char {
    match (before, after) {
        (false, _) => '+',
        (true, true) => '~',
        (true, false) => '-',
    }
}

/// Says how many of each kind there are.
fn counted(marks: impl Iterator<Item = char>) -> String {
    let marks: Vec<char> = marks.collect();
    let count = |(mark, word): (char, &str)| {
        let count = marks.iter().filter(|found| **found == mark).count();
        (count > 0).then(|| format!("{count} {word}"))
    };
    let counts: Vec<String> =
        [('+', "added"), ('~', "changed"), ('-', "removed")].into_iter().filter_map(count).collect();
    if counts.is_empty() { "no change".to_owned() } else { counts.join(", ") }
}

fn said(file: &FileSummary) -> String {
    let FileSummary { kind, target, mode, uid, gid, size } = file;
    match target {
        Some(target) => format!("{kind} to {target}"),
        None if *kind == "file" => format!("{mode} {uid}:{gid} {}", looking::size(*size)),
        None => format!("{kind} {mode} {uid}:{gid}"),
    }
}
