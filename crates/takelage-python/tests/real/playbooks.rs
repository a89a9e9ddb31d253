//! What playbooks do through the connection: become, transfers, waiting, and their ways to fail.

use std::{path::PathBuf, time::Duration};

use takelage_model::event::EventKind;
use takelage_python::ansible::{AnsibleError, Group, Inventory, Playbook, require, run};
use tokio_util::sync::CancellationToken;

use crate::scene::{Scene, environment, failed, play};

#[tokio::test]
async fn docker_ansible_every_way_into_the_container_works() {
    let Some(scene) = Scene::new().await else { return };
    scene.write("files/tree/a", "a\n");
    scene.write("files/tree/b/c", "c\n");
    scene.write("files/script.sh", "#!/bin/sh\necho script $1\n");
    scene.write("templates/t.j2", "{{ inventory_hostname }} {{ who }}\n");
    let pack = std::process::Command::new("tar")
        .args(["-C", "files/tree", "-cf", "files/tree.tar", "a", "b"])
        .current_dir(scene.root.path())
        .status()
        .unwrap();
    assert!(pack.success());
    scene
        .tasks(
            r#"
    - ansible.builtin.user: {name: bob}
    - ansible.builtin.copy: {src: tree, dest: /srv/}
    - ansible.builtin.template: {src: t.j2, dest: /srv/t}
      vars: {who: me}
    - ansible.builtin.script: script.sh one
      register: script
    - ansible.builtin.raw: printf raw
      register: raw
    - ansible.builtin.file: {path: /srv/unpacked, state: directory}
    - ansible.builtin.unarchive: {src: tree.tar, dest: /srv/unpacked}
    - ansible.builtin.slurp: {src: /srv/t}
      register: slurped
    - ansible.builtin.fetch: {src: /srv/t, dest: "{{ fetched }}/", flat: true}
    - ansible.builtin.command: id -un
      become: true
      become_user: bob
      register: bob
    - ansible.builtin.copy: {dest: /home/bob/own, content: mine}
      become: true
      become_user: bob
    - ansible.builtin.command: id -un
      remote_user: bob
      register: remote
    - ansible.builtin.command: sleep 1
      async: 30
      poll: 1
      register: later
    - ansible.builtin.command: hostname
      delegate_to: localhost
      register: here
      vars: {ansible_connection: local}
    - ansible.builtin.shell: (cd /srv && exec python3 -m http.server 8123 >/dev/null 2>&1) &
    - ansible.builtin.wait_for: {port: 8123, timeout: 30}
    - ansible.builtin.get_url: {url: "http://127.0.0.1:8123/t", dest: /srv/got}
    - ansible.builtin.command: cat /srv/got
      register: got
    - ansible.builtin.stat: {path: /home/bob/own}
      register: own
    - ansible.builtin.command: cat
      args: {stdin: "ü\n"}
      register: piped
    - ansible.builtin.assert:
        that:
          - script.stdout == "script one\n"
          - raw.stdout == "raw"
          - slurped.content | b64decode == "app me\n"
          - bob.stdout == "bob" and remote.stdout == "bob"
          - own.stat.pw_name == "bob"
          - later.finished
          - here.stdout | length > 0
          - got.stdout == "app me"
          - piped.stdout == "ü"
"#
            .replace("{{ fetched }}", scene.root.path().join("fetched").to_str().unwrap())
            .as_str(),
        )
        .await
        .unwrap();
    assert_eq!(fs_err::read_to_string(scene.root.path().join("fetched/t")).unwrap(), "app me\n");
    assert_eq!(scene.container.sh("cd /srv && cat tree/b/c unpacked/b/c").await, "c\nc\n");
    // The wrapper of the asynchronous job removes its directory after it has said that the job is done.
    let empty = "n=0; while [ -n \"$(ls -A ~/.ansible/tmp)\" ] && [ $n -lt 100 ]; do n=$((n+1)); sleep 0.1; done; \
                 ls -A ~/.ansible/tmp | wc -l";
    assert_eq!(scene.container.sh(empty).await, "0\n");
}

#[tokio::test]
async fn docker_ansible_become_with_a_password_asks_only_where_it_must() {
    let Some(scene) = Scene::new().await else { return };
    scene
        .container
        .sh("useradd -m alice && echo alice:geheim | chpasswd && \
             echo 'alice ALL=(ALL) ALL' > /etc/sudoers.d/alice && useradd -m carol")
        .await;
    let tasks = "    - ansible.builtin.command: id -un\n      become: true\n      register: who\n    \
        - ansible.builtin.assert: {that: who.stdout == 'root'}\n";
    scene.write("site.yml", &play(tasks));
    let mut playbook = scene.playbook();
    let variables = &mut playbook.inventory.hosts["app"];
    variables.insert("ansible_user".into(), "alice".into());
    variables.insert("ansible_become_pass".into(), "geheim".into());
    scene.run(&playbook).await.unwrap();
    // root is never asked, and the password must not become the module's first line.
    playbook.inventory.hosts["app"].insert("ansible_user".into(), "root".into());
    scene.run(&playbook).await.unwrap();
    playbook.inventory.hosts["app"].insert("ansible_user".into(), "alice".into());
    playbook.inventory.hosts["app"].insert("ansible_become_pass".into(), "wrong".into());
    let error = scene.run(&playbook).await.unwrap_err();
    assert!(error.to_string().contains("ncorrect sudo password"), "{error}");
}

#[tokio::test]
async fn docker_ansible_variables_configuration_vault_and_check_mode_count() {
    let Some(mut scene) = Scene::new().await else { return };
    scene.write("ansible.cfg", "[defaults]\nroles_path = own\nforce_handlers = false\n");
    scene.write("own/one/tasks/main.yml", "- ansible.builtin.copy: {dest: /tmp/one, content: \"{{ v }}\"}\n");
    scene.write(
        "more/two/tasks/main.yml",
        "- ansible.builtin.debug: {msg: \"{{ v }} {{ g }} {{ adjacent }} {{ linked }}\"}\n",
    );
    scene.write("group_vars/all.yml", "adjacent: beside\n");
    scene.write("inventories/group_vars/web.yml", "linked: by-link\n");
    scene.write("site.yml", "- hosts: web\n  gather_facts: false\n  roles: [one, two]\n  tasks:\n    - ansible.builtin.debug: {msg: \"{{ lookup('ansible.builtin.config', 'DEFAULT_FORCE_HANDLERS') }} {{ hidden }}\"}\n");
    scene.write("password", "pass\n");
    let vault =
        std::process::Command::new(scene.tools.ansible.python.parent().unwrap().join("ansible-vault"))
            .args(["encrypt_string", "--vault-password-file", "password", "--name", "hidden", "opened"])
            .current_dir(scene.root.path())
            .output()
            .unwrap();
    scene.write("inventories/group_vars/all.yml", &String::from_utf8(vault.stdout).unwrap());
    let mut playbook = Playbook {
        roles_path: vec!["more".into()],
        check: true,
        diff: true,
        extra_args: vec!["--vault-password-file".into(), "password".into()],
        ..scene.playbook()
    };
    playbook.extra_vars.insert("v".into(), serde_json::json!("ü x"));
    playbook.config.entry("defaults".into()).or_default().insert("force_handlers".into(), "true".into());
    let web = playbook.inventory.groups.get_mut("web").unwrap();
    *web = Group { vars: [("g".into(), serde_json::json!("group"))].into(), ..web.clone() };
    playbook.inventory.links.insert("group_vars".into(), PathBuf::from("inventories/group_vars"));
    scene.run(&playbook).await.unwrap();
    let events = scene.reported();
    let messages: Vec<_> = events
        .iter()
        .filter_map(|event| match event {
            EventKind::TaskResult { output, .. } => {
                Some((output.message.as_str(), output.diff.contains("+ü x")))
            }
            _ => None,
        })
        .collect();
    assert_eq!(messages[0], ("", true), "{events:#?}");
    assert_eq!(messages[1].0, "ü x group beside by-link");
    assert_eq!(messages[2].0, "True opened");
    assert_eq!(scene.container.sh("ls /tmp").await, "", "check mode wrote a file");
}

#[tokio::test]
async fn docker_ansible_each_mistake_has_its_own_error() {
    let Some(scene) = Scene::new().await else { return };
    let playbook = scene.playbook();
    assert!(matches!(scene.run(&playbook).await, Err(AnsibleError::NoPlaybook { .. })));

    scene.write("site.yml", "- hosts: db\n  gather_facts: false\n  tasks: []\n");
    let error = scene.run(&playbook).await.unwrap_err();
    assert!(error.to_string().starts_with("no host matches `db`: there are the hosts `app`"), "{error}");

    scene.write("site.yml", "- hosts: all\n  tasks:\n    - name: x\n      nonsense.module.here: {}\n");
    let syntax = Playbook { syntax_only: true, ..playbook.clone() };
    let Err(AnsibleError::Syntax { file, line, message, .. }) = scene.run(&syntax).await else {
        panic!("no error")
    };
    assert_eq!((file, line), (Some(PathBuf::from("site.yml")), Some(3)), "{message}");
    assert!(message.contains("nonsense.module.here"), "{message}");

    scene.write("site.yml", "- hosts: all\n  tasks:\n  - a: b: c\n");
    let Err(AnsibleError::Syntax { file, line, .. }) = scene.run(&syntax).await else { panic!("no error") };
    assert_eq!((file, line), (Some(PathBuf::from("site.yml")), Some(3)));

    scene.write("site.yml", &play("    - ansible.builtin.command: id\n      remote_user: nobody-here\n"));
    let error = scene.run(&playbook).await.unwrap_err();
    assert!(!matches!(error, AnsibleError::Crashed { .. }), "{error}");

    scene.write("site.yml", &play("    - ansible.builtin.debug: {msg: \"{{ nowhere }}\"}\n"));
    assert!(failed(scene.run(&playbook).await).message.contains("nowhere"));

    let mut other = playbook.clone();
    other.inventory = Inventory::of("elsewhere", []);
    scene.write("site.yml", &play("    - ansible.builtin.command: id\n"));
    let error = scene.run(&other).await.unwrap_err();
    assert!(
        matches!(&error, AnsibleError::Unreachable { message, .. } if message.contains("only `app`")),
        "{error:?}"
    );
}

#[tokio::test]
async fn docker_ansible_a_task_on_this_host_starts_ansible_itself() {
    let Some(scene) = Scene::new().await else { return };
    scene.write(
        "inner.yml",
        "- hosts: localhost\n  gather_facts: false\n  tasks: [{debug: {msg: from within}}]\n",
    );
    let tasks = "    - ansible.builtin.command: '{{ ansible_playbook_python }} -m ansible playbook inner.yml'\n      \
                 delegate_to: localhost\n      vars: {ansible_connection: local}\n      register: ran\n    \
                 - assert: {that: \"'from within' in ran.stdout\"}\n";
    scene.tasks(tasks).await.unwrap();
}

#[tokio::test]
async fn docker_ansible_a_cancelled_run_ends_soon_and_leaves_no_process() {
    let Some(mut scene) = Scene::new().await else { return };
    scene.write(
        "site.yml",
        &play("    - name: long\n      ansible.builtin.command: sleep 717\n      delegate_to: localhost\n      vars: {ansible_connection: local}\n"),
    );
    let cancel = CancellationToken::new();
    let (playbook, stop) = (scene.playbook(), cancel.clone());
    let wait = async {
        while let Some(event) = scene.events.recv().await {
            if matches!(event, EventKind::Task { .. }) {
                break;
            }
        }
        tokio::time::sleep(Duration::from_secs(3)).await;
        stop.cancel();
        std::time::Instant::now()
    };
    let (ended, since) = tokio::join!(run(&scene.tools, &playbook, &scene.bridge, cancel), wait);
    assert!(matches!(ended, Err(AnsibleError::Cancelled)), "{ended:?}");
    assert!(since.elapsed() < Duration::from_secs(20));
    tokio::time::sleep(Duration::from_millis(300)).await;
    let left = fs_err::read_dir("/proc")
        .unwrap()
        .flatten()
        .filter(|entry| {
            fs_err::read(entry.path().join("cmdline")).is_ok_and(|line| line == b"sleep\x00717\x00")
        })
        .count();
    assert_eq!(left, 0, "a process is left");
}

#[tokio::test]
async fn docker_ansible_required_roles_and_collections_are_installed_once_and_found() {
    let Some(mut scene) = Scene::new().await else { return };
    scene.write("src/far/tasks/main.yml", "- ansible.builtin.debug: {msg: from far}\n");
    scene.write("src/far/meta/main.yml", "galaxy_info: {}\ndependencies: []\n");
    let galaxy = "namespace: own\nname: things\nversion: 1.0.0\nreadme: README.md\nauthors: [me]\n";
    scene.write("src/things/galaxy.yml", galaxy);
    scene.write("src/things/README.md", "things\n");
    scene.write("src/things/roles/near/tasks/main.yml", "- ansible.builtin.debug: {msg: from near}\n");
    let root = scene.root.path().to_owned();
    let pack = std::process::Command::new("tar")
        .args(["-C", "src", "-czf", "far.tar.gz", "far"])
        .current_dir(&root)
        .status()
        .unwrap();
    assert!(pack.success());
    let requirements = "roles:\n  - {src: ROOT/far.tar.gz, name: far}\ncollections:\n  - {source: ROOT/src/things, type: dir}\n";
    scene.write("requirements.yml", &requirements.replace("ROOT", root.to_str().unwrap()));
    let (private, cancel) = (tempfile::tempdir().unwrap(), CancellationToken::new());
    let (file, env) = (PathBuf::from("requirements.yml"), environment());
    let required = require(&scene.tools, &file, &root, private.path(), &env, &cancel, &|_| {}).await.unwrap();
    let silent = |line: &str| panic!("installed again: {line}");
    assert_eq!(
        require(&scene.tools, &file, &root, private.path(), &env, &cancel, &silent).await.unwrap(),
        required
    );

    let playbook = Playbook {
        roles_path: vec![required.roles],
        collections_path: vec![required.collections],
        ..scene.playbook()
    };
    scene.write("site.yml", "- hosts: all\n  gather_facts: false\n  roles: [far, own.things.near]\n");
    scene.run(&playbook).await.unwrap();
    let messages: Vec<_> = scene
        .reported()
        .into_iter()
        .filter_map(|event| match event {
            EventKind::TaskResult { output, .. } => Some(output.message),
            _ => None,
        })
        .collect();
    assert_eq!(messages, ["from far", "from near"]);

    scene.write("requirements.yml", "roles:\n  - {src: /nowhere/x.tar.gz, name: x}\n");
    let error =
        require(&scene.tools, &file, &root, private.path(), &env, &cancel, &|_| {}).await.unwrap_err();
    assert!(matches!(error, AnsibleError::Requirements { .. }), "{error:?}");
}
