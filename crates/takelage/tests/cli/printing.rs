//! Commands whose output is for other programs.

use crate::{right, support::TestProject};

#[test]
fn the_schema_is_json_and_describes_images() {
    let run = TestProject::new().run(&["schema"]);
    assert_eq!((run.status, run.stderr.as_str()), (Some(0), ""));
    let schema: serde_json::Value = serde_json::from_str(&run.stdout).unwrap();
    assert!(schema["properties"]["images"].is_object(), "{schema:#}");
}

#[test]
fn each_shell_gets_a_completion_script() {
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let run = TestProject::new().run(&["completions", shell]);
        assert_eq!((run.status, run.stderr.as_str()), (Some(0), ""), "{shell}");
        assert!(run.stdout.contains("develop") && run.stdout.contains("on-failure"), "{shell}");
    }
}

#[test]
fn a_reader_that_has_seen_enough_is_no_failure() {
    use std::process::{Command, Stdio};
    let mut child = Command::new(env!("CARGO_BIN_EXE_takelage"))
        .args(["completions", "bash"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert_eq!((output.status.code(), output.stderr.len()), (Some(0), 0));
}

#[test]
fn doctor_says_what_is_broken_in_json_as_well() {
    let mut project = right();
    project.set("DOCKER_HOST", "unix:///nonexistent.sock");
    let run = project.run(&["--engine", "docker", "doctor", "--json"]);
    assert_eq!(run.status, Some(3), "{run}");
    let found: serde_json::Value = serde_json::from_str(&run.stdout).unwrap();
    assert!(found.to_string().contains("broken"), "{found:#}");
}
