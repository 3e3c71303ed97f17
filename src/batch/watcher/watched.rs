//! A watched job and its subscribers.

use std::collections::HashSet;
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::time::Instant;

use super::Watch;
use super::nodes::Nodes;
use crate::batch::job::Job;
use crate::batch::waiting;
use crate::error::Result;

#[derive(Debug)]
pub(super) struct Watched {
    pub watch: Watch,
    pub replies: Vec<oneshot::Sender<Result<Job>>>,
    /// The job at its last change of state.
    pub last: Option<Job>,
    /// Reasons for its waiting that were logged, each once.
    pub logged_reasons: HashSet<String>,
    /// Its nodes, if it has several.
    pub nodes: Nodes,
    /// Whether it is being polled.
    pub being_described: bool,
    state_age: Option<StateAge>,
    pub missing_since: Option<Instant>,
    pub failing_since: Option<Instant>,
}

impl Watched {
    pub fn new(watch: Watch) -> Self {
        Self {
            watch,
            replies: Vec::new(),
            last: None,
            logged_reasons: HashSet::new(),
            nodes: Nodes::default(),
            being_described: false,
            state_age: None,
            missing_since: None,
            failing_since: None,
        }
    }

    /// The outcome for the subscribers, if the job has ended or has waited for too long.
    pub fn outcome(&mut self, job: &Job, now: Instant) -> Option<Job> {
        if job.has_ended() {
            return Some(job.clone());
        }
        let waited = self.exceeded_wait(job, now)?;
        // A RUNNABLE job is given up because of the user's limit, and not as stuck.
        let stuck_seconds = (job.status != "RUNNABLE").then_some(waited.as_secs());
        Some(Job { stuck_seconds, ..job.clone() })
    }

    /// Logs why the job does not run yet, once per reason. Returns how long it has waited, if that is too long.
    fn exceeded_wait(&mut self, job: &Job, now: Instant) -> Option<Duration> {
        let state_age = StateAge::of(self.state_age.take(), job, now);
        let (waited, state_age) = (state_age.total(now), self.state_age.insert(state_age));
        if job.status == "RUNNABLE" {
            if let Some(reason) = &job.status_reason
                && self.logged_reasons.insert(reason.clone())
            {
                let meaning = waiting::reason_meaning(reason).map(|meaning| format!(": {meaning}")).unwrap_or_default();
                tracing::warn!("job {} ({}) waits: {reason}{meaning}", job.id, job.name);
            }
            return (!self.watch.runnable_timeout.is_zero() && waited >= self.watch.runnable_timeout).then_some(waited);
        }
        let limit = waiting::stuck_after(&job.status, job.has_dependencies);
        if limit.is_some_and(|limit| waited >= limit) {
            return Some(waited);
        }
        if waited >= waiting::WARN_AFTER
            && !state_age.is_logged
            && let Some(meaning) = waiting::state_meaning(&job.status, job.has_dependencies)
        {
            state_age.is_logged = true;
            let (id, name, status) = (&job.id, &job.name, &job.status);
            let waited = waiting::format_duration(waited.as_secs());
            let limit =
                limit.map(|limit| format!("; after {} it is given up", waiting::format_duration(limit.as_secs())));
            tracing::warn!(
                "job {id} ({name}) waits: it has been {status} for {waited}: {meaning}{}",
                limit.unwrap_or_default()
            );
        }
        None
    }
}

/// Since when a job has been in its state.
#[derive(Debug)]
struct StateAge {
    status: String,
    /// Another attempt may have entered the same state between two polls.
    attempts: usize,
    since: Instant,
    /// The age of the state when it was first seen, by AWS's times.
    age_when_first_seen: Duration,
    /// Whether it was logged as unusually long.
    is_logged: bool,
}

impl StateAge {
    /// The known state, or a new one if the state has changed.
    fn of(known: Option<Self>, job: &Job, now: Instant) -> Self {
        if let Some(known) = known.filter(|known| known.status == job.status && known.attempts == job.attempts.len()) {
            return known;
        }
        // Only for SUBMITTED AWS says when the state began: an attempt's `startedAt` is the beginning of RUNNING.
        let age = job.age_ms.filter(|_| job.status == "SUBMITTED").and_then(|age| u64::try_from(age).ok());
        let age_when_first_seen = Duration::from_millis(age.unwrap_or_default());
        Self {
            status: job.status.clone(),
            attempts: job.attempts.len(),
            since: now,
            age_when_first_seen,
            is_logged: false,
        }
    }

    fn total(&self, now: Instant) -> Duration {
        now.duration_since(self.since).saturating_add(self.age_when_first_seen)
    }
}
