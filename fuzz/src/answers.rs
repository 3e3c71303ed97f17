//! What AWS answers, or whatever else stands behind the endpoint. The first byte of an input says what is asked and with which
//! status the rest comes back, as the body of every answer.

use std::sync::{Arc, Mutex, OnceLock};
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
use covalent_awsbatch_plugin::batch::outcome::{JobContext, cause, sentence};
use covalent_awsbatch_plugin::batch::platform::Platform;
use covalent_awsbatch_plugin::batch::queue::{self, Demand};
use covalent_awsbatch_plugin::batch::{listing, logs};
use covalent_awsbatch_plugin::ecr::image;
use covalent_awsbatch_plugin::error::Result;
use covalent_awsbatch_plugin::inspect as look;
use covalent_awsbatch_plugin::session::Session;
use serde::Serialize;
use tokio::runtime::{Builder, Runtime};
use tokio::time::timeout;

use super::bounds::{short, short_text, within};

/// Memory for each byte of an answer: the SDK makes a job with all its fields of two braces.
const FOR_A_BYTE: usize = 2048;
const BESIDES: usize = 16 * 1024 * 1024;
/// How long an input may go on, on a clock that waits for nobody: what AWS throttles is tried again for an hour.
const PATIENCE: Duration = Duration::from_secs(5);
const STATUS: [u16; 8] = [200, 400, 403, 404, 429, 500, 503, 301];
const IMAGE: &str = "123456789012.dkr.ecr.eu-west-1.amazonaws.com/team/jobs:1";

/// Answers of AWS Batch.
pub fn batch(data: &[u8]) {
    answered(data, 6, async |call, session| match call {
        0 => session.jobs.describe(&["1".to_owned()]).await.map(|jobs| {
            for job in &jobs {
                assert!(!cause(job).as_str().is_empty());
                let context = JobContext { memory: 3.75, time_limit: 300, dispatcher: None };
                short_text(&sentence(job, context).replace(&job.id, ""));
                let _ = job.console();
            }
            shown(&jobs);
        }),
        1 => listing::list(&session.clients, "q", "covalent-batch-").await.map(listing::ids_by_name).map(drop),
        2 => queue::look_up(&session.clients, "q").await.map(|queue| shown(&queue)),
        3 => queue::environments(&session.clients, vec!["e".to_owned()]).await.map(|environments| shown(&environments)),
        4 => {
            let demand = Demand { vcpu: 8.0, platform: Platform::Ec2, shares: true };
            let problems = queue::problems(&session.clients, "q", demand).await;
            problems.map(|problems| problems.iter().for_each(|problem| short_text(problem)))
        }
        _ => session.jobs.terminate("1", "why").await,
    });
}

/// Answers of ECR.
pub fn ecr(data: &[u8]) {
    answered(data, 4, async |call, session| match call {
        0 => image::problem(&session.clients, IMAGE)
            .await
            .map(|problem| problem.iter().for_each(|problem| short_text(problem))),
        1 => look::image::look_up(&session.clients, IMAGE).await.map(|image| shown(&image)),
        2 => look::image::manifest(&session.clients, IMAGE).await.map(drop),
        _ => look::image::part_url(&session.clients, IMAGE, "sha256:ab").await.map(drop),
    });
}

/// Answers of the other services, which only an explanation or the doctor asks: JSON of CloudWatch Logs, XML of IAM, STS and
/// S3.
pub fn inspect(data: &[u8]) {
    answered(data, 6, async |call, session| match call {
        0 => logs::tail(&session.clients, "g", "s", 20).await.map(drop),
        1 => look::log_group::look_up(&session.clients, "g").await.map(|group| shown(&group)),
        2 => look::role::look_up(&session.clients, "r").await.map(|role| shown(&role)),
        3 => look::simulation::simulate(&session.clients, "p", vec!["s3:GetObject".to_owned()], "*").await.map(drop),
        4 => look::clock::skew(&session.clients).await.map(drop),
        _ => {
            let storage = session.storage(Arc::default());
            look::encryption::look_up(&storage, "b").await.map(|encryption| shown(&encryption))
        }
    });
}

fn answered(data: &[u8], calls: u8, ask: impl AsyncFnOnce(u8, &Session) -> Result<()>) {
    let Some((choice, body)) = data.split_first() else { return };
    let aws = Aws::shared();
    let status = STATUS[usize::from(choice / calls) % STATUS.len()];
    *aws.answer.0.lock().expect("nobody panics with it") = (status, Bytes::copy_from_slice(body));
    let asked = async { timeout(PATIENCE, ask(choice % calls, &aws.session)).await };
    let outcome = within(BESIDES + FOR_A_BYTE * body.len(), || aws.runtime.block_on(asked));
    if let Ok(Err(error)) = outcome {
        short(&error);
    }
}

/// What Python gets.
fn shown(value: &(impl Serialize + ?Sized)) {
    serde_json::to_string(value).expect("it is JSON");
}

/// A session whose answers are the fuzzer's. On paused time, so that nobody waits for a turn or between two tries.
struct Aws {
    runtime: Runtime,
    session: Session,
    answer: Answer,
}

impl Aws {
    fn shared() -> &'static Self {
        static SHARED: OnceLock<Aws> = OnceLock::new();
        SHARED.get_or_init(|| {
            let answer = Answer::default();
            let connector = SharedHttpConnector::new(answer.clone());
            let keys = Credentials::new("id", "secret", None, None, "fuzz");
            let config = SdkConfig::builder()
                .behavior_version(BehaviorVersion::v2026_01_12())
                .region(Region::new("eu-west-1"))
                .credentials_provider(SharedCredentialsProvider::new(keys))
                .retry_config(RetryConfig::disabled())
                .http_client(http_client_fn(move |_, _| connector.clone()))
                .build();
            let runtime = Builder::new_current_thread().enable_time().start_paused(true).build().expect("a runtime");
            Self { runtime, session: Session::new(Clients::new(&config)), answer }
        })
    }
}

/// Status and body of every answer.
#[derive(Clone, Debug, Default)]
struct Answer(Arc<Mutex<(u16, Bytes)>>);

impl HttpConnector for Answer {
    fn call(&self, _: HttpRequest) -> HttpConnectorFuture {
        let (status, body) = self.0.lock().expect("nobody panics with it").clone();
        let status = status.try_into().expect("a status");
        HttpConnectorFuture::ready(Ok(HttpResponse::new(status, SdkBody::from(body))))
    }
}
