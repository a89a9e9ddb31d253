//! Runs scenarios of Molecule: sequences of actions, each a step like those of the verbs.
//!
//! | action | what it is here |
//! | --- | --- |
//! | create, destroy | the same steps as for images, one container per platform; or the scenario's own playbooks |
//! | prepare, converge, check, idempotence, side effect, cleanup, syntax, verify | one run of Ansible or pytest on all instances |
//! | dependency | `ansible-galaxy`, or a command line |
//!
//! Ansible and pytest get the command line, the environment and the generated files that Molecule gives them. What they
//! print stays theirs and is told as events of the programs in [`PRINTING`]; what they do is told as everywhere.

mod dependency;
mod environment;
mod ephemeral;
mod instances;
mod no_engine;
mod paths;
mod playbook;
mod prerun;
mod sequence;
mod several;
mod state;
mod verify;
mod work;

pub use instances::{Instance, instances};
pub use no_engine::NoEngine;
pub use several::{ScenarioFailure, ScenarioVerdict, run};
pub use state::State;
pub use work::{Destroy, Settings, project_id};

/// Programs whose output on standard output is for whoever called takelage. What they print on standard error is told
/// under the same name with [`STDERR`] behind it.
pub const PRINTING: [&str; 5] =
    ["ansible-playbook", "ansible-navigator", "ansible-galaxy", "pytest", "shell"];

/// Marks the name of a program whose output is from standard error.
pub const STDERR: &str = ":stderr";
