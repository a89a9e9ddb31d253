//! What users ask for: each verb is a sequence of steps.

mod container;
mod develop;
mod examine;
mod explain;
mod list;
mod produce;
mod push;
mod save;
mod test;
mod verdict;

pub use container::container_for_shell;
pub use develop::DevelopOptions;
pub use explain::{Explained, explain};
pub use list::{Listed, State, list};
pub use save::Destination;
pub use verdict::{Failure, Verdict};
