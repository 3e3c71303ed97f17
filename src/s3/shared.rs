//! Objects that many tasks share. They are named by their content, so one that is there need not be written again.

use std::collections::HashMap;
use std::time::{Duration, SystemTime};

use aws_sdk_s3::types::{MetadataDirective, ServerSideEncryption};

use super::storage::{Storage, location};
use crate::aws::timeouts::transfer_timeouts;
use crate::error::{Error, Kind, Result};

/// Age from which on an object is renewed, so that no lifecycle rule of several days removes it while it is in use.
const RENEWED_AFTER: Duration = Duration::from_hours(24);

/// Whether an object is there. One that is a day old is copied onto itself, and is new again.
pub async fn keep(storage: &Storage, bucket: &str, key: &str) -> Result<bool> {
    let head = storage.s3().head_object().bucket(bucket).key(key).set_expected_bucket_owner(storage.owner());
    let found = match head.send().await {
        Ok(found) => found,
        Err(error) => {
            let error = storage.explain(Error::from_sdk("s3:GetObject", location(bucket, key), error));
            return match error.kind() {
                Kind::NotFound => Ok(false),
                // Without the right to list the bucket, an object that is missing looks denied.
                Kind::Access if error.no_credentials().is_none() => Ok(false),
                _ => Err(error),
            };
        }
    };
    let modified = found.last_modified().and_then(|time| SystemTime::try_from(*time).ok());
    let age = modified.and_then(|modified| SystemTime::now().duration_since(modified).ok()).unwrap_or_default();
    if age > RENEWED_AFTER {
        renew(storage, bucket, key, found.metadata).await?;
    }
    Ok(true)
}

async fn renew(storage: &Storage, bucket: &str, key: &str, metadata: Option<HashMap<String, String>>) -> Result<()> {
    let kms_key = storage.kms_key();
    let separator = if bucket.starts_with("arn:") { "/object/" } else { "/" }; // of an access point
    storage
        .s3()
        .copy_object()
        .bucket(bucket)
        .key(key)
        .copy_source(format!("{bucket}{separator}{key}"))
        .set_expected_bucket_owner(storage.owner())
        .set_expected_source_bucket_owner(storage.owner())
        .set_server_side_encryption(kms_key.as_ref().map(|_| ServerSideEncryption::AwsKms))
        .set_ssekms_key_id(kms_key)
        // S3 refuses a copy onto itself that changes nothing, and takes this for a change.
        .metadata_directive(MetadataDirective::Replace)
        .set_metadata(metadata)
        .customize()
        .config_override(transfer_timeouts())
        .send()
        .await
        .map_err(|error| storage.explain(Error::from_sdk("s3:PutObject", location(bucket, key), error)))?;
    Ok(())
}
