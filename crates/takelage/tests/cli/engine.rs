//! No engine answers: which one, why not, and what to do.

use std::{
    os::unix::{fs::PermissionsExt, net::UnixListener, process::CommandExt as _},
    process::Command,
};

use fs_err as fs;
use insta::assert_snapshot;

use crate::{right, support::TestProject};

/// A project that wants Docker and no other engine.
fn without_docker(host: &str) -> TestProject {
    let mut project = wants_docker();
    project.set("DOCKER_HOST", host);
    project
}

fn wants_docker() -> TestProject {
    let project = right();
    let file = fs::read_to_string(project.root().join("takelage.yml")).unwrap();
    project.write("takelage.yml", &format!("engine: docker\n{file}"));
    project
}

#[test]
fn a_daemon_that_does_not_run() {
    let project = without_docker("unix:///nonexistent.sock");
    assert_snapshot!(project.run(&["produce"]), @r#"
    status: 3
    --- stderr ---
    error: no Docker engine answers at `unix:///nonexistent.sock`: there is no socket: Docker is not installed, or its daemon does not run

    hint: start Docker, name its socket in `DOCKER_HOST`, add yourself to the group `docker`, or use `--engine embedded`
    "#);
}

#[test]
fn list_says_the_same() {
    let project = without_docker("unix:///nonexistent.sock");
    let produce = project.run(&["produce"]);
    let list = project.run(&["list", "--json"]);
    assert_eq!((list.status, list.stdout.as_str()), (Some(3), ""));
    assert_eq!(list.stderr.trim_end(), produce.stderr.trim_end());
}

#[test]
fn a_socket_that_nobody_serves_any_more() {
    let mut project = wants_docker();
    let path = project.directory().join("docker.sock");
    drop(UnixListener::bind(&path).unwrap());
    project.set("DOCKER_HOST", &format!("unix://{}", path.display()));
    assert_snapshot!(project.run(&["develop"]), @r#"
    status: 3
    --- stderr ---
    error: no Docker engine answers at `unix://[DIR]/docker.sock`: connection refused: the daemon does not run

    hint: start Docker, name its socket in `DOCKER_HOST`, add yourself to the group `docker`, or use `--engine embedded`
    "#);
}

#[test]
fn root_a_socket_that_others_own() {
    // Nobody can be refused by permissions while root, and only root can become somebody else.
    if !rustix::process::geteuid().is_root() {
        takelage_testkit::skip!("only root can become another user");
    }
    let project = wants_docker();
    let open = |mode| PermissionsExt::from_mode(mode);
    let program = project.directory().join("takelage");
    fs::copy(env!("CARGO_BIN_EXE_takelage"), &program).unwrap();
    fs::set_permissions(project.directory(), open(0o777)).unwrap();
    let socket = project.directory().join("docker.sock");
    let _listener = UnixListener::bind(&socket).unwrap();
    fs::set_permissions(&socket, open(0o600)).unwrap();
    let output = Command::new(program)
        .args(["--cache-dir", "../cache", "list"])
        .current_dir(project.root())
        .env_clear()
        .env("DOCKER_HOST", format!("unix://{}", socket.display()))
        .uid(65534)
        .gid(65534)
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(3));
    assert_snapshot!(String::from_utf8(output.stderr).unwrap(), @r#"
    error: no Docker engine answers at `unix://[DIR]/docker.sock`: permission denied: this user may not use the socket (on most systems, members of group `docker` may)

    hint: start Docker, name its socket in `DOCKER_HOST`, add yourself to the group `docker`, or use `--engine embedded`
    "#);
}

#[test]
fn an_endpoint_of_another_kind() {
    assert_snapshot!(without_docker("ssh://host").run(&["list"]), @r#"
    status: 3
    --- stderr ---
    error: no Docker engine answers at `ssh://host`: takelage speaks to `unix://` and `tcp://` endpoints only; forward the socket with `ssh -L` for others

    hint: start Docker, name its socket in `DOCKER_HOST`, add yourself to the group `docker`, or use `--engine embedded`
    "#);
}

#[test]
fn a_wrong_project_file_is_told_before_anybody_asks_for_docker() {
    let project = without_docker("unix:///nonexistent.sock");
    project.write("takelage.yml", "images: {app: {from: app}}\n");
    assert_eq!(project.run(&["produce"]).status, Some(2));
}

#[test]
fn events_tell_of_a_run_that_could_not_begin() {
    let run = without_docker("unix:///nonexistent.sock").run(&["test"]);
    let kinds: Vec<_> = run.events.iter().map(|event| event["event"].as_str().unwrap()).collect();
    assert_eq!(kinds, ["note", "run_finished"]);
    assert_eq!(run.events[1]["exit"], "surroundings");
}
