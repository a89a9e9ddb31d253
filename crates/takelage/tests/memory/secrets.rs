//! Secrets are not among what is remembered.

use std::path::Path;

use fs_err as fs;

use crate::{on_both_engines, yard::Yard};

const CANARIES: [&str; 4] =
    ["canary-argument-7h3", "canary-file-9k1", "canary-nolog-2m5", "canary-vault-4x8"];

fn files(directory: &Path) -> Vec<std::path::PathBuf> {
    let entries = fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path());
    entries.flat_map(|path| if path.is_dir() { files(&path) } else { vec![path] }).collect()
}

fn canaries(engine: &str) {
    let tasks = "\
- name: say an argument
  ansible.builtin.command: echo canary-argument-7h3
- name: send a file
  ansible.builtin.copy: {content: canary-file-9k1, dest: /secret, mode: '0600'}
- name: read it
  ansible.builtin.command: cat /secret
- name: fetch it
  ansible.builtin.fetch: {src: /secret, dest: fetched, flat: true}
- name: open the vault
  ansible.builtin.command: \"echo {{ locked }}\"
- name: hush
  ansible.builtin.command: echo canary-nolog-2m5
  no_log: true
";
    let yard = Yard::with("secrets", engine, tasks, "    extra_vars: {locked: canary-vault-4x8}\n");
    yard.produce();
    let again = yard.produce();
    assert!(again.explained["reused"].as_u64().unwrap() > 4, "{}", again.explained);
    let stored = files(&yard.directory().join("cache/memory-v1"));
    assert!(stored.len() > 6, "{stored:?}");
    for file in stored {
        let content = fs::read(&file).unwrap();
        for canary in CANARIES {
            let found = content.windows(canary.len()).any(|window| window == canary.as_bytes());
            assert!(!found, "{canary} is in {}", file.display());
        }
    }
    // The other records of a run may say what was said, but for what is hidden.
    let hidden = CANARIES[2];
    assert!(!again.run.stderr.contains(hidden));
    assert!(!again.run.events.iter().any(|event| event.to_string().contains(hidden)));
}

on_both_engines!(
    docker_memory_has_no_secret_in_its_store,
    embedded_memory_has_no_secret_in_its_store,
    canaries
);
