//! GNU tar, the program that shows what an archive means.

use std::{
    path::Path,
    process::{Command, Stdio},
};

/// Says why GNU tar cannot be asked here. `None`: it can.
pub(super) fn missing() -> Option<&'static str> {
    if !super::is_root() {
        return Some("only root may set owners and make devices");
    }
    let version = Command::new("tar").arg("--version").output();
    let found = version.is_ok_and(|output| output.stdout.starts_with(b"tar (GNU tar)"));
    (!found).then_some("there is no GNU tar")
}

/// Unpacks an archive with everything in it.
pub(super) fn unpack(tar: &Path, to: &Path, options: &[&str]) {
    run(Command::new("tar")
        .args(["--xattrs", "--xattrs-include=*", "--numeric-owner", "-xpf"])
        .arg(tar)
        .args(options)
        .arg("-C")
        .arg(to));
}

/// Packs a directory with everything in it.
pub(super) fn pack(from: &Path, to: &Path, options: &[&str]) {
    run(Command::new("tar")
        .args(["--numeric-owner", "-cf"])
        .arg(to)
        .args(options)
        .arg("-C")
        .arg(from)
        .arg("."));
}

/// Runs a program that must succeed and returns what it wrote.
pub(super) fn run(command: &mut Command) -> String {
    let output = command.stdin(Stdio::null()).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}: {said}");
    String::from_utf8(output.stdout).unwrap()
}

/// Runs a script in a directory.
pub(super) fn shell(directory: &Path, script: &str) {
    run(Command::new("sh").args(["-euc", script]).current_dir(directory));
}
