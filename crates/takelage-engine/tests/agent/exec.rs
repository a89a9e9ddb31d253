//! Commands, as every engine must run them.

use std::time::{Duration, Instant};

use bytes::Bytes;
use takelage_engine::{Chunk, ExecSpec, Stream};
use takelage_model::agent::ErrorKind;
use tokio::sync::mpsc;

use crate::base::{guest, run, say, shell};

#[tokio::test]
async fn output_comes_in_order_and_apart() {
    let (client, _agent) = guest().await;
    let script = "for i in 1 2 3 4 5; do echo out$i; sleep 0.2; echo err$i >&2; sleep 0.2; done";
    let (sender, mut chunks) = mpsc::channel::<Chunk>(1);
    let start = Instant::now();
    let collect = async {
        let (mut seen, mut first) = (Vec::new(), None);
        while let Some(chunk) = chunks.recv().await {
            first.get_or_insert_with(|| start.elapsed());
            seen.push((chunk.stream, String::from_utf8(chunk.bytes.to_vec()).unwrap()));
        }
        (seen, first.unwrap())
    };
    let (status, (seen, first)) = tokio::join!(client.exec(shell(script), sender), collect);
    let expected: Vec<_> = (1..=5)
        .flat_map(|i| [(Stream::Stdout, format!("out{i}\n")), (Stream::Stderr, format!("err{i}\n"))])
        .collect();
    assert_eq!((status.unwrap(), seen), (0, expected));
    assert!(first + Duration::from_millis(500) < start.elapsed(), "it came all at once at the end");
}

#[tokio::test]
async fn every_end_has_its_status() {
    let (client, _agent) = guest().await;
    for (script, status) in
        [("true", 0), ("exit 3", 3), ("exit 255", 255), ("kill -9 $$", 137), ("kill -TERM $$", 143)]
    {
        assert_eq!(run(&client, shell(script)).await.unwrap().status, status, "{script}");
    }
}

#[tokio::test]
async fn a_program_that_cannot_start_says_why() {
    let (client, _agent) = guest().await;
    for (program, status) in
        [("nosuch", 127), ("/no/such", 127), ("/etc/passwd", 126), ("/etc", 126), ("/etc/passwd/x", 127)]
    {
        let spec = ExecSpec { argv: vec![program.to_owned()], ..shell("") };
        let output = run(&client, spec).await.unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status, status, "{program}: {said}");
        assert!(said.contains(program), "{said}");
        assert!(output.stdout.is_empty(), "{output:?}");
    }
    let nowhere = ExecSpec { workdir: Some("/no/such".to_owned()), ..shell("true") };
    let output = run(&client, nowhere).await.unwrap();
    assert_eq!(output.status, 127);
    assert!(String::from_utf8_lossy(&output.stderr).contains("/no/such"));
    for argv in [vec![], vec![String::new()], vec!["a\0b".to_owned()]] {
        let error = run(&client, ExecSpec { argv, ..shell("") }).await.unwrap_err();
        assert_eq!(error.kind(), Some(ErrorKind::Protocol), "{error}");
    }
    let user = Some("nobody-of-that-name".to_owned());
    let error = run(&client, ExecSpec { user, ..shell("true") }).await.unwrap_err();
    assert_eq!(error.kind(), Some(ErrorKind::NoSuchUser), "{error}");
    assert!(error.to_string().contains("nobody-of-that-name"));
    let long = ExecSpec { argv: vec!["x".repeat(5 << 20)], ..shell("") };
    assert!(run(&client, long).await.is_err());
    let longer_than_linux_takes =
        ExecSpec { argv: vec!["/bin/true".to_owned(), "x".repeat(1 << 20)], ..shell("") };
    assert_eq!(run(&client, longer_than_linux_takes).await.unwrap().status, 126);
    assert_eq!(say(&client, "echo still there").await, "still there");
}

#[tokio::test]
async fn standard_input_is_all_there_and_ends() {
    let (client, _agent) = guest().await;
    let content: Bytes = (0..10_000_000_u32).map(|i| (i.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
    let with = |script: &str, stdin: &Bytes| ExecSpec { stdin: Some(stdin.clone()), ..shell(script) };
    let echoed = run(&client, with("cat", &content)).await.unwrap();
    assert!(echoed.stdout == content, "{} of {} bytes", echoed.stdout.len(), content.len());
    assert_eq!(run(&client, with("exit 4", &content)).await.unwrap().status, 4);
    // Closed, but not ended: what nobody reads is dropped.
    let closed = run(&client, with("exec <&-; sleep 0.5; echo on", &content)).await.unwrap();
    assert_eq!(closed.stdout, b"on\n");
    assert_eq!(run(&client, with("wc -c", &Bytes::new())).await.unwrap().stdout, b"0\n");
    assert_eq!(say(&client, "wc -c; readlink /proc/self/fd/0").await, "0\n/dev/null");
    let late = run(&client, with("cat; sleep 0.3; echo late", &Bytes::from("early "))).await.unwrap();
    assert_eq!(late.stdout, b"early late\n");
}

#[tokio::test]
async fn surroundings_are_what_was_asked_and_nothing_else() {
    let (client, _agent) = guest().await;
    let spec = ExecSpec {
        argv: vec!["env".to_owned()],
        env: [("NEW".to_owned(), "a\nb".to_owned()), ("PATH".to_owned(), "/usr/bin".to_owned())].into(),
        ..ExecSpec::default()
    };
    let output = run(&client, spec).await.unwrap();
    let output = String::from_utf8(output.stdout).unwrap();
    assert!(output.ends_with("NEW=a\nb\nPATH=/usr/bin\n") && output.starts_with("HOME=/"), "{output}");
    assert_eq!(output.lines().count(), 4, "{output}");
    let spec = ExecSpec { workdir: Some("/etc".to_owned()), ..shell("pwd; umask; echo $HOME") };
    let spec = ExecSpec { env: [("HOME".to_owned(), "/elsewhere".to_owned())].into(), ..spec };
    assert_eq!(run(&client, spec).await.unwrap().stdout, b"/etc\n0022\n/elsewhere\n");
    // No descriptor, no signal and no session of the agent's.
    let script = "pwd; ls /proc/self/fd | wc -l; grep -E 'Sig(Blk|Ign)' /proc/self/status; \
        cut -d' ' -f1,5,6 /proc/$$/stat; echo $$";
    let said = say(&client, script).await;
    let lines: Vec<_> = said.lines().collect();
    // Three streams, and the directory that is being listed.
    assert_eq!(lines[..2], ["/", "4"], "{said}");
    assert_eq!(lines[2..4], ["SigBlk:\t0000000000000000", "SigIgn:\t0000000000000000"], "{said}");
    let own = lines[5];
    assert_eq!(lines[4], format!("{own} {own} {own}"), "{said}");
    assert_eq!(say(&client, "ulimit -n; exec >/dev/null").await, own_limit());
}

/// What a process that this one starts may open at once.
fn own_limit() -> String {
    let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile).current;
    limit.map_or_else(|| "unlimited".to_owned(), |limit| limit.to_string())
}

#[tokio::test]
async fn much_output_arrives_whole() {
    let (client, _agent) = guest().await;
    let script = "dd if=/dev/zero bs=1M count=48 2>/dev/null & dd if=/dev/zero bs=1M count=16 2>/dev/null | cat >&2; wait";
    let output = run(&client, shell(script)).await.unwrap();
    assert_eq!((output.stdout.len(), output.stderr.len()), (48 << 20, 16 << 20));
}

#[tokio::test]
async fn a_closed_channel_discards_the_rest() {
    let (client, _agent) = guest().await;
    let (sender, chunks) = mpsc::channel(1);
    drop(chunks);
    let script = "seq 1000000; exit 6";
    assert_eq!(client.exec(shell(script), sender).await.unwrap(), 6);
}

#[tokio::test]
async fn a_background_child_does_not_hold_its_command_for_ever() {
    let (client, _agent) = guest().await;
    let start = Instant::now();
    let output = run(&client, shell("(sleep 0.3; echo late; sleep 20) & echo $!; exit 9")).await.unwrap();
    let said = String::from_utf8(output.stdout).unwrap();
    let (pid, late) = said.split_once('\n').unwrap();
    assert_eq!((output.status, late), (9, "late\n"));
    let took = start.elapsed();
    assert!(took > Duration::from_millis(1500) && took < Duration::from_secs(15), "{took:?}");
    // It lives on, as under Docker, and also one that writes without end.
    say(&client, &format!("kill -9 {pid}")).await;
    let start = Instant::now();
    let endless = run(&client, shell("yes & echo $! >&2; exit 8")).await.unwrap();
    assert_eq!(endless.status, 8);
    assert!(start.elapsed() < Duration::from_secs(20), "{:?}", start.elapsed());
}

#[tokio::test]
async fn three_hundred_at_once_do_not_mix() {
    let (client, _agent) = guest().await;
    let start = Instant::now();
    let one = async |i: i64| {
        let script = format!("sleep 1; cat; echo err{i} >&2; exit {}", i % 256);
        let spec = ExecSpec { stdin: Some(Bytes::from(format!("in{i}\n"))), ..shell(&script) };
        (i, run(&client, spec).await.unwrap())
    };
    for (i, output) in futures_util::future::join_all((0..300).map(one)).await {
        assert_eq!(output.status, i % 256);
        assert_eq!(output.stdout, format!("in{i}\n").into_bytes());
        assert_eq!(output.stderr, format!("err{i}\n").into_bytes());
    }
    assert!(start.elapsed() < Duration::from_secs(50), "one after the other: {:?}", start.elapsed());
}
