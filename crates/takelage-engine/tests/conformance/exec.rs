//! Commands in a container.

use std::time::{Duration, Instant};

use bytes::Bytes;
use futures_util::future::join_all;
use takelage_engine::{Chunk, Container, Engine, EngineError, ExecSpec, Stream};
use tokio::sync::mpsc;

use crate::base::{Bench, say, sh, shell};

pub(crate) async fn output_comes_in_order_and_apart<E: Engine>(bench: Bench<E>) {
    bench
        .with(&bench.spec(), async |container| {
            let script = "for i in 1 2 3 4 5; do echo out$i; sleep 0.1; echo err$i >&2; sleep 0.1; done";
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
            let (status, (seen, first)) = tokio::join!(container.exec(shell(script), sender), collect);
            let expected: Vec<_> = (1..=5)
                .flat_map(|i| [(Stream::Stdout, format!("out{i}\n")), (Stream::Stderr, format!("err{i}\n"))])
                .collect();
            assert_eq!((status.unwrap(), seen), (0, expected));
            assert!(first + Duration::from_millis(500) < start.elapsed(), "it came all at once at the end");
        })
        .await;
}

pub(crate) async fn every_end_has_its_status<E: Engine>(bench: Bench<E>) {
    bench
        .with(&bench.spec(), async |container| {
            for (script, status) in
                [("true", 0), ("exit 3", 3), ("exit 255", 255), ("kill -9 $$", 137), ("kill -TERM $$", 143)]
            {
                assert_eq!(sh(&container, script).await.status, status, "{script}");
            }
        })
        .await;
}

pub(crate) async fn a_program_that_cannot_start_says_why<E: Engine>(bench: Bench<E>) {
    bench
        .with(&bench.spec(), async |container| {
            for (program, status) in [("nosuch", 127), ("/no/such", 127), ("/etc/passwd", 126), ("/etc", 126)]
            {
                let output = container.run(ExecSpec::root([program])).await.unwrap();
                let said = String::from_utf8_lossy(&output.stderr);
                assert_eq!(output.status, status, "{program}: {said}");
                assert!(said.contains(program), "{said}");
                assert!(output.stdout.is_empty(), "{output:?}");
            }
            let argv = Vec::new();
            assert!(container.run(ExecSpec { argv, ..ExecSpec::default() }).await.is_err());
            // A program's own words stay where it wrote them.
            let output = sh(&container, "echo 'OCI runtime exec failed: not really'; exit 0").await;
            assert_eq!((output.stderr.len(), output.stdout.len()), (0, 36));
        })
        .await;
}

pub(crate) async fn standard_input_is_all_there_and_ends<E: Engine>(bench: Bench<E>) {
    bench
        .with(&bench.spec(), async |container| {
            let content: Bytes =
                (0..10_000_000_u32).map(|i| (i.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
            let with = |script: &str, stdin: &Bytes| ExecSpec { stdin: Some(stdin.clone()), ..shell(script) };
            let echoed = container.run(with("cat", &content)).await.unwrap();
            assert!(echoed.stdout == content, "{} of {} bytes", echoed.stdout.len(), content.len());
            let unread = container.run(with("exit 4", &content)).await.unwrap();
            assert_eq!(unread.status, 4);
            let empty = container.run(with("wc -c", &Bytes::new())).await.unwrap();
            assert_eq!(empty.stdout, b"0\n");
            assert_eq!(say(&container, "wc -c").await, "0");
            // The end of the input is not the end of the command.
            let late =
                container.run(with("cat; sleep 0.3; echo late", &Bytes::from("early "))).await.unwrap();
            assert_eq!(late.stdout, b"early late\n");
        })
        .await;
}

pub(crate) async fn users_environment_and_directory_are_set<E: Engine>(bench: Bench<E>) {
    bench
        .with(&bench.spec(), async |container| {
            let with = |user: Option<&str>, script: &str| ExecSpec {
                user: user.map(str::to_owned),
                env: [("ZED".to_owned(), "exec".to_owned()), ("NEW".to_owned(), "a\nb".to_owned())].into(),
                workdir: Some("/etc".to_owned()),
                ..shell(script)
            };
            for (user, expected) in [
                (None, "0:0"),
                (Some("app"), "1000:1000"),
                (Some("1000"), "1000:1000"),
                (Some("app:extra"), "1000:1001"),
                (Some("4242:4343"), "4242:4343"),
            ] {
                let output = container.run(with(user, "echo $(id -u):$(id -g)")).await.unwrap();
                assert_eq!(String::from_utf8(output.stdout).unwrap().trim_end(), expected, "{user:?}");
            }
            let output = container.run(with(None, "echo $ZED,$ALPHA,\"$NEW\"; pwd")).await.unwrap();
            assert_eq!(output.stdout, b"exec,2=3,a\nb\n/etc\n");
            assert_eq!(say(&container, "pwd").await, "/srv");
            let nobody = container.run(with(Some("nobody-of-that-name"), "true")).await;
            assert!(nobody.is_err() || nobody.is_ok_and(|output| !output.success()));
        })
        .await;
}

pub(crate) async fn much_output_arrives_whole<E: Engine>(bench: Bench<E>) {
    bench
        .with(&bench.spec(), async |container| {
            let script = "dd if=/dev/zero bs=1M count=48 2>/dev/null & dd if=/dev/zero bs=1M count=16 2>/dev/null | cat >&2; wait";
            let output = sh(&container, script).await;
            assert_eq!((output.stdout.len(), output.stderr.len()), (48 << 20, 16 << 20));
        })
        .await;
}

pub(crate) async fn a_closed_channel_discards_the_rest<E: Engine>(bench: Bench<E>) {
    bench
        .with(&bench.spec(), async |container| {
            let (sender, chunks) = mpsc::channel(1);
            drop(chunks);
            let status =
                container.exec(shell("seq 100000; echo done > /tmp/done; exit 6"), sender).await.unwrap();
            assert_eq!((status, say(&container, "cat /tmp/done").await.as_str()), (6, "done"));
        })
        .await;
}

pub(crate) async fn twenty_at_once_do_not_mix<E: Engine>(bench: Bench<E>) {
    bench
        .with(&bench.spec(), async |container| {
            let run = async |i: i64| {
                let spec = ExecSpec {
                    stdin: Some(Bytes::from(format!("in{i}\n"))),
                    ..shell(&format!("sleep 0.2; cat; echo err{i} >&2; exit {i}"))
                };
                (i, container.run(spec).await.unwrap())
            };
            for (i, output) in join_all((0..20).map(run)).await {
                assert_eq!(output.status, i);
                assert_eq!(output.stdout, format!("in{i}\n").into_bytes());
                assert_eq!(output.stderr, format!("err{i}\n").into_bytes());
            }
        })
        .await;
}

pub(crate) async fn a_container_that_is_gone_is_named<E: Engine>(bench: Bench<E>) {
    let spec = bench.spec();
    let container = bench.engine.create(&spec).await.unwrap();
    container.stop(Duration::from_secs(10)).await.unwrap();
    let stopped = container.run(shell("true")).await.unwrap_err();
    let gone = container.clone();
    container.remove().await.unwrap();
    let removed = gone.run(shell("true")).await.unwrap_err();
    let log = gone.logs(1).await.unwrap_err();
    for error in [stopped, removed, log] {
        assert!(matches!(&error, EngineError::NoSuchContainer { name } if *name == spec.name), "{error:?}");
    }
}
