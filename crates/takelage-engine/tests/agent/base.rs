//! Agents to talk to, which go away whatever happens.

use std::{
    io::Write as _,
    os::{fd::OwnedFd, unix::net::UnixListener},
    path::{Path, PathBuf},
    process::Stdio,
    sync::OnceLock,
    time::Duration,
};

use takelage_engine::{
    Chunk, ExecOutput, ExecSpec,
    agent::{AgentClient, AgentError, BINARY},
};
use takelage_model::agent::AgentConfig;
use tempfile::TempDir;
use tokio::{
    net::UnixStream,
    process::{Child, Command},
    sync::mpsc,
};

/// Nothing here takes so long unless it hangs.
pub(crate) const LONG: Duration = Duration::from_secs(60);
pub(crate) const PATH: &str = "/usr/sbin:/usr/bin:/sbin:/bin";

/// Returns the agent's program as a file.
pub(crate) fn program() -> &'static Path {
    static PROGRAM: OnceLock<(TempDir, PathBuf)> = OnceLock::new();
    let made = || {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("takelage-agent");
        // By another process: what this one starts meanwhile would keep it open for writing, and then it cannot run.
        let mut writer = std::process::Command::new("/bin/sh");
        writer.args(["-c", "cat > \"$0\" && chmod 755 \"$0\""]).arg(&path).stdin(Stdio::piped());
        let mut writer = writer.spawn().unwrap();
        writer.stdin.take().unwrap().write_all(BINARY).unwrap();
        assert!(writer.wait().unwrap().success());
        (directory, path)
    };
    &PROGRAM.get_or_init(made).1
}

/// Starts an agent on a stream.
pub(crate) async fn guest() -> (AgentClient, Child) {
    let mut child = raw_guest();
    let stream = tokio::io::join(child.stdout.take().unwrap(), child.stdin.take().unwrap());
    (AgentClient::connect(stream).await.unwrap(), child)
}

/// Starts an agent that nobody talks to yet.
pub(crate) fn raw_guest() -> Child {
    let mut command = Command::new(program());
    command.arg("stdio").stdin(Stdio::piped()).stdout(Stdio::piped()).kill_on_drop(true);
    command.spawn().unwrap()
}

/// An agent that is process 1 of new namespaces, and the socket to it.
pub(crate) struct Init {
    pub(crate) child: Child,
    pub(crate) socket: PathBuf,
    _scratch: TempDir,
}

/// Whether new namespaces can be made.
pub(crate) fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

impl Init {
    /// Starts an agent as root in new namespaces.
    pub(crate) fn start(config: &AgentConfig) -> Self {
        Self::start_through(config, "")
    }

    /// The same, started by a program that is put in front.
    pub(crate) fn start_through(config: &AgentConfig, prefix: &str) -> Self {
        let scratch = tempfile::tempdir().unwrap();
        let socket = scratch.path().join("agent.sock");
        let listener = UnixListener::bind(&socket).unwrap();
        let path = scratch.path().join("config.json");
        fs_err::write(&path, serde_json::to_vec(config).unwrap()).unwrap();
        // Standard input is the listening socket; the main command gets one that never ends.
        let script = format!(
            "exec unshare --pid --mount --ipc --uts --fork --kill-child --mount-proc {prefix} \"$0\" serve 3<&0 4<\"$1\" 0<>\"$2\""
        );
        let pipe = scratch.path().join("pipe");
        rustix::fs::mknodat(
            rustix::fs::CWD,
            &pipe,
            rustix::fs::FileType::Fifo,
            rustix::fs::Mode::from_raw_mode(0o600),
            0,
        )
        .unwrap();
        let mut command = Command::new("/bin/sh");
        command.arg("-c").arg(script).arg(program()).arg(&path).arg(&pipe);
        command.stdin(OwnedFd::from(listener)).stdout(Stdio::piped()).stderr(Stdio::piped());
        let child = command.kill_on_drop(true).spawn().unwrap();
        Self { child, socket, _scratch: scratch }
    }

    /// Connects one more client.
    pub(crate) async fn client(&self) -> AgentClient {
        let connect = AgentClient::connect(UnixStream::connect(&self.socket).await.unwrap());
        tokio::time::timeout(LONG, connect).await.unwrap().unwrap()
    }

    /// Waits for the end: the exit status, and what stands in the log.
    pub(crate) async fn wait(self) -> (Option<i32>, String) {
        let output = tokio::time::timeout(LONG, self.child.wait_with_output()).await.unwrap().unwrap();
        let log = [output.stdout, output.stderr].concat();
        (output.status.code(), String::from_utf8(log).unwrap())
    }
}

pub(crate) fn shell(script: &str) -> ExecSpec {
    ExecSpec {
        argv: ["/bin/sh", "-c", script].map(str::to_owned).to_vec(),
        env: [("PATH".to_owned(), PATH.to_owned())].into(),
        ..ExecSpec::default()
    }
}

/// Runs a command and collects what it writes.
pub(crate) async fn run(client: &AgentClient, spec: ExecSpec) -> Result<ExecOutput, AgentError> {
    let (sender, mut chunks) = mpsc::channel::<Chunk>(16);
    let collect = async {
        let mut output = ExecOutput::default();
        while let Some(chunk) = chunks.recv().await {
            output.append(&chunk);
        }
        output
    };
    let both = async { tokio::join!(client.exec(spec, sender), collect) };
    let (status, mut output) = tokio::time::timeout(LONG, both).await.expect("it hangs");
    output.status = status?;
    Ok(output)
}

/// Runs a script that must succeed and returns what it wrote.
pub(crate) async fn say(client: &AgentClient, script: &str) -> String {
    said(client, shell(script)).await
}

/// Runs a command that must succeed and returns what it wrote.
pub(crate) async fn said(client: &AgentClient, spec: ExecSpec) -> String {
    let output = run(client, spec.clone()).await.unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.success(), "{spec:?}: {}, {errors}", output.status);
    String::from_utf8(output.stdout).unwrap().trim_end().to_owned()
}

/// Waits until something holds.
pub(crate) async fn until(what: &str, mut holds: impl AsyncFnMut() -> bool) {
    let start = tokio::time::Instant::now();
    while !holds().await {
        assert!(start.elapsed() < LONG, "{what}: that does not come true");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}
