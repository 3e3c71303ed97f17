//! What ECR tells of an image: whether it is there, when it was pushed, and what it is made for.

use std::error::Error as StdError;

use aws_sdk_ecr::operation::describe_images::DescribeImagesOutput;
use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use aws_smithy_runtime_api::client::result::SdkError;
use aws_smithy_types::error::metadata::ProvideErrorMetadata;
use serde::Serialize;

use super::image::EcrImage;
use crate::aws::clients::Clients;
use crate::error::{Error, Kind, Result};

/// An image in a private repository.
#[derive(Debug, Serialize)]
pub struct Image {
    /// When it was pushed, in seconds since 1970.
    pub pushed_at: Option<f64>,
}

/// Why an image cannot be pulled, as far as ECR tells: `None` if the image is there or lives elsewhere.
pub async fn problem(clients: &Clients, uri: &str) -> Result<Option<String>> {
    let Some(image) = EcrImage::parse(uri) else { return Ok(None) };
    match describe(clients, &image).await {
        Ok(_) => Ok(None),
        Err(error) if error.kind() == Kind::Refused => match error.code() {
            Some("RepositoryNotFoundException") => {
                Ok(Some(format!("account {} has no ECR repository {}", image.account, image.repository)))
            }
            Some("ImageNotFoundException") => {
                Ok(Some(format!("ECR repository {} holds no image {}", image.repository, image.version)))
            }
            _ => Err(error),
        },
        Err(error) => Err(error),
    }
}

/// Looks an image up that is there, as [`problem`] tells; `None` if it lives elsewhere.
pub async fn look(clients: &Clients, uri: &str) -> Result<Option<Image>> {
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
        .config_override(image.place())
        .send()
        .await
        .map_err(|error| failure("ecr:BatchGetImage", &image, error))?;
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
        .config_override(image.place())
        .send()
        .await
        .map_err(|error| failure("ecr:GetDownloadUrlForLayer", &image, error))?;
    Ok(answer.download_url)
}

async fn describe(clients: &Clients, image: &EcrImage<'_>) -> Result<DescribeImagesOutput> {
    clients
        .ecr
        .describe_images()
        .registry_id(image.account)
        .repository_name(image.repository)
        .image_ids(image.identifier())
        .customize()
        .config_override(image.place())
        .send()
        .await
        .map_err(|error| failure("ecr:DescribeImages", image, error))
}

fn failure<E>(operation: &'static str, image: &EcrImage<'_>, error: SdkError<E, HttpResponse>) -> Error
where
    E: StdError + ProvideErrorMetadata + Send + Sync + 'static,
{
    Error::from_sdk(operation, format!("repository {}", image.repository), error)
}
