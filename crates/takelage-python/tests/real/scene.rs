//! What the tests of this crate share: a container, and a project to run in it.

use std::{
    collections::HashMap,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::atomic::{AtomicU32, Ordering},
};

use takelage_engine::{
    Container, ContainerSpec, Engine, ExecSpec, Network,
    docker::{Docker, DockerContainer, Settings},
};
use takelage_model::event::{EventKind, Op, Step, TaskStatus};
use takelage_python::{
    Bridge, Toolchain,
    ansible::{AnsibleError, Converged, FailedTask, Inventory, Playbook},
    toolchain::{self, Wanted},
};
use takelage_testkit::skip;
use tempfile::TempDir;
use tokio::sync::{OnceCell, mpsc};
use tokio_util::sync::CancellationToken;

/// An image with Python and sudo.
pub(crate) const IMAGE: &str = "takelwerk/takelslim:latest";

static COUNT: AtomicU32 = AtomicU32::new(0);
static TOOLS: OnceCell<Result<Toolchain, String>> = OnceCell::const_new();

/// A container that goes when the test ends, whichever way.
#[derive(Debug)]
pub(crate) struct Guarded(pub(crate) DockerContainer);

impl Guarded {
    /// Starts a container, or says why it cannot be.
    pub(crate) async fn start(image: &str, network: Network) -> Result<Self, String> {
        let docker = Docker::connect(&settings()).await.map_err(|error| error.to_string())?;
        let record = docker.image(image).await.map_err(|error| error.to_string())?;
        let record = record.ok_or_else(|| format!("there is no image {image}"))?;
        let name = format!("tlg-python-{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        let spec = ContainerSpec { network, ..ContainerSpec::new(name, record.id) };
        docker.create(&spec).await.map(Self).map_err(|error| error.to_string())
    }

    /// Runs a shell script as root and returns its standard output.
    pub(crate) async fn sh(&self, script: &str) -> String {
        let ran = self.0.run(ExecSpec::root(["/bin/sh", "-c", script])).await.unwrap();
        assert!(ran.success(), "`{script}`: {}", String::from_utf8_lossy(&ran.stderr));
        String::from_utf8(ran.stdout).unwrap()
    }
}

impl Drop for Guarded {
    fn drop(&mut self) {
        // A drop cannot await.
        let _ = Command::new("docker").args(["rm", "-f", "-v", self.0.name()]).stdout(Stdio::null()).status();
    }
}

#[expect(clippy::disallowed_methods, reason = "a test takes the place of the binary")]
fn settings() -> Settings {
    let scratch = Path::new(env!("CARGO_TARGET_TMPDIR")).to_owned();
    Settings { host: std::env::var("DOCKER_HOST").ok(), tls: None, config_dir: None, scratch, plain: false }
}

/// A project, a container, a bridge between them, and all that was reported.
pub(crate) struct Scene {
    pub(crate) root: TempDir,
    pub(crate) container: Guarded,
    pub(crate) bridge: Bridge<DockerContainer>,
    pub(crate) events: mpsc::UnboundedReceiver<EventKind>,
    pub(crate) tools: Toolchain,
    pub(crate) sockets: TempDir,
}

/// Opens a bridge to the container `app`, and returns it with what it reports.
async fn bridge(
    sockets: &Path,
    container: &Guarded,
    root: &Path,
) -> (Bridge<DockerContainer>, mpsc::UnboundedReceiver<EventKind>) {
    let (sender, events) = mpsc::unbounded_channel();
    let hosts = HashMap::from([("app".to_owned(), container.0.clone().into())]);
    let step = Step { image: "app".parse().unwrap(), op: Op::Converge, layer: None };
    (Bridge::open(sockets, hosts, sender, step, root).await.unwrap(), events)
}

impl Scene {
    /// Sets the scene. `None`: the test is skipped.
    pub(crate) async fn new() -> Option<Self> {
        let container = match Guarded::start(IMAGE, Network::Default).await {
            Ok(container) => container,
            Err(reason) => skip!("{reason}"),
        };
        let tools = match TOOLS.get_or_init(tools).await {
            Ok(tools) => tools.clone(),
            Err(reason) => skip!("{reason}"),
        };
        let (root, sockets) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let (bridge, events) = bridge(sockets.path(), &container, root.path()).await;
        Some(Self { root, container, bridge, events, tools, sockets })
    }

    /// Has a bridge follow the one that there was, as in the next run.
    pub(crate) async fn next_run(self, keep: &Path) -> Self {
        self.bridge.close().await;
        let (bridge, events) = bridge(self.sockets.path(), &self.container, self.root.path()).await;
        Self { bridge: bridge.accelerated(keep.to_owned()), events, ..self }
    }

    /// The same, where Ansible is made faster with what is kept in a directory, if there is one.
    pub(crate) async fn with(keep: Option<&Path>) -> Option<Self> {
        let mut scene = Self::new().await?;
        if let Some(keep) = keep {
            scene.bridge = scene.bridge.accelerated(keep.to_owned());
        }
        Some(scene)
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

#[expect(clippy::disallowed_methods, reason = "a test takes the place of the binary")]
pub(crate) fn environment() -> Vec<(String, String)> {
    let kept = |name: &str| {
        ["PATH", "HOME", "LANG"].contains(&name)
            || ["PIP_", "SSL_", "http", "no_proxy"].iter().any(|p| name.starts_with(p))
    };
    std::env::vars().filter(|(name, _)| kept(name)).collect()
}

/// Where the private environment of the tests lives.
fn private() -> PathBuf {
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
