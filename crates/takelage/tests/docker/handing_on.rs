//! `save` and `push`, on both engines: what others get is what was produced.

use std::{net::TcpListener, process::Command};

use crate::{
    daemon::{BASE, docker},
    harbour::Harbour,
    need_everything,
};

fn project(name: &'static str, registry: &str) -> Harbour {
    let tag = format!("{registry}/takelage-e2e/{name}:1");
    let file = format!(
        "name: {name}\nimages:\n  app:\n    from: {BASE}\n    tags: ['{tag}']\n  \
         bare:\n    from: {BASE}\n    config: {{cmd: [sleep, '1']}}\n"
    );
    let harbour = Harbour::with_file(name, &file);
    harbour.remove_later(&tag);
    harbour
}

/// The names in a tar file, as GNU tar finds them.
fn members(path: &std::path::Path) -> String {
    let output = Command::new("tar").arg("-tf").arg(path).output().unwrap();
    assert!(output.status.success());
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn docker_embedded_an_image_is_saved_as_it_was_produced() {
    need_everything!();
    for (name, engine) in [("e2e-save-docker", "docker"), ("e2e-save-embedded", "embedded")] {
        let harbour = project(name, "registry.example");
        let early = harbour.run(&["--engine", engine, "save", "app"]);
        assert_eq!((early.status, early.stdout.as_str()), (Some(2), ""), "{early}");
        assert!(early.stderr.contains("there is no produced image of `app` yet"), "{early}");
        assert!(early.stderr.contains("hint: produce it with `takelage produce app`"), "{early}");
        harbour.succeed(&["--engine", engine, "produce"]);

        harbour.write("image.tar", "former");
        harbour.succeed(&["--engine", engine, "save", "app", "--output", "image.tar"]);
        let tag = format!("registry.example/takelage-e2e/{name}:1");
        let id = docker(&["image", "inspect", "--format", "{{.Id}}", BASE]);
        let archive = harbour.root().join("image.tar");
        docker(&["load", "--input", archive.to_str().unwrap()]);
        assert_eq!(docker(&["image", "inspect", "--format", "{{.Id}}", &tag]), id);

        // The last image of the chain, without a tag, to whoever reads.
        let running = harbour.start(&["--engine", engine, "save", "--format", "oci-archive"]);
        let written = running.record.with_extension("out");
        let run = running.finish();
        assert_eq!(run.status, Some(0), "{}", run.stderr);
        assert!(members(&written).contains("index.json"), "{}", run.stderr);

        let wrong = harbour.run(&["--engine", engine, "save", "app", "--output", "tests"]);
        assert_eq!(wrong.status, Some(3), "{wrong}");
        assert!(wrong.stderr.contains("it is a directory"), "{wrong}");
        let device = harbour.succeed(&["--engine", engine, "save", "app", "--output", "/dev/null"]);
        assert!(device.stderr.contains("to `/dev/null`"), "{device}");
        harbour.assert_nothing_remains_but(&[]);
    }
}

#[test]
fn docker_embedded_what_cannot_be_pushed_is_told() {
    need_everything!();
    let nobody = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
    for (name, engine) in [("e2e-push-docker", "docker"), ("e2e-push-embedded", "embedded")] {
        let harbour = project(name, &nobody);
        let early = harbour.run(&["--engine", engine, "push"]);
        assert_eq!(early.status, Some(2), "{early}");
        harbour.succeed(&["--engine", engine, "produce"]);
        let run = harbour.run(&["--engine", engine, "push"]);
        assert_eq!(run.status, Some(3), "{run}");
        assert!(run.stderr.contains("cannot be reached"), "{run}");
        assert!(run.stderr.contains("whether its registry runs"), "{run}");
        let bare = harbour.run(&["--engine", engine, "push", "bare"]);
        assert_eq!(bare.status, Some(2), "{bare}");
        assert!(bare.stderr.contains("hint: name its registry and repository below `bare`"), "{bare}");
        harbour.assert_nothing_remains_but(&[]);
    }
}
