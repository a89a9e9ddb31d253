//! How many checks ended how, folded from the reports of the run.

use takelage_model::event::CheckStatus;

use crate::bridge::Report;

/// How many checks ended how.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Verified {
    /// They held.
    pub passed: u64,
    /// They did not hold.
    pub failed: u64,
    /// Set-up, tear-down or collection failed.
    pub errors: u64,
    /// They were skipped.
    pub skipped: u64,
    /// They failed as expected.
    pub xfailed: u64,
    /// They held unexpectedly, without being strict about it.
    pub xpassed: u64,
    /// The options left them out.
    pub deselected: u64,
}

impl Verified {
    /// Returns how many make the run fail.
    pub fn bad(&self) -> u64 {
        self.failed + self.errors
    }

    /// Returns how many there were, without those left out.
    pub fn all(&self) -> u64 {
        self.passed + self.failed + self.errors + self.skipped + self.xfailed + self.xpassed
    }

    pub(super) fn add(&mut self, report: &Report) {
        match report {
            Report::Check { check } => {
                let count = match check.status {
                    CheckStatus::Passed => &mut self.passed,
                    CheckStatus::Failed => &mut self.failed,
                    CheckStatus::Error => &mut self.errors,
                    CheckStatus::Skipped => &mut self.skipped,
                    CheckStatus::XFailed => &mut self.xfailed,
                    CheckStatus::XPassed => &mut self.xpassed,
                };
                *count += 1;
            }
            Report::Session { deselected } => self.deselected = *deselected,
            _ => {}
        }
    }
}
