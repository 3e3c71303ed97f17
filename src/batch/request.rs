//! What is to be submitted, as it arrives from Python: JSON with the names that AWS Batch itself gives to its fields.

use serde::Deserialize;
use serde_json::{Map, Value};

use super::fields;
use super::platform::Platform;

/// One job to submit: what is common to many jobs stands in its definition, the rest travels with the job.
#[derive(Clone, Debug, Deserialize)]
#[serde(try_from = "Parts")]
pub struct JobRequest {
    family: String,
    definition: Map<String, Value>,
    revision: Option<String>,
    job: Map<String, Value>,
}

/// The same before it was checked.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Parts {
    family: String,
    definition: Map<String, Value>,
    revision: Option<String>,
    job: Map<String, Value>,
}

impl TryFrom<Parts> for JobRequest {
    type Error = String;

    fn try_from(parts: Parts) -> Result<Self, Self::Error> {
        Ok(Self {
            family: parts.family,
            definition: checked("RegisterJobDefinitionRequest", parts.definition, &["jobDefinitionName"])?,
            revision: parts.revision,
            job: checked("SubmitJobRequest", parts.job, &["jobName", "jobQueue"])?,
        })
    }
}

fn checked(structure: &str, fields: Map<String, Value>, needed: &[&str]) -> Result<Map<String, Value>, String> {
    if let Some(problem) = fields::problem(structure, &fields) {
        return Err(problem);
    }
    match needed.iter().find(|name| !fields.contains_key(**name)) {
        Some(missing) => Err(format!("{structure} lacks {missing}")),
        None => Ok(fields),
    }
}

impl JobRequest {
    /// Name of the job; the key under which a lost submission is found again.
    #[must_use]
    pub fn name(&self) -> &str {
        text(&self.job["jobName"])
    }

    /// Queue: name or ARN.
    #[must_use]
    pub fn queue(&self) -> &str {
        text(&self.job["jobQueue"])
    }

    /// What its name begins with: the jobs of one dispatch share it.
    #[must_use]
    pub fn family(&self) -> &str {
        &self.family
    }

    /// What the job shares with all others like it: the fields of `RegisterJobDefinition`. Roles are names or ARNs.
    #[must_use]
    pub fn definition(&self) -> &Map<String, Value> {
        &self.definition
    }

    /// A job definition of the user's that is taken as it is, by name, `name:revision` or ARN; then nothing of
    /// [`Self::definition`] is registered.
    #[must_use]
    pub fn revision(&self) -> Option<&str> {
        self.revision.as_deref()
    }

    /// The fields of `SubmitJob` for a revision of the definition.
    #[must_use]
    pub fn submission(&self, revision: &str) -> Value {
        let mut job = self.job.clone();
        job.insert("jobDefinition".to_owned(), revision.into());
        Value::Object(job)
    }

    /// The container's image.
    #[must_use]
    pub fn image(&self) -> &str {
        let container = self.definition.get("containerProperties");
        let container = container.or_else(|| only_container(self.definition.get("ecsProperties")?));
        let container = container.or_else(|| only_of_pod(self.definition.get("eksProperties")?));
        let nodes = || self.definition.get("nodeProperties")?.pointer("/nodeRangeProperties/0");
        let container =
            container.or_else(|| nodes()?.get("container")).or_else(|| only_container(nodes()?.get("ecsProperties")?));
        container.map_or("", |container| text(&container["image"]))
    }

    /// Names and values of the container's variables that travel with the job.
    pub fn environment(&self) -> impl Iterator<Item = (&str, &str)> {
        let variables = self.overrides("environment").chain(self.overrides("env"));
        variables.map(|pair| (text(&pair["name"]), text(&pair["value"])))
    }

    /// The vCPUs that it asks for; 0 if it leaves them to its definition.
    #[must_use]
    pub fn vcpu(&self) -> f64 {
        let asked = self.overrides("resourceRequirements").find(|resource| resource["type"] == "VCPU");
        let asked = asked.map(|resource| &resource["value"]);
        let asked = asked.or_else(|| self.overridden()?.pointer("/resources/requests/cpu"));
        asked.and_then(|value| text(value).parse().ok()).unwrap_or_default()
    }

    /// What it runs on; a pod has no capability that would say so.
    #[must_use]
    pub fn platform(&self) -> Platform {
        if self.definition.contains_key("eksProperties") || self.job.contains_key("eksPropertiesOverride") {
            return Platform::Eks;
        }
        let capabilities = self.definition.get("platformCapabilities").and_then(Value::as_array);
        capabilities.and_then(|all| Platform::named(text(all.first()?))).unwrap_or_default()
    }

    /// Whether it is for a share of a queue with a scheduling policy.
    #[must_use]
    pub fn has_share(&self) -> bool {
        self.job.contains_key("shareIdentifier")
    }

    fn overrides(&self, field: &str) -> impl Iterator<Item = &Value> {
        self.overridden().and_then(|overrides| overrides[field].as_array()).into_iter().flatten()
    }

    fn overridden(&self) -> Option<&Value> {
        let overrides = self.job.get("containerOverrides");
        let overrides = overrides.or_else(|| only_container(self.job.get("ecsPropertiesOverride")?));
        let overrides = overrides.or_else(|| only_of_pod(self.job.get("eksPropertiesOverride")?));
        let nodes = || self.job.get("nodeOverrides")?.pointer("/nodePropertyOverrides/0");
        overrides
            .or_else(|| nodes()?.get("containerOverrides"))
            .or_else(|| only_container(nodes()?.get("ecsPropertiesOverride")?))
    }
}

/// The container of an ECS task that has one.
fn only_container(properties: &Value) -> Option<&Value> {
    properties.pointer("/taskProperties/0/containers/0")
}

/// The container of a pod that has one.
fn only_of_pod(properties: &Value) -> Option<&Value> {
    properties.pointer("/podProperties/containers/0")
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::aws::settings::from_json;

    fn read(request: &Value) -> crate::error::Result<JobRequest> {
        from_json(&request.to_string())
    }

    #[test]
    fn what_the_core_needs_of_it_is_read() {
        let request = read(&json!({
            "family": "f-",
            "definition": {
                "jobDefinitionName": "d", "platformCapabilities": ["FARGATE"], "containerProperties": {"image": "i"}
            },
            "job": {"jobName": "f-1", "jobQueue": "q", "containerOverrides": {
                "environment": [{"name": "A", "value": "1"}],
                "resourceRequirements": [{"type": "MEMORY", "value": "512"}, {"type": "VCPU", "value": "0.25"}],
            }},
        }))
        .unwrap();
        assert_eq!((request.name(), request.queue(), request.family(), request.image()), ("f-1", "q", "f-", "i"));
        assert_eq!(request.environment().collect::<Vec<_>>(), [("A", "1")]);
        assert!(request.platform() == Platform::Fargate && (request.vcpu() - 0.25).abs() < f64::EPSILON);
        assert_eq!(request.submission("arn")["jobDefinition"], "arn");
    }

    #[test]
    fn a_task_of_one_container_is_read_like_a_container() {
        let task = |container: Value| json!({"taskProperties": [{"containers": [container]}]});
        let request = read(&json!({
            "family": "f-",
            "definition": {"jobDefinitionName": "d", "ecsProperties": task(json!({"image": "i"}))},
            "job": {"jobName": "f-1", "jobQueue": "q", "ecsPropertiesOverride": task(json!({
                "environment": [{"name": "A", "value": "1"}],
                "resourceRequirements": [{"type": "VCPU", "value": "4"}],
            }))},
        }))
        .unwrap();
        assert_eq!((request.image(), request.environment().collect::<Vec<_>>()), ("i", vec![("A", "1")]));
        assert!((request.vcpu() - 4.0).abs() < f64::EPSILON);
    }

    #[test]
    fn a_pod_of_one_container_is_read_like_a_container() {
        let pod = |container: Value| json!({"podProperties": {"containers": [container]}});
        let request = read(&json!({
            "family": "f-",
            "definition": {"jobDefinitionName": "d", "eksProperties": pod(json!({"image": "i"}))},
            "job": {"jobName": "f-1", "jobQueue": "q", "eksPropertiesOverride": pod(json!({
                "env": [{"name": "A", "value": "1"}], "resources": {"requests": {"cpu": "0.75"}},
            }))},
        }))
        .unwrap();
        assert_eq!((request.image(), request.environment().collect::<Vec<_>>()), ("i", vec![("A", "1")]));
        assert!(request.platform() == Platform::Eks && (request.vcpu() - 0.75).abs() < f64::EPSILON);
    }

    #[test]
    fn what_runs_on_each_node_is_read_like_a_container() {
        let environment = json!([{"name": "A", "value": "1"}]);
        let task = |container: Value| json!({"taskProperties": [{"containers": [container]}]});
        for (node, override_) in [
            (
                json!({"targetNodes": "0:", "container": {"image": "i"}}),
                json!({"targetNodes": "0:", "containerOverrides": {"environment": environment}}),
            ),
            (
                json!({"targetNodes": "0:", "ecsProperties": task(json!({"image": "i"}))}),
                json!({"targetNodes": "0:", "ecsPropertiesOverride": task(json!({"environment": environment}))}),
            ),
        ] {
            let request = read(&json!({
                "family": "f-",
                "definition": {"jobDefinitionName": "d", "nodeProperties": {"nodeRangeProperties": [node]}},
                "job": {"jobName": "f-1", "jobQueue": "q", "nodeOverrides": {
                    "numNodes": 3, "nodePropertyOverrides": [override_],
                }},
            }))
            .unwrap();
            assert_eq!((request.image(), request.environment().collect::<Vec<_>>()), ("i", vec![("A", "1")]));
        }
    }

    #[test]
    fn what_is_left_out_has_no_part_in_it() {
        let request = read(
            &json!({"family": "", "definition": {"jobDefinitionName": "d"}, "job": {"jobName": "j", "jobQueue": "q"}}),
        )
        .unwrap();
        assert_eq!((request.image(), request.environment().count()), ("", 0));
        assert!(request.platform() == Platform::Ec2 && request.vcpu() == 0.0);
    }

    #[test]
    fn a_field_that_is_not_known_is_refused_wherever_it_stands() {
        let right =
            json!({"family": "", "definition": {"jobDefinitionName": "d"}, "job": {"jobName": "j", "jobQueue": "q"}});
        for (place, said) in [
            ("/definition/imgae", "RegisterJobDefinitionRequest has no field imgae"),
            ("/job/imgae", "SubmitJobRequest has no field imgae"),
            ("/imgae", "unknown field `imgae`"),
        ] {
            let mut wrong = right.clone();
            let parent = place.rsplit_once('/').unwrap().0;
            wrong.pointer_mut(parent).unwrap()["imgae"] = "secret".into();
            let error = read(&wrong).unwrap_err().to_string();
            assert!(error.contains(said) && !error.contains("secret"), "{error}");
        }
    }

    #[test]
    fn without_a_name_or_a_queue_there_is_nothing_to_submit() {
        for missing in ["jobName", "jobQueue"] {
            let mut job = json!({"jobName": "j", "jobQueue": "q"});
            job.as_object_mut().unwrap().remove(missing);
            let error = read(&json!({"family": "", "definition": {"jobDefinitionName": "d"}, "job": job})).unwrap_err();
            assert!(error.to_string().contains(missing), "{error}");
        }
    }
}
