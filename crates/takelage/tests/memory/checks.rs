//! Checks that held do not run again while nothing that they depend on has changed.

use fs_err as fs;
use serde_json::Value;

use crate::{need_everything, on_both_engines, support::Finished, yard::Yard};

const TASKS: &str = "- name: greet\n  ansible.builtin.command: touch /greeting\n";

const CHECKS: &str = "\
import os

import pytest


def test_greeting(host):
    assert host.file('/greeting').exists, os.environ.get('BERTH')


def test_known():
    pytest.skip('known')
";

fn checked(name: &str, engine: &str) -> Yard {
    let yard = Yard::with(name, engine, TASKS, "    tests: tests\n");
    yard.write("tests/test_app.py", CHECKS);
    yard
}

/// How the step `verify` ended.
fn verified(run: &Finished) -> &str {
    let ends = |event: &&Value| event["event"] == "step_finished" && event["step"]["op"] == "verify";
    run.events.iter().find(ends).map_or("", |event| event["outcome"]["outcome"].as_str().unwrap())
}

fn test(yard: &Yard, options: &[&str]) -> Finished {
    let run = yard.run(&[options, &["test"]].concat());
    assert_eq!(run.status, Some(0), "{run}");
    run
}

fn assert_ran(yard: &Yard, why: &str) {
    let run = test(yard, &[]);
    assert_eq!(verified(&run), "done", "{why}: {run}");
    let checks = run.events.iter().filter(|event| event["event"] == "check");
    assert!(
        checks.clone().count() == 2 && checks.clone().all(|event| event["check"]["cached"].is_null()),
        "{run}"
    );
}

fn assert_cached(yard: &Yard, why: &str) {
    let run = test(yard, &[]);
    assert_eq!(verified(&run), "cached", "{why}: {run}");
}

fn unchanged(engine: &str) {
    let yard = checked("checks", engine);
    assert_ran(&yard, "the first time");
    let junit = yard.directory().join("checks.xml");
    let run = test(&yard, &["-v", "--junit", junit.to_str().unwrap()]);
    assert_eq!(verified(&run), "cached", "{run}");
    let created = run.events.iter().any(|event| event["step"]["op"] == "create");
    assert!(!created, "no container is started: {run}");
    let checks: Vec<_> = run.events.iter().filter(|event| event["event"] == "check").collect();
    assert!(checks.iter().all(|event| event["check"]["cached"] == true) && checks.len() == 2, "{run}");
    assert!(run.stderr.contains("app: verify: cached (1 passed, 1 skipped, as at 2"), "{run}");
    assert!(run.stderr.contains("passed, cached: tests/test_app.py::test_greeting"), "{run}");
    let report = fs::read_to_string(junit).unwrap();
    assert!(report.contains(r#"tests="2" skipped="1""#), "{report}");
    assert_eq!(report.matches(r#"<property name="cached" value="true"/>"#).count(), 2, "{report}");
}

on_both_engines!(
    docker_memory_runs_no_checks_of_what_is_unchanged,
    embedded_memory_runs_no_checks_of_what_is_unchanged,
    unchanged
);

#[test]
fn embedded_memory_runs_checks_again_after_every_change() {
    need_everything!();
    let mut yard = checked("checks-inputs", "embedded");
    // Distributions that are found, but by nothing else than their names and versions.
    let plugins = yard.directory().join("site-packages");
    let plugin = |version: &str| {
        fs::create_dir_all(plugins.join("pytest_harbour.dist-info")).unwrap();
        let metadata = format!("Metadata-Version: 2.1\nName: pytest-harbour\nVersion: {version}\n");
        fs::write(plugins.join("pytest_harbour.dist-info/METADATA"), metadata).unwrap();
    };
    plugin("1.0");
    yard.set("PYTHONPATH", plugins.to_str().unwrap());
    assert_ran(&yard, "the first time");
    assert_cached(&yard, "nothing changed");
    yard.set("QUAY", "north");
    assert_cached(&yard, "a variable that no file names");
    yard.set("BERTH", "north");
    assert_ran(&yard, "a variable that a file names");
    yard.set("PYTEST_ADDOPTS", "-v");
    assert_ran(&yard, "a variable of pytest's");
    plugin("1.1");
    assert_ran(&yard, "the version of a plugin");
    yard.write("tests/test_app.py", &CHECKS.replace("'known'", "'not yet'"));
    assert_ran(&yard, "a file of checks");
    yard.write("tests/conftest.py", "X = 1\n");
    assert_ran(&yard, "conftest.py");
    fs::write(yard.root().parent().unwrap().join("pytest.ini"), "[pytest]\n").unwrap();
    assert_ran(&yard, "configuration above the project");
    let file = fs::read_to_string(yard.root().join("takelage.yml")).unwrap();
    yard.write("takelage.yml", &format!("{file}pytest: {{options: [-v, --tb, short]}}\n"));
    assert_ran(&yard, "options");
    assert_cached(&yard, "nothing changed");
    assert_eq!(yard.run(&["--refresh", "produce"]).status, Some(0));
    assert_ran(&yard, "another image of the same files");
    assert_cached(&yard, "nothing changed");
    // An option that may do anything.
    let report = yard.directory().join("own.xml");
    let options = format!("pytest: {{options: ['--junitxml={}']}}\n", report.display());
    yard.write("takelage.yml", &format!("{file}{options}"));
    assert_ran(&yard, "options");
    fs::remove_file(&report).unwrap();
    assert_ran(&yard, "an option that writes a file");
    assert!(report.exists());
}

#[test]
fn embedded_memory_runs_checks_again_if_asked_to() {
    need_everything!();
    let yard = checked("checks-asked", "embedded");
    for option in ["--no-cache", "--plain"] {
        assert_eq!(verified(&test(&yard, &[option])), "done", "{option}");
        assert!(!yard.directory().join("cache/checks-v1").exists(), "{option}");
    }
    assert_ran(&yard, "the first time that is remembered");
    let run = yard.run(&["test", "--no-cached-checks"]);
    assert_eq!((run.status, verified(&run)), (Some(0), "done"), "{run}");
    assert_eq!(verified(&test(&yard, &["--refresh"])), "done");
    assert_cached(&yard, "nothing changed");
    // As if it had been long ago.
    let projects = fs::read_dir(yard.directory().join("cache/checks-v1")).unwrap();
    let path = projects.map(|project| project.unwrap().path().join("app.json")).next().unwrap();
    let mut record: Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
    record["at"] = "2020-01-01T00:00:00Z".into();
    fs::write(&path, serde_json::to_vec(&record).unwrap()).unwrap();
    assert_ran(&yard, "older than `cache.max_age`");
    // Where it lies, a distribution's files may change at any time.
    let mut yard = yard;
    let place = yard.directory().join("worked-on");
    fs::create_dir_all(place.join("pytest_quay.egg-info")).unwrap();
    fs::write(place.join("pytest_quay.egg-info/PKG-INFO"), "Name: pytest-quay\nVersion: 1\n").unwrap();
    yard.set("PYTHONPATH", place.to_str().unwrap());
    assert_ran(&yard, "a plugin that is worked on");
    assert_ran(&yard, "a plugin that is worked on");
}

#[test]
fn embedded_memory_has_no_checks_that_failed() {
    need_everything!();
    let yard = checked("checks-failed", "embedded");
    // It depends on nothing that takelage sees.
    let flag = yard.directory().join("flag");
    yard.write(
        "tests/test_app.py",
        &format!("import os\n\ndef test_flag():\n    assert os.path.exists('{}')\n", flag.display()),
    );
    let run = |status, outcome: &str| {
        let run = yard.run(&["test"]);
        assert_eq!((run.status, verified(&run)), (Some(status), outcome), "{run}");
    };
    run(1, "failed");
    run(1, "failed");
    fs::write(&flag, "").unwrap();
    run(0, "done");
    run(0, "cached");
    fs::remove_file(&flag).unwrap();
    let anew = yard.run(&["test", "--no-cached-checks"]);
    assert_eq!(anew.status, Some(1), "{anew}");
    run(1, "failed");
}
