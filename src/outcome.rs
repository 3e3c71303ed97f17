//! What happened to a job and why: one typed cause, one sentence with what to do.
//!
//! The phrases are those of AWS Batch and of the ECS agent, as they stand in `statusReason` and `container.reason`.
//! `status` decides whether a job failed; this module only says why.

use crate::job::Job;

/// Begins the reason of every termination that Covalent asked for, so that the task ends as cancelled.
pub const CANCEL_REASON: &str = "Cancelled from Covalent";

/// Why a job ended without saying so itself.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum Cause {
    /// Covalent asked for its end.
    Cancelled,
    /// An attempt ran longer than `time_limit`.
    TimeLimit,
    /// The container took more than `memory`.
    OutOfMemory,
    /// The instance went away: a spot reclaim or a failure.
    HostLost,
    /// The image could not be pulled.
    ImageUnavailable,
    /// A role of the job could not be assumed.
    RoleUnusable,
    /// The ECS agent could not start the container.
    AgentTrouble,
    /// The container ended, but the agent could not say how.
    NotInspected,
    /// Somebody ended the job.
    Terminated,
    /// The program ended with a code other than 0.
    Exited,
    /// Batch has no record of the job any more.
    Vanished,
    /// None of the above.
    Unknown,
}

impl Cause {
    /// The cause as programs see it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Cancelled => "cancelled",
            Self::TimeLimit => "time_limit",
            Self::OutOfMemory => "out_of_memory",
            Self::HostLost => "host_lost",
            Self::ImageUnavailable => "image_unavailable",
            Self::RoleUnusable => "role_unusable",
            Self::AgentTrouble => "agent_trouble",
            Self::NotInspected => "not_inspected",
            Self::Terminated => "terminated",
            Self::Exited => "exited",
            Self::Vanished => "vanished",
            Self::Unknown => "unknown",
        }
    }
}

/// Why this job did not succeed.
#[must_use]
pub fn cause(job: &Job) -> Cause {
    let reason = job.status_reason.as_deref().unwrap_or_default();
    let container = job.container_reason.as_deref().unwrap_or_default();
    match () {
        () if job.status == "VANISHED" => Cause::Vanished,
        () if reason.starts_with(CANCEL_REASON) => Cause::Cancelled,
        () if reason.starts_with("Job attempt duration exceeded timeout") => Cause::TimeLimit,
        () if container.starts_with("OutOfMemoryError") => Cause::OutOfMemory,
        () if reason.starts_with("Host EC2") || reason.starts_with("Your Spot Task was interrupted") => Cause::HostLost,
        () if container.starts_with("CannotPull") => Cause::ImageUnavailable,
        () if [reason, container].iter().any(|text| text.contains("unable to assume the role")) => Cause::RoleUnusable,
        () if container.starts_with("CannotInspectContainerError") => Cause::NotInspected,
        () if ["DockerTimeoutError", "CannotStart", "CannotCreate", "ResourceInitializationError"]
            .iter()
            .any(|error| container.starts_with(error)) =>
        {
            Cause::AgentTrouble
        }
        () if reason.starts_with("Essential container in task exited") && job.exit_code.is_some() => Cause::Exited,
        () if !reason.is_empty()
            && container.is_empty()
            && matches!(job.exit_code, None | Some(137 | 143))
            && !["Essential container", "Task failed to start"].iter().any(|known| reason.starts_with(known)) =>
        {
            Cause::Terminated
        }
        () => Cause::Unknown,
    }
}

/// What the job was given, for sentences that advise to give it more.
#[derive(Clone, Copy, Debug)]
pub struct Asked {
    /// Memory in GB.
    pub memory: f64,
    /// Seconds an attempt may run; 0 for no limit.
    pub time_limit: u32,
}

/// What happened, why, and what to do, in one line.
#[must_use]
pub fn sentence(job: &Job, asked: Asked) -> String {
    let said = said(job);
    let attempts = match job.attempts.len() {
        0 | 1 => String::new(),
        several => format!(" after {several} attempts"),
    };
    let id = &job.id;
    match cause(job) {
        Cause::Cancelled => format!("Job {id} was cancelled from Covalent."),
        Cause::TimeLimit => format!(
            "Job {id} ran longer than its time limit of {} s and was ended by AWS Batch; raise `time_limit` (0 for none).",
            asked.time_limit
        ),
        Cause::OutOfMemory => format!(
            "Job {id} was killed{attempts} because it took more memory than the {} GB it had asked for; raise `memory`.",
            asked.memory
        ),
        Cause::HostLost => format!(
            "Job {id} lost the machine it ran on{attempts}, by a spot reclaim or a failure of the instance ({said}); run \
             it again, raise `retry_attempts`, or use a queue with on-demand instances."
        ),
        Cause::ImageUnavailable => format!(
            "Job {id} could not start because its image {} could not be pulled ({said}); check `container_image_uri`, \
             the execution role's right to pull it, and the subnet's way to the registry.",
            job.image.as_deref().unwrap_or("")
        ),
        Cause::RoleUnusable => format!(
            "Job {id} could not start because ECS could not assume its role ({said}); check that the role exists and that \
             its trust policy allows ecs-tasks.amazonaws.com to assume it."
        ),
        Cause::AgentTrouble => format!(
            "Job {id} could not start{attempts}: the ECS agent on the instance failed ({said}); run it again, and if \
             that lasts look at the instance's disk space and ECS agent."
        ),
        Cause::NotInspected => format!(
            "Job {id} ended, but the ECS agent could not say how ({said}), and it left no result; run it again."
        ),
        Cause::Terminated => format!("Job {id} was terminated: {said}."),
        Cause::Exited => format!(
            "The container of job {id} exited with code {}{attempts} without leaving a result{}.",
            job.exit_code.unwrap_or_default(),
            meaning(job.exit_code.unwrap_or_default())
        ),
        Cause::Vanished => format!(
            "AWS Batch has no record of job {id} any more and it left no result; it may have ended more than a day ago. \
             Run it again."
        ),
        Cause::Unknown => format!("Job {id} failed{attempts} for a reason that AWS Batch does not tell ({said})."),
    }
}

/// The service's own words.
fn said(job: &Job) -> String {
    let mut parts: Vec<String> = [&job.status_reason, &job.container_reason].into_iter().flatten().cloned().collect();
    if let Some(code) = job.exit_code {
        parts.push(format!("exit code {code}"));
    }
    if parts.is_empty() { "no reason given".to_owned() } else { parts.join("; ") }
}

/// What an exit code of a container usually means; empty for the program's own.
fn meaning(code: i32) -> &'static str {
    match code {
        125..=127 => ": its command could not be started, so the image is probably not one for Covalent",
        137 => ": it was killed, most often for want of memory",
        139 => ": it crashed in native code (segmentation fault)",
        143 => ": it was asked to end",
        _ => "",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn failed(status_reason: &str, container_reason: &str, exit_code: Option<i32>) -> Job {
        let text = |text: &str| (!text.is_empty()).then(|| text.to_owned());
        Job {
            id: "1".into(),
            status: "FAILED".into(),
            status_reason: text(status_reason),
            container_reason: text(container_reason),
            exit_code,
            ..Job::default()
        }
    }

    #[test]
    fn every_documented_failure_has_its_cause() {
        let exited = "Essential container in task exited";
        let table = [
            (exited, "", Some(1), Cause::Exited),
            (exited, "OutOfMemoryError: Container killed due to memory usage", Some(137), Cause::OutOfMemory),
            ("Job attempt duration exceeded timeout", "", None, Cause::TimeLimit),
            ("Job attempt duration exceeded timeout", "", Some(137), Cause::TimeLimit),
            ("Host EC2 (instance i-0abc) terminated.", "", None, Cause::HostLost),
            ("Your Spot Task was interrupted.", "", None, Cause::HostLost),
            ("Task failed to start", "CannotPullContainerError: not found", None, Cause::ImageUnavailable),
            ("ECS was unable to assume the role 'arn:aws:iam::1:role/r'", "", None, Cause::RoleUnusable),
            ("Task failed to start", "DockerTimeoutError: Could not transition", None, Cause::AgentTrouble),
            ("Task failed to start", "CannotStartContainerError: Error response", None, Cause::AgentTrouble),
            ("anything", "CannotInspectContainerError: Could not transition", None, Cause::NotInspected),
            ("Cancelled from Covalent: node 3", "", Some(143), Cause::Cancelled),
            ("wrong queue, sorry", "", Some(137), Cause::Terminated),
            ("Task failed to start", "", None, Cause::Unknown),
            ("Strange", "Stranger", Some(9), Cause::Unknown),
            ("", "", None, Cause::Unknown),
        ];
        for (reason, container, code, expected) in table {
            assert_eq!(cause(&failed(reason, container, code)), expected, "{reason} / {container}");
        }
    }

    #[test]
    fn a_sentence_names_the_limit_that_was_asked_for() {
        let asked = Asked { memory: 3.75, time_limit: 300 };
        let killed = failed("Essential container in task exited", "OutOfMemoryError: killed", Some(137));
        assert!(sentence(&killed, asked).contains("3.75 GB"));
        let late = failed("Job attempt duration exceeded timeout", "", None);
        assert!(sentence(&late, asked).contains("300 s"));
    }

    #[test]
    fn an_unknown_failure_shows_all_there_is() {
        let asked = Asked { memory: 1.0, time_limit: 0 };
        let text = sentence(&failed("Task failed to start", "Strange: new", Some(7)), asked);
        assert!(text.contains("Task failed to start; Strange: new; exit code 7"), "{text}");
    }
}
