//! `explain`: what the last run of an image took from memory, and why not more.

use serde_json::json;
use takelage_model::Exit;
use takelage_run::{Explained, Explanation, Store};

use super::one;
use crate::{cli::ExplainArguments, failure::Failure, output, settings::Settings};

/// Prints what was reused of an image's requests to its container.
pub(crate) fn explain(settings: &Settings, arguments: &ExplainArguments) -> Result<Exit, Failure> {
    let project = settings.project()?;
    let name = one(&project, &arguments.image)?;
    let store = Store::open(settings.cache()?)?;
    let layers = match project.images.get(&name) {
        Some(image) => takelage_run::explain(&project, &store, image)?,
        None => Vec::new(),
    };
    let text = if arguments.json {
        let layers: Vec<_> =
            layers.iter().map(|layer| json!({"layer": layer.layer, "last": layer.last})).collect();
        format!("{:#}\n", json!({"image": name, "layers": layers}))
    } else if layers.is_empty() {
        format!("{name}: nothing is provisioned\n")
    } else {
        let several = layers.len() > 1;
        layers.iter().map(|layer| text(name.as_str(), layer, several)).collect()
    };
    output::data(&text)?;
    Ok(Exit::Done)
}

fn text(image: &str, explained: &Explained, several: bool) -> String {
    let title = match &explained.layer {
        Some(layer) => format!("{image}, layer {layer}"),
        None if several => format!("{image}, as `develop` made it"),
        None => image.to_owned(),
    };
    match &explained.last {
        Some(last) => format!("{title}: {}", sentences(last)),
        None => format!("{title}: nothing is remembered\n"),
    }
}

fn sentences(last: &Explanation) -> String {
    let mut lines = vec![format!("{} of {} requests came from memory", last.reused, last.requests)];
    if let Some(first) = &last.first {
        let place = match (first.task.as_str(), first.path.as_str()) {
            ("", "") => "preparing the container".to_owned(),
            ("", path) => path.to_owned(),
            (task, path) => format!("`{task}` ({path})"),
        };
        lines.push(format!("  the first that ran: {place}, {}", first.what));
        lines.push(format!("  why: {}", first.because));
    }
    if let Some(ended) = &last.ended {
        lines.push(format!("  nothing is remembered from there on: {ended}"));
    }
    lines.join("\n") + "\n"
}
