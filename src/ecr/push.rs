//! Pushes an image: the blobs that are missing, then the manifest. What is there already is not sent.

use std::path::PathBuf;
use std::sync::Arc;

use serde::Deserialize;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::base::Repository;
use super::repository::Destination;
use super::source::Source;
use crate::error::{Error, Kind, Result};

/// Blobs that are sent at once; each has a part or two in memory.
const PARALLEL: usize = 3;
/// How often a blob is begun.
const MAX_ATTEMPTS: usize = 3;

/// An image as it is to be.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PushRequest {
    /// Name of the repository, in the caller's account and region.
    pub repository: String,
    /// Name of the image there.
    pub tag: String,
    /// The manifest, JSON.
    pub manifest: String,
    /// The image, with its digest, that blobs come from which are nowhere else.
    pub base: String,
    /// All blobs that the manifest names.
    pub blobs: Vec<Blob>,
    /// How long it may take.
    pub seconds: u64,
}

/// A layer or the configuration.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Blob {
    digest: String,
    /// The file that has it; of the base if there is none.
    #[serde(default)]
    file: Option<PathBuf>,
}

impl Blob {
    fn source(&self, base: &Arc<Repository>) -> Source {
        match &self.file {
            Some(path) => Source::file(path.clone()),
            None => Source::download(base.clone(), self.digest.clone()),
        }
    }
}

/// Pushes an image and returns its name with the digest.
///
/// # Errors
/// A blob cannot be read or sent, the manifest is not taken, or it takes too long.
pub async fn push<D: Destination>(destination: D, base: Repository, request: PushRequest) -> Result<String> {
    let seconds = request.seconds;
    let pushing = push_all(Arc::new(destination), Arc::new(base), request);
    match timeout(std::time::Duration::from_secs(seconds), pushing).await {
        Ok(outcome) => outcome,
        Err(_) => Err(Error::new(Kind::Ambiguous, format!("pushing the image took more than {seconds} s"))),
    }
}

async fn push_all<D: Destination>(destination: Arc<D>, base: Arc<Repository>, request: PushRequest) -> Result<String> {
    let PushRequest { tag, manifest, blobs, .. } = request;
    let digests: Vec<_> = blobs.iter().map(|blob| blob.digest.clone()).collect();
    let missing = destination.missing(&digests).await?;
    let slots = Arc::new(Semaphore::new(PARALLEL));
    let mut sending = JoinSet::new(); // dropped, it ends what it has begun
    for blob in blobs.into_iter().filter(|blob| missing.contains(&blob.digest)) {
        let (destination, base, slots) = (destination.clone(), base.clone(), slots.clone());
        sending.spawn(async move {
            let _slot = slots.acquire_owned().await;
            send(&*destination, &base, &blob).await
        });
    }
    while let Some(sent) = sending.join_next().await {
        sent.map_err(|error| Error::with_source(Kind::Damaged, "sending a layer has failed", error))??;
    }
    destination.put(&manifest, &tag).await
}

async fn send<D: Destination>(destination: &D, base: &Arc<Repository>, blob: &Blob) -> Result<()> {
    for _ in 1..MAX_ATTEMPTS {
        match destination.upload(&blob.digest, blob.source(base)).await {
            Err(error) if error.is_transient() || error.kind() == Kind::Damaged => {
                tracing::info!("{error}; sending it again");
            }
            outcome => return outcome,
        }
    }
    destination.upload(&blob.digest, blob.source(base)).await
}
