//! Back pressure: who reads slowly slows down nobody else, and nothing grows without bound.

use std::time::{Duration, Instant};

use bytes::Bytes;
use takelage_engine::{ExecSpec, agent::AgentClient};
use tokio::sync::mpsc;

use crate::base::{guest, run, say, shell, until};

/// Returns how much memory a process holds, in KiB.
fn resident(pid: u32) -> u64 {
    let status = fs_err::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reader_that_does_not_read_blocks_nobody_else() {
    let (client, agent) = guest().await;
    let pid = agent.id().unwrap();
    let mut stalled = Vec::new();
    for _ in 0..20 {
        let (sender, chunks) = mpsc::channel(1);
        let client = client.clone();
        let task = tokio::spawn(async move { client.exec(shell("yes stalled"), sender).await });
        stalled.push((task, chunks));
    }
    tokio::time::sleep(Duration::from_millis(500)).await;
    let start = Instant::now();
    for _ in 0..10 {
        assert_eq!(say(&client, "echo through").await, "through");
    }
    let much = run(&client, shell("dd if=/dev/zero bs=1M count=64 2>/dev/null")).await.unwrap();
    assert_eq!(much.stdout.len(), 64 << 20);
    assert!(start.elapsed() < Duration::from_secs(30), "{:?}", start.elapsed());
    // Twenty windows are ten megabytes, and those are here and not there.
    assert!(resident(pid) < 16 << 10, "{} KiB", resident(pid));
    let own = resident(std::process::id());
    assert!(own < 1 << 20, "{own} KiB");
    // Whoever reads again goes on where it stopped.
    let (task, mut chunks) = stalled.pop().unwrap();
    let mut seen = 0;
    while seen < 5 << 20 {
        let chunk = chunks.recv().await.unwrap();
        assert!(chunk.bytes.iter().all(|byte| b"stalled\n".contains(byte)));
        seen += chunk.bytes.len();
    }
    task.abort();
    for (task, _chunks) in stalled {
        task.abort();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_command_that_does_not_read_blocks_nobody_else() {
    let (client, agent) = guest().await;
    let pid = agent.id().unwrap();
    let much = Bytes::from(vec![b'x'; 64 << 20]);
    let feed = |client: &AgentClient| {
        let (client, stdin) = (client.clone(), Some(much.clone()));
        let spec = ExecSpec { stdin, ..shell("sleep 5; wc -c") };
        tokio::spawn(async move { run(&client, spec).await })
    };
    let tasks: Vec<_> = (0..4).map(|_| feed(&client)).collect();
    tokio::time::sleep(Duration::from_millis(500)).await;
    assert_eq!(say(&client, "echo through").await, "through");
    assert!(!tasks.iter().any(tokio::task::JoinHandle::is_finished), "it waited for them");
    assert!(resident(pid) < 16 << 10, "{} KiB", resident(pid));
    for task in tasks {
        assert_eq!(task.await.unwrap().unwrap().stdout, format!("{}\n", 64 << 20).into_bytes());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn dropping_a_future_kills_the_whole_session() {
    let (client, _agent) = guest().await;
    let mark = format!("{}", 100_000 + std::process::id());
    // Two process groups: a shell with job control makes one for its job.
    let script = format!("set -m; sleep {mark} & sleep {mark}; wait");
    let count = format!("pgrep -c -f '^sleep {mark}$' || true");
    let (sender, _chunks) = mpsc::channel(1);
    let task = {
        let client = client.clone();
        tokio::spawn(async move { client.exec(shell(&script), sender).await })
    };
    until("both run", async || say(&client, &count).await == "2").await;
    task.abort();
    until("both are dead", async || say(&client, &count).await == "0").await;
    assert_eq!(say(&client, "echo on").await, "on");
}
