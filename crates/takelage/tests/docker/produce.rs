//! What a produced image is: the base, what the playbook did, what `config:` says, and nothing else.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::{
    daemon::{BASE, docker, inspect, lines},
    harbour::{Harbour, PLAYBOOK},
    need_everything,
};

/// Makes an image like the base, with an entrypoint and other metadata of its own.
fn furnished(harbour: &Harbour) -> String {
    let image = format!("takelage-e2e/{}-base:1", harbour.name);
    let container =
        docker(&["run", "--detach", "--volume", "/cargo", "--stop-signal", "SIGINT", BASE, "true"]);
    // The engine makes the volume's directory when it starts a container.
    docker(&["wait", &container]);
    let changes = [
        "ENTRYPOINT [\"/usr/bin/env\", \"--\"]",
        "CMD [\"sleep\", \"infinity\"]",
        "ENV PORT=8080 LANG=C",
        "LABEL berth=7",
        "EXPOSE 8080/udp",
        "WORKDIR /srv",
    ];
    let changes = changes.iter().flat_map(|change| ["--change", change]);
    let arguments: Vec<&str> = ["commit"].into_iter().chain(changes).chain([&*container, &*image]).collect();
    docker(&arguments);
    docker(&["rm", "--volumes", &container]);
    harbour.remove_later(&image);
    image
}

/// An image's configuration without what is empty, and without its container's leavings.
pub(crate) fn config(image: &str) -> BTreeMap<String, Value> {
    let Value::Object(config) = inspect(image)["Config"].take() else { panic!("no configuration") };
    let says_something = |value: &Value| match value {
        // Switches are about the streams of a container that was committed.
        Value::Null | Value::Bool(_) => false,
        Value::String(text) => !text.is_empty(),
        Value::Array(values) => !values.is_empty(),
        Value::Object(values) => !values.is_empty(),
        Value::Number(_) => true,
    };
    // The daemon itself notes these two of a commit, and they mean nothing of an image.
    config
        .into_iter()
        .filter(|(key, value)| says_something(value) && !["Hostname", "Image"].contains(&key.as_str()))
        .collect()
}

/// Returns what a new container of an image differs in from it, and paths in it that takelage or Ansible left.
pub(crate) fn leavings(harbour: &Harbour, image: &str) -> Vec<String> {
    let container = docker(&["create", image]);
    let mut found = lines(&["diff", &container]);
    let export = harbour.directory().join("export.tar");
    docker(&["export", "--output", export.to_str().unwrap(), &container]);
    docker(&["rm", "--volumes", &container]);
    let mut archive = tar::Archive::new(fs_err::File::open(&export).unwrap());
    let entries = archive.entries().unwrap().map(Result::unwrap);
    let paths = entries.map(|entry| entry.path().unwrap().display().to_string());
    let ours = ["takelage", "ansiballz", "ansible-tmp"];
    found.extend(paths.filter(|path| ours.iter().any(|word| path.contains(word))));
    fs_err::remove_file(export).unwrap();
    found
}

fn layers(image: &str) -> Vec<Value> {
    inspect(image)["RootFS"]["Layers"].as_array().unwrap().clone()
}

#[test]
fn docker_an_image_is_its_base_and_what_the_project_file_says() {
    need_everything!();
    let mut harbour = Harbour::with_file(
        "e2e-metadata",
        "name: e2e-metadata\nimages:\n  \
         app:\n    from: takelage-e2e/e2e-metadata-base:1\n    layers: [system, app]\n    \
         config: {env: {LANG: C.UTF-8, NEW: x}, labels: {dock: '9'}, user: nobody, expose: [80/tcp]}\n    \
         tags: [takelage-e2e/e2e-metadata:1, takelage-e2e/e2e-metadata:latest]\n  \
         bare:\n    from: takelage-e2e/e2e-metadata-base:1\n    config: {entrypoint: [], cmd: [sleep, '1']}\n",
    );
    harbour.write("playbook-system.yml", PLAYBOOK);
    harbour
        .write("playbook-app.yml", &PLAYBOOK.replace("/greeting", "/farewell").replace("/harbour", "/quay"));
    harbour.set("SOURCE_DATE_EPOCH", "1700000000");
    let base = furnished(&harbour);
    harbour.succeed(&["produce"]);
    let app = "takelage-e2e/e2e-metadata:1";
    let plain = format!("takelage.local/{}/bare:latest", harbour.id());

    // The base's configuration, with what `config:` changes and the labels that say where it comes from.
    let created = json!("2023-11-14T22:13:20Z");
    let origin = json!(inspect(&base)["Id"]);
    let mut expected = config(&base);
    expected.get_mut("Env").unwrap().as_array_mut().unwrap().retain(|entry| entry != "LANG=C");
    let env = expected.get_mut("Env").unwrap().as_array_mut().unwrap();
    env.extend([json!("LANG=C.UTF-8"), json!("NEW=x")]);
    env.sort_by_key(ToString::to_string);
    expected.insert("User".into(), json!("nobody"));
    expected.insert("ExposedPorts".into(), json!({"80/tcp": {}, "8080/udp": {}}));
    let labels = json!({
        "berth": "7",
        "dock": "9",
        "org.opencontainers.image.created": created,
        "org.opencontainers.image.base.name": base,
        "org.opencontainers.image.base.digest": origin,
    });
    expected.insert("Labels".into(), labels);
    let mut found = config(app);
    found.get_mut("Env").unwrap().as_array_mut().unwrap().sort_by_key(ToString::to_string);
    assert_eq!(found, expected);
    assert_eq!(inspect(app)["Created"], created);

    // An entrypoint that is taken away is gone, and does not leave the base's command behind.
    let found = config(&plain);
    assert_eq!((found.get("Entrypoint"), &found["Cmd"]), (None, &json!(["sleep", "1"])));
    assert_eq!(layers(&plain), layers(&base), "metadata adds no layer");

    // One layer for each playbook, in their order, on those of the base.
    let (of_app, of_base) = (layers(app), layers(&base));
    assert_eq!((of_app.len(), &of_app[..of_base.len()]), (of_base.len() + 2, &of_base[..]));
    let history = lines(&["history", "--no-trunc", "--format", "{{.CreatedBy}}", app]);
    assert_eq!(
        history[..2],
        ["takelage: ansible-playbook playbook-app.yml", "takelage: ansible-playbook playbook-system.yml"]
    );
    assert_eq!(inspect("takelage-e2e/e2e-metadata:latest")["Id"], inspect(app)["Id"], "all tags");

    // Nothing of takelage, Ansible's modules or the run, but what the playbooks made.
    assert_eq!(leavings(&harbour, app), Vec::<String>::new());
    docker(&["run", "--rm", "--entrypoint=/usr/bin/test", app, "-f", "/greeting", "-a", "-d", "/quay"]);

    harbour.assert_nothing_remains_but(&[]);
}

#[test]
fn docker_an_image_is_made_again_only_if_something_changed() {
    need_everything!();
    let harbour = Harbour::new("e2e-cached");
    harbour.succeed(&["test"]);
    let id = inspect("takelage-e2e/e2e-cached:1")["Id"].take();
    let run = harbour.succeed(&["test"]);
    let commit =
        run.events.iter().find(|event| event["event"] == "step_finished" && event["step"]["op"] == "commit");
    assert_eq!(commit.unwrap()["outcome"]["outcome"], "cached", "{run}");
    assert_eq!(inspect("takelage-e2e/e2e-cached:1")["Id"], id);

    let list: Value = serde_json::from_str(&harbour.succeed(&["list", "--json"]).stdout).unwrap();
    assert_eq!(
        list,
        json!({"images": [{
            "name": "app", "from": BASE, "state": "produced", "digest": id,
            "tags": ["takelage-e2e/e2e-cached:1"], "container": null,
        }]})
    );

    harbour.tasks("- name: sail\n  ansible.builtin.copy: {content: \"ahoy\\n\", dest: /greeting}");
    let run = harbour.succeed(&["test"]);
    assert!(run.events.iter().any(|event| event["event"] == "task"), "{run}");
    assert_ne!(inspect("takelage-e2e/e2e-cached:1")["Id"], id);
    harbour.assert_nothing_remains_but(&[]);
}

#[test]
fn docker_a_base_that_is_nowhere() {
    need_everything!();
    let file =
        "name: e2e-nowhere\nimages: {app: {from: 'localhost:1/takelage-e2e/nowhere:1', playbook: app.yml}}\n";
    let harbour = Harbour::with_file("e2e-nowhere", file);
    let run = harbour.run(&["produce"]);
    // The rest of the sentence are the daemon's own words.
    let sentence = "app: resolve: the registry of `localhost:1/takelage-e2e/nowhere:1` cannot be reached: ";
    assert!(run.status == Some(3) && run.stderr.contains(sentence), "{run}");
    harbour.assert_nothing_remains_but(&[]);
}
