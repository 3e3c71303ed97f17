//! Whether a bucket exists, and in which region.

use serde::Serialize;

use crate::aws::sdk_error::BUCKET_REGION;
use crate::error::{Error, Result};
use crate::s3::storage::Storage;

/// A bucket as `HeadBucket` describes it.
#[derive(Debug, Serialize)]
pub struct Bucket {
    /// `found`, `missing`, `elsewhere` (in another region, and cannot be reached there) or `denied`.
    pub state: &'static str,
    /// Its region, which S3 returns even if access is denied.
    pub region: Option<String>,
}

/// Looks a bucket up. The answer to HEAD has no body, so only its status and headers count.
pub async fn look_up(storage: &Storage, bucket: &str) -> Result<Bucket> {
    let answer = storage.s3().head_bucket().bucket(bucket).set_expected_bucket_owner(storage.owner()).send().await;
    let error = match answer {
        Ok(answer) => return Ok(Bucket { state: "found", region: answer.bucket_region }),
        Err(error) => error,
    };
    let response = error.raw_response();
    let region = response.and_then(|response| response.headers().get(BUCKET_REGION)).map(str::to_owned);
    let state = match response.map(|response| response.status().as_u16()) {
        Some(404) => "missing",
        Some(301) => "elsewhere",
        // S3 answers 400 where the signature names another region than the bucket's, and to an expired token as well.
        Some(400) if region.as_deref().is_some_and(|region| region != storage.region()) => "elsewhere",
        Some(403) => "denied",
        _ => return Err(Error::from_sdk("s3:ListBucket", format!("bucket {bucket}"), error)),
    };
    Ok(Bucket { state, region })
}
