//! Why a job does not run yet, in words, and how long that may go on.
//!
//! Of a RUNNABLE job, Batch gives a reason where it stands at the head of its queue. Of the other states before RUNNING it
//! gives none, and nothing at AWS ends them: a job whose machine died while it pulled the image may stay STARTING for good,
//! and `attemptDurationSeconds` counts from the moment in which the container runs.

use std::time::Duration;

/// A job that has been in a state before RUNNING for so long is told of: usually these last seconds, or some minutes.
pub const CONSPICUOUS: Duration = Duration::from_mins(15);

/// How long a job may be in a state before RUNNING until it counts as stuck; `None` where that is nobody's mistake.
///
/// RUNNABLE has the option `runnable_timeout` instead: machines may be missing for days. The scheduler leaves a job
/// SUBMITTED or PENDING for seconds, and for some ten minutes where ten thousands are submitted at once; PENDING goes on
/// only for what waits for other jobs, and that may take as long as these. The ECS agent ends a pull after two hours and
/// says so, which is a better word than ours, and Batch may then try again: so STARTING has another hour.
#[must_use]
pub fn limit(status: &str, waits_for_others: bool) -> Option<Duration> {
    match status {
        "PENDING" if waits_for_others => None,
        "SUBMITTED" | "PENDING" => Some(Duration::from_hours(2)),
        "STARTING" => Some(Duration::from_hours(3)),
        _ => None,
    }
}

/// What it means that a job stays in a state before RUNNING; `None` for other states, and for RUNNABLE.
#[must_use]
pub fn stay(status: &str, waits_for_others: bool) -> Option<&'static str> {
    match status {
        "SUBMITTED" => Some(
            "the scheduler of AWS Batch has not looked at it, which happens where very many jobs are submitted at once, \
             where the queue or its compute environments are being changed or deleted, and when AWS has an outage",
        ),
        "PENDING" if waits_for_others => Some("it waits for the jobs that it depends on"),
        "PENDING" => Some(
            "the scheduler of AWS Batch holds it back although it depends on no other job, as for a limit of the queue or \
             a resource that other jobs have",
        ),
        "STARTING" => Some(
            "a machine was found, but its container is not up: a very large image is still being pulled, the registry \
             cannot be reached, or the machine died or its agent hangs",
        ),
        _ => None,
    }
}

/// A time in hours and minutes.
#[must_use]
pub fn duration(seconds: u64) -> String {
    match (seconds / 3600, seconds / 60 % 60) {
        (0, minutes) => format!("{minutes} min"),
        (hours, 0) => format!("{hours} h"),
        (hours, minutes) => format!("{hours} h {minutes} min"),
    }
}

/// What a `statusReason` of a RUNNABLE job means and what to do, or `None` if it is not one of the known kinds.
///
/// The kinds are those of AWS's page "Jobs stuck in a RUNNABLE status".
#[must_use]
pub fn meaning(reason: &str) -> Option<&'static str> {
    const KINDS: [(&str, &str); 9] = [
        (
            "MISCONFIGURATION:JOB_RESOURCE_REQUIREMENT",
            "no compute environment of the queue can ever hold what the job asks for; lower `vcpu`, `memory` or \
             `num_gpus`, or use a queue with larger instances",
        ),
        (
            "MISCONFIGURATION:COMPUTE_ENVIRONMENT_MAX_RESOURCE",
            "the compute environments' limit on vCPUs is lower than what the job asks for; lower `vcpu` or raise the limit",
        ),
        (
            "MISCONFIGURATION:SERVICE_ROLE_PERMISSIONS",
            "the service role of the compute environment lacks rights; attach AWSBatchServiceRole to it",
        ),
        (
            "MISCONFIGURATION:JOB_DEFINITION_LOG_CONFIG",
            "the instances cannot write the log as the job definition wants it; look at the ECS agent's log drivers",
        ),
        ("MISCONFIGURATION", "the queue or its compute environments are set up so that this job cannot start"),
        (
            "CAPACITY:INSUFFICIENT_INSTANCE_CAPACITY",
            "AWS has none of the environment's instance types at the moment; it goes on trying, and more instance types \
             or availability zones help",
        ),
        ("CAPACITY", "AWS cannot provide instances at the moment; it goes on trying"),
        (
            "ACTION_REQUIRED",
            "somebody has to act on the account, such as accepting the terms of an image or raising a quota",
        ),
        (
            "UNDETERMINED",
            "AWS does not know; look at the compute environment, its subnets' way to the internet, its instance role and \
             the account's quota of vCPUs",
        ),
    ];
    KINDS.iter().find(|(kind, _)| reason.starts_with(kind)).map(|(_, meaning)| *meaning)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_most_specific_kind_speaks() {
        assert!(meaning("MISCONFIGURATION:JOB_RESOURCE_REQUIREMENT - The job…").unwrap().contains("`vcpu`"));
        assert!(meaning("MISCONFIGURATION:SOMETHING_NEW").unwrap().contains("set up"));
        assert!(meaning("CAPACITY:INSUFFICIENT_INSTANCE_CAPACITY").unwrap().contains("instance types"));
        assert!(meaning("UNDETERMINED - Batch does not know").is_some());
        assert_eq!(meaning("anything else"), None);
    }

    #[test]
    fn every_state_that_has_a_limit_has_a_meaning() {
        for status in ["SUBMITTED", "PENDING", "RUNNABLE", "STARTING", "RUNNING", "SUCCEEDED", "FAILED", "NEW"] {
            let limit = limit(status, false);
            assert_eq!(limit.is_some(), stay(status, false).is_some(), "{status}");
            assert!(limit.is_none_or(|limit| limit > CONSPICUOUS), "it is told of before it is given up");
        }
        assert!(stay("PENDING", true).unwrap().contains("depends on") && limit("PENDING", true).is_none());
    }

    #[test]
    fn a_time_is_told_in_hours_and_minutes() {
        assert_eq!([900, 10_800, 10_860].map(duration), ["15 min", "3 h", "3 h 1 min"]);
    }
}
