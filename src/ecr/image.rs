//! What ECR knows about a container image that could not be pulled.

use aws_sdk_ecr::config::{Builder, Region};
use aws_sdk_ecr::operation::describe_images::DescribeImagesOutput;
use aws_sdk_ecr::types::ImageIdentifier;

use crate::aws::clients::Clients;
use crate::error::{Error, Kind, Result};

/// An image in a private ECR repository.
#[derive(Debug, Eq, PartialEq)]
pub(crate) struct EcrImage<'a> {
    pub(crate) account: &'a str,
    /// The registry's region, which may differ from the queue's.
    region: &'a str,
    pub(crate) repository: &'a str,
    /// Tag, or digest when it holds a colon.
    pub(crate) version: &'a str,
}

impl<'a> EcrImage<'a> {
    /// Reads `{account}.dkr.ecr.{region}.amazonaws.com/{repository}[:tag|@digest]`; other registries are `None`.
    pub(crate) fn parse(uri: &'a str) -> Option<Self> {
        let (host, path) = uri.split_once('/')?;
        let (account, rest) = host.split_once('.')?;
        if !rest.starts_with("dkr.ecr") || account.len() != 12 {
            return None;
        }
        let region = rest.split('.').nth(2)?;
        let (repository, version) = path.split_once('@').or_else(|| path.rsplit_once(':')).unwrap_or((path, "latest"));
        Some(Self { account, region, repository, version })
    }

    pub(crate) fn identifier(&self) -> ImageIdentifier {
        let builder = ImageIdentifier::builder();
        if self.version.contains(':') {
            builder.image_digest(self.version).build()
        } else {
            builder.image_tag(self.version).build()
        }
    }

    /// Client configuration for the registry's region.
    pub(crate) fn region_override(&self) -> Builder {
        aws_sdk_ecr::Config::builder().region(Region::new(self.region.to_owned()))
    }
}

/// Asks ECR about an image.
pub(crate) async fn describe(clients: &Clients, image: &EcrImage<'_>) -> Result<DescribeImagesOutput> {
    clients
        .ecr
        .describe_images()
        .registry_id(image.account)
        .repository_name(image.repository)
        .image_ids(image.identifier())
        .customize()
        .config_override(image.region_override())
        .send()
        .await
        .map_err(|error| Error::from_sdk("ecr:DescribeImages", format!("repository {}", image.repository), error))
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

#[cfg(test)]
mod tests {
    use super::EcrImage;

    #[test]
    fn private_ecr_images_are_read() {
        let image = EcrImage::parse("123456789012.dkr.ecr.eu-west-1.amazonaws.com/team/jobs:v3").unwrap();
        assert_eq!(
            image,
            EcrImage { account: "123456789012", region: "eu-west-1", repository: "team/jobs", version: "v3" }
        );
        let image = EcrImage::parse("123456789012.dkr.ecr.cn-north-1.amazonaws.com.cn/jobs@sha256:ab").unwrap();
        assert_eq!(image.version, "sha256:ab");
        assert_eq!(EcrImage::parse("123456789012.dkr.ecr.eu-west-1.amazonaws.com/jobs").unwrap().version, "latest");
    }

    #[test]
    fn other_registries_are_left_alone() {
        for uri in ["public.ecr.aws/covalent/covalent-executor-base:stable", "python:3.11", "python"] {
            assert_eq!(EcrImage::parse(uri), None, "{uri}");
        }
    }
}
