//! What is wrong with a project file: where, and what would be right.

use insta::assert_snapshot;

use crate::{right, support::TestProject};

fn project(file: &str) -> TestProject {
    right().with("takelage.yml", file)
}

#[test]
fn there_is_none() {
    assert_snapshot!(TestProject::new().run(&["produce"]), @r#"
    status: 2
    --- stderr ---
    error: no `takelage.yml` in `[PROJECT]` or any directory above it

    hint: write one (`takelage schema` describes it), or name the project's directory with `-C DIR`
    "#);
}

#[test]
fn it_is_found_above_and_with_an_option() {
    let mut project = right().with("deep/er/file", "");
    project.set("DOCKER_HOST", "unix:///nonexistent.sock");
    for directory in ["deep/er", "."] {
        assert_eq!(
            project.run(&["--engine", "docker", "-C", directory, "list"]).status,
            Some(3),
            "found, but there is no engine"
        );
    }
    assert_eq!(project.run(&["-C", "..", "list"]).status, Some(2), "what is above is not the project");
}

#[test]
fn a_directory_is_missing() {
    assert_snapshot!(right().run(&["-C", "haven", "list"]), @r#"
    status: 2
    --- stderr ---
    error: there is no directory `haven`
    "#);
}

#[test]
fn it_is_no_yaml() {
    assert_snapshot!(project("images:\n  app: [\n").run(&["produce"]), @r#"
    status: 2
    --- stderr ---
    error: [PROJECT]/takelage.yml:3:1: this is not valid YAML: while parsing a node, did not find expected node content
    "#);
}

#[test]
fn all_problems_are_told_at_once() {
    let project = project(
        "images:\n  app:\n    from: debian:bookworm-slim\n    playbok: app.yml\n    container: {systemd: maybe}\n  \
         web:\n    from: ap\n    config: {expose: 8080}\n",
    );
    assert_snapshot!(project.run(&["produce"]), @r#"
    status: 2
    --- stderr ---
    error: [PROJECT]/takelage.yml:4:5: unknown key `playbok`, did you mean `playbook`?
    [PROJECT]/takelage.yml:5:26: `systemd` must be `true` or `false`, not a string
    [PROJECT]/takelage.yml:7:11: no image `ap` in this file, did you mean `app`?
      if it is an image of a registry, say so with its tag: `ap:latest`
    [PROJECT]/takelage.yml:8:22: `expose` must be a list of strings, not a number
    "#);
}

#[test]
fn images_are_based_on_each_other() {
    let project = project("images:\n  a: {from: b, config: {user: x}}\n  b: {from: c}\n  c: {from: a}\n");
    assert_snapshot!(project.run(&["test"]), @r#"
    status: 2
    --- stderr ---
    error: [PROJECT]/takelage.yml:2:13: images are based on one another in a circle: a → b → c → a
    "#);
}

#[test]
fn a_base_is_misspelt() {
    let project = project("images:\n  takelbase: {from: debian:bookworm-slim}\n  app: {from: takelbsae}\n");
    assert_snapshot!(project.run(&["produce"]), @r#"
    status: 2
    --- stderr ---
    error: [PROJECT]/takelage.yml:3:15: no image `takelbsae` in this file, did you mean `takelbase`?
      if it is an image of a registry, say so with its tag: `takelbsae:latest`
    "#);
}

#[test]
fn a_playbook_is_missing() {
    let project = project("images:\n  app:\n    from: debian:bookworm-slim\n    playbook: ansible/app.yml\n");
    assert_snapshot!(project.run(&["produce"]), @r#"
    status: 2
    --- stderr ---
    error: [PROJECT]/takelage.yml:4:15: there is no file `ansible/app.yml`
    "#);
}

#[test]
fn tests_are_missing() {
    let project = project("images:\n  app:\n    from: debian:bookworm-slim\n    tests: test\n");
    assert_snapshot!(project.run(&["test"]), @r#"
    status: 2
    --- stderr ---
    error: [PROJECT]/takelage.yml:4:12: there is no file or directory `test`
    "#);
}

#[test]
fn it_has_no_images() {
    assert_snapshot!(project("name: harbour\n").run(&["produce"]), @r#"
    status: 2
    --- stderr ---
    error: [PROJECT]/takelage.yml:1:1: the file lacks the key `images`
    "#);
}

#[test]
fn an_image_is_asked_for_that_it_does_not_have() {
    assert_snapshot!(right().run(&["produce", "web"]), @r#"
    status: 2
    --- stderr ---
    error: there is no image `web` in this project; it has `app`
    "#);
}

#[test]
fn it_belongs_to_the_ruby_takelage() {
    assert_snapshot!(project("docker_user: takelage\ndocker_tag: latest\n").run(&["list"]), @r#"
    status: 2
    --- stderr ---
    error: `[PROJECT]/takelage.yml` holds settings of the Ruby takelage, not a project

    hint: projects of the Ruby takelage are not read by this version; write a `takelage.yml` with `images:`
    "#);
}

#[test]
fn a_variable_is_missing() {
    assert_snapshot!(project("images: {app: {from: \"${BASE:?name a base}\"}}\n").run(&["list"]), @r#"
    status: 2
    --- stderr ---
    error: [PROJECT]/takelage.yml:1:23: invalid placeholder
      only `${NAME}`, `${NAME-default}` and `${NAME:-default}` are known; `$$` is a dollar sign
    "#);
}

#[test]
fn the_date_of_an_image_is_no_number() {
    let mut project = right();
    project.set("SOURCE_DATE_EPOCH", "yesterday");
    project.set("DOCKER_HOST", "unix:///nonexistent.sock");
    assert_snapshot!(project.run(&["produce"]), @r#"
    status: 2
    --- stderr ---
    error: `SOURCE_DATE_EPOCH` is `yesterday`, which is no number of seconds
    "#);
}
