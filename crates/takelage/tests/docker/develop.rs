//! `develop` and the verbs on the container that it keeps.

use insta::assert_snapshot;
use serde_json::Value;

use crate::{
    daemon::{BASE, can, docker},
    harbour::Harbour,
    need_everything,
    support::Finished,
};

/// How the steps of a run ended, in their order.
fn steps(run: &Finished) -> Vec<(String, String)> {
    let finished = run.events.iter().filter(|event| event["event"] == "step_finished");
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    finished.map(|event| (text(&event["step"]["op"]), text(&event["outcome"]["outcome"]))).collect()
}

fn named(steps: &[(String, String)]) -> Vec<String> {
    steps.iter().map(|(op, outcome)| format!("{op} {outcome}")).collect()
}

#[test]
fn docker_the_container_stays_from_verb_to_verb() {
    need_everything!();
    let harbour = Harbour::new("e2e-develop");
    let kept = [harbour.kept()];

    let run = harbour.run(&["verify"]);
    assert_snapshot!(run, @r#"
    status: 2
    --- stderr ---
    e2e-develop: verify app with docker [VERSION], because it answers (takelage 0.1.0)
    error: app: there is no container of `app` yet

    hint: create it with `takelage develop app` or `takelage converge app`

    e2e-develop: verify stopped after [TIME]
    "#);

    let run = harbour.succeed(&["develop"]);
    let first = ["resolve done", "create done", "prepare skipped", "converge done", "verify done"];
    assert_eq!(named(&steps(&run)), first);
    harbour.assert_nothing_remains_but(&kept);
    let id = docker(&["inspect", "--format", "{{.Id}}", &kept[0]]);

    // A container that was stopped is started again.
    docker(&["stop", "--time", "0", &kept[0]]);
    assert_eq!(named(&steps(&harbour.succeed(&["idempotence"]))), ["idempotence done"]);
    assert_eq!(named(&steps(&harbour.succeed(&["verify"]))), ["verify done"]);
    let run = harbour.succeed(&["converge"]);
    assert_eq!(named(&steps(&run)), ["resolve done", "create cached", "prepare skipped", "converge done"]);
    assert!(run.stderr.contains("2 tasks, 0 changed"), "{run}");
    assert_eq!(docker(&["inspect", "--format", "{{.Id}}", &kept[0]]), id);

    let shell = harbour.run(&["shell", "--", "sh", "-c", "cat /greeting; echo below >&2; exit 3"]);
    assert_eq!((shell.status, shell.stdout.as_str(), shell.stderr.as_str()), (Some(1), "ahoy\n", "below\n"));

    for mode in [&["shell"][..], &["--plain", "shell"]] {
        assert_eq!(harbour.start_reading(mode, "cat /greeting; exit\n").finish().stdout, "ahoy\n");
        let told = [mode, &["--", "echo", "ahoy"]].concat();
        assert_eq!(harbour.start_reading(&told, "").finish().stdout, "ahoy\n");
    }

    harbour.tasks("- name: count\n  ansible.builtin.shell: date >> /count");
    assert_snapshot!(harbour.run(&["idempotence"]), @r#"
    status: 1
    --- stderr ---
    e2e-develop: idempotence app with docker [VERSION], because it answers (takelage 0.1.0)
    app: idempotence ...
    app: idempotence: changed: count
    error: app: idempotence failed after [TIME]: the playbook of `app` is not idempotent: `count` (app.yml:5) changed again

    hint: make these tasks change nothing where nothing has to change, for example with `changed_when` or `creates`

    image  step         result  took  details
    app    idempotence  failed  [TIME]  1 task: 1 changed

    failed: app: idempotence: the playbook of `app` is not idempotent: `count` (app.yml:5) changed again

    e2e-develop: idempotence failed after [TIME] (1 task: 1 changed)
    "#);
    let before = docker(&["exec", &kept[0], "cat", "/count"]);
    harbour.succeed(&["check"]);
    assert_eq!(docker(&["exec", &kept[0], "cat", "/count"]), before, "`check` changes nothing");

    assert_eq!(named(&steps(&harbour.succeed(&["destroy"]))), ["destroy done"]);
    harbour.assert_nothing_remains_but(&[]);
    assert_eq!(named(&steps(&harbour.succeed(&["destroy"]))), ["destroy skipped"]);
}

#[test]
fn docker_another_base_makes_another_container() {
    need_everything!();
    let base = "takelage-e2e/e2e-rebase-base:1";
    let file = format!("name: e2e-rebase\nimages: {{app: {{from: '{base}', playbook: app.yml}}}}\n");
    let harbour = Harbour::with_file("e2e-rebase", &file);
    harbour.remove_later(base);
    docker(&["tag", BASE, base]);
    harbour.succeed(&["create"]);
    let id = docker(&["inspect", "--format", "{{.Id}}", &harbour.kept()]);

    let container = docker(&["create", BASE, "true"]);
    docker(&["commit", "--change", "ENV TIDE=high", &container, base]);
    docker(&["rm", &container]);
    let run = harbour.succeed(&["create"]);
    assert_eq!(named(&steps(&run)), ["resolve done", "create done"]);
    assert!(run.stderr.contains("was made of another base image, so it is made again"), "{run}");
    assert!(!can(&["inspect", &id]));
    assert_eq!(docker(&["exec", &harbour.kept(), "sh", "-c", "echo $TIDE"]), "high");
    harbour.assert_nothing_remains_but(&[harbour.kept()]);
}

#[test]
fn docker_other_settings_make_another_container() {
    need_everything!();
    let file = |tide: &str| {
        format!(
            "name: e2e-settings\nimages: {{app: {{from: '{BASE}', playbook: app.yml, container: {{env: {{TIDE: {tide}}}}}}}}}\n"
        )
    };
    let harbour = Harbour::with_file("e2e-settings", &file("low"));
    harbour.succeed(&["create"]);
    assert_eq!(named(&steps(&harbour.succeed(&["create"]))), ["resolve done", "create cached"]);
    harbour.write("takelage.yml", &file("high"));
    let run = harbour.succeed(&["create"]);
    assert!(
        run.stderr.contains("was made with other settings below `container:`, so it is made again"),
        "{run}"
    );
    assert_eq!(docker(&["exec", &harbour.kept(), "sh", "-c", "echo $TIDE"]), "high");
    harbour.assert_nothing_remains_but(&[harbour.kept()]);
}
