//! Explains why a job does not run yet, and when it counts as stuck.
//!
//! Batch gives a reason for a RUNNABLE job at the head of its queue. For the other states before RUNNING it gives none,
//! and AWS does not end them: a job whose machine died during the image pull may stay STARTING for ever, because
//! `attemptDurationSeconds` only counts from the start of the container.

use std::time::Duration;

/// After this time in a state before RUNNING a job is logged: usually those take seconds, or some minutes.
pub const WARN_AFTER: Duration = Duration::from_mins(15);

/// After which time in a state before RUNNING a job counts as stuck; `None` if the state may last.
///
/// RUNNABLE has the option `runnable_timeout` instead: capacity may be missing for days. A job is SUBMITTED or PENDING
/// for seconds, or for some ten minutes if ten thousand are submitted at once; it may stay PENDING only while it waits
/// for other jobs. The ECS agent ends an image pull after two hours with a reason of its own, and Batch may then retry,
/// so STARTING has another hour.
#[must_use]
pub fn stuck_after(status: &str, has_dependencies: bool) -> Option<Duration> {
    match status {
        "PENDING" if has_dependencies => None,
        "SUBMITTED" | "PENDING" => Some(Duration::from_hours(2)),
        "STARTING" => Some(Duration::from_hours(3)),
        _ => None,
    }
}

/// Why a job may stay in a state before RUNNING; `None` for RUNNABLE and other states.
#[must_use]
pub fn state_meaning(status: &str, has_dependencies: bool) -> Option<&'static str> {
    match status {
        "SUBMITTED" => Some(
            "the scheduler of AWS Batch has not looked at it, which happens where very many jobs are submitted at once, \
             where the queue or its compute environments are being changed or deleted, and when AWS has an outage",
        ),
        "PENDING" if has_dependencies => Some("it waits for the jobs that it depends on"),
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

/// Formats a duration in hours and minutes.
#[must_use]
pub fn format_duration(seconds: u64) -> String {
    match (seconds / 3600, seconds / 60 % 60) {
        (0, minutes) => format!("{minutes} min"),
        (hours, 0) => format!("{hours} h"),
        (hours, minutes) => format!("{hours} h {minutes} min"),
    }
}

/// What the reason of a job in a state means and what to do; `None` if it does not wait for a machine, or is not known.
#[must_use]
pub fn meaning(status: &str, reason: Option<&str>) -> Option<&'static str> {
    reason.filter(|_| status == "RUNNABLE").and_then(reason_meaning)
}

/// The meaning of a RUNNABLE job's `statusReason` and what to do; `None` if its kind is unknown.
///
/// The kinds are those of AWS's page "Jobs stuck in a RUNNABLE status".
#[must_use]
pub fn reason_meaning(reason: &str) -> Option<&'static str> {
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
        assert!(reason_meaning("MISCONFIGURATION:JOB_RESOURCE_REQUIREMENT - The job…").unwrap().contains("`vcpu`"));
        assert!(reason_meaning("MISCONFIGURATION:SOMETHING_NEW").unwrap().contains("set up"));
        assert!(reason_meaning("CAPACITY:INSUFFICIENT_INSTANCE_CAPACITY").unwrap().contains("instance types"));
        assert!(reason_meaning("UNDETERMINED - Batch does not know").is_some());
        assert_eq!(reason_meaning("anything else"), None);
    }

    #[test]
    fn every_state_that_has_a_limit_has_a_meaning() {
        for status in ["SUBMITTED", "PENDING", "RUNNABLE", "STARTING", "RUNNING", "SUCCEEDED", "FAILED", "NEW"] {
            let limit = stuck_after(status, false);
            assert_eq!(limit.is_some(), state_meaning(status, false).is_some(), "{status}");
            assert!(limit.is_none_or(|limit| limit > WARN_AFTER), "it is told of before it is given up");
        }
        assert!(
            state_meaning("PENDING", true).unwrap().contains("depends on") && stuck_after("PENDING", true).is_none()
        );
    }

    #[test]
    fn a_time_is_told_in_hours_and_minutes() {
        assert_eq!([900, 10_800, 10_860].map(format_duration), ["15 min", "3 h", "3 h 1 min"]);
    }
}
