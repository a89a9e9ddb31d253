//! takelage beside Molecule 26.10.0: the same scenario must call Ansible and pytest in the same way.
//!
//! A recorder stands first on `PATH` as the Python of `ansible-playbook` and `pytest`. Compared are, call by call:
//! arguments, working directory, the variables `MOLECULE_*` and `ANSIBLE_*`, and all generated files. What may differ is
//! listed in `normalise.rs`, each with its reason.
//!
//! It needs the programs of a virtual environment with Molecule, whose `bin` directory the variable
//! `TAKELAGE_TEST_MOLECULE` names. With `TAKELAGE_TEST_SCENARIOS`, all scenarios below that directory are compared, too.
#![expect(
    clippy::unwrap_used,
    reason = "outside of `#[test]` functions clippy does not see that all of this is tests"
)]
#![expect(clippy::print_stdout, reason = "a test that passes says how much it compared")]

mod normalise;
mod projects;
mod side;

use std::path::{Path, PathBuf};

use side::{Project, Side};
use takelage_testkit::skip;

#[expect(clippy::disallowed_methods, reason = "tests are configured by their environment")]
fn variable(name: &str) -> Option<PathBuf> {
    std::env::var_os(name).map(PathBuf::from)
}

/// The directory with Molecule's programs, or why there is none.
fn molecule() -> Result<PathBuf, String> {
    let bin = variable("TAKELAGE_TEST_MOLECULE").ok_or("`TAKELAGE_TEST_MOLECULE` names no directory")?;
    if bin.join("molecule").is_file() {
        Ok(bin)
    } else {
        Err(format!("there is no `{}/molecule`", bin.display()))
    }
}

/// Runs a command on both sides and returns what differs, and how many calls there were.
fn compare(bin: &Path, project: &Project, arguments: &[&str]) -> (Vec<String>, usize) {
    let [ours, theirs] = [Side::Takelage, Side::Molecule].map(|side| side.record(bin, project, arguments));
    let mut differences = Vec::new();
    if ours.status != theirs.status {
        differences.push(format!("status {:?} instead of {:?}", ours.status, theirs.status));
    }
    if ours.calls.len() != theirs.calls.len() {
        let names = |calls: &[serde_json::Value]| {
            let last =
                |call: &serde_json::Value| call["argv"].as_array().and_then(|argv| argv.last().cloned());
            format!("{:?}", calls.iter().filter_map(last).collect::<Vec<_>>())
        };
        differences.push(format!("calls {} instead of {}", names(&ours.calls), names(&theirs.calls)));
    }
    for (index, (ours, theirs)) in ours.calls.iter().zip(&theirs.calls).enumerate() {
        normalise::differences(&format!("call {index}"), ours, theirs, &mut differences);
    }
    if !differences.is_empty() {
        differences.push(format!("ours said:\n{}\ntheirs said:\n{}", ours.said, theirs.said));
    }
    (differences, theirs.calls.len())
}

/// Compares all commands on a project. Returns how many calls there were, after adding what differs.
fn check(
    bin: &Path,
    name: &str,
    project: &Project,
    commands: &[&[&str]],
    differences: &mut Vec<String>,
) -> usize {
    let mut calls = 0;
    for arguments in commands {
        let (found, count) = compare(bin, project, arguments);
        if !found.is_empty() {
            differences.push(format!("{name}: {arguments:?}:\n{}", found.join("\n")));
        }
        calls += count;
    }
    calls
}

/// Fails if something differs, and else says how much was compared.
fn end(calls: usize, differences: &[String]) {
    assert!(differences.is_empty(), "{}", differences.join("\n"));
    println!("{calls} calls are the same");
}

#[test]
fn ansible_every_key_reaches_ansible_and_pytest_as_molecule_has_it() {
    let bin = match molecule() {
        Ok(bin) => bin,
        Err(reason) => skip!("{reason}"),
    };
    let (mut calls, mut differences) = (0, Vec::new());
    for case in projects::CASES {
        let project = Project::of(case.files);
        calls += check(&bin, case.name, &project, case.commands, &mut differences);
    }
    assert!(calls >= projects::CASES.len(), "only {calls} calls were recorded");
    end(calls, &differences);
}

#[test]
fn docker_ansible_containers_change_nothing_but_the_connection() {
    let bin = match molecule() {
        Ok(bin) => bin,
        Err(reason) => skip!("{reason}"),
    };
    let project = Project::of(projects::DOCKER);
    let mut differences = Vec::new();
    let calls = check(&bin, "docker", &project, &[&["test"]], &mut differences);
    end(calls, &differences);
}

#[test]
fn docker_ansible_scenarios_of_a_whole_tree() {
    let bin = match molecule() {
        Ok(bin) => bin,
        Err(reason) => skip!("{reason}"),
    };
    let Some(tree) = variable("TAKELAGE_TEST_SCENARIOS") else {
        skip!("`TAKELAGE_TEST_SCENARIOS` names no directory");
    };
    let (mut calls, mut differences) = (0, Vec::new());
    let scenarios = projects::scenarios(&tree);
    assert!(!scenarios.is_empty(), "there is no scenario below `{}`", tree.display());
    for scenario in &scenarios {
        let project = Project::copy(&tree, scenario);
        let name = scenario.file.display().to_string();
        calls += check(&bin, &name, &project, &[&["test", "-s", &scenario.name]], &mut differences);
    }
    println!("{} scenarios", scenarios.len());
    end(calls, &differences);
}
