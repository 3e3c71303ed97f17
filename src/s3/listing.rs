//! Lists the objects below a prefix, with their metadata.

use std::collections::HashMap;

use tokio::task::JoinSet;

use super::storage::{Storage, location};
use crate::error::{Error, Kind, Result};

/// An object as the bucket has it.
#[derive(Clone, Debug)]
pub struct ListedObject {
    /// Key of the object.
    pub key: String,
    /// Bytes.
    pub size: i64,
    /// When it was written, in seconds since 1970.
    pub modified_at: i64,
    /// User metadata.
    pub metadata: HashMap<String, String>,
}

/// Every object whose key begins with `prefix`, by key. One that is deleted meanwhile is missing.
pub async fn list(storage: &Storage, bucket: &str, prefix: &str) -> Result<Vec<ListedObject>> {
    let mut pages = storage
        .s3()
        .list_objects_v2()
        .bucket(bucket)
        .prefix(prefix)
        .set_expected_bucket_owner(storage.owner())
        .into_paginator()
        .send();
    // A listing has no metadata.
    let mut looking = JoinSet::new();
    while let Some(page) = pages.next().await {
        let page =
            page.map_err(|error| storage.explain(Error::from_sdk("s3:ListBucket", location(bucket, prefix), error)))?;
        for object in page.contents() {
            let (storage, bucket) = (storage.clone(), bucket.to_owned());
            let key = object.key().unwrap_or_default().to_owned();
            looking.spawn(async move { look(&storage, &bucket, key).await });
        }
    }
    let mut objects = looked_up(looking).await?;
    objects.sort_by(|one, other| one.key.cmp(&other.key));
    Ok(objects)
}

/// The user metadata of some objects by key, without what they hold. One that is not there is missing.
pub async fn metadata(
    storage: &Storage,
    bucket: &str,
    keys: Vec<String>,
) -> Result<HashMap<String, HashMap<String, String>>> {
    let mut looking = JoinSet::new();
    for key in keys {
        let (storage, bucket) = (storage.clone(), bucket.to_owned());
        looking.spawn(async move { look(&storage, &bucket, key).await });
    }
    Ok(looked_up(looking).await?.into_iter().map(|object| (object.key, object.metadata)).collect())
}

async fn looked_up(mut looking: JoinSet<Result<Option<ListedObject>>>) -> Result<Vec<ListedObject>> {
    let mut objects = Vec::new();
    while let Some(looked) = looking.join_next().await {
        let lost = |error| Err(Error::with_source(Kind::Ambiguous, "a look at an object was lost", error));
        objects.extend(looked.unwrap_or_else(lost)?);
    }
    Ok(objects)
}

/// How many objects a bucket has, and how many bytes they are.
pub async fn count(storage: &Storage, bucket: &str) -> Result<(u64, u64)> {
    let request = storage.s3().list_objects_v2().bucket(bucket).set_expected_bucket_owner(storage.owner());
    let mut pages = request.into_paginator().send();
    let (mut objects, mut bytes) = (0, 0);
    while let Some(page) = pages.next().await {
        let page = page.map_err(|error| storage.explain(Error::from_sdk("s3:ListBucket", bucket, error)))?;
        for object in page.contents() {
            objects += 1;
            bytes += u64::try_from(object.size().unwrap_or_default()).unwrap_or_default();
        }
    }
    Ok((objects, bytes))
}

async fn look(storage: &Storage, bucket: &str, key: String) -> Result<Option<ListedObject>> {
    let _permit = storage.acquire_download().await;
    let head = storage.s3().head_object().bucket(bucket).key(&key).set_expected_bucket_owner(storage.owner());
    match head.send().await {
        Ok(found) => Ok(Some(ListedObject {
            size: found.content_length().unwrap_or_default(),
            modified_at: found.last_modified().map_or(0, aws_smithy_types::DateTime::secs),
            metadata: found.metadata.unwrap_or_default(),
            key,
        })),
        Err(error) => {
            let error = storage.explain(Error::from_sdk("s3:GetObject", location(bucket, &key), error));
            if matches!(error.kind(), Kind::NotFound) { Ok(None) } else { Err(error) }
        }
    }
}
