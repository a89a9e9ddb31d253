//! Sequences on scenarios that need no container: order, statuses, and what becomes of the instances.

use std::process::Command;

use takelage_testkit::skip;

use crate::support::{Finished, TestProject};

/// Why these tests cannot run, if they cannot.
fn missing() -> Option<&'static str> {
    let runs = Command::new("ansible-playbook").arg("--version").output().is_ok();
    (!runs).then_some("there is no `ansible-playbook` on PATH")
}

/// A play that writes its name to the log of the project.
fn play(name: &str) -> String {
    format!(
        "- hosts: localhost\n  gather_facts: false\n  tasks:\n    - name: {name} speaks\n      ansible.builtin.shell: echo {name} >> {{{{ lookup('env', 'MOLECULE_PROJECT_DIRECTORY') }}}}/log\n      changed_when: false\n"
    )
}

fn project() -> TestProject {
    let mut project = TestProject::new().with("molecule/default/molecule.yml", "platforms: [{name: a}]\n");
    project.set("DOCKER_HOST", "unix:///nowhere");
    for section in ["create", "destroy", "prepare", "converge", "cleanup", "side_effect", "verify"] {
        project.write(&format!("molecule/default/{section}.yml"), &play(section));
    }
    project
}

fn log(project: &TestProject) -> String {
    let log = fs_err::read_to_string(project.root().join("log")).unwrap_or_default();
    let _ = fs_err::remove_file(project.root().join("log"));
    log.split_whitespace().collect::<Vec<_>>().join(" ")
}

fn succeeded(finished: &Finished) {
    assert_eq!(finished.status, Some(0), "{finished}");
}

#[test]
fn ansible_a_test_runs_all_playbooks_in_order_and_shows_what_ansible_prints() {
    if let Some(missing) = missing() {
        skip!("{missing}");
    }
    let project = project();
    let finished = project.run(&["molecule", "test", "--report"]);
    succeeded(&finished);
    assert_eq!(
        log(&project),
        "cleanup destroy create prepare converge converge side_effect verify cleanup destroy"
    );
    assert!(finished.stdout.contains("PLAY RECAP"), "{finished}");
    assert!(finished.stderr.contains("SCENARIO RECAP"), "{finished}");
    let told: Vec<_> = finished
        .events
        .iter()
        .filter(|event| event["event"] == "task_result" && event["step"]["op"] == "converge")
        .collect();
    assert_eq!(told.len(), 1, "each result is told once");
    assert_eq!(told[0]["task"]["path"], "molecule/default/converge.yml:4");
}

#[test]
fn ansible_state_is_remembered_between_commands() {
    if let Some(missing) = missing() {
        skip!("{missing}");
    }
    let project = project();
    assert_eq!(project.run(&["molecule", "idempotence"]).status, Some(1), "it has not converged yet");
    succeeded(&project.run(&["molecule", "converge"]));
    succeeded(&project.run(&["molecule", "converge"]));
    succeeded(&project.run(&["molecule", "prepare", "--force"]));
    assert_eq!(log(&project), "create prepare converge converge prepare");
    let list = project.run(&["molecule", "list", "-f", "plain"]);
    assert_eq!(list.stdout, "a       default ansible default true    true\n");
    succeeded(&project.run(&["molecule", "destroy"]));
    succeeded(&project.run(&["molecule", "create"]));
    assert_eq!(log(&project), "cleanup destroy create prepare");
}

#[test]
fn ansible_a_failure_passes_its_status_on_and_is_cleaned_up_as_asked() {
    if let Some(missing) = missing() {
        skip!("{missing}");
    }
    let project = project();
    let failing =
        format!("{}    - name: break\n      ansible.builtin.fail: {{msg: on purpose}}\n", play("converge"));
    project.write("molecule/default/converge.yml", &failing);
    let finished = project.run(&["molecule", "test"]);
    assert_eq!(finished.status, Some(2), "{finished}");
    assert!(finished.stderr.contains("molecule/default/converge.yml:7"), "{finished}");
    assert_eq!(log(&project), "cleanup destroy create prepare converge cleanup destroy");
    for (when, expected) in [
        ("never", "cleanup create prepare converge"),
        ("on-success", "cleanup destroy create prepare converge"),
        ("ask", "cleanup destroy create prepare converge cleanup destroy"),
    ] {
        let _ = project.run(&["molecule", "reset"]);
        assert_eq!(project.run(&["molecule", "test", "--destroy", when]).status, Some(2));
        assert_eq!(log(&project), expected, "{when}");
    }
}

#[test]
fn ansible_idempotence_names_handlers_and_is_not_fooled_by_text() {
    if let Some(missing) = missing() {
        skip!("{missing}");
    }
    let project = project();
    project.write(
        "molecule/default/converge.yml",
        "- hosts: localhost\n  gather_facts: false\n  tasks:\n    - ansible.builtin.debug: {msg: 'changed=3'}\n",
    );
    succeeded(&project.run(&["molecule", "converge"]));
    succeeded(&project.run(&["molecule", "idempotence"]));
    project.write(
        "molecule/default/converge.yml",
        "- hosts: localhost\n  gather_facts: false\n  tasks:\n    - ansible.builtin.command: 'true'\n      notify: late\n  handlers:\n    - name: late\n      ansible.builtin.command: 'true'\n",
    );
    project.set_callback();
    let finished = project.run(&["molecule", "idempotence"]);
    assert_eq!(finished.status, Some(1), "{finished}");
    assert!(
        finished.stderr.contains("`late` (molecule/default/converge.yml:7) on `localhost`"),
        "{finished}"
    );
}

#[test]
fn ansible_sequences_name_playbooks_and_arguments_reach_ansible() {
    if let Some(missing) = missing() {
        skip!("{missing}");
    }
    let project = project();
    project.write(
        "molecule/default/molecule.yml",
        "platforms: [{name: a}]\nscenario: {test_sequence: [side_effect one.yml two.yml, verify one.yml, verify gone.yml]}\n",
    );
    project.write("molecule/default/one.yml", &play("one"));
    project.write("molecule/default/two.yml", &play("two"));
    let finished = project.run(&["molecule", "test", "--destroy=never"]);
    assert_eq!((finished.status, log(&project).as_str()), (Some(1), "one two one"), "{finished}");
    assert!(finished.stderr.contains("there is no playbook `gone.yml`"), "{finished}");
    let finished = project.run(&["molecule", "converge", "--", "--list-tasks"]);
    assert!(finished.stdout.contains("converge speaks\tTAGS: []"), "{finished}");
    assert_eq!(log(&project), "");
}

#[test]
fn ansible_several_scenarios_run_side_by_side_and_the_first_failure_keeps_others_from_starting() {
    if let Some(missing) = missing() {
        skip!("{missing}");
    }
    let project = TestProject::new();
    for name in ["a", "b", "c"] {
        project.write(&format!("molecule/{name}/molecule.yml"), "scenario: {test_sequence: [converge]}\n");
        project.write(&format!("molecule/{name}/converge.yml"), &play(name));
    }
    succeeded(&project.run(&["molecule", "test", "--all", "--workers", "3"]));
    let mut names: Vec<String> = log(&project).split(' ').map(str::to_owned).collect();
    names.sort();
    assert_eq!(names, ["a", "b", "c"]);
    project.write("molecule/a/converge.yml", "- hosts: localhost\n  tasks: [{ansible.builtin.fail: {}}]\n");
    let finished = project.run(&["molecule", "test", "--all"]);
    assert_eq!((finished.status, log(&project).as_str()), (Some(2), ""), "{finished}");
    assert!(finished.stderr.contains("Fail-fast: not started are b, c"), "{finished}");
    assert_eq!(project.run(&["molecule", "test", "--all", "--continue-on-failure"]).status, Some(2));
    assert_eq!(log(&project), "b c");
}

#[test]
fn ansible_a_new_scenario_passes_its_own_test() {
    if let Some(missing) = missing() {
        skip!("{missing}");
    }
    let project = TestProject::new();
    succeeded(&project.run(&["molecule", "init", "scenario", "fresh"]));
    succeeded(&project.run(&["molecule", "test", "-s", "fresh"]));
    assert_eq!(project.run(&["molecule", "init", "scenario", "fresh"]).status, Some(1));
}

impl TestProject {
    /// Has Ansible print by a callback that says nothing of what changed in all.
    fn set_callback(&self) {
        let text = "platforms: [{name: a}]\nansible: {cfg: {defaults: {stdout_callback: ansible.builtin.minimal}}}\n";
        self.write("molecule/default/molecule.yml", text);
    }
}
