//! Scenarios that cover every key, and those of a tree.

use std::path::{Path, PathBuf};

/// A project and what is called in it.
pub(crate) struct Case {
    pub(crate) name: &'static str,
    pub(crate) files: &'static [(&'static str, &'static str)],
    pub(crate) commands: &'static [&'static [&'static str]],
}

/// Projects that need no container: their own playbooks would make the instances.
pub(crate) const CASES: &[Case] = &[
    Case {
        name: "nothing but playbooks",
        files: &[
            ("molecule/default/molecule.yml", "platforms: [{name: instance}]\n"),
            ("molecule/default/create.yml", "[]"),
            ("molecule/default/destroy.yml", "[]"),
            ("molecule/default/prepare.yml", "[]"),
            ("molecule/default/cleanup.yml", "[]"),
            ("molecule/default/side_effect.yml", "[]"),
            ("molecule/default/verify.yml", "[]"),
            ("molecule/default/converge.yml", "[]"),
        ],
        commands: &[&["test"], &["check"], &["converge", "--", "--tags", "x", "-D"], &["side-effect"]],
    },
    Case {
        name: "every key",
        files: &[
            (
                "molecule/default/molecule.yml",
                "driver:\n  name: default\n  options:\n    managed: true\n    login_cmd_template: ssh {instance}\n  safe_files: [kept]\nplatforms:\n  - name: one-${FROM_ENVIRONMENT}\n    groups: [web, shared]\n    children: [east]\n  - name: two-${UNSET:-default}\n    groups: [shared]\n  - name: three\nprerun: true\nrole_name_check: 1\nprovisioner:\n  name: ansible\n  log: false\n  options: {become: true, diff: true, tags: 'a,b', f: '3', without: false, some_thing: x}\n  connection_options: {ansible_connection: local, ansible_python_interpreter: '{{ ansible_playbook_python }}'}\n  inventory:\n    hosts: {all: {hosts: {extra: {}}}}\n    host_vars: {three: {a: 1, b: [x, {y: null}]}}\n    group_vars: {web: {greeting: 'hello ${FROM_FILE}'}}\n  config_options: {defaults: {forks: 3, nocows: true, callbacks_enabled: 'a, b'}, ssh_connection: {pipelining: false}, new: {key: 1.5}}\n  env: {ANSIBLE_ROLES_PATH: ../../../, NUMBER: 1, FLAG: true, ANSIBLE_NOTHING: ''}\n  ansible_args: [--limit, all]\n  playbooks: {converge: ../shared/site.yml, verify: checks/verify.yml}\nverifier:\n  name: ansible\n  env: {ANSIBLE_CHECKED: yes-it-is, MOLECULE_OWN: own}\nscenario:\n  name: renamed\n  test_sequence: [syntax, create, converge, idempotence, side_effect one.yml two.yml, verify, verify one.yml, converge]\n",
            ),
            (".env.yml", "FROM_FILE: file\nMOLECULE_EXTRA: extra\n"),
            (".config/molecule/config.yml", "dependency: {enabled: false}\nverifier: {name: testinfra}\n"),
            (".git/HEAD", "ref: refs/heads/main\n"),
            ("molecule/shared/site.yml", "[]"),
            ("molecule/default/checks/verify.yml", "[]"),
            ("molecule/default/one.yml", "[]"),
            ("molecule/default/two.yml", "[]"),
            ("molecule/default/create.yml", "[]"),
            ("roles/a/tasks/main.yml", "[]"),
        ],
        commands: &[&["test"], &["test", "-p", "three"]],
    },
    Case {
        name: "native keys, links and testinfra",
        files: &[
            (
                "molecule/other/molecule.yml",
                "ansible:\n  cfg: {defaults: {stdout_callback: minimal}}\n  env: {ANSIBLE_TEST: native}\n  executor: {backend: ansible-playbook, args: {ansible_playbook: [-e, 'a=b c']}}\n  playbooks: {converge: converge.yml}\nplatforms: [{name: i, groups: [g]}]\nprovisioner: {inventory: {links: {group_vars: ../../group_vars/, hosts: ../../hosts.ini}}}\nverifier:\n  name: testinfra\n  options: {s: true, v: true, junitxml: out.xml, k: 'not slow'}\n  env: {TESTVARS: x, ANSIBLE_TEST: checks}\n  directory: checks\n  additional_files_or_dirs: ['../more/test_*.py', '../nothing*', '../whole']\nscenario: {test_sequence: [converge, verify, verify more/]}\n",
            ),
            ("base.yml", "platforms: [{name: replaced}]\nansible: {env: {ANSIBLE_BASE: base}}\n"),
            ("group_vars/g.yml", "a: 1\n"),
            ("hosts.ini", "[g]\ni\n"),
            ("molecule/other/converge.yml", "[]"),
            ("molecule/other/checks/test_b.py", ""),
            ("molecule/other/checks/deep/test_a.py", ""),
            ("molecule/other/more/test_c.py", ""),
            ("molecule/other/whole/anything.py", ""),
        ],
        commands: &[
            &["-c", "base.yml", "test", "-s", "other"],
            &["-c", "base.yml", "verify", "--scenario-name", "other"],
        ],
    },
    Case {
        name: "an unmanaged driver, and paths of the project's own configuration",
        files: &[
            (
                "molecule/default/molecule.yml",
                "driver: {name: default, options: {managed: false, ansible_connection_options: {ansible_connection: local, ansible_user: me}}}\nplatforms: [{name: a}]\nansible: {playbooks: {verify: null}}\n",
            ),
            ("molecule/default/converge.yml", "[]"),
            ("molecule/default/verify.yml", "[]"),
            ("ansible.cfg", "[defaults]\nroles_path = own-roles\ncollections_path = own-collections\n"),
            ("plugins/modules/x.py", ""),
            ("roles/a/tasks/main.yml", "[]"),
        ],
        commands: &[&["converge"], &["verify"]],
    },
    Case {
        name: "instances that a playbook has described",
        files: &[
            (
                "molecule/default/molecule.yml",
                "driver: {ssh_connection_options: [-o A=b]}\nplatforms: [{name: a}, {name: b}]\nprerun: false\n",
            ),
            ("molecule/default/converge.yml", "[]"),
        ],
        commands: &[&["converge"], &["check"]],
    },
    Case {
        name: "no platforms at all",
        files: &[
            (
                "molecule/default/molecule.yml",
                "ansible: {executor: {args: {ansible_playbook: [--inventory=hosts.ini]}}}\n",
            ),
            ("molecule/default/converge.yml", "[]"),
        ],
        commands: &[&["converge"]],
    },
    Case {
        name: "a collection",
        files: &[
            ("galaxy.yml", "namespace: acme\nname: goods\nversion: 1.0.0\nreadme: README.md\nauthors: [a]\n"),
            ("README.md", ""),
            (
                "extensions/molecule/config.yml",
                "prerun: false\nprovisioner: {env: {ANSIBLE_FROM_BASE: '1'}}\n",
            ),
            ("extensions/molecule/deep/one/molecule.yml", "platforms: [{name: a}]\n"),
            ("extensions/molecule/deep/one/converge.yml", "[]"),
        ],
        commands: &[&["converge", "-s", "deep/one"]],
    },
    Case {
        name: "shared state",
        files: &[
            ("molecule/default/molecule.yml", "shared_state: true\nplatforms: [{name: a}]\n"),
            ("molecule/default/create.yml", "[]"),
            ("molecule/default/destroy.yml", "[]"),
            (
                "molecule/user/molecule.yml",
                "shared_state: true\nplatforms: [{name: a}]\nscenario: {test_sequence: [create, converge, verify, destroy]}\n",
            ),
            ("molecule/user/converge.yml", "[]"),
            ("molecule/user/create.yml", "[]"),
            ("molecule/user/verify.yml", "[]"),
        ],
        commands: &[&["test", "-s", "user"]],
    },
];

/// A project whose instances are containers.
pub(crate) const DOCKER: &[(&str, &str)] = &[
    (
        "molecule/default/molecule.yml",
        "dependency: {enabled: false}\ndriver: {name: docker}\nplatforms:\n  - {name: web-1, image: 'takelwerk/takelslim:latest', pre_build_image: true, groups: [web], env: {A: b}}\n  - {name: store, image: 'takelwerk/takelslim:latest', pre_build_image: true, command: /usr/bin/tail -f /dev/null}\nverifier: {name: testinfra}\n",
    ),
    ("molecule/default/converge.yml", "[]"),
    ("molecule/default/prepare.yml", "[]"),
    ("molecule/default/tests/test_a.py", ""),
];

/// A scenario of a tree.
pub(crate) struct Scenario {
    pub(crate) name: String,
    pub(crate) file: PathBuf,
    /// The directory above `molecule`.
    pub(crate) project: PathBuf,
}

impl Scenario {
    /// Returns the scenario's text with an image that is there and a command that it has.
    pub(crate) fn with_any_image(text: &str) -> String {
        let mut lines = Vec::new();
        let mut passed_over = None;
        for line in text.lines() {
            let indent = line.len() - line.trim_start().len();
            if passed_over.is_some_and(|start| indent > start) {
                continue;
            }
            passed_over = None;
            let space = " ".repeat(indent);
            match line.trim_start().split(':').next() {
                Some("image") => lines.push(format!("{space}image: takelwerk/takelslim:latest")),
                Some("command") => {
                    lines.push(format!("{space}command: /usr/bin/tail -f /dev/null"));
                    passed_over = Some(indent);
                }
                Some("privileged") => lines.push(format!("{space}privileged: false")),
                _ => lines.push(line.to_owned()),
            }
        }
        lines.join("\n") + "\n"
    }
}

/// Finds all scenarios below `tree`.
pub(crate) fn scenarios(tree: &Path) -> Vec<Scenario> {
    let mut found = Vec::new();
    let mut directories = vec![tree.to_owned()];
    while let Some(directory) = directories.pop() {
        for entry in fs_err::read_dir(&directory).into_iter().flatten().flatten() {
            let path = entry.path();
            if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                directories.push(path);
            } else if entry.file_name() == "molecule.yml" {
                let name = directory.file_name().unwrap().to_string_lossy().into_owned();
                let project = directory.ancestors().nth(2).unwrap().to_owned();
                found.push(Scenario { name, file: path, project });
            }
        }
    }
    found.sort_by(|a, b| a.file.cmp(&b.file));
    found
}
