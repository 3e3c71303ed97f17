//! Settings as they arrive from Python: JSON, validated there, typed here.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Deserialize;

use crate::error::{Error, Kind, Result};

/// Which account and endpoint to talk to. Empty fields are left to the SDK's own chain.
#[derive(Clone, Debug, Default, Deserialize, Eq, Hash, PartialEq)]
#[serde(default, deny_unknown_fields)]
pub struct ClientSettings {
    /// Named profile of the shared configuration. A named profile wins over credentials in the environment.
    pub profile: String,
    /// AWS region, such as `eu-central-1`.
    pub region: String,
    /// Path of a shared credentials file, read in place of `~/.aws/credentials`.
    pub credentials: String,
    /// URL of an AWS-compatible endpoint for all services.
    pub endpoint_url: String,
}

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

/// Reads settings, naming the field that does not fit and never a value.
pub fn from_json<'a, T: Deserialize<'a>>(json: &'a str) -> Result<T> {
    serde_json::from_str(json).map_err(|error| Error::with_source(Kind::Settings, "settings do not fit", error))
}

/// A number of seconds from Python as a duration.
pub fn seconds(seconds: f64) -> Result<Duration> {
    Duration::try_from_secs_f64(seconds)
        .map_err(|error| Error::with_source(Kind::Settings, format!("{seconds} s is no time span"), error))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn absent_client_settings_are_empty() {
        let settings: ClientSettings = from_json(r#"{"region": "eu-west-1"}"#).unwrap();
        assert_eq!(settings, ClientSettings { region: "eu-west-1".into(), ..ClientSettings::default() });
    }

    #[test]
    fn an_unknown_field_is_named() {
        let error = from_json::<ClientSettings>(r#"{"regoin": "secret"}"#).unwrap_err().to_string();
        assert!(error.contains("regoin") && !error.contains("secret"), "{error}");
    }
}
