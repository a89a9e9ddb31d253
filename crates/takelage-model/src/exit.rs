//! What the exit status of takelage means.

use std::process::{ExitCode, Termination};

use serde::{Deserialize, Serialize};

/// How a run ended, as the caller's shell sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Exit {
    /// Everything asked for was done.
    Done,
    /// The user's code failed: a task, a check, idempotence.
    Failed,
    /// Wrong usage or a wrong project file.
    Usage,
    /// The surroundings failed: engine, registry, toolchain, disk.
    Surroundings,
    /// Interrupted, and cleaned up.
    Interrupted,
}

impl Exit {
    /// Returns the exit status.
    pub const fn code(self) -> u8 {
        match self {
            Self::Done => 0,
            Self::Failed => 1,
            Self::Usage => 2,
            Self::Surroundings => 3,
            Self::Interrupted => 130,
        }
    }
}

impl Termination for Exit {
    fn report(self) -> ExitCode {
        ExitCode::from(self.code())
    }
}
