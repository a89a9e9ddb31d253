//! Commands on a terminal.

use bytes::Bytes;
use takelage_engine::{Interaction, agent::AgentClient};
use tokio::sync::{mpsc, watch};

use crate::base::{LONG, guest, shell, until};

/// A command on a terminal, and somebody in front of it.
struct Desk {
    task: tokio::task::JoinHandle<i64>,
    keyboard: mpsc::Sender<Bytes>,
    screen: mpsc::Receiver<Bytes>,
    size: watch::Sender<(u16, u16)>,
    seen: String,
}

impl Desk {
    fn new(client: &AgentClient, script: &str) -> Self {
        let (keyboard, input) = mpsc::channel(4);
        let (output, screen) = mpsc::channel(4);
        let (size, sizes) = watch::channel((100, 30));
        let (client, spec) = (client.clone(), shell(script));
        let interaction = Interaction { input, output, size: sizes };
        let task = tokio::spawn(async move { client.interact(spec, interaction).await.unwrap() });
        Self { task, keyboard, screen, size, seen: String::new() }
    }

    async fn type_in(&self, text: &'static str) {
        self.keyboard.send(Bytes::from_static(text.as_bytes())).await.unwrap();
    }

    async fn sees(&mut self, text: &str) {
        while !self.seen.contains(text) {
            let piece = tokio::time::timeout(LONG, self.screen.recv()).await;
            let piece = piece.unwrap_or_else(|_| panic!("{:?} without {text:?}", self.seen));
            let piece = piece.unwrap_or_else(|| panic!("{:?} is all, without {text:?}", self.seen));
            self.seen.push_str(std::str::from_utf8(&piece).unwrap());
        }
    }

    async fn status(self) -> i64 {
        tokio::time::timeout(LONG, self.task).await.unwrap().unwrap()
    }
}

#[tokio::test]
async fn a_terminal_has_a_size_and_echoes() {
    let (client, _agent) = guest().await;
    let script = "tty; stty size; echo $TERM; read line; echo got $line; stty size; exit 5";
    let mut desk = Desk::new(&client, script);
    desk.sees("/dev/pts/").await;
    desk.sees("30 100\r\nxterm\r\n").await;
    desk.size.send((81, 25)).unwrap();
    tokio::time::sleep(std::time::Duration::from_millis(200)).await;
    desk.type_in("typed\n").await;
    desk.sees("typed\r\ngot typed\r\n25 81\r\n").await;
    assert_eq!(desk.status().await, 5);
}

#[tokio::test]
async fn a_terminal_interrupts_and_ends() {
    let (client, _agent) = guest().await;
    let mut desk = Desk::new(
        &client,
        "trap 'echo interrupted; cat; echo done; exit 0' INT; echo ready; while :; do sleep 0.05; done",
    );
    desk.sees("ready").await;
    desk.type_in("\x03").await;
    desk.sees("interrupted").await;
    desk.type_in("line\n").await;
    desk.sees("line\r\nline\r\n").await;
    let Desk { task, keyboard, mut screen, .. } = desk;
    // No more is typed.
    drop(keyboard);
    let rest = async {
        let mut rest = Vec::new();
        while let Some(piece) = screen.recv().await {
            rest.extend_from_slice(&piece);
        }
        String::from_utf8(rest).unwrap()
    };
    let (status, rest) = tokio::time::timeout(LONG, async { tokio::join!(task, rest) }).await.unwrap();
    assert_eq!((status.unwrap(), rest.trim_end().rsplit('\n').next().unwrap()), (0, "done"));
}

#[tokio::test]
async fn whoever_leaves_a_terminal_ends_what_is_on_it() {
    let (client, _agent) = guest().await;
    let mark = 300_000 + std::process::id();
    let mut desk = Desk::new(&client, &format!("echo on; sleep {mark}"));
    desk.sees("on").await;
    desk.task.abort();
    until("it is dead", async || {
        let found = std::process::Command::new("pgrep").args(["-f", &format!("^sleep {mark}$")]).output();
        found.unwrap().stdout.is_empty()
    })
    .await;
}
