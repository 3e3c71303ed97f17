//! What is to be submitted, as it arrives from Python: JSON, validated there, typed here.

use std::collections::BTreeMap;

use serde::Deserialize;

/// One job to submit: what is common to many jobs stands in `definition`, the rest travels with the job.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct JobRequest {
    /// Name of the job; the key under which a lost submission is found again.
    pub name: String,
    /// Queue: name or ARN.
    pub queue: String,
    /// What the job shares with all others like it.
    pub definition: DefinitionSettings,
    /// vCPUs: whole ones, and 0.25 or 0.5 on Fargate.
    pub vcpu: f64,
    /// Memory in MiB.
    pub memory_mib: u64,
    /// Whole GPUs; 0 for none.
    pub gpus: u32,
    /// What its name begins with: the jobs of one dispatch share it.
    pub family: String,
    /// Attempts in all, 1 to 10.
    pub retry_attempts: u8,
    /// Which failures of an attempt are followed by another one.
    pub retry_on: RetryOn,
    /// Seconds an attempt may run; 0 for no limit.
    pub time_limit: u32,
    /// The container's environment.
    pub environment: BTreeMap<String, String>,
    /// Tags of the job, propagated to its ECS task.
    pub tags: BTreeMap<String, String>,
}

/// Which failures of an attempt are followed by another attempt.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq)]
#[serde(rename_all = "lowercase")]
pub enum RetryOn {
    /// All of them, also an exception of the function.
    Any,
    /// Lost hosts and an agent in trouble, but not what the function did.
    Infrastructure,
}

/// What makes two jobs share a job definition.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DefinitionSettings {
    /// Name under which revisions are registered.
    pub name: String,
    /// Container image.
    pub image: String,
    /// Role of the code in the container: name or ARN.
    pub job_role: String,
    /// Role of the ECS agent: name or ARN.
    pub execution_role: String,
    /// CloudWatch log group of the container's output.
    pub log_group: String,
    /// What a job on Fargate has besides; absent for jobs on EC2.
    pub fargate: Option<Fargate>,
}

/// What a job definition for Fargate has besides.
#[derive(Clone, Debug, Deserialize, Eq, Hash, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct Fargate {
    /// Whether a container gets an address on the internet, without which it reaches nothing from a public subnet.
    pub public_ip: bool,
    /// GiB of its disk, 21 to 200; 0 for Fargate's own 20.
    pub disk_gib: i32,
}
