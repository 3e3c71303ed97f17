//! Downloads on paused time, and their memory.

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

fn storage(connector: impl HttpConnector + 'static) -> Storage {
    let connector = SharedHttpConnector::new(connector);
    let config = SdkConfig::builder()
        .behavior_version(BehaviorVersion::v2026_01_12())
        .region(Region::new("eu-west-1"))
        .credentials_provider(SharedCredentialsProvider::new(Credentials::new("id", "key", None, None, "tests")))
        .timeout_config(timeouts())
        .http_client(http_client_fn(move |_, _| connector.clone()))
        .build();
    Storage::new(Arc::new(Clients::new(&config)), Arc::default(), Arc::default())
}

/// Bytes after the last whole range of the object that `NumberedRanges` serves.
const REST: u64 = 1000;
const WHOLE_RANGES: u64 = 6;

/// Serves an object whose bytes are the numbers of their ranges.
#[derive(Debug)]
struct NumberedRanges;

impl HttpConnector for NumberedRanges {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let size = WHOLE_RANGES * RANGE_BYTES + REST;
        let asked = request.headers().get("range").and_then(|range| range.strip_prefix("bytes=")?.split_once('-'));
        let (from, last) = asked.map_or((0, size - 1), |(from, last)| (from.parse().unwrap(), last.parse().unwrap()));
        // Of the whole object only the first range is read.
        let sent = usize::try_from(RANGE_BYTES.min(last + 1 - from)).unwrap();
        let body = vec![u8::try_from(from / RANGE_BYTES).unwrap(); sent];
        let answer = http::Response::builder().header("etag", "1").header("content-length", last + 1 - from);
        HttpConnectorFuture::ready(Ok(HttpResponse::try_from(answer.body(body.into()).unwrap()).unwrap()))
    }
}

#[tokio::test]
async fn the_memory_of_a_piece_is_used_again_once_nobody_holds_it() {
    let mut download = Download::open(storage(NumberedRanges), "bucket", "key").await.unwrap();
    for _ in 0..WHOLE_RANGES {
        assert!(download.next().await.unwrap().is_some());
    }
    let last = download.next().await.unwrap().unwrap();
    drop(download);
    assert_eq!(last.len() as u64, REST);
    // In memory of its own it would have no more than its length.
    assert!(last.try_into_mut().unwrap().capacity() as u64 >= RANGE_BYTES);
}

#[tokio::test]
async fn a_piece_that_is_held_stays_what_it_is() {
    let mut download = Download::open(storage(NumberedRanges), "bucket", "key").await.unwrap();
    let mut pieces = Vec::new();
    while let Some(piece) = download.next().await.unwrap() {
        pieces.push(piece);
    }
    assert_eq!(pieces.len() as u64, WHOLE_RANGES + 1);
    for (number, piece) in pieces.iter().enumerate() {
        assert!(piece.iter().all(|byte| usize::from(*byte) == number), "{number}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_object_that_trickles_in_is_asked_for_again_and_then_given_up() {
    let start = Instant::now();
    let error = read(storage(SlowS3), "bucket", "key").await.unwrap_err();
    assert_eq!(error.kind(), Kind::Damaged);
    assert!(error.to_string().contains("less than 1024 bytes moved in 20 s"), "{error}");
    assert_eq!(start.elapsed().as_secs(), Duration::from_secs(80).as_secs());
}
