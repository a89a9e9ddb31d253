//! `reset`: forgets scenarios.

use std::path::Path;

use takelage_config::molecule::Scenario;
use takelage_engine::{Container as _, Engine as _};
use takelage_run::molecule::instances;

use super::context::Context;
use crate::{
    cli::Selection,
    commands::{engine, runtime},
    failure::Failure,
    output,
};

/// Removes the instances and the generated files of scenarios, and nothing of other projects.
pub(super) fn reset(context: &Context<'_>, selection: &Selection) -> Result<u8, Failure> {
    for found in context.selected(selection)? {
        let scenario = context.load(&found)?;
        if scenario.is_native() {
            remove_instances(context, &scenario)?;
        }
        let places = &scenario.places;
        remove(&places.ephemeral)?;
        if let Some(directory) = places.state.parent() {
            remove(directory)?;
        }
        output::talk(&format!("{}: forgotten\n", scenario.name));
    }
    if selection.all {
        remove(&context.shared_directory())?;
    }
    Ok(0)
}

fn remove_instances(context: &Context<'_>, scenario: &Scenario) -> Result<(), Failure> {
    runtime()?.block_on(async {
        let chosen = engine::choose(context.settings, None, &std::env::temp_dir()).await?;
        for instance in instances(&chosen.engine, scenario).await? {
            chosen.engine.container(&instance.container).remove().await?;
            output::talk(&format!("{}: {} is removed\n", scenario.name, instance.container.name));
        }
        Ok(())
    })
}

fn remove(directory: &Path) -> Result<(), Failure> {
    match fs_err::remove_dir_all(directory) {
        Err(source) if source.kind() != std::io::ErrorKind::NotFound => {
            Err(Failure::Remove { path: directory.to_owned(), source })
        }
        _ => Ok(()),
    }
}
