//! Scenarios of Molecule: what files mean, and what is said about those that mean nothing.
#![expect(
    clippy::unwrap_used,
    reason = "outside of `#[test]` functions clippy does not see that all of this is tests"
)]

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use serde_json::{Value, json};
use takelage_config::{
    ConfigError,
    molecule::{
        Action, Additions, DriverKind, FirstProcess, OptionValue, Scenario, Section, Surroundings, Wanted,
        base_configs, discover, load,
    },
};

/// A project with files.
struct Tree {
    root: tempfile::TempDir,
    environment: BTreeMap<String, String>,
    base: Vec<PathBuf>,
}

impl Tree {
    fn of(files: &[(&str, &str)]) -> Self {
        let root = tempfile::tempdir().unwrap();
        for (path, text) in files {
            let path = root.path().join(path);
            fs_err::create_dir_all(path.parent().unwrap()).unwrap();
            fs_err::write(path, text).unwrap();
        }
        Self { root, environment: BTreeMap::new(), base: Vec::new() }
    }

    fn set(mut self, name: &str, value: &str) -> Self {
        self.environment.insert(name.to_owned(), value.to_owned());
        self
    }

    fn path(&self, path: &str) -> PathBuf {
        self.root.path().join(path)
    }

    fn load_named(&self, name: &str) -> Result<Scenario, ConfigError> {
        let places = |name: &str, shared: bool| {
            let directory = self.path("ephemeral").join(if shared { "shared" } else { name });
            (directory.clone(), directory.join("state.yml"))
        };
        let surroundings = Surroundings {
            environment: &self.environment,
            project: self.root.path(),
            base_configs: &self.base,
            env_file: &self.path(".env.yml"),
            places: &places,
            shared_state: None,
            driver: None,
        };
        load(&self.path(&format!("molecule/{name}/molecule.yml")), name, &surroundings)
    }

    fn load(&self) -> Scenario {
        self.load_named("default").unwrap_or_else(|error| panic!("{error}"))
    }

    /// Returns the problems without the directory in front.
    fn problems(&self) -> String {
        let error = self.load_named("default").unwrap_err().to_string();
        error.replace(&format!("{}/", self.root.path().display()), "")
    }

    fn notes(&self) -> Vec<String> {
        let here = format!("{}/", self.root.path().display());
        self.load().notes.iter().map(|note| note.to_string().replace(&here, "")).collect()
    }
}

const FILE: &str = "molecule/default/molecule.yml";

fn of(text: &str) -> Tree {
    Tree::of(&[(FILE, text)])
}

fn names(sequence: Option<Vec<takelage_config::molecule::SequenceEntry>>) -> String {
    sequence.unwrap().iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

#[test]
fn an_empty_file_is_a_scenario_with_all_defaults() {
    let scenario = of("").load();
    assert_eq!((scenario.name.as_str(), scenario.driver.name.as_str()), ("default", "default"));
    assert_eq!(scenario.driver.kind, DriverKind::Default);
    assert!(scenario.prerun && !scenario.shared_state && scenario.is_ansible_native());
    assert_eq!(
        names(scenario.sequences.of("test")),
        "dependency, cleanup, destroy, syntax, create, prepare, converge, idempotence, side_effect, verify, cleanup, destroy"
    );
    assert_eq!(names(scenario.sequences.of("side-effect")), "side_effect");
    assert_eq!(scenario.sequences.of("login"), None);
    assert_eq!(scenario.merged["verifier"]["name"], "ansible");
}

#[test]
fn base_configurations_come_first_and_legacy_keys_move_after_merging() {
    let mut tree = Tree::of(&[
        (
            "base.yml",
            "provisioner: {env: {A: base}, config_options: {defaults: {forks: 5}}}\nverifier: {name: testinfra}\n",
        ),
        (FILE, "ansible: {env: {B: native}}\nprovisioner: {config_options: {defaults: {nocows: true}}}\n"),
    ]);
    tree.base = vec![tree.path("base.yml"), tree.path("missing.yml")];
    let scenario = tree.load();
    assert_eq!(scenario.ansible.env.get("A").map(String::as_str), Some("base"));
    assert_eq!(scenario.ansible.env.get("B"), None, "the move replaces");
    assert_eq!(scenario.ansible.cfg["defaults"]["forks"], "5");
    assert_eq!(scenario.merged["provisioner"].get("env"), None);
    assert_eq!(
        tree.notes(),
        [
            "missing.yml:1:1: there is no such base configuration",
            "base.yml:1:20: `provisioner.env` wins over `ansible.env`, which is at molecule/default/molecule.yml:1:11",
        ]
    );
    insta::assert_snapshot!(scenario.ansible_cfg_text(), @r"
    # Molecule managed

    [defaults]
    display_failed_stderr = True
    forks = 5
    retry_files_enabled = False
    host_key_checking = False
    nocows = True
    interpreter_python = auto_silent
    [ssh_connection]
    scp_if_ssh = True
    control_path = %(directory)s/%%h-%%p-%%r
    ");
}

#[test]
fn variables_are_put_in_everywhere_in_one_pass() {
    let text = "driver: {name: '${MOLECULE_DRIVER:-docker}'}\nplatforms:\n  - name: i-${SET}${UNSET}\n    image: ${IMAGE:-debian:12}\n    pre_build_image: true\nverifier: {directory: $MOLECULE_SCENARIO_NAME-$FROM_FILE, name: ${V-testinfra}}\n";
    let tree = Tree::of(&[(FILE, text), (".env.yml", "FROM_FILE: 7\nSET: file\n")]).set("SET", "process");
    let scenario = tree.load();
    assert_eq!(scenario.driver.name, "docker");
    let platform = &scenario.platforms[0];
    assert_eq!((platform.name.as_str(), platform.image.as_deref()), ("i-file", Some("debian:12")));
    assert_eq!(scenario.verifier.directory, tree.path("molecule/default/default-7"));
    assert_eq!(
        of("driver: {name: ${V:-}}\n").problems(),
        "molecule/default/molecule.yml:1:16: invalid placeholder\n  the default is empty; leave it out, what is not set is empty anyway"
    );
}

#[test]
fn what_molecule_refuses_is_refused_with_its_place() {
    let text = "driver: {name: docker, whatever: 1}\nplatform: []\nscenario: {test_sequence: [creat], nme: x}\nverifier: {name: goss, env: {A: [1]}}\nansible: {executor: {backend: x}}\nprovisioner: {options: {a: [1]}, anything: 2}\n";
    insta::assert_snapshot!(of(text).problems(), @r"
    molecule/default/molecule.yml:2:1: unknown key `platform`, did you mean `platforms`?
    molecule/default/molecule.yml:3:36: unknown key `nme`, did you mean `name`?
    molecule/default/molecule.yml:5:31: there is no executor `x`
      use `ansible-playbook` or `ansible-navigator`
    molecule/default/molecule.yml:6:28: `provisioner.options.a` is no value for a flag
      write a string, a number, `true` or `false`
    molecule/default/molecule.yml:4:18: there is no verifier `goss`
      use `ansible` or `testinfra`
    molecule/default/molecule.yml:4:33: `verifier.env.A` must be a string
    molecule/default/molecule.yml:3:28: there is no action `creat`, did you mean `create`?
    ");
}

#[test]
fn what_has_no_effect_is_noted() {
    let text = "lint: |\n  yamllint .\ndependency: {enabld: false}\ndriver: {name: docker}\nplatforms:\n  - {name: i, image: x, box: y, dns_servers: ['10.1'], networks: [{name: a}, {name: b}]}\nscenario: {test_sequence: [lint, verify a.yml  b/, converge x, side_effect c.yml]}\n";
    let tree = of(text);
    insta::assert_snapshot!(tree.notes().join("\n"), @r"
    molecule/default/molecule.yml:6:30: unknown key `box`; it has no effect
    molecule/default/molecule.yml:6:46: `dns_servers` has no effect: takelage's engines cannot do it yet
    molecule/default/molecule.yml:6:66: only the first of several networks is joined
    molecule/default/molecule.yml:3:22: unknown key `enabld`, did you mean `enabled`?; it has no effect
    molecule/default/molecule.yml:7:28: `lint` does nothing: Molecule has no linting any more
    molecule/default/molecule.yml:7:52: `converge` takes no arguments; `x` has no effect
    ");
    assert_eq!(names(tree.load().sequences.of("test")), "verify a.yml b/, converge, side_effect c.yml");
}

#[test]
fn playbooks_are_found_as_molecule_finds_them() {
    let tree = Tree::of(&[
        (
            FILE,
            "driver: {name: docker}\nprovisioner:\n  playbooks:\n    verify: ../shared/check.yml\n    prepare: null\n    docker: {create: mine.yml}\n",
        ),
        ("molecule/shared/check.yml", "[]"),
        ("molecule/default/mine.yml", "[]"),
        ("molecule/default/prepare.yml", "[]"),
        ("molecule/default/playbook.yml", "[]"),
    ]);
    let scenario = tree.load();
    let found = |section| {
        scenario.playbook(section).map(|path| path.strip_prefix(tree.root.path()).unwrap().to_owned())
    };
    let path = |path: &str| Some(PathBuf::from(path));
    assert_eq!(found(Section::Verify), path("molecule/shared/check.yml"));
    assert_eq!(found(Section::Create), path("molecule/default/mine.yml"), "below the driver's name");
    assert_eq!(found(Section::Converge), path("molecule/default/playbook.yml"), "the old name");
    assert_eq!(found(Section::Prepare), None, "taken away");
    assert_eq!(found(Section::SideEffect), None);
    assert!(!scenario.is_native(), "its own playbook makes the instances");
    let missing = of("").load();
    assert!(missing.playbook(Section::Converge).unwrap().ends_with("molecule/default/converge.yml"));
}

#[test]
#[expect(clippy::too_many_lines, reason = "it is one value, written out")]
fn every_docker_key_means_something() {
    let text = r#"
driver: {name: docker}
platforms:
  - name: all
    image: debian:12
    pre_build_image: true
    groups: [web, db]
    children: [east]
    command: sleep "a b"
    hostname: there
    user: 1000
    privileged: yes
    env: {NUMBER: 1.10}
    capabilities: [NET_ADMIN]
    security_opts: [seccomp=unconfined]
    devices: [/dev/fuse]
    sysctls: {net.core.somaxconn: 1024}
    memory: 512MB
    shm_size: 64m
    volumes: ["/a:/b:ro,z", "named:/c"]
    mounts: [{type: tmpfs, target: /t}, {source: v, target: /d, read_only: true}]
    tmpfs: [/run, "/x:size=1m"]
    published_ports: ["8080:80"]
    etc_hosts: "{'one.example': '10.0.0.1'}"
    network_mode: host
    labels: {a: b}
    ulimits: ["nofile:1024:-1"]
  - {name: own, image: x, pre_build_image: true, command: ""}
  - {name: cmd, image: x, pre_build_image: true, override_command: false, tmpfs: [/run], cgroupns_mode: host}
  - {name: init, image: x, pre_build_image: true, command: /lib/systemd/systemd, volumes: ["/sys/fs/cgroup:/sys/fs/cgroup:rw"]}
  - {name: built, image: x}
"#;
    let tree = of(text);
    assert_eq!(tree.notes(), [] as [String; 0]);
    let scenario = tree.load();
    insta::assert_debug_snapshot!(scenario.platforms[0], @r#"
    Platform {
        name: "all",
        groups: Some(
            [
                "web",
                "db",
            ],
        ),
        children: [
            "east",
        ],
        image: Some(
            "debian:12",
        ),
        build: None,
        process: Command(
            [
                "sleep",
                "a b",
            ],
        ),
        container: Container {
            command: Some(
                [
                    "sleep",
                    "a b",
                ],
            ),
            keep_entrypoint: true,
            systemd: false,
            capabilities: [
                "NET_ADMIN",
            ],
            tmpfs: {
                "/t": "",
                "/run": "",
                "/x": "size=1m",
            },
            volumes: [
                Volume {
                    source: "/a",
                    target: "/b",
                    read_only: true,
                },
                Volume {
                    source: "named",
                    target: "/c",
                    read_only: false,
                },
                Volume {
                    source: "v",
                    target: "/d",
                    read_only: true,
                },
            ],
            env: {
                "NUMBER": "1.10",
            },
            network: Some(
                "host",
            ),
            privileged: true,
            user: Some(
                "1000",
            ),
            hostname: Some(
                "there",
            ),
            memory: Some(
                536870912,
            ),
            ports: [
                "8080:80",
            ],
            hosts: [
                "one.example:10.0.0.1",
            ],
            security: [
                "seccomp=unconfined",
            ],
            sysctls: {
                "net.core.somaxconn": "1024",
            },
            devices: [
                "/dev/fuse",
            ],
            shm_size: Some(
                67108864,
            ),
            processes: None,
            ulimits: [
                Ulimit {
                    name: "nofile",
                    soft: Some(
                        1024,
                    ),
                    hard: None,
                },
            ],
            labels: {
                "a": "b",
            },
        },
        networks: [],
    }
    "#);
    let process = |index: usize| &scenario.platforms[index].process;
    assert_eq!(
        (process(1), process(2), process(4)),
        (&FirstProcess::Own, &FirstProcess::Own, &FirstProcess::Wait)
    );
    let systemd: Vec<bool> = scenario.platforms.iter().map(|platform| platform.container.systemd).collect();
    assert_eq!(systemd, [false, false, true, true, false]);
    assert_eq!(scenario.platforms[3].container.volumes, [], "the engine gives systemd its own cgroup tree");
    assert!(scenario.platforms[4].build.is_some() && scenario.platforms[3].build.is_none());
    let project = scenario.project(tree.root.path());
    let images: Vec<_> = project.images.keys().map(takelage_model::ImageName::as_str).collect();
    assert_eq!(images, ["default.all", "default.own", "default.cmd", "default.init", "default.built"]);
}

#[test]
fn the_inventory_has_every_instance_in_all_its_groups() {
    let text = "driver: {name: docker}\nprovisioner: {connection_options: {ansible_user: me}}\nplatforms:\n  - {name: a, image: x, groups: [web], children: [east]}\n  - {name: b, image: x}\n";
    let tree = of(text).set("DOCKER_HOST", "tcp://there");
    let scenario = tree.load();
    let connections = scenario.connections(&tree.environment);
    let mut inventory = scenario.inventory(&connections);
    let own = json!({"ansible_connection": "takelage", "ansible_docker_extra_args": "-H=tcp://there", "ansible_user": "me"});
    let variables = inventory["all"]["vars"].take();
    assert_eq!(inventory["web"]["vars"].take(), variables);
    assert_eq!(inventory["ungrouped"]["vars"].take(), variables);
    assert_eq!(variables["molecule_yml"], "{{ lookup('file', molecule_file) | from_yaml }}");
    assert_eq!(
        inventory,
        json!({
            "all": {"vars": null, "hosts": {"a": own, "b": own}},
            "ungrouped": {"vars": null, "hosts": {"b": own}},
            "web": {"vars": null, "hosts": {"a": own}, "children": {"east": {"hosts": {"a": own}}}},
        })
    );
}

#[test]
fn instances_of_the_default_driver_are_reached_as_their_playbook_says() {
    let tree = Tree::of(&[
        (FILE, "platforms: [{name: a}, {name: b}]\n"),
        (
            "ephemeral/default/instance_config.yml",
            "- {instance: a, address: 10.0.0.1, user: me, port: 22, identity_file: '', password: x, become_method: sudo}\n",
        ),
    ]);
    let scenario = tree.load();
    let connections = scenario.connections(&tree.environment);
    assert_eq!(connections["b"].len(), 0);
    let a = &connections["a"];
    assert_eq!((&a["ansible_host"], &a["ansible_port"]), (&json!("10.0.0.1"), &json!(22)));
    assert_eq!(a.get("ansible_private_key_file"), None);
    assert_eq!(a["ansible_ssh_pass"], "x");
    assert!(
        a["ansible_ssh_common_args"].as_str().unwrap().starts_with("-o UserKnownHostsFile=/dev/null -o ")
    );
    let unmanaged = of(
        "driver: {options: {managed: false, ansible_connection_options: {ansible_connection: local}}}\nplatforms: [{name: a}]\n",
    );
    let connections = unmanaged.load().connections(&BTreeMap::new());
    assert_eq!(Value::Object(connections["a"].clone()), json!({"ansible_connection": "local"}));
}

#[test]
fn command_lines_are_molecules() {
    let text = "provisioner:\n  options: {become: true, tags: x, vv: true, extra_vars: 1}\n  ansible_args: [--limit, a]\nverifier:\n  name: testinfra\n  options: {s: true, v: true, junitxml: out.xml}\n";
    let tree = Tree::of(&[
        (FILE, text),
        ("molecule/default/converge.yml", "[]"),
        ("molecule/default/verify.yml", "[]"),
    ]);
    let scenario = tree.load();
    let here = tree.root.path().display().to_string();
    let line = |action, playbook: &str, additions: &Additions| {
        let playbook = tree.path(&format!("molecule/default/{playbook}"));
        let (program, arguments) = scenario.playbook_command(action, &playbook, additions);
        format!("{program} {}", arguments.join(" ")).replace(&here, "")
    };
    let plain = Additions::default();
    assert_eq!(
        line(Action::Converge, "converge.yml", &plain),
        "ansible-playbook --become --extra-vars 1 --inventory /ephemeral/default/inventory --skip-tags molecule-notest,notest --tags x -vv --limit a /molecule/default/converge.yml"
    );
    assert_eq!(
        line(Action::Verify, "verify.yml", &Additions { ansible: vec!["-D".into()], ..plain.clone() }),
        "ansible-playbook --extra-vars 1 --inventory /ephemeral/default/inventory --skip-tags molecule-notest,notest --tags x -vv --limit a -D /molecule/default/verify.yml"
    );
    assert!(
        line(Action::Idempotence, "converge.yml", &plain)
            .contains("--skip-tags molecule-notest,notest,molecule-idempotence-notest ")
    );
    assert!(line(Action::Syntax, "converge.yml", &plain).contains(" --syntax-check "));
    assert_eq!(
        line(Action::Create, "create.yml", &Additions { strict: true, debug: true, ..plain.clone() }),
        "ansible-playbook --diff --inventory /ephemeral/default/inventory --skip-tags molecule-notest,notest -vvv /molecule/default/create.yml"
    );
    let pytest = scenario.pytest_arguments(&["t.py".to_owned()], false).join(" ").replace(&here, "");
    assert_eq!(
        pytest,
        "--ansible-inventory /ephemeral/default/inventory --connection ansible --junitxml out.xml -p no:cacheprovider -s t.py -v"
    );
    let navigator = of(
        "ansible: {executor: {backend: ansible-navigator, args: {ansible_navigator: [--ee, 'false'], ansible_playbook: [-D]}}}\n",
    );
    let (program, arguments) =
        navigator.load().playbook_command(Action::Converge, Path::new("/p.yml"), &plain);
    let tail: Vec<&str> = arguments.iter().rev().take(4).rev().map(String::as_str).collect();
    assert_eq!(
        (program, &arguments[..4], tail.as_slice()),
        (
            "ansible-navigator",
            ["run", "/p.yml", "--mode", "stdout"].map(str::to_owned).as_slice(),
            ["--ee", "false", "--", "-D"].as_slice()
        )
    );
}

#[test]
fn tests_are_collected_with_links_patterns_and_arguments() {
    let tree = Tree::of(&[
        (FILE, "verifier: {name: testinfra, additional_files_or_dirs: ['../system/test_*.py', '../no*']}\n"),
        ("molecule/default/tests/test_a.py", ""),
        ("molecule/default/tests/deep/test_b.py", ""),
        ("molecule/default/tests/helper.py", ""),
        ("molecule/default/system/test_c.py", ""),
        ("molecule/default/other/test_d.py", ""),
    ]);
    std::os::unix::fs::symlink("../../tests", tree.path("molecule/default/tests/deep/round")).unwrap();
    let scenario = tree.load();
    let found = |arguments: &[&str]| {
        let arguments: Vec<String> = arguments.iter().map(|argument| (*argument).to_owned()).collect();
        let here = tree.path("molecule/default/");
        let tests = scenario.tests(&arguments).into_iter();
        tests.map(|path| path.replace(here.to_str().unwrap(), "")).collect::<Vec<_>>()
    };
    assert_eq!(found(&[]), ["tests/../system/test_c.py", "tests/deep/test_b.py", "tests/test_a.py"]);
    assert_eq!(found(&["other", "tests/helper.py"]), ["other/test_d.py", "tests/helper.py"]);
}

#[test]
fn galaxys_files_are_relative_to_where_they_are_named() {
    let tree = of("dependency: {options: {role-file: reqs.yml, force: true, vvv: true}}\n");
    let scenario = tree.load();
    let [(roles, command), (collections, second)] = scenario.galaxy_commands();
    assert_eq!((roles, collections), (tree.path("reqs.yml"), tree.path("molecule/default/collections.yml")));
    assert_eq!(command, ["install", "--force", "--role-file", "reqs.yml", "-vvv"]);
    assert_eq!(second[..3], ["collection", "install", "--force"]);
    assert_eq!(scenario.dependency.options.get("force"), Some(&OptionValue::Flag(true)));
}

#[test]
fn scenarios_are_found_by_names_patterns_and_exclusions() {
    let tree = Tree::of(&[
        (FILE, ""),
        ("molecule/alpha/molecule.yml", ""),
        ("molecule/.hidden/molecule.yml", ""),
        ("molecule/empty/other.yml", ""),
    ]);
    let find = |names: &[&str], excluded: &[&str]| {
        let own = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
        let wanted = Wanted { names: own(names), excluded: own(excluded), glob: None };
        let found = discover(tree.root.path(), &wanted).map_err(|error| error.to_string())?;
        Ok::<_, String>(found.into_iter().map(|scenario| scenario.name).collect::<Vec<_>>().join(" "))
    };
    assert_eq!(find(&[], &[]), Ok(".hidden alpha default".into()));
    assert_eq!(find(&["default", "alpha", "default"], &[]), Ok("default alpha".into()));
    assert_eq!(find(&["{a,d}*"], &[]), Ok("alpha default".into()));
    assert_eq!(find(&[], &["*a*"]), Ok(".hidden".into()));
    assert_eq!(find(&["alpha"], &["alpha"]), Ok(String::new()));
    assert_eq!(
        find(&["beta"], &[]).unwrap_err(),
        "there is no scenario `beta`: `molecule/beta/molecule.yml` glob failed"
    );
    assert!(find(&["../x"], &[]).unwrap_err().contains("leads out"));
}

#[test]
fn a_collections_scenarios_may_be_nested() {
    let tree = Tree::of(&[
        ("galaxy.yml", "namespace: acme\nname: goods\n"),
        ("extensions/molecule/default/molecule.yml", ""),
        ("extensions/molecule/vlans/merged/molecule.yml", ""),
        ("extensions/molecule/vlans/replaced/molecule.yml", ""),
        ("extensions/molecule/config.yml", ""),
    ]);
    let find = |name: &str| {
        let names = if name.is_empty() { Vec::new() } else { vec![name.to_owned()] };
        let found = discover(tree.root.path(), &Wanted { names, ..Wanted::default() }).unwrap();
        found.into_iter().map(|scenario| scenario.name).collect::<Vec<_>>().join(" ")
    };
    assert_eq!(find(""), "default vlans/merged vlans/replaced");
    assert_eq!(find("vlans/merged"), "vlans/merged");
    assert_eq!(find("v*"), "vlans/merged vlans/replaced");
    assert_eq!(base_configs(tree.root.path(), None), [tree.path("extensions/molecule/config.yml")]);
}
