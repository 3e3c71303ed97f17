//! Access to a bucket: the connection, whose the bucket has to be, and the key that protects what is written.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::memory_budget::MemoryBudget;
use crate::aws::clients::Clients;
use crate::error::Error;

/// Downloads that begin at once.
const DOWNLOADS: usize = 64;

/// S3 as one executor uses it; cheap to clone.
#[derive(Clone, Debug)]
pub struct Storage {
    clients: Arc<Clients>,
    transfers: Arc<Transfers>,
    policy: Arc<Policy>,
}

/// What all transfers of a connection share.
#[derive(Debug)]
pub struct Transfers {
    /// Memory for what is on its way to S3.
    uploads: MemoryBudget,
    /// Downloads whose first piece, mostly the only one, is on its way; each is a connection and a file of the process.
    downloads: Arc<Semaphore>,
}

impl Default for Transfers {
    fn default() -> Self {
        Self { uploads: MemoryBudget::default(), downloads: Arc::new(Semaphore::new(DOWNLOADS)) }
    }
}

/// What an executor demands of its bucket.
#[derive(Clone, Debug, Default)]
pub struct Policy {
    /// Account that the bucket must belong to: twelve digits, empty for the caller's own, `any` to leave it open.
    pub bucket_owner: String,
    /// KMS key for what is written: id, ARN or alias; empty for the bucket's own encryption.
    pub kms_key_id: String,
}

impl Storage {
    /// A bucket's user over this connection.
    #[must_use]
    pub fn new(clients: Arc<Clients>, transfers: Arc<Transfers>, policy: Arc<Policy>) -> Self {
        Self { clients, transfers, policy }
    }

    /// The service's client.
    #[must_use]
    pub fn s3(&self) -> &aws_sdk_s3::Client {
        &self.clients.s3
    }

    /// Whether what is uploaded has to be hashed for its signature.
    #[must_use]
    pub fn hashes_payloads(&self) -> bool {
        self.clients.hash_payloads
    }

    /// The memory that uploads share.
    #[must_use]
    pub fn budget(&self) -> &MemoryBudget {
        &self.transfers.uploads
    }

    /// Waits until no more than some tens of downloads begin.
    pub async fn download_turn(&self) -> Option<OwnedSemaphorePermit> {
        self.transfers.downloads.clone().acquire_owned().await.ok()
    }

    /// The region that requests are signed for.
    #[must_use]
    pub fn region(&self) -> &str {
        &self.clients.region
    }

    /// The account that S3 is to refuse a call for, unless it owns the bucket.
    ///
    /// The caller's own account counts once it is known: nothing is asked here, so that a container needs no STS.
    #[must_use]
    pub fn owner(&self) -> Option<String> {
        match self.policy.bucket_owner.as_str() {
            "" => self.clients.caller.known().map(|identity| identity.account.clone()).filter(|own| !own.is_empty()),
            "any" => None,
            account => Some(account.to_owned()),
        }
    }

    /// The KMS key for what is written.
    #[must_use]
    pub fn kms_key(&self) -> Option<String> {
        Some(self.policy.kms_key_id.clone()).filter(|key| !key.is_empty())
    }

    /// The error of a call, which S3 also denies, in the same words, when the bucket is not the owner's.
    #[must_use]
    pub fn explained(&self, error: Error) -> Error {
        // Where a key is what is denied, AWS says so.
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
