//! A multipart upload: parts in parallel, bounded in memory; complete, or aborted.

use std::sync::Arc;
use std::time::Duration;

use aws_sdk_s3::operation::create_multipart_upload::CreateMultipartUploadError;
use aws_sdk_s3::primitives::ByteStream;
use aws_sdk_s3::types::{
    ChecksumAlgorithm, ChecksumType, CompletedMultipartUpload, CompletedPart, ServerSideEncryption,
};
use bytes::Bytes;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::sleep;

use super::checksum::{CRC32, Crc};
use super::memory_budget::Reservation;
use super::target::Target;
use crate::aws::detached;
use crate::aws::retry::ClockSkewOnly;
use crate::aws::timeouts::transfer_timeouts;
use crate::error::{Error, Kind, Result};

/// Size in bytes of the first parts, and of the largest object that is sent in one PUT.
pub const PART_SIZE: usize = 16 * 1024 * 1024;
/// Parts in flight. With the one being filled, they bound the memory of an upload.
const PARTS_IN_FLIGHT: usize = 4;
/// The size of a part doubles after this number of parts: S3 takes 10,000 parts, and an object may have 5 TiB.
const PARTS_PER_SIZE: i32 = 1000;
/// Attempts to create an upload, and the backoff after the first, which grows linearly.
const MAX_CREATE_ATTEMPTS: u32 = 8;
const CREATE_BACKOFF: Duration = Duration::from_millis(500);

/// A multipart upload in progress; dropping an unfinished one aborts it.
#[derive(Debug)]
pub(crate) struct Multipart {
    target: Arc<Target>,
    /// `None` when there is nothing to abort.
    id: Option<String>,
    next_part: i32,
    slots: Arc<Semaphore>,
    size: u64,
    parts: JoinSet<Result<Part>>,
    done: Vec<Part>,
}

/// A part that S3 has stored.
#[derive(Debug)]
struct Part {
    number: i32,
    checksum: Crc,
    completed: CompletedPart,
}

impl Multipart {
    /// Creates an upload.
    pub async fn begin(target: Arc<Target>) -> Result<Self> {
        let mut attempts = 1;
        let id = loop {
            match try_create(&target).await {
                Ok(id) => break id,
                Err(error) if error.is_transient() && attempts < MAX_CREATE_ATTEMPTS => {
                    sleep(CREATE_BACKOFF * attempts).await;
                }
                Err(error) => return Err(error),
            }
            attempts += 1;
        };
        // An earlier attempt whose answer was lost may have created an upload. Which one it was cannot be told.
        if attempts > 1 && !target.is_shared {
            abort_others(&target, id.as_deref()).await;
        }
        Ok(Self {
            target,
            id,
            next_part: 1,
            slots: Arc::new(Semaphore::new(PARTS_IN_FLIGHT)),
            size: 0,
            parts: JoinSet::new(),
            done: Vec::new(),
        })
    }

    /// Size of the next part in bytes.
    pub fn part_size(&self) -> usize {
        part_size(self.next_part)
    }

    /// Starts to send a part, after waiting for one of the slots.
    pub async fn send(&mut self, body: Bytes, reservation: Reservation) -> Result<()> {
        let slot = self.slots.clone().acquire_owned().await;
        // Fail as soon as one part has, not when all the data has been pickled.
        while let Some(part) = self.parts.try_join_next() {
            self.done.push(join_part(part)?);
        }
        let number = self.next_part;
        self.next_part += 1;
        self.size += body.len() as u64;
        let (target, id) = (self.target.clone(), self.id.clone());
        self.parts.spawn(async move {
            let checksum = Crc::of(CRC32, &body);
            let request = target
                .storage
                .s3()
                .upload_part()
                .bucket(&target.bucket)
                .key(&target.key)
                .set_upload_id(id)
                .part_number(number)
                .set_expected_bucket_owner(target.storage.owner())
                .checksum_algorithm(ChecksumAlgorithm::Crc32)
                .checksum_crc32(checksum.to_string())
                .body(ByteStream::from(body));
            let request = request.customize().config_override(transfer_timeouts());
            let request = if target.storage.hashes_payloads() { request } else { request.disable_payload_signing() };
            let answer = request.send().await;
            let answer = answer.map_err(|error| target.error(error))?;
            drop((slot, reservation));
            let completed = CompletedPart::builder()
                .part_number(number)
                .set_e_tag(answer.e_tag)
                .set_checksum_crc32(answer.checksum_crc32)
                .build();
            Ok(Part { number, checksum, completed })
        });
        Ok(())
    }

    /// Waits for the parts and completes the upload.
    pub async fn complete(mut self) -> Result<()> {
        let mut parts = std::mem::take(&mut self.done);
        while let Some(part) = self.parts.join_next().await {
            parts.push(join_part(part)?);
        }
        parts.sort_by_key(|part| part.number);
        // The checksum of the whole is combined from those of the parts, which were computed in parallel.
        let checksum =
            parts.iter().fold(Crc::of(CRC32, &[]), |whole, part| whole.followed_by(&part.checksum)).to_string();
        let parts = parts.into_iter().map(|part| part.completed).collect();
        let target = &self.target;
        let answer = target
            .storage
            .s3()
            .complete_multipart_upload()
            .bucket(&target.bucket)
            .key(&target.key)
            .set_upload_id(self.id.clone())
            .set_expected_bucket_owner(target.storage.owner())
            .checksum_type(ChecksumType::FullObject)
            .checksum_crc32(&checksum)
            .multipart_upload(CompletedMultipartUpload::builder().set_parts(Some(parts)).build())
            .customize()
            .config_override(transfer_timeouts())
            .send()
            .await
            .map_err(|error| target.error(error));
        let stored = match answer {
            // The answer to an earlier attempt was lost: S3 no longer knows the upload because it is complete.
            Err(error) if error.code() == Some("NoSuchUpload") && is_stored(target, self.size).await => None,
            answer => answer?.checksum_crc32,
        };
        self.id = None;
        match stored {
            // S3 verifies it itself, but not every S3-compatible service does. A checksum with a dash is one of the
            // parts' checksums and cannot be compared.
            Some(stored) if stored != checksum && !stored.contains('-') => Err(Error::new(
                Kind::Damaged,
                format!(
                    "{} was stored damaged (its CRC32 is not that of what was sent); try again",
                    self.target.location()
                ),
            )),
            _ => Ok(()),
        }
    }
}

impl Drop for Multipart {
    fn drop(&mut self) {
        let Some(id) = self.id.take() else { return };
        if tokio::runtime::Handle::try_current().is_err() {
            return;
        }
        // A part that arrives after the abort may stay in the bucket, and cost money.
        self.parts.abort_all();
        let target = self.target.clone();
        // Detached, so that the process waits for it before it exits.
        drop(detached::run(async move { abort(&target, &id).await }, |()| async {}));
    }
}

async fn try_create(target: &Target) -> Result<Option<String>> {
    let kms_key = target.storage.kms_key();
    let answer = target
        .storage
        .s3()
        .create_multipart_upload()
        .bucket(&target.bucket)
        .key(&target.key)
        .set_expected_bucket_owner(target.storage.owner())
        .set_server_side_encryption(kms_key.as_ref().map(|_| ServerSideEncryption::AwsKms))
        .set_ssekms_key_id(kms_key)
        .set_metadata(Some(target.metadata.clone()))
        .checksum_algorithm(ChecksumAlgorithm::Crc32)
        // A checksum of the whole content, so that a download can verify it independently of the parts.
        .checksum_type(ChecksumType::FullObject)
        .customize()
        .config_override(
            aws_sdk_s3::Config::builder().retry_classifier(ClockSkewOnly::<CreateMultipartUploadError>::new()),
        )
        .send()
        .await
        .map_err(|error| target.error(error))?;
    Ok(answer.upload_id)
}

/// Aborts every upload of this key but `keep`. If they cannot be listed, the bucket's lifecycle rule removes them.
async fn abort_others(target: &Target, keep: Option<&str>) {
    let listed = target
        .storage
        .s3()
        .list_multipart_uploads()
        .bucket(&target.bucket)
        .prefix(&target.key)
        .set_expected_bucket_owner(target.storage.owner())
        .send()
        .await;
    match listed {
        Ok(listed) => {
            for upload in listed.uploads().iter().filter(|upload| upload.key() == Some(&target.key)) {
                if let Some(id) = upload.upload_id().filter(|id| Some(*id) != keep) {
                    abort(target, id).await;
                }
            }
        }
        Err(error) => {
            let error = Error::from_sdk("s3:ListBucketMultipartUploads", target.location(), error);
            tracing::info!("{error}; an unfinished upload may be left to the bucket's lifecycle rule");
        }
    }
}

/// Whether the key has an object of this size.
async fn is_stored(target: &Target, size: u64) -> bool {
    let head = target
        .storage
        .s3()
        .head_object()
        .bucket(&target.bucket)
        .key(&target.key)
        .set_expected_bucket_owner(target.storage.owner())
        .send()
        .await;
    head.is_ok_and(|head| head.content_length().and_then(|length| u64::try_from(length).ok()) == Some(size))
}

async fn abort(target: &Target, id: &str) {
    let aborted = target
        .storage
        .s3()
        .abort_multipart_upload()
        .bucket(&target.bucket)
        .key(&target.key)
        .upload_id(id)
        .set_expected_bucket_owner(target.storage.owner())
        .send()
        .await;
    if let Err(error) = aborted {
        let error = Error::from_sdk("s3:AbortMultipartUpload", target.location(), error);
        tracing::warn!("{error}; the bucket's lifecycle rule has to remove its parts");
    }
}

fn part_size(number: i32) -> usize {
    PART_SIZE << ((number - 1) / PARTS_PER_SIZE).clamp(0, 8)
}

fn join_part(part: Result<Result<Part>, tokio::task::JoinError>) -> Result<Part> {
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
