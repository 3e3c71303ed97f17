//! The watcher on paused time, over an HTTP client that answers from a script.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};

use aws_config::retry::RetryConfig;
use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_credential_types::Credentials;
use aws_credential_types::provider::error::CredentialsError;
use aws_credential_types::provider::{ProvideCredentials, SharedCredentialsProvider, future};
use aws_smithy_runtime_api::client::http::{HttpConnector, HttpConnectorFuture, SharedHttpConnector, http_client_fn};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_types::body::SdkBody;
use serde_json::json;
use tokio::time::sleep;

use super::*;
use crate::aws::clients::Clients;
use crate::aws::throughput::tests::slow_body;
use crate::aws::timeouts::timeouts;

mod nodes;
mod states;
mod stuck;

/// A state whose record is garbled.
const POISON: &str = "POISON";

/// A state without a record.
const GONE: &str = "GONE";

/// What AWS's clock says; this machine's may say anything.
const DATE: &str = "Thu, 01 Jan 2026 12:00:00 GMT";
/// The same in milliseconds since 1970.
const NOW: i64 = 1_767_268_800_000;

/// Answers `DescribeJobs` from a table of states and counts the calls. An entry is `(status, from this second on)`.
#[derive(Clone, Debug, Default)]
struct Script(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    states: HashMap<String, Vec<(&'static str, u64)>>,
    calls: Vec<(Instant, usize)>,
    /// How many calls get an answer that never completes.
    slow_answers: usize,
    /// What a job's record has beside its state.
    fields: HashMap<String, serde_json::Value>,
    /// HTTP status to refuse calls with, and until which second.
    refusing: Option<(u16, u64)>,
    start: Option<Instant>,
}

impl Script {
    fn job(self, id: &str, states: &[(&'static str, u64)]) -> Self {
        self.0.lock().unwrap().states.insert(id.into(), states.to_vec());
        self
    }

    fn fields(self, id: &str, fields: serde_json::Value) -> Self {
        self.0.lock().unwrap().fields.insert(id.into(), fields);
        self
    }

    fn refusing(self, status: u16, until: u64) -> Self {
        self.0.lock().unwrap().refusing = Some((status, until));
        self
    }

    fn slow_answers(self, calls: usize) -> Self {
        self.0.lock().unwrap().slow_answers = calls;
        self
    }

    fn calls(&self) -> Vec<(Instant, usize)> {
        self.0.lock().unwrap().calls.clone()
    }

    fn watcher(&self) -> Arc<Watcher> {
        self.watcher_of(SharedCredentialsProvider::new(Credentials::new("id", "secret", None, None, "tests")))
    }

    fn watcher_of(&self, credentials: SharedCredentialsProvider) -> Arc<Watcher> {
        self.0.lock().unwrap().start = Some(Instant::now());
        let connector = SharedHttpConnector::new(self.clone());
        let http = http_client_fn(move |_, _| connector.clone());
        let config = SdkConfig::builder()
            .behavior_version(BehaviorVersion::v2026_01_12())
            .region(Region::new(format!("test-{}", TESTS.fetch_add(1, Ordering::Relaxed))))
            .credentials_provider(credentials)
            .retry_config(RetryConfig::disabled())
            .timeout_config(timeouts())
            .http_client(http)
            .build();
        let clients = Arc::new(Clients::new(&config));
        Arc::new(Watcher::new(Arc::new(Jobs::new(clients, Arc::default()))))
    }
}

/// Provides credentials from this moment on.
#[derive(Debug)]
struct Late(Instant);

impl ProvideCredentials for Late {
    fn provide_credentials<'a>(&'a self) -> future::ProvideCredentials<'a>
    where
        Self: 'a,
    {
        future::ProvideCredentials::ready(if Instant::now() < self.0 {
            Err(CredentialsError::provider_error("the session has ended"))
        } else {
            Ok(Credentials::new("id", "secret", None, None, "tests"))
        })
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
        if self.slow_answers > 0 {
            self.slow_answers -= 1;
            return http::Response::new(slow_body());
        }
        if let Some((status, _)) = self.refusing.filter(|(_, until)| second < *until) {
            if status == 200 {
                return http::Response::new(SdkBody::from("<html>Please sign in</html>"));
            }
            let code = if status == 429 { "TooManyRequestsException" } else { "AccessDeniedException" };
            let body = json!({ "message": "not now", "__type": code }).to_string();
            return http::Response::builder().status(status).body(SdkBody::from(body)).unwrap();
        }
        let jobs: Vec<_> = ids
            .iter()
            .filter_map(|id| {
                let (status, _) = self.states.get(*id)?.iter().rev().find(|(_, from)| second >= *from)?;
                if *status == GONE {
                    return None;
                }
                if *status == POISON {
                    return Some(json!({ "jobId": id, "status": 7, "container": "none" }));
                }
                // `STARTING+1` is the state of a job that has had one attempt.
                let (status, attempts) = status.split_once('+').unwrap_or((status, "0"));
                let attempts = vec![json!({}); attempts.parse().unwrap()];
                let mut record = json!({
                    "jobId": id, "jobName": id, "status": status, "jobQueue": "q", "jobDefinition": "d",
                    "attempts": attempts,
                });
                let fields = self.fields.get(*id).and_then(|fields| fields.as_object().cloned());
                record.as_object_mut().unwrap().extend(fields.unwrap_or_default());
                Some(record)
            })
            .collect();
        http::Response::builder()
            .status(200)
            .header("date", DATE)
            .body(SdkBody::from(json!({ "jobs": jobs }).to_string()))
            .unwrap()
    }
}

/// Number of tests so far. Each has a region of its own, since tests with paused clocks must not share a rate limiter.
static TESTS: AtomicU32 = AtomicU32::new(0);

const POLL: Duration = Duration::from_secs(10);

async fn end_of(watcher: &Watcher, id: &str) -> Result<Job> {
    watcher.end_of(id, Watch { poll_interval: POLL, runnable_timeout: Duration::ZERO }).await
}

#[tokio::test(start_paused = true)]
async fn an_end_is_noticed_within_a_second_while_few_jobs_run() {
    let watcher = Script::default().job("a", &[("RUNNING", 0), ("SUCCEEDED", 42)]).watcher();
    let start = Instant::now();
    let job = end_of(&watcher, "a").await.unwrap();
    assert_eq!(job.status, "SUCCEEDED");
    assert!((42..=43).contains(&start.elapsed().as_secs()), "{:?}", start.elapsed());
}

#[tokio::test(start_paused = true)]
async fn many_jobs_share_calls_of_a_hundred() {
    let mut script = Script::default();
    for n in 0..250 {
        script = script.job(&n.to_string(), &[("RUNNING", 0), ("SUCCEEDED", 5)]);
    }
    let watcher = script.watcher();
    let waits: Vec<_> = (0..250)
        .map(|n| {
            let watcher = watcher.clone();
            tokio::spawn(async move { end_of(&watcher, &n.to_string()).await.unwrap() })
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
    let (late, gone) = tokio::join!(end_of(&watcher, "late"), end_of(&watcher, "gone"));
    assert_eq!(late.unwrap().status, "SUCCEEDED");
    assert_eq!(gone.unwrap().status, "VANISHED");
    assert!((60..=63).contains(&start.elapsed().as_secs()), "{:?}", start.elapsed());
}

#[tokio::test(start_paused = true)]
async fn a_record_that_expires_is_given_up_after_half_a_minute() {
    let watcher = Script::default().job("a", &[("RUNNING", 0), (GONE, 30)]).watcher();
    let start = Instant::now();
    assert_eq!(end_of(&watcher, "a").await.unwrap().status, "VANISHED");
    assert!((60..=62).contains(&start.elapsed().as_secs()), "{:?}", start.elapsed());
}

#[tokio::test(start_paused = true)]
async fn throttling_slows_the_sweeps_and_fails_nothing() {
    let script = Script::default().job("a", &[("RUNNING", 0), ("SUCCEEDED", 5)]).refusing(429, 300);
    let job = end_of(&script.watcher(), "a").await.unwrap();
    assert_eq!(job.status, "SUCCEEDED");
    assert!(script.calls().len() < 20, "{} calls in five minutes", script.calls().len());
}

#[tokio::test(start_paused = true)]
async fn a_look_without_an_end_holds_up_nobody_else_and_is_given_up() {
    let mut script = Script::default().job("late", &[("RUNNING", 0), ("SUCCEEDED", 6)]).slow_answers(1);
    for n in 0..150 {
        script = script.job(&n.to_string(), &[("RUNNING", 0), ("SUCCEEDED", 5)]);
    }
    let watcher = script.watcher();
    let start = Instant::now();
    let mut waits = JoinSet::new();
    for n in 0..150 {
        let watcher = watcher.clone();
        waits.spawn(async move { end_of(&watcher, &n.to_string()).await.map(|_| start.elapsed().as_secs()) });
    }
    sleep(Duration::from_secs(3)).await;
    assert_eq!(end_of(&watcher, "late").await.unwrap().status, "SUCCEEDED");
    assert!(start.elapsed() < Duration::from_secs(9), "{:?}", start.elapsed());
    let ends: Vec<u64> = waits.join_all().await.into_iter().map(Result::unwrap).collect();
    // The look that trickles is at a hundred jobs or at fifty.
    assert!(ends.iter().filter(|end| **end < 9).count() >= 50, "{ends:?}");
    assert!(ends.iter().all(|end| *end < 40), "{ends:?}");
}

#[tokio::test(start_paused = true)]
async fn a_lasting_refusal_reaches_the_task() {
    let watcher = Script::default().job("a", &[("RUNNING", 0)]).refusing(403, u64::MAX).watcher();
    let error = end_of(&watcher, "a").await.unwrap_err();
    assert_eq!(error.kind(), Kind::Access);
    assert!(error.to_string().contains("batch:DescribeJobs"), "{error}");
}

#[tokio::test(start_paused = true)]
async fn where_nothing_can_be_understood_it_is_not_aws_that_answers() {
    let script = Script::default().job("a", &[("RUNNING", 0), ("SUCCEEDED", 5)]).refusing(200, 600);
    assert_eq!(end_of(&script.watcher(), "a").await.unwrap().status, "SUCCEEDED");
}

#[tokio::test(start_paused = true)]
async fn credentials_that_cannot_be_had_for_a_while_fail_nothing() {
    let script = Script::default().job("a", &[("RUNNING", 0), ("SUCCEEDED", 5)]);
    let watcher = script.watcher_of(SharedCredentialsProvider::new(Late(Instant::now() + Duration::from_mins(10))));
    assert_eq!(end_of(&watcher, "a").await.unwrap().status, "SUCCEEDED");
}

#[tokio::test(start_paused = true)]
async fn a_dropped_wait_is_no_longer_polled() {
    let script = Script::default().job("a", &[("RUNNING", 0)]);
    let watcher = script.watcher();
    let wait = tokio::time::timeout(Duration::from_secs(5), end_of(&watcher, "a"));
    assert!(wait.await.is_err());
    let before = script.calls().len();
    tokio::time::sleep(Duration::from_mins(1)).await;
    assert!(script.calls().len() <= before + 1);
}

#[tokio::test(start_paused = true)]
async fn a_poisoned_record_fails_alone() {
    let mut script = Script::default().job("poison", &[(POISON, 0)]);
    for n in 0..150 {
        script = script.job(&n.to_string(), &[("RUNNING", 0), ("SUCCEEDED", 5)]);
    }
    let watcher = script.watcher();
    let waits: Vec<_> = (0..150)
        .map(|n| {
            let watcher = watcher.clone();
            tokio::spawn(async move { end_of(&watcher, &n.to_string()).await.unwrap() })
        })
        .collect();
    let poisoned = end_of(&watcher, "poison").await.unwrap_err();
    assert_eq!(poisoned.kind(), Kind::Garbled);
    assert!(poisoned.to_string().contains("job poison"), "{poisoned}");
    for wait in waits {
        assert_eq!(wait.await.unwrap().status, "SUCCEEDED");
    }
}

#[tokio::test(start_paused = true)]
async fn a_job_that_cannot_start_is_given_up_when_its_time_is_over() {
    let watcher = Script::default().job("a", &[("SUBMITTED", 0), ("RUNNABLE", 30)]).watcher();
    let start = Instant::now();
    let watch = Watch { poll_interval: POLL, runnable_timeout: Duration::from_mins(2) };
    let job = watcher.end_of("a", watch).await.unwrap();
    assert_eq!(job.status, "RUNNABLE");
    assert!((150..=152).contains(&start.elapsed().as_secs()), "{:?}", start.elapsed());
}

#[test]
fn the_pause_follows_the_number_of_calls() {
    let interval = |jobs, poll| super::sweep_interval(jobs, poll, 0, 0.0);
    assert_eq!(interval(1, POLL), MIN_SWEEP_INTERVAL);
    assert_eq!(interval(500, POLL), MIN_SWEEP_INTERVAL);
    assert_eq!(interval(1_000, POLL), Duration::from_secs(2));
    assert_eq!(interval(1, Duration::from_millis(200)), Duration::from_millis(200));
    assert_eq!(super::sweep_interval(1, POLL, 30, 1.0), MAX_SWEEP_INTERVAL);
    assert_eq!(super::sweep_interval(1, POLL, 1, 0.0), MIN_SWEEP_INTERVAL);
}
