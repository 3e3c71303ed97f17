//! Why a job is still RUNNABLE, in words. Batch says so only on the job at the head of its queue.

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
    use super::meaning;

    #[test]
    fn the_most_specific_kind_speaks() {
        assert!(meaning("MISCONFIGURATION:JOB_RESOURCE_REQUIREMENT - The job…").unwrap().contains("`vcpu`"));
        assert!(meaning("MISCONFIGURATION:SOMETHING_NEW").unwrap().contains("set up"));
        assert!(meaning("CAPACITY:INSUFFICIENT_INSTANCE_CAPACITY").unwrap().contains("instance types"));
        assert!(meaning("UNDETERMINED - Batch does not know").is_some());
        assert_eq!(meaning("anything else"), None);
    }
}
