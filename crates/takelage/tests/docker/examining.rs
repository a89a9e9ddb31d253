//! `diff` and `inspect`, on both engines: what is in an image, and what `clean:` has left out of it.

use serde_json::Value;

use crate::{daemon::BASE, harbour::Harbour, need_everything};

/// A task whose shell makes everything that is looked for.
const TASKS: &str = r#"
- name: load
  ansible.builtin.shell: |
    useradd --uid 4711 --home-dir /srv/bosun --no-create-home bosun
    printf '\nPackage: hawser\nStatus: install ok installed\nVersion: 1.2-3\n' >> /var/lib/dpkg/status
    mkdir -p /opt/hawser /var/log/quay /etc/systemd/system/multi-user.target.wants
    echo rope > /opt/hawser/rope
    printf '/.\n/opt\n/opt/hawser\n/opt/hawser/rope\n' > /var/lib/dpkg/info/hawser.list
    printf '[Service]\nExecStart=/bin/true\n' > /etc/systemd/system/quay.service
    ln -s /etc/systemd/system/quay.service /etc/systemd/system/multi-user.target.wants/quay.service
    echo cargo > /opt/cargo; chmod 0640 /opt/cargo; ln -s cargo /opt/load; ln /opt/cargo /opt/same
    printf 'a\033[31mb' > "$(printf '/opt/red\033[31m')"
    echo line > /var/log/quay/log; echo x > /tmp/left; echo 0123 > /etc/machine-id
    rm /etc/issue; echo ahoy >> /etc/motd
"#;

fn read(harbour: &Harbour, engine: &str, command: &[&str]) -> Value {
    let run = harbour.succeed(&[&["--engine", engine], command, &["--json"]].concat());
    serde_json::from_str(&run.stdout).unwrap()
}

/// Returns what is said of something by its name or path.
fn of(list: &Value, name: &str) -> Value {
    let is = |one: &&Value| one["name"] == name || one["path"] == name;
    list.as_array().unwrap().iter().find(is).cloned().unwrap_or_default()
}

#[test]
fn docker_embedded_what_an_image_adds_is_shown() {
    need_everything!();
    for (name, engine) in [("e2e-diff-docker", "docker"), ("e2e-diff-embedded", "embedded")] {
        let harbour = Harbour::new(name);
        let early = harbour.run(&["--engine", engine, "diff"]);
        assert_eq!((early.status, early.stdout.as_str()), (Some(2), ""), "{early}");
        assert!(early.stderr.contains("hint: produce it with `takelage produce app`"), "{early}");
        harbour.tasks(TASKS.trim_start());
        harbour.succeed(&["--engine", engine, "produce"]);

        let said = read(&harbour, engine, &["diff"]);
        let layers = said["layers"].as_array().unwrap();
        assert_eq!(layers.len() as u64 - said["base_layers"].as_u64().unwrap(), 1, "{said:#}");
        assert_eq!(layers.last().unwrap()["made_by"], "takelage: ansible-playbook app.yml");
        let difference = &said["difference"];
        let hawser = of(&difference["packages"], "hawser");
        assert_eq!((&hawser["before"], &hawser["after"]), (&Value::Null, &"1.2-3".into()), "{said:#}");
        assert_eq!(difference["packages"].as_array().unwrap().len(), 1, "{said:#}");
        let bosun = of(&difference["users"], "bosun")["after"].to_string();
        assert!(bosun.contains("uid 4711") && bosun.contains("home /srv/bosun"), "{said:#}");
        assert!(of(&difference["groups"], "bosun")["after"].is_string(), "{said:#}");
        assert_eq!(of(&difference["units"], "quay.service")["after"], "enabled", "{said:#}");
        let files = &difference["files"];
        let cargo = of(files, "/opt/cargo");
        let wanted = serde_json::json!({"kind": "file", "mode": "0640", "uid": 0, "gid": 0, "size": 6});
        assert_eq!((&cargo["before"], &cargo["after"]), (&Value::Null, &wanted), "{said:#}");
        assert_eq!(of(files, "/opt/same")["after"], wanted);
        assert_eq!(of(files, "/opt/load")["after"]["target"], "cargo");
        assert_eq!(of(files, "/opt/hawser/rope")["package"], "hawser");
        assert!(of(files, "/etc/issue")["after"].is_null() && of(files, "/etc/issue")["before"].is_object());
        assert!(of(files, "/etc/motd")["after"].is_object() && of(files, "/etc/motd")["before"].is_object());
        // A directory is the same as long as only what is in it is another.
        assert!(of(files, "/etc").is_null() && of(files, "/opt").is_null(), "{said:#}");

        let text = harbour.succeed(&["--engine", engine, "diff"]).stdout;
        assert!(text.contains("app: 1 layer above ") && text.contains("  + hawser  1.2-3\n"), "{text}");
        assert!(text.contains("  - /etc/issue  ") && text.contains("  ~ /etc/motd  0644 0:0 "), "{text}");
        assert!(!text.contains("/opt/hawser/rope") && text.contains("which `--all` lists"), "{text}");
        assert!(text.contains("/opt/red\u{fffd}[31m") && !text.contains('\u{1b}'), "{text}");
        let all = harbour.succeed(&["--engine", engine, "diff", "--all"]).stdout;
        assert!(all.contains("  + /opt/hawser/rope  0644 0:0 5 B\n"), "{all}");

        let said = read(&harbour, engine, &["inspect"]);
        assert_eq!(said["tags"].as_array().unwrap().len(), 2, "{said:#}");
        assert_eq!(said["config"]["os"], "linux", "{said:#}");
        for (path, what) in
            [("/var/log/quay/log", "logs"), ("/tmp/left", "temporary"), ("/etc/machine-id", "identity")]
        {
            assert_eq!(of(&said["leftovers"], path)["what"], what, "{said:#}");
        }
        assert!(of(&said["leftovers"], "/opt/cargo").is_null());
        let text = harbour.succeed(&["--engine", engine, "inspect"]).stdout;
        assert!(text.contains("\nlogs: 1 file, 5 B\n  /var/log/quay/log  5 B\n"), "{text}");
        harbour.assert_nothing_remains_but(&[]);
    }
}

/// A task that leaves something of every kind.
const LEFT: &str = r"
- name: leave
  ansible.builtin.shell: |
    echo line > /var/log/quay.log; echo x >> /var/log/dpkg.log; echo x > /var/cache/x
    mkdir -p /tmp/left/over /opt/py/__pycache__ /opt/build/deep; echo x > /tmp/left/over/x
    echo x > /opt/py/__pycache__/m.pyc; echo x > /opt/py/m.py; echo x > /opt/build/deep/a.o; ln /opt/build/deep/a.o /opt/a.o
    echo 0123 > /etc/machine-id; chmod 0444 /etc/machine-id; echo x > /opt/build/keep.c
";

#[test]
fn docker_embedded_an_image_is_cleaned_of_what_provisioning_left() {
    need_everything!();
    for (name, engine) in [("e2e-clean-docker", "docker"), ("e2e-clean-embedded", "embedded")] {
        let file = |clean: &str| {
            format!(
                "name: {name}\nimages:\n  app:\n    from: {BASE}\n    playbook: app.yml\n    tests: tests\n    config: \
                 {{cmd: [sleep, infinity]}}\n    {clean}tags: [takelage-e2e/{name}:1]\n"
            )
        };
        let harbour = Harbour::with_file(
            name,
            &file("clean: [caches, logs, identity, bytecode, temporary, backups, '/opt/**/*.o']\n    "),
        );
        harbour.tasks(LEFT.trim_start());
        let produced = harbour.succeed(&["--engine", engine, "produce"]);
        assert!(produced.stderr.contains(" without 8 files ("), "{produced}");
        assert_eq!(harbour.interim_images(), Vec::<String>::new());
        let said = read(&harbour, engine, &["inspect"]);
        assert_eq!(said["leftovers"], serde_json::json!([]), "{said:#}");
        assert_eq!(said["config"]["labels"].get("takelage.project"), None, "{said:#}");
        let difference = &read(&harbour, engine, &["diff"])["difference"];
        let files = &difference["files"];
        for gone in [
            "/tmp/left",
            "/opt/py/__pycache__",
            "/opt/build/deep/a.o",
            "/var/cache/x",
            "/var/log/quay.log",
            "/opt/a.o",
        ] {
            assert!(of(files, gone).is_null(), "{gone}: {files:#}");
        }
        // What the base has shows again.
        assert!(of(files, "/var/log/dpkg.log").is_null(), "{files:#}");
        assert_eq!(of(files, "/etc/machine-id")["after"]["size"], 0, "{files:#}");
        assert_eq!(of(files, "/etc/machine-id")["after"]["mode"], "0444", "{files:#}");
        for stays in ["/opt/py/m.py", "/opt/build/keep.c", "/opt/build/deep"] {
            assert!(of(files, stays)["after"].is_object(), "{stays}: {files:#}");
        }
        // A container of it runs.
        harbour.write(
            "tests/test_app.py",
            "def test_file(host):\n    assert host.file('/opt/py/m.py').exists\n",
        );
        harbour.succeed(&["--engine", engine, "test"]);
        // The same again is remembered, and another `clean:` makes another image of what is remembered.
        let again = harbour.succeed(&["--engine", engine, "produce"]);
        assert!(again.stderr.contains("is the same"), "{again}");
        harbour.write("takelage.yml", &file(""));
        harbour.succeed(&["--engine", engine, "test"]);
        let difference = &read(&harbour, engine, &["diff"])["difference"];
        assert!(of(&difference["files"], "/opt/a.o")["after"].is_object(), "{difference:#}");
        harbour.assert_nothing_remains_but(&[]);
    }
}
