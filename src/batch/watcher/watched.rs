//! A job that is watched, and who waits for its end.

use std::collections::HashSet;
use std::time::Duration;

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
    stay: Option<Stay>,
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
            stay: None,
            missing_since: None,
            failing_since: None,
        }
    }

    /// What its task is told of the job, if it is over or has not got on for too long.
    pub fn outcome(&mut self, job: &Job, now: Instant) -> Option<Job> {
        if job.has_ended() {
            return Some(job.clone());
        }
        let waited = self.has_waited_enough(job, now)?;
        // A job that is RUNNABLE is given up because its user has set a limit.
        let stuck_for = (job.status != "RUNNABLE").then_some(waited.as_secs());
        Some(Job { stuck_for, ..job.clone() })
    }

    /// Says why the job does not run yet, once for each reason, and how long that has lasted if it was for too long.
    fn has_waited_enough(&mut self, job: &Job, now: Instant) -> Option<Duration> {
        let stay = Stay::of(self.stay.take(), job, now);
        let (waited, stay) = (stay.lasts(now), self.stay.insert(stay));
        if job.status == "RUNNABLE" {
            if let Some(reason) = &job.status_reason
                && self.told.insert(reason.clone())
            {
                let meaning = waiting::meaning(reason).map(|meaning| format!(": {meaning}")).unwrap_or_default();
                tracing::warn!("job {} ({}) waits: {reason}{meaning}", job.id, job.name);
            }
            return (!self.watch.runnable.is_zero() && waited >= self.watch.runnable).then_some(waited);
        }
        let limit = waiting::limit(&job.status, job.waits_for_others);
        if limit.is_some_and(|limit| waited >= limit) {
            return Some(waited);
        }
        if waited >= waiting::CONSPICUOUS
            && !stay.told
            && let Some(meaning) = waiting::stay(&job.status, job.waits_for_others)
        {
            stay.told = true;
            let (id, name, status) = (&job.id, &job.name, &job.status);
            let waited = waiting::duration(waited.as_secs());
            let limit = limit.map(|limit| format!("; after {} it is given up", waiting::duration(limit.as_secs())));
            tracing::warn!(
                "job {id} ({name}) waits: it has been {status} for {waited}: {meaning}{}",
                limit.unwrap_or_default()
            );
        }
        None
    }
}

/// How long a job has been in its state.
#[derive(Debug)]
struct Stay {
    status: String,
    /// Another attempt may have come to the same state between two looks.
    attempts: usize,
    since: Instant,
    /// What it had lasted already when it was seen first, by AWS's word.
    before: Duration,
    /// Whether it was told of as conspicuously long.
    told: bool,
}

impl Stay {
    /// What was known of the state, or its beginning if it is another one.
    fn of(known: Option<Self>, job: &Job, now: Instant) -> Self {
        if let Some(known) = known.filter(|known| known.status == job.status && known.attempts == job.attempts.len()) {
            return known;
        }
        // Of no other state does AWS say when it began: an attempt's `startedAt` is the beginning of RUNNING.
        let age = job.age.filter(|_| job.status == "SUBMITTED").and_then(|age| u64::try_from(age).ok());
        let before = Duration::from_millis(age.unwrap_or_default());
        Self { status: job.status.clone(), attempts: job.attempts.len(), since: now, before, told: false }
    }

    fn lasts(&self, now: Instant) -> Duration {
        now.duration_since(self.since).saturating_add(self.before)
    }
}
