//! Reading an object as a stream: one request for a small one, else ranges that run ahead of the reader.

use std::collections::{HashMap, VecDeque};

use aws_sdk_s3::error::SdkError;
use aws_sdk_s3::operation::get_object::builders::GetObjectFluentBuilder;
use aws_sdk_s3::operation::get_object::{GetObjectError, GetObjectOutput};
use aws_sdk_s3::primitives::ByteStream;
use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use bytes::{Bytes, BytesMut};
use crc_fast::CrcAlgorithm;
use tokio::task::JoinHandle;

use crate::checksum::{Checksum, Crc};
use crate::error::{Error, Kind, Result};
use crate::storage::{Storage, location};
use crate::throughput::{self, Moved};

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

/// What is downloaded.
#[derive(Clone, Debug)]
struct Place {
    storage: Storage,
    bucket: String,
    key: String,
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
        let size = length_of(&answer).ok_or_else(|| {
            Error::new(Kind::Garbled, format!("the answer for {} does not tell how long it is", place.location()))
        })?;
        let length = size.min(RANGE);
        let mut download = Self {
            place,
            etag: answer.e_tag().map(str::to_owned),
            metadata: answer.metadata().cloned().unwrap_or_default(),
            size,
            requested: length,
            returned: 0,
            ahead: VecDeque::new(),
            first: None,
            checksum: Checksum::of(&answer),
        };
        download.run_ahead();
        let first = download.place.taken(answer.body, length).await?;
        let algorithm = download.checksum.as_ref().map(Checksum::algorithm);
        download.first = Some(download.take_in(Piece::new(first, algorithm))?);
        Ok(download)
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

impl Place {
    fn location(&self) -> String {
        location(&self.bucket, &self.key)
    }

    fn request(&self) -> GetObjectFluentBuilder {
        let owner = self.storage.owner();
        self.storage.s3().get_object().bucket(&self.bucket).key(&self.key).set_expected_bucket_owner(owner)
    }

    async fn range(self, from: u64, length: u64, etag: Option<String>) -> Result<Bytes> {
        for _ in 1..TRIES {
            match self.range_once(from, length, etag.clone()).await {
                Err(error) if error.kind() == Kind::Damaged => again(&error),
                outcome => return outcome,
            }
        }
        self.range_once(from, length, etag).await
    }

    async fn range_once(&self, from: u64, length: u64, etag: Option<String>) -> Result<Bytes> {
        let range = format!("bytes={from}-{}", from + length - 1);
        let answer = self.request().range(range).set_if_match(etag).send().await;
        let answer = answer.map_err(|error| self.explained(error))?;
        if length_of(&answer) != Some(length) {
            let message = format!("the answer for {} does not have the range that was asked for", self.location());
            return Err(Error::new(Kind::Damaged, message));
        }
        self.taken(answer.body, length).await
    }

    /// The first `length` bytes of an answer's body. What is left of it is not wanted, and its connection is closed.
    async fn taken(&self, body: ByteStream, length: u64) -> Result<Bytes> {
        let moved = Moved::default();
        let stalled = |error| Error::with_source(Kind::Damaged, self.broke_off(moved.bytes(), length), error);
        throughput::kept_up(&moved, self.arriving(body, length, &moved)).await.map_err(stalled)?
    }

    async fn arriving(&self, mut body: ByteStream, length: u64, moved: &Moved) -> Result<Bytes> {
        let wanted = usize::try_from(length).unwrap_or(usize::MAX);
        let mut bytes = BytesMut::with_capacity(wanted);
        while bytes.len() < wanted {
            let broke_off = || self.broke_off(moved.bytes(), length);
            match body.next().await {
                Some(Ok(piece)) => {
                    let wanted = piece.len().min(wanted - bytes.len());
                    bytes.extend_from_slice(&piece[..wanted]);
                    moved.count(wanted);
                }
                Some(Err(error)) => return Err(Error::with_source(Kind::Damaged, broke_off(), error)),
                None => return Err(Error::new(Kind::Damaged, broke_off())),
            }
        }
        Ok(bytes.freeze())
    }

    fn broke_off(&self, arrived: u64, length: u64) -> String {
        format!("the download of {} broke off after {arrived} of {length} bytes", self.location())
    }

    fn explained(&self, error: SdkError<GetObjectError, HttpResponse>) -> Error {
        self.storage.explained(Error::from_sdk("s3:GetObject", self.location(), error))
    }
}

/// Opens an object and reads it whole.
pub async fn read(storage: Storage, bucket: &str, key: &str) -> Result<Vec<u8>> {
    Download::open(storage, bucket, key).await?.collect().await
}

fn length_of(answer: &GetObjectOutput) -> Option<u64> {
    answer.content_length().and_then(|length| length.try_into().ok())
}

fn again(error: &Error) {
    tracing::info!("{error}; it is asked for once more");
}
