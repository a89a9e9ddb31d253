//! One file per kind of command: each translates settings and arguments into calls of the libraries.

mod doctor;
mod engine;
mod examine;
mod explain;
mod list;
mod looking;
mod molecule;
mod prune;
mod run;
mod save;
mod schema;
mod shell;
mod standard_input;
mod terminal;

use takelage_config::Project;
use takelage_model::{Exit, ImageName};
use takelage_run::DevelopOptions;

pub(crate) use self::molecule::molecule;
use self::run::{Choices, Work};
use crate::{
    cli::{Command, ImageArgument, ImagesArgument, ProduceArguments, RunArguments},
    failure::Failure,
    settings::Settings,
};

/// Carries out `command`.
pub(crate) fn run(command: Command, settings: &Settings) -> Result<Exit, Failure> {
    match command {
        Command::Develop(arguments) => {
            let what = if arguments.live { DevelopOptions::Live } else { DevelopOptions::Develop };
            develop(settings, "develop", &arguments.run, what)
        }
        Command::Produce(arguments) => {
            run::run(settings, several(settings, "produce", &arguments)?, async |session, images| {
                session.produce(images).await
            })
        }
        Command::Test(arguments) => {
            let mut work = several(settings, "test", &arguments.produce)?;
            work.choices.no_cached_checks = arguments.no_cached_checks;
            run::run(settings, work, async |session, images| session.test(images).await)
        }
        Command::Create(image) => develop(settings, "create", &image.into(), DevelopOptions::Create),
        Command::Prepare(image) => develop(settings, "prepare", &image.into(), DevelopOptions::Prepare),
        Command::Converge(arguments) => develop(settings, "converge", &arguments, DevelopOptions::Converge),
        Command::Idempotence(arguments) => {
            develop(settings, "idempotence", &arguments, DevelopOptions::Idempotence)
        }
        Command::Verify(image) => develop(settings, "verify", &image.into(), DevelopOptions::Verify),
        Command::Check(arguments) => develop(settings, "check", &arguments, DevelopOptions::Check),
        Command::Syntax(images) => {
            run::run(settings, several(settings, "syntax", &images.into())?, async |session, images| {
                session.syntax_all(images).await
            })
        }
        Command::Destroy(images) => {
            run::run(settings, several(settings, "destroy", &images.into())?, async |session, images| {
                session.destroy_all(images).await
            })
        }
        Command::List(arguments) => list::list(settings, arguments.json),
        Command::Shell(arguments) => shell::shell(settings, &arguments),
        Command::Explain(arguments) => explain::explain(settings, &arguments),
        Command::Diff(arguments) => examine::diff(settings, &arguments),
        Command::Inspect(arguments) => examine::inspect(settings, &arguments),
        Command::Save(arguments) => save::save(settings, &arguments),
        Command::Push(images) => {
            let named = !images.names.is_empty();
            run::run(settings, several(settings, "push", &images.into())?, async |session, images| {
                session.push(images, named).await
            })
        }
        Command::Prune(arguments) => prune::prune(settings, &arguments),
        Command::Molecule(_) => unreachable!("`main` carries it out, because its exit statuses are others"),
        Command::Doctor(arguments) => doctor::doctor(settings, arguments.json),
        Command::Schema => schema::schema(),
        Command::Completions { shell } => schema::completions(shell),
    }
}

/// Runs a verb on the container that is kept for one image.
fn develop(
    settings: &Settings,
    command: &'static str,
    arguments: &RunArguments,
    what: DevelopOptions,
) -> Result<Exit, Failure> {
    let project = settings.project()?;
    let images = vec![one(&project, &arguments.image)?];
    let work =
        Work { command, project, images, choices: Choices { diff: arguments.diff, ..Choices::default() } };
    run::run(settings, work, async |session, images| match images.first() {
        Some(image) => Box::pin(session.develop(image, what)).await,
        None => takelage_run::Verdict::default(),
    })
}

/// A verb on several images.
fn several(
    settings: &Settings,
    command: &'static str,
    arguments: &ProduceArguments,
) -> Result<Work, Failure> {
    let project = settings.project()?;
    let images = named(&project, &arguments.images)?;
    let choices = Choices { jobs: arguments.jobs, on_failure: arguments.on_failure, ..Choices::default() };
    Ok(Work { command, project, images, choices })
}

/// The image that an argument means: the named one, or the last of the chain.
pub(crate) fn one(project: &Project, argument: &ImageArgument) -> Result<ImageName, Failure> {
    match &argument.name {
        Some(name) => known(project, name),
        None => match project.last() {
            Some(image) => Ok(image.name.clone()),
            None => Err(Failure::NoImages { name: project.name.clone() }),
        },
    }
}

/// The images that an argument means: the named ones, or all; in the order of the chain.
fn named(project: &Project, argument: &ImagesArgument) -> Result<Vec<ImageName>, Failure> {
    for name in &argument.names {
        known(project, name)?;
    }
    let wanted = |name: &&ImageName| argument.names.is_empty() || argument.names.contains(name);
    Ok(project.images.keys().filter(wanted).cloned().collect())
}

fn known(project: &Project, name: &ImageName) -> Result<ImageName, Failure> {
    if project.images.contains_key(name) {
        return Ok(name.clone());
    }
    Err(Failure::UnknownImage { name: name.clone(), images: project.images.keys().cloned().collect() })
}

/// The runtime of everything that waits.
pub(crate) fn runtime() -> Result<tokio::runtime::Runtime, Failure> {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .map_err(Failure::Runtime)
}
