//! The agent as process 1, and beside it.

use std::time::Duration;

use takelage_engine::{
    ExecSpec,
    agent::{AgentClient, AgentError},
};
use takelage_model::agent::{AgentConfig, Command, ErrorKind, Init as Pid1, Sandbox};
use takelage_testkit::skip;
use tokio::{net::UnixStream, sync::mpsc};

use crate::base::{Init, LONG, PATH, is_root, run, said, say, shell, until};

fn config(main: Option<&str>, init: Pid1) -> AgentConfig {
    let main = main.map(|script| Command {
        argv: ["/bin/sh", "-c", script].map(str::to_owned).to_vec(),
        env: vec![("PATH".to_owned(), PATH.to_owned())],
        ..Command::default()
    });
    AgentConfig { main, init, sandbox: Sandbox::docker() }
}

#[tokio::test]
async fn root_it_ends_as_its_main_command() {
    if !is_root() {
        skip!("making namespaces needs root");
    }
    for (script, status) in [
        ("echo said; echo and complained >&2; exit 7", 7),
        ("exit 0", 0),
        ("kill -9 $$", 137),
        ("kill -TERM $$", 143),
    ] {
        let (code, log) = Init::start(&config(Some(script), Pid1::Agent)).wait().await;
        assert_eq!(code, Some(status), "{script}: {log}");
        assert!(status != 7 || (log.contains("said\n") && log.contains("and complained\n")), "{log}");
    }
    // The input of the main command does not end.
    let agent = Init::start(&config(Some("cat; echo it ended"), Pid1::Agent));
    let client = agent.client().await;
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert_eq!(say(&client, "echo on").await, "on");
}

#[tokio::test]
async fn root_a_main_command_that_cannot_start_says_why() {
    if !is_root() {
        skip!("making namespaces needs root");
    }
    for init in [Pid1::Agent, Pid1::MainAsPid1] {
        let with = |main: Command| AgentConfig { main: Some(main), init, sandbox: Sandbox::docker() };
        let program = |program: &str| Command { argv: vec![program.to_owned()], ..Command::default() };
        for (main, status, reason) in [
            (program("/no/such"), 127, "/no/such"),
            (program("/etc"), 126, "/etc"),
            (Command { user: Some("no-such-user".to_owned()), ..program("/bin/true") }, 125, "no-such-user"),
            (Command { cwd: Some("/no/such".to_owned()), ..program("/bin/true") }, 127, "/no/such"),
        ] {
            let (code, log) = Init::start(&with(main)).wait().await;
            assert_eq!(code, Some(status), "{log}");
            assert!(log.contains(reason), "{log}");
        }
    }
}

#[tokio::test]
async fn root_signals_reach_the_main_command() {
    if !is_root() {
        skip!("making namespaces needs root");
    }
    let script = "trap 'echo got TERM; exit 3' TERM; trap 'echo got USR1' USR1; while :; do sleep 0.05; done";
    let agent = Init::start(&config(Some(script), Pid1::Agent));
    let client = agent.client().await;
    tokio::time::sleep(Duration::from_millis(300)).await;
    client.signal(10).await.unwrap();
    // Two of the same at once would be one.
    tokio::time::sleep(Duration::from_millis(300)).await;
    // What process 1 gets it passes on, but for what it needs itself.
    let script = "kill -CHLD 1; kill -USR1 1; sleep 0.3; kill -TERM 1; sleep 1000";
    run(&client, shell(script)).await.unwrap_err();
    tokio::time::timeout(LONG, client.closed()).await.unwrap();
    let (code, log) = agent.wait().await;
    assert_eq!((code, log.as_str()), (Some(3), "got USR1\ngot USR1\ngot TERM\n"));
    // Without a main command it is for the agent itself.
    let agent = Init::start(&config(None, Pid1::Agent));
    let client = agent.client().await;
    assert!(client.signal(15).await.is_err());
    run(&client, shell("kill -WINCH 1; kill -TERM 1; sleep 1000")).await.unwrap_err();
    assert_eq!(agent.wait().await.0, Some(143));
}

#[tokio::test]
async fn root_orphans_are_reaped() {
    if !is_root() {
        skip!("making namespaces needs root");
    }
    let agent = Init::start(&config(None, Pid1::Agent));
    let client = agent.client().await;
    let script =
        "for i in 1 2 3 4 5 6 7 8 9 10; do (setsid sh -c 'sleep 0.1; exit 3' >/dev/null 2>&1 &); done";
    say(&client, script).await;
    until("nobody is left", async || {
        // Process 1, the shell, and both of these.
        say(&client, "ps -e -o stat= | wc -l").await == "4"
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn root_several_clients_share_it() {
    if !is_root() {
        skip!("making namespaces needs root");
    }
    let agent = Init::start(&config(None, Pid1::Agent));
    let (first, second) = (agent.client().await, agent.client().await);
    let exec = |client: &AgentClient, script: &'static str| {
        let client = client.clone();
        tokio::spawn(async move { run(&client, shell(script)).await })
    };
    let kept = exec(&second, "sleep 1; echo kept");
    let lost = exec(&first, "trap '' TERM HUP; echo $$ > /dev/null; sleep 777 & sleep 777");
    until("both run", async || say(&second, "pgrep -c -x sleep || true").await == "3").await;
    // Numbers of requests belong to their stream.
    assert_eq!(say(&first, "echo one").await, "one");
    lost.abort();
    drop(first);
    until("its own are dead", async || say(&second, "pgrep -c -f '^sleep 777$' || true").await == "0").await;
    assert_eq!(kept.await.unwrap().unwrap().stdout, b"kept\n");
    // Somebody who connects and says nothing holds up nobody.
    let mut clients = Vec::new();
    for _ in 0..50 {
        clients.push(agent.client().await);
    }
    for client in &clients {
        assert_eq!(say(client, "echo here").await, "here");
    }
}

#[tokio::test]
async fn root_it_serves_beside_a_main_command_that_is_process_1() {
    if !is_root() {
        skip!("making namespaces needs root");
    }
    // Others may signal everybody at any time, and do not mean the agent.
    let script = "trap 'exit 4' USR2; trap 'kill -TERM -1; sleep 1000' USR1; \
        /bin/sh -c 'kill -TERM -1; kill -HUP -1; kill -INT -1'; echo up; while :; do sleep 0.05; done";
    let agent = Init::start(&config(Some(script), Pid1::MainAsPid1));
    let client = agent.client().await;
    until("it is up", async || is_up(&client).await).await;
    assert_eq!(say(&client, "cat /proc/1/comm").await, "sh");
    let capabilities = say(&client, "grep -E 'Cap(Eff|Bnd)|Seccomp:' /proc/1/status").await;
    assert_eq!(capabilities, "CapEff:\t00000000a80425fb\nCapBnd:\t00000000a80425fb\nSeccomp:\t2");
    for status in [0, 9] {
        assert_eq!(run(&client, shell(&format!("exit {status}"))).await.unwrap().status, status);
    }
    // Not in the session of process 1, and its children are reaped by itself.
    assert_eq!(
        say(&client, "ps -o sid= -p $(ps -o ppid= -p $$) | tr -d ' ' | grep -vx 1 | wc -l").await,
        "1"
    );
    until("everything is reaped", async || say(&client, "ps -e -o stat= | grep -c Z || true").await == "0")
        .await;
    client.signal(rustix::process::Signal::USR2.as_raw()).await.unwrap();
    tokio::time::timeout(LONG, client.closed()).await.unwrap();
    let error = run(&client, shell("true")).await.unwrap_err();
    assert!(matches!(error, AgentError::Gone { .. }), "{error:?}");
    let (code, log) = agent.wait().await;
    assert_eq!((code, log.as_str()), (Some(4), "up\n"));
    // When process 1 itself asks everybody to end, the agent does: a shutdown waits for that.
    let agent = Init::start(&config(Some(script), Pid1::MainAsPid1));
    let client = agent.client().await;
    until("it is up", async || is_up(&client).await).await;
    client.signal(rustix::process::Signal::USR1.as_raw()).await.unwrap();
    tokio::time::timeout(LONG, client.closed()).await.unwrap();
}

/// Whether process 1 has signalled everybody and waits now. Whoever asks may be signalled as well.
async fn is_up(client: &AgentClient) -> bool {
    run(client, shell("pgrep -P 1 -x sleep")).await.unwrap().success()
}

#[tokio::test]
async fn root_users_are_the_containers_own() {
    if !is_root() {
        skip!("making namespaces needs root");
    }
    let agent = Init::start(&config(None, Pid1::Agent));
    let client = agent.client().await;
    for (user, expected) in [
        (None, "0 0 0 /root"),
        (Some("daemon"), "1 1 1 /usr/sbin"),
        (Some("1"), "1 1 1 /usr/sbin"),
        (Some("daemon:sys"), "1 3 3 /usr/sbin"),
        (Some("4242:4343"), "4242 4343 4343 /"),
    ] {
        let spec =
            ExecSpec { user: user.map(str::to_owned), ..shell("echo $(id -u) $(id -g) $(id -G) $HOME") };
        assert_eq!(said(&client, spec).await, expected, "{user:?}");
    }
    // The streams belong to the user, and so does what the user writes.
    let scratch = tempfile::tempdir().unwrap();
    let path = scratch.path().join("file");
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o777);
    fs_err::set_permissions(scratch.path(), mode).unwrap();
    let spec =
        ExecSpec { user: Some("daemon".to_owned()), ..shell("echo a > /dev/stdout; echo b > /dev/stderr") };
    assert_eq!(said(&client, spec).await, "a");
    client.put(path.to_str().unwrap(), Some("daemon:sys"), Some(0o600), &b"content"[..]).await.unwrap();
    let about = fs_err::metadata(&path).unwrap();
    let owner = (std::os::unix::fs::MetadataExt::uid(&about), std::os::unix::fs::MetadataExt::gid(&about));
    assert_eq!(owner, (1, 3));
    assert!(client.get(path.to_str().unwrap(), Some("nobody"), &mut Vec::new()).await.is_err());
    let mut back = Vec::new();
    client.get(path.to_str().unwrap(), Some("daemon"), &mut back).await.unwrap();
    assert_eq!(back, b"content");
    // A directory that only root can enter is entered as root, as under Docker.
    fs_err::set_permissions(scratch.path(), std::os::unix::fs::PermissionsExt::from_mode(0o700)).unwrap();
    let workdir = Some(scratch.path().to_str().unwrap().to_owned());
    let spec = ExecSpec { user: Some("daemon".to_owned()), workdir, ..shell("echo inside") };
    let output = run(&client, spec).await.unwrap();
    assert_eq!((output.status, output.stdout), (0, b"inside\n".to_vec()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn root_a_killed_container_fails_what_is_under_way() {
    if !is_root() {
        skip!("making namespaces needs root");
    }
    let mut agent = Init::start(&config(None, Pid1::Agent));
    let client = agent.client().await;
    let waiting: Vec<_> = (0..10)
        .map(|_| {
            let client = client.clone();
            let (sender, _) = mpsc::channel(1);
            tokio::spawn(async move { client.exec(shell("sleep 1000"), sender).await })
        })
        .collect();
    until("all run", async || say(&client, "pgrep -c -x sleep || true").await == "10").await;
    agent.child.kill().await.unwrap();
    for task in waiting {
        let error = tokio::time::timeout(LONG, task).await.unwrap().unwrap().unwrap_err();
        assert!(matches!(error, AgentError::Gone { .. }), "{error:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn root_too_many_at_once_are_refused_and_no_more() {
    if !is_root() {
        skip!("making namespaces needs root");
    }
    let agent = Init::start_through(&config(None, Pid1::Agent), "prlimit --nofile=64:64");
    let client = agent.client().await;
    let one = async || run(&client, shell("sleep 3; echo ran")).await;
    let results = futures_util::future::join_all((0..40).map(|_| one())).await;
    let (ran, refused): (Vec<_>, Vec<_>) = results.into_iter().partition(Result::is_ok);
    assert!(ran.len() > 5 && refused.len() > 5, "{} and {}", ran.len(), refused.len());
    assert!(ran.into_iter().all(|output| output.unwrap().stdout == b"ran\n"));
    for error in refused {
        let error = error.unwrap_err();
        assert_eq!(error.kind(), Some(ErrorKind::System), "{error}");
    }
    // Clients that find no room wait for it, and hold up nobody.
    let other = async || {
        let stream = UnixStream::connect(&agent.socket).await.unwrap();
        let client = tokio::time::timeout(LONG, AgentClient::connect(stream)).await.unwrap().unwrap();
        tokio::time::sleep(Duration::from_millis(500)).await;
        drop(client);
    };
    let without_room = async {
        tokio::time::sleep(Duration::from_millis(250)).await;
        run(&client, shell("true")).await
    };
    let others = futures_util::future::join_all((0..100).map(|_| other()));
    let (_, refused) = tokio::join!(others, without_room);
    let error = refused.unwrap_err();
    assert_eq!(error.kind(), Some(ErrorKind::System), "{error}");
    assert_eq!(say(&client, "echo on").await, "on");
}
