//! What the tests of the built program share: a project of their own in a clean environment, and what came of a run.

mod project;
mod running;

pub(crate) use project::TestProject;
pub(crate) use running::{Finished, Running};
