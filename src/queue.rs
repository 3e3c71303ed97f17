//! The state of a job queue and of the compute environments behind it, for jobs that cannot start.

use aws_sdk_batch::types::{
    CeState, CeStatus, ComputeEnvironmentDetail, ComputeResource, JobQueueDetail, JqState, JqStatus,
};

use crate::clients::Clients;
use crate::error::Result;

/// What is wrong with a queue, as sentences; empty if nothing is to be seen.
///
/// `vcpu` is what the job asks for, held against the limit of each environment.
pub async fn problems(clients: &Clients, queue: &str, vcpu: u32) -> Result<Vec<String>> {
    clients.turn().await;
    let answer = clients
        .batch
        .describe_job_queues()
        .job_queues(queue)
        .send()
        .await
        .map_err(|error| clients.batch_error("batch:DescribeJobQueues", format!("queue {queue}"), error))?;
    let Some(detail) = answer.job_queues().first() else {
        return Ok(vec![format!("there is no queue {queue} in region {}", clients.region)]);
    };
    let mut problems = of_queue(queue, detail);
    let names: Vec<String> = detail
        .compute_environment_order()
        .iter()
        .filter_map(|order| order.compute_environment())
        .map(str::to_owned)
        .collect();
    if names.is_empty() {
        problems.push(format!("queue {queue} has no compute environment"));
        return Ok(problems);
    }
    clients.turn().await;
    let answer =
        clients.batch.describe_compute_environments().set_compute_environments(Some(names)).send().await.map_err(
            |error| clients.batch_error("batch:DescribeComputeEnvironments", format!("queue {queue}"), error),
        )?;
    problems.extend(answer.compute_environments().iter().flat_map(|environment| of_environment(environment, vcpu)));
    Ok(problems)
}

fn of_queue(queue: &str, detail: &JobQueueDetail) -> Vec<String> {
    let mut problems = Vec::new();
    if detail.state() == Some(&JqState::Disabled) {
        problems.push(format!("queue {queue} is DISABLED: enable it"));
    }
    if let Some(status) = detail.status().filter(|status| **status != JqStatus::Valid) {
        problems.push(format!("queue {queue} is {}{}", status.as_str(), because(detail.status_reason())));
    }
    problems
}

fn of_environment(environment: &ComputeEnvironmentDetail, vcpu: u32) -> Vec<String> {
    let name = environment.compute_environment_name().unwrap_or("without a name");
    let mut problems = Vec::new();
    if environment.state() == Some(&CeState::Disabled) {
        problems.push(format!("compute environment {name} is DISABLED: enable it"));
    }
    if let Some(status) = environment.status().filter(|status| **status != CeStatus::Valid) {
        let reason = because(environment.status_reason());
        problems.push(format!("compute environment {name} is {}{reason}", status.as_str()));
    }
    let limit = environment.compute_resources().and_then(ComputeResource::maxv_cpus);
    if let Some(limit) = limit.filter(|limit| i64::from(*limit) < i64::from(vcpu)) {
        problems.push(format!("compute environment {name} has at most {limit} vCPUs and the job asks for {vcpu}"));
    }
    problems
}

fn because(reason: Option<&str>) -> String {
    reason.filter(|reason| !reason.is_empty()).map(|reason| format!(" ({reason})")).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_healthy_queue_has_no_problems() {
        let queue = JobQueueDetail::builder().state(JqState::Enabled).status(JqStatus::Valid).build();
        assert!(of_queue("q", &queue).is_empty());
        let environment = ComputeEnvironmentDetail::builder()
            .state(CeState::Enabled)
            .status(CeStatus::Valid)
            .compute_resources(ComputeResource::builder().maxv_cpus(16).build())
            .build();
        assert!(of_environment(&environment, 16).is_empty());
    }

    #[test]
    fn every_problem_is_named() {
        let queue = JobQueueDetail::builder()
            .state(JqState::Disabled)
            .status(JqStatus::Invalid)
            .status_reason("no environment")
            .build();
        assert_eq!(of_queue("q", &queue), ["queue q is DISABLED: enable it", "queue q is INVALID (no environment)"]);
        let environment = ComputeEnvironmentDetail::builder()
            .compute_environment_name("e")
            .state(CeState::Disabled)
            .status(CeStatus::Invalid)
            .compute_resources(ComputeResource::builder().maxv_cpus(4).build())
            .build();
        assert_eq!(
            of_environment(&environment, 8),
            [
                "compute environment e is DISABLED: enable it",
                "compute environment e is INVALID",
                "compute environment e has at most 4 vCPUs and the job asks for 8",
            ]
        );
    }
}
