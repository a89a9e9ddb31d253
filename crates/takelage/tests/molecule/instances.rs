//! Scenarios of the Docker driver: containers, groups, checks and idempotence.

use takelage_testkit::skip;

use crate::{daemon, support::TestProject};

/// Removes the scenario's containers whatever happens.
struct Scene(TestProject);

impl Drop for Scene {
    fn drop(&mut self) {
        let _ = self.0.run(&["molecule", "destroy"]);
    }
}

fn scene() -> Scene {
    let scenario = format!(
        "driver: {{name: docker}}\nplatforms:\n  - {{name: Web_1, image: '{0}', pre_build_image: true, groups: [web], command: /usr/bin/tail -f /dev/null, env: {{GREETING: hello}}}}\n  - {{name: store, image: '{0}', pre_build_image: true}}\nprovisioner: {{inventory: {{group_vars: {{web: {{greeting: hello}}}}}}}}\nverifier: {{name: testinfra}}\n",
        daemon::BASE
    );
    let converge = "- hosts: all\n  gather_facts: false\n  tasks:\n    - name: write\n      ansible.builtin.copy: {content: \"{{ greeting | default('none') }} {{ molecule_yml.driver.name }}\", dest: /greeting}\n    - name: flicker\n      ansible.builtin.command: 'true'\n      changed_when: inventory_hostname == lookup('env', 'FLICKER')\n";
    let checks = "import os\nimport testinfra.utils.ansible_runner\ntestinfra_hosts = testinfra.utils.ansible_runner.AnsibleRunner(os.environ['MOLECULE_INVENTORY_FILE']).get_hosts('all')\n\ndef test_greeting(host):\n    name = host.ansible.get_variables()['inventory_hostname']\n    expected = 'hello docker' if name == 'Web_1' else 'none docker'\n    assert host.file('/greeting').content_string == expected\n    assert host.check_output('hostname') == name\n";
    let project = TestProject::new()
        .with("molecule/default/molecule.yml", &scenario)
        .with("molecule/default/converge.yml", converge)
        .with("molecule/default/tests/test_greeting.py", checks);
    Scene(project)
}

#[test]
fn docker_ansible_platforms_share_one_run_and_everything_is_removed() {
    if let Some(missing) = daemon::missing() {
        skip!("{missing}");
    }
    let scene = scene();
    let finished = scene.0.run(&["molecule", "test"]);
    assert_eq!(finished.status, Some(0), "{finished}");
    let runs = finished.stdout.matches("PLAY RECAP").count();
    assert_eq!(runs, 2, "converge and idempotence, each once for both\n{finished}");
    let checks = finished.events.iter().filter(|event| event["event"] == "check").count();
    assert_eq!(checks, 2, "{finished}");
    let label = format!("label=takelage.project={}", id(&scene.0));
    assert_eq!(daemon::lines(&["ps", "--all", "--quiet", "--filter", &label]), [] as [String; 0]);
}

#[test]
fn docker_ansible_instances_stay_between_commands_and_come_back_when_they_are_gone() {
    if let Some(missing) = daemon::missing() {
        skip!("{missing}");
    }
    let mut scene = scene();
    let converged = scene.0.run(&["molecule", "converge"]);
    assert_eq!(converged.status, Some(0), "{converged}");
    let list = scene.0.run(&["molecule", "list", "--format", "plain"]).stdout;
    assert!(list.lines().all(|line| line.ends_with("true    true")), "{list}");
    let shell = scene.0.run(&["molecule", "login", "-h", "Web"]);
    assert_eq!(shell.status, Some(0), "{shell}");

    scene.0.set("FLICKER", "store");
    let again = scene.0.run(&["molecule", "idempotence"]);
    assert_eq!(again.status, Some(1), "{again}");
    let said = "not idempotent: `flicker` (molecule/default/converge.yml:6) on `store` changed again";
    assert!(again.stderr.contains(said), "{again}");

    let name = format!("takelage-{}-default.store", id(&scene.0));
    daemon::docker(&["rm", "--force", &name]);
    let list = scene.0.run(&["molecule", "list", "--format", "plain"]).stdout;
    assert!(list.contains("store   docker  ansible default false"), "{list}");
    let converged = scene.0.run(&["molecule", "converge"]);
    assert_eq!(converged.status, Some(0), "{converged}");
    assert!(converged.stderr.contains("instances of `default` are gone"), "{converged}");
    let reset = scene.0.run(&["molecule", "reset"]);
    assert_eq!(reset.status, Some(0), "{reset}");
    assert!(!daemon::can(&["inspect", &name]));
}

/// Returns the project's identity, which is in the names of its containers.
fn id(project: &TestProject) -> String {
    let generated = fs_err::read_dir(project.directory().join("cache/molecule-v1")).unwrap();
    generated.map(|entry| entry.unwrap().file_name().into_string().unwrap()).next().unwrap()
}
