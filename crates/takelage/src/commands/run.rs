//! Runs a verb from the first event to the last: engine, session, reports, signals.

use std::{io::Write, num::NonZeroUsize, time::Duration};

use takelage_config::Project;
use takelage_engine::AnyEngine;
use takelage_model::{
    Exit, ImageName, RunId,
    event::{Event, EventKind, Level},
};
use takelage_report::{JsonLines, Junit, Reporters, Style, Terminal};
use takelage_run::{
    Cancel, CancelReason, Dispatcher, Events, Options, Session, SessionParts, StepError, Store, Verdict,
};
use tokio::signal::unix::{SignalKind, signal};

use super::engine;
use crate::{cli::OnFailure, failure::Failure, hint, settings::Settings};

/// A verb and what the command line says about this run of it.
#[derive(Debug)]
pub(crate) struct Work {
    /// The verb's name.
    pub(crate) command: &'static str,
    /// The project.
    pub(crate) project: Project,
    /// The images it is about, in the order of the chain.
    pub(crate) images: Vec<ImageName>,
    /// The rest.
    pub(crate) choices: Choices,
}

/// Runs `verb` in a session of its own and reports what happens. Returns how it ended.
pub(crate) fn run(
    settings: &Settings,
    work: Work,
    verb: impl AsyncFnOnce(&Session<AnyEngine>, &[ImageName]) -> Verdict,
) -> Result<Exit, Failure> {
    reported(
        settings,
        settings.style,
        |_| false,
        async |run, events, cancel| session(settings, work, run, events, cancel, verb).await,
    )
}

/// Runs `work` with reports and signals around it; `show` says of an event whether it has shown it, so that
/// no report for people has to.
pub(crate) fn reported(
    settings: &Settings,
    style: Style,
    show: impl Fn(&Event) -> bool + Send + 'static,
    work: impl AsyncFnOnce(RunId, Events, Cancel) -> Result<Exit, Failure>,
) -> Result<Exit, Failure> {
    let runtime = super::runtime()?;
    let exit = runtime.block_on(async {
        let reporters = reporters(settings, style)?;
        let run = new_run();
        let (dispatcher, events) =
            Dispatcher::start(run.clone(), reporters, move |reporters: &mut Reporters, event: &Event| {
                if show(event) {
                    reporters.record(event);
                } else {
                    reporters.handle(event);
                }
            });
        let cancel = Cancel::default();
        let watch = tokio::spawn(watch_signals(cancel.clone(), events.clone()));
        let result = tokio::select! {
            result = work(run, events.clone(), cancel.clone()) => result,
            () = cancel.aborted() => Ok(Exit::Interrupted),
        };
        watch.abort();
        let exit = match &result {
            Ok(exit) => *exit,
            Err(failure) => failure.exit(),
        };
        if let Err(failure) = &result {
            events.note(Level::Error, crate::output::sentence(failure), hint::of_failure(failure));
        }
        events.emit(EventKind::RunFinished { exit });
        drop(events);
        // The watcher holds a sender of its own until it is gone.
        let _ = watch.await;
        // A run that was aborted may have work that does not notice; its events are not waited for.
        let patience = if cancel.reason() == Some(CancelReason::Abort) { 1 } else { 60 };
        if let Ok(Some(reporters)) =
            tokio::time::timeout(Duration::from_secs(patience), dispatcher.finish()).await
        {
            reporters.finish();
        }
        Ok(exit)
    });
    // Threads that block end with the process.
    runtime.shutdown_background();
    exit
}

async fn session(
    settings: &Settings,
    work: Work,
    run: RunId,
    events: Events,
    cancel: Cancel,
    verb: impl AsyncFnOnce(&Session<AnyEngine>, &[ImageName]) -> Verdict,
) -> Result<Exit, Failure> {
    let options = options(settings, &work.choices)?;
    let store = Store::open(settings.cache()?)?;
    let directory = store.begin(&run)?;
    let chosen = tokio::select! {
        chosen = engine::choose(settings, Some(&work.project), directory.scratch()) => chosen?,
        () = interrupted(&cancel) => return Ok(Exit::Interrupted),
    };
    events.emit(EventKind::RunStarted {
        command: work.command.to_owned(),
        project: work.project.name.clone(),
        engine: format!("{}, {}", chosen.described, chosen.why),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        images: work.images.clone(),
    });
    let parts = SessionParts {
        wanted: settings.wanted(Some(&work.project))?,
        options,
        engine: chosen.engine,
        project: work.project,
        store,
        directory,
        run,
        events: events.clone(),
        cancel,
        environment: settings.environment.clone(),
    };
    let session = Session::begin(parts).await?;
    let verdict = verb(&session, &work.images).await;
    let untold = |failure: &&takelage_run::Failure| !matches!(failure.error, StepError::Told(_));
    for failure in verdict.failures.iter().filter(untold) {
        let message = format!("{}: {}", failure.image, failure.error.sentence());
        events.note(Level::Error, message, hint::of_step(&failure.error));
    }
    Ok(verdict.exit())
}

/// What the command line says about a run, beside its subject.
#[derive(Debug, Default)]
pub(crate) struct Choices {
    /// Show how files change.
    pub(crate) diff: bool,
    /// How many images to work on at once.
    pub(crate) jobs: Option<NonZeroUsize>,
    /// What happens to a container in which something failed.
    pub(crate) on_failure: Option<OnFailure>,
    /// Run also those checks that are known to hold.
    pub(crate) no_cached_checks: bool,
}

pub(crate) fn options(settings: &Settings, choices: &Choices) -> Result<Options, Failure> {
    let processors = std::thread::available_parallelism().map_or(1, NonZeroUsize::get);
    let epoch = settings
        .variable("SOURCE_DATE_EPOCH")
        .map(|value| value.parse().map_err(|_| Failure::SourceDateEpoch { value: value.to_owned() }));
    Ok(Options {
        no_cache: settings.no_cache,
        refresh: settings.refresh,
        no_cached_checks: choices.no_cached_checks,
        plain: settings.plain,
        keep_failed: choices.on_failure.map_or(settings.style.live, |choice| choice == OnFailure::Keep),
        source_date_epoch: epoch.transpose()?,
        diff: choices.diff,
        verbosity: u8::try_from(settings.style.verbosity).unwrap_or(0),
        jobs: choices.jobs.map_or(processors, NonZeroUsize::get),
        proxy: ["http_proxy", "HTTP_PROXY"]
            .iter()
            .find_map(|name| settings.variable(name))
            .map(str::to_owned),
        hint: hint::of_step,
        temporary: std::env::temp_dir(),
    })
}

fn reporters(settings: &Settings, style: Style) -> Result<Reporters, Failure> {
    let stderr: Box<dyn Write + Send> = Box::new(std::io::stderr());
    let mut reporters = Reporters::new().terminal(Terminal::new(style, stderr));
    if let Some(path) = &settings.events {
        let events =
            JsonLines::create(path).map_err(|source| Failure::Report { path: path.clone(), source })?;
        reporters = reporters.events(events);
    }
    if let Some(path) = &settings.junit {
        reporters = reporters.junit(Junit::new(path));
    }
    Ok(reporters)
}

/// Once: stop and clean up. Twice: stop at once.
async fn watch_signals(cancel: Cancel, events: Events) {
    let signals = [SignalKind::interrupt(), SignalKind::terminate(), SignalKind::hangup()].map(signal);
    let [Ok(mut interrupt), Ok(mut terminate), Ok(mut hangup)] = signals else { return };
    loop {
        tokio::select! {
            _ = interrupt.recv() => {},
            _ = terminate.recv() => {},
            _ = hangup.recv() => {},
        }
        if cancel.is_interrupted() {
            cancel.raise(CancelReason::Abort);
        } else {
            let hint = "press Ctrl-C again to stop at once; the next run cleans up then";
            events.note(Level::Warning, "interrupted: stopping and cleaning up", Some(hint.to_owned()));
            cancel.raise(CancelReason::Interrupt);
        }
    }
}

async fn interrupted(cancel: &Cancel) {
    cancel.token().cancelled().await;
}

/// Draws a run's id. Two runs of one machine must differ, nothing more, so the hasher's random seed will do.
fn new_run() -> RunId {
    use std::hash::{BuildHasher as _, Hasher as _};
    let mut hasher = std::hash::RandomState::new().build_hasher();
    hasher.write_u32(std::process::id());
    let bytes = hasher.finish().to_le_bytes();
    RunId::from_random([bytes[0], bytes[1], bytes[2], bytes[3], bytes[4], bytes[5]])
}
