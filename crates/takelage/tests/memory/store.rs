//! Whatever happens to the store, runs go on and are right.

use fs_err as fs;
use rustix::process::Signal;

use crate::{need_everything, on_both_engines, yard::Yard};

const TASKS: &str = "\
- name: one
  ansible.builtin.copy: {content: one, dest: /one}
- name: two
  ansible.builtin.command: touch /two
";

#[test]
fn embedded_memory_survives_damage() {
    need_everything!();
    let yard = Yard::new("damage", "embedded", TASKS);
    yard.produce();
    let records = yard.directory().join("cache/memory-v1/records");
    for directory in fs::read_dir(&records).unwrap() {
        for record in fs::read_dir(directory.unwrap().path()).unwrap() {
            let path = record.unwrap().path();
            let mut content = fs::read(&path).unwrap();
            let middle = content.len() / 2;
            content[middle] ^= 1;
            fs::write(&path, content).unwrap();
        }
    }
    let run = yard.produce();
    assert_eq!(run.explained["reused"], 0, "{}", run.explained);
    yard.produce().assert_all_from_memory();
    yard.assert_as_without_memory();
}

#[test]
fn embedded_memory_that_cannot_be_written_is_done_without() {
    need_everything!();
    let yard = Yard::new("unwritable", "embedded", TASKS);
    fs::create_dir_all(yard.directory().join("cache")).unwrap();
    fs::write(yard.directory().join("cache/memory-v1"), b"").unwrap();
    let run = yard.run(&["produce"]);
    assert_eq!(run.status, Some(0), "{run}");
    assert!(run.stderr.contains("nothing is remembered"), "{run}");
    fs::remove_file(yard.directory().join("cache/memory-v1")).unwrap();
    yard.produce();
    // A record's place is taken by what is no directory: nothing more can be written.
    let records = yard.directory().join("cache/memory-v1/records");
    fs::remove_dir_all(&records).unwrap();
    fs::create_dir(&records).unwrap();
    for place in 0..=255 {
        fs::write(records.join(format!("{place:02x}")), b"").unwrap();
    }
    let run = yard.run(&["produce"]);
    assert_eq!(run.status, Some(0), "{run}");
    assert!(run.stderr.contains("nothing more is remembered"), "{run}");
}

fn killed(engine: &str) {
    let slow = format!("{TASKS}- name: wait\n  ansible.builtin.command: sleep 600\n");
    let yard = Yard::new("killed", engine, &slow);
    let mut run = yard.start(&["produce"]);
    run.wait_for_step("converge");
    run.wait_for_task("wait");
    run.signal(Signal::KILL);
    assert_eq!(run.finish().status, None);
    yard.tasks(&slow.replace("sleep 600", "touch /three"));
    let run = yard.produce();
    assert_eq!(run.first().0, "wait", "{}", run.explained);
    yard.assert_as_without_memory();
}

on_both_engines!(
    docker_memory_of_a_killed_run_is_used_by_the_next,
    embedded_memory_of_a_killed_run_is_used_by_the_next,
    killed
);

fn pruned(engine: &str) {
    let yard = Yard::new("pruned", engine, TASKS);
    yard.produce();
    let run = yard.run(&["prune", "--json"]);
    let pruned: serde_json::Value = serde_json::from_str(&run.stdout).unwrap();
    assert!(pruned["memory"]["requests"].as_u64().unwrap() > 3, "{pruned:#}");
    let run = yard.produce();
    assert_eq!(run.explained["reused"], 0, "{}", run.explained);
}

on_both_engines!(docker_memory_is_pruned, embedded_memory_is_pruned, pruned);
