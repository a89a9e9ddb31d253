//! Everything that the steps of one run share.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::Arc,
    time::Instant,
};

use sha2::{Digest as _, Sha256};
use takelage_config::{Image, Project};
use takelage_engine::Engine;
use takelage_model::{
    ImageName, RunId,
    event::{EventKind, Level, Op, Outcome, Step},
};
use takelage_python::{
    ansible::{self, Required},
    toolchain::{self, Distributions, Toolchain, ToolchainError, Wanted},
};
use tokio::sync::OnceCell;

use crate::{
    Cancel, Events, StepError, Store,
    recipe::ProjectFiles,
    steps::Purpose,
    store::{Lock, RunDirectory},
};

/// What the command line decides about a run.
#[derive(Debug, Clone)]
#[expect(clippy::struct_excessive_bools, reason = "each is a choice of its own")]
pub struct Options {
    /// Make everything again.
    pub no_cache: bool,
    /// Make everything again, and remember it.
    pub refresh: bool,
    /// Run all checks, also those of an image and checks that are unchanged.
    pub no_cached_checks: bool,
    /// Run Ansible and pytest without any acceleration.
    pub plain: bool,
    /// Keep a container in which something failed, beyond the one that `develop` keeps anyway.
    pub keep_failed: bool,
    /// The time that images and their files are stamped with: `SOURCE_DATE_EPOCH`, in seconds.
    pub source_date_epoch: Option<i64>,
    /// Show what would change, in the differences of files.
    pub diff: bool,
    /// How much Ansible says, `-v` to `-vvvv`.
    pub verbosity: u8,
    /// How many images are worked on at once.
    pub jobs: usize,
    /// The proxy for downloads.
    pub proxy: Option<String>,
    /// What to do about a failure: the words are the front end's.
    pub hint: fn(&StepError) -> Option<String>,
    /// A short directory for sockets, where the run's own is too long for one.
    pub temporary: PathBuf,
}

/// One run of one project on one engine.
#[derive(Debug)]
pub struct Session<E> {
    /// The engine.
    pub engine: E,
    /// The project.
    pub project: Project,
    /// The project's identity: its name and eight digits of a digest of its place.
    pub id: String,
    /// What is remembered.
    pub store: Store,
    /// This run.
    pub run: RunId,
    /// This run's place for large files.
    pub directory: Arc<RunDirectory>,
    /// Where events go.
    pub events: Events,
    /// How it is interrupted.
    pub cancel: Cancel,
    /// The environment that takelage was started in.
    pub environment: BTreeMap<String, String>,
    /// What the command line decides.
    pub options: Options,
    /// What the command line and the project want of the toolchain.
    pub wanted: Wanted,
    toolchain: Arc<OnceCell<Toolchain>>,
    required: OnceCell<Option<Required>>,
    files: OnceCell<ProjectFiles>,
    installed: OnceCell<Option<String>>,
}

/// What a [`Session`] is made of.
#[derive(Debug)]
#[expect(missing_docs, reason = "each field is documented at `Session`")]
pub struct SessionParts<E> {
    pub engine: E,
    pub project: Project,
    pub store: Store,
    pub directory: RunDirectory,
    pub run: RunId,
    pub events: Events,
    pub cancel: Cancel,
    pub environment: BTreeMap<String, String>,
    pub options: Options,
    pub wanted: Wanted,
}

impl<E> SessionParts<E> {
    /// The same on another engine.
    pub fn on<F>(self, engine: F) -> SessionParts<F> {
        let Self { engine: _, project, store, directory, run, events, cancel, environment, options, wanted } =
            self;
        SessionParts { engine, project, store, directory, run, events, cancel, environment, options, wanted }
    }
}

/// Returns a project's identity: its name, as far as references can have it, and eight digits of a digest of its
/// place. Two checkouts of one project differ.
pub(crate) fn identity(project: &Project) -> String {
    place_identity(&project.name, &project.root)
}

/// Returns the identity of what is called `name` and lies at `place`.
pub(crate) fn place_identity(name: &str, place: &Path) -> String {
    let place = place.canonicalize().unwrap_or_else(|_| place.to_owned());
    let digest = Sha256::digest(std::os::unix::ffi::OsStrExt::as_bytes(place.as_os_str()));
    let fit = |c: char| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '-' };
    let words: String = name.chars().map(fit).collect();
    let words: Vec<&str> = words.split('-').filter(|word| !word.is_empty()).collect();
    let name: String = words.join("-").chars().take(40).collect();
    format!(
        "{}-{}",
        if name.is_empty() { "project" } else { name.trim_end_matches('-') },
        hex::encode(&digest[..4])
    )
}

impl<E: Engine> Session<E> {
    /// Begins a run, and removes what runs of this project that died have left.
    pub async fn begin(parts: SessionParts<E>) -> Result<Self, StepError> {
        let session = Self {
            id: identity(&parts.project),
            engine: parts.engine,
            project: parts.project,
            store: parts.store,
            run: parts.run,
            directory: Arc::new(parts.directory),
            events: parts.events,
            cancel: parts.cancel,
            environment: parts.environment,
            options: parts.options,
            wanted: parts.wanted,
            toolchain: Arc::default(),
            required: OnceCell::new(),
            files: OnceCell::new(),
            installed: OnceCell::new(),
        };
        session.remove_leavings().await?;
        Ok(session)
    }

    /// Returns a session of the same run on another project, with the same toolchain.
    pub(crate) fn beside(&self, project: Project) -> Self {
        Self {
            id: identity(&project),
            engine: self.engine.clone(),
            project,
            store: self.store.clone(),
            run: self.run.clone(),
            directory: Arc::clone(&self.directory),
            events: self.events.clone(),
            cancel: self.cancel.clone(),
            environment: self.environment.clone(),
            options: self.options.clone(),
            wanted: self.wanted.clone(),
            toolchain: Arc::clone(&self.toolchain),
            required: OnceCell::new(),
            files: OnceCell::new(),
            installed: OnceCell::new(),
        }
    }

    /// Returns the image that commands mean: the named one, or the last.
    pub fn image(&self, name: &ImageName) -> Result<&Image, StepError> {
        self.project.images.get(name).ok_or_else(|| StepError::UnknownImage {
            name: name.clone(),
            known: self.project.images.keys().cloned().collect(),
        })
    }

    /// Runs one step: says that it begins and how it ended.
    ///
    /// `work` returns the outcome with its value. It must watch for interrupts itself, or be
    /// [`interruptible`](Self::interruptible).
    pub async fn step<T>(
        &self,
        image: &ImageName,
        op: Op,
        layer: Option<&str>,
        work: impl AsyncFnOnce(Step) -> Result<(Outcome, T), StepError>,
    ) -> Result<T, StepError> {
        if self.cancel.is_interrupted() {
            return Err(StepError::Interrupted);
        }
        let step = Step { image: image.clone(), op, layer: layer.map(str::to_owned) };
        self.events.emit(EventKind::StepStarted { step: step.clone() });
        let began = Instant::now();
        let result = work(step.clone()).await;
        let outcome = match &result {
            Ok((outcome, _)) => outcome.clone(),
            Err(error) if error.is_interruption() || self.cancel.is_interrupted() => Outcome::Aborted,
            Err(error) => Outcome::Failed { message: error.sentence(), hint: (self.options.hint)(error) },
        };
        self.events.emit(EventKind::StepFinished { step, outcome, took: began.elapsed() });
        match result {
            Ok((_, value)) => Ok(value),
            Err(_) if self.cancel.is_interrupted() => Err(StepError::Interrupted),
            Err(error) => Err(StepError::Told(Box::new(error))),
        }
    }

    /// Awaits what may be dropped at any point, unless the run is interrupted.
    pub async fn interruptible<T, F: Into<StepError>>(
        &self,
        work: impl Future<Output = Result<T, F>>,
    ) -> Result<T, StepError> {
        match self.cancel.unless_interrupted(work).await {
            Some(result) => result.map_err(Into::into),
            None => Err(StepError::Interrupted),
        }
    }

    /// Waits for the right to work on an image: to produce it, or to use the container that is kept for it.
    pub(crate) async fn lock(&self, image: &ImageName, purpose: Purpose) -> Result<Lock, StepError> {
        let waiting = || {
            let message = format!("another takelage works on `{image}` of this project; waiting for it");
            self.events.note(Level::Info, message, None);
        };
        let name = format!("{}.{image}.{}", self.id, purpose.label());
        self.interruptible(self.store.lock(&name, waiting)).await
    }

    /// Returns Ansible and pytest, found or made at the first call.
    pub async fn toolchain(&self) -> Result<&Toolchain, StepError> {
        self.toolchain
            .get_or_try_init(|| async {
                let say = |line: &str| self.events.note(Level::Info, line, None);
                let found = self.interruptible(toolchain::find(&self.wanted, &say)).await;
                let Err(StepError::Toolchain(ToolchainError::NoPip { python })) = found else { return found };
                say(&format!("`{}` has no pip: using the one of Debian's archive", python.display()));
                let pip = match self.fetch_pip().await {
                    Ok(pip) => Some(pip),
                    Err(_) if self.cancel.is_interrupted() => return Err(StepError::Interrupted),
                    Err(error) => {
                        self.events.note(Level::Warning, error.sentence(), None);
                        return Err(ToolchainError::NoPip { python }.into());
                    }
                };
                let wanted = Wanted { pip, ..self.wanted.clone() };
                self.interruptible(toolchain::find(&wanted, &say)).await
            })
            .await
    }

    /// Carries out `work` and looks for Ansible and pytest meanwhile, as that takes some starts of Python. What goes wrong with them is
    /// told by whoever needs them first.
    pub(crate) async fn with_toolchain_ahead<T>(&self, work: impl Future<Output = T>) -> T {
        let mut work = std::pin::pin!(work);
        tokio::select! {
            biased;
            result = &mut work => return result,
            _ = self.toolchain() => {}
        }
        work.await
    }

    /// Returns where the roles and collections of `ansible.requirements` are, installed at the first call.
    pub(crate) async fn required(&self) -> Result<Option<&Required>, StepError> {
        let Some(file) = &self.project.ansible.requirements else { return Ok(None) };
        let install = || async {
            let private = self.store.directory("toolchains-v1")?;
            let env: Vec<_> = self.environment.clone().into_iter().collect();
            let say = |line: &str| self.events.note(Level::Info, line, None);
            let tools = self.toolchain().await?;
            let root = &self.project.root;
            let required =
                ansible::require(tools, file, root, &private, &env, &self.cancel.token(), &say).await?;
            Ok::<_, StepError>(Some(required))
        };
        Ok(self.required.get_or_try_init(install).await?.as_ref())
    }

    /// Returns what is installed for pytest, asked at the first call. `None`: it may change at any time without a sign of it.
    pub(crate) async fn installed(&self) -> Result<Option<&str>, StepError> {
        let ask = || async {
            let env: Vec<_> = self.environment.clone().into_iter().collect();
            let tools = self.toolchain().await?;
            let asked =
                self.interruptible(async { Ok::<_, StepError>(tools.distributions(&env).await) }).await?;
            let reason = match asked {
                Ok(Distributions { all, in_place }) if in_place.is_empty() => return Ok(Some(all)),
                Ok(Distributions { in_place, .. }) => format!("{} may change", in_place.join(", ")),
                Err(reason) => reason,
            };
            tracing::debug!(reason, "what checks come to is not remembered");
            Ok::<_, StepError>(None)
        };
        Ok(self.installed.get_or_try_init(ask).await?.as_deref())
    }

    /// Returns the project's files, read at the first call.
    pub async fn files(&self) -> Result<&ProjectFiles, StepError> {
        self.files.get_or_try_init(|| self.read_files()).await
    }

    /// Returns the project's files as they are now.
    pub(crate) async fn read_files(&self) -> Result<ProjectFiles, StepError> {
        let roots = self.roots();
        let files = tokio::task::spawn_blocking(move || ProjectFiles::read(&roots)).await;
        files.map_err(|_| StepError::Panicked)?.map_err(StepError::from)
    }

    /// Returns the project's directory and those that it names outside of it.
    fn roots(&self) -> Vec<PathBuf> {
        let named = self.project.images.values().flat_map(|image| {
            let playbooks =
                image.layers.iter().filter_map(|layer| layer.playbook.parent().map(Path::to_owned));
            image.roles_path.iter().cloned().chain(image.inventory.links.values().cloned()).chain(playbooks)
        });
        let outside = named.filter(|path| !path.starts_with(&self.project.root) && path.is_dir());
        let mut roots: Vec<PathBuf> = std::iter::once(self.project.root.clone()).chain(outside).collect();
        roots.dedup();
        roots
    }
}
