//! `molecule`: scenarios, one file per kind of command.

mod context;
mod init;
mod list;
mod login;
mod matrix;
mod recap;
mod reset;
mod sequence;

use crate::{
    cli::{DriversFormat, InitCommand, MoleculeArguments, MoleculeCommand},
    failure::Failure,
    output,
    settings::Settings,
};
use context::Context;

/// The drivers: name, and what is behind it.
const DRIVERS: [(&str, &str); 4] = [
    ("containers", "takelage's engine"),
    ("default", "the scenario's own playbooks create and destroy"),
    ("docker", "takelage's engine"),
    ("podman", "takelage's engine"),
];

/// Carries out a command and returns the exit status, which is Molecule's.
pub(crate) fn molecule(arguments: &MoleculeArguments, settings: &Settings) -> Result<u8, Failure> {
    let context = Context::new(settings, &arguments.options)?;
    let run = |command, arguments: &_| {
        sequence::carry_out(&context, command, arguments, &sequence::More::default())
    };
    match &arguments.command {
        MoleculeCommand::Test(test) => {
            let more = sequence::More { destroy: Some(test.destroy), force: false };
            sequence::carry_out(&context, "test", &test.sequence, &more)
        }
        MoleculeCommand::Prepare(prepare) => {
            let more = sequence::More { destroy: None, force: prepare.force };
            sequence::carry_out(&context, "prepare", &prepare.sequence, &more)
        }
        MoleculeCommand::Converge(sequence) => run("converge", sequence),
        MoleculeCommand::Create(sequence) => run("create", sequence),
        MoleculeCommand::Destroy(sequence) => run("destroy", sequence),
        MoleculeCommand::Cleanup(sequence) => run("cleanup", sequence),
        MoleculeCommand::Check(sequence) => run("check", sequence),
        MoleculeCommand::Dependency(sequence) => run("dependency", sequence),
        MoleculeCommand::Idempotence(sequence) => run("idempotence", sequence),
        MoleculeCommand::SideEffect(sequence) => run("side-effect", sequence),
        MoleculeCommand::Syntax(sequence) => run("syntax", sequence),
        MoleculeCommand::Verify(sequence) => run("verify", sequence),
        MoleculeCommand::List(arguments) => list::list(&context, arguments),
        MoleculeCommand::Login(arguments) => login::login(&context, arguments),
        MoleculeCommand::Matrix(arguments) => matrix::matrix(&context, arguments),
        MoleculeCommand::Reset(arguments) => reset::reset(&context, &arguments.selection),
        MoleculeCommand::Drivers(arguments) => drivers(arguments.format),
        MoleculeCommand::Init(InitCommand::Scenario { name }) => init::scenario(&context, name),
    }
}

fn drivers(format: DriversFormat) -> Result<u8, Failure> {
    let lines = DRIVERS.map(|(name, what)| match format {
        DriversFormat::Simple => format!("{name}\n"),
        DriversFormat::Plain => format!("{name:16}{what}\n"),
    });
    output::data(&lines.concat())?;
    Ok(0)
}
