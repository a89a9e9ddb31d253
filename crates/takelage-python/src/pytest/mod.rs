//! Runs checks with the user's own pytest and testinfra.

mod invoke;
mod molecule;
mod run;
mod session;
mod tally;

pub use invoke::{Invocation, invoke};
pub use run::verify;
pub use session::{PytestError, Session};
pub use tally::Verified;
