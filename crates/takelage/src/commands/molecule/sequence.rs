//! Commands that carry out sequences of actions on scenarios.

use std::{
    cell::Cell,
    io::{BufRead as _, IsTerminal as _},
    sync::{Arc, Mutex, PoisonError},
};

use indexmap::IndexMap;
use takelage_config::{
    Ansible, Cache, EngineChoice, Project, Pytest,
    molecule::{Additions, Scenario},
};
use takelage_engine::Engine;
use takelage_model::{
    Exit,
    event::{Event, EventKind, Level},
};
use takelage_report::Style;
use takelage_run::{
    Cancel, Events, Session, SessionParts, StepError, Store,
    molecule::{
        Destroy, NoEngine, PRINTING, STDERR, ScenarioVerdict, Settings as RunSettings, run as run_scenarios,
    },
};

use super::{
    context::{Context, DEFAULT},
    recap::Recap,
};
use crate::{
    cli::{DestroyWhen, SequenceArguments},
    commands::{engine, run},
    failure::Failure,
    hint, output,
};

/// What only some of the commands take.
#[derive(Debug, Default)]
pub(super) struct More {
    pub(super) destroy: Option<DestroyWhen>,
    pub(super) force: bool,
}

/// A command with everything that it needs.
struct Job {
    command: &'static str,
    scenarios: Vec<Scenario>,
    default: Option<Scenario>,
    settings: RunSettings,
    /// How many scenarios at once the command line names.
    announced: Option<usize>,
}

/// Carries out `command` on the scenarios that are meant, and returns Molecule's exit status.
pub(super) fn carry_out(
    context: &Context<'_>,
    command: &'static str,
    arguments: &SequenceArguments,
    more: &More,
) -> Result<u8, Failure> {
    let found = context.selected(&arguments.selection)?;
    if found.is_empty() {
        output::talk("no scenario is left to work on\n");
        return Ok(0);
    }
    let scenarios = found.iter().map(|found| context.load_for(found, arguments));
    let scenarios = scenarios.collect::<Result<Vec<_>, _>>()?;
    let default = if scenarios.iter().any(|scenario| scenario.shared_state) {
        // Without a default scenario there is nothing to share, and each has its own.
        let found = context.find(&[DEFAULT.to_owned()], &[]).ok().and_then(|found| found.into_iter().next());
        found.map(|found| context.load_for(&found, arguments)).transpose()?
    } else {
        None
    };
    let settings = settings(context, arguments, more)?;
    let job = Job { command, scenarios, default, settings, announced: arguments.workers };
    let status = Cell::new(1);
    // What programs print comes between the lines, and at their own verbosity.
    let style = context.settings.style;
    let style = Style { live: false, verbosity: style.verbosity.min(0), ..style };
    // Side by side, lines of several scenarios would mix; a failure shows its own.
    let mixed = job.settings.workers > 1 && job.settings.verbosity == 0 && !context.debug;
    let quiet = context.settings.style.verbosity < 0;
    let recap = Arc::new(Mutex::new(Recap::default()));
    let folded = Arc::clone(&recap);
    let see = move |event: &Event| {
        folded.lock().unwrap_or_else(PoisonError::into_inner).add(event);
        !mixed && !quiet && show(event)
    };
    let exit = run::reported(context.settings, style, see, async |run, events, cancel| {
        let verdict = Box::pin(begin(context, job, run, events, cancel)).await?;
        status.set(verdict.status());
        Ok(exit(&verdict))
    })?;
    if arguments.report {
        output::talk(&recap.lock().unwrap_or_else(PoisonError::into_inner).text());
    }
    Ok(if exit == Exit::Done { 0 } else { status.get() })
}

/// Creates the instances of one scenario.
pub(super) fn create(context: &Context<'_>, scenario: &str) -> Result<u8, Failure> {
    carry_out(context, "create", &SequenceArguments::of(scenario), &More::default())
}

fn settings(
    context: &Context<'_>,
    arguments: &SequenceArguments,
    more: &More,
) -> Result<RunSettings, Failure> {
    let global = context.settings;
    let workers = arguments.workers.unwrap_or(1);
    let from_variable = global.variable("MOLECULE_VERBOSITY").and_then(|text| text.parse().ok());
    Ok(RunSettings {
        additions: Additions {
            ansible: arguments.ansible_args.clone(),
            debug: context.debug,
            strict: global.variable("MOLECULE_ANSIBLE_ARGS_STRICT_MODE").is_some(),
        },
        verbosity: match u8::try_from(global.style.verbosity).unwrap_or(0) {
            0 => from_variable.unwrap_or(0),
            given => given,
        },
        color: global.style.color,
        destroy: match more.destroy {
            None | Some(DestroyWhen::Always) => Destroy::Always,
            Some(DestroyWhen::Never) => Destroy::Never,
            Some(DestroyWhen::OnSuccess) => Destroy::OnSuccess,
            Some(DestroyWhen::OnFailure) => Destroy::OnFailure,
            Some(DestroyWhen::Ask) => Destroy::Ask,
        },
        // Side by side, nobody has prepared for the others.
        force: more.force || workers > 1,
        workers,
        continue_on_failure: arguments.continue_on_failure,
        env_file: context.env_file_variables()?,
        home: global.home.clone(),
        ask: Arc::new(ask),
    })
}

/// Asks a question on the terminal; without one, the answer is yes.
fn ask(question: &str) -> bool {
    let stdin = std::io::stdin();
    if !stdin.is_terminal() {
        return true;
    }
    output::talk(&format!("{question} [Y/n] "));
    let mut answer = String::new();
    // Who ends the input has not said no.
    let _ = stdin.lock().read_line(&mut answer);
    !matches!(answer.trim().to_ascii_lowercase().as_str(), "n" | "no")
}

async fn begin(
    context: &Context<'_>,
    job: Job,
    run: takelage_model::RunId,
    events: Events,
    cancel: Cancel,
) -> Result<ScenarioVerdict, Failure> {
    let settings = context.settings;
    let store = Store::open(settings.cache()?)?;
    let directory = store.begin(&run)?;
    let needs_engine = job.scenarios.iter().chain(&job.default).any(Scenario::is_native);
    let parts = SessionParts {
        engine: NoEngine,
        project: project(context),
        store,
        directory,
        run,
        events,
        cancel,
        environment: settings.environment.clone(),
        options: run::options(settings, &run::Choices::default())?,
        wanted: settings.wanted(None)?,
    };
    if !needs_engine {
        let described = parts.engine.describe().await?;
        return Box::pin(work(job, parts, described)).await;
    }
    let chosen = engine::choose(settings, None, parts.directory.scratch()).await?;
    let described = format!("{}, {}", chosen.described, chosen.why);
    Box::pin(work(job, parts.on(chosen.engine), described)).await
}

async fn work<E: Engine>(
    job: Job,
    parts: SessionParts<E>,
    engine: String,
) -> Result<ScenarioVerdict, Failure> {
    let events = parts.events.clone();
    events.emit(EventKind::RunStarted {
        command: job.command.to_owned(),
        project: parts.project.name.clone(),
        engine,
        version: env!("CARGO_PKG_VERSION").to_owned(),
        images: job.scenarios.iter().map(Scenario::image_name).collect(),
    });
    for scenario in &job.scenarios {
        for note in &scenario.notes {
            events.note(Level::Warning, note.to_string(), note.hint.clone());
        }
    }
    if let Some((namespace, name)) = takelage_config::molecule::collection(&parts.project.root) {
        events.note(Level::Info, format!("Collection '{namespace}.{name}' detected"), None);
    }
    if let Some(workers) = job.announced {
        let plural = if workers == 1 { "" } else { "s" };
        let message = format!("Starting parallel execution with {workers} worker{plural}");
        events.note(Level::Info, message, None);
    }
    let session = Session::begin(parts).await?;
    let verdict =
        run_scenarios(&session, &job.scenarios, job.default.as_ref(), job.command, &job.settings).await;
    for failure in &verdict.failures {
        if !matches!(failure.error, StepError::Told(_)) {
            let message = format!("{}: {}", failure.scenario, failure.error.sentence());
            events.note(Level::Error, message, hint::of_step(&failure.error));
        }
    }
    if job.scenarios.len() > 1 {
        tell_several(&events, &job.scenarios, &verdict);
    }
    Ok(verdict)
}

/// Says which of several scenarios succeeded, which failed at what, and which did not begin.
fn tell_several(events: &Events, scenarios: &[Scenario], verdict: &ScenarioVerdict) {
    let failed = |name: &str| verdict.failures.iter().any(|failure| failure.scenario == name);
    for Scenario { name, .. } in scenarios {
        if !failed(name) && !verdict.not_started.contains(name) && !verdict.interrupted {
            events.note(Level::Info, format!("Scenario '{name}' completed successfully"), None);
        }
    }
    if !verdict.failures.is_empty() {
        let names: Vec<&str> = verdict.failures.iter().map(|failure| failure.scenario.as_str()).collect();
        events.note(Level::Warning, format!("Scenarios failed: {}", names.join(", ")), None);
    }
    for failure in &verdict.failures {
        if let Some(action) = failure.action {
            events.note(Level::Warning, format!("Failed: {} > {action}", failure.scenario), None);
        }
    }
    if !verdict.not_started.is_empty() {
        let message = format!("Fail-fast: not started are {}", verdict.not_started.join(", "));
        let hint = "`--continue-on-failure` starts them all".to_owned();
        events.note(Level::Warning, message, Some(hint));
    }
}

fn exit(verdict: &ScenarioVerdict) -> Exit {
    match verdict.failures.first() {
        _ if verdict.interrupted => Exit::Interrupted,
        Some(failure) => failure.error.exit(),
        None => Exit::Done,
    }
}

/// The project that all scenarios of a directory belong to.
fn project(context: &Context<'_>) -> Project {
    let name = context.project.file_name().map(|name| name.to_string_lossy().into_owned());
    Project {
        name: name.unwrap_or_else(|| "project".to_owned()),
        root: context.project.clone(),
        file: context.project.clone(),
        engine: EngineChoice::Auto,
        images: IndexMap::new(),
        ansible: Ansible::default(),
        pytest: Pytest::default(),
        cache: Cache::default(),
    }
}

/// Prints what Ansible and pytest print, where they print it. Says whether the event was such a line.
fn show(event: &Event) -> bool {
    let EventKind::Output { program, line, .. } = &event.kind else { return false };
    if PRINTING.contains(&program.as_str()) {
        // A reader that has gone away has seen enough; the work goes on.
        let _ = output::data(&format!("{line}\n"));
        true
    } else if program.strip_suffix(STDERR).is_some_and(|program| PRINTING.contains(&program)) {
        output::talk(&format!("{line}\n"));
        true
    } else {
        false
    }
}
