//! Jobs read from what AWS Batch answers.

use aws_sdk_batch::types::{AttemptContainerDetail, ResourceRequirement};

use super::*;

#[test]
fn the_last_attempts_stream_stands_in_for_a_missing_one() {
    let attempt = AttemptDetail::builder()
        .container(AttemptContainerDetail::builder().log_stream_name("covalent-batch/default/2").build())
        .build();
    let detail = JobDetail::builder()
        .status(JobStatus::Failed)
        .container(ContainerDetail::builder().reason("").build())
        .attempts(attempt)
        .build();
    let job = Job::from(&detail);
    assert_eq!(job.log_stream.as_deref(), Some("covalent-batch/default/2"));
    assert_eq!(job.container_reason, None);
    assert!(job.has_ended());
}

#[test]
fn a_task_of_one_container_is_read_like_a_container() {
    use aws_sdk_batch::types::{AttemptEcsTaskDetails, EcsPropertiesDetail, EcsTaskDetails};
    let container = TaskContainerDetails::builder()
        .exit_code(137)
        .reason("OutOfMemoryError")
        .log_stream_name("covalent-batch/default/1")
        .image("i")
        .environment(KeyValuePair::builder().name("A").value("1").build());
    let task = EcsTaskDetails::builder().containers(container.build()).build();
    let ended = AttemptTaskContainerDetails::builder().exit_code(137).reason("OutOfMemoryError").build();
    let attempt = AttemptEcsTaskDetails::builder().containers(ended).build();
    let detail = JobDetail::builder()
        .status(JobStatus::Failed)
        .ecs_properties(EcsPropertiesDetail::builder().task_properties(task).build())
        .attempts(AttemptDetail::builder().task_properties(attempt).build())
        .build();
    let job = Job::from(&detail);
    assert_eq!((job.exit_code, job.container_reason.as_deref()), (Some(137), Some("OutOfMemoryError")));
    assert_eq!(job.attempts[0].exit_code, Some(137));
    assert_eq!((job.log_stream.as_deref(), job.image.as_deref()), (Some("covalent-batch/default/1"), Some("i")));
    assert_eq!(environment(&detail).collect::<Vec<_>>(), [("A", "1")]);
}

#[test]
fn a_pod_of_one_container_is_read_like_a_container() {
    use aws_sdk_batch::types::{
        EksAttemptContainerDetail, EksContainerEnvironmentVariable, EksContainerResourceRequirements,
        EksPodPropertiesDetail, EksPropertiesDetail,
    };
    let resources = EksContainerResourceRequirements::builder()
        .requests("cpu", "0.75")
        .limits("memory", "512Mi")
        .limits("nvidia.com/gpu", "1");
    let variable = EksContainerEnvironmentVariable::builder().name("A").value("1").build();
    let container = EksContainerDetail::builder().image("i").env(variable).resources(resources.build()).build();
    let pod = EksPodPropertiesDetail::builder().containers(container).build();
    let ended = EksAttemptContainerDetail::builder().exit_code(137).reason("OOMKilled").build();
    let attempt = EksAttemptDetail::builder().containers(ended).pod_namespace("n").pod_name("p").started_at(7);
    let detail = JobDetail::builder()
        .status(JobStatus::Failed)
        .eks_properties(EksPropertiesDetail::builder().pod_properties(pod).build())
        .eks_attempts(attempt.build())
        .build();
    let job = Job::from(&detail);
    assert_eq!((job.exit_code, job.container_reason.as_deref()), (Some(137), Some("OOMKilled")));
    assert_eq!((job.attempts[0].exit_code, job.attempts[0].started_at), (Some(137), Some(7)));
    assert_eq!((job.vcpus, job.memory_mib, job.gpus), (Some(0.75), Some(512.0), Some(1.0)));
    assert_eq!((job.pod.as_deref(), job.image.as_deref()), (Some("n/p"), Some("i")));
    assert_eq!(environment(&detail).collect::<Vec<_>>(), [("A", "1")]);
}

#[test]
fn the_job_before_is_an_id_or_none() {
    let (id, name) = ("9b1c0000-0000-4000-8000-00000000000a", "COVALENT_AWSBATCH_PREVIOUS_JOB");
    let variable = |value: &str| KeyValuePair::builder().name(name).value(value).build();
    let of_container = |value: &str| {
        let container = ContainerDetail::builder().environment(variable(value)).build();
        Job::from(&JobDetail::builder().container(container).build()).previous_job
    };
    assert_eq!(of_container(id).as_deref(), Some(id));
    for wrong in ["", "1", &id[1..], &format!("{id}0"), &id.replace('b', "#"), &"ä".repeat(18)] {
        assert_eq!(of_container(wrong), None, "{wrong}");
    }
}

#[test]
fn what_was_asked_for_is_a_number_or_not_known() {
    let asked = |kind: ResourceType, value: &str| ResourceRequirement::builder().r#type(kind).value(value).build();
    let container = ContainerDetail::builder()
        .resource_requirements(asked(ResourceType::Vcpu, "0.25"))
        .resource_requirements(asked(ResourceType::Memory, "NaN"))
        .resource_requirements(asked(ResourceType::Gpu, "-1"))
        .build();
    let detail = JobDetail::builder().container(container).platform_capabilities(PlatformCapability::Fargate).build();
    let job = Job::from(&detail);
    assert_eq!((job.vcpus, job.memory_mib, job.gpus, job.is_fargate), (Some(0.25), None, None, true));
}

#[test]
fn the_console_is_that_of_the_partition() {
    let job = |queue: &str| Job { id: "1".into(), queue: queue.into(), ..Job::default() };
    let link = job("arn:aws-cn:batch:cn-north-1:123456789012:job-queue/q").console().unwrap();
    assert_eq!(link, "https://cn-north-1.console.amazonaws.cn/batch/home?region=cn-north-1#jobs/detail/1");
    assert_eq!(job("q").console(), None);
}

#[test]
fn a_reason_is_cut_by_characters() {
    assert_eq!(truncate(&"ä".repeat(2000)).chars().count(), 1024);
}

#[test]
fn a_reason_that_aws_tells_is_cut_too() {
    let long = "x".repeat(1_000_000);
    let attempt = AttemptDetail::builder()
        .status_reason(&long)
        .container(AttemptContainerDetail::builder().reason(&long).log_stream_name(&long).build())
        .build();
    let container = ContainerDetail::builder().reason(&long).image(&long).build();
    let job = Job::from(&JobDetail::builder().status_reason(&long).container(container).attempts(attempt).build());
    let attempt = &job.attempts[0];
    let attempts = [&attempt.status_reason, &attempt.container_reason, &attempt.log_stream];
    let texts = [&job.status_reason, &job.container_reason, &job.image, &job.log_stream].into_iter().chain(attempts);
    assert!(texts.flatten().all(|text| text.len() == 1024));
}
