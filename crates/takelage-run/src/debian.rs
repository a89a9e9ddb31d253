//! Debian's archive, as the steps of a run use it.

use std::{
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use takelage_bootstrap::{Mirror, Progress, Request, Settings};
use takelage_engine::Engine;
use takelage_model::event::Step;

use crate::{Session, StepError};

/// A signed index younger than this is not fetched again, so that a chain of commands sees one archive.
const INDEX_AGE: Duration = Duration::from_secs(10 * 60);

/// The package that Debian keeps a wheel of pip in, and a suite that has it: that pip runs with Python 3.7 and later.
const PIP: (&str, &str) = ("python3-pip-whl", "bookworm");

impl<E: Engine> Session<E> {
    /// Returns what downloads need; they end when the run is interrupted. Their progress is the step's, if there is one.
    pub(crate) fn archive(&self, step: Option<&Step>) -> Result<Archive, StepError> {
        let events = self.events.clone();
        let step = step.cloned();
        let cancelled = Arc::new(AtomicBool::new(false));
        let (flag, token) = (Arc::downgrade(&cancelled), self.cancel.token());
        tokio::spawn(async move {
            token.cancelled().await;
            if let Some(flag) = flag.upgrade() {
                flag.store(true, Ordering::SeqCst);
            }
        });
        Ok(Archive {
            cache: self.store.directory("bootstrap-v1")?,
            proxy: self.options.proxy.clone(),
            progress: Box::new(move |progress: Progress<'_>| {
                if let Some(step) = &step {
                    events.progress(step, progress.what, progress.done, progress.total, "bytes");
                }
            }),
            cancelled,
        })
    }

    /// Downloads Debian's wheel of pip and returns its path, which lasts as long as the run.
    pub(crate) async fn fetch_pip(&self) -> Result<PathBuf, StepError> {
        let (package, suite) = PIP;
        let request = Request { mirror: host_mirror(), ..Request::new(suite) };
        let (archive, to) = (self.archive(None)?, self.directory.scratch().to_owned());
        let wheel = |path: &str| {
            let rest = path.strip_prefix("usr/share/python-wheels/pip-");
            rest.is_some_and(|rest| rest.strip_suffix(".whl").is_some())
        };
        let fetch = blocking(move || {
            archive.with(|settings| takelage_bootstrap::fetch_file(&request, package, wheel, settings, &to))
        });
        Ok(fetch.await??)
    }
}

/// Returns the mirror that the host's apt uses, or else Debian's own.
pub(crate) fn host_mirror() -> Mirror {
    takelage_bootstrap::host_mirror(Path::new("/etc/apt")).map_or(Mirror::Default, Mirror::Host)
}

/// What [`Settings`] borrows, owned, so that it can go to a thread.
pub(crate) struct Archive {
    cache: PathBuf,
    proxy: Option<String>,
    progress: Box<dyn Fn(Progress<'_>) + Send + Sync>,
    cancelled: Arc<AtomicBool>,
}

impl Archive {
    pub(crate) fn with<T>(&self, work: impl FnOnce(&Settings<'_>) -> T) -> T {
        work(&Settings {
            cache: self.cache.clone(),
            keyrings: vec!["/usr/share/keyrings".into()],
            proxy: self.proxy.clone(),
            max_age: INDEX_AGE,
            offline: false,
            progress: &*self.progress,
            cancelled: &self.cancelled,
        })
    }
}

/// Runs what blocks on a thread that may.
pub(crate) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, StepError> {
    tokio::task::spawn_blocking(work).await.map_err(|_| StepError::Panicked)
}
