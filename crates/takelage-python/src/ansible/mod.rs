//! Runs playbooks with the user's own Ansible.

mod error;
mod input;
mod inventory;
mod invoke;
mod ledger;
mod playbook;
mod requirements;
mod run;

pub use error::{AnsibleError, FailedTask};
pub(crate) use input::Input;
pub(crate) use inventory::INVENTORY_FILE;
pub use inventory::{Group, Inventory, Variables};
pub use invoke::{Invocation, Invoked, invoke};
pub use ledger::{ChangedTask, Converged};
pub use playbook::Playbook;
pub use requirements::{Required, require};
pub use run::run;
