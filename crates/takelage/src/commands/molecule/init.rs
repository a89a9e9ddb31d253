//! `init scenario`: a scenario to begin with.

use super::context::Context;
use crate::{failure::Failure, output};

/// The files of a new scenario.
const FILES: [(&str, &str); 5] = [
    (
        "molecule.yml",
        "---\ndriver:\n  name: default\nplatforms:\n  - name: instance\nprovisioner:\n  name: ansible\nverifier:\n  name: ansible\n",
    ),
    (
        "create.yml",
        "---\n- name: Create the instances\n  hosts: localhost\n  gather_facts: false\n  tasks:\n    - name: Say what is to be created\n      ansible.builtin.debug:\n        msg: \"create {{ molecule_yml.platforms | map(attribute='name') | join(', ') }} here\"\n",
    ),
    (
        "destroy.yml",
        "---\n- name: Destroy the instances\n  hosts: localhost\n  gather_facts: false\n  tasks:\n    - name: Say what is to be destroyed\n      ansible.builtin.debug:\n        msg: \"destroy {{ molecule_yml.platforms | map(attribute='name') | join(', ') }} here\"\n",
    ),
    (
        "converge.yml",
        "---\n- name: Converge\n  hosts: localhost\n  gather_facts: false\n  tasks:\n    - name: Replace this by your role\n      ansible.builtin.assert:\n        that: true\n",
    ),
    (
        "verify.yml",
        "---\n- name: Verify\n  hosts: localhost\n  gather_facts: false\n  tasks:\n    - name: Replace this by your checks\n      ansible.builtin.assert:\n        that: true\n",
    ),
];

/// Writes the files of a new scenario; what is there already is left alone.
pub(super) fn scenario(context: &Context<'_>, name: &str) -> Result<u8, Failure> {
    let is_collection = takelage_config::molecule::collection(&context.directory).is_some();
    let below = if is_collection { "extensions/molecule" } else { "molecule" };
    let directory = context.directory.join(below).join(name);
    if directory.exists() {
        return Err(Failure::ScenarioExists { directory });
    }
    let failed = |source| Failure::Report { path: directory.clone(), source };
    fs_err::create_dir_all(&directory).map_err(failed)?;
    for (file, text) in FILES {
        fs_err::write(directory.join(file), text).map_err(failed)?;
    }
    output::talk(&format!("made the scenario `{name}` in {}\n", directory.display()));
    Ok(0)
}
