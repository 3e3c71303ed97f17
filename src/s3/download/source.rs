//! The requests of a download: for an object as a whole, and for ranges of it.

use aws_sdk_s3::error::SdkError;
use aws_sdk_s3::operation::get_object::builders::GetObjectFluentBuilder;
use aws_sdk_s3::operation::get_object::{GetObjectError, GetObjectOutput};
use aws_sdk_s3::primitives::{ByteStream, ByteStreamError};
use aws_smithy_runtime_api::box_error::BoxError;
use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use bytes::{Bytes, BytesMut};

use super::{MAX_ATTEMPTS, log_retry};
use crate::aws::throughput::{self, Transferred};
use crate::error::{Error, Kind, Result};
use crate::s3::storage::{Storage, location};

/// The object that is downloaded.
#[derive(Clone, Debug)]
pub(super) struct Source {
    pub storage: Storage,
    pub bucket: String,
    pub key: String,
}

impl Source {
    pub fn location(&self) -> String {
        location(&self.bucket, &self.key)
    }

    pub fn request(&self) -> GetObjectFluentBuilder {
        let owner = self.storage.owner();
        self.storage.s3().get_object().bucket(&self.bucket).key(&self.key).set_expected_bucket_owner(owner)
    }

    /// A range of the object, in the memory of `spare` if there is one.
    pub async fn range(
        self,
        from: u64,
        length: u64,
        etag: Option<String>,
        mut spare: Option<BytesMut>,
    ) -> Result<Bytes> {
        for _ in 1..MAX_ATTEMPTS {
            match self.range_once(from, length, etag.clone(), spare.take()).await {
                Err(error) if error.kind() == Kind::Damaged => log_retry(&error),
                outcome => return outcome,
            }
        }
        self.range_once(from, length, etag, None).await
    }

    async fn range_once(&self, from: u64, length: u64, etag: Option<String>, spare: Option<BytesMut>) -> Result<Bytes> {
        let (first, last) = (from, from + length - 1);
        let answer = self.get_range(first, last, etag).await?;
        let is_meant = match (length_of(&answer), answer.content_range()) {
            (Some(announced), _) => announced == length,
            (None, range) => range.is_some_and(|range| range.starts_with(&format!("bytes {first}-{last}/"))),
        };
        if !is_meant {
            let message = format!("the answer for {} does not have the range that was asked for", self.location());
            return Err(Error::new(Kind::Damaged, message));
        }
        self.read_exactly(answer.body, length, spare).await
    }

    async fn get_range(&self, first: u64, last: u64, etag: Option<String>) -> Result<GetObjectOutput> {
        let range = format!("bytes={first}-{last}");
        let answer = self.request().range(range).set_if_match(etag).send().await;
        answer.map_err(|error| self.error(error))
    }

    /// The size of the object, by the answer to a request for one byte.
    pub async fn size(&self, etag: Option<String>) -> Result<u64> {
        let answer = self.get_range(0, 0, etag).await?;
        let size = answer.content_range().and_then(|range| range.rsplit_once('/')?.1.parse().ok());
        size.ok_or_else(|| Error::new(Kind::Garbled, format!("no answer for {} tells how long it is", self.location())))
    }

    /// The first `length` bytes of a body. Dropping the rest closes the connection.
    pub async fn read_exactly(&self, body: ByteStream, length: u64, spare: Option<BytesMut>) -> Result<Bytes> {
        let bytes = self.read_up_to(body, length, spare).await?;
        let arrived = bytes.len() as u64;
        if arrived < length {
            Err(Error::new(Kind::Damaged, self.truncation_message(arrived, length)))
        } else {
            Ok(bytes)
        }
    }

    /// Up to `length` bytes of a body.
    pub async fn read_up_to(&self, mut body: ByteStream, length: u64, spare: Option<BytesMut>) -> Result<Bytes> {
        let transferred = Transferred::default();
        let arriving = async {
            let wanted = usize::try_from(length).unwrap_or(usize::MAX);
            let mut bytes = spare.unwrap_or_default();
            bytes.clear();
            bytes.reserve(wanted);
            while bytes.len() < wanted
                && let Some(piece) = body.next().await
            {
                let piece = piece?;
                let wanted = piece.len().min(wanted - bytes.len());
                bytes.extend_from_slice(&piece[..wanted]);
                transferred.count(wanted);
            }
            Ok::<_, ByteStreamError>(bytes.freeze())
        };
        let arrived = match throughput::with_min_throughput(&transferred, arriving).await {
            Ok(arrived) => arrived.map_err(BoxError::from),
            Err(stalled) => Err(stalled.into()),
        };
        arrived.map_err(|error| {
            Error::with_source(Kind::Damaged, self.truncation_message(transferred.bytes(), length), error)
        })
    }

    fn truncation_message(&self, arrived: u64, length: u64) -> String {
        format!("the download of {} broke off after {arrived} of {length} bytes", self.location())
    }

    pub fn error(&self, error: SdkError<GetObjectError, HttpResponse>) -> Error {
        self.storage.explain(Error::from_sdk("s3:GetObject", self.location(), error))
    }
}

/// The announced length of an answer.
pub(super) fn length_of(answer: &GetObjectOutput) -> Option<u64> {
    answer.content_length().and_then(|length| length.try_into().ok())
}
