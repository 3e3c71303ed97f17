//! Deletes the objects of a task that has ended.

use aws_sdk_s3::types::{Delete, ObjectIdentifier};

use super::storage::{Storage, location};
use crate::error::{Error, Kind, Result};

/// Deletes objects, whether they exist or not; at most 1,000, the limit of one call.
pub async fn delete(storage: &Storage, bucket: &str, keys: &[String]) -> Result<()> {
    let objects = keys
        .iter()
        .map(|key| ObjectIdentifier::builder().key(key).build())
        .collect::<Result<_, _>>()
        .and_then(|objects| Delete::builder().set_objects(Some(objects)).quiet(true).build())
        .map_err(|error| Error::with_source(Kind::Settings, "the objects to delete have no names", error))?;
    let subject = || location(bucket, &keys.join(", "));
    let answer = storage
        .s3()
        .delete_objects()
        .bucket(bucket)
        .delete(objects)
        .set_expected_bucket_owner(storage.owner())
        .send()
        .await
        .map_err(|error| storage.explain(Error::from_sdk("s3:DeleteObject", subject(), error)))?;
    match answer.errors().first() {
        None => Ok(()),
        Some(error) => {
            let (key, code) = (error.key().unwrap_or_default(), error.code().unwrap_or("no reason"));
            let said = error.message().unwrap_or_default();
            let message = format!("{} was not deleted: {code}: {said}", location(bucket, key));
            Err(Error::new(if code == "AccessDenied" { Kind::Access } else { Kind::Refused }, message))
        }
    }
}
