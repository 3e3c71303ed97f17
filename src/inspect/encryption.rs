//! How a bucket encrypts what is written to it.

use serde::Serialize;

use crate::error::{Error, Result};
use crate::s3::storage::Storage;

/// The first rule of a bucket's default encryption.
#[derive(Debug, Serialize)]
pub struct Encryption {
    /// `AES256`, `aws:kms` …
    pub algorithm: String,
    /// The KMS key, where one was chosen.
    pub key: Option<String>,
}

/// A bucket's default encryption; `None` if it has none.
pub async fn look_up(storage: &Storage, bucket: &str) -> Result<Option<Encryption>> {
    let answer = storage
        .s3()
        .get_bucket_encryption()
        .bucket(bucket)
        .set_expected_bucket_owner(storage.owner())
        .send()
        .await
        .map_err(|error| Error::from_sdk("s3:GetEncryptionConfiguration", format!("bucket {bucket}"), error));
    let answer = match answer {
        Err(error) if error.code() == Some("ServerSideEncryptionConfigurationNotFoundError") => return Ok(None),
        answer => answer?,
    };
    let rules = answer.server_side_encryption_configuration.map(|configuration| configuration.rules);
    let rule = rules.unwrap_or_default().into_iter().find_map(|rule| rule.apply_server_side_encryption_by_default);
    Ok(rule.map(|rule| Encryption { algorithm: rule.sse_algorithm.as_str().to_owned(), key: rule.kms_master_key_id }))
}
