//! What a memory of tasks by their text gets wrong: the known failures of ansible-bender, by the numbers of their issues.

use crate::{
    need_everything,
    yard::{PLAY, Yard},
};

const TASKS: &str = "
    - name: a variable
      ansible.builtin.copy: {content: \"{{ berth }}\", dest: /berth}
    - name: a loop
      ansible.builtin.command: {cmd: \"touch /{{ item }}\", creates: \"/{{ item }}\"}
      with_items: \"{{ lookup('env', 'DOCKS').split(',') }}\"
    - name: register
      ansible.builtin.command: cat /berth
      register: told
    - name: a fact
      ansible.builtin.set_fact: {seen: \"{{ told.stdout }}\"}
    - name: notify
      ansible.builtin.lineinfile: {path: /log, line: \"{{ seen }}\", create: true}
      notify: tell
    - name: a block
      block:
        - name: fail
          ansible.builtin.command: ls /nowhere
      rescue:
        - name: rescue
          ansible.builtin.copy: {content: \"{{ ansible_failed_result.rc }}\", dest: /rescued}
";
const HANDLERS: &str = "
  handlers:
    - name: tell
      ansible.builtin.copy: {content: \"told {{ seen }}\", dest: /told}
";

#[test]
fn embedded_memory_has_none_of_the_known_failures_of_a_memory_by_text() {
    need_everything!();
    let more = "    extra_vars: {berth: \"${BERTH:-one}\"}\n";
    let mut yard = Yard::with("by-text", "embedded", "", more);
    let play = |last: &str| format!("{PLAY}{TASKS}{last}{HANDLERS}");
    yard.write("app.yml", &play(""));
    yard.set("DOCKS", "a,b");
    yard.produce();
    yard.produce().assert_all_from_memory();

    // 253: what Ansible knows from tasks that do not run is there for one that does, and handlers are told.
    let last = "    - name: last\n      ansible.builtin.copy: {content: \"{{ seen }} {{ told.rc }}\", dest: /last}\n";
    yard.write("app.yml", &play(last));
    let run = yard.produce();
    assert_eq!(run.first().0, "last", "{}", run.run);
    assert_eq!(yard.content("/last"), "one 0");
    assert_eq!((yard.content("/told"), yard.content("/rescued")), ("told one".into(), "2".into()));

    // 104: the text of no task has changed.
    yard.set("BERTH", "two");
    let run = yard.produce();
    assert_eq!(run.first().0, "a variable", "{}", run.run);
    assert_eq!((yard.content("/berth"), yard.content("/last")), ("two".into(), "two 0".into()));
    assert_eq!(yard.content("/told"), "told two");

    // 229: nor that of a loop.
    yard.set("DOCKS", "a,c");
    let run = yard.produce();
    assert_eq!(run.first().0, "a loop", "{}", run.run);
    let files = yard.files();
    assert!(files.contains_key("/c") && !files.contains_key("/b"), "{:?}", files.keys());

    // 226: what has failed fails again, and what was before it is not lost.
    let fails = "    - name: fails\n      ansible.builtin.command: test -e /flag\n";
    yard.write("app.yml", &play(fails));
    for _ in 0..2 {
        let run = yard.run(&["produce"]);
        assert_eq!(run.status, Some(1), "{run}");
        assert!(run.stderr.contains("fails"), "{run}");
    }
    let flag = "    - name: flag\n      ansible.builtin.command: touch /flag\n";
    yard.write("app.yml", &play(&format!("{flag}{fails}")));
    let run = yard.produce();
    assert_eq!(run.first().0, "flag", "{}", run.run);

    // 256: a task may say that it is always run.
    let chosen =
        "    - name: chosen\n      ansible.builtin.shell: date +%s%N > /chosen\n      tags: [no-cache]\n";
    yard.write("app.yml", &play(&format!("{flag}{fails}{chosen}")));
    yard.produce();
    let before = yard.content("/chosen");
    let run = yard.produce();
    assert_ne!(yard.content("/chosen"), before, "{}", run.run);
    yard.write("app.yml", &play(&format!("{flag}{fails}")));
    yard.produce();
    yard.assert_as_without_memory();
}
