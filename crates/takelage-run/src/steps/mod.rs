//! The steps that runs are made of, one file each.

mod bootstrap;
mod commit;
mod converge;
mod create;
mod destroy;
mod idempotence;
mod origin;
mod prepare;
mod settle;
mod target;
mod verify;

pub(crate) use commit::CommitPlan;
pub(crate) use converge::{ConvergeOptions, summary};
pub(crate) use create::{Purpose, fits, layer_name, own_name};
pub(crate) use destroy::{containers, is};
pub(crate) use target::{Target, reaches_out};
pub(crate) use verify::{no_tests, summary as verified};
