//! What ECR tells of an image: when it was pushed and what it is made for.

use serde::Serialize;

use crate::aws::clients::Clients;
use crate::ecr::image::{EcrImage, describe};
use crate::error::{Error, Result};

/// An image in a private repository.
#[derive(Debug, Serialize)]
pub struct Image {
    /// When it was pushed, in seconds since 1970.
    pub pushed_at: Option<f64>,
}

/// Looks an image up that `image::problem` found.
pub async fn look_up(clients: &Clients, uri: &str) -> Result<Option<Image>> {
    let Some(image) = EcrImage::parse(uri) else { return Ok(None) };
    let answer = describe(clients, &image).await?;
    let pushed = answer.image_details().first().and_then(|detail| detail.image_pushed_at());
    Ok(Some(Image { pushed_at: pushed.map(aws_smithy_types::DateTime::as_secs_f64) }))
}

/// Its manifest: JSON that names platforms, or else the configuration that does.
pub async fn manifest(clients: &Clients, uri: &str) -> Result<Option<String>> {
    let Some(image) = EcrImage::parse(uri) else { return Ok(None) };
    let answer = clients
        .ecr
        .batch_get_image()
        .registry_id(image.account)
        .repository_name(image.repository)
        .image_ids(image.identifier())
        .customize()
        .config_override(image.region_override())
        .send()
        .await
        .map_err(|error| Error::from_sdk("ecr:BatchGetImage", format!("repository {}", image.repository), error))?;
    Ok(answer.images().first().and_then(|image| image.image_manifest()).map(str::to_owned))
}

/// Where a part of an image can be read for a while, such as the configuration that its manifest names.
pub async fn part_url(clients: &Clients, uri: &str, digest: &str) -> Result<Option<String>> {
    let Some(image) = EcrImage::parse(uri) else { return Ok(None) };
    let answer = clients
        .ecr
        .get_download_url_for_layer()
        .registry_id(image.account)
        .repository_name(image.repository)
        .layer_digest(digest)
        .customize()
        .config_override(image.region_override())
        .send()
        .await
        .map_err(|error| {
            Error::from_sdk("ecr:GetDownloadUrlForLayer", format!("repository {}", image.repository), error)
        })?;
    Ok(answer.download_url)
}
