//! Problems of a queue, for the errors of jobs that are refused or cannot start.

use crate::aws::clients::Clients;
use crate::batch::platform::Platform;
use crate::batch::queue::{Environment, Queue, environments, look_up};
use crate::batch::request::JobRequest;
use crate::error::Result;

/// What a job needs of its queue's compute environments.
#[derive(Clone, Copy, Debug)]
pub struct Demand {
    /// vCPUs, compared with the limit of each environment.
    pub vcpu: f64,
    /// What its definition is for.
    pub platform: Platform,
    /// Whether it has a share identifier.
    pub shares: bool,
}

impl From<&JobRequest> for Demand {
    fn from(request: &JobRequest) -> Self {
        Self { vcpu: request.vcpu(), platform: request.platform(), shares: request.has_share() }
    }
}

/// The problems of a queue as sentences; empty if none are found.
pub async fn problems(clients: &Clients, queue: &str, demand: Demand) -> Result<Vec<String>> {
    let Some(detail) = look_up(clients, queue).await? else {
        return Ok(vec![format!("there is no queue {queue} in region {}", clients.region)]);
    };
    let mut problems = queue_problems(queue, &detail, demand);
    if detail.environments.is_empty() {
        problems.push(format!("queue {queue} has no compute environment"));
        return Ok(problems);
    }
    let found = environments(clients, detail.environments).await?;
    problems.extend(found.iter().flat_map(|environment| environment_problems(environment, demand)));
    Ok(problems)
}

fn queue_problems(queue: &str, detail: &Queue, demand: Demand) -> Vec<String> {
    let mut problems = Vec::new();
    if detail.state == "DISABLED" {
        problems.push(format!("queue {queue} is DISABLED: enable it"));
    }
    if detail.fair_share && !demand.shares {
        problems
            .push(format!("queue {queue} has a scheduling policy, so each job needs a share: set `share_identifier`"));
    }
    if demand.shares && !detail.fair_share {
        problems.push(format!(
            "queue {queue} has no scheduling policy and takes no share: leave `share_identifier` out, or use a queue \
             with one"
        ));
    }
    if detail.status != "VALID" {
        problems.push(format!("queue {queue} is {}{}", detail.status, in_parentheses(&detail.status_reason)));
    }
    problems
}

fn environment_problems(environment: &Environment, demand: Demand) -> Vec<String> {
    let name = &environment.name;
    let mut problems = Vec::new();
    if environment.state == "DISABLED" {
        problems.push(format!("compute environment {name} is DISABLED: enable it"));
    }
    if environment.status != "VALID" {
        let reason = in_parentheses(&environment.status_reason);
        problems.push(format!("compute environment {name} is {}{reason}", environment.status));
    }
    if let Some(platform) = environment.platform().filter(|platform| *platform != demand.platform) {
        let kind = if platform == Platform::Eks { "EKS" } else { &environment.kind };
        problems.push(format!("compute environment {name} is {kind}: set `platform` to {}", platform.name()));
    }
    if let Some(limit) = environment.max_vcpus.filter(|limit| f64::from(*limit) < demand.vcpu) {
        problems
            .push(format!("compute environment {name} has at most {limit} vCPUs and the job asks for {}", demand.vcpu));
    }
    problems
}

fn in_parentheses(reason: &str) -> String {
    if reason.is_empty() { String::new() } else { format!(" ({reason})") }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DEMAND: Demand = Demand { vcpu: 8.0, platform: Platform::Ec2, shares: false };

    fn queue() -> Queue {
        Queue { state: "ENABLED".into(), status: "VALID".into(), ..Queue::default() }
    }

    fn environment() -> Environment {
        Environment {
            name: "e".into(),
            management: "MANAGED".into(),
            state: "ENABLED".into(),
            status: "VALID".into(),
            kind: "SPOT".into(),
            max_vcpus: Some(8),
            ..Environment::default()
        }
    }

    #[test]
    fn a_healthy_queue_has_no_problems() {
        assert!(queue_problems("q", &queue(), DEMAND).is_empty());
        assert!(environment_problems(&environment(), DEMAND).is_empty());
    }

    #[test]
    fn every_problem_is_named() {
        let broken = Queue {
            state: "DISABLED".into(),
            status: "INVALID".into(),
            status_reason: "no environment".into(),
            ..queue()
        };
        assert_eq!(
            queue_problems("q", &broken, DEMAND),
            ["queue q is DISABLED: enable it", "queue q is INVALID (no environment)"]
        );
        let broken = Environment {
            state: "DISABLED".into(),
            status: "INVALID".into(),
            kind: "FARGATE_SPOT".into(),
            max_vcpus: Some(4),
            ..environment()
        };
        assert_eq!(
            environment_problems(&broken, DEMAND),
            [
                "compute environment e is DISABLED: enable it",
                "compute environment e is INVALID",
                "compute environment e is FARGATE_SPOT: set `platform` to FARGATE",
                "compute environment e has at most 4 vCPUs and the job asks for 8",
            ]
        );
    }

    #[test]
    fn a_share_is_for_a_queue_with_a_scheduling_policy_and_for_no_other() {
        let [shared, plain] = [true, false].map(|fair_share| Queue { fair_share, ..queue() });
        let sharing = Demand { shares: true, ..DEMAND };
        assert!(queue_problems("q", &shared, sharing).is_empty());
        let [lacks] = &queue_problems("q", &shared, DEMAND)[..] else { panic!() };
        assert!(lacks.ends_with("each job needs a share: set `share_identifier`"));
        let [needless] = &queue_problems("q", &plain, sharing)[..] else { panic!() };
        assert!(needless.contains("takes no share: leave `share_identifier` out"));
    }

    #[test]
    fn a_job_for_fargate_does_not_fit_on_machines() {
        let fargate = Demand { vcpu: 0.25, platform: Platform::Fargate, shares: false };
        assert_eq!(
            environment_problems(&environment(), fargate),
            ["compute environment e is SPOT: set `platform` to EC2"]
        );
        assert!(environment_problems(&Environment { kind: "FARGATE".into(), ..environment() }, fargate).is_empty());
        assert!(environment_problems(&Environment { kind: String::new(), ..environment() }, fargate).is_empty());
    }

    #[test]
    fn a_pod_needs_a_cluster_of_kubernetes() {
        let cluster = Environment { orchestration: "EKS".into(), ..environment() };
        assert_eq!(environment_problems(&cluster, DEMAND), ["compute environment e is EKS: set `platform` to EKS"]);
        assert!(environment_problems(&cluster, Demand { platform: Platform::Eks, ..DEMAND }).is_empty());
    }
}
