//! `list`: the instances and their state.

use takelage_config::molecule::{DriverKind, Scenario};
use takelage_run::molecule::{State, instances};

use super::context::Context;
use crate::{
    cli::{ListArguments, ListFormat},
    commands::{engine, looking, runtime},
    failure::Failure,
    output,
};

const HEAD: [&str; 6] =
    ["Instance Name", "Driver Name", "Provisioner Name", "Scenario Name", "Created", "Converged"];

/// Prints one line per instance.
pub(super) fn list(context: &Context<'_>, arguments: &ListArguments) -> Result<u8, Failure> {
    let names: Vec<String> = arguments.scenario_name.iter().cloned().collect();
    let mut rows = Vec::new();
    for found in context.find(&names, &[])? {
        let scenario = context.load(&found)?;
        rows.extend(instances_of(context, &scenario)?);
    }
    output::data(&match arguments.format {
        ListFormat::Simple => looking::table(&HEAD, rows.into_iter()),
        ListFormat::Plain => rows.iter().map(|row| plain(row)).collect(),
        ListFormat::Yaml => yaml(&rows),
    })?;
    Ok(0)
}

fn instances_of(context: &Context<'_>, scenario: &Scenario) -> Result<Vec<Vec<String>>, Failure> {
    let state = State::read(&scenario.places.state);
    let created = created(context, scenario)?;
    let row = |name: &str| {
        let created = match &created {
            _ if scenario.driver.kind == DriverKind::Default && !scenario.driver.managed => {
                "unknown".to_owned()
            }
            Some(created) => created.iter().any(|platform| platform == name).to_string(),
            None => state.created.to_string(),
        };
        let [driver, provisioner] = [scenario.driver.name.as_str(), "ansible"].map(str::to_owned);
        vec![
            name.to_owned(),
            driver,
            provisioner,
            scenario.name.clone(),
            created,
            state.converged.to_string(),
        ]
    };
    if scenario.platforms.is_empty() {
        return Ok(vec![row("")]);
    }
    Ok(scenario.platforms.iter().map(|platform| row(&platform.name)).collect())
}

/// Asks the engine which instances there are. `None`: nobody can be asked, and what is remembered counts.
fn created(context: &Context<'_>, scenario: &Scenario) -> Result<Option<Vec<String>>, Failure> {
    if !scenario.is_native() {
        return Ok(None);
    }
    runtime()?.block_on(async {
        let Ok(chosen) = engine::choose(context.settings, None, &std::env::temp_dir()).await else {
            return Ok(None);
        };
        let found = instances(&chosen.engine, scenario).await?;
        Ok(Some(found.into_iter().map(|instance| instance.platform).collect()))
    })
}

/// Cells up to the next multiple of eight, as tabs leave them.
fn plain(row: &[String]) -> String {
    const TAB: usize = 8;
    let mut line = String::new();
    for (index, cell) in row.iter().enumerate() {
        line.push_str(cell);
        if index + 1 < row.len() {
            let width = line.chars().count();
            line.extend(std::iter::repeat_n(' ', TAB - width % TAB));
        }
    }
    line + "\n"
}

fn yaml(rows: &[Vec<String>]) -> String {
    let mut text = String::from("---\n");
    for row in rows {
        for (index, (head, cell)) in HEAD.iter().zip(row).enumerate() {
            let start = if index == 0 { "-" } else { " " };
            text.extend([start, " ", *head, ": '", &cell.replace('\'', "''"), "'\n"]);
        }
    }
    text
}

#[cfg(test)]
mod tests {
    #[test]
    fn plain_cells_end_where_tabs_do() {
        let row = ["instance", "default", "ansible", "default", "false", "false"].map(str::to_owned);
        assert_eq!(super::plain(&row), "instance        default ansible default false   false\n");
    }
}
