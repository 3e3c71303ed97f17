//! Reading an object as a stream: one request for a small one, else ranges that run ahead of the reader.

use std::collections::{HashMap, VecDeque};

use aws_sdk_s3::error::SdkError;
use aws_sdk_s3::operation::get_object::builders::GetObjectFluentBuilder;
use aws_sdk_s3::operation::get_object::{GetObjectError, GetObjectOutput};
use aws_sdk_s3::primitives::{ByteStream, ByteStreamError};
use aws_smithy_runtime_api::box_error::BoxError;
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
        let (first, last) = (from, from + length - 1);
        let answer = self.ask_for(first, last, etag).await?;
        let is_meant = match (length_of(&answer), answer.content_range()) {
            (Some(told), _) => told == length,
            (None, range) => range.is_some_and(|range| range.starts_with(&format!("bytes {first}-{last}/"))),
        };
        if !is_meant {
            let message = format!("the answer for {} does not have the range that was asked for", self.location());
            return Err(Error::new(Kind::Damaged, message));
        }
        self.taken(answer.body, length).await
    }

    async fn ask_for(&self, first: u64, last: u64, etag: Option<String>) -> Result<GetObjectOutput> {
        let range = format!("bytes={first}-{last}");
        let answer = self.request().range(range).set_if_match(etag).send().await;
        answer.map_err(|error| self.explained(error))
    }

    /// Bytes in the object, as the answer for one of them tells.
    async fn size(&self, etag: Option<String>) -> Result<u64> {
        let answer = self.ask_for(0, 0, etag).await?;
        let size = answer.content_range().and_then(|range| range.rsplit_once('/')?.1.parse().ok());
        size.ok_or_else(|| Error::new(Kind::Garbled, format!("no answer for {} tells how long it is", self.location())))
    }

    /// The first `length` bytes of an answer's body. What is left of it is not wanted, and its connection is closed.
    async fn taken(&self, body: ByteStream, length: u64) -> Result<Bytes> {
        let bytes = self.up_to(body, length).await?;
        let arrived = bytes.len() as u64;
        if arrived < length { Err(Error::new(Kind::Damaged, self.broke_off(arrived, length))) } else { Ok(bytes) }
    }

    /// The same, or all of it if it is shorter.
    async fn up_to(&self, mut body: ByteStream, length: u64) -> Result<Bytes> {
        let moved = Moved::default();
        let arriving = async {
            let wanted = usize::try_from(length).unwrap_or(usize::MAX);
            let mut bytes = BytesMut::with_capacity(wanted);
            while bytes.len() < wanted
                && let Some(piece) = body.next().await
            {
                let piece = piece?;
                let wanted = piece.len().min(wanted - bytes.len());
                bytes.extend_from_slice(&piece[..wanted]);
                moved.count(wanted);
            }
            Ok::<_, ByteStreamError>(bytes.freeze())
        };
        let arrived = match throughput::kept_up(&moved, arriving).await {
            Ok(arrived) => arrived.map_err(BoxError::from),
            Err(stalled) => Err(stalled.into()),
        };
        arrived.map_err(|error| Error::with_source(Kind::Damaged, self.broke_off(moved.bytes(), length), error))
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

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use aws_config::{BehaviorVersion, Region, SdkConfig};
    use aws_credential_types::Credentials;
    use aws_credential_types::provider::SharedCredentialsProvider;
    use aws_smithy_runtime_api::client::http::{
        HttpConnector, HttpConnectorFuture, SharedHttpConnector, http_client_fn,
    };
    use aws_smithy_runtime_api::client::orchestrator::HttpRequest;
    use tokio::time::{Duration, Instant};

    use super::*;
    use crate::clients::{Clients, timeouts};
    use crate::storage::Policy;
    use crate::throughput::tests::trickle;

    /// Has an object of 100 KiB, of which a byte arrives now and then.
    #[derive(Debug)]
    struct Trickling;

    impl HttpConnector for Trickling {
        fn call(&self, _: HttpRequest) -> HttpConnectorFuture {
            let answer = http::Response::builder().header("etag", "1").header("content-length", 100 * 1024);
            HttpConnectorFuture::ready(Ok(HttpResponse::try_from(answer.body(trickle()).unwrap()).unwrap()))
        }
    }

    #[tokio::test(start_paused = true)]
    async fn an_object_that_trickles_in_is_asked_for_again_and_then_given_up() {
        let connector = SharedHttpConnector::new(Trickling);
        let config = SdkConfig::builder()
            .behavior_version(BehaviorVersion::v2026_01_12())
            .region(Region::new("eu-west-1"))
            .credentials_provider(SharedCredentialsProvider::new(Credentials::new("id", "key", None, None, "tests")))
            .timeout_config(timeouts())
            .http_client(http_client_fn(move |_, _| connector.clone()))
            .build();
        let storage = Storage::new(Arc::new(Clients::new(&config)), Arc::new(Policy::default()));
        let start = Instant::now();
        let error = read(storage, "bucket", "key").await.unwrap_err();
        assert_eq!(error.kind(), Kind::Damaged);
        assert!(error.to_string().contains("less than 1024 bytes moved in 20 s"), "{error}");
        assert_eq!(start.elapsed().as_secs(), Duration::from_secs(80).as_secs());
    }
}
