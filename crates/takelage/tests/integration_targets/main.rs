//! ansible-core's own tests of its modules and behaviours, its integration targets, run in containers of takelage.
//!
//! They come at test time with the source distribution of the ansible-core that is installed. A target holds what it tests
//! against its own assertions. Each is run twice, once with all that makes Ansible faster and once `--plain`: every task has to
//! come to the same. A few run always; the others take minutes each and run when they are asked for:
//!
//! ```sh
//! cargo nextest run -p takelage --test integration_targets --run-ignored all
//! ```

#![expect(clippy::unwrap_used, reason = "a test that cannot do its own work fails")]
#![expect(clippy::print_stdout, reason = "a test that passes says how much it compared")]

mod source;
#[path = "../support/mod.rs"]
mod support;

use std::{path::Path, process::Command};

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

/// Runs a target in a container of its own.
fn run(source: &Source, target: &str, needs: &[&str], mode: &[&str]) -> Finished {
    let facts = !source.aliases(target).contains("gather_facts/no");
    let file = format!(
        "name: integration-targets\nimages:\n  testhost:\n    from: {BASE}\n    playbook: run.yml\n    inventory: {{groups: \
         [testgroup]}}\n    extra_vars: {{output_dir: \"${{OUTPUT}}\", ansible_python_interpreter: /usr/bin/python3, ansible_user: root}}\n    \
         container: {{systemd: true, command: [/lib/systemd/systemd]}}\n"
    );
    let mut project =
        TestProject::new().with("takelage.yml", &file).with("run.yml", &playbook(target, needs, facts));
    let output = project.directory().join("output");
    fs_err::create_dir(&output).unwrap();
    project.set("OUTPUT", &output.display().to_string());
    project.set("ANSIBLE_ROLES_PATH", &source.targets().display().to_string());
    // They hash passwords with it.
    project.set("PYTHONPATH", &source.passlib().display().to_string());
    let ran = project.run(&[mode, &["converge"]].concat());
    project.run(&["destroy"]);
    ran
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
    let fast = run(&source, target, needs, &[]);
    assert_eq!(fast.status, Some(0), "{fast}");
    let plain = run(&source, target, needs, &["--plain"]);
    assert_eq!(plain.status, Some(0), "{plain}");
    let (fast, plain) = (results(&fast), results(&plain));
    if let Some(at) = fast.iter().zip(&plain).position(|(fast, plain)| fast != plain) {
        panic!("result {at} is\n{}\nand with `--plain`\n{}", fast[at], plain[at]);
    }
    assert_eq!(fast.len(), plain.len());
    println!("{target}: {} results are the same", fast.len());
    Ok(())
}

/// Targets, and the Debian packages that they expect.
macro_rules! targets {
    ($($(#[$attribute:meta])* $target:ident: $needs:expr;)*) => {
        mod network_docker_ansible {
            $(
                #[test]
                $(#[$attribute])*
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
    #[ignore = "takes minutes, and asks ci-files.testing.ansible.com"] apt: ["gnupg", "dpkg-dev"];
    #[ignore = "takes minutes"] r#async: [];
    #[ignore = "takes minutes"] r#become: [];
    #[ignore = "takes minutes"] blockinfile: [];
    #[ignore = "takes minutes"] copy: ["acl", "file"];
    #[ignore = "takes minutes"] cron: ["cron"];
    #[ignore = "takes minutes"] file: ["acl"];
    #[ignore = "takes minutes"] find: [];
    #[ignore = "takes minutes, and asks github.com"] git: ["git", "gnupg"];
    #[ignore = "takes minutes"] group: ["libuser"];
    #[ignore = "takes minutes"] lineinfile: ["acl"];
    #[ignore = "takes minutes"] loops: [];
    #[ignore = "takes minutes, and asks PyPI from the container"] pip: ["python3-pip", "python3-venv", "git"];
    #[ignore = "takes minutes"] replace: [];
    #[ignore = "takes minutes"] service: [];
    #[ignore = "takes minutes"] slurp: [];
    #[ignore = "takes minutes"] stat: ["file"];
    #[ignore = "takes minutes"] systemd: ["openssh-server"];
    #[ignore = "takes minutes"] user: ["openssh-client"];
}
