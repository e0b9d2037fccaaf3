//! How much is kept, and how far back.

use std::time::Duration;

use jiff::Timestamp;

/// How much the store keeps.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Runs with their verdicts, and rollups by the minute.
    pub runs: Duration,
    /// What was seen in runs.
    pub evidence: Duration,
    /// Rollups by the hour and the day.
    pub rollups: Duration,
    /// Size on disk beyond which the oldest evidence goes first, then the oldest runs.
    pub size_bytes: u64,
}

impl Default for Limits {
    fn default() -> Self {
        let days = |days: u64| Duration::from_secs(days * 86_400);
        Self {
            runs: days(30),
            evidence: days(7),
            rollups: days(400),
            size_bytes: 4 << 30,
        }
    }
}

impl Limits {
    /// How far back records are kept at `now`.
    pub fn horizon(&self, now: Timestamp) -> Horizon {
        let before = |keep| now.checked_sub(keep).unwrap_or(Timestamp::MIN);
        Horizon {
            runs: before(self.runs),
            evidence: before(self.evidence),
            rollups: before(self.rollups),
        }
    }
}

/// Moments before which records go.
#[derive(Debug, Clone, Copy)]
pub struct Horizon {
    pub runs: Timestamp,
    pub evidence: Timestamp,
    pub rollups: Timestamp,
}
