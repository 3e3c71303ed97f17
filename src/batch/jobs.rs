//! The calls about jobs that were submitted: their description and their end.

use std::sync::Arc;
use std::time::Duration;

use aws_sdk_batch::types::ContainerDetail;

use super::job::{Job, shortened};
use crate::aws::clients::Clients;
use crate::aws::response_dates::ResponseDates;
use crate::aws::retry;
use crate::envelope::signature::Signatures;
use crate::error::Result;

/// `DescribeJobs` takes this many ids a call.
pub const IDS_PER_CALL: usize = 100;

/// How long a job's end is asked for while AWS does not answer.
const PATIENCE: Duration = Duration::from_mins(2);

/// The jobs of an account and region. What AWS tells of their ends has the keys that they signed with.
#[derive(Debug)]
pub struct Jobs {
    clients: Arc<Clients>,
    signatures: Arc<Signatures>,
}

impl Jobs {
    /// Those that these clients can see.
    #[must_use]
    pub fn new(clients: Arc<Clients>, signatures: Arc<Signatures>) -> Self {
        Self { clients, signatures }
    }

    /// Looks up to [`IDS_PER_CALL`] jobs up in one call. An id without a record is missing from the answer.
    pub async fn describe(&self, ids: &[String]) -> Result<Vec<Job>> {
        self.describe_trying(ids, u32::MAX).await
    }

    /// The same for whoever looks again anyway: with no more than two of the SDK's tries, so that it ends soon.
    pub async fn describe_once(&self, ids: &[String]) -> Result<Vec<Job>> {
        self.describe_trying(ids, 2).await
    }

    async fn describe_trying(&self, ids: &[String], tries: u32) -> Result<Vec<Job>> {
        let clients = &self.clients;
        clients.urgent_turn().await;
        let retries = clients.batch.config().retry_config().map(|retries| {
            let tries = tries.min(retries.max_attempts());
            retries.clone().with_max_attempts(tries)
        });
        let mut fewer_tries = aws_sdk_batch::Config::builder();
        fewer_tries.set_retry_config(retries);
        let dates = ResponseDates::default();
        let request = clients.batch.describe_jobs().set_jobs(Some(ids.to_vec())).customize();
        let request = request.config_override(fewer_tries).interceptor(dates.clone());
        let answer = request.send().await.map_err(|error| {
            let subject = match ids {
                [id] => format!("job {id}"),
                ids => format!("{} jobs", ids.len()),
            };
            clients.batch_error("batch:DescribeJobs", subject, error)
        })?;
        let mut jobs: Vec<Job> = answer.jobs().iter().map(Job::from).collect();
        if let Some(now) = dates.last() {
            for job in &mut jobs {
                job.age = job.created_at.map(|created| now.saturating_sub(created));
            }
        }
        for (detail, job) in answer.jobs().iter().zip(&jobs).filter(|(_, job)| job.has_ended()) {
            let environment = detail.container().map(ContainerDetail::environment).unwrap_or_default();
            let environment = environment.iter().filter_map(|variable| variable.name().zip(variable.value()));
            self.signatures.remember_key(environment, job.image.as_deref().unwrap_or_default());
        }
        Ok(jobs)
    }

    /// Ends a job in whatever state it is; a job that is over stays as it is. Goes on for some minutes if AWS does not answer:
    /// the job would run, and cost, until its time limit.
    ///
    /// `TerminateJob` and never `CancelJob`, which silently does nothing to a job that has started.
    pub async fn terminate(&self, id: &str, reason: &str) -> Result<()> {
        retry::retry_transient(PATIENCE, || self.ask_to_end(id, reason)).await
    }

    async fn ask_to_end(&self, id: &str, reason: &str) -> Result<()> {
        let clients = &self.clients;
        clients.urgent_turn().await;
        clients
            .batch
            .terminate_job()
            .job_id(id)
            .reason(shortened(reason))
            .send()
            .await
            .map_err(|error| clients.batch_error("batch:TerminateJob", format!("job {id}"), error))?;
        Ok(())
    }
}
