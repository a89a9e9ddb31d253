//! The private environment and the Python in containers, made with what the network has.

use std::path::PathBuf;

use takelage_python::{
    prepare::{self, Manager, PrepareError, Prepared},
    toolchain::{self, Verdict, Wanted, Why},
};

use takelage_engine::Network;
use takelage_testkit::skip;
use tempfile::TempDir;

use crate::scene::{Guarded, IMAGE, environment};

/// Finds Python, but neither Ansible nor pytest, and makes a new environment: all of it in a directory of the test's.
fn wanted() -> (Wanted, TempDir) {
    let place = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let bin = place.path().join("bin");
    fs_err::create_dir(&bin).unwrap();
    std::os::unix::fs::symlink(on_path("python3").unwrap(), bin.join("python3")).unwrap();
    let private = place.path().to_owned();
    (Wanted { path: vec![bin], private, env: environment(), ..Wanted::default() }, place)
}

/// Returns the first program of that name on `PATH`.
fn on_path(name: &str) -> Option<PathBuf> {
    let env = environment();
    let (_, path) = env.iter().find(|(variable, _)| variable == "PATH")?;
    path.split(':').map(|directory| PathBuf::from(directory).join(name)).find(|program| program.is_file())
}

/// Whether pip failed because no index answers.
fn is_offline(reason: &str) -> bool {
    reason.contains("No matching distribution")
}

#[tokio::test]
async fn network_toolchain_a_private_environment_is_made_once_and_works_offline() {
    let (mut wanted, _place) = wanted();
    let say = |line: &str| println!("{line}");
    let (first, second) = tokio::join!(toolchain::find(&wanted, &say), toolchain::find(&wanted, &say));
    let first = match first {
        Ok(first) => first,
        Err(toolchain::ToolchainError::Install { reason, .. }) if is_offline(&reason) => {
            skip!("pip reaches no index: {reason}")
        }
        Err(error) => panic!("{error}"),
    };
    assert_eq!(first, second.unwrap());
    assert_eq!((first.ansible.why, first.pytest.why), (Why::Private, Why::Private));
    assert!(first.ansible_package.is_some() && !first.testinfra.is_empty());

    for name in ["http_proxy", "https_proxy", "PIP_INDEX_URL", "PIP_PROXY"] {
        wanted.env.retain(|(known, _)| !known.eq_ignore_ascii_case(name));
        wanted.env.push((name.to_owned(), "http://127.0.0.1:9".to_owned()));
    }
    let offline = toolchain::find(&wanted, &|line| panic!("something is made: {line}")).await.unwrap();
    assert_eq!(offline, first);
    let findings = toolchain::look(&wanted).await;
    assert!(findings.iter().all(|finding| finding.verdict == Verdict::Chosen), "{findings:?}");
    for (subject, version) in [("ansible", &first.ansible_core), ("pytest", &first.pytest.version)] {
        let finding = findings.iter().find(|finding| finding.subject == subject).unwrap();
        assert!(finding.reason.starts_with(&format!("{version} in takelage's private")), "{finding:?}");
    }
}

#[tokio::test]
async fn ansible_network_toolchain_pytest_alone_is_a_part_of_the_list() {
    let Some(ansible) = on_path("ansible-playbook") else {
        skip!("there is no `ansible-playbook` on `PATH`")
    };
    let (wanted, _place) = wanted();
    let wanted = Wanted { ansible: Some(ansible.to_str().unwrap().to_owned()), ..wanted };
    let tools = match toolchain::find(&wanted, &|line| println!("{line}")).await {
        Ok(tools) => tools,
        Err(toolchain::ToolchainError::Install { reason, .. }) if is_offline(&reason) => {
            skip!("pip reaches no index: {reason}")
        }
        Err(error) => panic!("{error}"),
    };
    assert_eq!((tools.ansible.why, tools.pytest.why), (Why::Named, Why::Private));
    assert!(!tools.testinfra.is_empty());
    let lib = tools.pytest.program.parent().unwrap().parent().unwrap().join("lib");
    let python = fs_err::read_dir(lib).unwrap().next().unwrap().unwrap().path();
    let there = |name: &str| python.join("site-packages").join(name).exists();
    assert!(there("testinfra") && !there("ansible"), "Ansible is installed though it was there");
}

#[tokio::test]
async fn docker_prepare_finds_a_python_or_installs_none_and_leaves_no_lists() {
    let container = match Guarded::start(IMAGE, Network::None).await {
        Ok(container) => container,
        Err(reason) => skip!("{reason}"),
    };
    let present = prepare::python(&container.0, &mut |_| {}).await.unwrap();
    assert!(matches!(present, Prepared::Present { path } if path.contains("python3")));

    let Some(bare) = bare(Network::None).await else { return };
    let before = bare.sh(LISTS).await;
    let mut lines = 0;
    let error = prepare::python(&bare.0, &mut |_| lines += 1).await.unwrap_err();
    assert!(error.to_string().contains(Manager::AptGet.name()) && lines > 0, "{error}");
    assert_eq!(bare.sh(LISTS).await, before);
}

#[tokio::test]
async fn docker_network_prepare_installs_a_python_and_leaves_no_lists() {
    let Some(bare) = bare(Network::Default).await else { return };
    let before = bare.sh(LISTS).await;
    let mut lines = Vec::new();
    let installed = match prepare::python(&bare.0, &mut |line| lines.push(line.to_owned())).await {
        Ok(installed) => installed,
        Err(PrepareError::Install { output, .. }) if output.contains("Temporary failure resolving") => {
            skip!("Debian's archive cannot be reached: {output}")
        }
        Err(error) => panic!("{error} {lines:#?}"),
    };
    let path = match &installed {
        Prepared::Installed { manager: Manager::AptGet, path } => path,
        other => panic!("{other:?}"),
    };
    assert_eq!(bare.sh(&format!("{path} -c 'import json; print(json.dumps([1]))'")).await, "[1]\n");
    assert!(lines.iter().any(|line| line.contains("Setting up python3")), "{lines:#?}");
    assert_eq!(bare.sh(LISTS).await, before);
    let again = prepare::python(&bare.0, &mut |line| panic!("{line}")).await.unwrap();
    assert_eq!(again, Prepared::Present { path: path.clone() });
}

/// The calls of each package manager but Debian's, which is tested as it is.
const CALLS: [(Manager, &str); 6] = [
    (Manager::Apk, "add --no-cache python3\n"),
    (Manager::Dnf, "-y install python3\n-q clean all\n"),
    (Manager::MicroDnf, "-y install python3\nclean all\n"),
    (Manager::Yum, "-y install python3\n-q clean all\n"),
    (Manager::Zypper, "--non-interactive install python3\n--quiet clean --all\n"),
    (Manager::Pacman, "-Sy --noconfirm python\n"),
];

#[tokio::test]
async fn docker_prepare_asks_the_package_manager_that_there_is() {
    let Some(bare) = bare(Network::None).await else { return };
    bare.sh("rm /usr/bin/apt-get").await;
    let error = prepare::python(&bare.0, &mut |_| {}).await.unwrap_err();
    assert!(matches!(error, PrepareError::NoManager { .. }), "{error}");
    for (manager, calls) in CALLS {
        // It writes down how it was called, and installs something that answers like a Python.
        let program = format!(
            "cat > /usr/bin/{manager} <<'end'\n#!/bin/sh\necho \"$@\" >> /calls\ncase \"$*\" in *clean*) exit;; esac\n\
             mkdir -p /var/lib/pacman/sync; touch /var/lib/pacman/sync/core.db\n\
             ln -s /bin/true /usr/bin/python3\nend\nchmod +x /usr/bin/{manager}"
        );
        bare.sh(&program).await;
        let prepared = prepare::python(&bare.0, &mut |_| {}).await.unwrap();
        assert_eq!(prepared, Prepared::Installed { manager, path: "/usr/bin/python3".to_owned() });
        assert_eq!(bare.sh("cat /calls").await, calls, "{manager}");
        if manager == Manager::Pacman {
            assert_eq!(bare.sh("ls -A /var/lib/pacman/sync").await, "");
        }
        bare.sh(&format!("rm -rf /calls /usr/bin/{manager} /usr/bin/python3 /var/lib/pacman")).await;
    }
}

const LISTS: &str = "ls -A /var/lib/apt/lists /var/cache/apt";

/// A Debian without Python. `None`: the test is skipped.
async fn bare(network: Network) -> Option<Guarded> {
    let container = match Guarded::start("debian:bookworm-slim", network).await {
        Ok(container) => container,
        Err(reason) => skip!("{reason}"),
    };
    if prepare::detect(&container.0).await.unwrap().is_some() {
        skip!("this Debian image has a Python");
    }
    Some(container)
}
