//! The address of an image in a private repository of ECR.

use aws_sdk_ecr::config::{Builder, Region};
use aws_sdk_ecr::types::ImageIdentifier;

/// An image in a private ECR repository.
#[derive(Debug, Eq, PartialEq)]
pub(super) struct EcrImage<'a> {
    pub(super) account: &'a str,
    /// The registry's, which need not be the queue's.
    region: &'a str,
    pub(super) repository: &'a str,
    /// Tag, or digest when it holds a colon.
    pub(super) version: &'a str,
}

impl<'a> EcrImage<'a> {
    /// Reads `{account}.dkr.ecr.{region}.amazonaws.com/{repository}[:tag|@digest]`; other registries are `None`.
    pub(super) fn parse(uri: &'a str) -> Option<Self> {
        let (host, path) = uri.split_once('/')?;
        let (account, rest) = host.split_once('.')?;
        if !rest.starts_with("dkr.ecr") || account.len() != 12 {
            return None;
        }
        let region = rest.split('.').nth(2)?;
        let (repository, version) = path.split_once('@').or_else(|| path.rsplit_once(':')).unwrap_or((path, "latest"));
        Some(Self { account, region, repository, version })
    }

    pub(super) fn identifier(&self) -> ImageIdentifier {
        let builder = ImageIdentifier::builder();
        if self.version.contains(':') {
            builder.image_digest(self.version).build()
        } else {
            builder.image_tag(self.version).build()
        }
    }

    /// The configuration that leads to its registry.
    pub(super) fn place(&self) -> Builder {
        aws_sdk_ecr::Config::builder().region(Region::new(self.region.to_owned()))
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
