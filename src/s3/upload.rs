//! Writing an object as a stream: one PUT when it is small, else a multipart upload with parts in parallel.

use std::collections::HashMap;
use std::sync::Arc;

use aws_sdk_s3::primitives::ByteStream;
use aws_sdk_s3::types::{ChecksumAlgorithm, ServerSideEncryption};
use bytes::{Bytes, BytesMut};

use super::checksum::{CRC32, Crc};
use super::memory_budget::Share;
use super::multipart::Multipart;
use super::storage::Storage;
use super::target::Target;
use crate::aws::detached;
use crate::aws::timeouts::transfer_timeouts;
use crate::error::Result;

pub use super::multipart::PART_SIZE;

/// An upload under way. The object appears when [`Upload::finish`] returns, whole or not at all; dropping an
/// unfinished upload aborts it.
#[derive(Debug)]
pub struct Upload {
    target: Arc<Target>,
    buffer: BytesMut,
    /// Of the memory that uploads may take, for what is left in `buffer`.
    share: Option<Share>,
    multipart: Option<Multipart>,
}

impl Upload {
    /// An upload to `s3://bucket/key` with this user metadata. Sends nothing yet.
    #[must_use]
    pub fn new(storage: Storage, bucket: &str, key: &str, metadata: HashMap<String, String>) -> Self {
        let target = Target { storage, bucket: bucket.to_owned(), key: key.to_owned(), metadata };
        Self { target: Arc::new(target), buffer: BytesMut::new(), share: None, multipart: None }
    }

    /// Takes in as much of `data` as fits into the part being filled, and returns how much that was. A return value
    /// smaller than `data.len()` means that the part is full: call [`Upload::send_part`], then come back.
    pub fn fill(&mut self, data: &[u8]) -> usize {
        let part_size = self.multipart.as_ref().map_or(PART_SIZE, Multipart::part_size);
        let taken = data.len().min(part_size - self.buffer.len());
        self.buffer.extend_from_slice(&data[..taken]);
        taken
    }

    /// Sends the filled part on its way, waiting while too many parts are already under way.
    pub async fn send_part(&mut self) -> Result<()> {
        if self.multipart.is_none() {
            // To the end once it is begun, since S3 keeps what nobody knows of; then there is something to abort.
            let begun = detached::run(Multipart::begin(self.target.clone()), |begun| async { drop(begun) });
            self.multipart = Some(begun.await?);
        }
        let Some(multipart) = &mut self.multipart else { return Ok(()) };
        self.share = None;
        let share = self.target.storage.budget().share(self.buffer.len()).await;
        let part = self.buffer.split().freeze();
        multipart.send(part, share).await
    }

    /// Waits until all uploads together leave room for what this one has still to send, and keeps that room.
    ///
    /// Whoever fills many uploads does this before it begins the next one, so that their sum stays bounded.
    pub async fn reserve(&mut self) {
        self.share = None; // it may not wait for others while it keeps something from them
        self.share = Some(self.target.storage.budget().share(self.buffer.len()).await);
    }

    /// Sends what is left and makes the object appear.
    pub async fn finish(mut self) -> Result<()> {
        if self.share.is_none() {
            self.reserve().await;
        }
        let share = self.share.take();
        let rest = self.buffer.split().freeze();
        match self.multipart.take() {
            None => {
                let _share = share;
                self.put(rest).await
            }
            Some(mut multipart) => {
                if let Some(share) = share.filter(|_| !rest.is_empty()) {
                    multipart.send(rest, share).await?;
                }
                multipart.complete().await
            }
        }
    }

    async fn put(&self, body: Bytes) -> Result<()> {
        let target = &self.target;
        let kms_key = target.storage.kms_key();
        let request = target
            .storage
            .s3()
            .put_object()
            .bucket(&target.bucket)
            .key(&target.key)
            .set_expected_bucket_owner(target.storage.owner())
            .set_server_side_encryption(kms_key.as_ref().map(|_| ServerSideEncryption::AwsKms))
            .set_ssekms_key_id(kms_key)
            .set_metadata(Some(target.metadata.clone()))
            .checksum_algorithm(ChecksumAlgorithm::Crc32)
            // The SDK would do without one where the environment asks it to.
            .checksum_crc32(Crc::of(CRC32, &body).to_string())
            .body(ByteStream::from(body));
        let request = request.customize().config_override(transfer_timeouts());
        let request = if target.storage.hashes_payloads() { request } else { request.disable_payload_signing() };
        let sent = request.send().await;
        sent.map_err(|error| target.error(error))?;
        Ok(())
    }
}
