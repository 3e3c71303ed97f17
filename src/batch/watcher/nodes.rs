//! The nodes of a watched job that has several.
//!
//! AWS Batch ends such a job when its main node ends. It does nothing when another one dies, or never begins:
//! <https://docs.aws.amazon.com/batch/latest/userguide/job-lifecycle.html>. So the nodes are described together with
//! their job, and the failure of one of them is told as the job's.

use std::collections::BTreeMap;
use std::time::Duration;

use tokio::time::Instant;

use crate::batch::job::Job;

/// What is known of them.
#[derive(Debug, Default)]
pub(super) struct Nodes {
    /// How many there are; 0 for a job of one container, and before it was described.
    count: usize,
    running: Option<Running>,
    /// The node that failed first while the job runs.
    failed: Option<Job>,
    /// A node that has not begun to run for too long while the job runs.
    unstarted: Option<Job>,
    /// The nodes that have not begun to run while the job runs, by number: their state, and why AWS says so.
    waiting: BTreeMap<usize, String>,
}

/// The attempt of the job that runs.
#[derive(Clone, Copy, Debug)]
struct Running {
    attempts_before: usize,
    since: Option<i64>,
    first_seen: Instant,
    /// How long it had been running then, by AWS's times.
    age_when_first_seen: Duration,
}

impl Running {
    fn new(job: &Job, now: Instant) -> Self {
        let (attempts_before, since) = (job.attempts.len(), job.started_at);
        Self { attempts_before, since, first_seen: now, age_when_first_seen: age(job).unwrap_or_default() }
    }

    fn is_of(&self, job: &Job) -> bool {
        job.status == "RUNNING" && (self.attempts_before, self.since) == (job.attempts.len(), job.started_at)
    }

    fn age(&self, now: Instant) -> Duration {
        now.duration_since(self.first_seen).saturating_add(self.age_when_first_seen)
    }

    /// Whether a node is still described as an earlier attempt of it ended, by AWS's times.
    fn is_after(&self, node: &Job) -> bool {
        node.has_ended() && node.stopped_at.zip(self.since).is_some_and(|(stopped, since)| stopped < since)
    }
}

/// How long the attempt of a job has been running, by AWS's times; `None` where they are those of an earlier attempt.
fn age(job: &Job) -> Option<Duration> {
    let started = job.started_at?;
    let is_of_this = job.attempts.last().is_none_or(|last| last.stopped_at.is_some_and(|stopped| stopped <= started));
    let age = job.created_at?.checked_add(job.age_ms?)?.checked_sub(started)?;
    u64::try_from(age).ok().filter(|_| is_of_this).map(Duration::from_millis)
}

impl Nodes {
    /// How many of them are to be described: the main node, which says how the job ended, and all while it runs.
    pub fn described(&self) -> usize {
        if self.running.is_some() { self.count } else { self.count.min(1) }
    }

    /// Notes what the job is like. If a node ends it, that was found in an earlier answer, and the job runs on in the
    /// same attempt: returns the job with that node then.
    pub fn note_job(&mut self, job: &Job, now: Instant) -> Option<Job> {
        self.count = job.nodes;
        if !self.running.is_some_and(|running| running.is_of(job)) {
            self.running = (job.status == "RUNNING").then(|| Running::new(job, now));
            (self.failed, self.unstarted) = (None, None);
            self.waiting.clear();
        }
        let [failed_node, unstarted_node] = [&self.failed, &self.unstarted].map(|node| node.clone().map(Box::new));
        (failed_node.is_some() || unstarted_node.is_some()).then(|| Job { failed_node, unstarted_node, ..job.clone() })
    }

    /// Notes what the main node is like. Its end is the job's, and stops the others: no other node ends it then.
    pub fn note_main(&mut self, main: &Job) {
        if main.has_ended() {
            (self.failed, self.unstarted) = (None, None);
        }
    }

    /// Notes what another node is like. Until it begins again it is described as an earlier attempt of it ended.
    ///
    /// `limit` is how long it may take to begin after the job; zero for no limit.
    pub fn note_node(&mut self, index: usize, node: &Job, limit: Duration, now: Instant) {
        let Some(running) = self.running.filter(|_| !node.status.is_empty()) else { return };
        self.waiting.remove(&index);
        if running.is_after(node) || !(node.has_ended() || node.status == "RUNNING") {
            let reason = node.status_reason.as_ref().map(|reason| format!(", {reason}")).unwrap_or_default();
            self.waiting.insert(index, format!("{}{reason}", node.status));
            if !limit.is_zero() && running.age(now) >= limit && self.unstarted.is_none() {
                self.unstarted = Some(node.clone());
            }
            return;
        }
        self.unstarted.take_if(|unstarted| unstarted.id == node.id);
        let is_counted = node.attempts.is_empty() || node.attempts.len() > running.attempts_before;
        let is_first = self.failed.as_ref().is_none_or(|known| known.stopped_at > node.stopped_at);
        if node.status == "FAILED" && is_counted && is_first {
            self.failed = Some(node.clone());
        }
    }

    /// Which nodes have not begun to run while the job runs, as a clause; `None` if there are none.
    pub fn waiting(&self) -> Option<String> {
        let (index, state) = self.waiting.first_key_value()?;
        Some(match self.waiting.len() {
            1 => format!("node {index} has not begun ({state})"),
            count => format!("{count} of {} nodes have not begun (node {index}: {state})", self.count),
        })
    }
}
