//! Molecule's scenarios: found, read as Molecule 26.10.0 reads them, and turned into a [`Project`](crate::Project).
//!
//! ```text
//! base.yml ──┐
//! molecule.yml ─ interpolation ─► yaml ─► merge ─► legacy keys ─► read ─► Scenario ─► Project
//! ```
//!
//! What a key means, and what is done differently on purpose, stands at the field of [`Scenario`] that it becomes.
//! Everything that Molecule would refuse is a [`Problem`](crate::Problem) with its place; what it would pass over
//! although somebody meant something by it is a note.

mod ansible_cfg;
mod arguments;
mod connection;
mod defaults;
mod dependency;
mod discovery;
mod environment;
mod inventory;
mod load;
mod merge;
mod options;
mod platform;
mod playbooks;
mod project;
mod python_text;
mod reader;
mod role;
mod scenario;
mod sequence;
mod verifier;

pub use arguments::Additions;
pub use connection::Connections;
pub use dependency::{Dependency, DependencyName};
pub use discovery::{Discovered, DiscoveryError, Wanted, discover};
pub use load::{Surroundings, base_configs, load, read_env_file};
pub use options::{Flags, OptionValue};
pub use platform::{Build, FirstProcess, Network, Platform};
pub use playbooks::Section;
pub use role::{RoleName, collection, collection_dependencies, role_name};
pub use scenario::{
    Ansible, Driver, DriverKind, Executor, Inventory, Links, NameCheck, Places, Provisioner, Scenario,
};
pub use sequence::{Action, Entry as SequenceEntry, Sequences};
pub use verifier::{Verifier, VerifierName};
