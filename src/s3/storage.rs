//! Access to a bucket: the connection, the required owner of the bucket, and the key that encrypts what is written.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::memory_budget::MemoryBudget;
use crate::aws::clients::Clients;
use crate::error::Error;

/// Downloads that may be fetching their first piece at the same time.
const MAX_CONCURRENT_DOWNLOADS: usize = 64;

/// S3 as one executor uses it; cheap to clone.
#[derive(Clone, Debug)]
pub struct Storage {
    clients: Arc<Clients>,
    transfers: Arc<Transfers>,
    requirements: Arc<BucketRequirements>,
}

/// The limits that all transfers of a connection share.
#[derive(Debug)]
pub struct Transfers {
    /// Memory of uploads.
    uploads: MemoryBudget,
    /// Permits to fetch a first piece, which is mostly the only one; each needs a connection and a file descriptor.
    downloads: Arc<Semaphore>,
}

impl Default for Transfers {
    fn default() -> Self {
        Self { uploads: MemoryBudget::default(), downloads: Arc::new(Semaphore::new(MAX_CONCURRENT_DOWNLOADS)) }
    }
}

/// What an executor requires of its bucket.
#[derive(Clone, Debug, Default)]
pub struct BucketRequirements {
    /// Account that the bucket must belong to: twelve digits, empty for the caller's own, `any` to leave it open.
    pub bucket_owner: String,
    /// KMS key for what is written: id, ARN or alias; empty for the bucket's own encryption.
    pub kms_key_id: String,
}

impl Storage {
    /// S3 over this connection, with these requirements.
    #[must_use]
    pub fn new(clients: Arc<Clients>, transfers: Arc<Transfers>, requirements: Arc<BucketRequirements>) -> Self {
        Self { clients, transfers, requirements }
    }

    /// The S3 client.
    #[must_use]
    pub fn s3(&self) -> &aws_sdk_s3::Client {
        &self.clients.s3
    }

    /// Whether the signature of an upload has to cover its content.
    #[must_use]
    pub fn hashes_payloads(&self) -> bool {
        self.clients.hash_payloads
    }

    /// The memory that all uploads share.
    #[must_use]
    pub fn budget(&self) -> &MemoryBudget {
        &self.transfers.uploads
    }

    /// Waits for a permit to fetch the first piece of a download.
    pub async fn acquire_download(&self) -> Option<OwnedSemaphorePermit> {
        self.transfers.downloads.clone().acquire_owned().await.ok()
    }

    /// The region that requests are signed for.
    #[must_use]
    pub fn region(&self) -> &str {
        &self.clients.region
    }

    /// The account that must own the bucket; S3 refuses the call otherwise.
    ///
    /// The caller's own account is used only if it is known already: a container needs no STS.
    #[must_use]
    pub fn owner(&self) -> Option<String> {
        match self.requirements.bucket_owner.as_str() {
            "" => self.clients.caller.known().map(|identity| identity.account.clone()).filter(|own| !own.is_empty()),
            "any" => None,
            account => Some(account.to_owned()),
        }
    }

    /// The KMS key for what is written.
    #[must_use]
    pub fn kms_key(&self) -> Option<String> {
        Some(self.requirements.kms_key_id.clone()).filter(|key| !key.is_empty())
    }

    /// Adds to a denied call's error that the owner may be wrong: S3 answers both with the same code.
    #[must_use]
    pub fn explain(&self, error: Error) -> Error {
        // If the KMS key is denied, AWS's message names it.
        let denied = error.code() == Some("AccessDenied") && !error.to_string().contains("kms:");
        match self.owner().filter(|_| denied) {
            Some(owner) => error.with_advice(&format!(
                "either the right to do so is missing, or the bucket does not belong to the account {owner}: a bucket \
                 of another account has to be declared by the option s3_bucket_owner"
            )),
            None => error,
        }
    }
}

/// `s3://bucket/key`, as errors name an object.
#[must_use]
pub fn location(bucket: &str, key: &str) -> String {
    format!("s3://{bucket}/{key}")
}
