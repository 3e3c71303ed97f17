//! A job that is watched, and who waits for its end.

use std::collections::HashSet;

use tokio::sync::oneshot;
use tokio::time::Instant;

use super::Watch;
use crate::batch::job::Job;
use crate::batch::waiting;
use crate::error::Result;

#[derive(Debug)]
pub(super) struct Watched {
    pub watch: Watch,
    pub replies: Vec<oneshot::Sender<Result<Job>>>,
    /// The job when its state last changed.
    pub last: Option<Job>,
    /// What was said about its waiting.
    pub told: HashSet<String>,
    /// Whether a look at it is under way.
    pub being_described: bool,
    pub runnable_since: Option<Instant>,
    pub missing_since: Option<Instant>,
    pub failing_since: Option<Instant>,
}

impl Watched {
    pub fn new(watch: Watch) -> Self {
        Self {
            watch,
            replies: Vec::new(),
            last: None,
            told: HashSet::new(),
            being_described: false,
            runnable_since: None,
            missing_since: None,
            failing_since: None,
        }
    }

    /// Says once for each reason why the job does not start, and whether that has lasted for too long.
    pub fn has_waited_enough(&mut self, job: &Job, now: Instant) -> bool {
        if job.status != "RUNNABLE" {
            self.runnable_since = None;
            return false;
        }
        if let Some(reason) = &job.status_reason
            && self.told.insert(reason.clone())
        {
            let meaning = waiting::meaning(reason).map(|meaning| format!(": {meaning}")).unwrap_or_default();
            tracing::warn!("job {} ({}) waits: {reason}{meaning}", job.id, job.name);
        }
        let since = *self.runnable_since.get_or_insert(now);
        !self.watch.runnable.is_zero() && now.duration_since(since) >= self.watch.runnable
    }
}
