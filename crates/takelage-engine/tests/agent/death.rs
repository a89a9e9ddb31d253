//! When one of both ends is gone.

use std::time::{Duration, Instant};

use takelage_engine::agent::{AgentClient, AgentError};
use tokio::sync::mpsc;

use crate::base::{LONG, guest, raw_guest, run, shell, until};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_dead_agent_fails_everything_under_way() {
    let (client, mut agent) = guest().await;
    let exec = |script: &'static str| {
        let client = client.clone();
        tokio::spawn(async move { run(&client, shell(script)).await })
    };
    let put = {
        let client = client.clone();
        tokio::spawn(async move { client.put("/dev/null", None, None, tokio::io::repeat(0)).await })
    };
    let pid = agent.id().unwrap();
    let waiting: Vec<_> = (0..20).map(|_| exec("exec sleep 1234")).collect();
    until("all run", async || children(pid).len() > 20).await;
    let started = children(pid);
    agent.kill().await.unwrap();
    let start = Instant::now();
    for task in waiting {
        let error = task.await.unwrap().unwrap_err();
        assert!(matches!(error, AgentError::Gone { .. }), "{error:?}");
    }
    assert!(matches!(put.await.unwrap(), Err(AgentError::Gone { .. })));
    tokio::time::timeout(LONG, client.closed()).await.unwrap();
    for _ in 0..2 {
        let error = run(&client, shell("true")).await.unwrap_err();
        assert!(matches!(error, AgentError::Gone { .. }), "{error:?}");
    }
    assert!(start.elapsed() < Duration::from_secs(10), "{:?}", start.elapsed());
    // The kernel ends what the agent cannot end any more.
    let lives = |pid: &u32| {
        fs_err::read_to_string(format!("/proc/{pid}/stat")).is_ok_and(|stat| !stat.contains(") Z "))
    };
    until("its children are dead", async || !started.iter().any(lives)).await;
}

/// Returns the processes that one has started.
fn children(pid: u32) -> Vec<u32> {
    let list = fs_err::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap();
    list.split_whitespace().map(|pid| pid.parse().unwrap()).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_vanished_client_started_is_killed() {
    let (client, mut agent) = guest().await;
    let mark = 200_000 + std::process::id();
    let started = {
        let client = client.clone();
        let (sender, mut chunks) = mpsc::channel(1);
        let script = format!("trap '' HUP TERM; echo ready; sleep {mark} & sleep {mark}");
        let task = tokio::spawn(async move { client.exec(shell(&script), sender).await });
        chunks.recv().await.unwrap();
        task
    };
    let running = || {
        let found = std::process::Command::new("pgrep").args(["-f", &format!("^sleep {mark}$")]).output();
        !found.unwrap().stdout.is_empty()
    };
    until("it runs", async || running()).await;
    drop(client);
    started.abort();
    let status = tokio::time::timeout(LONG, agent.wait()).await.unwrap().unwrap();
    assert!(status.success(), "{status}");
    until("it is dead", async || !running()).await;
}

#[tokio::test]
async fn an_agent_that_is_none_is_no_hang() {
    let mut command = tokio::process::Command::new("/bin/sh");
    command.args(["-c", "echo this is no frame at all; cat >/dev/null"]).kill_on_drop(true);
    command.stdin(std::process::Stdio::piped()).stdout(std::process::Stdio::piped());
    let mut child = command.spawn().unwrap();
    let stream = tokio::io::join(child.stdout.take().unwrap(), child.stdin.take().unwrap());
    let error = tokio::time::timeout(LONG, AgentClient::connect(stream)).await.unwrap().unwrap_err();
    assert!(matches!(error, AgentError::Protocol { .. }), "{error:?}");
    let mut child = raw_guest();
    let stream = tokio::io::join(child.stdout.take().unwrap(), child.stdin.take().unwrap());
    child.kill().await.unwrap();
    let error = tokio::time::timeout(LONG, AgentClient::connect(stream)).await.unwrap().unwrap_err();
    assert!(matches!(error, AgentError::Gone { .. }), "{error:?}");
}
