//! `develop` gives a container as if provisioned from scratch, but only what has changed runs.

use crate::{
    ends::DRAWN,
    on_both_engines,
    yard::{Produced, Yard},
};

const TASKS: &str = "\
- name: draw
  ansible.builtin.shell: date +%s%N > /drawn
- name: note
  ansible.builtin.copy: {content: one, dest: /note}
";

/// How the last step that asked for a container ended.
fn created(run: &Produced) -> &str {
    &run.steps["create"]
}

fn runs_what_has_changed(engine: &str) {
    let yard = Yard::new("develop", engine, TASKS);
    let first = yard.develop();
    assert_eq!((created(&first), &*first.steps["converge"]), ("done", "done"));
    let unchanged = yard.develop();
    assert_eq!(
        (created(&unchanged), &*unchanged.steps["converge"]),
        ("cached", "cached"),
        "{}",
        unchanged.run
    );
    assert!(unchanged.run.stderr.contains("is as `develop` left it"), "{}", unchanged.run);
    assert_eq!(unchanged.explained["reused"], unchanged.explained["requests"]);
    let drawn = yard.shell("cat /drawn; touch /left");
    // Somebody was in it.
    let again = yard.develop();
    assert_eq!((created(&again), &*again.steps["converge"]), ("done", "cached"), "{}", again.run);
    assert_eq!(yard.shell("ls /left 2> /dev/null; cat /note"), "one");
    yard.tasks(&TASKS.replace("content: one", "content: two"));
    let edited = yard.develop();
    assert_eq!(edited.first(), ("note", "the file's content changed"), "{}", edited.run);
    // What was not edited was made again, or was in a snapshot.
    assert_eq!(yard.shell("cat /note"), "two");
    assert!(!drawn.is_empty());
    let produced = yard.produce();
    produced.assert_all_but_the_image_from_memory();
}

on_both_engines!(
    docker_memory_develops_what_has_changed,
    embedded_memory_develops_what_has_changed,
    runs_what_has_changed
);

fn goes_on_where_it_is_asked_to(engine: &str) {
    let yard = Yard::new("develop-live", engine, TASKS);
    yard.develop();
    yard.shell("touch /left");
    let live = yard.run(&["develop", "--live"]);
    assert_eq!(live.status, Some(0), "{live}");
    assert!(live.stderr.contains("is there"), "{live}");
    assert_eq!(yard.shell("ls /left"), "/left\n");
    let converged = yard.run(&["converge"]);
    assert_eq!(converged.status, Some(0), "{converged}");
    // Nobody knows in which state it is now.
    assert_eq!(created(&yard.develop()), "done");
    assert_eq!(yard.shell("ls /left || true"), "");
    for option in ["--plain", "--no-cache"] {
        let run = yard.run(&[option, "develop"]);
        assert_eq!(run.status, Some(0), "{run}");
        assert!(run.stderr.contains("is made again from scratch"), "{run}");
    }
}

on_both_engines!(
    docker_memory_develops_live_where_asked_to,
    embedded_memory_develops_live_where_asked_to,
    goes_on_where_it_is_asked_to
);

fn keeps_the_state_in_which_a_task_failed(engine: &str) {
    let fail = "- name: give up\n  ansible.builtin.fail: {msg: \"it rains\"}\n";
    let last = "- name: last\n  ansible.builtin.file: {path: /last, state: touch}\n";
    let yard = Yard::new("develop-failed", engine, &[TASKS, last].concat());
    yard.develop();
    yard.tasks(&[TASKS, fail, last].concat());
    let run = yard.run(&["develop"]);
    assert_eq!(run.status, Some(1), "{run}");
    assert!(run.stderr.contains("it rains") && run.stderr.contains("is as it failed"), "{run}");
    assert_eq!(yard.shell("cat /note; ls /last 2> /dev/null || true"), "one");
    // What cannot even be read costs nobody a container.
    yard.tasks(&[TASKS, last].concat());
    yard.develop();
    yard.tasks(&[TASKS, "- name: [\n"].concat());
    let run = yard.run(&["develop"]);
    assert_eq!(run.status, Some(1), "{run}");
    yard.tasks(&[TASKS, last].concat());
    assert_eq!(created(&yard.develop()), "cached");
}

on_both_engines!(
    docker_memory_keeps_the_state_in_which_a_task_failed,
    embedded_memory_keeps_the_state_in_which_a_task_failed,
    keeps_the_state_in_which_a_task_failed
);

fn develops_anew_what_cannot_be_repeated(engine: &str) {
    let yard = Yard::new("develop-void", engine, DRAWN);
    yard.develop();
    assert_eq!(created(&yard.develop()), "cached", "the process runs on");
    yard.shell("true");
    let run = yard.develop();
    assert!(run.run.stderr.contains("`draw` (app.yml:7) came to something else"), "{}", run.run);
    assert_eq!(yard.shell("cmp /drawn /told && echo same"), "same\n");
}

on_both_engines!(
    docker_memory_develops_anew_what_cannot_be_repeated,
    embedded_memory_develops_anew_what_cannot_be_repeated,
    develops_anew_what_cannot_be_repeated
);

fn develops_all_layers_in_one_container(engine: &str) {
    let yard = Yard::new("develop-layers", engine, TASKS);
    let file = fs_err::read_to_string(yard.root().join("takelage.yml")).unwrap();
    yard.write("takelage.yml", &file.replace("playbook: app.yml", "layers: [hull, mast]"));
    yard.write("playbook-hull.yml", &fs_err::read_to_string(yard.root().join("app.yml")).unwrap());
    let mast = |height: u32| {
        let task =
            format!("- name: step\n      ansible.builtin.shell: cat /note > /mast; echo {height} >> /mast\n");
        yard.write("playbook-mast.yml", &format!("{}    {task}", crate::yard::PLAY));
    };
    mast(7);
    yard.develop();
    mast(8);
    assert_eq!(yard.run(&["develop"]).status, Some(0));
    let explained = yard.run(&["explain"]);
    assert!(explained.stdout.contains("app, as `develop` made it: "), "{explained}");
    assert!(explained.stdout.contains("the first that ran: `step` (playbook-mast.yml:5), "), "{explained}");
    assert!(explained.stdout.contains("the argument"), "{explained}");
    assert_eq!(yard.shell("cat /mast"), "one8\n");
}

on_both_engines!(
    docker_memory_develops_all_layers_in_one_container,
    embedded_memory_develops_all_layers_in_one_container,
    develops_all_layers_in_one_container
);
