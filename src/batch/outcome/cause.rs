//! Classifies why a job did not succeed, by AWS's reasons.
//!
//! AWS puts the same text into `statusReason` or into `container.reason`, so both are searched. The phrases are those
//! of AWS Batch, the ECS agent and Docker, as users have reported them.

use crate::batch::job::Job;

/// Prefix of the reason of a termination that Covalent requested, by which the task is known to be cancelled.
pub const CANCEL_REASON: &str = "Cancelled from Covalent";

/// Why a job did not succeed.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum Cause {
    /// Covalent requested its termination.
    Cancelled,
    /// An attempt ran longer than `time_limit`.
    TimeLimit,
    /// A time limit of the queue on a state, such as RUNNABLE, ended it.
    StateTimeLimit,
    /// The container took more than `memory`.
    OutOfMemory,
    /// The instance went away: a spot reclaim or a failure.
    HostLost,
    /// The registry allows no more pulls for now.
    PullLimit,
    /// The image is for another processor.
    WrongArchitecture,
    /// The image could not be pulled.
    ImageUnavailable,
    /// The image lacks the program that the job is to run.
    ProgramMissing,
    /// The disk is full.
    DiskFull,
    /// The instance has no working driver for its GPUs.
    GpuDriver,
    /// The log could not be opened.
    LogDenied,
    /// A role of the job could not be assumed.
    RoleUnusable,
    /// The identity that AWS names may not pass a role.
    RoleNotPassed,
    /// The network of the job was not there in time.
    Network,
    /// Something that the job needs before its start, such as a secret, could not be fetched.
    Initialization,
    /// The request is larger than what ECS takes.
    OverridesTooLong,
    /// The ECS agent could not start the container.
    AgentTrouble,
    /// The container ended, but the agent could not say how.
    NotInspected,
    /// A user terminated the job.
    Terminated,
    /// The program ended with a code other than 0.
    Exited,
    /// Batch has no record of the job any more.
    Vanished,
    /// It did not get out of a state before RUNNING, and was given up.
    Stuck,
    /// None of the above.
    Unknown,
}

impl Cause {
    /// The value in Python.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Cancelled => "cancelled",
            Self::TimeLimit => "time_limit",
            Self::StateTimeLimit => "state_time_limit",
            Self::OutOfMemory => "out_of_memory",
            Self::HostLost => "host_lost",
            Self::PullLimit => "pull_limit",
            Self::WrongArchitecture => "wrong_architecture",
            Self::ImageUnavailable => "image_unavailable",
            Self::ProgramMissing => "program_missing",
            Self::DiskFull => "disk_full",
            Self::GpuDriver => "gpu_driver",
            Self::LogDenied => "log_denied",
            Self::RoleUnusable => "role_unusable",
            Self::RoleNotPassed => "role_not_passed",
            Self::Network => "network",
            Self::Initialization => "initialization",
            Self::OverridesTooLong => "overrides_too_long",
            Self::AgentTrouble => "agent_trouble",
            Self::NotInspected => "not_inspected",
            Self::Terminated => "terminated",
            Self::Exited => "exited",
            Self::Vanished => "vanished",
            Self::Stuck => "stuck",
            Self::Unknown => "unknown",
        }
    }
}

/// Phrases in lower case and what they mean, the more specific ones first.
const PHRASES: [(Cause, &[&str]); 16] = [
    (Cause::TimeLimit, &["job attempt duration exceeded timeout"]),
    (Cause::StateTimeLimit, &["canceled by jobstatetimelimit"]),
    (Cause::OutOfMemory, &["outofmemoryerror", "oomkilled"]),
    (Cause::HostLost, &["host ec2 (", "your spot task was interrupted", "imminent node shutdown"]),
    (Cause::PullLimit, &["toomanyrequests"]),
    (Cause::WrongArchitecture, &["does not contain descriptor matching platform", "exec format error"]),
    (Cause::DiskFull, &["no space left on device"]),
    (Cause::LogDenied, &["logs:createlogstream", "logs:createloggroup", "logs:putlogevents"]),
    (Cause::ImageUnavailable, &["cannotpull", "errimagepull", "imagepullbackoff"]),
    (Cause::GpuDriver, &["nvidia-container-cli"]),
    (Cause::RoleUnusable, &["unable to assume the role"]),
    (Cause::RoleNotPassed, &["iam:passrole"]),
    (Cause::Network, &["network interface provisioning", "retrieving subnet information"]),
    (Cause::OverridesTooLong, &["container overrides length must be"]),
    (Cause::ProgramMissing, &["executable file not found", "no such file or directory: unknown"]),
    (Cause::Initialization, &["resourceinitializationerror"]),
];
const AGENT_ERRORS: [&str; 3] = ["DockerTimeoutError", "CannotStart", "CannotCreate"];

/// Why this job did not succeed.
///
/// A termination is recognised by `isTerminated`, because its reason may be any text.
#[must_use]
pub fn cause(job: &Job) -> Cause {
    let reason = truncate(job.status_reason.as_deref());
    let container = truncate(job.container_reason.as_deref());
    if job.status == "VANISHED" {
        return Cause::Vanished;
    }
    if job.stuck_seconds.is_some() {
        return Cause::Stuck;
    }
    if reason.starts_with(CANCEL_REASON) {
        return Cause::Cancelled;
    }
    let either = |phrase: &str| [reason, container].iter().any(|text| text.contains(phrase));
    let said = format!("{reason}\n{container}").to_ascii_lowercase();
    let known = PHRASES.iter().find(|(_, phrases)| phrases.iter().any(|phrase| said.contains(phrase)));
    match known.map(|(cause, _)| *cause) {
        Some(limit @ (Cause::TimeLimit | Cause::StateTimeLimit)) => limit,
        _ if job.is_terminated => Cause::Terminated,
        Some(cause) => cause,
        None if either("CannotInspectContainerError") => Cause::NotInspected,
        None if AGENT_ERRORS.iter().any(|error| either(error)) => Cause::AgentTrouble,
        None if reason.starts_with("Essential container in task exited") && job.exit_code.is_some() => Cause::Exited,
        // Of a pod AWS says no more than that.
        None if job.pod.is_some() && job.exit_code.is_some_and(|code| code != 0) => Cause::Exited,
        None => Cause::Unknown,
    }
}

/// The beginning of a reason, so that searching it is bounded; AWS's reasons have some hundred characters.
fn truncate(text: Option<&str>) -> &str {
    let text = text.unwrap_or_default();
    &text[..text.floor_char_boundary(4000)]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::batch::outcome::tests::failed;

    const EXITED: &str = "Essential container in task exited";
    const NOT_STARTED: &str = "Task failed to start";

    #[test]
    fn every_documented_failure_has_its_cause() {
        let table = [
            (EXITED, "", Some(1), Cause::Exited),
            (EXITED, "OutOfMemoryError: Container killed due to memory usage", Some(137), Cause::OutOfMemory),
            ("Job attempt duration exceeded timeout", "", None, Cause::TimeLimit),
            ("Job attempt duration exceeded timeout", "", Some(137), Cause::TimeLimit),
            ("Host EC2 (instance i-0abc) terminated.", "", None, Cause::HostLost),
            ("Your Spot Task was interrupted.", "", None, Cause::HostLost),
            (NOT_STARTED, "DockerTimeoutError: Could not transition", None, Cause::AgentTrouble),
            (NOT_STARTED, "CannotStartContainerError: Error response", None, Cause::AgentTrouble),
            ("anything", "CannotInspectContainerError: Could not transition", None, Cause::NotInspected),
            ("Cancelled from Covalent: node 3", "", Some(143), Cause::Cancelled),
            ("wrong queue, sorry", "", Some(137), Cause::Unknown),
            (NOT_STARTED, "", None, Cause::Unknown),
            ("Strange", "Stranger", Some(9), Cause::Unknown),
            ("", "", None, Cause::Unknown),
        ];
        for (reason, container, code, expected) in table {
            assert_eq!(cause(&failed(reason, container, code)), expected, "{reason} / {container}");
        }
    }

    /// Wherever AWS puts them.
    #[test]
    fn what_users_have_reported_is_recognised_in_both_fields() {
        let table = [
            ("CannotPullContainerError: pull access denied: unauthorized", Cause::ImageUnavailable),
            ("CannotPullImageManifestError: not found", Cause::ImageUnavailable),
            (
                "CannotPullContainerError: toomanyrequests: You have reached your unauthenticated pull rate limit",
                Cause::PullLimit,
            ),
            (
                "CannotPullContainerError: image Manifest does not contain descriptor matching platform 'linux/amd64'",
                Cause::WrongArchitecture,
            ),
            ("exec /usr/local/bin/python: exec format error", Cause::WrongArchitecture),
            ("CannotPullContainerError: write /var/lib/docker: no space left on device", Cause::DiskFull),
            (
                "CannotStartContainerError: OCI runtime create failed: exec: \"python\": executable file not found in \
                 $PATH: unknown",
                Cause::ProgramMissing,
            ),
            (
                "CannotStartContainerError: nvidia-container-cli: initialization error: driver not loaded: unknown",
                Cause::GpuDriver,
            ),
            (
                "ResourceInitializationError: failed to validate logger args: AccessDeniedException: not authorized to \
                 perform: logs:CreateLogStream",
                Cause::LogDenied,
            ),
            (
                "ResourceInitializationError: unable to pull secrets or registry auth: execution resource retrieval \
                 failed",
                Cause::Initialization,
            ),
            ("Timeout waiting for network interface provisioning to complete.", Cause::Network),
            ("Error retrieving subnet information for [subnet-0]: Rate exceeded", Cause::Network),
            ("Container Overrides length must be at most 8192", Cause::OverridesTooLong),
            ("User: arn:aws:sts::1:assumed-role/r is not authorized to perform: iam:PassRole", Cause::RoleNotPassed),
            ("ECS was unable to assume the role 'arn:aws:iam::1:role/r'", Cause::RoleUnusable),
            (
                "Canceled by JobStateTimeLimit action due to reason: MISCONFIGURATION:JOB_RESOURCE_REQUIREMENT",
                Cause::StateTimeLimit,
            ),
        ];
        for (text, expected) in table {
            assert_eq!(cause(&failed(text, "", None)), expected, "{text}");
            assert_eq!(cause(&failed(NOT_STARTED, text, None)), expected, "{text}");
        }
    }

    /// Words of Kubernetes: <https://kubernetes.io/docs/concepts/workloads/pods/pod-lifecycle/#container-states>,
    /// <https://kubernetes.io/docs/concepts/containers/images/#imagepullbackoff>,
    /// <https://kubernetes.io/docs/concepts/cluster-administration/node-shutdown/>.
    #[test]
    fn what_kubernetes_says_of_a_pod_is_recognised() {
        let table = [
            ("", "OOMKilled", Some(137), Cause::OutOfMemory),
            ("", "Error", Some(1), Cause::Exited),
            ("", "Error", Some(143), Cause::Exited),
            ("Pod was terminated in response to imminent node shutdown.", "", None, Cause::HostLost),
            ("", "ErrImagePull", None, Cause::ImageUnavailable),
            ("ImagePullBackOff: Back-off pulling image", "", None, Cause::ImageUnavailable),
            ("", "Error", None, Cause::Unknown),
        ];
        for (reason, container, code, expected) in table {
            let job = Job { pod: Some("n/p".into()), ..failed(reason, container, code) };
            assert_eq!(cause(&job), expected, "{reason} / {container}");
        }
    }

    #[test]
    fn a_termination_is_what_aws_says_is_one() {
        let job = |reason: &str| Job { is_terminated: true, ..failed(reason, "", Some(143)) };
        assert_eq!(cause(&job("wrong queue, sorry")), Cause::Terminated);
        assert_eq!(cause(&job("there was no space left on device")), Cause::Terminated);
        assert_eq!(cause(&job("Cancelled from Covalent: node 3")), Cause::Cancelled);
        assert_eq!(cause(&job("Job attempt duration exceeded timeout")), Cause::TimeLimit);
    }
}
