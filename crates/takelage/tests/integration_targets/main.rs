//! ansible-core's own tests of its modules and behaviours, its integration targets, run in containers of takelage.
//!
//! They come at test time with the source distribution of the ansible-core that is installed. A target holds what it tests
//! against its own assertions. Each is run twice, once with all that makes Ansible faster and once `--plain`: every task has to
//! come to the same. A few, and with `TAKELAGE_TEST_STOCK=1` all, are also run by stock `ansible-playbook` with
//! `community.docker.docker`; what may differ then is listed in `stock.rs`. Not among them are `apt`, `git` and `pip`, which ask hosts of the Internet from their containers, and `async`,
//! which at its end wants to write to the home directory of the user on this host.

#![expect(clippy::unwrap_used, reason = "a test that cannot do its own work fails")]
#![expect(clippy::print_stdout, reason = "a test that passes says how much it compared")]

#[path = "../support/stock.rs"]
mod container;
mod source;
mod stock;
#[path = "../support/mod.rs"]
mod support;

use std::{
    path::{Path, PathBuf},
    process::Command,
};

use serde_json::Value;
use source::Source;
use support::{Finished, TestProject};

/// An image with systemd, Python, and sudo, made by `.ci/setup`.
const BASE: &str = "takelage-difftest/base:bookworm";

/// The playbook that `ansible-test` would write for a target, after what its containers have and ours lack.
fn playbook(target: &str, needs: &[&str], facts: bool) -> String {
    let ready = if needs.is_empty() {
        String::new()
    } else {
        format!(
            "- hosts: testhost\n  gather_facts: false\n  tasks:\n    - ansible.builtin.apt: {{name: [{}], update_cache: true, \
             install_recommends: false}}\n    - ansible.builtin.file: {{path: ~/.ssh, state: directory}}\n    - \
             ansible.builtin.file: {{path: ~/.ssh/authorized_keys, state: touch}}\n",
            needs.join(", ")
        )
    };
    format!("{ready}- hosts: testhost\n  gather_facts: {facts}\n  roles: [{target}]\n")
}

/// Makes a project of a target, in which its container is called `testhost`.
fn project(source: &Source, target: &str, needs: &[&str]) -> TestProject {
    let facts = !source.aliases(target).contains("gather_facts/no");
    let file = format!(
        "name: integration-targets\nimages:\n  testhost:\n    from: {BASE}\n    playbook: run.yml\n    inventory: {{groups: \
         [testgroup]}}\n    extra_vars: {{output_dir: \"${{OUTPUT}}\", ansible_python_interpreter: /usr/bin/python3, ansible_user: root}}\n    \
         container: {{systemd: true, command: [/lib/systemd/systemd]}}\n"
    );
    let mut project =
        TestProject::new().with("takelage.yml", &file).with("run.yml", &playbook(target, needs, facts));
    project.write("callback_plugins/recorder.py", include_str!("recorder.py"));
    let record = record(&project).display().to_string();
    project.set("TARGET_RECORD", &record);
    let output = project.directory().join("output");
    fs_err::create_dir(&output).unwrap();
    project.set("OUTPUT", &output.display().to_string());
    let roles = project.directory().join("targets");
    source.copy_targets(&roles);
    project.set("ANSIBLE_ROLES_PATH", &roles.display().to_string());
    // They hash passwords with it.
    project.set("PYTHONPATH", &source.passlib().display().to_string());
    project
}

/// Returns where a run of a project leaves what its callbacks saw.
fn record(project: &TestProject) -> PathBuf {
    project.directory().join("record")
}

/// Runs a target in a container of its own. Returns what callbacks saw, too.
fn run(source: &Source, target: &str, needs: &[&str], mode: &[&str]) -> (Finished, Vec<String>) {
    let project = project(source, target, needs);
    clear(target);
    let ran = project.run(&[mode, &["converge"]].concat());
    project.run(&["destroy"]);
    clear(target);
    let seen = fs_err::read_to_string(record(&project)).unwrap_or_default();
    (ran, seen.lines().map(str::to_owned).collect())
}

/// Removes what a target leaves on the controller, where its other run would find it, also what a run that was killed left.
fn clear(target: &str) {
    let left: &[&str] = match target {
        "copy" => &["/tmp/ansible-test-abs-link", "/tmp/ansible-test-abs-link-dir"],
        _ => &[],
    };
    for left in left.iter().map(Path::new) {
        let removed = if left.is_dir() { fs_err::remove_dir_all(left) } else { fs_err::remove_file(left) };
        assert!(removed.is_ok() || !left.exists(), "{removed:?}");
    }
}

/// Returns task, host, and what it came to, in order.
fn results(run: &Finished) -> Vec<String> {
    let results = run.events.iter().filter(|event| event["event"] == "task_result");
    let line = |event: &Value| format!("{}: {}: {}", event["task"]["name"], event["host"], event["status"]);
    results.map(line).collect()
}

/// Runs a target both ways, or says why it cannot be.
fn compare(target: &str, needs: &[&str]) -> Result<(), String> {
    let there = Command::new("docker").args(["image", "inspect", BASE]).output();
    if !there.is_ok_and(|output| output.status.success()) {
        return Err(format!("there is no Docker, or no image `{BASE}` in it, see .ci/setup"));
    }
    let source = Source::find(Path::new(env!("CARGO_TARGET_TMPDIR")))?;
    let (fast, seen) = run(&source, target, needs, &[]);
    assert_eq!(fast.status, Some(0), "{fast}");
    let (plain, _) = run(&source, target, needs, &["--plain"]);
    assert_eq!(plain.status, Some(0), "{plain}");
    let (fast, plain) = (results(&fast), results(&plain));
    if let Some(at) = fast.iter().zip(&plain).position(|(fast, plain)| fast != plain) {
        panic!("result {at} is\n{}\nand with `--plain`\n{}", fast[at], plain[at]);
    }
    assert_eq!(fast.len(), plain.len());
    println!("{target}: {} results are the same", fast.len());
    if stock::is_wanted(target) {
        clear(target);
        let stock = stock::run(&project(&source, target, needs));
        clear(target);
        stock::compare(target, &seen, &stock);
        println!("{target}: {} results of stock Ansible are the same", stock.len());
    }
    Ok(())
}

/// Targets, and the Debian packages that they expect.
macro_rules! targets {
    ($($target:ident: $needs:expr;)*) => {
        mod network_docker_ansible {
            $(
                #[test]
                fn $target() {
                    if let Err(missing) = super::compare(stringify!($target).trim_start_matches("r#"), &$needs) {
                        takelage_testkit::skip!("{missing}");
                    }
                }
            )*
        }
    };
}

targets! {
    command_shell: [];
    script: [];
    r#become: [];
    blockinfile: [];
    copy: ["acl", "file"];
    cron: ["cron"];
    file: ["acl"];
    find: [];
    group: ["libuser"];
    lineinfile: ["acl"];
    loops: [];
    replace: [];
    service: [];
    slurp: [];
    stat: ["file"];
    systemd: ["openssh-server"];
    user: ["openssh-client"];
}
