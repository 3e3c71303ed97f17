//! Lists the jobs of a queue by a prefix of their names.

use std::collections::HashMap;

use aws_sdk_batch::types::{JobStatus, JobSummary, KeyValuesPair};

use super::job::truncate;
use crate::aws::clients::Clients;
use crate::error::Result;

/// A job as `ListJobs` returns it. Times are milliseconds since 1970.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ListedJob {
    /// Job id.
    pub id: String,
    /// Name it was submitted under.
    pub name: String,
    /// `SUBMITTED` … `SUCCEEDED` or `FAILED`.
    pub status: String,
    /// Why it is in this state.
    pub status_reason: Option<String>,
    /// When it was submitted.
    pub created_at: Option<i64>,
    /// When its newest attempt began to run.
    pub started_at: Option<i64>,
    /// When it ended.
    pub stopped_at: Option<i64>,
}

/// Every job of the queue, in any state, whose name begins with `prefix`; in the service's order.
///
/// A job that ended long ago has no record and is missing.
pub async fn list(clients: &Clients, queue: &str, prefix: &str) -> Result<Vec<ListedJob>> {
    let mut pages = clients
        .batch
        .list_jobs()
        .job_queue(queue)
        .filters(KeyValuesPair::builder().name("JOB_NAME").values(format!("{prefix}*")).build())
        .into_paginator()
        .send();
    let mut jobs = Vec::new();
    loop {
        clients.acquire_batch_call().await;
        let Some(page) = pages.next().await else { return Ok(jobs) };
        let page = page.map_err(|error| clients.batch_error("batch:ListJobs", format!("queue {queue}"), error))?;
        jobs.extend(page.job_summary_list().iter().map(ListedJob::from).filter(|job| begins_with(job, prefix)));
        if page.next_token().is_none() {
            return Ok(jobs);
        }
    }
}

/// Ids by name, newest last.
#[must_use]
pub fn ids_by_name(jobs: Vec<ListedJob>) -> HashMap<String, Vec<String>> {
    let mut found: HashMap<String, Vec<(i64, bool, String)>> = HashMap::new();
    for job in jobs {
        let created = job.created_at.unwrap_or_default();
        // Of two that were created in the same millisecond, a live one counts as the newer.
        let ended = matches!(job.status.as_str(), "SUCCEEDED" | "FAILED");
        found.entry(job.name).or_default().push((created, !ended, job.id));
    }
    let ids = |mut jobs: Vec<(i64, bool, String)>| {
        jobs.sort();
        jobs.into_iter().map(|(_, _, id)| id).collect()
    };
    found.into_iter().map(|(name, jobs)| (name, ids(jobs))).collect()
}

/// Filters again, because the service's filter ignores case.
fn begins_with(job: &ListedJob, prefix: &str) -> bool {
    job.name.starts_with(prefix)
}

impl From<&JobSummary> for ListedJob {
    fn from(summary: &JobSummary) -> Self {
        Self {
            id: summary.job_id().unwrap_or_default().to_owned(),
            name: summary.job_name().unwrap_or_default().to_owned(),
            status: summary.status().map(JobStatus::as_str).unwrap_or_default().to_owned(),
            status_reason: summary.status_reason().filter(|reason| !reason.is_empty()).map(truncate),
            created_at: summary.created_at(),
            started_at: summary.started_at(),
            stopped_at: summary.stopped_at(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_summary_without_times_is_of_a_job_that_waits() {
        let summary = JobSummary::builder()
            .job_id("j")
            .job_name("covalent-batch-d-1")
            .status(JobStatus::Runnable)
            .status_reason("")
            .created_at(5)
            .build();
        let expected = ListedJob {
            id: "j".into(),
            name: "covalent-batch-d-1".into(),
            status: "RUNNABLE".into(),
            created_at: Some(5),
            ..ListedJob::default()
        };
        assert_eq!(ListedJob::from(&summary), expected);
    }

    #[test]
    fn the_newest_is_last_whatever_time_aws_tells() {
        let job = |id: &str, created_at, status: &str| ListedJob {
            id: id.into(),
            name: "n".into(),
            status: status.into(),
            created_at,
            ..ListedJob::default()
        };
        let jobs = vec![
            job("last", Some(i64::MAX), "RUNNING"),
            job("same time", Some(i64::MAX), "FAILED"),
            job("no time", None, "RUNNING"),
            job("first", Some(i64::MIN), "RUNNING"),
        ];
        assert_eq!(ids_by_name(jobs)["n"], ["first", "no time", "same time", "last"]);
    }

    #[test]
    fn a_name_in_other_letters_is_another_name() {
        let job = |name: &str| ListedJob { name: name.into(), ..ListedJob::default() };
        assert!(begins_with(&job("covalent-batch-d-1"), "covalent-batch-"));
        assert!(!begins_with(&job("Covalent-Batch-d-1"), "covalent-batch-"));
    }
}
