//! What users type: clap types only, so that help, completions and references need nothing else.

mod images;
mod molecule;
mod options;

use std::{ffi::OsString, path::Path};

use clap::{Parser, Subcommand};

pub(crate) use images::{
    DevelopArguments, FormatOption, ImageArgument, ImagesArgument, OnFailure, ProduceArguments, RunArguments,
    SaveArguments, TestArguments,
};
pub(crate) use molecule::{
    DestroyWhen, DriversFormat, InitCommand, ListArguments, ListFormat, LoginArguments, MatrixArguments,
    MoleculeArguments, MoleculeCommand, MoleculeOptions, Selection, SequenceArguments,
};
pub(crate) use options::{ColorChoice, EngineOption, GlobalOptions};

/// Develops, produces and tests container images from Ansible and pytest code.
#[derive(Debug, Parser)]
#[command(
    name = "takelage",
    version,
    about,
    propagate_version = true,
    subcommand_required = true,
    arg_required_else_help = true,
    max_term_width = 100,
    after_help = "Exit status: 0 done · 1 a task, a check or idempotence failed · 2 wrong usage or project file · \
                  3 engine, registry, toolchain or disk failed · 130 interrupted, and cleaned up"
)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) options: GlobalOptions,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// The commands, in the order in which `--help` shows them.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Create a container from the base image, provision it, verify it, and keep it
    ///
    /// Run again, it gives a container as if provisioned from scratch, but only what has changed since runs, and what comes after
    /// that. `takelage shell` opens a shell in it, `takelage destroy` removes it.
    Develop(DevelopArguments),
    /// Provision the base image and commit the result as an image
    ///
    /// Images that the named ones are based on are produced first if they are missing or out of date.
    Produce(ProduceArguments),
    /// Create a container from the produced image and verify it
    ///
    /// What is missing or out of date is produced first. The container runs the image's own command. Checks that held do not run
    /// again as long as neither the image nor anything that they depend on is another; they are reported as cached.
    Test(TestArguments),
    /// Create the container that `develop` would use
    Create(ImageArgument),
    /// Make the container fit for Ansible: install Python where it is missing
    Prepare(ImageArgument),
    /// Run the playbook on the container, creating it if needed
    Converge(RunArguments),
    /// Run the playbook again and fail if anything changes
    Idempotence(RunArguments),
    /// Run the checks against the container
    Verify(ImageArgument),
    /// Show what the playbook would change, without changing it
    Check(RunArguments),
    /// Check the syntax of the playbooks
    Syntax(ImagesArgument),
    /// Remove the containers that were kept
    Destroy(ImagesArgument),
    /// Show the images of the project and their state
    List(JsonArgument),
    /// Open a shell in the container, or run a command in it
    ///
    /// What is piped in goes to the shell or command: `takelage shell < script`.
    Shell(ShellArguments),
    /// Say what the last run of an image took from memory, and why not more
    ///
    /// Names the first request to the container that was carried out rather than remembered: its task, and which part of it
    /// was another than in the run before.
    Explain(ExplainArguments),
    /// Show what a produced image adds to its base: packages, users, units and files
    ///
    /// It is about the image as it was produced last, and about all layers that were made for it.
    Diff(DiffArguments),
    /// Show what a produced image is, and what of it no container needs
    ///
    /// Nobody needs caches, logs, byte code, temporary files, and what tells one machine from another, as far as it is in the
    /// image's own layers and no package has brought it.
    Inspect(InspectArguments),
    /// Write produced images to an archive
    ///
    /// The archive has the images as they were produced last, with their tags. It appears when it is whole; what is no file,
    /// such as a pipe or a device, is written to.
    Save(SaveArguments),
    /// Send produced images to the registries of their tags
    ///
    /// The images go as they were produced last, under all their tags, with the logins of `docker login` and Docker's
    /// credential helpers. If none is named, those without tags are passed over.
    Push(ImagesArgument),
    /// Show what images and what is remembered take, and remove what nobody needs
    ///
    /// Images of the embedded engine stay if they have a name, if a container is made of them, or if a running takelage works
    /// on them. A Docker engine's images are its own: `docker image prune` is about those.
    ///
    /// What requests to containers came to is forgotten, and its snapshots are removed, also from a Docker engine. The next run
    /// does everything again.
    ///
    /// Volumes stay as long as a container has them. The others go with what is in them.
    Prune(PruneArguments),
    /// Run scenarios of Molecule as they are
    ///
    /// Takes the place of `molecule`: the same commands, options and exit statuses. Called through a link named
    /// `molecule`, the program is this command.
    Molecule(MoleculeArguments),
    /// Show engine, Ansible, pytest and Python, and why each was chosen
    Doctor(JsonArgument),
    /// Print the JSON Schema of `takelage.yml`, for editors
    Schema,
    /// Print a completion script for a shell
    Completions {
        /// The shell to complete for
        shell: clap_complete::Shell,
    },
}

/// Returns the arguments as if the program had not been called through a link named after one of its commands.
pub(crate) fn arguments(given: impl IntoIterator<Item = OsString>) -> Vec<OsString> {
    let mut arguments: Vec<OsString> = given.into_iter().collect();
    let called = arguments.first().and_then(|path| Path::new(path).file_name());
    if called.is_some_and(|name| name == "molecule") {
        arguments.splice(..1, ["takelage", "molecule"].map(OsString::from));
    }
    arguments
}

/// Whether a command that looks prints for programs.
#[derive(Debug, clap::Args)]
pub(crate) struct JsonArgument {
    /// Print JSON instead of a table
    #[arg(long)]
    pub(crate) json: bool,
}

/// Arguments of `explain`.
#[derive(Debug, clap::Args)]
pub(crate) struct ExplainArguments {
    #[command(flatten)]
    pub(crate) image: ImageArgument,
    /// Print JSON instead of text
    #[arg(long)]
    pub(crate) json: bool,
}

/// Arguments of `diff`.
#[derive(Debug, clap::Args)]
pub(crate) struct DiffArguments {
    #[command(flatten)]
    pub(crate) image: ImageArgument,
    /// List new files of packages, too
    #[arg(long)]
    pub(crate) all: bool,
    /// Print JSON instead of text
    #[arg(long)]
    pub(crate) json: bool,
}

/// Arguments of `inspect`.
#[derive(Debug, clap::Args)]
pub(crate) struct InspectArguments {
    #[command(flatten)]
    pub(crate) image: ImageArgument,
    /// Print JSON instead of text
    #[arg(long)]
    pub(crate) json: bool,
}

/// Arguments of `prune`.
#[derive(Debug, clap::Args)]
pub(crate) struct PruneArguments {
    /// Only say what would be removed
    #[arg(long)]
    pub(crate) dry_run: bool,
    /// Print JSON instead of a table
    #[arg(long)]
    pub(crate) json: bool,
}

/// Arguments of `shell`.
#[derive(Debug, clap::Args)]
pub(crate) struct ShellArguments {
    #[command(flatten)]
    pub(crate) image: ImageArgument,
    /// Enter the container in which `produce` or `test` failed, rather than the one of `develop`
    #[arg(long)]
    pub(crate) failed: bool,
    /// The command to run instead of a login shell
    #[arg(last = true, value_name = "COMMAND")]
    pub(crate) command: Vec<String>,
}
