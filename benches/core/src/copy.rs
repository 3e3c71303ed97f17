//! What the SDK can do by itself: parts of the same size as the core's, as many at once, and nothing else.

use std::time::Instant;

use aws_config::BehaviorVersion;
use aws_sdk_s3::Client;
use aws_sdk_s3::primitives::ByteStream;
use aws_sdk_s3::types::{ChecksumAlgorithm, CompletedMultipartUpload, CompletedPart};
use bytes::{Bytes, BytesMut};
use covalent_awsbatch_plugin::s3::upload::PART_SIZE;
use tokio::task::JoinSet;

const BUCKET: &str = "lab-bucket";
const AT_ONCE: usize = 4;

/// Seconds that it takes to write or read an object of so many bytes, from memory or into it.
#[must_use]
pub fn seconds(put: bool, url: &str, key: &str, bytes: usize) -> f64 {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        let config = aws_config::defaults(BehaviorVersion::v2026_01_12()).endpoint_url(url).load().await;
        let client = Client::from_conf(aws_sdk_s3::config::Builder::from(&config).force_path_style(true).build());
        if put {
            // The parts are there before the clock starts, as an argument is.
            let mut content = BytesMut::zeroed(bytes).freeze();
            let start = Instant::now();
            write(&client, key, &mut content).await;
            start.elapsed().as_secs_f64()
        } else {
            let start = Instant::now();
            let content = read(&client, key, bytes).await;
            assert_eq!(content.len(), bytes);
            start.elapsed().as_secs_f64()
        }
    })
}

async fn write(client: &Client, key: &str, content: &mut Bytes) {
    let begun = client
        .create_multipart_upload()
        .bucket(BUCKET)
        .key(key)
        .checksum_algorithm(ChecksumAlgorithm::Crc32)
        .send()
        .await
        .expect("an upload");
    let id = begun.upload_id.expect("an id");
    let (mut parts, mut done) = (JoinSet::new(), Vec::new());
    let mut number = 0;
    while !content.is_empty() {
        if parts.len() == AT_ONCE {
            done.extend(parts.join_next().await.map(|part| part.expect("a part")));
        }
        number += 1;
        let body = content.split_to(PART_SIZE.min(content.len()));
        let call = client
            .upload_part()
            .bucket(BUCKET)
            .key(key)
            .upload_id(&id)
            .part_number(number)
            .checksum_algorithm(ChecksumAlgorithm::Crc32)
            .body(ByteStream::from(body));
        parts.spawn(async move {
            let answer = call.send().await.expect("an answer");
            CompletedPart::builder()
                .part_number(number)
                .set_e_tag(answer.e_tag)
                .set_checksum_crc32(answer.checksum_crc32)
                .build()
        });
    }
    while let Some(part) = parts.join_next().await {
        done.push(part.expect("a part"));
    }
    done.sort_by_key(CompletedPart::part_number);
    let parts = CompletedMultipartUpload::builder().set_parts(Some(done)).build();
    client
        .complete_multipart_upload()
        .bucket(BUCKET)
        .key(key)
        .upload_id(id)
        .multipart_upload(parts)
        .send()
        .await
        .expect("an object");
}

async fn read(client: &Client, key: &str, bytes: usize) -> Vec<u8> {
    let mut content = Vec::with_capacity(bytes);
    let mut ranges = (0..bytes).step_by(PART_SIZE).map(|start| {
        let call = client.get_object().bucket(BUCKET).key(key);
        let call = call.range(format!("bytes={start}-{}", bytes.min(start + PART_SIZE) - 1));
        tokio::spawn(
            async move { call.send().await.expect("an answer").body.collect().await.expect("a body").into_bytes() },
        )
    });
    let mut under_way: std::collections::VecDeque<_> = ranges.by_ref().take(AT_ONCE).collect();
    while let Some(range) = under_way.pop_front() {
        content.extend_from_slice(&range.await.expect("a range"));
        under_way.extend(ranges.next());
    }
    content
}
