//! What ends reuse: each row of the table in `docs/memory.md`.

use crate::{on_both_engines, yard::Yard};

/// A task that leaves when it ran.
fn clock(name: &str) -> String {
    format!("- name: {name}\n  ansible.builtin.shell: date +%s%N > /{name}\n")
}

/// Checks that what is before `task` is reused, and neither it nor what is after it is.
fn ends(engine: &str, name: &str, task: &str, because: &str) {
    let yard = Yard::new(name, engine, &[&clock("before"), task, &clock("after")].concat());
    yard.produce();
    let after = yard.content("/after");
    let run = yard.produce();
    let reason = run.explained["ended"].as_str().unwrap_or_default();
    assert!(reason.contains(because), "{}", run.explained);
    assert_eq!(run.steps["commit"], "done");
    let reused = run.explained["reused"].as_u64().unwrap();
    assert!(reused >= 1, "{}", run.explained);
    assert_ne!(yard.content("/after"), after, "{}", run.explained);
}

fn ends_where_a_task_runs_in_the_background(engine: &str) {
    ends(
        engine,
        "async",
        "- name: later\n  ansible.builtin.command: sleep 0\n  async: 30\n  poll: 1\n",
        "background",
    );
}

on_both_engines!(
    docker_memory_ends_where_a_task_runs_in_the_background,
    embedded_memory_ends_where_a_task_runs_in_the_background,
    ends_where_a_task_runs_in_the_background
);

fn ends_at_no_log(engine: &str) {
    ends(engine, "no-log", "- name: hush\n  ansible.builtin.command: echo hush\n  no_log: true\n", "no_log");
}

on_both_engines!(docker_memory_ends_at_no_log, embedded_memory_ends_at_no_log, ends_at_no_log);

fn ends_at_the_tag_no_cache(engine: &str) {
    ends(engine, "tag", "- name: fresh\n  ansible.builtin.command: 'true'\n  tags: [no-cache]\n", "no-cache");
}

on_both_engines!(
    docker_memory_ends_at_the_tag_no_cache,
    embedded_memory_ends_at_the_tag_no_cache,
    ends_at_the_tag_no_cache
);

fn ends_where_a_variable_says_so(engine: &str) {
    let task =
        "- name: fresh\n  ansible.builtin.command: 'true'\n  vars: {takelage_cache: \"{{ 1 == 2 }}\"}\n";
    ends(engine, "variable", task, "takelage_cache");
}

on_both_engines!(
    docker_memory_ends_where_a_variable_says_so,
    embedded_memory_ends_where_a_variable_says_so,
    ends_where_a_variable_says_so
);

fn ends_where_a_connection_is_waited_for(engine: &str) {
    ends(engine, "wait", "- name: wait\n  ansible.builtin.wait_for_connection:\n", "wait_for_connection");
}

on_both_engines!(
    docker_memory_ends_where_a_connection_is_waited_for,
    embedded_memory_ends_where_a_connection_is_waited_for,
    ends_where_a_connection_is_waited_for
);

fn does_not_outlive_its_age(engine: &str) {
    let yard = Yard::with("age", engine, &clock("when"), "cache: {max_age: 3s}\n");
    yard.produce();
    let when = yard.content("/when");
    std::thread::sleep(std::time::Duration::from_secs(4));
    let run = yard.produce();
    assert_eq!(run.explained["reused"], 0, "{}", run.explained);
    assert_ne!(yard.content("/when"), when);
}

on_both_engines!(
    docker_memory_does_not_outlive_its_age,
    embedded_memory_does_not_outlive_its_age,
    does_not_outlive_its_age
);

fn is_neither_read_nor_written_by_plain_runs(engine: &str) {
    let yard = Yard::new("plain", engine, &clock("when"));
    for option in ["--no-cache", "--plain"] {
        assert_eq!(yard.run(&[option, "produce"]).status, Some(0));
        assert!(!yard.directory().join("cache/memory-v1/journals").exists(), "{option}");
    }
    yard.produce();
    let when = yard.content("/when");
    for option in ["--no-cache", "--plain"] {
        assert_eq!(yard.run(&[option, "produce"]).status, Some(0));
        assert_ne!(yard.content("/when"), when, "{option}");
    }
}

on_both_engines!(
    docker_memory_is_neither_read_nor_written_by_plain_runs,
    embedded_memory_is_neither_read_nor_written_by_plain_runs,
    is_neither_read_nor_written_by_plain_runs
);

fn is_made_anew_if_asked_for(engine: &str) {
    let yard = Yard::new("refresh", engine, &clock("when"));
    yard.produce();
    let when = yard.content("/when");
    let run = yard.run(&["--refresh", "produce"]);
    assert_eq!(run.status, Some(0), "{run}");
    assert_eq!(yard.explain()["first"]["because"], "`--refresh` asks for it");
    let anew = yard.content("/when");
    assert_ne!(anew, when);
    yard.produce().assert_all_from_memory();
    assert_eq!(yard.content("/when"), anew);
}

on_both_engines!(
    docker_memory_is_made_anew_if_asked_for,
    embedded_memory_is_made_anew_if_asked_for,
    is_made_anew_if_asked_for
);

fn keeps_no_failure(engine: &str) {
    let flaky = "- name: flaky\n  ansible.builtin.command: ls /there\n";
    let yard = Yard::new("failure", engine, &[&clock("before"), flaky].concat());
    for _ in 0..2 {
        let run = yard.run(&["produce"]);
        assert_eq!(run.status, Some(1), "{run}");
        let explained = yard.explain();
        assert_eq!(explained["ended"], "a task failed", "{explained}");
        assert!(explained["first"]["task"] == "flaky" || explained["reused"] == 0, "{explained}");
    }
}

on_both_engines!(docker_memory_keeps_no_failure, embedded_memory_keeps_no_failure, keeps_no_failure);

fn starts_what_runs_again(engine: &str) {
    let tasks = "\
- name: start
  ansible.builtin.shell: nohup sleep 7777 > /dev/null 2>&1 &
- name: note
  ansible.builtin.copy: {content: one, dest: /note}
- name: look
  ansible.builtin.shell: |
    for process in /proc/[0-9]*; do
    [ \"$(tr '\\0' ' ' < $process/cmdline 2> /dev/null)\" = 'sleep 7777 ' ] && echo it runs
    done > /running; true
";
    let yard = Yard::new("process", engine, tasks);
    yard.produce();
    assert_eq!(yard.content("/running"), "it runs\n");
    yard.tasks(&tasks.replace("content: one", "content: two"));
    let run = yard.produce();
    assert_eq!(run.first(), ("note", "the file's content changed"), "{}", run.run);
    assert_eq!(yard.content("/running"), "it runs\n", "{}", run.run);
    yard.assert_as_without_memory();
}

on_both_engines!(
    docker_memory_starts_what_runs_again,
    embedded_memory_starts_what_runs_again,
    starts_what_runs_again
);

/// What comes to something else each time: a process runs, so there is no snapshot, and the random name that is registered is not
/// what comes again.
pub(crate) const DRAWN: &str = "\
- name: start
  ansible.builtin.shell: nohup sleep 7777 > /dev/null 2>&1 &
- name: draw
  ansible.builtin.shell: cat /proc/sys/kernel/random/uuid | tee /drawn
  register: drawn
- name: tell
  ansible.builtin.copy: {content: \"{{ drawn.stdout }}\\n\", dest: /told}
";

fn is_void_if_it_cannot_be_repeated(engine: &str) {
    let tasks = [DRAWN, "- name: note\n  ansible.builtin.copy: {content: one, dest: /note}\n"].concat();
    let yard = Yard::new("void", engine, &tasks);
    yard.produce();
    yard.produce().assert_all_from_memory();
    yard.tasks(&tasks.replace("content: one", "content: two"));
    let run = yard.produce();
    assert!(run.run.stderr.contains("`draw` (app.yml:7) came to something else"), "{}", run.run);
    assert_eq!(yard.content("/drawn"), yard.content("/told"));
    assert_eq!(yard.content("/note"), "two");
    yard.produce().assert_all_from_memory();
}

on_both_engines!(
    docker_memory_is_void_if_it_cannot_be_repeated,
    embedded_memory_is_void_if_it_cannot_be_repeated,
    is_void_if_it_cannot_be_repeated
);

fn knows_what_a_volume_of_the_base_image_holds(engine: &str) {
    let yard = Yard::new("volume", engine, "");
    let file = fs_err::read_to_string(yard.root().join("takelage.yml")).unwrap();
    let image = file.split_once("  app:\n").unwrap().1;
    let base = "  base:\n    from: takelwerk/takelslim:latest\n    config: {volumes: [/data]}\n";
    let image = image.replace("from: takelwerk/takelslim:latest", "from: base");
    let head = file.split_once("  app:\n").unwrap().0;
    yard.write("takelage.yml", &format!("{head}{base}  app:\n{image}"));
    // Long enough for a snapshot to be worth it.
    let tasks = "\
- name: fill
  ansible.builtin.shell: mkdir -p /data; echo cargo > /data/hold; sleep 6
- name: unload
  ansible.builtin.shell: cat /data/hold > /unloaded
";
    yard.tasks(tasks);
    assert_eq!(yard.run(&["produce"]).status, Some(0));
    yard.tasks(&tasks.replace("cat /data", "cat < /data"));
    let run = yard.run(&["produce"]);
    assert_eq!(run.status, Some(0), "{run}");
    assert_eq!(yard.content("/unloaded"), "cargo\n");
}

on_both_engines!(
    docker_memory_knows_what_a_volume_of_the_base_image_holds,
    embedded_memory_knows_what_a_volume_of_the_base_image_holds,
    knows_what_a_volume_of_the_base_image_holds
);
