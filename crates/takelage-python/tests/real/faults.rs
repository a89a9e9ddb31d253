//! What goes wrong around a module that runs: each fault is told, and nothing is left of it.

use std::{process::Command, time::Duration};

use takelage_model::event::EventKind;
use takelage_python::ansible::{AnsibleError, run};
use tokio_util::sync::CancellationToken;

use crate::scene::{Scene, play};

/// Says which process a module's shell was started by: the warm interpreter.
const WHICH: &str = "sed -n 's/^PPid:.//p' /proc/$PPID/status";

impl Scene {
    /// Runs a shell script in the container by a way of its own.
    fn apart(&self, script: &str) -> String {
        let name = takelage_engine::Container::name(&self.container.0);
        let ran = Command::new("docker").args(["exec", name, "/bin/sh", "-c", script]).output().unwrap();
        String::from_utf8(ran.stdout).unwrap()
    }

    /// Counts the processes with this command line.
    fn count(&self, line: &str) -> usize {
        let script = "for p in /proc/[0-9]*; do tr '\\0' ' ' <$p/cmdline; echo; done 2>/dev/null";
        self.apart(script).lines().filter(|found| found.trim_end() == line).count()
    }

    /// Waits until there are so many processes with this command line.
    async fn until(&self, line: &str, number: usize) {
        let begun = std::time::Instant::now();
        while self.count(line) != number {
            assert!(begun.elapsed() < Duration::from_secs(60), "{} times {line}", self.count(line));
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    /// Returns what tasks wrote to their standard output.
    fn stdout(&mut self) -> Vec<String> {
        let events = self.reported();
        let results = events.iter().filter_map(|event| match event {
            EventKind::TaskResult { output, .. } => Some(output.stdout.trim().to_owned()),
            _ => None,
        });
        results.collect()
    }
}

fn shell(script: &str) -> String {
    format!("    - ansible.builtin.shell: {script}\n      changed_when: false\n")
}

#[tokio::test(flavor = "multi_thread")]
async fn docker_ansible_an_agent_that_is_killed_fails_the_task_and_the_next_run_has_another() {
    let keep = tempfile::tempdir().unwrap();
    let Some(scene) = Scene::with(Some(keep.path())).await else { return };
    scene.write("site.yml", &play(&shell("echo x >> /tmp/runs; sleep 811")));
    let playbook = scene.playbook();
    let kill = async {
        scene.until("sleep 811", 1).await;
        let agents =
            "for p in /proc/[0-9]*; do [ \"$(cat $p/comm)\" = takelage-agent ] && kill -9 ${p#/proc/}; done";
        scene.apart(agents);
    };
    let (ended, ()) = tokio::join!(scene.run(&playbook), kill);
    assert!(matches!(&ended, Err(AnsibleError::Unreachable { .. })), "{ended:?}");
    assert_eq!(scene.apart("cat /tmp/runs"), "x\n");
    scene.tasks(&shell("echo here")).await.unwrap();
    scene.until("sleep 811", 0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn docker_ansible_a_container_that_is_stopped_is_unreachable() {
    let keep = tempfile::tempdir().unwrap();
    let Some(scene) = Scene::with(Some(keep.path())).await else { return };
    scene.write("site.yml", &play(&shell("sleep 812")));
    let playbook = scene.playbook();
    let stop = async {
        scene.until("sleep 812", 1).await;
        let name = takelage_engine::Container::name(&scene.container.0);
        Command::new("docker").args(["kill", name]).output().unwrap();
    };
    let (ended, ()) = tokio::join!(scene.run(&playbook), stop);
    assert!(matches!(&ended, Err(AnsibleError::Unreachable { .. })), "{ended:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn docker_ansible_an_interpreter_that_is_replaced_has_a_successor() {
    let keep = tempfile::tempdir().unwrap();
    let Some(mut scene) = Scene::with(Some(keep.path())).await else { return };
    let which = shell(WHICH);
    let replace = shell("p=$(readlink -f /usr/bin/python3); cp -a $p $p.new; mv $p.new $p");
    scene.tasks(&[&*which, &which, &replace, &which, &which].concat()).await.unwrap();
    let which = scene.stdout();
    assert_eq!((&which[0], &which[3]), (&which[1], &which[4]));
    assert_ne!(which[0], which[3]);
}

#[tokio::test(flavor = "multi_thread")]
async fn docker_ansible_module_utils_that_change_count_from_the_next_module_on() {
    let mut all = Vec::new();
    for fast in [false, true] {
        let keep = tempfile::tempdir().unwrap();
        let Some(mut scene) = Scene::with(fast.then(|| keep.path())).await else { return };
        for name in ["one", "two"] {
            let module = "from ansible.module_utils.basic import AnsibleModule\nfrom ansible.module_utils.mine import WORD\n\
                          AnsibleModule(argument_spec={}).exit_json(stdout=WORD)\n";
            scene.write(&format!("library/{name}.py"), module);
        }
        scene.write("module_utils/mine.py", "WORD = 'before'\n");
        let change = "    - copy: {content: \"WORD = 'after'\\n\", dest: '{{ playbook_dir }}/module_utils/mine.py'}\n\
                      \x20     delegate_to: localhost\n      vars: {ansible_connection: local}\n";
        scene.tasks(&format!("    - one: {{}}\n{change}    - two: {{}}\n")).await.unwrap();
        all.push(scene.stdout());
    }
    assert_eq!((all[0][0].as_str(), all[0][2].as_str()), ("before", "after"));
    assert_eq!(all[0], all[1]);
}

#[tokio::test(flavor = "multi_thread")]
async fn docker_ansible_a_full_disk_is_told_as_ever() {
    let mut all = Vec::new();
    for fast in [false, true] {
        let keep = tempfile::tempdir().unwrap();
        let Some(mut scene) = Scene::with(fast.then(|| keep.path())).await else { return };
        scene.tasks(&shell("dd if=/dev/zero of=/dev/shm/all bs=64k || true")).await.unwrap();
        let full = "    - ansible.builtin.copy: {content: \"{{ 'x' * 300000 }}\", dest: /dev/shm/more}\n";
        let ended = scene.tasks(full).await;
        assert!(ended.is_err(), "{ended:?}");
        let events = scene.reported();
        let last = events.iter().rev().find_map(|event| match event {
            EventKind::TaskResult { output, status, .. } => Some((*status, output.clone())),
            _ => None,
        });
        let (status, output) = last.unwrap();
        all.push((status, output.message.contains("No space left on device"), scene.apart("ls /dev/shm")));
        scene.apart("rm /dev/shm/all");
        scene.tasks(full).await.unwrap();
    }
    assert!(all[0].1, "{all:?}");
    assert_eq!(all[0], all[1]);
}

#[tokio::test(flavor = "multi_thread")]
async fn docker_ansible_nothing_that_an_interrupted_module_started_survives() {
    let keep = tempfile::tempdir().unwrap();
    let Some(scene) = Scene::with(Some(keep.path())).await else { return };
    let daemon = shell("nohup sleep 814 >/dev/null 2>&1 &");
    scene.tasks(&daemon).await.unwrap();
    let started = "sleep 813 & setsid sh -c 'sleep 813; true' & sh -c 'setsid sleep 813 & wait' & wait";
    scene.write("site.yml", &play(&shell(started)));
    let (playbook, cancel) = (scene.playbook(), CancellationToken::new());
    let interrupt = async {
        scene.until("sleep 813", 3).await;
        cancel.cancel();
    };
    let (ended, ()) = tokio::join!(run(&scene.tools, &playbook, &scene.bridge, cancel.clone()), interrupt);
    assert!(matches!(ended, Err(AnsibleError::Cancelled)), "{ended:?}");
    let Scene { container, bridge, root, events, tools, sockets } = scene;
    bridge.close().await;
    let name = takelage_engine::Container::name(&container.0).to_owned();
    let top = Command::new("docker").args(["top", &name, "-eo", "pid,args"]).output().unwrap();
    let top = String::from_utf8(top.stdout).unwrap();
    assert_eq!((top.matches("sleep 813").count(), top.matches("sleep 814").count()), (0, 1), "{top}");
    drop((root, events, tools, sockets));
}

#[tokio::test(flavor = "multi_thread")]
async fn docker_ansible_a_host_that_is_not_there_is_unreachable_and_the_others_go_on() {
    let mut all = Vec::new();
    for fast in [false, true] {
        let keep = tempfile::tempdir().unwrap();
        let Some(mut scene) = Scene::with(fast.then(|| keep.path())).await else { return };
        let hosts = "    - add_host: {name: gone, ansible_connection: takelage, takelage_host: gone}\n";
        let play = play(hosts) + "- hosts: app, gone\n  gather_facts: false\n  tasks:\n";
        scene.write("site.yml", &(play + &shell("echo one") + &shell("echo two")));
        let ended = scene.run(&scene.playbook()).await;
        assert!(matches!(&ended, Err(AnsibleError::Unreachable { host, .. }) if host == "gone"), "{ended:?}");
        let mut told: Vec<_> = scene
            .reported()
            .into_iter()
            .filter_map(|event| match event {
                EventKind::TaskResult { host, status, output, .. } => {
                    Some(format!("{host} {status:?} {} {}", output.message, output.stdout))
                }
                _ => None,
            })
            .collect();
        // Both hosts are worked on at once.
        told.sort();
        all.push(told);
    }
    let [plain, fast] = [&all[0], &all[1]];
    assert_eq!(plain, fast);
    assert!(plain.iter().any(|told| told.contains("no container goes by the name `gone`")), "{plain:?}");
    assert!(plain.iter().any(|told| told.starts_with("app") && told.ends_with("two")), "{plain:?}");
}
