//! Submitting a job once.
//!
//! `SubmitJob` takes no client token, so the SDK's own retries would make a second job whenever an answer is lost. Here
//! the job's name is the key: after a failure that leaves the outcome open, the name is looked up before another try.

use std::time::Duration;

use aws_sdk_batch::config::retry::RetryConfig;
use aws_sdk_batch::types::{
    ContainerOverrides, JobTimeout, KeyValuePair, KeyValuesPair, ResourceRequirement, ResourceType, RetryStrategy,
};
use tokio::time::{Instant, sleep};

use crate::clients::Clients;
use crate::definition;
use crate::error::{Error, Kind, Result};
use crate::settings::JobRequest;

/// How long submission goes on under throttling or a lost connection before it gives up.
const PATIENCE: Duration = Duration::from_mins(5);
/// First pause between tries; it doubles up to `LONGEST_PAUSE`.
const FIRST_PAUSE: Duration = Duration::from_millis(500);
const LONGEST_PAUSE: Duration = Duration::from_secs(20);

/// Submits the job and returns its id: exactly one job comes to exist, whatever happens to the answers.
pub async fn submit(clients: &Clients, request: &JobRequest) -> Result<String> {
    let deadline = Instant::now() + PATIENCE;
    let mut pause = FIRST_PAUSE;
    let mut forgotten = false;
    loop {
        let definition = definition::find_or_register(clients, &request.definition).await?;
        let error = match try_once(clients, request, &definition).await {
            Ok(id) => return Ok(id),
            Err(error) => error,
        };
        match error.kind() {
            // The revision was deregistered since it was found; look for another one, once.
            Kind::Refused if !forgotten && speaks_of_definition(&error) => {
                clients.definitions.forget(&definition);
                forgotten = true;
                continue;
            }
            Kind::Throttled | Kind::Ambiguous if Instant::now() + pause < deadline => {}
            _ => return Err(error),
        }
        tracing::warn!("{error}; trying again in {:.1} s", pause.as_secs_f32());
        sleep(pause).await;
        pause = (pause * 2).min(LONGEST_PAUSE);
        if error.kind() == Kind::Ambiguous
            && let Some(id) = find_after(&error, clients, request).await?
        {
            tracing::info!("job {} had been submitted after all, as {id}", request.name);
            return Ok(id);
        }
    }
}

/// Looks for the job of a submission whose answer was lost. If that fails too, nobody knows: better no second try.
async fn find_after(lost: &Error, clients: &Clients, request: &JobRequest) -> Result<Option<String>> {
    find_by_name(clients, &request.queue, &request.name).await.map_err(|error| {
        let (name, queue) = (&request.name, &request.queue);
        Error::with_source(
            error.kind(),
            format!("{lost}; whether job {name} runs in queue {queue} is unknown, since it could not be looked up"),
            error,
        )
    })
}

async fn try_once(clients: &Clients, request: &JobRequest, definition: &str) -> Result<String> {
    let answer = clients
        .batch
        .submit_job()
        .job_name(&request.name)
        .job_queue(&request.queue)
        .job_definition(definition)
        .container_overrides(overrides(request))
        .retry_strategy(RetryStrategy::builder().attempts(request.retry_attempts.into()).build())
        .set_timeout((request.time_limit > 0).then(|| {
            let seconds = i32::try_from(request.time_limit).unwrap_or(i32::MAX);
            JobTimeout::builder().attempt_duration_seconds(seconds).build()
        }))
        .set_tags((!request.tags.is_empty()).then(|| request.tags.clone().into_iter().collect()))
        .set_propagate_tags((!request.tags.is_empty()).then_some(true))
        .customize()
        .config_override(aws_sdk_batch::Config::builder().retry_config(RetryConfig::disabled()))
        .send()
        .await
        .map_err(|error| Error::from_sdk("batch:SubmitJob", format!("queue {}", request.queue), error))?;
    Ok(answer.job_id.unwrap_or_default())
}

fn overrides(request: &JobRequest) -> ContainerOverrides {
    let resource = |kind, value: String| ResourceRequirement::builder().r#type(kind).value(value).build();
    let mut resources = vec![
        resource(ResourceType::Vcpu, request.vcpu.to_string()),
        resource(ResourceType::Memory, request.memory_mib.to_string()),
    ];
    if request.gpus > 0 {
        resources.push(resource(ResourceType::Gpu, request.gpus.to_string()));
    }
    let environment = request
        .environment
        .iter()
        .map(|(name, value)| KeyValuePair::builder().name(name).value(value).build())
        .collect();
    ContainerOverrides::builder().set_resource_requirements(Some(resources)).set_environment(Some(environment)).build()
}

/// The newest job of exactly this name in the queue, in whatever state.
pub async fn find_by_name(clients: &Clients, queue: &str, name: &str) -> Result<Option<String>> {
    let mut pages = clients
        .batch
        .list_jobs()
        .job_queue(queue)
        .filters(KeyValuesPair::builder().name("JOB_NAME").values(name).build())
        .into_paginator()
        .send();
    let mut newest: Option<(i64, String)> = None;
    while let Some(page) = pages.next().await {
        let page = page.map_err(|error| Error::from_sdk("batch:ListJobs", format!("queue {queue}"), error))?;
        for job in page.job_summary_list() {
            // The service's filter ignores case and takes a trailing `*` for a wildcard.
            let (Some(id), true) = (job.job_id(), job.job_name() == Some(name)) else { continue };
            let created = job.created_at().unwrap_or_default();
            if newest.as_ref().is_none_or(|(latest, _)| created > *latest) {
                newest = Some((created, id.to_owned()));
            }
        }
    }
    Ok(newest.map(|(_, id)| id))
}

fn speaks_of_definition(error: &Error) -> bool {
    error.to_string().to_ascii_lowercase().contains("job definition") || error.to_string().contains("JobDefinition")
}
