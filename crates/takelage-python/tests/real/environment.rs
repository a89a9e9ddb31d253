//! The private environment and the Python in containers, made with what the network has.

use std::path::PathBuf;

use takelage_python::{
    prepare::{self, Manager, Prepared},
    toolchain::{self, Verdict, Wanted, Why},
};

use crate::scene::{Cli, environment, private};

/// Finds Python, but neither Ansible nor pytest.
fn wanted() -> Wanted {
    let env = environment();
    let path: String =
        env.iter().find(|(name, _)| name == "PATH").map(|(_, path)| path.clone()).unwrap_or_default();
    let hidden = tempfile::tempdir().unwrap().keep();
    let python = path.split(':').map(|d| PathBuf::from(d).join("python3")).find(|p| p.is_file());
    std::os::unix::fs::symlink(python.unwrap_or_default(), hidden.join("python3")).unwrap();
    Wanted { path: vec![hidden], private: private(), env, ..Wanted::default() }
}

#[tokio::test]
async fn network_toolchain_a_private_environment_is_made_once_and_works_offline() {
    let mut wanted = wanted();
    let say = |line: &str| println!("{line}");
    let (first, second) = tokio::join!(toolchain::find(&wanted, &say), toolchain::find(&wanted, &say));
    let first = match first {
        Ok(first) => first,
        Err(toolchain::ToolchainError::Install { reason, .. })
            if reason.contains("No matching distribution") =>
        {
            println!("skipped, because pip reaches no index: {reason}");
            return;
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
}

#[tokio::test]
async fn docker_prepare_finds_a_python_or_installs_one_and_leaves_no_lists() {
    let container = match Cli::start("takelwerk/takelslim:latest", &[]).await {
        Ok(container) => container,
        Err(reason) => return println!("skipped, because {reason}"),
    };
    let present = prepare::python(&container, &mut |_| {}).await.unwrap();
    assert!(matches!(present, Prepared::Present { path } if path.contains("python3")));

    let bare = match Cli::start("debian:bookworm-slim", &["--network", "none"]).await {
        Ok(container) => container,
        Err(reason) => return println!("skipped, because {reason}"),
    };
    if prepare::detect(&bare).await.unwrap().is_some() {
        return println!("skipped, because this Debian image has a Python");
    }
    let before = bare.sh("ls -A /var/lib/apt/lists /var/cache/apt").await;
    let mut lines = 0;
    let error = prepare::python(&bare, &mut |_| lines += 1).await.unwrap_err();
    assert!(error.to_string().contains(Manager::AptGet.name()) && lines > 0, "{error}");
    assert_eq!(bare.sh("ls -A /var/lib/apt/lists /var/cache/apt").await, before);
}
