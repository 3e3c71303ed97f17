//! Reading an object as a stream: one request for a small one, else ranges that run ahead of the reader.

use std::collections::{HashMap, VecDeque};

use aws_sdk_s3::primitives::ByteStream;
use bytes::Bytes;
use crc_fast::CrcAlgorithm;
use tokio::task::JoinHandle;

use crate::error::{Error, Kind, Result};
use crate::s3::checksum::{Checksum, Crc};
use crate::s3::storage::Storage;

mod place;

use place::{Place, length_of};

/// Size of one ranged request, and of the largest object that comes in one answer.
const RANGE: u64 = 16 * 1024 * 1024;
/// Ranges that are under way ahead of the one being read; with that one they bound the memory of a download.
const RANGES_AHEAD: usize = 3;
/// Tries of one request whose answer breaks off or arrives damaged. The SDK, which repeats what fails before an answer
/// begins, does not repeat these.
const TRIES: u32 = 4;

/// A download under way. All its pieces are of one version of the object, or it fails. The last one is handed out only
/// if the content is what S3 has a checksum of, so nobody takes a damaged object for a whole one.
#[derive(Debug)]
pub struct Download {
    place: Place,
    etag: Option<String>,
    metadata: HashMap<String, String>,
    size: u64,
    requested: u64,
    returned: u64,
    ahead: VecDeque<JoinHandle<Result<Piece>>>,
    first: Option<Bytes>,
    checksum: Option<Checksum>,
}

/// Bytes of an object, and their checksum if the whole has one; each range computes its own, side by side.
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
    /// An object that is not there is [`Kind::NotFound`]; without `s3:ListBucket` AWS says "denied" instead.
    pub async fn open(storage: Storage, bucket: &str, key: &str) -> Result<Self> {
        let place = Place { storage, bucket: bucket.to_owned(), key: key.to_owned() };
        for _ in 1..TRIES {
            match Self::begin(place.clone()).await {
                Err(error) if error.kind() == Kind::Damaged => again(&error),
                outcome => return outcome,
            }
        }
        Self::begin(place).await
    }

    async fn begin(place: Place) -> Result<Self> {
        let _turn = place.storage.download_turn().await;
        // Asked for as a whole, because only then S3 tells the checksum. Of a large object no more than the first piece
        // is taken from this answer; the rest comes side by side.
        let answer = place
            .request()
            .customize()
            // `checksum_mode` would have the SDK compare as well, and warn of each checksum that is of parts.
            .mutate_request(|request| {
                request.headers_mut().insert("x-amz-checksum-mode", "ENABLED");
            })
            .send()
            .await
            .map_err(|error| place.explained(error))?;
        let size = length_of(&answer);
        let mut download = Self {
            place,
            etag: answer.e_tag().map(str::to_owned),
            metadata: answer.metadata().cloned().unwrap_or_default(),
            size: 0,
            requested: 0,
            returned: 0,
            ahead: VecDeque::new(),
            first: None,
            checksum: Checksum::of(&answer),
        };
        let first = if let Some(size) = size {
            download.expect(size);
            download.place.taken(answer.body, size.min(RANGE)).await?
        } else {
            download.first_of_unknown(answer.body).await?
        };
        let algorithm = download.checksum.as_ref().map(Checksum::algorithm);
        download.first = Some(download.take_in(Piece::new(first, algorithm))?);
        Ok(download)
    }

    /// The first piece of an answer that does not tell how long it is, since something on its way sends it on in chunks: all
    /// of it, unless it goes on. Then the answer for a range tells.
    async fn first_of_unknown(&mut self, body: ByteStream) -> Result<Bytes> {
        let mut first = self.place.up_to(body, RANGE + 1).await?;
        let arrived = first.len() as u64;
        let size = if arrived > RANGE { self.place.size(self.etag.clone()).await? } else { arrived };
        first.truncate(usize::try_from(RANGE).unwrap_or(usize::MAX));
        self.expect(size);
        Ok(first)
    }

    /// Takes in how large the object is, of which the first piece is under way.
    fn expect(&mut self, size: u64) {
        self.size = size;
        self.requested = size.min(RANGE);
        self.run_ahead();
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
        if let Some(first) = self.first.take() {
            return Ok(Some(first));
        }
        let Some(range) = self.ahead.front_mut() else { return Ok(None) };
        let piece = range
            .await
            .unwrap_or_else(|error| Err(Error::with_source(Kind::Ambiguous, "a range of a download was lost", error)));
        self.ahead.pop_front();
        self.run_ahead();
        Ok(Some(self.take_in(piece?)?))
    }

    /// The whole object in one piece, fetched once more if it arrives damaged.
    pub async fn collect(mut self) -> Result<Vec<u8>> {
        match self.rest().await {
            Err(error) if error.kind() == Kind::Damaged => {
                again(&error);
                Self::begin(self.place.clone()).await?.rest().await
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

    /// Counts a piece in, and after the last one compares the whole with what S3 has.
    fn take_in(&mut self, piece: Piece) -> Result<Bytes> {
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
                    self.place.location()
                ),
            )),
            None => Ok(bytes),
        }
    }

    fn run_ahead(&mut self) {
        while self.requested < self.size && self.ahead.len() < RANGES_AHEAD {
            let length = RANGE.min(self.size - self.requested);
            let algorithm = self.checksum.as_ref().map(Checksum::algorithm);
            let fetch = self.place.clone().range(self.requested, length, self.etag.clone());
            self.ahead.push_back(tokio::spawn(async move { Ok(Piece::new(fetch.await?, algorithm)) }));
            self.requested += length;
        }
    }
}

impl Drop for Download {
    fn drop(&mut self) {
        for range in &self.ahead {
            range.abort();
        }
    }
}

/// Opens an object and reads it whole.
pub async fn read(storage: Storage, bucket: &str, key: &str) -> Result<Vec<u8>> {
    Download::open(storage, bucket, key).await?.collect().await
}

fn again(error: &Error) {
    tracing::info!("{error}; it is asked for once more");
}

#[cfg(test)]
mod tests;
