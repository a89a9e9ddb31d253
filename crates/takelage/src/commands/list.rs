//! `list`: the images of the project and their state.

use takelage_model::Exit;
use takelage_run::Listed;

use super::{engine, looking, runtime};
use crate::{failure::Failure, output, settings::Settings};

/// Prints the images of the project.
pub(crate) fn list(settings: &Settings, json: bool) -> Result<Exit, Failure> {
    let project = settings.project()?;
    let images = runtime()?.block_on(async {
        let chosen = engine::choose(settings, Some(&project), &std::env::temp_dir()).await?;
        Ok::<_, Failure>(takelage_run::list(&chosen.engine, &project).await?)
    })?;
    if json {
        output::data(&format!("{:#}\n", serde_json::json!({ "images": images })))?;
    } else {
        output::data(&looking::table(
            &["IMAGE", "FROM", "STATE", "DIGEST", "TAGS", "CONTAINER"],
            images.iter().map(row),
        ))?;
    }
    Ok(Exit::Done)
}

fn row(image: &Listed) -> Vec<String> {
    let or_dash =
        |text: Option<String>| text.filter(|text| !text.is_empty()).unwrap_or_else(|| "-".to_owned());
    vec![
        image.name.to_string(),
        image.from.clone(),
        image.state.word().to_owned(),
        or_dash(image.digest.map(|digest| digest.short())),
        or_dash(Some(image.tags.join(", "))),
        or_dash(image.container.clone()),
    ]
}
