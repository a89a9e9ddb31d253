//! Playbooks against a real container, with real Ansible: what is told about them.

use crate::scene::{Scene, failed, results};
use takelage_model::event::{EventKind, TaskStatus};
use takelage_python::ansible::AnsibleError;

#[tokio::test]
async fn docker_ansible_a_playbook_converges_and_converges_again_without_change() {
    let Some(mut scene) = Scene::new().await else { return };
    let tasks = r#"
    - name: a file
      ansible.builtin.copy: {dest: /tmp/hello, content: "héllo\n", mode: "0600"}
      notify: told
    - name: a loop
      ansible.builtin.file: {path: "/tmp/{{ item }}", state: directory, mode: "0755"}
      loop: [one, two]
    - name: a command
      ansible.builtin.command: echo out
      changed_when: false
  handlers:
    - name: told
      ansible.builtin.command: touch /tmp/told
"#;
    let first = scene.tasks(tasks).await.unwrap();
    assert_eq!((first.totals.changed, first.totals.failed), (3, 0));
    assert_eq!(
        first.changed.iter().map(|task| task.task.as_str()).collect::<Vec<_>>(),
        ["a file", "a loop", "told"]
    );
    assert_eq!(first.changed[0].path, "site.yml:6");
    let events = scene.reported();
    let EventKind::Play { name, hosts, .. } = &events[0] else { panic!("{events:#?}") };
    assert_eq!((name.as_str(), hosts.as_slice()), ("test", ["app".to_owned()].as_slice()));
    let items: Vec<_> = events
        .iter()
        .filter_map(|event| match event {
            EventKind::TaskResult { item: Some(item), .. } => Some(item.as_str()),
            _ => None,
        })
        .collect();
    assert_eq!(items, ["one", "two"]);
    assert!(events.iter().any(|event| matches!(event,
        EventKind::TaskResult { task, output, took, .. }
        if task.name == "a command" && output.stdout == "out" && !took.is_zero())));
    assert!(
        events.iter().any(
            |event| matches!(event, EventKind::Task { task, .. } if task.handler && task.name == "told")
        )
    );
    assert!(events.iter().any(
        |event| matches!(event, EventKind::Recap { host, totals, .. } if host == "app" && totals.changed == 3)
    ));
    assert_eq!(
        scene.container.sh("cat /tmp/hello; stat -c %a:%U /tmp/hello; ls -d /tmp/one /tmp/told").await,
        "héllo\n600:root\n/tmp/one\n/tmp/told\n"
    );

    let again = scene.tasks(tasks).await.unwrap();
    assert_eq!((again.totals.changed, again.changed), (0, vec![]));
    let left: Vec<_> =
        fs_err::read_dir(scene.root.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(left, ["site.yml"], "something was written into the project");
    assert_eq!(results(&scene.reported()).len(), 3);
}

#[tokio::test]
async fn docker_ansible_a_failing_task_tells_all_about_it() {
    let Some(mut scene) = Scene::new().await else { return };
    let failed = failed(
        scene
            .tasks("    - name: breaks\n      ansible.builtin.shell: echo out; echo err >&2; exit 7\n")
            .await,
    );
    assert_eq!(
        (failed.task.as_str(), failed.path.as_str(), failed.host.as_str()),
        ("breaks", "site.yml:5", "app")
    );
    assert_eq!((failed.stdout.as_str(), failed.stderr.as_str(), failed.status), ("out", "err", Some(7)));
    assert!(failed.message.contains("non-zero return code"), "{}", failed.message);
    assert_eq!(results(&scene.reported()), [("breaks".to_owned(), TaskStatus::Failed)]);
}

#[tokio::test]
async fn docker_ansible_a_failed_item_is_the_one_that_is_told() {
    let Some(scene) = Scene::new().await else { return };
    let failed =
        failed(scene.tasks("    - ansible.builtin.shell: exit {{ item }}\n      loop: [0, 3, 4]\n").await);
    assert_eq!((failed.item.as_deref(), failed.status), (Some("4"), Some(4)));
}

#[tokio::test]
async fn docker_ansible_rescued_ignored_and_skipped_are_told_apart() {
    let Some(mut scene) = Scene::new().await else { return };
    let converged = scene
        .tasks(
            r"
    - block:
        - name: rescued
          ansible.builtin.command: /bin/false
      rescue:
        - name: rescue
          ansible.builtin.debug: {msg: saved}
      always:
        - name: ignored
          ansible.builtin.command: /bin/false
          ignore_errors: true
    - name: skipped
      ansible.builtin.command: /bin/true
      when: 1 == 2
    - name: included
      ansible.builtin.include_tasks: more.yml
",
        )
        .await;
    assert!(
        matches!(converged, Err(AnsibleError::Failed(_) | AnsibleError::Syntax { .. })),
        "there is no more.yml yet"
    );
    scene.reported();
    scene.write("more.yml", "- name: inner\n  ansible.builtin.debug: {var: inventory_hostname}\n");
    let converged = scene.run(&scene.playbook()).await.unwrap();
    assert_eq!((converged.totals.rescued, converged.totals.ignored, converged.totals.skipped), (1, 1, 1));
    let events = scene.reported();
    let expected = [
        ("rescued", TaskStatus::Rescued),
        ("rescue", TaskStatus::Ok),
        ("ignored", TaskStatus::Ignored),
        ("skipped", TaskStatus::Skipped),
        ("included", TaskStatus::Ok),
        ("inner", TaskStatus::Ok),
    ];
    assert_eq!(results(&events), expected.map(|(name, status)| (name.to_owned(), status)));
    let message = |name: &str| {
        events.iter().find_map(|event| match event {
            EventKind::TaskResult { task, output, .. } if task.name == name => Some(output.message.clone()),
            _ => None,
        })
    };
    assert_eq!(message("rescue").as_deref(), Some("saved"));
    assert!(message("skipped").unwrap().starts_with("Conditional result was False"));
    assert!(message("inner").unwrap().contains("\"app\""), "{:?}", message("inner"));
}

#[tokio::test]
async fn docker_ansible_no_event_holds_what_no_log_hides() {
    let Some(mut scene) = Scene::new().await else { return };
    let mut playbook = scene.playbook();
    playbook.extra_vars.insert("secret".into(), "canary-4711".into());
    playbook.verbosity = 3;
    playbook.diff = true;
    scene.write(
        "site.yml",
        &crate::scene::play(
            r#"
    - name: plain
      ansible.builtin.command: echo {{ secret }}
      no_log: true
    - name: items
      ansible.builtin.copy: {dest: "/tmp/{{ item }}", content: "{{ item }}"}
      loop: ["{{ secret }}", "x{{ secret }}"]
      no_log: true
    - name: failing
      ansible.builtin.shell: echo {{ secret }}; echo {{ secret }} >&2; exit 1
      no_log: true
      ignore_errors: true
    - name: failing items
      ansible.builtin.shell: echo {{ item }}; exit 1
      loop: ["{{ secret }}"]
      no_log: true
"#,
        ),
    );
    let error = scene.run(&playbook).await.unwrap_err();
    let events = scene.reported();
    assert_eq!(results(&events).len(), 4, "{events:#?}");
    let told: Vec<_> = events.iter().map(|event| serde_json::to_string(event).unwrap()).collect();
    for text in told.iter().chain([&format!("{error:?}")]) {
        assert!(!text.contains("canary-4711"), "{text}");
    }
    assert!(told.iter().any(|event| event.contains("censored due to no_log")));
}

#[tokio::test]
async fn docker_ansible_huge_output_arrives_shortened() {
    let Some(mut scene) = Scene::new().await else { return };
    let converged = scene
        .tasks("    - name: huge\n      ansible.builtin.shell: head -c 3000000 /dev/zero | tr '\\0' '\\1'; printf 'ü\\001end' >&2\n")
        .await
        .unwrap();
    assert_eq!(converged.totals.changed, 1);
    let output = scene.reported().into_iter().find_map(|event| match event {
        EventKind::TaskResult { output, .. } => Some(output),
        _ => None,
    });
    let output = output.unwrap();
    assert!(
        output.stdout.len() < 40_000 && output.stdout.contains("characters left out"),
        "{}",
        output.stdout.len()
    );
    assert!(output.stderr.ends_with("end"), "{:?}", output.stderr);
}
