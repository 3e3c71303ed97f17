//! Downloads on paused time.

use std::sync::Arc;

use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_credential_types::Credentials;
use aws_credential_types::provider::SharedCredentialsProvider;
use aws_smithy_runtime_api::client::http::{HttpConnector, HttpConnectorFuture, SharedHttpConnector, http_client_fn};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use tokio::time::{Duration, Instant};

use super::*;
use crate::aws::clients::Clients;
use crate::aws::throughput::tests::slow_body;
use crate::aws::timeouts::timeouts;

/// Serves an object of 100 KiB, one byte every four seconds.
#[derive(Debug)]
struct SlowS3;

impl HttpConnector for SlowS3 {
    fn call(&self, _: HttpRequest) -> HttpConnectorFuture {
        let answer = http::Response::builder().header("etag", "1").header("content-length", 100 * 1024);
        HttpConnectorFuture::ready(Ok(HttpResponse::try_from(answer.body(slow_body()).unwrap()).unwrap()))
    }
}

#[tokio::test(start_paused = true)]
async fn an_object_that_trickles_in_is_asked_for_again_and_then_given_up() {
    let connector = SharedHttpConnector::new(SlowS3);
    let config = SdkConfig::builder()
        .behavior_version(BehaviorVersion::v2026_01_12())
        .region(Region::new("eu-west-1"))
        .credentials_provider(SharedCredentialsProvider::new(Credentials::new("id", "key", None, None, "tests")))
        .timeout_config(timeouts())
        .http_client(http_client_fn(move |_, _| connector.clone()))
        .build();
    let storage = Storage::new(Arc::new(Clients::new(&config)), Arc::default(), Arc::default());
    let start = Instant::now();
    let error = read(storage, "bucket", "key").await.unwrap_err();
    assert_eq!(error.kind(), Kind::Damaged);
    assert!(error.to_string().contains("less than 1024 bytes moved in 20 s"), "{error}");
    assert_eq!(start.elapsed().as_secs(), Duration::from_secs(80).as_secs());
}
