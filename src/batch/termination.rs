//! Terminations: those of a moment with the same reason go out together, 50 jobs a call.
//!
//! A dispatch that is cancelled ends hundreds of jobs at once. `TerminateJobs` is newer than the rest of the API, so
//! what it does not take is asked for job by job: another service than AWS may lack it. It needs the right to
//! `batch:TerminateJob` and no other:
//! <https://docs.aws.amazon.com/batch/latest/APIReference/API_TerminateJobs.html>.

use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::task::JoinSet;
use tokio::time::sleep;

use super::job::truncate;
use crate::aws::clients::Clients;
use crate::aws::detached;
use crate::aws::retry;
use crate::error::{Error, Kind, Result};

/// `TerminateJobs` takes this many ids a call.
const JOBS_PER_CALL: usize = 50;
/// Attempts of that call, the first included: there is another way.
const MAX_ATTEMPTS: u32 = 2;
/// How long a termination waits for others with its reason.
const GROUPING_DELAY: Duration = Duration::from_millis(50);
/// How long a termination is retried while AWS does not answer.
const UNANSWERED_TIMEOUT: Duration = Duration::from_mins(2);

/// Terminates jobs of an account and region.
#[derive(Debug)]
pub struct Terminations {
    clients: Arc<Clients>,
    /// What waits for the next call, by reason.
    waiting: Mutex<HashMap<String, Vec<Waiting>>>,
    /// Whether the service has `TerminateJobs`, as far as is known.
    has_bulk_call: AtomicBool,
}

/// A job, and who waits for the answer.
#[derive(Debug)]
struct Waiting {
    id: String,
    reply: oneshot::Sender<Result<()>>,
}

impl Terminations {
    /// Without jobs.
    #[must_use]
    pub fn new(clients: Arc<Clients>) -> Arc<Self> {
        Arc::new(Self { clients, waiting: Mutex::default(), has_bulk_call: AtomicBool::new(true) })
    }

    /// Terminates a job in any state; an ended job is not changed. Retries for some minutes, because the job would run,
    /// and cost money, until its time limit.
    ///
    /// # Errors
    /// AWS refused it, or did not answer in time.
    pub async fn terminate(self: &Arc<Self>, id: &str, reason: &str) -> Result<()> {
        let reason = truncate(reason);
        retry::retry_transient(UNANSWERED_TIMEOUT, || self.terminate_with_others(id, &reason)).await
    }

    async fn terminate_with_others(self: &Arc<Self>, id: &str, reason: &str) -> Result<()> {
        let (reply, answer) = oneshot::channel();
        let is_first = {
            let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
            let same = waiting.entry(reason.to_owned()).or_default();
            same.push(Waiting { id: id.to_owned(), reply });
            same.len() == 1
        };
        if is_first {
            // Detached: others wait for it, too.
            let group = self.clone().send_group(reason.to_owned());
            drop(detached::run(group, |()| async {}));
        }
        let unanswered = || Error::new(Kind::Ambiguous, format!("whether job {id} was terminated is not known"));
        answer.await.unwrap_or_else(|_| Err(unanswered()))
    }

    async fn send_group(self: Arc<Self>, reason: String) {
        sleep(GROUPING_DELAY).await;
        let mut group = self.waiting.lock().unwrap_or_else(PoisonError::into_inner).remove(&reason).unwrap_or_default();
        let mut calls = JoinSet::new();
        while !group.is_empty() {
            let some = group.split_off(group.len().saturating_sub(JOBS_PER_CALL));
            calls.spawn(self.clone().send(some, reason.clone()));
        }
        calls.join_all().await;
    }

    async fn send(self: Arc<Self>, mut jobs: Vec<Waiting>, reason: String) {
        if jobs.len() > 1 && self.has_bulk_call.load(Ordering::Relaxed) {
            let ids = jobs.iter().map(|job| job.id.clone()).collect();
            match self.terminate_all_once(ids, &reason).await {
                Ok(taken) => {
                    let (taken, left): (Vec<_>, Vec<_>) = jobs.into_iter().partition(|job| taken.contains(&job.id));
                    jobs = left;
                    answer(taken, || Ok(()));
                }
                Err(error) if error.kind() == Kind::Throttled => return answer(jobs, || Err(error.replicate())),
                Err(error) => {
                    tracing::debug!("{error}; each job is terminated by a call of its own");
                    if error.kind() == Kind::Refused {
                        self.has_bulk_call.store(false, Ordering::Relaxed);
                    }
                }
            }
        }
        let mut calls = JoinSet::new();
        for job in jobs {
            let (this, reason) = (self.clone(), reason.clone());
            calls.spawn(async move {
                // The caller may have been dropped.
                let _ = job.reply.send(this.terminate_once(&job.id, &reason).await);
            });
        }
        calls.join_all().await;
    }

    /// Returns the ids that AWS has taken.
    async fn terminate_all_once(&self, ids: Vec<String>, reason: &str) -> Result<HashSet<String>> {
        let clients = &self.clients;
        clients.acquire_urgent_batch_call().await;
        let retries = clients.batch.config().retry_config().map(|retries| {
            let max_attempts = MAX_ATTEMPTS.min(retries.max_attempts());
            retries.clone().with_max_attempts(max_attempts)
        });
        let mut overrides = aws_sdk_batch::Config::builder();
        overrides.set_retry_config(retries);
        let subject = format!("{} jobs", ids.len());
        let request = clients.batch.terminate_jobs().set_jobs(Some(ids)).reason(reason).customize();
        let answer = request.config_override(overrides).send().await;
        let answer = answer.map_err(|error| clients.batch_error("batch:TerminateJob", subject, error))?;
        Ok(answer.successful().iter().cloned().collect())
    }

    /// Uses `TerminateJob` and never `CancelJob`, which does nothing to a job that has started.
    async fn terminate_once(&self, id: &str, reason: &str) -> Result<()> {
        let clients = &self.clients;
        clients.acquire_urgent_batch_call().await;
        let answer = clients.batch.terminate_job().job_id(id).reason(reason).send().await;
        answer.map_err(|error| clients.batch_error("batch:TerminateJob", format!("job {id}"), error))?;
        Ok(())
    }
}

fn answer(jobs: Vec<Waiting>, outcome: impl Fn() -> Result<()>) {
    for job in jobs {
        // The caller may have been dropped.
        let _ = job.reply.send(outcome());
    }
}

#[cfg(test)]
mod tests;
