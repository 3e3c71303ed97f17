//! The baked images of a repository: listed, and deleted.

use aws_sdk_ecr::types::{ImageDetail, ImageIdentifier};
use serde::Serialize;
use serde_json::Value;
use std::collections::HashMap;

use super::repository::EcrRepository;
use crate::error::Result;

/// How many images ECR takes in a call.
const MAX_IMAGES: usize = 100;

/// An image in a repository.
#[derive(Debug, Serialize)]
pub struct Listed {
    /// Its tag, of those that begin as they were to.
    pub tag: String,
    /// Its digest.
    pub digest: String,
    /// Compressed size.
    pub bytes: i64,
    /// When it was pushed, in seconds since 1970.
    pub pushed_at: Option<f64>,
    /// When it was last pulled, as far as ECR tells, within a day.
    pub pulled_at: Option<f64>,
    /// What its manifest says of it.
    pub annotations: Value,
}

/// The images with a tag that begins with a prefix.
///
/// # Errors
/// Those of the calls.
pub async fn list(repository: &EcrRepository, prefix: &str) -> Result<Vec<Listed>> {
    let asked = repository.ecr().describe_images().repository_name(repository.name());
    let mut pages = asked.into_paginator().send();
    let mut found = Vec::new();
    while let Some(page) = pages.next().await {
        let page = page.map_err(|error| repository.error("ecr:DescribeImages", error))?;
        found.extend(page.image_details().iter().filter_map(|image| listed(image, prefix)));
    }
    for some in found.chunks_mut(MAX_IMAGES) {
        let mut said = annotations(repository, some).await?;
        for image in some {
            image.annotations = said.remove(&image.digest).unwrap_or_default();
        }
    }
    Ok(found)
}

fn listed(image: &ImageDetail, prefix: &str) -> Option<Listed> {
    let seconds = |time: Option<&aws_smithy_types::DateTime>| time.map(aws_smithy_types::DateTime::as_secs_f64);
    Some(Listed {
        tag: image.image_tags().iter().find(|tag| tag.starts_with(prefix))?.clone(),
        digest: image.image_digest()?.to_owned(),
        bytes: image.image_size_in_bytes().unwrap_or_default(),
        pushed_at: seconds(image.image_pushed_at()),
        pulled_at: seconds(image.last_recorded_pull_time()),
        annotations: Value::Null,
    })
}

async fn annotations(repository: &EcrRepository, images: &[Listed]) -> Result<HashMap<String, Value>> {
    let asked = repository.ecr().batch_get_image().repository_name(repository.name());
    let identifiers = images.iter().map(|image| ImageIdentifier::builder().image_digest(&image.digest).build());
    let answer = asked.set_image_ids(Some(identifiers.collect())).send().await;
    let answer = answer.map_err(|error| repository.error("ecr:BatchGetImage", error))?;
    let said = answer.images().iter().filter_map(|image| {
        let manifest: Value = serde_json::from_str(image.image_manifest()?).ok()?;
        Some((image.image_id()?.image_digest()?.to_owned(), manifest.get("annotations")?.clone()))
    });
    Ok(said.collect())
}

/// Deletes images, whether they are there or not.
///
/// # Errors
/// Those of the calls.
pub async fn delete(repository: &EcrRepository, digests: &[String]) -> Result<()> {
    for some in digests.chunks(MAX_IMAGES) {
        let identifiers = some.iter().map(|digest| ImageIdentifier::builder().image_digest(digest).build());
        let asked = repository.ecr().batch_delete_image().repository_name(repository.name());
        let outcome = asked.set_image_ids(Some(identifiers.collect())).send().await;
        outcome.map_err(|error| repository.error("ecr:BatchDeleteImage", error))?;
    }
    Ok(())
}
