//! Writing an object as a stream: one PUT when it is small, else a multipart upload with parts in parallel.

use std::collections::HashMap;
use std::sync::Arc;

use aws_sdk_s3::primitives::ByteStream;
use aws_sdk_s3::types::{
    ChecksumAlgorithm, ChecksumType, CompletedMultipartUpload, CompletedPart, ServerSideEncryption,
};
use bytes::{Bytes, BytesMut};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use crate::checksum::{Running, crc32_of};
use crate::error::{Error, Kind, Result};
use crate::storage::{Storage, location};

/// Size of a part, and of the largest object that goes out in one PUT.
pub const PART_SIZE: usize = 16 * 1024 * 1024;
/// Parts on their way at once; with the one being filled this bounds the memory of an upload.
const PARTS_IN_FLIGHT: usize = 4;
/// S3 takes 10,000 parts; each thousand is twice as large as the one before, which reaches past 5 TiB.
const PARTS_OF_A_SIZE: i32 = 1000;

/// An upload under way. The object appears when [`Upload::finish`] returns, whole or not at all; dropping an
/// unfinished upload aborts it.
#[derive(Debug)]
pub struct Upload {
    storage: Storage,
    bucket: String,
    key: String,
    metadata: HashMap<String, String>,
    buffer: BytesMut,
    multipart: Option<Multipart>,
}

#[derive(Debug)]
struct Multipart {
    guard: AbortGuard,
    next_part: i32,
    slots: Arc<Semaphore>,
    checksum: Running,
    parts: JoinSet<Result<CompletedPart>>,
    done: Vec<CompletedPart>,
}

/// Aborts the multipart upload when it is dropped with its id still in place.
#[derive(Debug)]
struct AbortGuard {
    storage: Storage,
    bucket: String,
    key: String,
    upload_id: Option<String>,
}

impl Upload {
    /// An upload to `s3://bucket/key` with this user metadata. Sends nothing yet.
    #[must_use]
    pub fn new(storage: Storage, bucket: &str, key: &str, metadata: HashMap<String, String>) -> Self {
        Self {
            storage,
            bucket: bucket.to_owned(),
            key: key.to_owned(),
            metadata,
            buffer: BytesMut::new(),
            multipart: None,
        }
    }

    /// Takes in as much of `data` as fits into the part being filled, and returns how much that was. A return value
    /// smaller than `data.len()` means that the part is full: call [`Upload::send_part`], then come back.
    pub fn fill(&mut self, data: &[u8]) -> usize {
        let part_size = self.multipart.as_ref().map_or(PART_SIZE, |multipart| part_size(multipart.next_part));
        let taken = data.len().min(part_size - self.buffer.len());
        self.buffer.extend_from_slice(&data[..taken]);
        taken
    }

    /// Sends the filled part on its way, waiting while too many parts are already under way.
    pub async fn send_part(&mut self) -> Result<()> {
        if self.multipart.is_none() {
            self.multipart = Some(self.create().await?);
        }
        let Some(multipart) = &mut self.multipart else { return Ok(()) };
        let part = self.buffer.split().freeze();
        multipart.send(part).await
    }

    /// Sends what is left and makes the object appear.
    pub async fn finish(mut self) -> Result<()> {
        let rest = self.buffer.split().freeze();
        match self.multipart.take() {
            None => self.put(rest).await,
            Some(mut multipart) => {
                if !rest.is_empty() {
                    multipart.send(rest).await?;
                }
                multipart.complete().await
            }
        }
    }

    async fn put(&self, body: Bytes) -> Result<()> {
        let kms_key = self.storage.kms_key();
        self.storage
            .s3()
            .put_object()
            .bucket(&self.bucket)
            .key(&self.key)
            .set_expected_bucket_owner(self.storage.owner())
            .set_server_side_encryption(kms_key.as_ref().map(|_| ServerSideEncryption::AwsKms))
            .set_ssekms_key_id(kms_key)
            .set_metadata(Some(self.metadata.clone()))
            .checksum_algorithm(ChecksumAlgorithm::Crc32)
            // The SDK would do without one where the environment asks it to.
            .checksum_crc32(crc32_of(&body))
            .body(ByteStream::from(body))
            .send()
            .await
            .map_err(|error| Error::from_sdk("s3:PutObject", location(&self.bucket, &self.key), error))
            .map_err(|error| self.storage.explained(error))?;
        Ok(())
    }

    async fn create(&self) -> Result<Multipart> {
        let kms_key = self.storage.kms_key();
        let answer = self
            .storage
            .s3()
            .create_multipart_upload()
            .bucket(&self.bucket)
            .key(&self.key)
            .set_expected_bucket_owner(self.storage.owner())
            .set_server_side_encryption(kms_key.as_ref().map(|_| ServerSideEncryption::AwsKms))
            .set_ssekms_key_id(kms_key)
            .set_metadata(Some(self.metadata.clone()))
            .checksum_algorithm(ChecksumAlgorithm::Crc32)
            // One of the whole content, which whoever downloads it can compare, in whatever pieces it comes.
            .checksum_type(ChecksumType::FullObject)
            .send()
            .await
            .map_err(|error| Error::from_sdk("s3:PutObject", location(&self.bucket, &self.key), error))
            .map_err(|error| self.storage.explained(error))?;
        let guard = AbortGuard {
            storage: self.storage.clone(),
            bucket: self.bucket.clone(),
            key: self.key.clone(),
            upload_id: answer.upload_id,
        };
        let slots = Arc::new(Semaphore::new(PARTS_IN_FLIGHT));
        Ok(Multipart {
            guard,
            next_part: 1,
            slots,
            checksum: Running::crc32(),
            parts: JoinSet::new(),
            done: Vec::new(),
        })
    }
}

impl Multipart {
    async fn send(&mut self, body: Bytes) -> Result<()> {
        let slot = self.slots.clone().acquire_owned().await;
        // Fail as soon as one part has, not when all the data has been pickled.
        while let Some(part) = self.parts.try_join_next() {
            self.done.push(joined(part)?);
        }
        let number = self.next_part;
        self.next_part += 1;
        self.checksum.update(&body);
        let (storage, bucket, key) = (self.guard.storage.clone(), self.guard.bucket.clone(), self.guard.key.clone());
        let upload_id = self.guard.upload_id.clone();
        self.parts.spawn(async move {
            let answer = storage
                .s3()
                .upload_part()
                .bucket(&bucket)
                .key(&key)
                .set_upload_id(upload_id)
                .part_number(number)
                .set_expected_bucket_owner(storage.owner())
                .checksum_algorithm(ChecksumAlgorithm::Crc32)
                .checksum_crc32(crc32_of(&body))
                .body(ByteStream::from(body))
                .send()
                .await
                .map_err(|error| Error::from_sdk("s3:PutObject", location(&bucket, &key), error))
                .map_err(|error| storage.explained(error))?;
            drop(slot);
            Ok(CompletedPart::builder()
                .part_number(number)
                .set_e_tag(answer.e_tag)
                .set_checksum_crc32(answer.checksum_crc32)
                .build())
        });
        Ok(())
    }

    async fn complete(mut self) -> Result<()> {
        let mut parts = std::mem::take(&mut self.done);
        while let Some(part) = self.parts.join_next().await {
            parts.push(joined(part)?);
        }
        parts.sort_by_key(CompletedPart::part_number);
        let (guard, checksum) = (&mut self.guard, self.checksum.value());
        let answer = guard
            .storage
            .s3()
            .complete_multipart_upload()
            .bucket(&guard.bucket)
            .key(&guard.key)
            .set_upload_id(guard.upload_id.clone())
            .set_expected_bucket_owner(guard.storage.owner())
            .checksum_type(ChecksumType::FullObject)
            .checksum_crc32(&checksum)
            .multipart_upload(CompletedMultipartUpload::builder().set_parts(Some(parts)).build())
            .send()
            .await
            .map_err(|error| Error::from_sdk("s3:PutObject", location(&guard.bucket, &guard.key), error))
            .map_err(|error| guard.storage.explained(error))?;
        guard.upload_id = None;
        match answer.checksum_crc32() {
            // S3 has compared it already, which not everything does that is compatible with S3. One with a dash is of the
            // parts' checksums.
            Some(stored) if stored != checksum && !stored.contains('-') => Err(Error::new(
                Kind::Damaged,
                format!(
                    "{} was stored damaged (its CRC32 is not that of what was sent); try again",
                    location(&guard.bucket, &guard.key)
                ),
            )),
            _ => Ok(()),
        }
    }
}

impl Drop for AbortGuard {
    fn drop(&mut self) {
        let (Some(upload_id), Ok(runtime)) = (self.upload_id.take(), tokio::runtime::Handle::try_current()) else {
            return;
        };
        let (storage, bucket, key) = (self.storage.clone(), self.bucket.clone(), self.key.clone());
        runtime.spawn(async move {
            let aborted = storage
                .s3()
                .abort_multipart_upload()
                .bucket(&bucket)
                .key(&key)
                .upload_id(upload_id)
                .set_expected_bucket_owner(storage.owner())
                .send()
                .await;
            if let Err(error) = aborted {
                let error = Error::from_sdk("s3:AbortMultipartUpload", location(&bucket, &key), error);
                tracing::warn!("{error}; the bucket's lifecycle rule has to remove its parts");
            }
        });
    }
}

fn part_size(number: i32) -> usize {
    PART_SIZE << ((number - 1) / PARTS_OF_A_SIZE).clamp(0, 8)
}

fn joined(part: Result<Result<CompletedPart>, tokio::task::JoinError>) -> Result<CompletedPart> {
    part.unwrap_or_else(|error| Err(Error::with_source(Kind::Ambiguous, "a part of an upload was lost", error)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ten_thousand_parts_hold_five_tebibytes() {
        let largest: u64 = 5 * 1024 * 1024 * 1024 * 1024;
        let total: u64 = (1..=10_000).map(|number| part_size(number) as u64).sum();
        assert!(total > largest, "{total}");
        // S3's limit on a part is 5 GiB.
        assert!(part_size(10_000) as u64 <= 5 << 30);
    }
}
