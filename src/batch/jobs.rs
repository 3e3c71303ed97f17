//! Calls for submitted jobs: `DescribeJobs`, and their end.

use std::sync::Arc;

use super::job::{self, Job, node_id};
use super::termination::Terminations;
use crate::aws::clients::Clients;
use crate::aws::response_dates::ResponseDates;
use crate::envelope::signature::Signatures;
use crate::error::Result;

/// `DescribeJobs` takes this many ids a call.
pub const IDS_PER_CALL: usize = 100;

/// The jobs of an account and region. The description of an ended job also contains its signing key.
#[derive(Debug)]
pub struct Jobs {
    clients: Arc<Clients>,
    signatures: Arc<Signatures>,
    terminations: Arc<Terminations>,
}

impl Jobs {
    /// The jobs that these clients can access.
    #[must_use]
    pub fn new(clients: Arc<Clients>, signatures: Arc<Signatures>) -> Self {
        let terminations = Terminations::new(clients.clone());
        Self { clients, signatures, terminations }
    }

    /// Describes up to [`IDS_PER_CALL`] jobs in one call. A job without a record is missing from the result.
    pub async fn describe(&self, ids: &[String]) -> Result<Vec<Job>> {
        self.describe_with_attempts(ids, u32::MAX).await
    }

    /// Describes any number of jobs, [`IDS_PER_CALL`] a call. A job without a record is missing from the result.
    pub async fn describe_all(&self, ids: &[String]) -> Result<Vec<Job>> {
        let mut jobs = Vec::with_capacity(ids.len());
        for some in ids.chunks(IDS_PER_CALL) {
            jobs.extend(self.describe(some).await?);
        }
        Ok(jobs)
    }

    /// Like [`Self::describe`] with at most two attempts, for a caller that polls: it must not wait for long retries.
    pub async fn describe_once(&self, ids: &[String]) -> Result<Vec<Job>> {
        self.describe_with_attempts(ids, 2).await
    }

    async fn describe_with_attempts(&self, ids: &[String], max_attempts: u32) -> Result<Vec<Job>> {
        let clients = &self.clients;
        clients.acquire_urgent_batch_call().await;
        let retries = clients.batch.config().retry_config().map(|retries| {
            let max_attempts = max_attempts.min(retries.max_attempts());
            retries.clone().with_max_attempts(max_attempts)
        });
        let mut overrides = aws_sdk_batch::Config::builder();
        overrides.set_retry_config(retries);
        let dates = ResponseDates::default();
        let request = clients.batch.describe_jobs().set_jobs(Some(ids.to_vec())).customize();
        let request = request.config_override(overrides).interceptor(dates.clone());
        let answer = request.send().await.map_err(|error| {
            let subject = match ids {
                [id] => format!("job {id}"),
                ids => format!("{} jobs", ids.len()),
            };
            clients.batch_error("batch:DescribeJobs", subject, error)
        })?;
        let mut jobs: Vec<Job> = answer.jobs().iter().map(Job::from).collect();
        for place in 0..jobs.len() {
            let main = (jobs[place].nodes > 0).then(|| node_id(&jobs[place].id, 0));
            if let Some(main) = main.and_then(|id| jobs.iter().find(|job| job.id == id).cloned()) {
                jobs[place].complete(&main);
            }
        }
        if let Some(now) = dates.last() {
            for job in &mut jobs {
                job.age_ms = job.created_at.map(|created| now.saturating_sub(created));
            }
        }
        for (detail, job) in answer.jobs().iter().zip(&jobs).filter(|(_, job)| job.has_ended()) {
            self.signatures.remember_key(job::environment(detail), job.image.as_deref().unwrap_or_default());
        }
        Ok(jobs)
    }

    /// Terminates a job: see [`Terminations::terminate`].
    pub async fn terminate(&self, id: &str, reason: &str) -> Result<()> {
        self.terminations.terminate(id, reason).await
    }
}
