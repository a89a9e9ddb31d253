//! Commands that only look, and what is said about wrong ones.

use insta::assert_snapshot;

use crate::support::TestProject;

fn project() -> TestProject {
    TestProject::new()
        .with(
            "molecule/default/molecule.yml",
            "driver: {name: docker}\nplatforms:\n  - {name: web, image: x, pre_build_image: true}\n  - {name: db, image: x}\nverifier: {name: testinfra}\nscenario:\n  test_sequence: [lint, destroy, create, converge, verify, verify other.yml, side_effect a.yml, destroy]\n",
        )
        .with("molecule/default/converge.yml", "[]")
        .with("molecule/default/tests/test_a.py", "")
        .with("molecule/delegated/molecule.yml", "driver: {name: delegated, options: {managed: false}}\nplatforms: [{name: elsewhere}]\n")
        .with("molecule/delegated/create.yml", "[]")
}

/// Nobody must answer, or the state would depend on who does.
fn without_engine() -> TestProject {
    let mut project = project();
    project.set("DOCKER_HOST", "unix:///nowhere");
    project
}

#[test]
fn list_prints_instances_in_three_forms() {
    let project = without_engine();
    assert_snapshot!(project.run(&["molecule", "list"]), @r"
    status: 0
    --- stdout ---
    Instance Name  Driver Name  Provisioner Name  Scenario Name  Created  Converged
    web            docker       ansible           default        false    false
    db             docker       ansible           default        false    false
    elsewhere      default      ansible           delegated      unknown  false
    ");
    assert_snapshot!(project.run(&["molecule", "list", "-f", "plain", "-s", "delegated"]), @r"
    status: 0
    --- stdout ---
    elsewhere       default ansible delegated       unknown false
    ");
    assert_snapshot!(project.run(&["molecule", "list", "--format", "yaml", "-s", "delegated"]), @r"
    status: 0
    --- stdout ---
    ---
    - Instance Name: 'elsewhere'
      Driver Name: 'default'
      Provisioner Name: 'ansible'
      Scenario Name: 'delegated'
      Created: 'unknown'
      Converged: 'false'
    ");
}

#[test]
fn matrix_says_what_would_run_and_why_something_would_not() {
    let project = project();
    assert_snapshot!(project.run(&["molecule", "matrix", "test"]), @r"
    status: 0
    --- stdout ---
    default
      destroy              takelage's engine
      create               takelage's engine
      converge             molecule/default/converge.yml
      verify               pytest, 1 file
      verify other.yml     (no tests found)
      side_effect a.yml
      destroy              takelage's engine
    delegated
      dependency           (there are no requirements)
      cleanup              (there is no playbook `cleanup.yml`)
      destroy              (there is no playbook `destroy.yml`)
      syntax               molecule/delegated/converge.yml
      create               molecule/delegated/create.yml
      prepare              (there is no playbook `prepare.yml`)
      converge             molecule/delegated/converge.yml
      idempotence          molecule/delegated/converge.yml
      side_effect          (there is no playbook `side_effect.yml`)
      verify               (there is no playbook `verify.yml`)
      cleanup              (there is no playbook `cleanup.yml`)
      destroy              (there is no playbook `destroy.yml`)
    ");
    assert_snapshot!(project.run(&["molecule", "matrix", "-s", "default", "lint"]), @r"
    status: 1
    --- stderr ---
    error: there is no command `lint` with a sequence of actions
    ");
}

#[test]
fn drivers_are_those_that_takelage_has_a_counterpart_of() {
    assert_snapshot!(project().run(&["molecule", "drivers", "--format", "plain"]), @r"
    status: 0
    --- stdout ---
    containers      takelage's engine
    default         the scenario's own playbooks create and destroy
    docker          takelage's engine
    podman          takelage's engine
    ");
}

#[test]
fn what_is_not_there_or_not_right_ends_with_molecules_status() {
    let project = without_engine();
    assert_snapshot!(project.run(&["molecule", "converge", "-s", "nope"]), @r"
    status: 1
    --- stderr ---
    error: there is no scenario `nope`: `molecule/nope/molecule.yml` glob failed

    hint: the scenarios are default, delegated
    ");
    assert_snapshot!(project.run(&["molecule", "test", "-p", "gonzo"]), @r"
    status: 4
    --- stderr ---
    error: Instances missing: the scenario `default` has no platform `gonzo`
    ");
    assert_snapshot!(project.run(&["molecule", "test", "-e", "*"]), @r"
    status: 0
    --- stderr ---
    no scenario is left to work on
    ");
    assert_eq!(project.run(&["molecule", "test", "--destroy=sometimes"]).status, Some(2));
    project
        .write("molecule/default/molecule.yml", "driver: {name: docker}\nplatforms: [{name: a}]\nwrong: 1\n");
    assert_snapshot!(project.run(&["molecule", "list"]), @r"
    status: 1
    --- stderr ---
    error: [PROJECT]/molecule/default/molecule.yml:3:1: unknown key `wrong`
      known here are `ansible`, `dependency`, `driver`, `lint`, `log`, `platforms`, `prerun`, `provisioner`, `role_name_check`, `scenario`, `shared_state`, `verifier`
    [PROJECT]/molecule/default/molecule.yml:2:13: platform `a` needs an `image`
    ");
}

#[test]
fn a_link_named_molecule_is_molecule() {
    let project = project();
    let link = project.directory().join("molecule");
    std::os::unix::fs::symlink(env!("CARGO_BIN_EXE_takelage"), &link).unwrap();
    let output = std::process::Command::new(&link)
        .args(["matrix", "-s", "delegated", "create"])
        .current_dir(project.root())
        .env("HOME", project.directory())
        .output()
        .unwrap();
    assert_snapshot!(String::from_utf8_lossy(&output.stdout), @r"
    delegated
      dependency           (there are no requirements)
      create               molecule/delegated/create.yml
      prepare              (there is no playbook `prepare.yml`)
    ");
    let usage = std::process::Command::new(&link).arg("nonsense").output().unwrap();
    let said = String::from_utf8_lossy(&usage.stderr);
    assert_eq!(usage.status.code(), Some(2));
    assert!(said.contains("Usage: takelage molecule "), "{said}");
}
