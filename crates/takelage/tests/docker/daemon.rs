//! Docker as its own command line sees it.

use std::process::Command;

/// The image that tests begin with: Debian with Python.
pub(crate) const BASE: &str = "takelwerk/takelslim:latest";

/// Runs `docker` and returns its standard output, trimmed.
pub(crate) fn docker(arguments: &[&str]) -> String {
    let output = Command::new("docker").args(arguments).output().unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "docker {}: {stderr}", arguments.join(" "));
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

/// Whether `docker` succeeds.
pub(crate) fn can(arguments: &[&str]) -> bool {
    Command::new("docker").args(arguments).output().is_ok_and(|output| output.status.success())
}

/// Returns the lines that `docker` prints.
pub(crate) fn lines(arguments: &[&str]) -> Vec<String> {
    docker(arguments).lines().map(str::to_owned).collect()
}

/// Looks up an image.
pub(crate) fn inspect(image: &str) -> serde_json::Value {
    let found = docker(&["image", "inspect", image]);
    serde_json::from_str::<Vec<_>>(&found).unwrap().remove(0)
}

/// Returns what is missing of what all tests here need.
pub(crate) fn missing() -> Option<String> {
    let runs = |program: &str| Command::new(program).arg("--version").output().is_ok();
    if let Some(program) = ["docker", "ansible-playbook", "pytest"].iter().find(|program| !runs(program)) {
        return Some(format!("there is no `{program}` on PATH"));
    }
    if !can(&["version"]) {
        return Some("no Docker daemon answers".to_owned());
    }
    (!can(&["image", "inspect", BASE])).then(|| format!("there is no image `{BASE}`; `.ci/setup` makes it"))
}
