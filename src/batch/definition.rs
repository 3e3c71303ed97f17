//! Job definitions by content: a revision is registered only when no active one says the same.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use aws_sdk_batch::operation::register_job_definition::RegisterJobDefinitionError;
use aws_sdk_batch::types::{
    AssignPublicIp, ContainerProperties, EphemeralStorage, FargatePlatformConfiguration, JobDefinition,
    JobDefinitionType, LogConfiguration, LogDriver, NetworkConfiguration, PlatformCapability, ResourceRequirement,
    ResourceType,
};
use sha2::{Digest, Sha256};
use tokio::time::sleep;

use super::request::{DefinitionSettings, Fargate};
use crate::aws::clients::Clients;
use crate::aws::identity::Identity;
use crate::aws::retry::{self, OnlyForTheClock};
use crate::aws::single_flight::SingleFlight;
use crate::error::{Error, Kind, Result};

/// The definition's parameter that carries the hash of its content. Parameters, unlike tags, need no further right.
const FINGERPRINT: &str = "covalent-awsbatch-content";
/// First part of every log stream's name, the public plugin's.
const STREAM_PREFIX: &str = "covalent-batch";
/// Tries of a registration, and the pause before the second; the later ones are longer.
const TRIES: u32 = 8;
const PAUSE: Duration = Duration::from_secs(1);
/// Resources in the definition, which demands some, and on Fargate some that go together; each job overrides them.
const PLACEHOLDER: [(ResourceType, &str); 2] = [(ResourceType::Vcpu, "1"), (ResourceType::Memory, "2048")];

/// Definitions that are known to exist, by content. Concurrent askers of the same one wait for a single look-up.
#[derive(Debug)]
pub struct Definitions {
    clients: Arc<Clients>,
    known: Mutex<HashMap<Definition, Arc<SingleFlight<String>>>>,
}

impl Definitions {
    /// None is known yet.
    #[must_use]
    pub fn new(clients: Arc<Clients>) -> Self {
        Self { clients, known: Mutex::default() }
    }

    fn cell(&self, definition: &Definition) -> Arc<SingleFlight<String>> {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.entry(definition.clone()).or_default().clone()
    }

    /// Forgets a revision that turned out to be gone, so that the next job looks again.
    pub fn forget(&self, arn: &str) {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.retain(|_, cell| cell.get().is_none_or(|known| known != arn));
    }

    /// The ARN of an active revision with this content: remembered, found, or registered.
    pub async fn find_or_register(&self, settings: &DefinitionSettings) -> Result<String> {
        let clients = &*self.clients;
        let definition = Definition::new(settings, clients.caller.identity().await?, &clients.region);
        let cell = self.cell(&definition);
        let arn = cell
            .get_or_make(|| async {
                let mut tries = 1;
                loop {
                    match retry::while_throttled(|| try_once(clients, &definition)).await {
                        // The registration may have happened all the same: look again.
                        Err(error) if (error.is_transient() || is_crowded(&error)) && tries < TRIES => {
                            sleep(PAUSE * tries).await;
                        }
                        outcome => return outcome,
                    }
                    tries += 1;
                }
            })
            .await?;
        Ok(arn.clone())
    }
}

/// The content of a job definition, with nothing in it that differs from task to task.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub struct Definition {
    name: String,
    image: String,
    job_role: String,
    execution_role: String,
    log_group: String,
    log_region: String,
    fargate: Option<Fargate>,
}

impl Definition {
    /// What these settings mean in the caller's account and a region.
    #[must_use]
    pub fn new(settings: &DefinitionSettings, identity: &Identity, region: &str) -> Self {
        Self {
            name: settings.name.clone(),
            image: settings.image.clone(),
            job_role: identity.role_arn(&settings.job_role),
            execution_role: identity.role_arn(&settings.execution_role),
            log_group: settings.log_group.clone(),
            log_region: region.to_owned(),
            fargate: settings.fargate.clone(),
        }
    }

    /// A hash that changes when anything that is sent to `RegisterJobDefinition` does.
    #[must_use]
    pub fn fingerprint(&self) -> String {
        let mut hash = Sha256::new();
        // The layout's version, to be raised when `register` sends something new.
        hash.update(b"1");
        for part in [&self.image, &self.job_role, &self.execution_role, &self.log_group, &self.log_region] {
            hash.update((part.len() as u64).to_be_bytes());
            hash.update(part);
        }
        if let Some(fargate) = &self.fargate {
            hash.update([u8::from(fargate.public_ip)]);
            hash.update(fargate.disk_gib.to_be_bytes());
        }
        hash.finalize().iter().take(16).fold(String::new(), |hex, byte| format!("{hex}{byte:02x}"))
    }

    fn platform(&self) -> PlatformCapability {
        if self.fargate.is_some() { PlatformCapability::Fargate } else { PlatformCapability::Ec2 }
    }

    /// Whether an existing revision is this one. The hash finds it; image and roles are compared as well, since
    /// somebody may have made a new revision in the console, which copies the parameters.
    fn matches(&self, revision: &JobDefinition) -> bool {
        let fingerprint = revision.parameters().and_then(|parameters| parameters.get(FINGERPRINT));
        fingerprint == Some(&self.fingerprint())
            && revision.platform_capabilities() == [self.platform()]
            && revision.container_properties().is_some_and(|container| {
                container.image() == Some(&self.image)
                    && container.job_role_arn() == Some(&self.job_role)
                    && container.execution_role_arn() == Some(&self.execution_role)
            })
    }
}

/// Whether others register revisions of the same name at the same moment.
fn is_crowded(error: &Error) -> bool {
    error.to_string().contains("concurrent attempts to create a new revision")
}

async fn try_once(clients: &Clients, definition: &Definition) -> Result<String> {
    match find(clients, definition).await {
        Ok(Some(arn)) => Ok(arn),
        Ok(None) => register(clients, definition).await,
        // An IAM policy written for the public plugin lacks this right; then every process registers once.
        Err(error) if error.kind() == Kind::Access && error.code().is_some() => {
            tracing::warn!("{error}; registering a revision of {} instead of reusing one", definition.name);
            register(clients, definition).await
        }
        Err(error) => Err(error),
    }
}

async fn find(clients: &Clients, definition: &Definition) -> Result<Option<String>> {
    let mut pages = clients
        .batch
        .describe_job_definitions()
        .job_definition_name(&definition.name)
        .status("ACTIVE")
        .into_paginator()
        .send();
    loop {
        clients.turn().await;
        let Some(page) = pages.next().await else { return Ok(None) };
        let page = page.map_err(|error| {
            clients.batch_error("batch:DescribeJobDefinitions", format!("job definition {}", definition.name), error)
        })?;
        if let Some(revision) = page.job_definitions().iter().find(|revision| definition.matches(revision)) {
            return Ok(revision.job_definition_arn().map(str::to_owned));
        }
    }
}

async fn register(clients: &Clients, definition: &Definition) -> Result<String> {
    let subject = format!("job definition {}", definition.name);
    let logs = LogConfiguration::builder()
        .log_driver(LogDriver::Awslogs)
        .options("awslogs-region", &definition.log_region)
        .options("awslogs-group", &definition.log_group)
        .options("awslogs-create-group", "true")
        .options("awslogs-stream-prefix", STREAM_PREFIX)
        .build();
    let resources = PLACEHOLDER.map(|(kind, value)| ResourceRequirement::builder().r#type(kind).value(value).build());
    let mut container = ContainerProperties::builder()
        .image(&definition.image)
        .job_role_arn(&definition.job_role)
        .execution_role_arn(&definition.execution_role)
        .set_resource_requirements(Some(resources.to_vec()))
        .log_configuration(logs);
    if let Some(fargate) = &definition.fargate {
        let address = if fargate.public_ip { AssignPublicIp::Enabled } else { AssignPublicIp::Disabled };
        container = container
            .fargate_platform_configuration(FargatePlatformConfiguration::builder().platform_version("LATEST").build())
            .network_configuration(NetworkConfiguration::builder().assign_public_ip(address).build())
            .set_ephemeral_storage(
                (fargate.disk_gib > 0).then(|| EphemeralStorage::builder().size_in_gib(fargate.disk_gib).build()),
            );
    }
    clients.turn().await;
    let answer = clients
        .batch
        .register_job_definition()
        .job_definition_name(&definition.name)
        .r#type(JobDefinitionType::Container)
        .container_properties(container.build())
        .parameters(FINGERPRINT, definition.fingerprint())
        .platform_capabilities(definition.platform())
        .customize()
        .config_override(
            aws_sdk_batch::Config::builder().retry_classifier(OnlyForTheClock::<RegisterJobDefinitionError>::new()),
        )
        .send()
        .await
        .map_err(|error| clients.batch_error("batch:RegisterJobDefinition", &subject, error))?;
    let arn = answer.job_definition_arn().filter(|arn| !arn.is_empty()).map(str::to_owned).ok_or_else(|| {
        Error::new(Kind::Garbled, "AWS answered batch:RegisterJobDefinition without a job definition's ARN")
    })?;
    tracing::info!("registered {arn}");
    Ok(arn)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn definition() -> Definition {
        Definition {
            name: "jobs".into(),
            image: "image".into(),
            job_role: "job".into(),
            execution_role: "execution".into(),
            log_group: "group".into(),
            log_region: "region".into(),
            fargate: None,
        }
    }

    fn revision(definition: &Definition, image: &str) -> JobDefinition {
        let container = ContainerProperties::builder()
            .image(image)
            .job_role_arn(&definition.job_role)
            .execution_role_arn(&definition.execution_role)
            .build();
        JobDefinition::builder()
            .parameters(FINGERPRINT, definition.fingerprint())
            .container_properties(container)
            .platform_capabilities(PlatformCapability::Ec2)
            .build()
    }

    #[test]
    fn every_part_of_the_content_is_in_the_fingerprint() {
        let original = definition();
        let changes: [fn(&mut Definition); 6] = [
            |definition| definition.image.push('x'),
            |definition| definition.job_role.push('x'),
            |definition| definition.execution_role.push('x'),
            |definition| definition.log_group.push('x'),
            |definition| definition.log_region.push('x'),
            |definition| definition.fargate = Some(Fargate { public_ip: true, disk_gib: 0 }),
        ];
        for change in changes {
            let mut altered = original.clone();
            change(&mut altered);
            assert_ne!(altered.fingerprint(), original.fingerprint());
        }
    }

    #[test]
    fn parts_do_not_run_into_each_other() {
        let mut moved = definition();
        moved.image.push_str("job");
        moved.job_role.clear();
        assert_ne!(moved.fingerprint(), definition().fingerprint());
    }

    #[test]
    fn a_revision_copied_in_the_console_with_another_image_is_not_taken() {
        let definition = definition();
        assert!(definition.matches(&revision(&definition, "image")));
        assert!(!definition.matches(&revision(&definition, "other")));
    }

    #[tokio::test]
    async fn a_forgotten_revision_is_looked_up_again() {
        let config =
            aws_config::SdkConfig::builder().behavior_version(aws_config::BehaviorVersion::v2026_01_12()).build();
        let registry = Definitions::new(Arc::new(Clients::new(&config)));
        registry.cell(&definition()).get_or_make(|| async { Ok("arn:1".into()) }).await.unwrap();
        assert_eq!(registry.cell(&definition()).get().map(String::as_str), Some("arn:1"));
        registry.forget("arn:1");
        assert_eq!(registry.cell(&definition()).get(), None);
    }
}
