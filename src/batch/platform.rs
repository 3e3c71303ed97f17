//! What a job runs on, which its definition has to say, and which users need not know.

/// What a job runs on.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Platform {
    /// Machines of ECS, on-demand or spot; also those of an unmanaged environment.
    #[default]
    Ec2,
    /// Fargate, also Fargate Spot.
    Fargate,
    /// Machines that ECS manages.
    ManagedInstances,
    /// Pods of a Kubernetes cluster.
    Eks,
}

impl Platform {
    const ALL: [Self; 4] = [Self::Ec2, Self::Fargate, Self::ManagedInstances, Self::Eks];

    /// What the option `platform` calls it; but for `EKS`, which has none, the name of its capability.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Ec2 => "EC2",
            Self::Fargate => "FARGATE",
            Self::ManagedInstances => "MANAGED_INSTANCES",
            Self::Eks => "EKS",
        }
    }

    /// The one of this name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|platform| platform.name() == name)
    }

    /// That of a queue by its `jobQueueType`; `None` where AWS does not say, or another one.
    ///
    /// Source: <https://docs.aws.amazon.com/batch/latest/APIReference/API_JobQueueDetail.html>
    #[must_use]
    pub fn of_queue(kind: &str) -> Option<Self> {
        match kind {
            "ECS" => Some(Self::Ec2),
            "ECS_FARGATE" => Some(Self::Fargate),
            "ECS_MANAGED_INSTANCES" => Some(Self::ManagedInstances),
            "EKS" => Some(Self::Eks),
            _ => None,
        }
    }

    /// That of a compute environment by the type of its resources and its `containerOrchestrationType`; `None` where AWS
    /// says neither.
    #[must_use]
    pub fn of_environment(kind: &str, orchestration: &str) -> Option<Self> {
        match kind {
            _ if orchestration == "EKS" => Some(Self::Eks),
            "" => None,
            "ECS_MANAGED_INSTANCES" => Some(Self::ManagedInstances),
            kind if kind.starts_with("FARGATE") => Some(Self::Fargate),
            _ => Some(Self::Ec2),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_is_that_of_one() {
        for platform in Platform::ALL {
            assert_eq!(Platform::named(platform.name()), Some(platform));
        }
        assert_eq!(Platform::named(""), None);
    }

    #[test]
    fn an_environment_is_known_by_its_kind_and_by_who_runs_its_containers() {
        for (kind, orchestration, platform) in [
            ("EC2", "ECS", Some(Platform::Ec2)),
            ("SPOT", "", Some(Platform::Ec2)),
            ("SPOT", "EKS", Some(Platform::Eks)),
            ("", "EKS", Some(Platform::Eks)),
            ("FARGATE_SPOT", "ECS", Some(Platform::Fargate)),
            ("ECS_MANAGED_INSTANCES", "ECS", Some(Platform::ManagedInstances)),
            ("", "ECS", None),
        ] {
            assert_eq!(Platform::of_environment(kind, orchestration), platform, "{kind} {orchestration}");
        }
    }

    #[test]
    fn a_queue_is_known_by_its_type_if_aws_has_one() {
        for (kind, platform) in [
            ("ECS", Some(Platform::Ec2)),
            ("ECS_FARGATE", Some(Platform::Fargate)),
            ("ECS_MANAGED_INSTANCES", Some(Platform::ManagedInstances)),
            ("EKS", Some(Platform::Eks)),
            ("SAGEMAKER_TRAINING", None),
            ("", None),
        ] {
            assert_eq!(Platform::of_queue(kind), platform, "{kind}");
        }
    }
}
