//! Job definitions by content: a revision is registered only when no active one says the same.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use aws_sdk_batch::operation::register_job_definition::RegisterJobDefinitionError;
use serde_json::{Map, Value};
use sha2::{Digest, Sha256};
use tokio::time::sleep;

use super::json_call::{Answer, with_body};
use crate::aws::clients::Clients;
use crate::aws::identity::Identity;
use crate::aws::retry::{self, ClockSkewOnly};
use crate::aws::single_flight::SingleFlight;
use crate::error::{Error, Kind, Result};

/// The definition's parameter that carries the hash of its content. Parameters, unlike tags, need no further right.
const FINGERPRINT: &str = "covalent-awsbatch-content";
/// Tries of a registration, and the pause before the second; the later ones are longer.
const TRIES: u32 = 8;
const PAUSE: Duration = Duration::from_secs(1);

/// Definitions that are known to exist, by the hash of their content. Concurrent askers of the same one wait for a single look-up.
#[derive(Debug)]
pub struct Definitions {
    clients: Arc<Clients>,
    known: Mutex<HashMap<String, Arc<SingleFlight<String>>>>,
}

impl Definitions {
    /// None is known yet.
    #[must_use]
    pub fn new(clients: Arc<Clients>) -> Self {
        Self { clients, known: Mutex::default() }
    }

    fn cell(&self, definition: &Definition) -> Arc<SingleFlight<String>> {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.entry(definition.fingerprint.clone()).or_default().clone()
    }

    /// Forgets a revision that turned out to be gone, so that the next job looks again.
    pub fn forget(&self, arn: &str) {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.retain(|_, cell| cell.get().is_none_or(|known| known != arn));
    }

    /// The ARN of an active revision with this content, the fields of `RegisterJobDefinition`: remembered, found, or
    /// registered. Roles may be names.
    pub async fn find_or_register(&self, content: &Map<String, Value>) -> Result<String> {
        let clients = &*self.clients;
        let definition = Definition::new(content, clients.caller.identity().await?);
        let cell = self.cell(&definition);
        let arn = cell
            .get_or_make(|| async {
                let mut tries = 1;
                loop {
                    match retry::retry_throttled(|| try_once(clients, &definition)).await {
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
#[derive(Clone, Debug)]
pub struct Definition {
    name: String,
    content: Value,
    fingerprint: String,
}

impl Definition {
    /// What this content means in the caller's account.
    #[must_use]
    pub fn new(content: &Map<String, Value>, identity: &Identity) -> Self {
        let name = content.get("jobDefinitionName").and_then(Value::as_str).unwrap_or_default().to_owned();
        let mut content = Value::Object(content.clone());
        make_role_arns(&mut content, identity);
        // A map of serde_json's is sorted, so that one content has one text.
        let hash = Sha256::digest(content.to_string());
        let fingerprint = hash.iter().take(16).fold(String::new(), |hex, byte| format!("{hex}{byte:02x}"));
        Self { name, content, fingerprint }
    }

    /// A hash that changes when anything that is sent to `RegisterJobDefinition` does.
    #[must_use]
    pub fn fingerprint(&self) -> &str {
        &self.fingerprint
    }

    /// Whether an existing revision is this one. The hash finds it; the content is compared as well, since somebody may
    /// have made a new revision in the console, which copies the parameters.
    fn matches(&self, revision: &Value) -> bool {
        revision["parameters"][FINGERPRINT] == self.fingerprint.as_str() && agrees(revision, &self.content)
    }

    /// What registers it.
    fn registration(&self) -> Value {
        let mut registration = self.content.clone();
        registration["parameters"][FINGERPRINT] = self.fingerprint.clone().into();
        registration
    }
}

/// Puts ARNs in the place of roles' names, wherever a field takes one.
fn make_role_arns(value: &mut Value, identity: &Identity) {
    match value {
        Value::Object(fields) => {
            for (name, field) in fields {
                match field {
                    Value::String(role) if name.ends_with("RoleArn") => *role = identity.role_arn(role),
                    field => make_role_arns(field, identity),
                }
            }
        }
        Value::Array(elements) => elements.iter_mut().for_each(|element| make_role_arns(element, identity)),
        _ => {}
    }
}

/// Whether what AWS describes says the same as what was asked for. AWS may leave a field out, and adds some.
fn agrees(described: &Value, asked: &Value) -> bool {
    match (described, asked) {
        (Value::Null, _) => true,
        (Value::Object(described), Value::Object(asked)) => {
            asked.iter().all(|(name, asked)| described.get(name).is_none_or(|described| agrees(described, asked)))
        }
        (Value::Array(described), Value::Array(asked)) => {
            asked.iter().all(|asked| described.iter().any(|described| agrees(described, asked)))
        }
        (described, asked) => described == asked,
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
    let mut page = None;
    loop {
        clients.acquire_batch_call().await;
        let answer = Answer::default();
        let described = clients
            .batch
            .describe_job_definitions()
            .job_definition_name(&definition.name)
            .status("ACTIVE")
            .set_next_token(page)
            .customize()
            .interceptor(answer.clone())
            .send()
            .await
            .map_err(|error| {
                clients.batch_error(
                    "batch:DescribeJobDefinitions",
                    format!("job definition {}", definition.name),
                    error,
                )
            })?;
        let answer = answer.json();
        let mut revisions = answer["jobDefinitions"].as_array().into_iter().flatten();
        if let Some(revision) = revisions.find(|revision| definition.matches(revision)) {
            return Ok(revision["jobDefinitionArn"].as_str().map(str::to_owned));
        }
        page = described.next_token.filter(|token| !token.is_empty());
        if page.is_none() {
            return Ok(None);
        }
    }
}

async fn register(clients: &Clients, definition: &Definition) -> Result<String> {
    clients.acquire_batch_call().await;
    let call = clients.batch.register_job_definition().customize().config_override(
        aws_sdk_batch::Config::builder().retry_classifier(ClockSkewOnly::<RegisterJobDefinitionError>::new()),
    );
    let subject = format!("job definition {}", definition.name);
    let answer = with_body(call, &definition.registration())
        .send()
        .await
        .map_err(|error| clients.batch_error("batch:RegisterJobDefinition", subject, error))?;
    let arn = answer.job_definition_arn.filter(|arn| !arn.is_empty()).ok_or_else(|| {
        Error::new(Kind::Garbled, "AWS answered batch:RegisterJobDefinition without a job definition's ARN")
    })?;
    tracing::info!("registered {arn}");
    Ok(arn)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn identity() -> Identity {
        Identity { account: "1".into(), arn: "arn:aws-cn:iam::1:user/me".into(), user_id: String::new() }
    }

    fn content() -> Value {
        json!({
            "jobDefinitionName": "jobs",
            "platformCapabilities": ["EC2"],
            "containerProperties": {
                "image": "image",
                "jobRoleArn": "job",
                "executionRoleArn": "arn:aws-cn:iam::2:role/execution",
                "resourceRequirements": [{"type": "VCPU", "value": "1"}, {"type": "MEMORY", "value": "2048"}],
            },
        })
    }

    fn definition(content: &Value) -> Definition {
        Definition::new(content.as_object().unwrap(), &identity())
    }

    /// A revision as AWS describes it: with fields that nobody asked for.
    fn revision(definition: &Definition) -> Value {
        let mut revision = definition.registration();
        revision["revision"] = 1.into();
        revision["containerProperties"]["mountPoints"] = json!([]);
        revision["containerProperties"]["resourceRequirements"].as_array_mut().unwrap().reverse();
        revision
    }

    #[test]
    fn every_part_of_the_content_is_in_the_fingerprint_and_its_order_is_not() {
        let original = definition(&content());
        for (place, value) in [
            ("/jobDefinitionName", json!("x")),
            ("/platformCapabilities/0", json!("FARGATE")),
            ("/containerProperties/image", json!("x")),
            ("/containerProperties/jobRoleArn", json!("x")),
            ("/containerProperties/resourceRequirements/1/value", json!("4096")),
        ] {
            let mut altered = content();
            *altered.pointer_mut(place).unwrap() = value;
            assert_ne!(definition(&altered).fingerprint(), original.fingerprint(), "{place}");
        }
        let mut added = content();
        added["containerProperties"]["ephemeralStorage"] = json!({"sizeInGiB": 30});
        assert_ne!(definition(&added).fingerprint(), original.fingerprint());
        let text = r#"{"b": 1, "a": {"d": 1, "c": 1}}"#;
        let turned = r#"{"a": {"c": 1, "d": 1}, "b": 1}"#;
        let [one, other] = [text, turned].map(|text| definition(&serde_json::from_str(text).unwrap()));
        assert_eq!(one.fingerprint(), other.fingerprint());
    }

    #[test]
    fn roles_become_arns() {
        let container = &definition(&content()).content["containerProperties"];
        assert_eq!(container["jobRoleArn"], "arn:aws-cn:iam::1:role/job");
        assert_eq!(container["executionRoleArn"], "arn:aws-cn:iam::2:role/execution");
    }

    #[test]
    fn a_revision_is_recognised_by_what_aws_says_of_it() {
        let definition = definition(&content());
        let mut revision = revision(&definition);
        assert!(definition.matches(&revision));
        revision["platformCapabilities"] = Value::Null;
        assert!(definition.matches(&revision), "what AWS leaves out is not held against it");
    }

    #[test]
    fn a_revision_that_was_copied_in_the_console_and_changed_is_not_taken() {
        let definition = definition(&content());
        for (place, value) in [
            ("/parameters/covalent-awsbatch-content", json!("x")),
            ("/platformCapabilities", json!(["FARGATE"])),
            ("/containerProperties/image", json!("x")),
            ("/containerProperties/jobRoleArn", json!("x")),
            ("/containerProperties/resourceRequirements/0/value", json!("x")),
        ] {
            let mut changed = revision(&definition);
            *changed.pointer_mut(place).unwrap() = value;
            assert!(!definition.matches(&changed), "{place}");
        }
    }

    #[tokio::test]
    async fn a_forgotten_revision_is_looked_up_again() {
        let config =
            aws_config::SdkConfig::builder().behavior_version(aws_config::BehaviorVersion::v2026_01_12()).build();
        let registry = Definitions::new(Arc::new(Clients::new(&config)));
        let definition = definition(&content());
        registry.cell(&definition).get_or_make(|| async { Ok("arn:1".into()) }).await.unwrap();
        assert_eq!(registry.cell(&definition).get().map(String::as_str), Some("arn:1"));
        registry.forget("arn:1");
        assert_eq!(registry.cell(&definition).get(), None);
    }
}
