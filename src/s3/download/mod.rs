//! Reads an object as a stream: a small one in one request, a large one in ranges that are prefetched.

use std::collections::{HashMap, VecDeque};

use aws_sdk_s3::primitives::ByteStream;
use bytes::{Bytes, BytesMut};
use crc_fast::CrcAlgorithm;
use tokio::task::JoinHandle;

use crate::error::{Error, Kind, Result};
use crate::s3::checksum::{Checksum, Crc};
use crate::s3::storage::Storage;

mod source;

use source::{Source, length_of};

/// Size of one ranged request, and of the largest object that is read in one request.
const RANGE_BYTES: u64 = 16 * 1024 * 1024;
/// Ranges that are prefetched. With the one being read, they bound the memory of a download.
const PREFETCHED_RANGES: usize = 3;
/// Attempts of one request whose answer is truncated or damaged. The SDK retries only what fails before an answer
/// begins.
const MAX_ATTEMPTS: u32 = 4;

/// A download in progress. All its pieces are of one version of the object, or it fails. The last piece is returned
/// only after the checksum was verified, so that a damaged object is never taken for a complete one.
#[derive(Debug)]
pub struct Download {
    source: Source,
    etag: Option<String>,
    metadata: HashMap<String, String>,
    size: u64,
    requested: u64,
    returned: u64,
    prefetched: VecDeque<JoinHandle<Result<Piece>>>,
    first: Option<Bytes>,
    /// What `next` returned last. Its memory is used again if nobody else holds it by then.
    last: Option<Bytes>,
    checksum: Option<Checksum>,
}

/// Bytes of an object, with their checksum if S3 has one. Each range computes its own, in parallel.
#[derive(Debug)]
struct Piece {
    bytes: Bytes,
    crc: Option<Crc>,
}

impl Piece {
    fn new(bytes: Bytes, algorithm: Option<CrcAlgorithm>) -> Self {
        let crc = algorithm.map(|algorithm| Crc::of(algorithm, &bytes));
        Self { bytes, crc }
    }
}

impl Download {
    /// Opens `s3://bucket/key` and fetches its first piece.
    ///
    /// A missing object is [`Kind::NotFound`]; without `s3:ListBucket` AWS answers "denied" instead.
    pub async fn open(storage: Storage, bucket: &str, key: &str) -> Result<Self> {
        let source = Source { storage, bucket: bucket.to_owned(), key: key.to_owned() };
        for _ in 1..MAX_ATTEMPTS {
            match Self::begin(source.clone()).await {
                Err(error) if error.kind() == Kind::Damaged => log_retry(&error),
                outcome => return outcome,
            }
        }
        Self::begin(source).await
    }

    async fn begin(source: Source) -> Result<Self> {
        let _permit = source.storage.acquire_download().await;
        // A request without a range, because only its answer has the checksum. Only the first piece of a large object
        // is read from this answer; ranges are fetched for the rest in parallel.
        let answer = source
            .request()
            .customize()
            // With `checksum_mode` the SDK would verify as well, and warn of each checksum of parts.
            .mutate_request(|request| {
                request.headers_mut().insert("x-amz-checksum-mode", "ENABLED");
            })
            .send()
            .await
            .map_err(|error| source.error(error))?;
        let size = length_of(&answer);
        let mut download = Self {
            source,
            etag: answer.e_tag().map(str::to_owned),
            metadata: answer.metadata().cloned().unwrap_or_default(),
            size: 0,
            requested: 0,
            returned: 0,
            prefetched: VecDeque::new(),
            first: None,
            last: None,
            checksum: Checksum::of(&answer),
        };
        let first = if let Some(size) = size {
            download.set_size(size);
            download.source.read_exactly(answer.body, size.min(RANGE_BYTES), None).await?
        } else {
            download.first_piece_without_length(answer.body).await?
        };
        let algorithm = download.checksum.as_ref().map(Checksum::algorithm);
        download.first = Some(download.verify(Piece::new(first, algorithm))?);
        Ok(download)
    }

    /// The first piece of an answer without a length, because a proxy has changed it to chunked encoding. If the object
    /// has more than one piece, the answer to a ranged request has its size.
    async fn first_piece_without_length(&mut self, body: ByteStream) -> Result<Bytes> {
        let mut first = self.source.read_up_to(body, RANGE_BYTES + 1, None).await?;
        let arrived = first.len() as u64;
        let size = if arrived > RANGE_BYTES { self.source.size(self.etag.clone()).await? } else { arrived };
        first.truncate(usize::try_from(RANGE_BYTES).unwrap_or(usize::MAX));
        self.set_size(size);
        Ok(first)
    }

    /// Sets the size of the object and starts to prefetch what follows the first piece.
    fn set_size(&mut self, size: u64) {
        self.size = size;
        self.requested = size.min(RANGE_BYTES);
        self.prefetch(None);
    }

    /// Bytes in the object.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.size
    }

    /// The object's user metadata.
    #[must_use]
    pub fn metadata(&self) -> &HashMap<String, String> {
        &self.metadata
    }

    /// The next piece of the object, in order; `None` at its end.
    pub async fn next(&mut self) -> Result<Option<Bytes>> {
        let spare = self.last.take().and_then(|last| last.try_into_mut().ok());
        if self.first.is_some() {
            self.last = self.first.take();
            return Ok(self.last.clone());
        }
        let Some(range) = self.prefetched.front_mut() else { return Ok(None) };
        let piece = range
            .await
            .unwrap_or_else(|error| Err(Error::with_source(Kind::Ambiguous, "a range of a download was lost", error)));
        self.prefetched.pop_front();
        self.prefetch(spare);
        self.last = Some(self.verify(piece?)?);
        Ok(self.last.clone())
    }

    /// The whole object, fetched a second time if it arrives damaged.
    pub async fn collect(mut self) -> Result<Vec<u8>> {
        match self.rest().await {
            Err(error) if error.kind() == Kind::Damaged => {
                log_retry(&error);
                Self::begin(self.source.clone()).await?.rest().await
            }
            outcome => outcome,
        }
    }

    async fn rest(&mut self) -> Result<Vec<u8>> {
        let mut all = Vec::with_capacity(usize::try_from(self.size).unwrap_or_default());
        while let Some(piece) = self.next().await? {
            all.extend_from_slice(&piece);
        }
        Ok(all)
    }

    /// Adds a piece to the checksum, and verifies that after the last one.
    fn verify(&mut self, piece: Piece) -> Result<Bytes> {
        let Piece { bytes, crc } = piece;
        self.returned += bytes.len() as u64;
        let Some((checksum, crc)) = self.checksum.as_mut().zip(crc) else { return Ok(bytes) };
        checksum.append(&crc);
        match checksum.mismatch().filter(|_| self.returned == self.size) {
            Some(algorithm) => Err(Error::new(
                Kind::Damaged,
                format!(
                    "{} arrived damaged (its {algorithm} is not the one that S3 has); try again, and if that does not \
                     help look at what stands between this machine and S3, such as a proxy",
                    self.source.location()
                ),
            )),
            None => Ok(bytes),
        }
    }

    /// Asks for ranges until enough are under way; the first of them may use the memory of an earlier piece.
    fn prefetch(&mut self, mut spare: Option<BytesMut>) {
        while self.requested < self.size && self.prefetched.len() < PREFETCHED_RANGES {
            let length = RANGE_BYTES.min(self.size - self.requested);
            let algorithm = self.checksum.as_ref().map(Checksum::algorithm);
            let fetch = self.source.clone().range(self.requested, length, self.etag.clone(), spare.take());
            self.prefetched.push_back(tokio::spawn(async move { Ok(Piece::new(fetch.await?, algorithm)) }));
            self.requested += length;
        }
    }
}

impl Drop for Download {
    fn drop(&mut self) {
        for range in &self.prefetched {
            range.abort();
        }
    }
}

/// Reads a whole object.
pub async fn read(storage: Storage, bucket: &str, key: &str) -> Result<Vec<u8>> {
    Download::open(storage, bucket, key).await?.collect().await
}

fn log_retry(error: &Error) {
    tracing::info!("{error}; it is asked for once more");
}

#[cfg(test)]
mod tests;
