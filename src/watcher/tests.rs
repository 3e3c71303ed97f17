//! The watcher on paused time, over an HTTP client that answers from a script.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use aws_sdk_batch::config::{BehaviorVersion, Credentials, Region, retry::RetryConfig};
use aws_smithy_runtime_api::client::http::{HttpConnector, HttpConnectorFuture, SharedHttpConnector, http_client_fn};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_types::body::SdkBody;
use serde_json::json;

use super::*;

/// Answers `DescribeJobs` from a table of states and counts the calls. An entry is `(status, from this second on)`.
#[derive(Clone, Debug, Default)]
struct Script(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    states: HashMap<String, Vec<(&'static str, u64)>>,
    calls: Vec<(Instant, usize)>,
    /// HTTP status to refuse calls with, and until which second.
    refusing: Option<(u16, u64)>,
    start: Option<Instant>,
}

impl Script {
    fn job(self, id: &str, states: &[(&'static str, u64)]) -> Self {
        self.0.lock().unwrap().states.insert(id.into(), states.to_vec());
        self
    }

    fn refusing(self, status: u16, until: u64) -> Self {
        self.0.lock().unwrap().refusing = Some((status, until));
        self
    }

    fn calls(&self) -> Vec<(Instant, usize)> {
        self.0.lock().unwrap().calls.clone()
    }

    fn watcher(&self) -> Watcher {
        self.0.lock().unwrap().start = Some(Instant::now());
        let connector = SharedHttpConnector::new(self.clone());
        let http = http_client_fn(move |_, _| connector.clone());
        let config = aws_sdk_batch::Config::builder()
            .behavior_version(BehaviorVersion::v2026_01_12())
            .region(Region::new("eu-west-1"))
            .credentials_provider(Credentials::new("id", "secret", None, None, "tests"))
            .retry_config(RetryConfig::disabled())
            .http_client(http)
            .build();
        Watcher::new(aws_sdk_batch::Client::from_conf(config))
    }
}

impl HttpConnector for Script {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let response = self.0.lock().unwrap().answer(&request);
        HttpConnectorFuture::ready(Ok(HttpResponse::try_from(response).unwrap()))
    }
}

impl State {
    fn answer(&mut self, request: &HttpRequest) -> http::Response<SdkBody> {
        let body: serde_json::Value = serde_json::from_slice(request.body().bytes().unwrap()).unwrap();
        let ids: Vec<&str> = body["jobs"].as_array().unwrap().iter().map(|id| id.as_str().unwrap()).collect();
        let now = Instant::now();
        let second = now.duration_since(self.start.unwrap()).as_secs();
        self.calls.push((now, ids.len()));
        if let Some((status, _)) = self.refusing.filter(|(_, until)| second < *until) {
            let code = if status == 429 { "TooManyRequestsException" } else { "AccessDeniedException" };
            let body = json!({ "message": "not now", "__type": code }).to_string();
            return http::Response::builder().status(status).body(SdkBody::from(body)).unwrap();
        }
        let jobs: Vec<_> = ids
            .iter()
            .filter_map(|id| {
                let (status, _) = self.states.get(*id)?.iter().rev().find(|(_, from)| second >= *from)?;
                Some(json!({ "jobId": id, "jobName": id, "status": status, "jobQueue": "q", "jobDefinition": "d" }))
            })
            .collect();
        http::Response::builder().status(200).body(SdkBody::from(json!({ "jobs": jobs }).to_string())).unwrap()
    }
}

const POLL: Duration = Duration::from_secs(10);

#[tokio::test(start_paused = true)]
async fn an_end_is_noticed_within_a_second_while_few_jobs_run() {
    let watcher = Script::default().job("a", &[("RUNNING", 0), ("SUCCEEDED", 42)]).watcher();
    let start = Instant::now();
    let job = watcher.end_of("a", POLL).await.unwrap();
    assert_eq!(job.status, "SUCCEEDED");
    assert!((42..=43).contains(&start.elapsed().as_secs()), "{:?}", start.elapsed());
}

#[tokio::test(start_paused = true)]
async fn many_jobs_share_calls_of_a_hundred() {
    let mut script = Script::default();
    for n in 0..250 {
        script = script.job(&n.to_string(), &[("RUNNING", 0), ("SUCCEEDED", 5)]);
    }
    let watcher = Arc::new(script.watcher());
    let waits: Vec<_> = (0..250)
        .map(|n| {
            let watcher = watcher.clone();
            tokio::spawn(async move { watcher.end_of(&n.to_string(), POLL).await.unwrap() })
        })
        .collect();
    for wait in waits {
        assert_eq!(wait.await.unwrap().status, "SUCCEEDED");
    }
    let calls = script.calls();
    assert!(calls.iter().all(|(_, ids)| *ids <= 100));
    // Five or six sweeps of three calls.
    assert!(calls.len() <= 18, "{} calls", calls.len());
}

#[tokio::test(start_paused = true)]
async fn a_job_without_a_record_is_given_up_after_a_minute_and_no_sooner() {
    let script = Script::default().job("late", &[("RUNNING", 50), ("SUCCEEDED", 55)]);
    let watcher = script.watcher();
    let start = Instant::now();
    let (late, gone) = tokio::join!(watcher.end_of("late", POLL), watcher.end_of("gone", POLL));
    assert_eq!(late.unwrap().status, "SUCCEEDED");
    assert_eq!(gone.unwrap().status, "VANISHED");
    assert!((60..=63).contains(&start.elapsed().as_secs()), "{:?}", start.elapsed());
}

#[tokio::test(start_paused = true)]
async fn throttling_slows_the_sweeps_and_fails_nothing() {
    let script = Script::default().job("a", &[("RUNNING", 0), ("SUCCEEDED", 5)]).refusing(429, 300);
    let job = script.watcher().end_of("a", POLL).await.unwrap();
    assert_eq!(job.status, "SUCCEEDED");
    assert!(script.calls().len() < 20, "{} calls in five minutes", script.calls().len());
}

#[tokio::test(start_paused = true)]
async fn a_lasting_refusal_reaches_the_task() {
    let watcher = Script::default().job("a", &[("RUNNING", 0)]).refusing(403, u64::MAX).watcher();
    let error = watcher.end_of("a", POLL).await.unwrap_err();
    assert_eq!(error.kind(), Kind::Access);
    assert!(error.to_string().contains("batch:DescribeJobs"), "{error}");
}

#[tokio::test(start_paused = true)]
async fn a_dropped_wait_is_no_longer_polled() {
    let script = Script::default().job("a", &[("RUNNING", 0)]);
    let watcher = script.watcher();
    let wait = tokio::time::timeout(Duration::from_secs(5), watcher.end_of("a", POLL));
    assert!(wait.await.is_err());
    let before = script.calls().len();
    tokio::time::sleep(Duration::from_mins(1)).await;
    assert!(script.calls().len() <= before + 1);
}

#[test]
fn the_pause_follows_the_number_of_calls() {
    let pause = |jobs, poll| super::pause(jobs, poll, 0, 0.0);
    assert_eq!(pause(1, POLL), EAGER);
    assert_eq!(pause(500, POLL), EAGER);
    assert_eq!(pause(1_000, POLL), Duration::from_secs(2));
    assert_eq!(pause(1, Duration::from_millis(200)), Duration::from_millis(200));
    assert_eq!(super::pause(1, POLL, 30, 1.0), LONGEST_PAUSE);
    assert_eq!(super::pause(1, POLL, 1, 0.0), EAGER);
}
