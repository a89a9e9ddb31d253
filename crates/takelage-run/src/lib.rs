//! Makes develop, produce and test happen: in order, cancellably, remembering what was done.
//!
//! A [`Session`] is one run of one project on one engine. The `verbs` are what users ask for; each is a sequence
//! of `steps`, scheduled per image along the chain. Whatever happens goes through the [`Dispatcher`], which
//! numbers it for the reports. [`molecule`] runs the sequences of scenarios on the same steps.

mod cancel;
mod checks;
mod debian;
mod dispatcher;
mod error;
mod examine;
mod memory;
pub mod molecule;
mod recipe;
mod revision;
mod schedule;
mod session;
mod steps;
mod store;
mod verbs;

pub use cancel::{Cancel, CancelReason};
pub use dispatcher::{Dispatcher, Events};
pub use error::StepError;
pub use examine::{Change, Difference, Examination, FileChange, FileSummary, LayerSummary, Leftover};
pub use memory::{Explanation, FirstRun};
pub use recipe::RecipeError;
pub use session::{Options, Session, SessionParts};
pub use store::{RunDirectory, Store, StoreError};
pub use verbs::{
    Destination, DevelopOptions, Explained, Failure, Listed, State, Verdict, container_for_shell, explain,
    list,
};
