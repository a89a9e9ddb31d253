//! The bridge itself, spoken to by hand.

use std::{
    io::{Read, Write},
    os::unix::{fs::PermissionsExt, net::UnixStream},
};

use serde_json::{Value, json};
use takelage_engine::Container as _;

use crate::scene::Scene;

fn send(stream: &mut UnixStream, header: &Value, blob: &[u8]) {
    let header = header.to_string();
    stream.write_all(&u32::try_from(header.len()).unwrap().to_be_bytes()).unwrap();
    stream.write_all(header.as_bytes()).unwrap();
    stream.write_all(blob).unwrap();
}

fn reply(stream: &mut UnixStream) -> Value {
    let mut length = [0; 4];
    stream.read_exact(&mut length).unwrap();
    serde_json::from_slice(&blob(stream, u32::from_be_bytes(length) as usize)).unwrap()
}

fn blob(stream: &mut UnixStream, length: usize) -> Vec<u8> {
    let mut bytes = vec![0; length];
    stream.read_exact(&mut bytes).unwrap();
    bytes
}

#[tokio::test(flavor = "multi_thread")]
async fn docker_bridge_the_stream_begins_before_anything_is_asked_for() {
    let Some(scene) = Scene::new().await else { return };
    let name = scene.container.0.name().to_owned();
    let agents = || {
        let top =
            std::process::Command::new("docker").args(["top", &name, "-eo", "pid,comm"]).output().unwrap();
        String::from_utf8(top.stdout).unwrap().matches("takelage-agent").count()
    };
    let begun = std::time::Instant::now();
    while agents() == 0 {
        assert!(begun.elapsed() < std::time::Duration::from_secs(30), "there is no agent");
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    }
    scene.container.sh("true").await;
    assert_eq!(agents(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn docker_bridge_commands_and_files_are_exact_and_mistakes_are_told() {
    let Some(scene) = Scene::new().await else { return };
    let socket = scene.bridge.socket().to_owned();
    let mode = |path: &std::path::Path| fs_err::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(socket.parent().unwrap()), 0o700);

    let mut stream = UnixStream::connect(&socket).unwrap();
    send(&mut stream, &json!({"op": "hello", "version": 1}), b"");
    assert_eq!(reply(&mut stream)["reply"], "done");

    let content: Vec<u8> = (0..3_000_000_u32).map(|n| (n % 251) as u8).collect();
    send(
        &mut stream,
        &json!({"op": "put", "host": "app", "path": "/dev/shm/big file", "length": content.len()}),
        &content,
    );
    assert_eq!(reply(&mut stream)["reply"], "done");
    scene.container.sh("ln -s '/dev/shm/big file' /tmp/link").await;
    send(&mut stream, &json!({"op": "get", "host": "app", "path": "/tmp/link"}), b"");
    let length = usize::try_from(reply(&mut stream)["length"].as_u64().unwrap()).unwrap();
    assert!(blob(&mut stream, length) == content, "the file is not the same");

    let argv = ["/bin/sh", "-c", "cat; printf 'e\\377' >&2; exit 9"];
    send(&mut stream, &json!({"op": "exec", "host": "app", "argv": argv, "stdin": 3}), b"a\xffb");
    let answer = reply(&mut stream);
    assert_eq!((&answer["status"], &answer["lengths"]), (&json!(9), &json!([3, 2])));
    assert_eq!(blob(&mut stream, 5), b"a\xffbe\xff");

    for (request, kind) in [
        (json!({"op": "get", "host": "app", "path": "/tmp/nothing"}), "no_such_file"),
        (json!({"op": "get", "host": "app", "path": "/tmp"}), "no_such_file"),
        (json!({"op": "get", "host": "db", "path": "/tmp"}), "unknown_host"),
        (json!({"op": "put", "host": "app", "path": "/no/such/place", "length": 0}), "engine"),
        (json!({"op": "event", "event": {"no": "kind"}}), "protocol"),
    ] {
        send(&mut stream, &request, b"");
        assert_eq!(reply(&mut stream)["kind"], kind, "{request}");
    }
    send(&mut stream, &json!({"op": "teleport"}), b"");
    assert_eq!(reply(&mut stream)["kind"], "protocol");
    assert_eq!(stream.read(&mut [0]).unwrap(), 0, "a broken conversation goes on");

    let mut stream = UnixStream::connect(&socket).unwrap();
    send(&mut stream, &json!({"op": "hello", "version": 99}), b"");
    assert_eq!(reply(&mut stream)["kind"], "protocol");

    scene.bridge.close().await;
    assert!(!socket.exists());
}

/// Returns the most memory that a process had, in MiB, by what `/proc` says of it.
fn peak(status: &str) -> u64 {
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() >> 10
}

/// Puts zeros into the container and returns the reply.
fn put_zeros(stream: &mut UnixStream, path: &str, length: u64) -> Value {
    send(stream, &json!({"op": "put", "host": "app", "path": path, "length": length}), b"");
    std::io::copy(&mut std::io::repeat(0).take(length), stream).unwrap();
    reply(stream)
}

#[tokio::test(flavor = "multi_thread")]
async fn docker_bridge_a_large_file_is_passed_on_while_it_comes() {
    let Some(scene) = Scene::new().await else { return };
    let mut stream = UnixStream::connect(scene.bridge.socket()).unwrap();
    send(&mut stream, &json!({"op": "hello", "version": 1}), b"");
    assert_eq!(reply(&mut stream)["reply"], "done");
    let before = peak(&fs_err::read_to_string("/proc/self/status").unwrap());
    assert_eq!(put_zeros(&mut stream, "/dev/null", 1 << 29)["reply"], "done");
    let grown = peak(&fs_err::read_to_string("/proc/self/status").unwrap()) - before;
    let agent =
        "for p in /proc/[0-9]*; do [ \"$(cat $p/comm)\" = takelage-agent ] && cat $p/status && break; done";
    let agent = peak(&scene.container.sh(agent).await);
    assert!(grown < 64 && agent < 32, "512 MiB took {grown} MiB here and {agent} MiB in the agent");
    // It is all there, and what cannot be written is told and leaves the conversation in order.
    assert_eq!(put_zeros(&mut stream, "/dev/shm/large", 20_000_001)["reply"], "done");
    assert_eq!(scene.container.sh("wc -c < /dev/shm/large").await.trim(), "20000001");
    assert_eq!(put_zeros(&mut stream, "/no/such/place", 20_000_001)["kind"], "engine");
    assert_eq!(put_zeros(&mut stream, "/dev/shm/large", 3)["reply"], "done");
    assert_eq!(scene.container.sh("wc -c < /dev/shm/large").await.trim(), "3");
}

/// Has a program in the container write so many bytes, and reads them all.
fn write_zeros(stream: &mut UnixStream, warm: bool, length: u64) {
    let program = format!("import os\nfor _ in range({length} >> 20): os.write(1, bytes(1 << 20))\n");
    let boot = "import os;r=lambda n,s=b'':s if len(s)==n else r(n,s+os.read(0,n-len(s)));exec(compile(r(int(r(8))),'x','exec'))";
    let zygote = json!({"argv": ["/usr/bin/python3", "-c", boot], "env": {}, "preface": "", "own": []});
    let zygote = if warm { zygote } else { Value::Null };
    let argv = ["/usr/bin/python3"];
    let header = json!({"op": "exec", "host": "app", "argv": argv, "stdin": program.len(), "zygote": zygote});
    send(stream, &header, program.as_bytes());
    let answer = reply(stream);
    assert_eq!((&answer["status"], &answer["lengths"]), (&json!(0), &json!([length, 0])));
    let read = std::io::copy(&mut stream.take(length), &mut std::io::sink()).unwrap();
    assert_eq!(read, length);
}

#[tokio::test(flavor = "multi_thread")]
async fn docker_bridge_much_output_waits_on_disk() {
    let Some(scene) = Scene::new().await else { return };
    let mut stream = UnixStream::connect(scene.bridge.socket()).unwrap();
    send(&mut stream, &json!({"op": "hello", "version": 1}), b"");
    assert_eq!(reply(&mut stream)["reply"], "done");
    let before = peak(&fs_err::read_to_string("/proc/self/status").unwrap());
    for warm in [false, true] {
        write_zeros(&mut stream, warm, 500 << 20);
    }
    let grown = peak(&fs_err::read_to_string("/proc/self/status").unwrap()) - before;
    let peaks =
        "for p in /proc/[0-9]*; do grep -q \"$1\" $p/cmdline 2>/dev/null && cat $p/status && break; done";
    let peak_of = async |word: &str| peak(&scene.container.sh(&peaks.replace("$1", word)).await);
    let agent =
        "for p in /proc/[0-9]*; do [ \"$(cat $p/comm)\" = takelage-agent ] && cat $p/status && break; done";
    let agent = peak(&scene.container.sh(agent).await);
    let interpreter = peak_of("compile(r(int").await;
    println!(
        "twice 500 MiB took {grown} MiB here, {agent} MiB in the agent, {interpreter} MiB in the interpreter"
    );
    assert!(grown < 64 && agent < 32 && interpreter < 64, "{grown} {agent} {interpreter}");
}
