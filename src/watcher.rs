//! One watcher for all running jobs of an account and region.
//!
//! A task asks for the end of its job and sleeps; a single actor describes all of them, 100 ids a call. Each job is
//! looked at as often as its `poll_freq` asks, and sooner while the calls are cheap: while a sweep takes one call it
//! happens every second.

use std::collections::HashMap;
use std::future::pending;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, sleep_until};

use crate::error::{Error, Kind, Result};
use crate::job::{self, IDS_PER_CALL, Job};

/// A sweep is never more frequent than this, unless a job asks for it.
const EAGER: Duration = Duration::from_secs(1);
/// What polling takes of the roughly 50 Batch calls a second that an account has.
const CALLS_PER_SECOND: f64 = 5.0;
/// The longest pause between sweeps under throttling.
const LONGEST_PAUSE: Duration = Duration::from_mins(1);
/// `DescribeJobs` may not know a job for a moment after its submission; missing for this long means expired.
const VANISHED_AFTER: Duration = Duration::from_mins(1);
/// How long a job is watched while AWS does not answer, and while it refuses to.
const PATIENCE_UNANSWERED: Duration = Duration::from_mins(15);
const PATIENCE_REFUSED: Duration = Duration::from_mins(1);

/// Handle of the watcher. The actor behind it starts with the first job and ends with the handle.
#[derive(Debug)]
pub struct Watcher {
    batch: aws_sdk_batch::Client,
    actor: Mutex<Option<mpsc::UnboundedSender<Subscription>>>,
}

#[derive(Debug)]
struct Subscription {
    id: String,
    poll: Duration,
    reply: oneshot::Sender<Result<Job>>,
}

impl Watcher {
    /// A watcher that asks through this client. Starts nothing yet.
    #[must_use]
    pub fn new(batch: aws_sdk_batch::Client) -> Self {
        Self { batch, actor: Mutex::default() }
    }

    /// Waits until the job is over, or until Batch has lost its record (status `VANISHED`).
    ///
    /// `poll` bounds how long an end may go unnoticed while the account's call rate allows it. Dropping the future is
    /// all that it takes to stop watching. Must be called within a tokio runtime.
    pub async fn end_of(&self, id: &str, poll: Duration) -> Result<Job> {
        let (reply, answer) = oneshot::channel();
        self.subscribe(Subscription { id: id.to_owned(), poll, reply });
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
            tokio::spawn(Actor::new(self.batch.clone()).run(receiver));
            // Its receiver lives in the task of the line above: this cannot fail.
            let _ = sender.send(subscription);
            *actor = Some(sender);
        }
    }
}

#[derive(Debug)]
struct Watched {
    poll: Duration,
    replies: Vec<oneshot::Sender<Result<Job>>>,
    status: String,
    missing_since: Option<Instant>,
    failing_since: Option<Instant>,
}

struct Actor {
    batch: aws_sdk_batch::Client,
    jobs: HashMap<String, Watched>,
    /// Sweeps in a row that met throttling or silence.
    strain: u32,
}

impl Actor {
    fn new(batch: aws_sdk_batch::Client) -> Self {
        Self { batch, jobs: HashMap::new(), strain: 0 }
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
                () = due => {
                    self.sweep().await;
                    next_sweep = (!self.jobs.is_empty()).then(|| Instant::now() + self.pause());
                }
            }
        }
    }

    fn add(&mut self, subscription: Subscription) {
        let watched = self.jobs.entry(subscription.id).or_insert_with(|| Watched {
            poll: subscription.poll,
            replies: Vec::new(),
            status: String::new(),
            missing_since: None,
            failing_since: None,
        });
        watched.poll = watched.poll.min(subscription.poll);
        watched.replies.push(subscription.reply);
    }

    /// The time to the next sweep.
    fn pause(&self) -> Duration {
        let shortest = self.jobs.values().map(|watched| watched.poll).min().unwrap_or(EAGER);
        pause(self.jobs.len(), shortest, self.strain, fastrand::f64())
    }

    async fn sweep(&mut self) {
        self.jobs.retain(|_, watched| {
            watched.replies.retain(|reply| !reply.is_closed());
            !watched.replies.is_empty()
        });
        let ids: Vec<String> = self.jobs.keys().cloned().collect();
        let mut strained = false;
        for ids in ids.chunks(IDS_PER_CALL) {
            match job::describe(&self.batch, ids).await {
                Ok(found) => self.settle(ids, found),
                Err(error) => {
                    strained |= error.is_transient();
                    self.endure(ids, &error);
                }
            }
        }
        self.strain = if strained { self.strain + 1 } else { 0 };
    }

    /// Takes in one answer.
    fn settle(&mut self, ids: &[String], found: Vec<Job>) {
        let now = Instant::now();
        for id in ids {
            if let Some(watched) = self.jobs.get_mut(id) {
                watched.failing_since = None;
                watched.missing_since.get_or_insert(now);
            }
        }
        for job in found {
            let Some(watched) = self.jobs.get_mut(&job.id) else { continue };
            watched.missing_since = None;
            if watched.status != job.status {
                tracing::info!("job {} ({}) is {}", job.id, job.name, job.status);
                watched.status.clone_from(&job.status);
            }
            if job.has_ended() {
                self.finish(&job.id.clone(), || Ok(job.clone()));
            }
        }
        for id in ids {
            let missing = self.jobs.get(id).and_then(|watched| watched.missing_since);
            if missing.is_some_and(|since| now.duration_since(since) >= VANISHED_AFTER) {
                tracing::warn!("Batch has no record of job {id} any more");
                self.finish(id, || Ok(Job::vanished(id)));
            }
        }
    }

    /// Takes in a failed call: the jobs go on being watched for a while.
    fn endure(&mut self, ids: &[String], error: &Error) {
        let now = Instant::now();
        let patience = if error.is_transient() { PATIENCE_UNANSWERED } else { PATIENCE_REFUSED };
        tracing::warn!("{} jobs could not be looked at: {error}", ids.len());
        for id in ids {
            let Some(watched) = self.jobs.get_mut(id) else { continue };
            let since = *watched.failing_since.get_or_insert(now);
            if now.duration_since(since) >= patience {
                self.finish(id, || Err(error.replicate()));
            }
        }
    }

    fn finish(&mut self, id: &str, outcome: impl Fn() -> Result<Job>) {
        for reply in self.jobs.remove(id).into_iter().flat_map(|watched| watched.replies) {
            // Nobody waits any more: fine.
            let _ = reply.send(outcome());
        }
    }
}

/// The pause between sweeps over so many jobs: as short as the call rate allows, at most `poll`, longer under strain.
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
