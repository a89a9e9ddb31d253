//! What no client of ours sends.

use takelage_model::agent::{
    Command, ErrorKind, Reply, Request, Stream, VERSION, WINDOW,
    wire::{self, Decoder},
};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    process::Child,
};

use crate::base::{LONG, raw_guest};

/// A client that says what it wants.
struct Raw {
    agent: Child,
    decoder: Decoder,
}

impl Raw {
    fn new() -> Self {
        Self { agent: raw_guest(), decoder: Decoder::default() }
    }

    async fn greeted() -> Self {
        let mut raw = Self::new();
        raw.send(0, &Request::Hello { version: VERSION }, b"").await;
        assert_eq!(raw.reply().await, Some((0, Reply::Hello { version: VERSION }, Vec::new())));
        raw
    }

    async fn send(&mut self, id: u64, request: &Request, body: &[u8]) {
        let mut frame = Vec::new();
        wire::encode(id, request, body, &mut frame).unwrap();
        self.write(&frame).await;
    }

    async fn header(&mut self, header: &str) {
        let length = u32::try_from(header.len()).unwrap();
        self.write(&[&length.to_be_bytes()[..], &[0; 4], header.as_bytes()].concat()).await;
    }

    async fn write(&mut self, bytes: &[u8]) {
        // It may have hung up already.
        let _ = self.agent.stdin.as_mut().unwrap().write_all(bytes).await;
    }

    async fn reply(&mut self) -> Option<(u64, Reply, Vec<u8>)> {
        loop {
            if let Some(frame) = self.decoder.take().unwrap() {
                return Some((frame.id, frame.message, frame.body));
            }
            let mut buffer = [0; 4096];
            let read = self.agent.stdout.as_mut().unwrap().read(&mut buffer);
            match tokio::time::timeout(LONG, read).await.unwrap().unwrap() {
                0 => return None,
                count => self.decoder.push(&buffer[..count]),
            }
        }
    }

    async fn refusal(&mut self) -> Option<(u64, ErrorKind)> {
        loop {
            match self.reply().await? {
                (id, Reply::Error { kind, .. }, _) => return Some((id, kind)),
                (_, Reply::Hello { .. } | Reply::Credit { .. }, _) => {}
                other => panic!("{other:?}"),
            }
        }
    }
}

fn exec(argv: &[&str], stdin: bool) -> Request {
    let argv = argv.iter().map(|&word| word.to_owned()).collect();
    Request::Exec(Command { argv, stdin, ..Command::default() })
}

#[tokio::test]
async fn unknown_frames_are_answered_and_tolerated() {
    let mut raw = Raw::greeted().await;
    raw.header(r#"{"id":5,"message":{"op":"levitate","height":3}}"#).await;
    assert_eq!(raw.refusal().await, Some((5, ErrorKind::Protocol)));
    raw.header(r#"{"id":6,"message":{"op":"exec","argv":7}}"#).await;
    assert_eq!(raw.refusal().await, Some((6, ErrorKind::Protocol)));
    raw.send(7, &Request::Hello { version: VERSION }, b"").await;
    assert_eq!(raw.refusal().await, Some((7, ErrorKind::Protocol)));
    // What comes for a request that has ended was under way.
    for request in [Request::Data, Request::End, Request::Cancel, Request::Credit { bytes: 1 }] {
        raw.send(99, &request, b"body").await;
    }
    raw.send(8, &Request::Signal { number: 15 }, b"").await;
    assert_eq!(raw.refusal().await, Some((8, ErrorKind::System)));
    raw.send(9, &exec(&["/bin/echo", "fine"], false), b"").await;
    let data = Reply::Data { stream: Stream::Stdout };
    assert_eq!(raw.reply().await, Some((9, data, b"fine\n".to_vec())));
    assert_eq!(raw.reply().await, Some((9, Reply::Exit { status: 0 }, Vec::new())));
}

#[tokio::test]
async fn what_cannot_be_understood_ends_the_conversation() {
    for bytes in [&[0xff; 16][..], b"\0\0\0\x02\0\0\0\0{}", b"GET / HTTP/1.1\r\n\r\n"] {
        let mut raw = Raw::greeted().await;
        raw.write(bytes).await;
        assert_eq!(raw.refusal().await, Some((0, ErrorKind::Protocol)));
        assert_eq!(raw.reply().await, None);
        assert!(raw.agent.wait().await.unwrap().success());
    }
}

#[tokio::test]
async fn other_versions_and_strangers_are_turned_away() {
    let mut raw = Raw::new();
    raw.send(0, &Request::Hello { version: VERSION + 1 }, b"").await;
    assert_eq!(raw.reply().await, Some((0, Reply::Hello { version: VERSION }, Vec::new())));
    assert_eq!(raw.refusal().await, Some((0, ErrorKind::Version)));
    assert_eq!(raw.reply().await, None);
    let mut raw = Raw::new();
    raw.send(3, &exec(&["/bin/true"], false), b"").await;
    assert_eq!(raw.refusal().await, Some((3, ErrorKind::Protocol)));
    assert_eq!(raw.reply().await, None);
}

#[tokio::test]
async fn whoever_ignores_credit_or_numbers_is_stopped() {
    let mut raw = Raw::greeted().await;
    raw.send(1, &exec(&["/bin/sleep", "1000"], true), b"").await;
    let piece = vec![0; 1 << 16];
    for _ in 0..=WINDOW >> 16 {
        raw.send(1, &Request::Data, &piece).await;
    }
    assert_eq!(raw.refusal().await, Some((1, ErrorKind::Protocol)));
    raw.send(2, &exec(&["/bin/sleep", "1000"], true), b"").await;
    raw.send(2, &exec(&["/bin/true"], true), b"").await;
    assert_eq!(raw.refusal().await, Some((2, ErrorKind::Protocol)));
    raw.send(3, &exec(&["/bin/sleep", "1000"], true), b"").await;
    raw.send(3, &Request::Cancel, b"").await;
    assert_eq!(raw.refusal().await, Some((3, ErrorKind::Cancelled)));
}
