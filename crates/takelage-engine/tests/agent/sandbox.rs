//! What a command may do, and what not.

use takelage_engine::{ExecSpec, agent::AgentClient};
use takelage_model::agent::{AgentConfig, ErrorKind, Sandbox, Seccomp};
use takelage_testkit::skip;

use crate::base::{Init, is_root, run, said, say, shell};

fn with(sandbox: Sandbox) -> AgentConfig {
    AgentConfig { sandbox, ..AgentConfig::default() }
}

async fn status_of(client: &AgentClient, user: Option<&str>) -> String {
    let script = "grep -E '^(Cap|NoNewPrivs|Seccomp:)' /proc/self/status | tr -s '\\t' ' '";
    said(client, ExecSpec { user: user.map(str::to_owned), ..shell(script) }).await
}

#[tokio::test]
async fn root_capabilities_are_dockers() {
    if !is_root() {
        skip!("making namespaces needs root");
    }
    let agent = Init::start(&with(Sandbox::docker()));
    let client = agent.client().await;
    let none = "0000000000000000";
    let docker = "00000000a80425fb";
    assert_eq!(
        status_of(&client, None).await,
        format!(
            "CapInh: {none}\nCapPrm: {docker}\nCapEff: {docker}\nCapBnd: {docker}\nCapAmb: {none}\nNoNewPrivs: 0\nSeccomp: 2"
        )
    );
    assert_eq!(
        status_of(&client, Some("daemon")).await,
        format!(
            "CapInh: {none}\nCapPrm: {none}\nCapEff: {none}\nCapBnd: {docker}\nCapAmb: {none}\nNoNewPrivs: 0\nSeccomp: 2"
        )
    );
}

#[tokio::test]
async fn root_a_sandbox_can_be_wider_and_narrower() {
    if !is_root() {
        skip!("making namespaces needs root");
    }
    let capabilities = vec!["CAP_KILL".to_owned(), "sys_admin".to_owned()];
    let sandbox = Sandbox { capabilities, seccomp: Seccomp::None, no_new_privileges: true };
    let agent = Init::start(&with(sandbox));
    let client = agent.client().await;
    let status = status_of(&client, None).await;
    assert!(status.contains("CapEff: 0000000000200020\nCapBnd: 0000000000200020"), "{status}");
    assert!(status.ends_with("NoNewPrivs: 1\nSeccomp: 0"), "{status}");
    say(&client, "mount -t tmpfs none /mnt && umount /mnt").await;
    let sudo = ExecSpec { user: Some("daemon".to_owned()), ..shell("sudo -n true") };
    assert_ne!(run(&client, sudo).await.unwrap().status, 0);
}

#[tokio::test]
async fn root_sudo_works_and_what_docker_refuses_is_refused() {
    if !is_root() {
        skip!("making namespaces needs root");
    }
    if !std::path::Path::new("/usr/bin/sudo").exists() {
        skip!("sudo is not installed");
    }
    let agent = Init::start(&with(Sandbox::docker()));
    let client = agent.client().await;
    // Who is root may become anybody, and root again: that takes the set-user-id bit.
    let script = "sudo -n id -u; sudo -n -u daemon id -u; setpriv --reuid 0 sudo -n true && echo fine";
    assert_eq!(say(&client, script).await, "0\n1\nfine");
    let effective = ExecSpec {
        user: Some("daemon".to_owned()),
        ..shell("su -c true 2>&1 </dev/null; passwd -S | cut -d' ' -f1")
    };
    assert!(said(&client, effective).await.ends_with("daemon"));
    for refused in [
        "mount -t tmpfs none /mnt",
        "umount -l /proc",
        "unshare -m true",
        "unshare -U true",
        "unshare -n true",
        "nsenter -t 1 -m true",
        "dmesg",
        "hostname elsewhere",
        "date -s 2001-01-01",
        "python3 -c 'import socket; socket.socket(40, 1)'",
    ] {
        let output = run(&client, shell(refused)).await.unwrap();
        assert_ne!(output.status, 0, "{refused}");
    }
    assert_eq!(
        say(&client, "chroot / true; mknod /tmp/agent-test-$$ p; rm /tmp/agent-test-$$; echo fine").await,
        "fine"
    );
}

#[tokio::test]
async fn root_nobody_takes_the_agent_over() {
    if !is_root() {
        skip!("making namespaces needs root");
    }
    // Root in the container with the right to trace is still not who the agent is.
    let mut sandbox = Sandbox::docker();
    let agent = Init::start(&with(sandbox.clone()));
    let client = agent.client().await;
    for refused in [
        "readlink /proc/1/fd/3",
        "cat /proc/1/environ",
        "readlink /proc/1/exe",
        "cat /proc/1/maps",
        "cat /proc/1/mem",
    ] {
        let output = run(&client, shell(refused)).await.unwrap();
        assert_ne!(output.status, 0, "{refused}: {}", String::from_utf8_lossy(&output.stdout));
    }
    say(&client, "kill -9 1; kill -STOP 1; kill -SEGV 1; true").await;
    assert_eq!(say(&client, "echo still there").await, "still there");
    sandbox.capabilities.push("SYS_PTRACE".to_owned());
    let agent = Init::start(&with(sandbox));
    let client = agent.client().await;
    assert_ne!(run(&client, shell("echo x > /proc/1/mem")).await.unwrap().status, 0);
}

#[tokio::test]
async fn root_without_its_sandbox_nothing_runs() {
    if !is_root() {
        skip!("making namespaces needs root");
    }
    let agent = Init::start_through(&with(Sandbox::docker()), "setpriv --bounding-set=-sys_admin");
    let client = agent.client().await;
    let mark = std::env::temp_dir().join(format!("takelage-agent-{}", std::process::id()));
    let touch = format!("touch {}", mark.display());
    let error = run(&client, shell(&touch)).await.unwrap_err();
    assert_eq!(error.kind(), Some(ErrorKind::Sandbox), "{error}");
    assert!(error.to_string().contains("filter"), "{error}");
    let error = client.put(mark.to_str().unwrap(), None, None, &b"x"[..]).await.unwrap_err();
    assert_eq!(error.kind(), Some(ErrorKind::Sandbox), "{error}");
    assert!(!mark.exists());
    let agent = Init::start_through(&with(Sandbox::docker()), "setpriv --bounding-set=-setpcap");
    let (code, log) = agent.wait().await;
    assert!(code == Some(125) && log.contains("SETPCAP"), "{code:?} {log}");
    let unknown = Sandbox { capabilities: vec!["FLY".to_owned()], ..Sandbox::docker() };
    let (code, log) = Init::start(&with(unknown)).wait().await;
    assert!(code == Some(125) && log.contains("`FLY`"), "{code:?} {log}");
}
