//! How many were forwarded: the last line of a command that ran for a day.

use super::event::{Event, Outcome};

/// Counts what went.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Tally {
    forwarded: u64,
    failed: u64,
}

impl Tally {
    pub(crate) fn count(&mut self, event: &Event) {
        let Event::Went { went, .. } = event else { return };
        if matches!(went.outcome, Outcome::Answered { .. }) {
            self.forwarded += 1;
        }
        if !went.outcome.is_success() {
            self.failed += 1;
        }
    }

    /// `27 forwarded, 2 failed`.
    pub(crate) fn summary(self) -> String {
        format!("{} forwarded, {} failed", self.forwarded, self.failed)
    }
}
