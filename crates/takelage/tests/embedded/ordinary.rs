//! The same as an ordinary user: in a user namespace, without systemd and without control groups.

use std::{
    os::unix::{fs::PermissionsExt as _, process::CommandExt as _},
    process::Command,
};

use fs_err as fs;

use crate::{harbour::Harbour, need_everything};

/// The user that `.ci/setup` makes.
const USER: &str = "takelage-test";

/// Returns the ids of the user, or why there is none.
fn user() -> Result<(u32, u32), String> {
    let passwd = fs::read_to_string("/etc/passwd").unwrap();
    let mut fields = passwd
        .lines()
        .find_map(|line| line.strip_prefix(USER)?.strip_prefix(':'))
        .ok_or_else(|| format!("there is no user `{USER}`; `.ci/setup` makes it"))?
        .split(':')
        .skip(1)
        .map(|field| field.parse::<u32>().unwrap());
    Ok((fields.next().unwrap(), fields.next().unwrap()))
}

#[test]
fn embedded_an_ordinary_user_produces_and_tests() {
    need_everything!();
    let (uid, gid) = match user() {
        Ok(ids) => ids,
        Err(missing) => takelage_testkit::skip!("{missing}"),
    };
    let harbour = Harbour::new("e2e-embedded-user");
    let archive = harbour.directory().join("base.tar");
    let saved = Command::new("docker")
        .args(["save", "--output"])
        .arg(&archive)
        .arg("takelwerk/takelslim:latest")
        .status();
    assert!(saved.unwrap().success());
    let file = fs::read_to_string(harbour.root().join("takelage.yml")).unwrap();
    harbour.write(
        "takelage.yml",
        &file.replace("takelwerk/takelslim:latest", &format!("docker-archive:{}", archive.display())),
    );
    harbour.tasks("- name: somebody else's file\n  ansible.builtin.copy: {content: x, dest: /mail, owner: mail, mode: \"4750\"}");
    harbour.write(
        "tests/test_app.py",
        "def test_owner(host):\n    file = host.file('/mail')\n    assert (file.user, file.mode) == ('mail', 0o4750)\n",
    );
    let program = harbour.directory().join("takelage");
    fs::copy(env!("CARGO_BIN_EXE_takelage"), &program).unwrap();
    for path in [&program, &archive] {
        fs::set_permissions(path, std::fs::Permissions::from_mode(0o755)).unwrap();
    }
    assert!(
        Command::new("chown")
            .arg("-R")
            .arg(format!("{uid}:{gid}"))
            .arg(harbour.directory())
            .status()
            .unwrap()
            .success()
    );
    let run = |arguments: &[&str]| {
        let output = Command::new(&program)
            .args(["--cache-dir", "../user-cache"])
            .args(arguments)
            .current_dir(harbour.root())
            .env_clear()
            .env("PATH", crate::harbour::path())
            .env("HOME", harbour.directory())
            .env("LANG", "C.UTF-8")
            .uid(uid)
            .gid(gid)
            .output()
            .unwrap();
        (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
    };
    let (status, said) = run(&["test"]);
    assert_eq!(status, Some(0), "{said}");
    assert!(said.contains("1 passed"), "{said}");
    let containers = harbour.directory().join("user-cache/engine-v1/v1/containers");
    assert_eq!(fs::read_dir(containers).unwrap().count(), 0, "{said}");
    // What it cannot do it says.
    let file = fs::read_to_string(harbour.root().join("takelage.yml")).unwrap();
    harbour.write("takelage.yml", &file.replace("    tests: tests\n", "    container: {memory: 64MiB}\n"));
    let (status, said) = run(&["create"]);
    assert_eq!(status, Some(3), "{said}");
    assert!(said.contains("a limit of memory needs control groups"), "{said}");
}
