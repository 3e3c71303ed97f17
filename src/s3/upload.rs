//! Writes an object as a stream: a small one in one PUT, a large one as a multipart upload with parts in parallel.

use std::collections::HashMap;
use std::sync::Arc;

use aws_sdk_s3::primitives::ByteStream;
use aws_sdk_s3::types::{ChecksumAlgorithm, ServerSideEncryption};
use bytes::{Bytes, BytesMut};

use super::checksum::{CRC32, Crc};
use super::memory_budget::Reservation;
use super::multipart::Multipart;
use super::storage::Storage;
use super::target::Target;
use crate::aws::detached;
use crate::aws::timeouts::transfer_timeouts;
use crate::error::Result;

pub use super::multipart::PART_SIZE;

/// An upload in progress. The object appears when [`Upload::finish`] returns, complete or not at all; dropping an
/// unfinished upload aborts it.
#[derive(Debug)]
pub struct Upload {
    target: Arc<Target>,
    buffer: BytesMut,
    /// Memory that is reserved for the rest in `buffer`.
    reservation: Option<Reservation>,
    multipart: Option<Multipart>,
}

impl Upload {
    /// An upload to `s3://bucket/key` with this user metadata. Sends nothing.
    ///
    /// `is_shared` says that others may write the same object at the same time: their uploads are left alone.
    #[must_use]
    pub fn new(storage: Storage, bucket: &str, key: &str, metadata: HashMap<String, String>, is_shared: bool) -> Self {
        let target = Target { storage, bucket: bucket.to_owned(), key: key.to_owned(), metadata, is_shared };
        Self { target: Arc::new(target), buffer: BytesMut::new(), reservation: None, multipart: None }
    }

    /// Copies as much of `data` as fits into the current part, and returns how much that was. If it is less than
    /// `data.len()`, the part is full: call [`Upload::send_part`] and then this again.
    pub fn fill(&mut self, data: &[u8]) -> usize {
        let part_size = self.multipart.as_ref().map_or(PART_SIZE, Multipart::part_size);
        let taken = data.len().min(part_size - self.buffer.len());
        self.buffer.extend_from_slice(&data[..taken]);
        taken
    }

    /// Starts to send the full part, after waiting for a slot and for memory.
    pub async fn send_part(&mut self) -> Result<()> {
        if self.multipart.is_none() {
            // Detached: if it were cancelled, S3 would keep an upload whose id is unknown and cannot be aborted.
            let begun = detached::run(Multipart::begin(self.target.clone()), |begun| async { drop(begun) });
            self.multipart = Some(begun.await?);
        }
        let Some(multipart) = &mut self.multipart else { return Ok(()) };
        self.reservation = None;
        let reservation = self.target.storage.budget().reserve(self.buffer.len()).await;
        let part = self.buffer.split().freeze();
        multipart.send(part, reservation).await
    }

    /// Waits until there is memory for the rest of this upload, and reserves it.
    ///
    /// To be called before the next of many uploads is filled, so that their sum stays bounded.
    pub async fn reserve(&mut self) {
        self.reservation = None; // waiting while holding a reservation could deadlock
        self.reservation = Some(self.target.storage.budget().reserve(self.buffer.len()).await);
    }

    /// Sends the rest and completes the upload.
    pub async fn finish(mut self) -> Result<()> {
        if self.reservation.is_none() {
            self.reserve().await;
        }
        let reservation = self.reservation.take();
        let rest = self.buffer.split().freeze();
        match self.multipart.take() {
            None => {
                let _reservation = reservation;
                self.put(rest).await
            }
            Some(mut multipart) => {
                if let Some(reservation) = reservation.filter(|_| !rest.is_empty()) {
                    multipart.send(rest, reservation).await?;
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
            // The SDK would leave it out if a variable of the environment says so.
            .checksum_crc32(Crc::of(CRC32, &body).to_string())
            .body(ByteStream::from(body));
        let request = request.customize().config_override(transfer_timeouts());
        let request = if target.storage.hashes_payloads() { request } else { request.disable_payload_signing() };
        let sent = request.send().await;
        sent.map_err(|error| target.error(error))?;
        Ok(())
    }
}
