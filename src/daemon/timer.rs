//! Wakes the daemon when a probe is due. The jobs are one-shots of tokio-cron-scheduler; when they are due is computed
//! elsewhere.
//!
//! What that crate does not do, and what is done about it here:
//!
//! - It looks at its jobs every 500 ms and cuts their times down to whole seconds, so that a one-shot runs up to two
//!   seconds early or half a second late: jobs are set two seconds early and wait out the rest themselves.
//! - Its parts talk over broadcast channels that drop what does not fit, and three of its tasks end for good when that
//!   happens: the channels are made large enough for every probe at once. The daemon takes care of a start that is
//!   lost all the same.
//! - It goes by the wall clock, and so does the rest of the wait, in steps of a second: a clock that jumps is noticed.

use std::sync::Arc;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use tokio::sync::mpsc;
use tokio_cron_scheduler::{Job, JobScheduler, JobSchedulerError};

use crate::clock;
use crate::probe::ProbeId;

/// How long before its time a job wakes.
const EARLY: Duration = Duration::from_secs(2);

/// Longest sleep before the wall clock is read again.
const NAP: Duration = Duration::from_secs(1);

/// A probe whose time has come.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Due {
    pub(super) probe: ProbeId,
    pub(super) at: Timestamp,
}

/// The scheduler of the jobs.
pub(super) struct Timer {
    scheduler: JobScheduler,
    due: mpsc::UnboundedSender<Arc<Due>>,
}

impl Timer {
    /// A timer for so many probes, and where their starts come in.
    pub(super) async fn start(
        probes: usize,
    ) -> Result<(Self, mpsc::UnboundedReceiver<Arc<Due>>), JobSchedulerError> {
        // A job that runs says so three times; all may be due in the same tick.
        let room = (probes * 3 + 256).next_power_of_two();
        let scheduler = JobScheduler::new_with_channel_size(room).await?;
        scheduler.start().await?;
        let (due, starts) = mpsc::unbounded_channel();
        Ok((Self { scheduler, due }, starts))
    }

    /// Wakes the daemon at `due.at`.
    pub(super) async fn set(&self, due: Due) -> Result<(), JobSchedulerError> {
        let due = Arc::new(due);
        let wake = Instant::now() + until(due.at).saturating_sub(EARLY);
        let sender = self.due.clone();
        let job = Job::new_one_shot_at_instant_async(wake, move |_, _| {
            Box::pin(announce(Arc::clone(&due), sender.clone()))
        })?;
        self.scheduler.add(job).await.map(drop)
    }

    /// No more starts.
    pub(super) async fn stop(&mut self) {
        if let Err(error) = self.scheduler.shutdown().await {
            tracing::warn!(
                error = &error as &dyn std::error::Error,
                "the scheduler did not stop"
            );
        }
    }
}

async fn announce(due: Arc<Due>, sender: mpsc::UnboundedSender<Arc<Due>>) {
    loop {
        let left = until(due.at);
        if left.is_zero() {
            break;
        }
        tokio::time::sleep(left.min(NAP)).await;
        if sender.is_closed() {
            return;
        }
    }
    // Nobody waits for it when the daemon is stopping.
    let _ = sender.send(due);
}

/// Zero once it is over.
fn until(at: Timestamp) -> Duration {
    Duration::try_from(at.duration_since(clock::now())).unwrap_or(Duration::ZERO)
}
