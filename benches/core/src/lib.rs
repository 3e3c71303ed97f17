//! The core's hot paths with something to work on: what the clock measures (`benches/core.rs`) and what callgrind counts
//! (`hot`) is the same.

pub mod copy;

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use aws_config::retry::RetryConfig;
use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_credential_types::Credentials;
use aws_credential_types::provider::SharedCredentialsProvider;
use aws_smithy_runtime_api::client::http::{HttpConnector, HttpConnectorFuture, SharedHttpConnector, http_client_fn};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_types::body::SdkBody;
use bytes::Bytes;
use covalent_awsbatch_plugin::aws::clients::Clients;
use covalent_awsbatch_plugin::aws::identity::Identity;
use covalent_awsbatch_plugin::aws::settings::from_json;
use covalent_awsbatch_plugin::batch::definition::Definition;
use covalent_awsbatch_plugin::batch::job::{Attempt, Job};
use covalent_awsbatch_plugin::batch::jobs::IDS_PER_CALL;
use covalent_awsbatch_plugin::batch::outcome::{JobContext, cause, sentence};
use covalent_awsbatch_plugin::batch::request::JobRequest;
use covalent_awsbatch_plugin::batch::watcher::states::States;
use covalent_awsbatch_plugin::batch::watcher::{Actor, Subscription, Watch};
use covalent_awsbatch_plugin::envelope::{Envelope, PARTS};
use covalent_awsbatch_plugin::session::Session;
use serde_json::json;
use tokio::runtime::{Builder, Runtime};

/// Jobs of a sweep. A limiter lets a hundred calls pass at once, so none of them waits.
pub const JOBS: usize = 100 * IDS_PER_CALL;

/// Settings as they come from Python, up to the hash by which their job definition is found.
pub struct Settings {
    json: String,
    caller: Identity,
}

impl Default for Settings {
    fn default() -> Self {
        let environment: Vec<_> = [
            ("AWS_REGION", "eu-west-1"),
            ("S3_BUCKET_NAME", "covalent-batch-job-resources"),
            ("COVALENT_TASK_FUNC_FILENAME", "func-2f4a2c0e-5f5b-4f64-9d38-0a5b1f6b7c11-7.pkl"),
            ("RESULT_FILENAME", "result-2f4a2c0e-5f5b-4f64-9d38-0a5b1f6b7c11-7.pkl"),
        ]
        .map(|(name, value)| json!({"name": name, "value": value}))
        .into();
        let json = json!({
            "family": "covalent-batch-2f4a2c0e-5f5b-4f64-9d38-0a5b1f6b7c11-",
            "definition": {
                "jobDefinitionName": "covalent-batch-jobs",
                "type": "container",
                "platformCapabilities": ["EC2"],
                "containerProperties": {
                    "image": "123456789012.dkr.ecr.eu-west-1.amazonaws.com/team/jobs:2025-01-01",
                    "jobRoleArn": "CovalentBatchJobRole",
                    "executionRoleArn": "ecsTaskExecutionRole",
                    "resourceRequirements": [{"type": "VCPU", "value": "1"}, {"type": "MEMORY", "value": "2048"}],
                    "logConfiguration": {"logDriver": "awslogs", "options": {
                        "awslogs-region": "eu-west-1", "awslogs-group": "covalent-batch-job-logs",
                        "awslogs-create-group": "true", "awslogs-stream-prefix": "covalent-batch",
                    }},
                },
            },
            "job": {
                "jobName": "covalent-batch-2f4a2c0e-5f5b-4f64-9d38-0a5b1f6b7c11-7",
                "jobQueue": "covalent-batch-queue",
                "containerOverrides": {
                    "resourceRequirements": [{"type": "VCPU", "value": "2"}, {"type": "MEMORY", "value": "3840"}],
                    "environment": environment,
                },
                "retryStrategy": {"attempts": 3},
                "timeout": {"attemptDurationSeconds": 300},
            },
        });
        let caller = Identity {
            account: "123456789012".into(),
            arn: "arn:aws:iam::123456789012:user/me".into(),
            user_id: "AIDA".into(),
        };
        Self { json: json.to_string(), caller }
    }
}

impl Settings {
    /// Reads them and works out the hash.
    #[must_use]
    pub fn hash(&self) -> String {
        let request: JobRequest = from_json(&self.json).expect("the settings are right");
        Definition::new(request.definition(), &self.caller).fingerprint().to_owned()
    }
}

/// Jobs that failed, one in each way.
#[must_use]
pub fn failures() -> Vec<Job> {
    let exited = "Essential container in task exited";
    let table: [(&str, &str, Option<i32>); 12] = [
        (exited, "", Some(1)),
        (exited, "OutOfMemoryError: Container killed due to memory usage", Some(137)),
        ("Job attempt duration exceeded timeout", "", None),
        ("Host EC2 (instance i-0123456789abcdef0) terminated.", "", None),
        ("Your Spot Task was interrupted.", "", None),
        ("Task failed to start", "CannotPullContainerError: manifest unknown", None),
        ("ECS was unable to assume the role 'arn:aws:iam::123456789012:role/r'", "", None),
        ("Task failed to start", "DockerTimeoutError: Could not transition to started", None),
        ("Task failed to start", "CannotInspectContainerError: Could not transition", None),
        ("Cancelled from Covalent: dispatch d, node 3", "", Some(143)),
        ("wrong queue, sorry", "", Some(137)),
        ("Strange", "Stranger", Some(9)),
    ];
    table
        .into_iter()
        .map(|(status_reason, container_reason, exit_code)| {
            let attempt = Attempt { exit_code, status_reason: Some(status_reason.into()), ..Attempt::default() };
            Job {
                id: "0b7c7a2e-0000-4000-8000-000000000001".into(),
                name: "covalent-batch-d-3".into(),
                status: "FAILED".into(),
                status_reason: Some(status_reason.into()),
                container_reason: (!container_reason.is_empty()).then(|| container_reason.into()),
                exit_code,
                attempts: vec![attempt.clone(), attempt],
                ..Job::default()
            }
        })
        .collect()
}

/// Says of each job why it failed; returns how much there is to read.
#[must_use]
pub fn classify(jobs: &[Job]) -> usize {
    let context = JobContext { memory: 3.75, time_limit: 300, dispatcher: None };
    jobs.iter().map(|job| cause(job).as_str().len() + sentence(job, context).len()).sum()
}

/// An envelope as our runner writes it, with a result of so many bytes.
#[must_use]
pub fn envelope(output: usize) -> Bytes {
    let stdout = "epoch 1 of 10, loss 0.25\n";
    let header = format!(
        r#"{{"status": "succeeded", "output_blake3": null, "exception": null, "python": "3.11.7", "cloudpickle": "3.1.2",
        "covalent": "0.240.0", "started_at": 1700000000.5, "finished_at": 1700000000.5, "peak_rss_bytes": 6000000000,
        "job_id": "0b7c7a2e-0000-4000-8000-000000000001", "attempt": 1,
        "parts": {{"stdout": {}, "stderr": 0, "traceback": null, "output": {output}}}}}"#,
        stdout.len()
    );
    let mut envelope = u32::try_from(header.len()).expect("short").to_be_bytes().to_vec();
    envelope.extend(header.as_bytes());
    envelope.extend(stdout.as_bytes());
    envelope.extend((0..output).map(|index| b"0123456789abcdef"[index % 16]));
    envelope.into()
}

/// Decodes an envelope; returns the bytes of its result.
#[must_use]
pub fn decode(envelope: &Bytes) -> usize {
    Envelope::decode(PARTS, envelope).expect("it is one").output.map_or(0, |output| output.len())
}

/// Many running jobs under the watcher's eye.
pub struct Sweep {
    runtime: Runtime,
    actor: Actor,
    answers: Vec<tokio::sync::oneshot::Receiver<covalent_awsbatch_plugin::error::Result<Job>>>,
}

impl Default for Sweep {
    fn default() -> Self {
        static MADE: AtomicU32 = AtomicU32::new(0);
        let connector = SharedHttpConnector::new(Running);
        let keys = Credentials::new("id", "secret", None, None, "benches");
        let config = SdkConfig::builder()
            .behavior_version(BehaviorVersion::v2026_01_12())
            // A region of its own, and so a limiter of its own that has let nothing pass yet.
            .region(Region::new(format!("bench-{}", MADE.fetch_add(1, Ordering::Relaxed))))
            .credentials_provider(SharedCredentialsProvider::new(keys))
            .retry_config(RetryConfig::disabled())
            .http_client(http_client_fn(move |_, _| connector.clone()))
            .build();
        let mut actor = Actor::new(Session::new(Clients::new(&config)).jobs, States::default());
        let watch = Watch { poll_interval: Duration::from_secs(10), runnable_timeout: Duration::ZERO };
        let mut answers = Vec::with_capacity(JOBS);
        for job in 0..JOBS {
            let (subscription, answer) = Subscription::new(&format!("0b7c7a2e-0000-4000-8000-{job:012}"), watch);
            actor.add(subscription);
            answers.push(answer);
        }
        // One thread, so that the instructions are the same each time.
        let runtime = Builder::new_current_thread().enable_all().build().expect("a runtime");
        Self { runtime, actor, answers }
    }
}

impl Sweep {
    /// Looks at all of them once; returns how many are still watched.
    pub fn sweep(&mut self) -> usize {
        let Self { runtime, actor, answers } = self;
        runtime.block_on(actor.sweep());
        answers.iter_mut().map(|answer| usize::from(answer.try_recv().is_err())).sum()
    }
}

/// Answers `DescribeJobs` as AWS Batch does of jobs that run.
#[derive(Debug)]
struct Running;

impl HttpConnector for Running {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let context: serde_json::Value = serde_json::from_slice(request.body().bytes().expect("a body")).expect("JSON");
        let mut body = String::with_capacity(128 * 1024);
        body.push_str("{\"jobs\": [");
        for (index, id) in context["jobs"].as_array().expect("ids").iter().enumerate() {
            body.push_str(if index == 0 { "" } else { "," });
            body.push_str(&RECORD.replace("ID", id.as_str().expect("an id")));
        }
        body.push_str("]}");
        let response = http::Response::builder().status(200).body(SdkBody::from(body)).expect("a response");
        HttpConnectorFuture::ready(Ok(HttpResponse::try_from(response).expect("a response")))
    }
}

const RECORD: &str = r#"{"jobArn": "arn:aws:batch:eu-west-1:123456789012:job/ID", "jobId": "ID",
 "jobName": "covalent-batch-2f4a2c0e-5f5b-4f64-9d38-0a5b1f6b7c11-7", "status": "RUNNING", "createdAt": 1700000000000,
 "jobQueue": "arn:aws:batch:eu-west-1:123456789012:job-queue/covalent-batch-queue", "startedAt": 1700000060000,
 "jobDefinition": "arn:aws:batch:eu-west-1:123456789012:job-definition/covalent-batch-jobs:1", "attempts": [],
 "dependsOn": [], "parameters": {}, "retryStrategy": {"attempts": 3, "evaluateOnExit": []}, "tags": {},
 "timeout": {"attemptDurationSeconds": 300}, "platformCapabilities": ["EC2"], "propagateTags": false,
 "container": {"image": "123456789012.dkr.ecr.eu-west-1.amazonaws.com/team/jobs:2025-01-01", "command": [],
 "jobRoleArn": "arn:aws:iam::123456789012:role/CovalentBatchJobRole", "volumes": [], "mountPoints": [], "ulimits": [],
 "environment": [{"name": "S3_BUCKET_NAME", "value": "covalent-batch-job-resources"}, {"name": "AWS_REGION",
 "value": "eu-west-1"}], "logStreamName": "covalent-batch/default/ID", "resourceRequirements": [{"type": "VCPU",
 "value": "2"}, {"type": "MEMORY", "value": "3840"}], "networkInterfaces": [], "secrets": []}}"#;
