//! A Python program under watch: its lines, its end, and its end by force.
//!
//! The program leads a process group of its own, so that Ctrl-C on the terminal reaches takelage only, which then
//! decides. Ansible's workers leave the group (they start sessions of their own), so whoever is left after a
//! forced end is found by a variable in its environment.

use std::{collections::VecDeque, ffi::OsStr, io, process::ExitStatus, process::Stdio, time::Duration};

use rustix::process::{Pid, Signal, kill_process, kill_process_group};
use tokio::{
    io::{AsyncBufReadExt, AsyncRead, AsyncReadExt, BufReader},
    process::{Child, Command},
    sync::mpsc,
};
use tokio_util::sync::CancellationToken;

/// The variable by which stray processes are found; its value is unique to one bridge.
pub(crate) const MARK: &str = "TAKELAGE_BRIDGE";

/// How long each signal may take to have its effect before the next, harder one.
const GRACE: [(Signal, Duration); 2] =
    [(Signal::INT, Duration::from_secs(5)), (Signal::TERM, Duration::from_secs(2))];

/// How long output may still come after the program's end, from what it left behind.
const LINGER: Duration = Duration::from_millis(500);

/// Lines of each stream that are kept for the diagnosis of a crash.
const TAIL: usize = 200;

/// Longer lines are cut into pieces of this many bytes.
const LINE_LIMIT: u64 = 64 << 10;

/// Which stream a line came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Source {
    Stdout,
    Stderr,
}

/// How a program ended.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) status: ExitStatus,
    /// The last lines of its standard output.
    pub(crate) stdout: String,
    /// The last lines of its standard error.
    pub(crate) stderr: String,
    /// Whether it was made to end.
    pub(crate) cancelled: bool,
}

/// Whether the program may ask its user questions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Terminal {
    /// Standard input is takelage's own, and so is the process group: a terminal talks to its foreground group only.
    Shared,
    /// There is nobody to ask.
    None,
}

/// Runs `command` to its end, handing each line of its output to `line` as it comes.
///
/// When `cancel` fires it is interrupted, then terminated, then killed.
pub(crate) async fn watch(
    mut command: Command,
    mark: &OsStr,
    terminal: Terminal,
    cancel: &CancellationToken,
    mut line: impl FnMut(Source, &str),
) -> io::Result<Ended> {
    command.env(MARK, mark).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
    match terminal {
        Terminal::Shared => command.stdin(Stdio::inherit()),
        Terminal::None => command.stdin(Stdio::null()).process_group(0),
    };
    let mut child = command.spawn()?;
    let mut guard = Guard { group: group_of(&child, terminal), mark, armed: true };
    let (sender, mut lines) = mpsc::channel(256);
    if let Some(stdout) = child.stdout.take() {
        tokio::spawn(read_lines(stdout, Source::Stdout, sender.clone()));
    }
    if let Some(stderr) = child.stderr.take() {
        tokio::spawn(read_lines(stderr, Source::Stderr, sender.clone()));
    }
    drop(sender);
    let mut tails = [VecDeque::new(), VecDeque::new()];
    let mut take = |(source, text): (Source, String)| {
        line(source, &text);
        let tail = &mut tails[usize::from(source == Source::Stderr)];
        if tail.len() == TAIL {
            tail.pop_front();
        }
        tail.push_back(text);
    };

    let mut ending = std::pin::pin!(end(&mut child, guard.group, cancel));
    let (status, cancelled) = loop {
        tokio::select! {
            status = &mut ending => break status?,
            Some(text) = lines.recv() => take(text),
        }
    };
    let linger = tokio::time::sleep(LINGER);
    tokio::pin!(linger);
    loop {
        tokio::select! {
            text = lines.recv() => match text {
                Some(text) => take(text),
                None => break,
            },
            () = &mut linger => break,
        }
    }
    // What a finished program leaves behind on purpose, such as an `async` job on this host, may stay.
    guard.armed = cancelled;
    drop(guard);
    let [stdout, stderr] = tails.map(|tail| Vec::from(tail).join("\n"));
    Ok(Ended { status, stdout, stderr, cancelled })
}

/// Waits for the end of `child`, and brings it about when `cancel` fires. Says whether it did.
async fn end(
    child: &mut Child,
    group: Option<Pid>,
    cancel: &CancellationToken,
) -> io::Result<(ExitStatus, bool)> {
    tokio::select! {
        status = child.wait() => return Ok((status?, false)),
        () = cancel.cancelled() => {}
    }
    for (signal, grace) in GRACE {
        match (group, child.id().and_then(pid)) {
            (Some(group), _) => drop(kill_process_group(group, signal)),
            (None, Some(pid)) => drop(kill_process(pid, signal)),
            (None, None) => {}
        }
        if let Ok(status) = tokio::time::timeout(grace, child.wait()).await {
            return Ok((status?, true));
        }
    }
    child.start_kill()?;
    Ok((child.wait().await?, true))
}

fn pid(id: u32) -> Option<Pid> {
    i32::try_from(id).ok().and_then(Pid::from_raw)
}

fn group_of(child: &Child, terminal: Terminal) -> Option<Pid> {
    (terminal == Terminal::None).then(|| child.id().and_then(pid)).flatten()
}

async fn read_lines(from: impl AsyncRead + Unpin, source: Source, to: mpsc::Sender<(Source, String)>) {
    let mut from = BufReader::new(from);
    let mut bytes = Vec::new();
    loop {
        bytes.clear();
        match (&mut from).take(LINE_LIMIT).read_until(b'\n', &mut bytes).await {
            Ok(0) | Err(_) => return,
            Ok(_) => {}
        }
        let text = String::from_utf8_lossy(&bytes).trim_end_matches(['\n', '\r']).to_owned();
        if to.send((source, text)).await.is_err() {
            return;
        }
    }
}

/// Leaves no process behind, also when the future that watches is dropped.
struct Guard<'a> {
    group: Option<Pid>,
    mark: &'a OsStr,
    armed: bool,
}

impl Drop for Guard<'_> {
    fn drop(&mut self) {
        if !self.armed {
            return;
        }
        if let Some(group) = self.group {
            let _ = kill_process_group(group, Signal::KILL);
        }
        sweep(self.mark);
    }
}

/// Kills every process of this user that carries the mark in its environment.
fn sweep(mark: &OsStr) {
    let mut wanted = MARK.as_bytes().to_vec();
    wanted.push(b'=');
    wanted.extend_from_slice(mark.as_encoded_bytes());
    let Ok(processes) = fs_err::read_dir("/proc") else { return };
    for entry in processes.flatten() {
        let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse().ok()).and_then(pid) else {
            continue;
        };
        let Ok(environment) = fs_err::read(entry.path().join("environ")) else { continue };
        if environment.split(|byte| *byte == 0).any(|variable| variable == wanted) {
            let _ = kill_process(pid, Signal::KILL);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str) -> Command {
        let mut command = Command::new("/bin/sh");
        command.args(["-c", script]);
        command
    }

    #[tokio::test]
    async fn lines_of_both_streams_and_the_status_arrive() {
        let mut seen = Vec::new();
        let script = "echo one; echo two >&2; printf three; exit 7";
        let ended = watch(
            shell(script),
            OsStr::new("t1"),
            Terminal::None,
            &CancellationToken::new(),
            |source, line| {
                seen.push((source, line.to_owned()));
            },
        )
        .await
        .unwrap();
        assert_eq!((ended.status.code(), ended.cancelled), (Some(7), false));
        assert_eq!((ended.stdout.as_str(), ended.stderr.as_str()), ("one\nthree", "two"));
        assert_eq!(seen.len(), 3);
    }

    #[tokio::test]
    async fn cancelling_leaves_no_process_not_even_one_in_another_session() {
        let mark = format!("sweep-{}", std::process::id());
        let cancel = CancellationToken::new();
        let stop = cancel.clone();
        let script = "trap '' INT; setsid sleep 600 & echo up; wait; sleep 600";
        let ended =
            watch(shell(script), OsStr::new(&mark), Terminal::None, &cancel, move |_, _| stop.cancel())
                .await
                .unwrap();
        assert!(ended.cancelled);
        tokio::time::sleep(Duration::from_millis(100)).await;
        let wanted = format!("{MARK}={mark}");
        let left = fs_err::read_dir("/proc").unwrap().flatten().any(|entry| {
            fs_err::read(entry.path().join("environ"))
                .is_ok_and(|environ| environ.split(|b| *b == 0).any(|v| v == wanted.as_bytes()))
        });
        assert!(!left, "a marked process is left");
    }

    #[tokio::test]
    async fn a_child_that_holds_the_pipes_open_does_not_hold_the_run() {
        let begun = std::time::Instant::now();
        let ended = watch(
            shell("sleep 5 & echo done"),
            OsStr::new("t3"),
            Terminal::None,
            &CancellationToken::new(),
            |_, _| {},
        )
        .await
        .unwrap();
        assert!(ended.status.success());
        assert!(begun.elapsed() < Duration::from_secs(4), "it waited for the background process");
    }
}
