//! Project files that are right.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use crate::files::{Tree, parse, parse_in};
use serde_json::json;
use takelage_config::{Bootstrap, EngineChoice, FileKind, Origin, Position, Prepare, Volume};
use takelage_model::ImageName;

#[test]
fn the_example_of_the_design() {
    let project = parse(
        r#"
name: harbour
engine: docker
images:
  slim:
    bootstrap: {suite: bookworm, include: [ca-certificates, python3]}
  takelbase:
    from: slim
    playbook: ansible/takelbase.yml
    tests: tests/takelbase
    config: {cmd: [/lib/systemd/systemd], env: {LANG: C.UTF-8}}
    tags: [takelage/takelbase:latest]
  app:
    from: takelbase
    layers: [system, app]
    roles_path: [ansible/roles]
    extra_vars: {mode: 0644, deep: {list: [1, yes, null]}}
    inventory: {groups: [web], host_vars: {app: {x: 1}}, group_vars: {all: {y: 2}}, links: {hosts: ansible/hosts}}
    container:
      command: sh -c "sleep 1d"
      capabilities: [NET_ADMIN]
      tmpfs: [/run, "/tmp:rw,size=64m"]
      volumes: [".:/project:ro", "cache:/var/cache"]
      env: {PORT: 8080, VERSION: 1.10, DEBUG: yes}
      systemd: on
      memory: 512MiB
    tests: tests/app
    config:
      entrypoint: exec app
      user: 1000
      expose: [80, 53/udp]
      healthcheck: {test: "curl localhost", interval: 30s, retries: 3}
ansible: {package: ansible, version: 12.30, config: {defaults: {forks: 10}}, requirements: requirements.yml}
pytest: {options: [-x], plugins: [pytest-testinfra]}
cache: {max_age: 48h, size: 10GB}
"#,
    );
    assert_eq!((project.name.as_str(), project.engine), ("harbour", EngineChoice::Docker));
    assert_eq!(
        project.images.keys().map(ImageName::as_str).collect::<Vec<_>>(),
        ["slim", "takelbase", "app"]
    );

    let [slim, base, app] = project.images.values().collect::<Vec<_>>().try_into().unwrap();
    let bootstrap = Bootstrap {
        suite: "bookworm".into(),
        include: vec!["ca-certificates".into(), "python3".into()],
        mirror: None,
        components: vec!["main".into()],
        architecture: None,
    };
    assert_eq!((&slim.from, slim.prepare), (&Origin::Bootstrap(bootstrap), Prepare::Python));
    assert_eq!(base.position, Position { line: 7, column: 3 });
    assert_eq!(base.layers[0].playbook, Path::new("/project/ansible/takelbase.yml"));
    assert_eq!((&base.layers[0].name, base.layers[0].position), (&None, Position { line: 9, column: 15 }));
    assert_eq!(base.config.cmd, Some(vec!["/lib/systemd/systemd".into()]));

    assert_eq!(app.from, Origin::Image("takelbase".parse().unwrap()));
    let layers: Vec<_> =
        app.layers.iter().map(|layer| (layer.name.as_deref().unwrap(), layer.playbook.as_path())).collect();
    let expected = [
        ("system", Path::new("/project/ansible/playbook-system.yml")),
        ("app", Path::new("/project/ansible/playbook-app.yml")),
    ];
    assert_eq!(layers, expected);
    assert_eq!(
        serde_json::Value::Object(app.extra_vars.clone()),
        json!({"mode": 420, "deep": {"list": [1, true, null]}})
    );
    assert_eq!(app.inventory.links["hosts"], Path::new("/project/ansible/hosts"));
    assert_eq!(app.inventory.group_vars["all"]["y"], json!(2));
    let container = &app.container;
    assert_eq!(container.command.as_deref().unwrap(), ["sh", "-c", "sleep 1d"]);
    assert_eq!(container.tmpfs["/tmp"], "rw,size=64m");
    let project_volume = Volume { source: "/project".into(), target: "/project".into(), read_only: true };
    let named_volume = Volume { source: "cache".into(), target: "/var/cache".into(), read_only: false };
    assert_eq!(container.volumes, [project_volume, named_volume]);
    // As written, and not as the number or boolean that YAML makes of it.
    let env: Vec<_> = container.env.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect();
    assert_eq!(env, [("PORT", "8080"), ("VERSION", "1.10"), ("DEBUG", "yes")]);
    assert!(container.systemd && !container.privileged);
    assert_eq!(container.memory, Some(512 << 20));
    assert_eq!(app.config.entrypoint.as_deref().unwrap(), ["/bin/sh", "-c", "exec app"]);
    assert_eq!(
        (app.config.user.as_deref(), app.config.expose.as_slice()),
        (Some("1000"), &["80/tcp".to_owned(), "53/udp".into()][..])
    );
    let check = app.config.healthcheck.as_ref().unwrap();
    assert_eq!(check.test, ["CMD-SHELL", "curl localhost"]);
    assert_eq!((check.interval, check.retries), (Some(Duration::from_secs(30)), Some(3)));

    assert_eq!(project.ansible.version.as_deref(), Some("12.30"));
    assert_eq!(project.ansible.config["defaults"]["forks"], "10");
    assert_eq!(project.ansible.requirements, Some(PathBuf::from("/project/requirements.yml")));
    assert_eq!(
        (project.cache.max_age, project.cache.size),
        (Duration::from_secs(2 * 86_400), 10_000_000_000)
    );
}

#[test]
fn a_name_is_made_of_the_directory_and_everything_has_a_default() {
    let tree = Tree::default();
    let project =
        parse_in(&tree, "/home/me/My Project_2/takelage.yml", "images: {a: {from: debian}}").unwrap();
    assert_eq!(project.name, "my-project-2");
    assert_eq!(
        (project.root.as_path(), project.engine),
        (Path::new("/home/me/My Project_2"), EngineChoice::Auto)
    );
    assert_eq!((project.cache.max_age, project.cache.size), (Duration::from_secs(86_400), 20 << 30));
    let image = project.last().unwrap();
    assert_eq!((&image.from, image.layers.len()), (&Origin::Reference("debian".into()), 0));
    assert_eq!(parse_in(&tree, "/takelage.yml", "images: {a: {from: debian}}").unwrap().name, "project");
}

#[test]
fn bases_come_before_what_is_made_of_them() {
    let project =
        parse("images: {c: {from: b}, x: {from: debian}, b: {from: a}, y: {from: c}, a: {from: debian}}");
    let names: Vec<_> = project.images.keys().map(ImageName::as_str).collect();
    assert_eq!(names, ["a", "b", "c", "x", "y"]);
    let chain = |name: &str| {
        let chain = project.chain(&name.parse().unwrap());
        chain.into_iter().map(|image| image.name.to_string()).collect::<Vec<_>>().join(" ")
    };
    assert_eq!(
        (chain("y"), chain("x"), chain("a"), chain("none")),
        ("a b c y".into(), "x".into(), "a".into(), String::new())
    );
    assert_eq!(project.last().unwrap().name.as_str(), "y");
}

#[test]
fn what_an_image_is_based_on() {
    for (from, origin) in [
        ("debian:bookworm-slim", Origin::Reference("debian:bookworm-slim".into())),
        ("localhost:5000/a/b@sha256:00", Origin::Reference("localhost:5000/a/b@sha256:00".into())),
        (
            "oci-archive:base.tar",
            Origin::File { kind: FileKind::OciArchive, path: "/project/base.tar".into() },
        ),
        (
            "'docker-archive: base.tar'",
            Origin::File { kind: FileKind::DockerArchive, path: "/project/base.tar".into() },
        ),
        ("rootfs:/tests", Origin::File { kind: FileKind::Rootfs, path: "/tests".into() }),
    ] {
        assert_eq!(
            parse(&format!("images: {{app: {{from: {from}}}}}")).last().unwrap().from,
            origin,
            "{from}"
        );
    }
}

#[test]
fn anchors_aliases_and_merges() {
    let project = parse(
        "images:\n  a:\n    from: debian\n    container: &common\n      env: {X: 1}\n      privileged: true\n  b:\n    from: a\n    \
         container:\n      <<: *common\n      privileged: false\n  c:\n    from: b\n    container: *common\n",
    );
    let [a, b, c] =
        project.images.values().map(|image| &image.container).collect::<Vec<_>>().try_into().unwrap();
    assert_eq!(a, c);
    assert_eq!((&b.env, b.privileged), (&a.env, false));
}

#[test]
fn variables_reach_into_the_file() {
    let env = |name: &str| (name == "BASE").then(|| "debian:trixie".to_owned());
    let project = crate::files::parse_with(
        "images:\n  a:\n    from: ${BASE:-debian}\n    tags: ['${REPO:-me}/a']\n",
        &env,
    )
    .unwrap();
    let image = project.last().unwrap();
    assert_eq!((&image.from, image.tags[0].as_str()), (&Origin::Reference("debian:trixie".into()), "me/a"));
}
