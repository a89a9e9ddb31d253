//! `login`: a shell in an instance.

use std::process::Command;

use serde_json::{Map, Value};
use takelage_config::molecule::Scenario;
use takelage_engine::{Container as _, Engine as _};
use takelage_run::molecule::{State, instances};

use super::{context::Context, sequence};
use crate::{
    cli::LoginArguments,
    commands::{engine, runtime, shell},
    failure::Failure,
};

/// Opens a shell and returns the status that it ends with.
pub(super) fn login(context: &Context<'_>, arguments: &LoginArguments) -> Result<u8, Failure> {
    let found = context.find(std::slice::from_ref(&arguments.scenario_name), &[])?;
    let Some(found) = found.into_iter().next() else { return Ok(0) };
    let scenario = context.load(&found)?;
    let names: Vec<&str> = scenario.platforms.iter().map(|platform| platform.name.as_str()).collect();
    let host = choose(&names, arguments.host.as_deref())?;
    if scenario.driver.managed && !State::read(&scenario.places.state).created {
        let created = sequence::create(context, &arguments.scenario_name)?;
        if created != 0 {
            return Ok(created);
        }
    }
    if !scenario.is_native() {
        return remote(&scenario, &host);
    }
    runtime()?.block_on(async {
        let chosen = engine::choose(context.settings, None, &std::env::temp_dir()).await?;
        let found = instances(&chosen.engine, &scenario).await?;
        let Some(instance) = found.into_iter().find(|instance| instance.platform == host) else {
            return Err(Failure::NoInstance { name: host });
        };
        let container = chosen.engine.container(&instance.container);
        if !instance.container.running {
            container.start().await?;
        }
        let status = shell::enter(context.settings, &container, shell::login_shell()).await?;
        Ok(u8::try_from(status).unwrap_or(1))
    })
}

/// Returns the instance that is meant: the only one, or the only one whose name begins so, or is so.
fn choose(names: &[&str], host: Option<&str>) -> Result<String, Failure> {
    let known = || names.iter().map(|name| (*name).to_owned()).collect();
    match (host, names) {
        (None, [only]) => Ok((*only).to_owned()),
        (None, _) => Err(Failure::WhichInstance { known: known() }),
        (Some(host), []) => Ok(host.to_owned()),
        (Some(host), names) if names.contains(&host) => Ok(host.to_owned()),
        (Some(host), names) => {
            let matching: Vec<&&str> = names.iter().filter(|name| name.starts_with(host)).collect();
            match matching.as_slice() {
                [only] => Ok((**only).to_owned()),
                [] => Err(Failure::NoInstance { name: host.to_owned() }),
                _ => Err(Failure::WhichInstance { known: known() }),
            }
        }
    }
}

/// Runs the scenario's own command for this, else `ssh`.
fn remote(scenario: &Scenario, host: &str) -> Result<u8, Failure> {
    let mut entry = scenario.instance(host).unwrap_or_default();
    entry.insert("instance".to_owned(), host.into());
    let ssh = format!(
        "ssh {{address}} -l {{user}} -p {{port}} -i {{identity_file}} {}",
        scenario.ssh_options().join(" ")
    );
    let template = scenario.driver.options.get("login_cmd_template").and_then(Value::as_str).unwrap_or(&ssh);
    let line = filled(template, &entry).ok_or_else(|| Failure::NoInstance { name: host.to_owned() })?;
    let status = Command::new("/bin/sh").args(["-c", &line]).status();
    let status = status.map_err(Failure::Terminal)?;
    Ok(status.code().and_then(|code| u8::try_from(code).ok()).unwrap_or(1))
}

/// Puts an instance's values in the places of their names in braces. `None`: one is not known.
fn filled(template: &str, entry: &Map<String, Value>) -> Option<String> {
    let mut line = String::new();
    let mut rest = template;
    while let Some((before, after)) = rest.split_once('{') {
        let (name, behind) = after.split_once('}')?;
        let value = match entry.get(name)? {
            Value::String(text) => text.clone(),
            other => other.to_string(),
        };
        line.push_str(before);
        line.push_str(&value);
        rest = behind;
    }
    Some(line + rest)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn an_instance_is_chosen_by_the_beginning_of_its_name() {
        assert_eq!(choose(&["web"], None).unwrap(), "web");
        assert_eq!(choose(&["web", "web-2"], Some("web")).unwrap(), "web");
        assert_eq!(choose(&["web", "db"], Some("d")).unwrap(), "db");
        assert!(choose(&["web", "db"], None).is_err());
        assert!(choose(&["web", "wide"], Some("w")).is_err());
        assert!(choose(&["web"], Some("x")).is_err());
    }

    #[test]
    fn a_template_is_filled_with_what_is_known_of_the_instance() {
        let Value::Object(entry) = json!({"address": "10.0.0.1", "port": 22}) else { unreachable!() };
        assert_eq!(filled("ssh {address} -p {port}", &entry).as_deref(), Some("ssh 10.0.0.1 -p 22"));
        assert_eq!(filled("ssh {user}", &entry), None);
    }
}
