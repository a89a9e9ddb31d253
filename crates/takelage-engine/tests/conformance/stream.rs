//! What only the Docker engine has: one stream for all commands of a container, or none.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::{Duration, Instant},
};

use bytes::Bytes;
use takelage_engine::{
    Chunk, Container as _, ContainerSpec, Engine as _, EngineError, ExecSpec, Ulimit,
    docker::{Docker, DockerContainer},
};
use takelage_testkit::skip;
use tokio::{process::Command, sync::mpsc};

use crate::{
    base::{Bench, LABEL, say, sh, shell},
    docker,
};

/// Lists the agents in a container.
const AGENTS: &str = r#"for process in /proc/[0-9]*; do
    [ "$(cat "$process/comm" 2>/dev/null)" = takelage-agent ] && echo "${process#/proc/}"
done; true"#;

/// All that a command can see of how it was started.
///
/// By its children: what Docker starts as root in another user's container may not look at itself.
const SURROUNDINGS: &str = r#"env; id; pwd; umask; cat /proc/self/limits /proc/self/cgroup /proc/self/oom_score_adj
grep -E '^(Umask|Uid|Gid|Groups|SigPnd|ShdPnd|SigBlk|SigIgn|SigCgt|Cap|NoNewPrivs|Seccomp)' /proc/self/status
ls -l /proc/self/ns | cut -c57-; ls /proc/self/fd; stat -L -c '%F %a %U %t %T' /proc/self/fd/0 /proc/self/fd/1 /proc/self/fd/2
cut -d' ' -f5-8 "/proc/$$/stat" | while read -r group session tty foreground; do
    [ "$group" = $$ ] && [ "$session" = $$ ] && echo "leads $tty $foreground"
done"#;

/// A container twice: with a stream, and without.
async fn both(
    streamed: &Bench<Docker>,
    plain: &Bench<Docker>,
    spec: &ContainerSpec,
    test: impl AsyncFnOnce(DockerContainer, DockerContainer),
) {
    streamed
        .with(spec, async |container| {
            let label = spec.labels[LABEL].clone();
            let records = plain.engine.containers(&[(LABEL.to_owned(), label)].into()).await.unwrap();
            let without = plain.engine.container(&records[0]);
            test(container, without).await;
        })
        .await;
}

macro_rules! benches {
    () => {{
        let (Some((streamed, one)), Some((plain, other))) =
            (docker::bench().await, docker::plain_bench().await)
        else {
            return;
        };
        (streamed, plain, (one, other))
    }};
}

async fn agents(plain: &DockerContainer) -> Vec<String> {
    say(plain, AGENTS).await.lines().map(str::to_owned).collect()
}

/// Waits until there are so many agents.
async fn until_agents(plain: &DockerContainer, number: usize) -> Vec<String> {
    let start = Instant::now();
    loop {
        let agents = agents(plain).await;
        if agents.len() == number {
            return agents;
        }
        assert!(start.elapsed() < Duration::from_secs(30), "{agents:?} instead of {number}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// Returns what a command says, line by line.
async fn seen(container: &DockerContainer, spec: ExecSpec) -> BTreeSet<String> {
    let output = container.run(spec).await.unwrap();
    assert!(output.stderr.is_empty(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap().lines().map(str::to_owned).collect()
}

fn specs(bench: &Bench<Docker>) -> Vec<ContainerSpec> {
    let mut specs: Vec<_> = (0..5).map(|_| bench.spec()).collect();
    specs[1].user = Some("app".to_owned());
    specs[1].env.insert("HOME".to_owned(), "/elsewhere".to_owned());
    specs[2].security = vec!["no-new-privileges".to_owned(), "seccomp=unconfined".to_owned()];
    specs[2].env.insert("PATH".to_owned(), "/nowhere".to_owned());
    specs[3].capabilities = ["SYS_ADMIN", "-NET_RAW"].map(str::to_owned).to_vec();
    // Of two limits some versions of runc give the higher one as both, now and then.
    specs[3].ulimits = vec![Ulimit { name: "nofile".to_owned(), soft: Some(200), hard: Some(200) }];
    // The agent could not start anything for another user.
    specs[4].capabilities = vec!["-SETUID".to_owned()];
    specs
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn docker_a_command_cannot_tell_how_it_was_started() {
    let (streamed, plain, _scratch) = benches!();
    for (number, spec) in specs(&streamed).iter().enumerate() {
        both(&streamed, &plain, spec, async |with, without| {
            let users = [None, Some("root"), Some("app"), Some("app:extra"), Some("1001"), Some("4242:4343")];
            for (user, workdir) in
                users.into_iter().zip([None, Some("/proc"), None, Some("/tmp"), None, None])
            {
                let spec = ExecSpec {
                    user: user.map(str::to_owned),
                    workdir: workdir.map(str::to_owned),
                    env: [("ZED", "2"), ("MORE", "a=b c")]
                        .map(|(name, value)| (name.to_owned(), value.to_owned()))
                        .into(),
                    ..shell(&format!("PATH=/bin; {SURROUNDINGS}"))
                };
                let (theirs, ours) = (seen(&without, spec.clone()).await, seen(&with, spec).await);
                let differ: Vec<_> = theirs.symmetric_difference(&ours).collect();
                assert!(differ.is_empty() && theirs.len() > 50, "{number}, {user:?}: {differ:?}, {theirs:?}");
            }
            assert_eq!(agents(&without).await.len(), usize::from(number != 4), "{number}");
        })
        .await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn docker_every_end_is_the_same() {
    let (streamed, plain, _scratch) = benches!();
    both(&streamed, &plain, &streamed.spec(), async |with, without| {
        for script in [
            "exit 7",
            "kill -9 $$",
            "kill -15 $$",
            "exit 255",
            "sleep 0.1 & exit 0",
            "exec /nowhere",
            "exec /srv",
            "cat",
        ] {
            let (theirs, ours) = (sh(&without, script).await, sh(&with, script).await);
            assert_eq!(theirs, ours, "{script}");
        }
        let command = |argv: &[&str]| ExecSpec {
            argv: argv.iter().map(|&word| word.to_owned()).collect(),
            ..ExecSpec::default()
        };
        for argv in
            [&["nothing"][..], &["/nowhere/x"], &["/srv"], &["/etc/passwd"], &["./true"], &["true", "more"]]
        {
            let (theirs, ours) =
                (without.run(command(argv)).await.unwrap(), with.run(command(argv)).await.unwrap());
            assert_eq!(
                (theirs.status, theirs.stderr.is_empty()),
                (ours.status, ours.stderr.is_empty()),
                "{argv:?}"
            );
        }
        for user in ["nobody-here", "app:nothing", "-1"] {
            for container in [&without, &with] {
                let spec = ExecSpec { user: Some(user.to_owned()), ..shell("true") };
                let output = container.run(spec).await.unwrap();
                assert_eq!((output.status, output.stdout.as_slice()), (126, &b""[..]), "{user}: {output:?}");
                assert!(!output.stderr.is_empty(), "{user}");
            }
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn docker_nothing_of_the_agent_is_in_the_container() {
    let (streamed, plain, _scratch) = benches!();
    both(&streamed, &plain, &streamed.spec(), async |with, without| {
        assert_eq!(say(&with, "echo here").await, "here");
        assert_eq!(agents(&without).await.len(), 1);
        assert_eq!(
            say(&without, "find / -xdev -name '*takelage*'; find /dev /tmp /run -name '*takelage*'").await,
            ""
        );
        let diff = Command::new("docker").args(["diff", &with.id().0]).output().await;
        match diff {
            Ok(diff) => {
                assert_eq!((diff.status.code(), diff.stdout.as_slice()), (Some(0), &b""[..]), "{diff:?}");
            }
            Err(error) => skip!("there is no docker client: {error}"),
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn docker_all_handles_share_one_stream_and_it_ends_with_them() {
    let (streamed, plain, _scratch) = benches!();
    both(&streamed, &plain, &streamed.spec(), async |with, without| {
        // A second engine, as another run has it, with a stream of its own.
        let Some((other, _scratch)) = docker::bench().await else { return };
        let records = other.engine.containers(&BTreeMap::new()).await.unwrap();
        let record = records.iter().find(|record| record.id == *with.id()).unwrap();
        for _ in 0..3 {
            assert_eq!(say(&other.engine.container(record), "echo here").await, "here");
        }
        until_agents(&without, 1).await;
        say(&with, "true").await;
        until_agents(&without, 2).await;
        let (sender, mut chunks) = mpsc::channel(1);
        let container = other.engine.container(record);
        let started =
            tokio::spawn(async move { container.exec(shell("echo on; exec sleep 4321"), sender).await });
        assert_eq!(chunks.recv().await.unwrap().bytes, "on\n");
        // Nobody waits for it any more: it does not go on.
        started.abort();
        until_dead(&without, "4321").await;
        drop(other);
        until_agents(&without, 1).await;
    })
    .await;
}

/// Waits until no process has this word in its command line.
async fn until_dead(container: &DockerContainer, word: &str) {
    // The brackets keep it from finding itself.
    let script =
        format!("cat /proc/[0-9]*/cmdline | grep -a -c 'sleep.[{}]{}' || true", &word[..1], &word[1..]);
    let start = Instant::now();
    while say(container, &script).await != "0" {
        assert!(start.elapsed() < Duration::from_secs(30), "{word} still runs");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn docker_what_is_under_way_fails_with_the_agent_and_what_comes_next_does_not() {
    let (streamed, plain, _scratch) = benches!();
    both(&streamed, &plain, &streamed.spec(), async |with, without| {
        let (sender, mut chunks) = mpsc::channel(1);
        let container = with.clone();
        let waiting = tokio::spawn(async move {
            container.exec(shell("echo >> /srv/once; echo on; sleep 5432"), sender).await
        });
        chunks.recv().await.unwrap();
        let agents = until_agents(&without, 1).await;
        say(&without, &format!("kill -9 {}", agents[0])).await;
        let error =
            tokio::time::timeout(Duration::from_secs(30), waiting).await.unwrap().unwrap().unwrap_err();
        let EngineError::Broken { source, .. } = &error else { panic!("{error:?}") };
        assert!(source.to_string().contains("agent in the container is gone"), "{source}");
        assert_eq!(say(&with, "cat /srv/once").await, "");
        assert_eq!(say(&with, "wc -l < /srv/once").await, "1");
        until_agents(&without, 1).await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn docker_hundreds_at_once_and_one_that_nobody_reads() {
    let (streamed, plain, _scratch) = benches!();
    both(&streamed, &plain, &streamed.spec(), async |with, without| {
        let (sender, mut unread) = mpsc::channel::<Chunk>(1);
        let container = with.clone();
        let much = "dd if=/dev/zero bs=65536 count=1024 2>/dev/null";
        let slow = tokio::spawn(async move { container.exec(shell(much), sender).await });
        let tasks: Vec<_> = (0..300)
            .map(|number| {
                let container = with.clone();
                tokio::spawn(async move {
                    let stdin = Some(Bytes::from(format!("{number}\n").repeat(1000)));
                    let spec =
                        ExecSpec { stdin, ..shell(&format!("cat; echo {number} >&2; exit {}", number % 50)) };
                    container.run(spec).await
                })
            })
            .collect();
        for (number, task) in tasks.into_iter().enumerate() {
            let output = task.await.unwrap().unwrap();
            assert_eq!(output.status, i64::try_from(number).unwrap() % 50);
            assert_eq!(output.stdout, format!("{number}\n").repeat(1000).into_bytes());
            assert_eq!(output.stderr, format!("{number}\n").into_bytes());
        }
        until_agents(&without, 1).await;
        let mut length = 0;
        while let Some(chunk) = unread.recv().await {
            length += chunk.bytes.len();
        }
        assert_eq!((slow.await.unwrap().unwrap(), length), (0, 1 << 26));
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn docker_a_command_is_talked_with_over_the_stream_or_not_at_all() {
    let (streamed, plain, _scratch) = benches!();
    both(&streamed, &plain, &streamed.spec(), async |with, without| {
        let (input, mut said) = mpsc::channel(1);
        let (sender, mut heard) = mpsc::channel(1);
        let script = "cat /proc/$PPID/comm; while read -r word; do echo \"<$word>\"; done; exit 7";
        let container = with.clone();
        let talk = tokio::spawn(async move { container.converse(shell(script), &mut said, sender).await });
        assert_eq!(heard.recv().await.unwrap().bytes, "takelage-agent\n");
        for word in ["one", "two"] {
            input.send(Bytes::from(format!("{word}\n"))).await.unwrap();
            assert_eq!(heard.recv().await.unwrap().bytes, format!("<{word}>\n"));
        }
        drop(input);
        assert_eq!(talk.await.unwrap().unwrap(), 7);

        // Whoever talked is gone: so is the command, though its input has not ended for it.
        let (_input, mut said) = mpsc::channel(1);
        let (sender, mut heard) = mpsc::channel(1);
        let container = with.clone();
        let script = shell("echo on; exec sleep 6543");
        let talk = tokio::spawn(async move { container.converse(script, &mut said, sender).await });
        heard.recv().await.unwrap();
        talk.abort();
        until_dead(&without, "6543").await;

        let (input, mut said) = mpsc::channel(1);
        let (sender, _heard) = mpsc::channel(1);
        let error = without.converse(shell("true"), &mut said, sender).await.unwrap_err();
        assert!(matches!(error, EngineError::Unsupported { .. }), "{error:?}");
        assert!(input.send(Bytes::from("kept")).await.is_ok() && said.recv().await.unwrap() == "kept");
        until_agents(&without, 1).await;
    })
    .await;
}
