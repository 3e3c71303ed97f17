//! Explains a job's end: a typed cause, and a sentence that says what to do.
//!
//! `status` decides whether a job failed; this module only says why.

mod cause;

pub use cause::{CANCEL_REASON, Cause, cause};

use crate::batch::job::{Job, parts_of_node_id};
use crate::batch::waiting;

/// What the sentence has to know beside the job itself, such as the limits that it may advise to raise.
#[derive(Clone, Copy, Debug)]
pub struct JobContext<'a> {
    /// Memory in GB.
    pub memory: f64,
    /// Seconds an attempt may run; 0 for no limit.
    pub time_limit: u32,
    /// The dispatcher's versions, such as `Python 3.11.9`, if the container left no output: they are then to be
    /// compared.
    pub dispatcher: Option<&'a str>,
}

/// What happened, why, and what to do, in one line.
#[must_use]
pub fn sentence(job: &Job, context: JobContext<'_>) -> String {
    let cause = cause(job);
    let reason = aws_reason(job);
    let attempts = match job.attempts.len() {
        0 | 1 => String::new(),
        several => format!(" after {several} attempts"),
    };
    let subject = subject(job);
    let not_started =
        |why: &str| format!("{subject} could not start{attempts}: {why} ({reason}); {}.", advice(cause, job));
    match cause {
        Cause::Cancelled => format!("{subject} was cancelled from Covalent."),
        Cause::TimeLimit => format!(
            "{subject} ran longer than its time limit of {} s and was ended by AWS Batch; raise `time_limit` (0 for none).",
            context.time_limit
        ),
        Cause::StateTimeLimit => format!(
            "{subject} was ended by a time limit of its queue, because it did not start: {reason}{}.",
            state_limit_meaning(job).map(|meaning| format!("; {meaning}")).unwrap_or_default()
        ),
        Cause::OutOfMemory => format!(
            "{subject} was killed{attempts} because it took more memory than the {} GB it had asked for; raise `memory`.",
            context.memory
        ),
        Cause::HostLost => format!(
            "{subject} lost the machine it ran on{attempts}, by a spot reclaim or a failure of the instance ({reason}); {}.",
            advice(cause, job)
        ),
        Cause::ImageUnavailable => {
            not_started(&format!("its image {} could not be pulled", job.image.as_deref().unwrap_or("")))
        }
        Cause::PullLimit => not_started("the registry of its image allows no more pulls for now"),
        Cause::WrongArchitecture => not_started("its image is for another processor than the machine's"),
        Cause::ProgramMissing => not_started("its image lacks the program that it is to run"),
        Cause::DiskFull => not_started("the disk is full"),
        Cause::GpuDriver => not_started("the machine has no working GPU driver"),
        Cause::LogDenied => not_started("its log could not be opened"),
        Cause::RoleUnusable => not_started("ECS could not assume its role"),
        Cause::RoleNotPassed => not_started("its role may not be handed on"),
        Cause::Network => not_started("its network was not there in time"),
        Cause::Initialization => not_started("something that it needs before its start could not be had"),
        Cause::OverridesTooLong => not_started("what it is given is longer than ECS takes"),
        Cause::AgentTrouble => not_started("the ECS agent failed"),
        Cause::NotInspected => format!(
            "{subject} ended, but the ECS agent could not say how ({reason}), and it left no result; run it again."
        ),
        Cause::Terminated => format!("{subject} was terminated: {reason}."),
        Cause::Exited => exited_sentence(job, context.dispatcher, &attempts),
        Cause::Vanished => format!(
            "AWS Batch has no record of job {} any more and it left no result; it may have ended more than a day ago. \
             Run it again.",
            job.id
        ),
        Cause::Stuck => format!(
            "{subject} was terminated{attempts} because it had been {} for {}: {} ({reason}); {}.",
            job.status,
            waiting::format_duration(job.stuck_seconds.unwrap_or_default()),
            waiting::state_meaning(&job.status, job.has_dependencies).unwrap_or("that is longer than it may be"),
            stuck_advice(job)
        ),
        Cause::Unknown => format!("{subject} failed{attempts} for a reason that AWS Batch does not tell ({reason})."),
    }
}

/// What a sentence is about: a job, or a node of one.
fn subject(job: &Job) -> String {
    match parts_of_node_id(&job.id) {
        Some((id, index)) => format!("Node {index} of job {id}"),
        None => format!("Job {}", job.id),
    }
}

/// The sentence for a container that exited without a result.
///
/// If it also left no output, it most often could not unpickle the function, which the public image's program does not
/// catch, or crashed on another Python version's bytecode. So the sentence names that first.
fn exited_sentence(job: &Job, dispatcher: Option<&str>, attempts: &str) -> String {
    let code = job.exit_code.unwrap_or_default();
    let container = match parts_of_node_id(&job.id) {
        Some((id, index)) => format!("The container of node {index} of job {id}"),
        None => format!("The container of job {}", job.id),
    };
    let ended = format!("{container} exited with code {code}{attempts} without leaving a result");
    let meaning = exit_code_meaning(code);
    match dispatcher.filter(|_| matches!(code, 1 | 139)) {
        Some(dispatcher) => format!(
            "{ended}, and without saying why. Most often its image's Python, cloudpickle or Covalent differs from this \
             dispatcher's, which is {dispatcher}. What the image has, this shows: docker run --rm --entrypoint python {} \
             -c \"import sys, covalent, cloudpickle; print(sys.version, cloudpickle.__version__, covalent.__version__)\". \
             If they are the same{}.",
            job.image.as_deref().unwrap_or("IMAGE"),
            if meaning.is_empty() { ", the container's log says what its program met with" } else { meaning },
        ),
        None => format!("{ended}{meaning}."),
    }
}

/// What to do about a cause.
fn advice(cause: Cause, job: &Job) -> &'static str {
    match cause {
        Cause::HostLost if job.is_fargate => {
            "run it again, raise `retry_attempts`, or use a queue with FARGATE in place of FARGATE_SPOT"
        }
        Cause::HostLost => "run it again, raise `retry_attempts`, or use a queue with on-demand instances",
        Cause::ImageUnavailable => {
            "check `container_image_uri`, the execution role's right to pull it, and the subnet's way to the registry"
        }
        Cause::PullLimit => "wait, or copy the image to ECR and name it there in `container_image_uri`",
        Cause::WrongArchitecture => {
            "build the image for the machine's processor, or use a queue with machines of the image's"
        }
        Cause::ProgramMissing => "check that `container_image_uri` is an image with Python and what the job runs",
        Cause::DiskFull if job.is_fargate => "raise `ephemeral_storage`, or use a smaller image",
        Cause::DiskFull => "give the instances of the compute environment larger disks, or use a smaller image",
        Cause::GpuDriver => {
            "use an image of the operating system with GPU support (ECS_AL2_NVIDIA) in the compute environment"
        }
        Cause::LogDenied => {
            "give the execution role logs:CreateLogStream and logs:PutLogEvents on the log group, and create the group"
        }
        Cause::RoleUnusable => {
            "check that the role exists and that its trust policy allows ecs-tasks.amazonaws.com to assume it"
        }
        Cause::RoleNotPassed => "give the identity that AWS names iam:PassRole on the role",
        Cause::Network => {
            "run it again; if that lasts, look at the subnets' free addresses and their way to the internet"
        }
        Cause::Initialization => {
            "check the execution role's rights and the subnets' way to ECR, Secrets Manager and CloudWatch Logs"
        }
        Cause::OverridesTooLong => "put less into `environment`",
        Cause::AgentTrouble if job.is_fargate => "run it again",
        _ => "run it again, and if that lasts look at the instance's disk space and ECS agent",
    }
}

/// What to do about a job that is stuck in this state.
fn stuck_advice(job: &Job) -> &'static str {
    match job.status.as_str() {
        "STARTING" if job.is_fargate => {
            "run it again; if that lasts, look at the subnets' way to the registry, and use a smaller image"
        }
        "STARTING" => {
            "run it again, for another machine; if that lasts, look at the instance's ECS agent, its disk and its subnet's way \
             to the registry, and use a smaller image"
        }
        "PENDING" => "look at the job in AWS's console and at the limits of its queue, and run it again",
        _ => {
            "look whether queue and compute environments are ENABLED and VALID, and at health.aws.amazon.com, and run it \
             again"
        }
    }
}

/// The meaning of the state in which a state time limit of the queue ended the job.
fn state_limit_meaning(job: &Job) -> Option<&'static str> {
    let reason = job.status_reason.as_deref()?;
    waiting::reason_meaning(reason.rsplit_once("reason:").map_or(reason, |(_, kind)| kind).trim_start())
}

/// AWS's reasons and the exit code.
fn aws_reason(job: &Job) -> String {
    let texts = [&job.status_reason, &job.container_reason].into_iter().flatten();
    let mut parts: Vec<String> = texts.map(|text| text.trim().trim_end_matches('.').to_owned()).collect();
    if let Some(code) = job.exit_code {
        parts.push(format!("exit code {code}"));
    }
    if parts.is_empty() { "no reason given".to_owned() } else { parts.join("; ") }
}

/// The usual meaning of a container's exit code; empty for the program's own codes.
fn exit_code_meaning(code: i32) -> &'static str {
    match code {
        125..=127 => {
            ": its command could not be started, so the image is probably not one for Covalent, or has no Python"
        }
        137 => ": it was killed, most often for want of memory",
        139 => ": it crashed in native code (segmentation fault)",
        143 => ": it was asked to end",
        _ => "",
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    pub(super) fn failed(status_reason: &str, container_reason: &str, exit_code: Option<i32>) -> Job {
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
    fn a_sentence_names_the_limit_that_was_asked_for() {
        let context = JobContext { memory: 3.75, time_limit: 300, dispatcher: None };
        let killed = failed("Essential container in task exited", "OutOfMemoryError: killed", Some(137));
        assert!(sentence(&killed, context).contains("3.75 GB"));
        let late = failed("Job attempt duration exceeded timeout", "", None);
        assert!(sentence(&late, context).contains("300 s"));
    }

    #[test]
    fn an_unknown_failure_shows_all_there_is() {
        let context = JobContext { memory: 1.0, time_limit: 0, dispatcher: None };
        let text = sentence(&failed("Task failed to start", "Strange: new", Some(7)), context);
        assert!(text.contains("Task failed to start; Strange: new; exit code 7"), "{text}");
    }

    #[test]
    fn a_container_without_a_word_is_told_to_compare_versions_first() {
        let context = JobContext { memory: 1.0, time_limit: 0, dispatcher: Some("Python 3.11.9") };
        for (code, then) in [(1, "log"), (139, "crashed in native code")] {
            let silent = failed("Essential container in task exited", "", Some(code));
            let text = sentence(&Job { image: Some("i:1".into()), ..silent.clone() }, context);
            let (version, other) = (text.find("Python 3.11.9").unwrap(), text.find(then).unwrap());
            assert!(version < other && text.contains("python i:1 -c"), "{text}");
            assert!(
                !sentence(&silent, JobContext { dispatcher: None, ..context }).contains("dispatcher"),
                "it left a word"
            );
        }
        let killed = failed("Essential container in task exited", "", Some(137));
        assert!(!sentence(&killed, context).contains("dispatcher"), "the kernel's word");
    }

    #[test]
    fn advice_fits_the_platform_and_no_sentence_ends_twice() {
        let full = failed("Task failed to start", "CannotPullContainerError: no space left on device.", None);
        for (is_fargate, word) in [(true, "`ephemeral_storage`"), (false, "larger disks")] {
            let full = Job { is_fargate, ..full.clone() };
            let text = sentence(&full, JobContext { memory: 1.0, time_limit: 0, dispatcher: None });
            assert!(text.contains(word) && !text.contains(".."), "{text}");
        }
        let ended = Job { is_terminated: true, ..failed("I need the machine.", "", Some(143)) };
        let text = sentence(&ended, JobContext { memory: 1.0, time_limit: 0, dispatcher: None });
        assert!(text.contains("I need the machine; exit code 143."), "{text}");
    }

    #[test]
    fn a_stuck_job_says_in_what_state_for_how_long_and_what_to_do_on_its_platform() {
        let stuck =
            |status: &str| Job { id: "1".into(), status: status.into(), stuck_seconds: Some(10_800), ..Job::default() };
        for (status, is_fargate, word) in [
            ("SUBMITTED", false, "ENABLED"),
            ("PENDING", false, "limits of its queue"),
            ("STARTING", false, "ECS agent"),
            ("STARTING", true, "subnets' way"),
        ] {
            let job = Job { is_fargate, ..stuck(status) };
            let text = sentence(&job, JobContext { memory: 1.0, time_limit: 0, dispatcher: None });
            assert!(text.contains(&format!("it had been {status} for 3 h: ")) && text.contains(word), "{text}");
            assert_eq!(text.contains("instance"), status == "STARTING" && !is_fargate, "{text}");
            assert_eq!(cause(&job).as_str(), "stuck");
        }
    }

    #[test]
    fn a_limit_of_the_queue_says_what_the_state_meant() {
        let reason = "Canceled by JobStateTimeLimit action due to reason: MISCONFIGURATION:JOB_RESOURCE_REQUIREMENT";
        let text = sentence(&failed(reason, "", None), JobContext { memory: 1.0, time_limit: 0, dispatcher: None });
        assert!(text.contains("lower `vcpu`"), "{text}");
    }
}
