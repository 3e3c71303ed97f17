//! Terminations on paused time, over an HTTP client that answers as AWS Batch does.

use std::sync::atomic::AtomicU32;

use aws_config::retry::RetryConfig;
use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_credential_types::Credentials;
use aws_credential_types::provider::SharedCredentialsProvider;
use aws_smithy_runtime_api::client::http::{HttpConnector, HttpConnectorFuture, SharedHttpConnector, http_client_fn};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_types::body::SdkBody;
use serde_json::{Value, json};

use super::*;

static TESTS: AtomicU32 = AtomicU32::new(0);

/// Keeps the calls, and refuses some.
#[derive(Clone, Debug, Default)]
struct Service(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    /// Path and ids of each call.
    calls: Vec<(String, Vec<String>)>,
    /// HTTP status and code of the next answers to `TerminateJobs`.
    bulk_refusals: Vec<(u16, &'static str)>,
    /// Jobs that may not be terminated.
    denied: Vec<&'static str>,
}

impl HttpConnector for Service {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let body: Value = serde_json::from_slice(request.body().bytes().unwrap()).unwrap();
        let path = request.uri().rsplit('/').next().unwrap().to_owned();
        let response = self.0.lock().unwrap().answer(&path, &body);
        HttpConnectorFuture::ready(Ok(HttpResponse::try_from(response).unwrap()))
    }
}

impl State {
    fn answer(&mut self, path: &str, body: &Value) -> http::Response<SdkBody> {
        let many = body["jobs"].as_array().cloned().unwrap_or_else(|| vec![body["jobId"].clone()]);
        let ids: Vec<String> = many.iter().map(|id| id.as_str().unwrap().to_owned()).collect();
        self.calls.push((path.to_owned(), ids.clone()));
        let refusal = match path {
            "terminatejobs" => self.bulk_refusals.pop(),
            _ => self.denied.contains(&ids[0].as_str()).then_some((403, "AccessDeniedException")),
        };
        if let Some((status, code)) = refusal {
            let body = json!({ "message": "no", "__type": code }).to_string();
            return http::Response::builder().status(status).body(SdkBody::from(body)).unwrap();
        }
        let (errors, successful): (Vec<_>, Vec<_>) = ids.iter().partition(|id| self.denied.contains(&id.as_str()));
        let error = |id| json!({"job": id, "code": "AccessDenied", "message": "no"});
        let errors: Vec<_> = errors.into_iter().map(error).collect();
        http::Response::new(SdkBody::from(json!({ "successful": successful, "errors": errors }).to_string()))
    }
}

impl Service {
    fn refusing_bulk(self, status: u16, code: &'static str) -> Self {
        self.0.lock().unwrap().bulk_refusals.push((status, code));
        self
    }

    fn denying(self, id: &'static str) -> Self {
        self.0.lock().unwrap().denied.push(id);
        self
    }

    fn terminations(&self) -> Arc<Terminations> {
        let connector = SharedHttpConnector::new(self.clone());
        let credentials = Credentials::new("id", "secret", None, None, "tests");
        let config = SdkConfig::builder()
            .behavior_version(BehaviorVersion::v2026_01_12())
            .region(Region::new(format!("end-{}", TESTS.fetch_add(1, Ordering::Relaxed))))
            .credentials_provider(SharedCredentialsProvider::new(credentials))
            .retry_config(RetryConfig::disabled())
            .http_client(http_client_fn(move |_, _| connector.clone()))
            .build();
        Terminations::new(Arc::new(Clients::new(&config)))
    }

    /// Paths of the calls with how many jobs each had, sorted.
    fn calls(&self) -> Vec<(String, usize)> {
        let calls = self.0.lock().unwrap().calls.clone();
        let mut calls: Vec<_> = calls.into_iter().map(|(path, ids)| (path, ids.len())).collect();
        calls.sort();
        calls
    }
}

/// Terminates the jobs at once, each with its own reason or all with one.
async fn all(terminations: &Arc<Terminations>, ids: &[String], reason: impl Fn(&str) -> String) -> Vec<Result<()>> {
    let mut ends = JoinSet::new();
    for (number, id) in ids.iter().enumerate() {
        let (terminations, id, reason) = (terminations.clone(), id.clone(), reason(id));
        ends.spawn(async move { (number, terminations.terminate(&id, &reason).await) });
    }
    let mut outcomes = ends.join_all().await;
    outcomes.sort_by_key(|(number, _)| *number);
    outcomes.into_iter().map(|(_, outcome)| outcome).collect()
}

fn ids(count: usize) -> Vec<String> {
    (0..count).map(|number| format!("job-{number}")).collect()
}

fn same(_: &str) -> String {
    "enough".to_owned()
}

#[tokio::test(start_paused = true)]
async fn jobs_of_a_moment_are_terminated_by_fifty() {
    let service = Service::default();
    let outcomes = all(&service.terminations(), &ids(120), same).await;
    assert!(outcomes.iter().all(Result::is_ok), "{outcomes:?}");
    assert_eq!(service.calls(), [20, 50, 50].map(|jobs| ("terminatejobs".to_owned(), jobs)));
    let mut terminated: Vec<_> = service.0.lock().unwrap().calls.iter().flat_map(|(_, ids)| ids.clone()).collect();
    terminated.sort();
    terminated.dedup();
    assert_eq!(terminated.len(), 120);
}

#[tokio::test(start_paused = true)]
async fn a_job_alone_and_jobs_with_other_reasons_have_calls_of_their_own() {
    let service = Service::default();
    let outcomes = all(&service.terminations(), &ids(3), str::to_owned).await;
    assert!(outcomes.iter().all(Result::is_ok), "{outcomes:?}");
    assert_eq!(service.calls(), vec![("terminatejob".to_owned(), 1); 3]);
}

#[tokio::test(start_paused = true)]
async fn a_service_without_the_call_is_asked_for_it_once() {
    let service = Service::default().refusing_bulk(404, "UnknownOperationException");
    let terminations = service.terminations();
    for _ in 0..2 {
        let outcomes = all(&terminations, &ids(3), same).await;
        assert!(outcomes.iter().all(Result::is_ok), "{outcomes:?}");
    }
    let mut expected = vec![("terminatejob".to_owned(), 1); 6];
    expected.push(("terminatejobs".to_owned(), 3));
    assert_eq!(service.calls(), expected);
}

#[tokio::test(start_paused = true)]
async fn a_call_that_is_denied_or_fails_takes_no_job_from_the_others() {
    for (status, code) in [(403, "AccessDeniedException"), (501, "InternalFailure")] {
        let service = Service::default().refusing_bulk(status, code);
        let outcomes = all(&service.terminations(), &ids(2), same).await;
        assert!(outcomes.iter().all(Result::is_ok), "{outcomes:?}");
        let expected = [("terminatejob", 1), ("terminatejob", 1), ("terminatejobs", 2)];
        assert_eq!(service.calls(), expected.map(|(path, jobs)| (path.to_owned(), jobs)));
    }
}

#[tokio::test(start_paused = true)]
async fn a_job_that_may_not_be_terminated_is_the_only_one_that_is_not() {
    let service = Service::default().denying("job-1");
    let outcomes = all(&service.terminations(), &ids(3), same).await;
    let error = outcomes[1].as_ref().unwrap_err();
    assert_eq!(error.kind(), Kind::Access);
    assert!(error.to_string().contains("AWS denied batch:TerminateJob on job job-1"), "{error}");
    assert!(outcomes[0].is_ok() && outcomes[2].is_ok(), "{outcomes:?}");
}

#[tokio::test(start_paused = true)]
async fn a_throttled_call_is_made_again_for_all_of_its_jobs() {
    let service = Service::default().refusing_bulk(429, "TooManyRequestsException");
    let outcomes = all(&service.terminations(), &ids(2), same).await;
    assert!(outcomes.iter().all(Result::is_ok), "{outcomes:?}");
    assert_eq!(service.calls(), vec![("terminatejobs".to_owned(), 2); 2]);
}
