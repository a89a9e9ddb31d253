//! What the tests of this crate share: a container reached by the `docker` command, and a project to run in it.

use std::{
    collections::HashMap,
    path::{Path, PathBuf},
    process::Stdio,
    sync::atomic::{AtomicU32, Ordering},
    time::Duration,
};

use bytes::Bytes;
use takelage_engine::{
    Chunk, Container, ContainerId, ContainerState, EngineError, ExecSpec, ImageConfig, ImageRecord,
    Operation, Stream,
};
use takelage_model::event::{EventKind, Op, Step, TaskStatus};
use takelage_python::{
    Bridge, Toolchain,
    ansible::{AnsibleError, Converged, FailedTask, Inventory, Playbook},
    toolchain::{self, Wanted},
};
use tempfile::TempDir;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    process::Command,
    sync::{OnceCell, mpsc},
};
use tokio_util::sync::CancellationToken;

/// An image with Python and sudo.
pub(crate) const IMAGE: &str = "takelwerk/takelslim:latest";

static COUNT: AtomicU32 = AtomicU32::new(0);
static TOOLS: OnceCell<Result<Toolchain, String>> = OnceCell::const_new();

/// A container that the `docker` command reaches. Removed with [`Container::remove`] or by the drop of its last clone.
#[derive(Clone, Debug)]
pub(crate) struct Cli {
    id: ContainerId,
    _removal: std::sync::Arc<Removal>,
}

#[derive(Debug)]
struct Removal(String);

impl Drop for Removal {
    fn drop(&mut self) {
        let _ =
            std::process::Command::new("docker").args(["rm", "-f", &self.0]).stdout(Stdio::null()).status();
    }
}

impl Cli {
    /// Starts a container, or says why it cannot be.
    pub(crate) async fn start(image: &str, arguments: &[&str]) -> Result<Self, String> {
        let name = format!("tlg-python-{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        let mut command = Command::new("docker");
        command.args(["run", "--detach", "--rm", "--pull", "never", "--name", &name]).args(arguments);
        command.args([image, "sleep", "3600"]);
        let output = command.output().await.map_err(|error| format!("there is no `docker`: {error}"))?;
        if !output.status.success() {
            return Err(format!(
                "Docker has no container: {}",
                String::from_utf8_lossy(&output.stderr).trim()
            ));
        }
        let removal = Removal(name.clone()).into();
        Ok(Self { id: ContainerId(name), _removal: removal })
    }

    /// Runs a shell script as root and returns its standard output.
    pub(crate) async fn sh(&self, script: &str) -> String {
        let ran = self.run(ExecSpec::root(["/bin/sh", "-c", script])).await.unwrap();
        assert!(ran.success(), "`{script}`: {}", String::from_utf8_lossy(&ran.stderr));
        String::from_utf8(ran.stdout).unwrap()
    }
}

fn unsupported(name: &str) -> EngineError {
    EngineError::Unsupported { name: name.to_owned(), reason: "not in these tests".to_owned() }
}

impl Container for Cli {
    fn id(&self) -> &ContainerId {
        &self.id
    }

    fn name(&self) -> &str {
        &self.id.0
    }

    async fn state(&self) -> Result<Option<ContainerState>, EngineError> {
        Ok(Some(ContainerState::Running))
    }

    async fn logs(&self, _: usize) -> Result<String, EngineError> {
        Ok(String::new())
    }

    async fn exec(&self, spec: ExecSpec, chunks: mpsc::Sender<Chunk>) -> Result<i64, EngineError> {
        let broken = |source: std::io::Error| EngineError::Broken {
            operation: Operation::Exec,
            object: self.id.0.clone(),
            source: source.into(),
        };
        let mut command = Command::new("docker");
        command.args(["exec", "-i"]);
        if let Some(user) = &spec.user {
            command.args(["-u", user]);
        }
        command.arg(&self.id.0).args(&spec.argv);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
        let mut child = command.spawn().map_err(broken)?;
        let (mut stdin, stdout, stderr) =
            (child.stdin.take().unwrap(), child.stdout.take().unwrap(), child.stderr.take().unwrap());
        let feed = async move {
            let _ = stdin.write_all(&spec.stdin.unwrap_or_default()).await;
            let _ = stdin.shutdown().await;
        };
        tokio::join!(
            feed,
            pump(stdout, Stream::Stdout, chunks.clone()),
            pump(stderr, Stream::Stderr, chunks)
        );
        let status = child.wait().await.map_err(broken)?;
        Ok(status.code().unwrap_or(255).into())
    }

    async fn put(&self, _: &str, _: Bytes) -> Result<(), EngineError> {
        Err(unsupported(&self.id.0))
    }

    async fn get(&self, _: &str) -> Result<Bytes, EngineError> {
        Err(unsupported(&self.id.0))
    }

    async fn export(&self, _: &Path) -> Result<(), EngineError> {
        Err(unsupported(&self.id.0))
    }

    async fn commit(&self, _: &ImageConfig) -> Result<ImageRecord, EngineError> {
        Err(unsupported(&self.id.0))
    }

    async fn start(&self) -> Result<(), EngineError> {
        Ok(())
    }

    async fn stop(&self, _: Duration) -> Result<(), EngineError> {
        Ok(())
    }

    async fn remove(self) -> Result<(), EngineError> {
        Ok(())
    }
}

async fn pump(mut from: impl tokio::io::AsyncRead + Unpin, stream: Stream, to: mpsc::Sender<Chunk>) {
    let mut buffer = vec![0; 1 << 16];
    while let Ok(count @ 1..) = from.read(&mut buffer).await {
        let _ = to.send(Chunk { stream, bytes: Bytes::copy_from_slice(&buffer[..count]) }).await;
    }
}

/// A project, a container, a bridge between them, and all that was reported.
pub(crate) struct Scene {
    pub(crate) root: TempDir,
    pub(crate) container: Cli,
    pub(crate) bridge: Bridge<Cli>,
    pub(crate) events: mpsc::UnboundedReceiver<EventKind>,
    pub(crate) tools: Toolchain,
    _sockets: TempDir,
}

impl Scene {
    /// Sets the scene, or prints why the test is skipped.
    pub(crate) async fn new() -> Option<Self> {
        Self::of(IMAGE, &[]).await
    }

    pub(crate) async fn of(image: &str, arguments: &[&str]) -> Option<Self> {
        let container = match Cli::start(image, arguments).await {
            Ok(container) => container,
            Err(reason) => return skip(&reason),
        };
        let tools = match TOOLS.get_or_init(tools).await {
            Ok(tools) => tools.clone(),
            Err(reason) => return skip(reason),
        };
        let (root, sockets) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let (sender, events) = mpsc::unbounded_channel();
        let hosts = HashMap::from([("app".to_owned(), container.clone())]);
        let step = Step { image: "app".parse().unwrap(), op: Op::Converge, layer: None };
        let bridge = Bridge::open(sockets.path(), hosts, sender, step, root.path()).await.unwrap();
        Some(Self { root, container, bridge, events, tools, _sockets: sockets })
    }

    /// Writes a file of the project.
    pub(crate) fn write(&self, path: &str, content: &str) {
        let path = self.root.path().join(path);
        fs_err::create_dir_all(path.parent().unwrap()).unwrap();
        fs_err::write(path, content).unwrap();
    }

    /// Describes `site.yml` on the host `app`.
    pub(crate) fn playbook(&self) -> Playbook {
        Playbook {
            path: "site.yml".into(),
            project_root: self.root.path().to_owned(),
            inventory: Inventory::of("app", ["web".to_owned()]),
            env: environment(),
            ..Playbook::default()
        }
    }

    /// Runs a playbook.
    pub(crate) async fn run(&self, playbook: &Playbook) -> Result<Converged, AnsibleError> {
        takelage_python::ansible::run(&self.tools, playbook, &self.bridge, CancellationToken::new()).await
    }

    /// Writes the tasks as the only play of `site.yml` and runs it.
    pub(crate) async fn tasks(&self, tasks: &str) -> Result<Converged, AnsibleError> {
        self.write("site.yml", &play(tasks));
        self.run(&self.playbook()).await
    }

    /// Returns all that was reported since the last call.
    pub(crate) fn reported(&mut self) -> Vec<EventKind> {
        let mut events = Vec::new();
        while let Ok(event) = self.events.try_recv() {
            events.push(event);
        }
        events
    }
}

/// A play without facts, with these tasks, which are indented by four.
pub(crate) fn play(tasks: &str) -> String {
    format!("- name: test\n  hosts: all\n  gather_facts: false\n  tasks:\n{tasks}\n")
}

/// Returns the results of whole tasks as name and status.
pub(crate) fn results(events: &[EventKind]) -> Vec<(String, TaskStatus)> {
    events
        .iter()
        .filter_map(|event| match event {
            EventKind::TaskResult { task, item: None, status, .. } => Some((task.name.clone(), *status)),
            _ => None,
        })
        .collect()
}

/// Returns the failed task of a run that must have failed by one.
pub(crate) fn failed(result: Result<Converged, AnsibleError>) -> FailedTask {
    match result {
        Err(AnsibleError::Failed(failed)) => *failed,
        other => panic!("no task failed: {other:?}"),
    }
}

fn skip<T>(reason: &str) -> Option<T> {
    println!("skipped, because {reason}");
    None
}

#[expect(clippy::disallowed_methods, reason = "a test takes the place of the binary")]
pub(crate) fn environment() -> Vec<(String, String)> {
    let kept = |name: &str| {
        ["PATH", "HOME", "LANG"].contains(&name)
            || ["PIP_", "SSL_", "http", "no_proxy"].iter().any(|p| name.starts_with(p))
    };
    std::env::vars().filter(|(name, _)| kept(name)).collect()
}

/// Where the private environment of the tests lives.
pub(crate) fn private() -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).join("private")
}

async fn tools() -> Result<Toolchain, String> {
    let env = environment();
    let path = env.iter().find(|(name, _)| name == "PATH").map(|(_, path)| path.clone()).unwrap_or_default();
    let path = path.split(':').map(PathBuf::from).collect();
    let wanted = Wanted { path, private: private(), env, ..Wanted::default() };
    toolchain::find(&wanted, &|line| println!("{line}"))
        .await
        .map_err(|error| format!("there is no toolchain: {error}"))
}
