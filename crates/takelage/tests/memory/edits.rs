//! An edit costs what it changes, and changes all that it has to.

use crate::{on_both_engines, yard::Yard};

const TASKS: &str = "\
- name: greet
  ansible.builtin.copy: {content: \"{{ greeting | default('ahoy') }}\\n\", dest: /greeting}
- name: dig
  ansible.builtin.command: {cmd: mkdir -p /basin/deep, creates: /basin/deep}
- name: when
  ansible.builtin.shell: date +%s%N > /when
- name: list
  ansible.builtin.lineinfile: {path: /list, line: one, create: true, mode: '0640'}
";

fn unchanged(engine: &str) {
    let yard = Yard::new("unchanged", engine, TASKS);
    let first = yard.produce();
    assert_eq!((first.steps["create"].as_str(), first.steps["converge"].as_str()), ("done", "done"));
    let when = yard.content("/when");
    let again = yard.produce();
    again.assert_all_from_memory();
    assert!(again.run.stderr.contains("4 tasks, 4 changed, all from memory"), "{}", again.run);
    assert_eq!(yard.content("/when"), when);
}

on_both_engines!(
    docker_memory_makes_no_container_for_what_is_unchanged,
    embedded_memory_makes_no_container_for_what_is_unchanged,
    unchanged
);

fn last_task(engine: &str) {
    let yard = Yard::new("last", engine, TASKS);
    yard.produce();
    let when = yard.content("/when");
    yard.tasks(&TASKS.replace("line: one", "line: two"));
    let run = yard.produce();
    assert_eq!(run.first(), ("list", "the argument `line` changed"), "{}", run.run);
    assert!(run.run.stderr.contains("4 tasks, 4 changed, 3 from memory"), "{}", run.run);
    assert_eq!(yard.content("/list"), "two\n");
    // Either it came with a snapshot, or the task that made it was carried out again.
    assert!(yard.content("/when") >= when);
    // Back again: everything is known, but for the image, which was replaced.
    yard.tasks(TASKS);
    let back = yard.produce();
    assert_eq!(back.explained["reused"], back.explained["requests"]);
    assert_eq!(yard.content("/list"), "one\n");
    yard.tasks(&TASKS.replace("- name: when\n  ansible.builtin.shell: date +%s%N > /when\n", ""));
    let shorter = yard.produce();
    assert_eq!(shorter.first(), ("list", "`when` (app.yml:9) was in its place before"));
    yard.assert_as_without_memory();
}

on_both_engines!(
    docker_memory_runs_the_last_task_alone_if_it_alone_was_edited,
    embedded_memory_runs_the_last_task_alone_if_it_alone_was_edited,
    last_task
);

/// Something that lies in a snapshot and goes before the end; snapshots are worth it, for something takes time.
const SLOW: &str = "\
- name: bury
  ansible.builtin.copy: {content: canary-in-the-hold, dest: /secret}
- name: wait
  ansible.builtin.shell: sleep 20; date +%s%N > /when
- name: dig
  ansible.builtin.file: {path: /secret, state: absent}
- name: list
  ansible.builtin.lineinfile: {path: /list, line: one, create: true}
";

fn snapshot(engine: &str) {
    let yard = Yard::new("snapshot", engine, SLOW);
    yard.produce();
    let mut when = String::new();
    for line in ["two", "three"] {
        yard.tasks(&SLOW.replace("line: one", &format!("line: {line}")));
        let run = yard.produce();
        assert_eq!(run.first().0, "list", "{}", run.run);
        assert_eq!(yard.content("/list"), format!("{line}\n"));
        if line == "two" {
            // Where a snapshot costs much, the first edit may be what makes one worth it.
            when = yard.content("/when");
        } else {
            // All of them, or all but a few after the snapshot, where one costs much.
            assert!(run.run.stderr.contains("the container begins after them"), "{}", run.run);
            assert_eq!(yard.content("/when"), when, "what took time is not done again");
        }
        let archive = fs_err::read(yard.directory().join("app.tar")).unwrap();
        let canary = b"canary-in-the-hold";
        assert!(!archive.windows(canary.len()).any(|window| window == canary), "what is gone is nowhere");
    }
}

on_both_engines!(
    docker_memory_begins_at_a_snapshot_of_which_nothing_is_left_in_the_image,
    embedded_memory_begins_at_a_snapshot_of_which_nothing_is_left_in_the_image,
    snapshot
);

/// A playbook with all that an edit may be of.
fn furnish(yard: &Yard) {
    yard.write(
        "app.yml",
        "- hosts: all\n  gather_facts: false\n  vars: {ansible_python_interpreter: /usr/bin/python3, depth: 3}\n  \
         roles: [quay]\n  tasks:\n    - name: look around\n      ansible.builtin.copy: {content: \"{{ lookup('env', \
         'BERTH') }} {{ depth }} {{ group_depth }}\\n\", dest: /around}\n    - name: own module\n      sound: {path: /sound}\n      \
         register: sounded\n    - name: own words\n      ansible.builtin.copy: {content: \"{{ sounded.words }}\", dest: \
         /words}\n      notify: tell\n    - name: become somebody\n      become: true\n      become_user: games\n      \
         ansible.builtin.command: {cmd: id -un}\n      register: who\n    - name: note it\n      ansible.builtin.copy: \
         {content: \"{{ who.stdout }}\", dest: /who}\n    - name: loop\n      ansible.builtin.file: {path: \"/{{ item }}\", \
         state: directory}\n      loop: [a, b]\n  handlers:\n    - name: tell\n      ansible.builtin.lineinfile: {path: \
         /told, line: told, create: true}\n",
    );
    yard.write("roles/quay/defaults/main.yml", "length: 7\n");
    yard.write(
        "roles/quay/tasks/main.yml",
        "- name: plan\n  ansible.builtin.template: {src: plan.j2, dest: /plan}\n- name: chart\n  ansible.builtin.copy: {src: \
         chart, dest: /chart}\n",
    );
    yard.write("roles/quay/templates/plan.j2", "length {{ length }}\n");
    yard.write("roles/quay/files/chart", "here be dragons\n");
    yard.write("group_vars/all.yml", "group_depth: 4\n");
    yard.write(
        "library/sound.py",
        "#!/usr/bin/python\nfrom ansible.module_utils.basic import AnsibleModule\nfrom ansible.module_utils.words import \
         WORDS\n\ndef main():\n    module = AnsibleModule({'path': {'type': 'str'}})\n    with \
         open(module.params['path'], 'w') as file:\n        file.write('ping')\n    module.exit_json(changed=True, words=WORDS)\n\nmain()\n",
    );
    yard.write("module_utils/words.py", "WORDS = 'by the mark'\n");
    yard.write("ansible.cfg", "[defaults]\nlibrary = library\nmodule_utils = module_utils\n");
}

fn every_input(engine: &str) {
    let mut yard = Yard::new("inputs", engine, "");
    furnish(&yard);
    yard.produce();
    yard.produce().assert_all_from_memory();
    let edits: [(&str, &str, &str, &str); 9] = [
        ("roles/quay/defaults/main.yml", "length: 8\n", "/plan", "length 8\n"),
        ("roles/quay/templates/plan.j2", "long {{ length }}\n", "/plan", "long 8\n"),
        ("roles/quay/files/chart", "here be whales\n", "/chart", "here be whales\n"),
        ("group_vars/all.yml", "group_depth: 5\n", "/around", " 3 5\n"),
        ("library/sound.py", "pong", "/sound", "pong"),
        ("module_utils/words.py", "WORDS = 'no bottom'\n", "/words", "no bottom"),
        ("app.yml", "become_user: nobody", "/who", "nobody"),
        ("app.yml", "depth: 33", "/around", " 33 5\n"),
        ("app.yml", "loop: [a, c]", "/plan", "long 8\n"),
    ];
    for (file, edit, path, content) in edits {
        let before = fs_err::read_to_string(yard.root().join(file)).unwrap();
        let edited = match edit {
            "pong" => before.replace("ping", "pong"),
            "become_user: nobody" => before.replace("become_user: games", edit),
            "depth: 33" => before.replace("depth: 3}", "depth: 33}"),
            "loop: [a, c]" => before.replace("loop: [a, b]", edit),
            whole => whole.to_owned(),
        };
        assert_ne!(before, edited, "{file}");
        yard.write(file, &edited);
        let run = yard.produce();
        let explained = &run.explained;
        let (reused, all) = (explained["reused"].as_u64().unwrap(), explained["requests"].as_u64().unwrap());
        assert!(0 < reused && reused < all, "{file}: {explained}");
        assert_eq!(yard.content(path), content, "{file}: {explained}");
    }
    yard.set("BERTH", "north");
    let run = yard.produce();
    assert_eq!(run.first().0, "look around");
    assert_eq!(yard.content("/around"), "north 33 5\n");
    yard.assert_as_without_memory();
    yard.produce().assert_all_but_the_image_from_memory();
}

on_both_engines!(docker_memory_sees_every_input, embedded_memory_sees_every_input, every_input);

fn layers(engine: &str) {
    let yard = Yard::new("layers", engine, "");
    let file = fs_err::read_to_string(yard.root().join("takelage.yml")).unwrap();
    yard.write("takelage.yml", &file.replace("playbook: app.yml", "layers: [system, app]"));
    let play = |task: &str| format!("{}    {task}\n", crate::yard::PLAY);
    yard.write("playbook-system.yml", &play("- ansible.builtin.command: touch /system"));
    yard.write("playbook-app.yml", &play("- ansible.builtin.command: touch /app"));
    yard.produce();
    yard.produce().assert_all_from_memory();
    yard.write("playbook-app.yml", &play("- ansible.builtin.command: touch /other"));
    let run = yard.produce();
    assert_eq!(run.explained["reused"], run.explained["requests"], "the first layer: {}", run.run);
    yard.assert_as_without_memory();
}

on_both_engines!(docker_memory_goes_through_layers, embedded_memory_goes_through_layers, layers);
