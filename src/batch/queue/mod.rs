//! A job queue and the compute environments behind it, as Batch describes them.

pub mod platforms;
mod problems;

use aws_sdk_batch::types::{
    CeState, CeStatus, CeType, ComputeEnvironmentDetail, ComputeResource, CrType, JobQueueType, JqState, JqStatus,
    OrchestrationType,
};
use serde::Serialize;

use crate::aws::clients::Clients;
use crate::batch::job::truncate;
use crate::batch::platform::Platform;
use crate::error::Result;

pub use problems::{Demand, problems};

/// A queue as `DescribeJobQueues` returns it.
#[derive(Debug, Default, Serialize)]
pub struct Queue {
    /// `ENABLED` or `DISABLED`.
    pub state: String,
    /// `VALID`, `INVALID` …
    pub status: String,
    /// Why it is in that status.
    pub status_reason: String,
    /// `ECS`, `ECS_FARGATE`, `ECS_MANAGED_INSTANCES`, `EKS` …; empty if AWS does not say.
    pub kind: String,
    /// Whether it has a scheduling policy, so that each job needs a share identifier.
    pub fair_share: bool,
    /// ARNs of its environments, in their order.
    pub environments: Vec<String>,
}

/// A compute environment as `DescribeComputeEnvironments` returns it.
#[derive(Debug, Default, Serialize)]
pub struct Environment {
    /// Its name.
    pub name: String,
    /// `MANAGED` or `UNMANAGED`.
    pub management: String,
    /// `ENABLED` or `DISABLED`.
    pub state: String,
    /// `VALID`, `INVALID` …
    pub status: String,
    /// Why it is in that status.
    pub status_reason: String,
    /// `EC2`, `SPOT`, `FARGATE`, `FARGATE_SPOT` or `ECS_MANAGED_INSTANCES`; empty if it is unmanaged.
    pub kind: String,
    /// Who runs the containers: `ECS` or `EKS`; empty if AWS does not say.
    pub orchestration: String,
    /// Limit on the vCPUs of all running jobs.
    pub max_vcpus: Option<i32>,
    /// Instance types, families, or `optimal`.
    pub instance_types: Vec<String>,
}

/// Looks a queue up; `None` if there is none.
pub async fn look_up(clients: &Clients, queue: &str) -> Result<Option<Queue>> {
    clients.acquire_batch_call().await;
    let answer = clients
        .batch
        .describe_job_queues()
        .job_queues(queue)
        .send()
        .await
        .map_err(|error| clients.batch_error("batch:DescribeJobQueues", format!("queue {queue}"), error))?;
    Ok(answer.job_queues().first().map(|detail| Queue {
        state: truncate(detail.state().map(JqState::as_str).unwrap_or_default()),
        status: truncate(detail.status().map(JqStatus::as_str).unwrap_or_default()),
        status_reason: truncate(detail.status_reason().unwrap_or_default()),
        kind: truncate(detail.job_queue_type().map(JobQueueType::as_str).unwrap_or_default()),
        fair_share: detail.scheduling_policy_arn().is_some_and(|arn| !arn.is_empty()),
        environments: detail
            .compute_environment_order()
            .iter()
            .filter_map(|order| order.compute_environment())
            .map(str::to_owned)
            .collect(),
    }))
}

/// Looks compute environments up; deleted ones are missing from the result.
pub async fn environments(clients: &Clients, arns: Vec<String>) -> Result<Vec<Environment>> {
    clients.acquire_batch_call().await;
    let subject = arns.join(", ");
    let answer =
        clients.batch.describe_compute_environments().set_compute_environments(Some(arns)).send().await.map_err(
            |error| clients.batch_error("batch:DescribeComputeEnvironments", format!("environment {subject}"), error),
        )?;
    Ok(answer.compute_environments().iter().map(Environment::from).collect())
}

impl Environment {
    /// What its jobs run on; `None` where AWS does not say.
    #[must_use]
    pub fn platform(&self) -> Option<Platform> {
        Platform::of_environment(&self.kind, &self.orchestration)
    }
}

impl From<&ComputeEnvironmentDetail> for Environment {
    fn from(detail: &ComputeEnvironmentDetail) -> Self {
        let resources = detail.compute_resources();
        Self {
            name: truncate(detail.compute_environment_name().unwrap_or_default()),
            management: truncate(detail.r#type().map(CeType::as_str).unwrap_or_default()),
            state: truncate(detail.state().map(CeState::as_str).unwrap_or_default()),
            status: truncate(detail.status().map(CeStatus::as_str).unwrap_or_default()),
            status_reason: truncate(detail.status_reason().unwrap_or_default()),
            kind: truncate(resources.and_then(|resources| resources.r#type()).map(CrType::as_str).unwrap_or_default()),
            orchestration: truncate(
                detail.container_orchestration_type().map(OrchestrationType::as_str).unwrap_or_default(),
            ),
            max_vcpus: resources.and_then(ComputeResource::maxv_cpus),
            instance_types: resources.map(instance_types).unwrap_or_default(),
        }
    }
}

/// Those of machines of ECS; of Managed Instances the allowed ones, or none where all are.
fn instance_types(resources: &ComputeResource) -> Vec<String> {
    let managed = resources.managed_instances_provider().and_then(|provider| provider.instance_launch_template());
    let allowed = managed.and_then(|template| template.instance_requirements());
    allowed.map_or(resources.instance_types(), |allowed| allowed.allowed_instance_types()).to_vec()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_becomes_a_sentence_is_bounded() {
        let long = "x".repeat(1_000_000);
        let environment = ComputeEnvironmentDetail::builder()
            .compute_environment_name(&long)
            .status(CeStatus::from(long.as_str()))
            .status_reason(&long)
            .compute_resources(ComputeResource::builder().r#type(CrType::from(long.as_str())).build())
            .build();
        let environment = Environment::from(&environment);
        let texts = [environment.name, environment.status, environment.status_reason, environment.kind];
        assert!(texts.iter().all(|text| text.len() == 1024));
    }
}
