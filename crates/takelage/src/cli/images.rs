//! Arguments that name images, and those that go with running Ansible on them.

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use takelage_model::ImageName;

/// One image; the last of the chain if none is named.
#[derive(Debug, Args)]
pub(crate) struct ImageArgument {
    /// An image of the project file [default: the last one]
    #[arg(value_name = "IMAGE")]
    pub(crate) name: Option<ImageName>,
}

/// Any number of images; all if none is named.
#[derive(Debug, Args)]
pub(crate) struct ImagesArgument {
    /// Images of the project file [default: all]
    #[arg(value_name = "IMAGE")]
    pub(crate) names: Vec<ImageName>,
    /// All images of the project file
    #[arg(long, conflicts_with = "names")]
    pub(crate) all: bool,
}

/// One image on which Ansible runs.
#[derive(Debug, Args)]
pub(crate) struct RunArguments {
    #[command(flatten)]
    pub(crate) image: ImageArgument,
    /// Show how files change
    #[arg(long)]
    pub(crate) diff: bool,
}

/// Arguments of `develop`.
#[derive(Debug, Args)]
pub(crate) struct DevelopArguments {
    #[command(flatten)]
    pub(crate) run: RunArguments,
    /// Converge and verify the container that is there instead of one as if provisioned from scratch
    #[arg(long)]
    pub(crate) live: bool,
}

/// Images that are produced.
#[derive(Debug, Args)]
pub(crate) struct ProduceArguments {
    #[command(flatten)]
    pub(crate) images: ImagesArgument,
    /// What to do with a container in which a task or check failed [default: keep on a terminal, else remove]
    #[arg(long, value_enum, value_name = "WHAT")]
    pub(crate) on_failure: Option<OnFailure>,
    /// How many images to work on at once [default: one per processor]
    #[arg(long, short, value_name = "N")]
    pub(crate) jobs: Option<std::num::NonZeroUsize>,
}

/// Arguments of `test`.
#[derive(Debug, Args)]
pub(crate) struct TestArguments {
    #[command(flatten)]
    pub(crate) produce: ProduceArguments,
    /// Run all checks, also where image, checks and all that they depend on are as when they held
    #[arg(long)]
    pub(crate) no_cached_checks: bool,
}

/// Arguments of `save`.
#[derive(Debug, Args)]
pub(crate) struct SaveArguments {
    /// Images of the project file [default: the last one]
    #[arg(value_name = "IMAGE")]
    pub(crate) names: Vec<ImageName>,
    /// The file to write, `-` for standard output; a file that is there is replaced when the new one is whole
    #[arg(long, short, value_name = "FILE", default_value = "-", hide_default_value = true)]
    pub(crate) output: PathBuf,
    /// How to write it
    #[arg(long, value_enum, value_name = "FORMAT", default_value = "docker-archive")]
    pub(crate) format: FormatOption,
}

/// The values of `--format`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum FormatOption {
    /// As `docker save` writes it, for every engine
    DockerArchive,
    /// An OCI image layout as a tar file
    OciArchive,
}

/// What happens to a container in which something failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum OnFailure {
    /// Keep it as it failed, for `takelage shell --failed`
    Keep,
    /// Remove it
    Remove,
}

impl From<ImageArgument> for RunArguments {
    fn from(image: ImageArgument) -> Self {
        Self { image, diff: false }
    }
}

impl From<ImagesArgument> for ProduceArguments {
    fn from(images: ImagesArgument) -> Self {
        Self { images, on_failure: None, jobs: None }
    }
}
