//! One watcher for all running jobs of an account and region.
//!
//! A task asks for the end of its job and sleeps; a single actor describes all of them, 100 ids a call. Each job is
//! looked at as often as its `poll_freq` asks, and sooner while the calls are cheap: every second for up to 500 jobs.
//! For more than that, AWS's limit of calls decides. Each look is a task of its own, so that one without an answer holds up
//! nobody but the jobs that it is a look at.

use std::collections::HashMap;
use std::future::pending;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};
use tokio::task::{JoinError, JoinSet};
use tokio::time::{Instant, sleep_until};

use crate::batch::job::Job;
use crate::batch::jobs::{IDS_PER_CALL, Jobs};
use crate::error::{Error, Kind, Result};

mod look;
mod watched;

use look::Look;
use watched::Watched;

/// A sweep is never more frequent than this, unless a job asks for it.
const EAGER: Duration = Duration::from_secs(1);
/// What polling takes of the roughly 50 Batch calls a second that an account has.
const CALLS_PER_SECOND: f64 = 5.0;
/// The longest pause between sweeps under throttling.
const LONGEST_PAUSE: Duration = Duration::from_mins(1);
/// `DescribeJobs` may not know a job for a moment after its submission; missing for this long means that it is gone.
const VANISHED_AFTER: Duration = Duration::from_mins(1);
/// One that it has known and forgotten again has expired, unless some answers in a row were wrong.
const EXPIRED_AFTER: Duration = Duration::from_secs(30);
/// How long a record that cannot be understood is asked for again, while others can be.
const PATIENCE_GARBLED: Duration = Duration::from_secs(10);
/// How long a job is watched while AWS does not answer, and while it refuses to.
const PATIENCE_UNANSWERED: Duration = Duration::from_mins(15);
const PATIENCE_REFUSED: Duration = Duration::from_mins(1);

/// Handle of the watcher. The actor behind it starts with the first job and ends with the handle.
#[derive(Debug)]
pub struct Watcher {
    jobs: Arc<Jobs>,
    actor: Mutex<Option<mpsc::UnboundedSender<Subscription>>>,
}

/// How a job is to be watched.
#[derive(Clone, Copy, Debug)]
pub struct Watch {
    /// How long its end may go unnoticed at the most, while the account's call rate allows it.
    pub poll: Duration,
    /// How long it may be RUNNABLE; zero for ever.
    pub runnable: Duration,
}

/// Somebody who waits for the end of a job.
#[derive(Debug)]
pub struct Subscription {
    id: String,
    watch: Watch,
    reply: oneshot::Sender<Result<Job>>,
}

impl Subscription {
    /// The subscription, and where the answer will arrive. Dropping that end cancels it.
    #[must_use]
    pub fn new(id: &str, watch: Watch) -> (Self, oneshot::Receiver<Result<Job>>) {
        let (reply, answer) = oneshot::channel();
        (Self { id: id.to_owned(), watch, reply }, answer)
    }
}

impl Watcher {
    /// One that watches nothing yet.
    #[must_use]
    pub fn new(jobs: Arc<Jobs>) -> Self {
        Self { jobs, actor: Mutex::default() }
    }

    /// Waits until the job is over, or Batch has lost its record (status `VANISHED`), or it could not start for too long
    /// (status `RUNNABLE`), or it is stuck in another state before `RUNNING` (see [`Job::stuck_for`]).
    ///
    /// Dropping the future is all that it takes to stop watching. Must be called within a tokio runtime.
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
            // The first job, or the actor's runtime went away.
            let (sender, receiver) = mpsc::unbounded_channel();
            tokio::spawn(Actor::new(self.jobs.clone()).run(receiver));
            // Its receiver lives in the task of the line above: this cannot fail.
            let _ = sender.send(subscription);
            *actor = Some(sender);
        }
    }
}

/// The jobs that are watched. [`Watcher`] keeps it going in a task of its own.
#[derive(Debug)]
pub struct Actor {
    jobs: Arc<Jobs>,
    watched: HashMap<String, Watched>,
    looks: JoinSet<Look>,
    /// Whether a look met throttling or silence since the last sweep; `None` if none has ended.
    strained: Option<bool>,
    /// Sweeps in a row of which a look did.
    strain: u32,
}

impl Actor {
    /// Watches nothing yet.
    #[must_use]
    pub fn new(jobs: Arc<Jobs>) -> Self {
        Self { jobs, watched: HashMap::new(), looks: JoinSet::new(), strained: None, strain: 0 }
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
                    let soon = Instant::now() + self.pause();
                    next_sweep = Some(next_sweep.map_or(soon, |at: Instant| at.min(soon)));
                }
                Some(look) = self.looks.join_next() => self.take_in(look),
                () = due => {
                    self.begin_sweep();
                    next_sweep = (!self.watched.is_empty()).then(|| Instant::now() + self.pause());
                }
            }
        }
    }

    /// Watches one more job.
    pub fn add(&mut self, subscription: Subscription) {
        let watched = self.watched.entry(subscription.id).or_insert_with(|| Watched::new(subscription.watch));
        watched.watch.poll = watched.watch.poll.min(subscription.watch.poll);
        watched.replies.push(subscription.reply);
    }

    /// The time to the next sweep.
    fn pause(&self) -> Duration {
        let shortest = self.watched.values().map(|watched| watched.watch.poll).min().unwrap_or(EAGER);
        pause(self.watched.len(), shortest, self.strain, fastrand::f64())
    }

    /// Looks at all jobs once, and tells of those that are over.
    pub async fn sweep(&mut self) {
        self.begin_sweep();
        while let Some(look) = self.looks.join_next().await {
            self.take_in(look);
        }
    }

    /// Begins looks at all jobs but those that are looked at already.
    fn begin_sweep(&mut self) {
        self.watched.retain(|_, watched| {
            watched.replies.retain(|reply| !reply.is_closed());
            !watched.replies.is_empty()
        });
        if let Some(strained) = self.strained.take() {
            self.strain = if strained { self.strain + 1 } else { 0 };
        }
        let unseen = self.watched.iter_mut().filter(|(_, watched)| !watched.being_described);
        let mut ids: Vec<String> = unseen
            .map(|(id, watched)| {
                watched.being_described = true;
                id.clone()
            })
            .collect();
        // Where a part cannot be understood, it meets others next time.
        fastrand::shuffle(&mut ids);
        for ids in ids.chunks(IDS_PER_CALL) {
            self.looks.spawn(Look::at(self.jobs.clone(), ids.to_vec()));
        }
    }

    fn take_in(&mut self, look: Result<Look, JoinError>) {
        let look = match look {
            Ok(look) => look,
            Err(error) if error.is_panic() => std::panic::resume_unwind(error.into_panic()),
            Err(_) => return, // The runtime ends.
        };
        for id in &look.ids {
            if let Some(watched) = self.watched.get_mut(id) {
                watched.being_described = false;
            }
        }
        let understood = !look.found.is_empty();
        for (ids, found) in look.found {
            self.settle(&ids, found);
        }
        let mut strained = false;
        for (ids, error) in look.failures {
            // Where nothing can be understood, it is not AWS that answers.
            let garbled = error.kind() == Kind::Garbled;
            let unanswered = error.kind() == Kind::Ambiguous || garbled && (ids.len() > 1 || !understood);
            strained |= unanswered || error.kind() == Kind::Throttled;
            self.endure(&ids, &error, unanswered);
        }
        *self.strained.get_or_insert_default() |= strained;
    }

    /// Takes in one answer.
    fn settle(&mut self, ids: &[String], found: Vec<Job>) {
        let now = Instant::now();
        for id in ids {
            if let Some(watched) = self.watched.get_mut(id) {
                watched.failing_since = None;
                watched.missing_since.get_or_insert(now);
            }
        }
        for job in found {
            let Some(watched) = self.watched.get_mut(&job.id) else { continue };
            if job.status.is_empty() {
                continue; // A record without a state is none.
            }
            watched.missing_since = None;
            if watched.last.as_ref().is_none_or(|last| last.status != job.status) {
                tracing::info!("job {} ({}) is {}", job.id, job.name, job.status);
                watched.last = Some(job.clone());
            }
            if let Some(told) = watched.outcome(&job, now) {
                self.finish(&job.id, || Ok(told.clone()));
            }
        }
        for id in ids {
            let Some(watched) = self.watched.get(id) else { continue };
            let patience = if watched.last.is_none() { VANISHED_AFTER } else { EXPIRED_AFTER };
            if watched.missing_since.is_some_and(|since| now.duration_since(since) >= patience) {
                tracing::warn!("Batch has no record of job {id} any more");
                let vanished = Job::vanished(id, watched.last.as_ref());
                self.finish(id, || Ok(vanished.clone()));
            }
        }
    }

    /// Takes in a failed call: the jobs go on being watched for a while.
    fn endure(&mut self, ids: &[String], error: &Error, unanswered: bool) {
        let now = Instant::now();
        let patience = match error.kind() {
            // What AWS throttles is not lost: throttling is transient.
            Kind::Throttled => Duration::MAX,
            _ if unanswered => PATIENCE_UNANSWERED,
            // Who signs on again in time goes on as if nothing had been, and so does who cannot reach what has the
            // credentials for a while: then it is not AWS that refuses, and there is no code of AWS's.
            Kind::Access if error.is_expired() || error.code().is_none() => PATIENCE_UNANSWERED,
            // The same garbled record again and again does not become a better one.
            Kind::Garbled => PATIENCE_GARBLED,
            _ => PATIENCE_REFUSED,
        };
        if ids.iter().any(|id| self.watched.get(id).is_some_and(|watched| watched.failing_since.is_none())) {
            tracing::warn!("{} jobs cannot be looked at: {error}; trying again", ids.len());
        }
        for id in ids {
            let Some(watched) = self.watched.get_mut(id) else { continue };
            let since = *watched.failing_since.get_or_insert(now);
            if now.duration_since(since) >= patience {
                self.finish(id, || Err(error.replicate()));
            }
        }
    }

    fn finish(&mut self, id: &str, outcome: impl Fn() -> Result<Job>) {
        for reply in self.watched.remove(id).into_iter().flat_map(|watched| watched.replies) {
            // Nobody waits any more: fine.
            let _ = reply.send(outcome());
        }
    }
}

/// The pause between sweeps over so many jobs: a second, or `poll` if that is less, but as long as the call
/// rate demands, and longer under strain.
///
/// `random` in 0..1 spreads the pauses of several processes that are throttled together.
fn pause(jobs: usize, poll: Duration, strain: u32, random: f64) -> Duration {
    #[allow(clippy::cast_precision_loss)] // some thousands of calls at the most
    let affordable = Duration::from_secs_f64(jobs.div_ceil(IDS_PER_CALL) as f64 / CALLS_PER_SECOND);
    let calm = affordable.max(EAGER.min(poll));
    if strain == 0 {
        return calm;
    }
    let backed_off = calm.saturating_mul(1 << strain.min(10)).min(LONGEST_PAUSE.max(calm));
    backed_off.mul_f64(0.5 + random / 2.0).max(calm)
}

#[cfg(test)]
mod tests;
