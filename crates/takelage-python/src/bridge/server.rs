//! The listening side.

use std::{
    collections::HashMap,
    fmt, io,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
};

use takelage_engine::Container;
use takelage_model::event::{EventKind, Step};
use thiserror::Error;
use tokio::{net::UnixListener, sync::mpsc};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::{
    Report,
    ahead::Ahead,
    memory::{Host, Remembered},
    serve,
    zygote::Zygotes,
};

/// The longest path of a unix socket that every supported system takes, in bytes.
const SOCKET_PATH_LIMIT: usize = 103;

/// A socket that serves the containers of one step to the Python processes of that step.
///
/// Whoever can open the socket can run commands in the containers, so it lies in a directory that only its
/// owner can enter. Dropping the bridge closes all connections without waiting; [`Bridge::close`] waits.
pub struct Bridge<C> {
    shared: Arc<Shared<C>>,
    socket: PathBuf,
    keep: Option<PathBuf>,
    ahead: Option<Arc<Ahead>>,
    _directory: tempfile::TempDir,
    tasks: TaskTracker,
}

/// What all connections use.
pub(super) struct Shared<C> {
    pub(super) hosts: HashMap<String, Host<C>>,
    pub(super) cancel: CancellationToken,
    pub(super) zygotes: Zygotes,
    step: Step,
    roots: Vec<PathBuf>,
    events: mpsc::UnboundedSender<EventKind>,
    listener: Mutex<Option<mpsc::UnboundedSender<Report>>>,
}

/// The socket could not be made.
#[derive(Debug, Error)]
pub enum BridgeError {
    /// The directory for it cannot be made.
    #[error("cannot make a private directory in `{directory}`")]
    Directory {
        /// Where.
        directory: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The socket's path is longer than the system takes.
    #[error(
        "the socket's path `{path}` is longer than {SOCKET_PATH_LIMIT} bytes: choose a shorter directory"
    )]
    LongPath {
        /// The path.
        path: PathBuf,
    },
    /// It cannot be listened on.
    #[error("cannot listen on `{path}`")]
    Listen {
        /// The socket.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
}

impl<C: Container> Bridge<C> {
    /// Listens on a new socket in a new private directory below `directory`.
    ///
    /// `hosts` maps names of the inventory to containers; those that are there are warmed up while Python starts. What
    /// Python reports is sent to `events` as part of `step`, with paths relative to `project_root` where they lie inside.
    pub async fn open(
        directory: &Path,
        hosts: HashMap<String, Host<C>>,
        events: mpsc::UnboundedSender<EventKind>,
        step: Step,
        project_root: &Path,
    ) -> Result<Self, BridgeError> {
        let fail = |source| BridgeError::Directory { directory: directory.to_owned(), source };
        let private = tempfile::Builder::new()
            .prefix("b")
            .permissions(std::fs::Permissions::from_mode(0o700))
            .tempdir_in(directory)
            .map_err(fail)?;
        let socket = private.path().join("s");
        if socket.as_os_str().len() > SOCKET_PATH_LIMIT {
            return Err(BridgeError::LongPath { path: socket });
        }
        let listener = UnixListener::bind(&socket)
            .map_err(|source| BridgeError::Listen { path: socket.clone(), source })?;
        let mut roots = vec![project_root.to_owned()];
        if let Ok(resolved) = fs_err::tokio::canonicalize(project_root).await
            && resolved != project_root
        {
            roots.push(resolved);
        }
        let (cancel, tasks) = (CancellationToken::new(), TaskTracker::new());
        let shared = Arc::new(Shared {
            hosts,
            zygotes: Zygotes::new(cancel.clone(), tasks.clone()),
            cancel: cancel.clone(),
            step,
            roots,
            events,
            listener: Mutex::new(None),
        });
        tasks.spawn(accept(listener, Arc::clone(&shared), tasks.clone()));
        for host in shared.hosts.values() {
            let Host::Container(container) = host else { continue };
            let (container, cancelled) = (container.clone(), cancel.clone().cancelled_owned());
            tasks.spawn(async move {
                tokio::select! {
                    () = container.warm_up() => {}
                    () = cancelled => {}
                }
            });
        }
        Ok(Self { shared, socket, keep: None, ahead: None, _directory: private, tasks })
    }

    /// Has Ansible made faster, with what lasts across runs in the directory `keep`. Without it, Ansible runs plainly.
    #[must_use]
    pub fn accelerated(mut self, keep: PathBuf) -> Self {
        let root = self.shared.roots.first().map_or(Path::new(""), PathBuf::as_path);
        let ahead = Arc::new(Ahead::read(&keep, root));
        self.shared.zygotes.note_first(Arc::clone(&ahead));
        self.keep = Some(keep);
        self.ahead = Some(ahead);
        self
    }

    /// Starts the interpreters that a playbook is likely to need.
    pub(crate) fn start_ahead(&self) {
        let Some(ahead) = &self.ahead else { return };
        for (host, container) in &self.shared.hosts {
            if let (Host::Container(container), Some(start)) = (container, ahead.of(host)) {
                let (shared, container) = (Arc::clone(&self.shared), container.clone());
                let (host, start) = (host.clone(), start.clone());
                self.tasks.spawn(async move { shared.zygotes.start(&container, &host, start).await });
            }
        }
    }

    /// Returns the variables by which the programs of this step find the bridge.
    pub(crate) fn variables(&self) -> impl Iterator<Item = (&'static str, &Path)> {
        let keep = self.keep.as_deref().map(|keep| ("TAKELAGE_KEEP", keep));
        let remembers = self.shared.remembered().next().map(|_| ("TAKELAGE_REMEMBERS", Path::new("1")));
        [("TAKELAGE_SOCKET", self.socket())].into_iter().chain(keep).chain(remembers)
    }

    /// Returns the socket's path.
    pub fn socket(&self) -> &Path {
        &self.socket
    }

    /// Ends all connections, whatever they are doing, and removes the socket.
    pub async fn close(self) {
        self.shared.cancel.cancel();
        self.tasks.close();
        self.tasks.wait().await;
        if let Some(ahead) = &self.ahead {
            ahead.write();
        }
    }

    /// Returns the step whose events this bridge sends.
    pub(crate) fn step(&self) -> &Step {
        &self.shared.step
    }

    /// Sends an event that is not reported by Python itself.
    pub(crate) fn emit(&self, kind: EventKind) {
        let _ = self.shared.events.send(kind);
    }

    /// Listens to what is reported from now on, in place of whoever listened before.
    pub(crate) fn listen(&self) -> mpsc::UnboundedReceiver<Report> {
        let (sender, receiver) = mpsc::unbounded_channel();
        *self.shared.listener.lock().unwrap_or_else(PoisonError::into_inner) = Some(sender);
        receiver
    }
}

impl<C> Drop for Bridge<C> {
    fn drop(&mut self) {
        self.shared.cancel.cancel();
    }
}

impl<C> fmt::Debug for Bridge<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Bridge").field("socket", &self.socket).finish_non_exhaustive()
    }
}

impl<C> Shared<C> {
    /// Returns the hosts that may not be there.
    fn remembered(&self) -> impl Iterator<Item = &Remembered<C>> {
        self.hosts.values().filter_map(|host| match host {
            Host::Container(_) => None,
            Host::Remembered(remembered) => Some(remembered),
        })
    }

    /// Has forgotten what a task did that has failed.
    pub(super) async fn forget(&self, task: &str) {
        for remembered in self.remembered() {
            remembered.memory.failed(task).await;
        }
    }

    /// Passes a report on: as an event to the user, and as it is to the driver that listens.
    pub(super) fn report(&self, report: Report) {
        let report = report.relative_to(&self.roots);
        if let Some(kind) = report.event(&self.step) {
            // A receiver that is gone has stopped caring about events; the work goes on.
            let _ = self.events.send(kind);
        }
        if let Some(listener) = self.listener.lock().unwrap_or_else(PoisonError::into_inner).as_ref() {
            let _ = listener.send(report);
        }
    }
}

/// Takes connections until the bridge closes.
async fn accept<C: Container>(listener: UnixListener, shared: Arc<Shared<C>>, tasks: TaskTracker) {
    loop {
        let accepted = tokio::select! {
            () = shared.cancel.cancelled() => return,
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok((stream, _)) => {
                tasks.spawn(serve::connection(stream, Arc::clone(&shared)));
            }
            Err(error) => {
                // Out of descriptors, most likely. Waiting lets connections end; spinning would not.
                tracing::warn!(%error, "cannot accept a connection from Python");
                tokio::time::sleep(std::time::Duration::from_millis(50)).await;
            }
        }
    }
}
