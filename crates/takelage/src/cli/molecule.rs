//! `takelage molecule`: the command line of Molecule 26.10.0.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};

/// Arguments of `molecule`.
#[derive(Debug, Args)]
pub(crate) struct MoleculeArguments {
    #[command(flatten)]
    pub(crate) options: MoleculeOptions,
    #[command(subcommand)]
    pub(crate) command: MoleculeCommand,
}

/// Options before the command.
#[derive(Debug, Args)]
pub(crate) struct MoleculeOptions {
    /// Show differences, and have Ansible and pytest say much [env: `MOLECULE_DEBUG`]
    #[arg(long, overrides_with = "no_debug")]
    pub(crate) debug: bool,
    #[arg(long, hide = true)]
    pub(crate) no_debug: bool,
    /// A file that every scenario is laid on top of; may be given several times
    ///
    /// [default: the first that exists of `.config/molecule/config.yml` in the version control root,
    /// `extensions/molecule/config.yml` in a collection, and `~/.config/molecule/config.yml`]
    #[arg(long, short = 'c', value_name = "FILE")]
    pub(crate) base_config: Vec<PathBuf>,
    /// A file with variables for scenarios
    #[arg(long, short = 'e', value_name = "FILE", default_value = ".env.yml")]
    pub(crate) env_file: PathBuf,
}

/// The commands, in the order in which `--help` shows them.
#[derive(Debug, Subcommand)]
pub(crate) enum MoleculeCommand {
    /// Run the whole test sequence of scenarios
    Test(TestArguments),
    /// Create and prepare the instances and run the playbook on them
    Converge(SequenceArguments),
    /// Create the instances
    Create(SequenceArguments),
    /// Run the playbook that prepares the instances
    Prepare(PrepareArguments),
    /// Remove the instances
    Destroy(SequenceArguments),
    /// Run the playbook that cleans up outside of the instances
    Cleanup(SequenceArguments),
    /// Run the playbook without changing anything, on instances of its own
    Check(SequenceArguments),
    /// Install the roles and collections that scenarios need
    Dependency(SequenceArguments),
    /// Run the playbook again and fail if anything changes
    Idempotence(SequenceArguments),
    /// Run the playbook that disturbs the instances
    SideEffect(SequenceArguments),
    /// Check the syntax of the playbook
    Syntax(SequenceArguments),
    /// Run the checks against the instances
    Verify(SequenceArguments),
    /// Show the instances and their state
    List(ListArguments),
    /// Open a shell in an instance
    #[command(disable_help_flag = true)]
    Login(LoginArguments),
    /// Show what a command does, action by action
    Matrix(MatrixArguments),
    /// Forget scenarios: remove their instances and generated files
    Reset(ResetArguments),
    /// Show the drivers
    Drivers(DriversArguments),
    /// Make something new
    #[command(subcommand)]
    Init(InitCommand),
}

/// Which scenarios.
#[derive(Debug, Args)]
pub(crate) struct Selection {
    /// A scenario, or a pattern such as `a*` or `{a,b}`; may be given several times [default: default]
    #[arg(long = "scenario-name", short = 's', value_name = "NAME")]
    pub(crate) names: Vec<String>,
    /// All scenarios
    #[arg(long, overrides_with = "no_all")]
    pub(crate) all: bool,
    #[arg(long, hide = true)]
    no_all: bool,
    /// Leave out a scenario, by name or pattern; may be given several times
    #[arg(long, short = 'e', value_name = "NAME")]
    pub(crate) exclude: Vec<String>,
}

/// How a sequence of actions runs.
#[expect(clippy::struct_excessive_bools, reason = "each is a flag of Molecule that combines with all others")]
#[derive(Debug, Args)]
pub(crate) struct SequenceArguments {
    #[command(flatten)]
    pub(crate) selection: Selection,
    /// Only this platform [env: `MOLECULE_PLATFORM_NAME`]
    #[arg(long, short = 'p', value_name = "NAME")]
    pub(crate) platform_name: Option<String>,
    /// Another driver than the scenario's
    #[arg(long, short = 'd', value_name = "NAME")]
    pub(crate) driver_name: Option<String>,
    /// Let all scenarios use the instances of `default`
    #[arg(long, overrides_with = "no_shared_state")]
    pub(crate) shared_state: bool,
    #[arg(long, hide = true)]
    pub(crate) no_shared_state: bool,
    /// How many scenarios to work on at once: a number, `cpus` or `cpus-1`
    ///
    /// The output of Ansible is only shown with `-v` then.
    #[arg(long, value_name = "N", value_parser = workers)]
    pub(crate) workers: Option<usize>,
    /// Begin further scenarios although one has failed
    #[arg(long)]
    pub(crate) continue_on_failure: bool,
    /// Accepted; runs do not get into each other's way anyway
    #[arg(long, overrides_with = "no_parallel")]
    parallel: bool,
    #[arg(long, hide = true)]
    no_parallel: bool,
    /// List all actions once more at the end
    #[arg(long, overrides_with = "no_report")]
    pub(crate) report: bool,
    #[arg(long, hide = true)]
    no_report: bool,
    /// Accepted; the output of Ansible has no borders
    #[arg(long, overrides_with = "no_command_borders")]
    command_borders: bool,
    #[arg(long, hide = true)]
    no_command_borders: bool,
    /// Further arguments for every run of Ansible
    #[arg(last = true, value_name = "ANSIBLE_ARGS")]
    pub(crate) ansible_args: Vec<String>,
}

impl SequenceArguments {
    /// Arguments that name one scenario and leave the rest as it is.
    pub(crate) fn of(scenario: &str) -> Self {
        Self {
            selection: Selection {
                names: vec![scenario.to_owned()],
                all: false,
                no_all: false,
                exclude: Vec::new(),
            },
            platform_name: None,
            driver_name: None,
            shared_state: false,
            no_shared_state: false,
            workers: None,
            continue_on_failure: false,
            parallel: false,
            no_parallel: false,
            report: false,
            no_report: false,
            command_borders: false,
            no_command_borders: false,
            ansible_args: Vec::new(),
        }
    }
}

/// Arguments of `test`.
#[derive(Debug, Args)]
pub(crate) struct TestArguments {
    #[command(flatten)]
    pub(crate) sequence: SequenceArguments,
    /// When instances are removed
    #[arg(long, value_enum, value_name = "WHEN", default_value = "always")]
    pub(crate) destroy: DestroyWhen,
}

/// Arguments of `prepare`.
#[derive(Debug, Args)]
pub(crate) struct PrepareArguments {
    #[command(flatten)]
    pub(crate) sequence: SequenceArguments,
    /// Also if the instances were prepared before
    #[arg(long)]
    pub(crate) force: bool,
}

/// The values of `--destroy`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum DestroyWhen {
    /// Whatever happens
    Always,
    /// Not at all, not even before the test
    Never,
    /// If everything succeeded; what failed stays to be looked at
    OnSuccess,
    /// If something failed; what succeeded stays to work with
    OnFailure,
    /// If everything succeeded, and else if the answer to a question is yes
    Ask,
}

/// Arguments of `list`.
#[derive(Debug, Args)]
pub(crate) struct ListArguments {
    /// Only this scenario
    #[arg(long, short = 's', value_name = "NAME")]
    pub(crate) scenario_name: Option<String>,
    /// How to print
    #[arg(long, short = 'f', value_enum, default_value = "simple")]
    pub(crate) format: ListFormat,
}

/// The values of `list --format`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum ListFormat {
    /// A table
    Simple,
    /// Columns without a head
    Plain,
    /// YAML
    Yaml,
}

/// Arguments of `login`.
#[derive(Debug, Args)]
pub(crate) struct LoginArguments {
    /// The instance, or the beginning of its name
    #[arg(long, short = 'h', value_name = "NAME")]
    pub(crate) host: Option<String>,
    /// The scenario
    #[arg(long, short = 's', value_name = "NAME", default_value = "default")]
    pub(crate) scenario_name: String,
    /// Print help
    #[arg(long, action = clap::ArgAction::Help)]
    help: Option<bool>,
}

/// Arguments of `matrix`.
#[derive(Debug, Args)]
pub(crate) struct MatrixArguments {
    /// Only this scenario
    #[arg(long, short = 's', value_name = "NAME")]
    pub(crate) scenario_name: Option<String>,
    /// The command
    #[arg(value_name = "COMMAND")]
    pub(crate) command: String,
}

/// Arguments of `reset`.
#[derive(Debug, Args)]
pub(crate) struct ResetArguments {
    #[command(flatten)]
    pub(crate) selection: Selection,
}

/// Arguments of `drivers`.
#[derive(Debug, Args)]
pub(crate) struct DriversArguments {
    /// How to print
    #[arg(long, short = 'f', value_enum, default_value = "simple")]
    pub(crate) format: DriversFormat,
}

/// The values of `drivers --format`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum DriversFormat {
    /// Names
    Simple,
    /// Names, and what is behind them
    Plain,
}

/// What can be made.
#[derive(Debug, Subcommand)]
pub(crate) enum InitCommand {
    /// A scenario with playbooks to begin with
    Scenario {
        /// Its name
        #[arg(value_name = "NAME", default_value = "default")]
        name: String,
    },
}

fn workers(text: &str) -> Result<usize, String> {
    let processors = std::thread::available_parallelism().map_or(1, std::num::NonZeroUsize::get);
    match text {
        "cpus" => Ok(processors),
        "cpus-1" => Ok((processors - 1).max(1)),
        number => match number.parse() {
            Ok(0) | Err(_) => Err("write a number from 1 on, `cpus` or `cpus-1`".to_owned()),
            Ok(number) => Ok(number),
        },
    }
}
