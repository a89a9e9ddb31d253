//! Turns events into something a person or a CI system reads.
//!
//! Every report is a fold over the events of [`takelage_model::event`]: it knows what happened and nothing
//! else, so a recorded log gives the same report afterwards as the run gave live. Nothing here decides how a
//! run ends, opens standard output or reads the environment; writers, paths and [`Style`] come in.

mod clean;
mod failure;
mod json_lines;
mod junit;
mod lines;
mod live;
mod replay;
mod reporters;
mod style;
mod summary;
mod table;
mod terminal;
mod words;

pub use json_lines::JsonLines;
pub use junit::Junit;
pub use replay::{Replay, ReplayError, replay};
pub use reporters::{ReportError, Reporters};
pub use style::Style;
pub use summary::{Checks, Failure, ImageSummary, Produced, StepSummary, Summary, Tasks};
pub use terminal::Terminal;
