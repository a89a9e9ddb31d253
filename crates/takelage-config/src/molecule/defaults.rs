//! What holds where no file says anything.

use serde_json::{Value, json};

use super::sequence;

/// Returns Molecule's defaults. Their order is that of the merged file, and so of what is generated from it.
pub(super) fn configuration(scenario: &str) -> Value {
    json!({
        "ansible": {
            "cfg": {},
            "executor": {
                "backend": "ansible-playbook",
                "args": { "ansible_navigator": [], "ansible_playbook": [] },
            },
            "env": {},
            "playbooks": {
                "cleanup": "cleanup.yml",
                "create": "create.yml",
                "converge": "converge.yml",
                "destroy": "destroy.yml",
                "prepare": "prepare.yml",
                "side_effect": "side_effect.yml",
                "verify": "verify.yml",
            },
        },
        "dependency": { "name": "galaxy", "command": null, "enabled": true, "options": {}, "env": {} },
        "driver": {
            "name": "default",
            "provider": { "name": null },
            "options": { "managed": true },
            "ssh_connection_options": [],
            "safe_files": [],
        },
        "platforms": [],
        "prerun": true,
        "role_name_check": 0,
        "shared_state": false,
        "provisioner": {
            "name": "ansible",
            "connection_options": {},
            "options": {},
            "inventory": { "hosts": {}, "host_vars": {}, "group_vars": {}, "links": {} },
            "children": {},
            "log": true,
        },
        "scenario": {
            "name": scenario,
            "check_sequence": sequence::CHECK,
            "cleanup_sequence": sequence::CLEANUP,
            "converge_sequence": sequence::CONVERGE,
            "create_sequence": sequence::CREATE,
            "destroy_sequence": sequence::DESTROY,
            "test_sequence": sequence::TEST,
        },
        "verifier": {
            "name": "ansible",
            "enabled": true,
            "options": {},
            "env": {},
            "additional_files_or_dirs": [],
        },
    })
}

/// Returns Molecule's own settings for `ansible.cfg`: section, key, value.
pub(super) fn ansible_cfg() -> [(&'static str, &'static [(&'static str, &'static str)]); 2] {
    [
        (
            "defaults",
            &[
                ("display_failed_stderr", "True"),
                ("forks", "50"),
                ("retry_files_enabled", "False"),
                ("host_key_checking", "False"),
                ("nocows", "1"),
                ("interpreter_python", "auto_silent"),
            ],
        ),
        ("ssh_connection", &[("scp_if_ssh", "True"), ("control_path", "%(directory)s/%%h-%%p-%%r")]),
    ]
}

/// The legacy keys and their new names, in the order in which Molecule moves them.
pub(super) const RENAMED: [(&str, &str); 4] = [
    ("/provisioner/ansible_args", "/ansible/executor/args/ansible_playbook"),
    ("/provisioner/config_options", "/ansible/cfg"),
    ("/provisioner/env", "/ansible/env"),
    ("/provisioner/playbooks", "/ansible/playbooks"),
];
