//! A job as `DescribeJobs` returns it, reduced to the fields that decide and explain its end.

use aws_sdk_batch::types::{
    AttemptDetail, AttemptTaskContainerDetails, ContainerDetail, ContainerProperties, EksAttemptDetail,
    EksContainerDetail, JobDetail, JobStatus, KeyValuePair, NodeProperties, PlatformCapability, ResourceType,
    RetryStrategy, TaskContainerDetails,
};
use serde::Serialize;

/// Variable of a job that follows another one of its task: that one's id.
const PREVIOUS_JOB: &str = "COVALENT_AWSBATCH_PREVIOUS_JOB";

/// What is known about a job. Times are milliseconds since 1970.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Job {
    /// Job id.
    pub id: String,
    /// Name it was submitted under.
    pub name: String,
    /// ARN of its queue.
    pub queue: String,
    /// `SUBMITTED` … `SUCCEEDED` or `FAILED`; `VANISHED` when Batch has no record of it any more.
    pub status: String,
    /// Why it is in this state.
    pub status_reason: Option<String>,
    /// Whether `TerminateJob` was called for it.
    pub is_terminated: bool,
    /// Exit code of the last attempt; absent is neither success nor failure.
    pub exit_code: Option<i32>,
    /// The container agent's reason.
    pub container_reason: Option<String>,
    /// Log stream of the last attempt.
    pub log_stream: Option<String>,
    /// Container image.
    pub image: Option<String>,
    /// When it was submitted.
    pub created_at: Option<i64>,
    /// Milliseconds since then, by AWS's clock, when it was described; `None` if the answer had no date.
    pub age_ms: Option<i64>,
    /// Whether it may be PENDING because of other jobs: those that it depends on, or the children of an array.
    pub has_dependencies: bool,
    /// Seconds that it had been in its state when the watcher gave it up as stuck; `None` otherwise.
    pub stuck_seconds: Option<u64>,
    /// When its first attempt began to run.
    pub started_at: Option<i64>,
    /// When it ended.
    pub stopped_at: Option<i64>,
    /// Its attempts, oldest first.
    pub attempts: Vec<Attempt>,
    /// How many it may have.
    pub allowed_attempts: Option<i32>,
    /// Id of the job of its task that it follows; `None` if it is the first. Of a job of several nodes AWS Batch may
    /// tell it of the nodes alone.
    pub previous_job: Option<String>,
    /// vCPUs that it asked for.
    pub vcpus: Option<f64>,
    /// MiB of memory that it asked for.
    pub memory_mib: Option<f64>,
    /// GPUs that it asked for.
    pub gpus: Option<f64>,
    /// Whether it is for Fargate.
    pub is_fargate: bool,
    /// The last pod that it ran in, as `namespace/name`; `None` if it is not on EKS, or there was none yet.
    pub pod: Option<String>,
    /// How many nodes it has; 0 for a job of one container, and for a node. What it asked for is then said of each.
    pub nodes: usize,
    /// The node that failed while the job runs on; AWS Batch itself does not act on it.
    pub failed_node: Option<Box<Self>>,
    /// The node that has not begun to run for too long while the job runs; AWS Batch itself does not act on it.
    pub unstarted_node: Option<Box<Self>>,
}

/// One attempt of a job.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Attempt {
    /// Exit code of the container.
    pub exit_code: Option<i32>,
    /// The container agent's reason.
    pub container_reason: Option<String>,
    /// Why the attempt ended.
    pub status_reason: Option<String>,
    /// Its log stream.
    pub log_stream: Option<String>,
    /// When it began to run, in ms.
    pub started_at: Option<i64>,
    /// When it ended, in ms.
    pub stopped_at: Option<i64>,
}

impl Job {
    /// A job without a record in Batch, with its last known fields.
    #[must_use]
    pub fn vanished(id: &str, last: Option<&Self>) -> Self {
        Self { id: id.to_owned(), status: "VANISHED".into(), ..last.cloned().unwrap_or_default() }
    }

    /// The job's id, also where this is a node of it.
    fn job_id(&self) -> &str {
        parts_of_node_id(&self.id).map_or(self.id.as_str(), |(job, _)| job)
    }

    /// URL of the job's page in AWS's console; `None` if the partition of its queue has none that is known.
    #[must_use]
    pub fn console(&self) -> Option<String> {
        let mut parts = self.queue.split(':');
        let (partition, region) = (parts.nth(1)?, parts.nth(1)?);
        let host = match partition {
            "aws" => "console.aws.amazon.com",
            "aws-cn" => "console.amazonaws.cn",
            "aws-us-gov" => "console.amazonaws-us-gov.com",
            _ => return None,
        };
        Some(format!("https://{region}.{host}/batch/home?region={region}#jobs/detail/{}", self.job_id()))
    }

    /// Takes over from its main node what AWS says of containers alone.
    pub fn complete(&mut self, main: &Self) {
        let main = main.clone();
        self.exit_code = self.exit_code.or(main.exit_code);
        self.container_reason = self.container_reason.take().or(main.container_reason);
        self.log_stream = main.log_stream.or(self.log_stream.take());
        self.image = main.image.or(self.image.take());
        self.vcpus = main.vcpus.or(self.vcpus);
        self.memory_mib = main.memory_mib.or(self.memory_mib);
        self.gpus = main.gpus.or(self.gpus);
    }

    /// Whether the job is over.
    #[must_use]
    pub fn has_ended(&self) -> bool {
        matches!(self.status.as_str(), "SUCCEEDED" | "FAILED" | "VANISHED")
    }
}

/// The id of a job's node.
#[must_use]
pub fn node_id(job: &str, index: usize) -> String {
    format!("{job}#{index}")
}

/// The job and the number of a node in it; `None` if the id is that of a job.
#[must_use]
pub fn parts_of_node_id(id: &str) -> Option<(&str, usize)> {
    let (job, index) = id.rsplit_once('#')?;
    Some((job, index.parse().ok()?))
}

/// What each node of a job runs.
fn node_container(detail: &JobDetail) -> Option<&ContainerProperties> {
    detail.node_properties()?.node_range_properties().first()?.container()
}

/// The container of a job that is described as an ECS task of one container.
fn only_container(detail: &JobDetail) -> Option<&TaskContainerDetails> {
    detail.ecs_properties()?.task_properties().first()?.containers().first()
}

/// The container of a job that is described as a pod of one container.
fn only_of_pod(detail: &JobDetail) -> Option<&EksContainerDetail> {
    detail.eks_properties()?.pod_properties()?.containers().first()
}

/// Names and values of the variables of a job's container.
pub fn environment(detail: &JobDetail) -> impl Iterator<Item = (&str, &str)> {
    let of_task = || only_container(detail).map(TaskContainerDetails::environment);
    let of_nodes = || node_container(detail).map(ContainerProperties::environment);
    let of_ecs: &[KeyValuePair] =
        detail.container().map(ContainerDetail::environment).or_else(of_task).or_else(of_nodes).unwrap_or_default();
    let of_pod = only_of_pod(detail).map(EksContainerDetail::env).unwrap_or_default();
    let of_pod = of_pod.iter().filter_map(|variable| variable.name().zip(variable.value()));
    of_ecs.iter().filter_map(|variable| variable.name().zip(variable.value())).chain(of_pod)
}

/// The job that this one follows: a variable of its container says so, which whoever submits a job may set.
fn previous_job(detail: &JobDetail) -> Option<String> {
    let (_, id) = environment(detail).find(|(name, _)| *name == PREVIOUS_JOB)?;
    let is_id = id.len() == 36 && id.bytes().all(|byte| byte == b'-' || byte.is_ascii_hexdigit());
    is_id.then(|| id.to_owned())
}

/// The last pod of a job, as `namespace/name`.
fn pod(detail: &JobDetail) -> Option<String> {
    let attempt = detail.eks_attempts().last().and_then(|attempt| attempt.pod_namespace().zip(attempt.pod_name()));
    let now = || {
        let pod = detail.eks_properties()?.pod_properties()?;
        Some((pod.metadata()?.namespace()?, pod.pod_name()?))
    };
    attempt.or_else(now).map(|(namespace, name)| truncate(&format!("{namespace}/{name}")))
}

/// How much of a resource a pod's container asks for; memory in MiB.
fn asked_of_pod(container: &EksContainerDetail, kind: &ResourceType) -> Option<f64> {
    let (name, unit) = match kind {
        ResourceType::Vcpu => ("cpu", ""),
        ResourceType::Memory => ("memory", "Mi"),
        ResourceType::Gpu => ("nvidia.com/gpu", ""),
        _ => return None,
    };
    let resources = container.resources()?;
    let found = [resources.requests(), resources.limits()].into_iter().flatten().find_map(|all| all.get(name))?;
    found.strip_suffix(unit)?.parse().ok()
}

impl From<&JobDetail> for Job {
    fn from(detail: &JobDetail) -> Self {
        let (container, of_task) = (detail.container(), only_container(detail));
        let of_pod = only_of_pod(detail);
        let in_pods = detail.eks_attempts().iter().map(Attempt::from);
        let attempts: Vec<Attempt> = detail.attempts().iter().map(Attempt::from).chain(in_pods).collect();
        let asked = |kind: ResourceType| {
            let of_task = || of_task.map(TaskContainerDetails::resource_requirements);
            let of_nodes = || node_container(detail).map(ContainerProperties::resource_requirements);
            let of_container = container.map(ContainerDetail::resource_requirements);
            let all = of_container.or_else(of_task).or_else(of_nodes).unwrap_or_default();
            let found = match of_pod {
                Some(container) => asked_of_pod(container, &kind)?,
                None => all.iter().find(|one| one.r#type() == Some(&kind))?.value()?.parse::<f64>().ok()?,
            };
            (found.is_finite() && found >= 0.0).then_some(found)
        };
        // What became of the container may stand with the attempt alone.
        let in_last_pod = of_pod.and(attempts.last());
        let text = |value: Option<&str>| value.filter(|text| !text.is_empty()).map(truncate);
        Self {
            id: detail.job_id().unwrap_or_default().to_owned(),
            name: detail.job_name().unwrap_or_default().to_owned(),
            queue: detail.job_queue().unwrap_or_default().to_owned(),
            status: detail.status().map(JobStatus::as_str).unwrap_or_default().to_owned(),
            status_reason: text(detail.status_reason()),
            is_terminated: detail.is_terminated().unwrap_or_default(),
            exit_code: container
                .and_then(ContainerDetail::exit_code)
                .or_else(|| of_task.and_then(TaskContainerDetails::exit_code))
                .or_else(|| of_pod.and_then(EksContainerDetail::exit_code))
                .or_else(|| in_last_pod.and_then(|attempt| attempt.exit_code)),
            container_reason: text(container.and_then(|container| container.reason()))
                .or_else(|| text(of_task.and_then(|container| container.reason())))
                .or_else(|| text(of_pod.and_then(|container| container.reason())))
                .or_else(|| in_last_pod.and_then(|attempt| attempt.container_reason.clone())),
            log_stream: text(container.and_then(|container| container.log_stream_name()))
                .or_else(|| text(of_task.and_then(|container| container.log_stream_name())))
                .or_else(|| attempts.last().and_then(|attempt| attempt.log_stream.clone())),
            image: text(container.and_then(|container| container.image()))
                .or_else(|| text(of_task.and_then(|container| container.image())))
                .or_else(|| text(of_pod.and_then(|container| container.image())))
                .or_else(|| text(node_container(detail).and_then(|container| container.image()))),
            created_at: detail.created_at(),
            age_ms: None,
            has_dependencies: !detail.depends_on().is_empty() || detail.array_properties().is_some(),
            stuck_seconds: None,
            started_at: detail.started_at(),
            stopped_at: detail.stopped_at(),
            attempts,
            allowed_attempts: detail.retry_strategy().and_then(RetryStrategy::attempts),
            previous_job: previous_job(detail),
            vcpus: asked(ResourceType::Vcpu),
            memory_mib: asked(ResourceType::Memory),
            gpus: asked(ResourceType::Gpu),
            is_fargate: detail.platform_capabilities().contains(&PlatformCapability::Fargate),
            pod: pod(detail),
            nodes: detail
                .node_properties()
                .filter(|_| detail.job_id().is_some_and(|id| parts_of_node_id(id).is_none()))
                .and_then(NodeProperties::num_nodes)
                .and_then(|count| usize::try_from(count).ok())
                .unwrap_or_default(),
            failed_node: None,
            unstarted_node: None,
        }
    }
}

impl From<&AttemptDetail> for Attempt {
    fn from(detail: &AttemptDetail) -> Self {
        let container = detail.container();
        let of_task = detail.task_properties().first().and_then(|task| task.containers().first());
        Self {
            exit_code: container
                .and_then(aws_sdk_batch::types::AttemptContainerDetail::exit_code)
                .or_else(|| of_task.and_then(AttemptTaskContainerDetails::exit_code)),
            container_reason: container
                .and_then(|container| container.reason())
                .or_else(|| of_task.and_then(|container| container.reason()))
                .map(truncate),
            status_reason: detail.status_reason().map(truncate),
            log_stream: container
                .and_then(|container| container.log_stream_name())
                .or_else(|| of_task.and_then(|container| container.log_stream_name()))
                .map(truncate),
            started_at: detail.started_at(),
            stopped_at: detail.stopped_at(),
        }
    }
}

impl From<&EksAttemptDetail> for Attempt {
    fn from(detail: &EksAttemptDetail) -> Self {
        let container = detail.containers().first();
        Self {
            exit_code: container.and_then(aws_sdk_batch::types::EksAttemptContainerDetail::exit_code),
            container_reason: container.and_then(|container| container.reason()).map(truncate),
            status_reason: detail.status_reason().map(truncate),
            log_stream: None,
            started_at: detail.started_at(),
            stopped_at: detail.stopped_at(),
        }
    }
}

/// Truncates a text to the API's limit on a reason in characters. Answers are truncated too: they become part of
/// errors.
pub(crate) fn truncate(reason: &str) -> String {
    reason.chars().take(1024).collect()
}

#[cfg(test)]
mod tests;
