//! A repository that images are pushed to, by ECR's own API: signed as every call of AWS, and without Docker.

use std::future::Future;
use std::sync::Arc;

use aws_sdk_ecr::error::ProvideErrorMetadata;
use aws_sdk_ecr::operation::upload_layer_part::UploadLayerPartError;
use aws_sdk_ecr::types::{ImageIdentifier, LayerAvailability};
use bytes::Bytes;

use super::base::digest_of;
use super::source::Source;
use crate::aws::clients::Clients;
use crate::aws::timeouts::layer_timeouts;
use crate::error::{Error, Kind, Result};

/// Bytes of a part of a layer: the least that ECR takes, since each is in memory twice, once in Base64.
pub const PART_BYTES: usize = 5 * 1024 * 1024;
/// How many digests ECR takes in a call.
const MAX_DIGESTS: usize = 100;
const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";

/// Where images are pushed. ECR's own API is one way; the API that all registries have would be another.
pub trait Destination: Send + Sync + 'static {
    /// Those of these blobs that are not there.
    fn missing(&self, digests: &[String]) -> impl Future<Output = Result<Vec<String>>> + Send;

    /// Sends a blob. One that somebody else sends meanwhile is no error.
    fn upload(&self, digest: &str, source: Source) -> impl Future<Output = Result<()>> + Send;

    /// Makes an image of blobs that are there, and returns its digest: another one's, if that was first to take the tag.
    fn put(&self, manifest: &str, tag: &str) -> impl Future<Output = Result<String>> + Send;
}

/// A repository in the caller's account and region.
#[derive(Clone, Debug)]
pub struct EcrRepository {
    clients: Arc<Clients>,
    name: String,
}

impl EcrRepository {
    /// A repository by its name. Sends nothing.
    #[must_use]
    pub fn new(clients: Arc<Clients>, name: &str) -> Self {
        Self { clients, name: name.to_owned() }
    }

    pub(super) fn ecr(&self) -> &aws_sdk_ecr::Client {
        &self.clients.ecr
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }

    pub(super) fn subject(&self) -> String {
        format!("repository {}", self.name)
    }

    /// An image by its tag, as a job definition names it; `None` if there is none.
    pub async fn find(&self, tag: &str) -> Result<Option<String>> {
        let asked = self.ecr().describe_images().repository_name(&self.name);
        let answer = asked.image_ids(ImageIdentifier::builder().image_tag(tag).build()).send().await;
        match answer {
            Ok(answer) => Ok(answer
                .image_details()
                .first()
                .and_then(|image| Some(self.uri(image.registry_id()?, image.image_digest()?)))),
            Err(error) if error.code() == Some("ImageNotFoundException") => Ok(None),
            Err(error) => Err(self.error("ecr:DescribeImages", error)),
        }
    }

    fn uri(&self, account: &str, digest: &str) -> String {
        let region = &self.clients.region;
        let china = if region.starts_with("cn-") { ".cn" } else { "" };
        format!("{account}.dkr.ecr.{region}.amazonaws.com{china}/{}@{digest}", self.name)
    }

    /// Reads the error of a call.
    pub(super) fn error<E>(
        &self,
        operation: &'static str,
        error: aws_sdk_ecr::error::SdkError<E, aws_smithy_runtime_api::client::orchestrator::HttpResponse>,
    ) -> Error
    where
        E: std::error::Error + ProvideErrorMetadata + Send + Sync + 'static,
    {
        let error = Error::from_sdk(operation, self.subject(), error);
        match error.code() {
            Some("RepositoryNotFoundException") => {
                error.with_advice("create it, or set `ecr_repo_name` to one that is in this account and region")
            }
            _ => error,
        }
    }

    async fn send_parts(&self, digest: &str, mut source: Source) -> Result<()> {
        let begun = self.ecr().initiate_layer_upload().repository_name(&self.name).send().await;
        let begun = begun.map_err(|error| self.error("ecr:InitiateLayerUpload", error))?;
        let upload = begun.upload_id().unwrap_or_default();
        let mut first = 0;
        loop {
            let part = source.part(PART_BYTES).await?;
            if part.is_empty() {
                break;
            }
            let end = first + part.len() as u64;
            self.send_part(upload, first, end - 1, part).await?;
            first = end;
        }
        source.check(digest)?;
        let complete = self.ecr().complete_layer_upload().repository_name(&self.name).upload_id(upload);
        let complete = complete.layer_digests(digest).customize().config_override(layer_timeouts());
        match complete.send().await {
            Err(error) if error.code() != Some("LayerAlreadyExistsException") => {
                Err(self.error("ecr:CompleteLayerUpload", error))
            }
            _ => Ok(()),
        }
    }

    async fn send_part(&self, upload: &str, first: u64, last: u64, part: Bytes) -> Result<()> {
        let (from, to) = (i64::try_from(first).unwrap_or(i64::MAX), i64::try_from(last).unwrap_or(i64::MAX));
        let request = self.ecr().upload_layer_part().repository_name(&self.name).upload_id(upload);
        let request =
            request.part_first_byte(from).part_last_byte(to).layer_part_blob(aws_sdk_ecr::primitives::Blob::new(part));
        match request.customize().config_override(layer_timeouts()).send().await {
            Ok(_) => Ok(()),
            // It had arrived, and the answer was lost.
            Err(error)
                if matches!(
                    error.as_service_error(),
                    Some(UploadLayerPartError::InvalidLayerPartException(why)) if why.last_valid_byte_received() == Some(to)
                ) =>
            {
                Ok(())
            }
            Err(error) => Err(self.error("ecr:UploadLayerPart", error)),
        }
    }
}

impl Destination for EcrRepository {
    async fn missing(&self, digests: &[String]) -> Result<Vec<String>> {
        let mut missing = Vec::new();
        for some in digests.chunks(MAX_DIGESTS) {
            let asked = self.ecr().batch_check_layer_availability().repository_name(&self.name);
            let answer = asked.set_layer_digests(Some(some.to_vec())).send().await;
            let answer = answer.map_err(|error| self.error("ecr:BatchCheckLayerAvailability", error))?;
            // What is not there comes as unavailable, or as a failure.
            let is_there = |digest: &str| {
                answer.layers().iter().any(|layer| {
                    layer.layer_digest() == Some(digest)
                        && layer.layer_availability() == Some(&LayerAvailability::Available)
                })
            };
            missing.extend(some.iter().filter(|digest| !is_there(digest)).cloned());
        }
        Ok(missing)
    }

    async fn upload(&self, digest: &str, source: Source) -> Result<()> {
        match self.send_parts(digest, source).await {
            // Somebody else was faster, or the answer to the last call was lost.
            Err(error) if error.operation().is_some() && error.kind() != Kind::Access => {
                if self.missing(&[digest.to_owned()]).await?.is_empty() { Ok(()) } else { Err(error) }
            }
            outcome => outcome,
        }
    }

    async fn put(&self, manifest: &str, tag: &str) -> Result<String> {
        let request = self.ecr().put_image().repository_name(&self.name).image_tag(tag);
        let request = request.image_manifest(manifest).image_manifest_media_type(MANIFEST);
        match request.send().await {
            Ok(answer) => {
                let image = answer.image();
                let account = image.and_then(|image| image.registry_id()).unwrap_or_default();
                let digest = image.and_then(|image| image.image_id()).and_then(|id| id.image_digest());
                Ok(self.uri(account, digest.unwrap_or(&digest_of(manifest.as_bytes()))))
            }
            Err(error)
                if matches!(error.code(), Some("ImageAlreadyExistsException" | "ImageTagAlreadyExistsException")) =>
            {
                let vanished = || Error::new(Kind::Refused, format!("{} lost the image {tag} again", self.subject()));
                self.find(tag).await?.ok_or_else(vanished)
            }
            Err(error) => Err(self.error("ecr:PutImage", error)),
        }
    }
}
