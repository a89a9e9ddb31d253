//! A target by stock `ansible-playbook` with `community.docker.docker`, and what may differ from takelage then.

use std::process::Stdio;

use fs_err as fs;
use serde_json::json;

use crate::{BASE, container::StockContainer, record, support::TestProject};

/// Targets that cost little.
const ALWAYS: [&str; 2] = ["loops", "slurp"];

/// Targets, what a result's line begins with, and why it may differ.
const ACCEPTED: [(&str, &str, &str); 0] = [];

/// Whether a target is to be run.
#[expect(clippy::disallowed_methods, reason = "tests are configured by their environment")]
pub(crate) fn is_wanted(target: &str) -> bool {
    ALWAYS.contains(&target) || std::env::var_os("TAKELAGE_TEST_STOCK").is_some()
}

/// Runs the project's playbook in a container that Docker makes. Returns what callbacks saw.
pub(crate) fn run(project: &TestProject) -> Vec<String> {
    let name = project.directory().file_name().unwrap().to_string_lossy();
    let container = StockContainer::start(format!("takelage-targets-{name}"), "testhost", BASE);
    let host =
        json!({"ansible_connection": "community.docker.docker", "ansible_docker_host": container.name});
    let inventory = json!({"all": {"children": {"testgroup": {"hosts": {"testhost": host}}}}});
    project.write("inventory.yml", &inventory.to_string());
    let variables = json!({
        "output_dir": project.directory().join("output"),
        "ansible_python_interpreter": "/usr/bin/python3",
        "ansible_user": "root",
    });
    let mut command = project.command("ansible-playbook");
    command.args(["--inventory", "inventory.yml", "--extra-vars", &variables.to_string(), "run.yml"]);
    // takelage's connection has it by default.
    command.env("ANSIBLE_PIPELINING", "1").stdin(Stdio::null());
    let ran = command.output().unwrap();
    let [stdout, stderr] = [&ran.stdout, &ran.stderr].map(|text| String::from_utf8_lossy(text));
    assert!(ran.status.success(), "stock Ansible fails\n{stdout}\n{stderr}");
    fs::read_to_string(record(project)).unwrap().lines().map(str::to_owned).collect()
}

/// Compares what callbacks saw, in order: task, host, what it came to, and the names of what it told.
pub(crate) fn compare(target: &str, ours: &[String], stock: &[String]) {
    let accepted =
        |line: &str| ACCEPTED.iter().any(|(known, start, _)| *known == target && line.starts_with(start));
    let differ: Vec<_> = ours
        .iter()
        .zip(stock)
        .filter(|(ours, stock)| ours != stock && !(accepted(ours) && accepted(stock)))
        .map(|(ours, stock)| format!("takelage: {ours}\nstock:    {stock}"))
        .take(10)
        .collect();
    assert!(differ.is_empty(), "{target}:\n{}", differ.join("\n"));
    assert_eq!(ours.len(), stock.len(), "{target}: another number of results");
    assert!(!stock.is_empty(), "{target}: nothing was seen");
}
