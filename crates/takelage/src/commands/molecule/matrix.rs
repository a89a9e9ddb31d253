//! `matrix`: what a command does, action by action.

use takelage_config::molecule::{Action, DependencyName, Scenario, Section, SequenceEntry, VerifierName};

use super::context::Context;
use crate::{cli::MatrixArguments, failure::Failure, output};

/// Prints the sequence of a command for each scenario.
pub(super) fn matrix(context: &Context<'_>, arguments: &MatrixArguments) -> Result<u8, Failure> {
    let names: Vec<String> = arguments.scenario_name.iter().cloned().collect();
    let mut text = String::new();
    for found in context.find(&names, &[])? {
        let scenario = context.load(&found)?;
        let Some(entries) = scenario.sequences.of(&arguments.command) else {
            return Err(Failure::NoSequence { command: arguments.command.clone() });
        };
        let lines: Vec<String> = entries.iter().map(|entry| line(context, &scenario, entry)).collect();
        text.extend([scenario.name.as_str(), "\n", &lines.concat()]);
    }
    output::data(&text)?;
    Ok(0)
}

fn line(context: &Context<'_>, scenario: &Scenario, entry: &SequenceEntry) -> String {
    let what = match entry.action {
        Action::Dependency => dependency(scenario),
        Action::Create | Action::Destroy => {
            let section = if entry.action == Action::Create { Section::Create } else { Section::Destroy };
            let own = scenario.playbook(section).is_some();
            if own || !scenario.is_native() {
                playbook(context, scenario, section)
            } else {
                "takelage's engine".to_owned()
            }
        }
        Action::Cleanup => playbook(context, scenario, Section::Cleanup),
        Action::Prepare => playbook(context, scenario, Section::Prepare),
        Action::Syntax | Action::Converge | Action::Idempotence | Action::Check => {
            playbook(context, scenario, Section::Converge)
        }
        Action::SideEffect if entry.arguments.is_empty() => playbook(context, scenario, Section::SideEffect),
        Action::Verify if !scenario.verifier.enabled => "(the verifier is disabled)".to_owned(),
        Action::Verify if scenario.verifier.name == VerifierName::Testinfra => {
            match scenario.tests(&entry.arguments).len() {
                0 => "(no tests found)".to_owned(),
                1 => "pytest, 1 file".to_owned(),
                count => format!("pytest, {count} files"),
            }
        }
        Action::Verify if entry.arguments.is_empty() => playbook(context, scenario, Section::Verify),
        Action::SideEffect | Action::Verify => String::new(),
    };
    format!("  {:20} {what}", entry.to_string()).trim_end().to_owned() + "\n"
}

fn playbook(context: &Context<'_>, scenario: &Scenario, section: Section) -> String {
    match scenario.playbook(section) {
        Some(path) => path.strip_prefix(&context.project).unwrap_or(&path).display().to_string(),
        None => format!("(there is no playbook `{}.yml`)", section.key()),
    }
}

fn dependency(scenario: &Scenario) -> String {
    let dependency = &scenario.dependency;
    let files = scenario.galaxy_commands().map(|(file, _)| file);
    match (dependency.enabled, dependency.name, &dependency.command) {
        (false, ..) => "(disabled)".to_owned(),
        (true, DependencyName::Shell, Some(command)) => command.clone(),
        (true, DependencyName::Galaxy, _) if files.iter().any(|file| file.is_file()) => {
            "ansible-galaxy".to_owned()
        }
        _ => "(there are no requirements)".to_owned(),
    }
}
