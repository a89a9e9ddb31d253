//! The chain of the example, from nothing but Debian's packages to a service that answers.

use std::{
    io::{Read as _, Write as _},
    net::{Shutdown, TcpStream},
    os::unix::fs::symlink,
    path::Path,
    process::Command,
    time::{Duration, Instant},
};

use fs_err as fs;
use rustix::process::Signal;
use serde_json::{Value, json};

use crate::{
    daemon::docker,
    harbour::Harbour,
    need_everything,
    produce::{config, leavings},
    proxy::{Disturbance, Proxy},
};

/// Ends the calling test with its reason if Debian's archive cannot be reached.
macro_rules! need_the_archive {
    () => {
        need_everything!();
        if TcpStream::connect("deb.debian.org:80").is_err() {
            takelage_testkit::skip!("Debian's archive cannot be reached");
        }
    };
}

/// Lets the project use the downloads of earlier tests.
fn share_downloads(harbour: &Harbour) {
    let shared = Path::new(env!("CARGO_TARGET_TMPDIR")).join("bootstrap-cache");
    fs::create_dir_all(&shared).unwrap();
    fs::create_dir(harbour.directory().join("cache")).unwrap();
    symlink(shared, harbour.directory().join("cache/bootstrap-v1")).unwrap();
}

/// The example, with names of its own.
fn example() -> Harbour {
    let place = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/takelbase");
    let file = fs::read_to_string(place.join("takelage.yml")).unwrap();
    let file = file
        .replace("name: takelbase-example", "name: e2e-chain")
        .replace("takelage-example/takelbase:latest", "takelage-e2e/e2e-chain:takelbase")
        .replace("takelage-example/app:latest", "takelage-e2e/e2e-chain:app");
    let harbour = Harbour::with_file("e2e-chain", &file);
    for part in ["ansible", "tests"] {
        let copied = Command::new("cp").arg("-r").arg(place.join(part)).arg(harbour.root()).status();
        assert!(copied.unwrap().success());
    }
    share_downloads(&harbour);
    harbour
}

/// Asks the service of a container that publishes its port, until it answers.
fn ask(port: &str) -> String {
    let deadline = Instant::now() + Duration::from_secs(60);
    loop {
        let asked = TcpStream::connect(port).and_then(|mut stream| {
            stream.write_all(b"GET / HTTP/1.0\r\n\r\n")?;
            stream.shutdown(Shutdown::Write)?;
            let mut answer = String::new();
            stream.read_to_string(&mut answer)?;
            Ok(answer)
        });
        match asked {
            Ok(answer) if !answer.is_empty() => return answer,
            _ => assert!(Instant::now() < deadline, "nothing answers at {port}: {asked:?}"),
        }
        std::thread::sleep(Duration::from_millis(200));
    }
}

#[test]
fn docker_network_the_example_is_made_of_packages_and_answers() {
    need_the_archive!();
    let harbour = example();
    let run = harbour.succeed(&["test"]);
    let of = |kind: &str| run.events.iter().filter(|event| event["event"] == kind).collect::<Vec<_>>();
    let produced: Vec<&Value> = of("image_produced").into_iter().map(|event| &event["image"]).collect();
    assert_eq!(produced, ["slim", "takelbase", "app"]);
    assert!(of("check").len() >= 8, "{run}");
    harbour.assert_nothing_remains_but(&[]);

    // Once more: nothing is made, all is checked.
    let again = harbour.succeed(&["test"]);
    assert!(!again.events.iter().any(|event| event["event"] == "task"), "{again}");
    let checks = again.events.iter().filter(|event| event["event"] == "check");
    assert_eq!(checks.count(), of("check").len());

    // Against its base: what `config:` says, and where it comes from.
    let (base, app) = ("takelage-e2e/e2e-chain:takelbase", "takelage-e2e/e2e-chain:app");
    let (before, mut after) = (config(base), config(app));
    let mut labels = after["Labels"].as_object().unwrap().clone();
    labels.retain(|name, _| !name.starts_with("org.opencontainers.image."));
    assert_eq!((labels.len(), &after["ExposedPorts"]), (0, &json!({"8080/tcp": {}})));
    after.remove("ExposedPorts");
    after.insert("Labels".to_owned(), before["Labels"].clone());
    assert_eq!(after, before);
    for image in [base, app] {
        assert_eq!(leavings(&harbour, image), Vec::<String>::new(), "{image}");
    }

    // As the README says.
    let mut arguments = vec!["run", "--detach", "--cap-add=SYS_ADMIN", "--security-opt=apparmor=unconfined"];
    arguments.extend(["--cgroupns=host", "--volume=/sys/fs/cgroup:/sys/fs/cgroup", "--tmpfs=/run"]);
    arguments.extend(["--tmpfs=/tmp", "--publish=127.0.0.1::8080", app]);
    let container = docker(&arguments);
    let answer = std::panic::catch_unwind(|| ask(&docker(&["port", &container, "8080/tcp"])));
    docker(&["rm", "--force", "--volumes", &container]);
    assert!(answer.unwrap().ends_with(r#"{"greeting": "ahoy", "berths": {"north": 7, "south": 4}}"#));
}

#[test]
fn docker_network_a_bootstrap_is_interrupted_and_killed() {
    need_the_archive!();
    let file = "name: e2e-bootstrap\nimages: {slim: {bootstrap: {suite: bookworm}}}\n";
    let mut harbour = Harbour::with_file("e2e-bootstrap", file);
    share_downloads(&harbour);
    // While the archive is read and packages are unpacked.
    let mut run = harbour.start(&["produce"]);
    run.wait_for_step("bootstrap");
    run.interrupt(&harbour, &[]);
    // While `dpkg` configures them, once, and then for good.
    for (number, signal) in [Signal::INT, Signal::KILL].into_iter().enumerate() {
        let directory = harbour.directory().join(format!("proxy-{number}"));
        fs::create_dir(&directory).unwrap();
        let proxy = Proxy::start(&directory, "POST", "/exec/", Disturbance::Silence);
        harbour.set("DOCKER_HOST", &proxy.endpoint);
        let run = harbour.start(&["produce"]);
        proxy.wait();
        if signal == Signal::INT {
            run.interrupt(&harbour, &[]);
            assert_eq!(harbour.interim_images(), Vec::<String>::new());
        } else {
            run.signal(signal);
            run.finish();
            assert_eq!((harbour.containers().len(), harbour.interim_images().len()), (1, 1));
        }
    }
    let run = harbour.succeed(&["produce"]);
    assert_eq!(run.stderr.matches("which an interrupted run had left").count(), 2, "{run}");
    assert_eq!(harbour.interim_images(), Vec::<String>::new());
    harbour.assert_nothing_remains_but(&[]);
}
