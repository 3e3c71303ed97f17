//! One watcher for all running jobs of an account and region.
//!
//! A task subscribes to the end of its job; a single actor describes all jobs, 100 ids a call. A sweep polls every job
//! at least as often as its `poll_freq`, and every second for up to 500 jobs. For more jobs the limit on calls decides.
//! A job of several nodes counts as all of them: they are described in the same sweep.
//! Each poll is a task of its own, so that one without an answer delays only its own jobs.

use std::collections::HashMap;
use std::future::pending;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};
use tokio::task::{JoinError, JoinSet};
use tokio::time::{Instant, sleep_until};

use crate::batch::job::{Job, node_id, parts_of_node_id};
use crate::batch::jobs::{IDS_PER_CALL, Jobs};
use crate::error::{Error, Kind, Result};

mod nodes;
mod poll;
pub mod states;
mod watched;

use poll::Poll;
use states::States;
use watched::Watched;

/// Interval between sweeps, unless a job's poll interval is shorter.
const MIN_SWEEP_INTERVAL: Duration = Duration::from_secs(1);
/// The share of polling in the roughly 50 Batch calls a second of an account.
const MAX_CALLS_PER_SECOND: f64 = 5.0;
/// Longest interval between sweeps under throttling.
const MAX_SWEEP_INTERVAL: Duration = Duration::from_mins(1);
/// After this time without a record a new job has vanished: `DescribeJobs` is eventually consistent.
const VANISHED_AFTER: Duration = Duration::from_mins(1);
/// After this time without a record a job that had one has expired; a few wrong answers in a row do not count.
const EXPIRED_AFTER: Duration = Duration::from_secs(30);
/// How long a garbled record is polled again while others can be parsed.
const GARBLED_TIMEOUT: Duration = Duration::from_secs(10);
/// How long a job is watched while AWS does not answer, and while it refuses the call.
const UNANSWERED_TIMEOUT: Duration = Duration::from_mins(15);
const REFUSED_TIMEOUT: Duration = Duration::from_mins(1);

/// Handle of the watcher. The actor behind it starts with the first job and ends with the handle.
#[derive(Debug)]
pub struct Watcher {
    jobs: Arc<Jobs>,
    /// What is known of the watched jobs.
    pub states: States,
    actor: Mutex<Option<mpsc::UnboundedSender<Subscription>>>,
}

/// How a job is to be watched.
#[derive(Clone, Copy, Debug)]
pub struct Watch {
    /// How long its end may go unnoticed, if the account's call rate allows it.
    pub poll_interval: Duration,
    /// How long it may be RUNNABLE, and how long after it each of its nodes may take to run; zero for no limit.
    pub runnable_timeout: Duration,
}

/// A subscription to the end of a job.
#[derive(Debug)]
pub struct Subscription {
    id: String,
    watch: Watch,
    reply: oneshot::Sender<Result<Job>>,
}

impl Subscription {
    /// A subscription, and the receiver of its outcome. Dropping the receiver cancels it.
    #[must_use]
    pub fn new(id: &str, watch: Watch) -> (Self, oneshot::Receiver<Result<Job>>) {
        let (reply, answer) = oneshot::channel();
        (Self { id: id.to_owned(), watch, reply }, answer)
    }
}

impl Watcher {
    /// Without jobs.
    #[must_use]
    pub fn new(jobs: Arc<Jobs>) -> Self {
        Self { jobs, states: States::default(), actor: Mutex::default() }
    }

    /// Waits until the job has ended, or has no record (status `VANISHED`), or was RUNNABLE for too long, or is stuck
    /// in another state before `RUNNING` (see [`Job::stuck_seconds`]), or runs on although one of its nodes has failed
    /// (see [`Job::failed_node`]) or has not begun in time (see [`Job::unstarted_node`]).
    ///
    /// Dropping the future stops watching. Must be called within a tokio runtime.
    pub async fn end_of(&self, id: &str, watch: Watch) -> Result<Job> {
        let (subscription, answer) = Subscription::new(id, watch);
        self.subscribe(subscription);
        answer.await.unwrap_or_else(|_| Err(Error::new(Kind::Ambiguous, format!("the watcher of job {id} has ended"))))
    }

    fn subscribe(&self, subscription: Subscription) {
        let mut actor = self.actor.lock().unwrap_or_else(PoisonError::into_inner);
        let unsent = match actor.as_ref() {
            Some(actor) => actor.send(subscription).err().map(|unsent| unsent.0),
            None => Some(subscription),
        };
        if let Some(subscription) = unsent {
            // There is no actor yet, or its runtime has ended.
            let (sender, receiver) = mpsc::unbounded_channel();
            tokio::spawn(Actor::new(self.jobs.clone(), self.states.clone()).run(receiver));
            // Its receiver lives in the task of the line above: this cannot fail.
            let _ = sender.send(subscription);
            *actor = Some(sender);
        }
    }
}

/// Polls the watched jobs, in a task that [`Watcher`] spawns.
#[derive(Debug)]
pub struct Actor {
    jobs: Arc<Jobs>,
    states: States,
    watched: HashMap<String, Watched>,
    polls: JoinSet<Poll>,
    /// Whether a poll since the last sweep was throttled or unanswered; `None` if none has completed.
    overloaded: Option<bool>,
    /// Consecutive sweeps with such a poll.
    overloaded_sweeps: u32,
}

impl Actor {
    /// Without jobs.
    #[must_use]
    pub fn new(jobs: Arc<Jobs>, states: States) -> Self {
        Self { jobs, states, watched: HashMap::new(), polls: JoinSet::new(), overloaded: None, overloaded_sweeps: 0 }
    }

    async fn run(mut self, mut subscriptions: mpsc::UnboundedReceiver<Subscription>) {
        let mut next_sweep = None;
        loop {
            let due = async {
                match next_sweep {
                    Some(at) => sleep_until(at).await,
                    None => pending().await,
                }
            };
            tokio::select! {
                subscription = subscriptions.recv() => {
                    let Some(subscription) = subscription else { return };
                    self.add(subscription);
                    let soon = Instant::now() + self.sweep_interval();
                    next_sweep = Some(next_sweep.map_or(soon, |at: Instant| at.min(soon)));
                }
                Some(poll) = self.polls.join_next() => self.apply_poll(poll),
                () = due => {
                    self.begin_sweep();
                    next_sweep = (!self.watched.is_empty()).then(|| Instant::now() + self.sweep_interval());
                }
            }
        }
    }

    /// Watches one more job.
    pub fn add(&mut self, subscription: Subscription) {
        let watched = self.watched.entry(subscription.id).or_insert_with(|| Watched::new(subscription.watch));
        watched.watch.poll_interval = watched.watch.poll_interval.min(subscription.watch.poll_interval);
        watched.replies.push(subscription.reply);
    }

    /// The time to the next sweep.
    fn sweep_interval(&self) -> Duration {
        let shortest =
            self.watched.values().map(|watched| watched.watch.poll_interval).min().unwrap_or(MIN_SWEEP_INTERVAL);
        let described = self.watched.values().map(|watched| 1 + watched.nodes.described()).sum();
        sweep_interval(described, shortest, self.overloaded_sweeps, fastrand::f64())
    }

    /// Polls all jobs once and replies to the subscribers of those that have ended.
    pub async fn sweep(&mut self) {
        self.begin_sweep();
        while let Some(poll) = self.polls.join_next().await {
            self.apply_poll(poll);
        }
    }

    /// Starts polls of all jobs that are not being polled.
    fn begin_sweep(&mut self) {
        self.watched.retain(|id, watched| {
            watched.replies.retain(|reply| !reply.is_closed());
            if watched.replies.is_empty() {
                self.states.forget(id);
            }
            !watched.replies.is_empty()
        });
        if let Some(overloaded) = self.overloaded.take() {
            self.overloaded_sweeps = if overloaded { self.overloaded_sweeps + 1 } else { 0 };
        }
        let unseen = self.watched.iter_mut().filter(|(_, watched)| !watched.being_described);
        let mut groups: Vec<Vec<String>> = unseen
            .map(|(id, watched)| {
                watched.being_described = true;
                let nodes = (0..watched.nodes.described()).map(|index| node_id(id, index));
                std::iter::once(id.clone()).chain(nodes).collect()
            })
            .collect();
        // Garbled records are grouped with other jobs next time.
        fastrand::shuffle(&mut groups);
        for ids in calls(groups) {
            self.polls.spawn(Poll::run(self.jobs.clone(), ids));
        }
    }

    fn apply_poll(&mut self, poll: Result<Poll, JoinError>) {
        let poll = match poll {
            Ok(poll) => poll,
            Err(error) if error.is_panic() => std::panic::resume_unwind(error.into_panic()),
            Err(_) => return, // The runtime ends.
        };
        for id in &poll.ids {
            if let Some(watched) = self.watched.get_mut(id) {
                watched.being_described = false;
            }
        }
        let understood = !poll.found.is_empty();
        for (ids, found) in poll.found {
            self.apply_answer(&ids, found);
        }
        let mut overloaded = false;
        for (ids, error) in poll.failures {
            // If nothing can be parsed, something else than AWS answers.
            let garbled = error.kind() == Kind::Garbled;
            let unanswered = error.kind() == Kind::Ambiguous || garbled && (ids.len() > 1 || !understood);
            overloaded |= unanswered || error.kind() == Kind::Throttled;
            self.apply_failure(&ids, &error, unanswered);
        }
        *self.overloaded.get_or_insert_default() |= overloaded;
    }

    /// Applies an answer.
    fn apply_answer(&mut self, ids: &[String], found: Vec<Job>) {
        let now = Instant::now();
        for id in ids {
            if let Some(watched) = self.watched.get_mut(id) {
                watched.failing_since = None;
                watched.missing_since.get_or_insert(now);
            }
        }
        let (nodes, jobs): (Vec<Job>, Vec<Job>) =
            found.into_iter().partition(|job| parts_of_node_id(&job.id).is_some());
        self.states.note(&jobs);
        self.note_nodes(&nodes, true, now);
        for job in jobs {
            let Some(watched) = self.watched.get_mut(&job.id) else { continue };
            if job.status.is_empty() {
                continue; // an incomplete record counts as missing
            }
            watched.missing_since = None;
            if watched.last.as_ref().is_none_or(|last| last.status != job.status) {
                tracing::info!("job {} ({}) is {}", job.id, job.name, job.status);
                watched.last = Some(job.clone());
            }
            let ended_by_node = watched.nodes.note_job(&job, now);
            if job.nodes > 0 && !ids.contains(&node_id(&job.id, 0)) {
                continue; // Its main node says how it ended.
            }
            if let Some(outcome) = watched.outcome(&job, now).or(ended_by_node) {
                self.finish(&job.id, || Ok(outcome.clone()));
            }
        }
        self.note_nodes(&nodes, false, now);
        for id in ids {
            let Some(watched) = self.watched.get(id) else { continue };
            let timeout = if watched.last.is_none() { VANISHED_AFTER } else { EXPIRED_AFTER };
            if watched.missing_since.is_some_and(|since| now.duration_since(since) >= timeout) {
                tracing::warn!("Batch has no record of job {id} any more");
                let vanished = Job::vanished(id, watched.last.as_ref());
                self.finish(id, || Ok(vanished.clone()));
            }
        }
    }

    /// Notes what main nodes are like, or the others.
    fn note_nodes(&mut self, nodes: &[Job], main: bool, now: Instant) {
        for node in nodes {
            let Some((job, index)) = parts_of_node_id(&node.id).filter(|(_, index)| main == (*index == 0)) else {
                continue;
            };
            let Some(watched) = self.watched.get_mut(job) else { continue };
            if index == 0 {
                watched.nodes.note_main(node);
            } else {
                watched.nodes.note_node(index, node, watched.watch.runnable_timeout, now);
                self.states.note_waiting_nodes(job, watched.nodes.waiting());
            }
        }
    }

    /// Applies a failed call: its jobs are still watched for a while.
    fn apply_failure(&mut self, ids: &[String], error: &Error, unanswered: bool) {
        let now = Instant::now();
        let timeout = match error.kind() {
            // Throttling is transient.
            Kind::Throttled => Duration::MAX,
            _ if unanswered => UNANSWERED_TIMEOUT,
            // A user may sign on again in time, and a credential source may be unreachable for a while: then there is
            // no error code, because AWS has not refused anything.
            Kind::Access if error.is_expired() || error.code().is_none() => UNANSWERED_TIMEOUT,
            // A garbled record rarely becomes valid.
            Kind::Garbled => GARBLED_TIMEOUT,
            _ => REFUSED_TIMEOUT,
        };
        if ids.iter().any(|id| self.watched.get(id).is_some_and(|watched| watched.failing_since.is_none())) {
            tracing::warn!("{} jobs cannot be looked at: {error}; trying again", ids.len());
        }
        for id in ids {
            let Some(watched) = self.watched.get_mut(id) else { continue };
            let since = *watched.failing_since.get_or_insert(now);
            if now.duration_since(since) >= timeout {
                self.finish(id, || Err(error.replicate()));
            }
        }
    }

    fn finish(&mut self, id: &str, outcome: impl Fn() -> Result<Job>) {
        self.states.forget(id);
        for reply in self.watched.remove(id).into_iter().flat_map(|watched| watched.replies) {
            // The subscriber may have been dropped.
            let _ = reply.send(outcome());
        }
    }
}

/// Puts ids into calls. Those of a group stay together if they fit, and its first ones in any case.
fn calls(groups: Vec<Vec<String>>) -> Vec<Vec<String>> {
    let mut calls: Vec<Vec<String>> = Vec::new();
    for group in groups {
        for part in group.chunks(IDS_PER_CALL) {
            match calls.last_mut() {
                Some(call) if call.len() + part.len() <= IDS_PER_CALL => call.extend_from_slice(part),
                _ => calls.push(part.to_vec()),
            }
        }
    }
    calls
}

/// The interval between sweeps over so many jobs: a second, or `poll` if that is less, but at least what the call rate
/// requires, and with exponential backoff after overloaded sweeps.
///
/// `random` in 0..1 is jitter, for several processes that are throttled together.
fn sweep_interval(jobs: usize, poll: Duration, overloaded_sweeps: u32, random: f64) -> Duration {
    #[allow(clippy::cast_precision_loss)] // some thousands of calls at most
    let affordable = Duration::from_secs_f64(jobs.div_ceil(IDS_PER_CALL) as f64 / MAX_CALLS_PER_SECOND);
    let base = affordable.max(MIN_SWEEP_INTERVAL.min(poll));
    if overloaded_sweeps == 0 {
        return base;
    }
    let backed_off = base.saturating_mul(1 << overloaded_sweeps.min(10)).min(MAX_SWEEP_INTERVAL.max(base));
    backed_off.mul_f64(0.5 + random / 2.0).max(base)
}

#[cfg(test)]
mod tests;
