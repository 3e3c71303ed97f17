//! The image that a baked one is made on: its manifest and configuration, and its blobs, from any registry.

use std::sync::Arc;

use aws_smithy_runtime_api::client::http::SharedHttpConnector;
use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::body;
use super::image::EcrImage;
use super::registry::{self, MEDIA_TYPES, Registry};
use crate::aws::clients::Clients;
use crate::aws::http;
use crate::error::{Error, Kind, Result};

/// The limit that registries have for a manifest; a configuration is smaller, too.
const MAX_DOCUMENT_BYTES: usize = 4 * 1024 * 1024;

/// What is known of an image for one platform.
#[derive(Debug, Serialize)]
pub struct Base {
    /// Its name, with the digest of the manifest.
    pub image: String,
    /// Its manifest, JSON.
    pub manifest: String,
    /// Its configuration, JSON.
    pub config: String,
}

/// Where an image's manifests and blobs are read.
#[derive(Debug)]
pub struct Repository {
    place: Place,
    connector: SharedHttpConnector,
    /// The image's name without tag and digest.
    name: String,
}

#[derive(Debug)]
enum Place {
    /// By the OCI distribution API, without credentials.
    Registry(Registry),
    /// By ECR's own API: account, region and repository, as the image's name has them.
    Ecr(Arc<Clients>, String),
}

/// The fields of a manifest, or of a list of manifests by platform, that are looked at.
#[derive(Deserialize)]
struct Manifest {
    #[serde(default)]
    manifests: Vec<Entry>,
    config: Option<Blob>,
}

#[derive(Deserialize)]
struct Entry {
    digest: String,
    platform: Option<Platform>,
}

#[derive(Deserialize)]
struct Platform {
    os: String,
    architecture: String,
}

#[derive(Deserialize)]
struct Blob {
    digest: String,
}

/// Looks an image up, for Linux and an architecture.
///
/// # Errors
/// It is not there, not for that platform, or cannot be read.
pub async fn read(clients: &Arc<Clients>, image: &str, architecture: &str) -> Result<Base> {
    let repository = Repository::of(clients, image)?;
    let unusable = |why: &str| Error::new(Kind::Refused, format!("{image} {why}"));
    let garbled = |error| Error::with_source(Kind::Garbled, format!("the manifest of {image} cannot be read"), error);
    let mut text = repository.manifest(version(image)).await?;
    let mut manifest: Manifest = serde_json::from_slice(&text).map_err(garbled)?;
    if !manifest.manifests.is_empty() {
        let is_meant = |found: &Platform| found.os == "linux" && found.architecture == architecture;
        let entry = manifest.manifests.iter().find(|entry| entry.platform.as_ref().is_some_and(is_meant));
        let entry = entry.ok_or_else(|| unusable(&format!("is not made for linux/{architecture}")))?;
        text = repository.manifest(&entry.digest).await?;
        manifest = serde_json::from_slice(&text).map_err(garbled)?;
    }
    let config = manifest.config.ok_or_else(|| unusable("has a manifest of a kind that is too old"))?;
    let answer = repository.blob(&config.digest, 0).await?;
    let configuration = body::read(answer.into_body(), MAX_DOCUMENT_BYTES, &repository.name).await?;
    if digest_of(&configuration) != config.digest {
        return Err(Error::new(Kind::Damaged, format!("the configuration of {image} does not have its digest")));
    }
    let text_of = |bytes| String::from_utf8(bytes).map_err(|_| unusable("has a manifest that is no text"));
    Ok(Base {
        image: format!("{}@{}", repository.name, digest_of(&text)),
        manifest: text_of(text)?,
        config: text_of(configuration)?,
    })
}

/// Tag or digest of an image.
fn version(image: &str) -> &str {
    EcrImage::parse(image).map_or_else(|| registry::parts(image).2, |found| found.version)
}

/// The digest of a blob or manifest.
#[must_use]
pub fn digest_of(content: &[u8]) -> String {
    digest(Sha256::new_with_prefix(content))
}

/// What a hash is as a digest.
#[must_use]
pub fn digest(hash: Sha256) -> String {
    hash.finalize().iter().fold("sha256:".to_owned(), |text, byte| text + &format!("{byte:02x}"))
}

impl Repository {
    /// The repository of an image. Sends nothing.
    pub fn of(clients: &Arc<Clients>, image: &str) -> Result<Self> {
        let connector = http::connector(clients.ecr.config().sleep_impl().as_ref())?;
        let name = image.split('@').next().unwrap_or_default();
        if let Some(found) = EcrImage::parse(image) {
            let host = image.split('/').next().unwrap_or_default();
            let name = format!("{host}/{}", found.repository);
            return Ok(Self { place: Place::Ecr(clients.clone(), name.clone()), connector, name });
        }
        let (host, repository, _) = registry::parts(image);
        let tag = name.rfind(':').filter(|at| !name[*at..].contains('/'));
        let name = name[..tag.unwrap_or(name.len())].to_owned();
        Ok(Self { place: Place::Registry(Registry::new(connector.clone(), host, repository)), connector, name })
    }

    /// The image's name without tag and digest.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    async fn manifest(&self, version: &str) -> Result<Vec<u8>> {
        let text = match &self.place {
            Place::Registry(registry) => {
                let answer = registry.manifest(version).await?;
                body::read(answer.into_body(), MAX_DOCUMENT_BYTES, &self.name).await?
            }
            Place::Ecr(clients, _) => self.ecr_manifest(clients, version).await?.into_bytes(),
        };
        if version.contains(':') && digest_of(&text) != version {
            return Err(Error::new(Kind::Damaged, format!("the manifest of {} does not have its digest", self.name)));
        }
        Ok(text)
    }

    /// A blob, from one of its bytes on.
    pub async fn blob(&self, digest: &str, from: u64) -> Result<HttpResponse> {
        let (clients, image) = match &self.place {
            Place::Registry(registry) => return registry.blob(digest, from).await,
            Place::Ecr(clients, name) => (clients, EcrImage::parse(name)),
        };
        let Some(image) = image else { return Err(Error::new(Kind::Refused, "no image in ECR")) };
        let url = clients
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
        let url = url.download_url().unwrap_or_default();
        let answer = registry::fetch(&self.connector, url, None, from).await?;
        match answer.status().as_u16() {
            200..300 => Ok(answer),
            status => Err(Error::new(Kind::Refused, format!("a layer of {} is answered with {status}", self.name))),
        }
    }

    async fn ecr_manifest(&self, clients: &Clients, version: &str) -> Result<String> {
        let named = format!("{}{}{version}", self.name, if version.contains(':') { "@" } else { ":" });
        let missing = || Error::new(Kind::Refused, format!("ECR has no image {named}"));
        let image = EcrImage::parse(&named).ok_or_else(missing)?;
        let answer = clients
            .ecr
            .batch_get_image()
            .registry_id(image.account)
            .repository_name(image.repository)
            .image_ids(image.identifier())
            .set_accepted_media_types(Some(MEDIA_TYPES.map(str::to_owned).to_vec()))
            .customize()
            .config_override(image.region_override())
            .send()
            .await
            .map_err(|error| Error::from_sdk("ecr:BatchGetImage", format!("repository {}", image.repository), error))?;
        let found = answer.images().first().and_then(|image| image.image_manifest());
        found.map(str::to_owned).ok_or_else(missing)
    }
}
