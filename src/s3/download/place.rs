//! The requests of a download: for an object as a whole, and for ranges of it.

use aws_sdk_s3::error::SdkError;
use aws_sdk_s3::operation::get_object::builders::GetObjectFluentBuilder;
use aws_sdk_s3::operation::get_object::{GetObjectError, GetObjectOutput};
use aws_sdk_s3::primitives::{ByteStream, ByteStreamError};
use aws_smithy_runtime_api::box_error::BoxError;
use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use bytes::{Bytes, BytesMut};

use super::{TRIES, again};
use crate::aws::throughput::{self, Transferred};
use crate::error::{Error, Kind, Result};
use crate::s3::storage::{Storage, location};

/// What is downloaded.
#[derive(Clone, Debug)]
pub(super) struct Place {
    pub storage: Storage,
    pub bucket: String,
    pub key: String,
}

impl Place {
    pub fn location(&self) -> String {
        location(&self.bucket, &self.key)
    }

    pub fn request(&self) -> GetObjectFluentBuilder {
        let owner = self.storage.owner();
        self.storage.s3().get_object().bucket(&self.bucket).key(&self.key).set_expected_bucket_owner(owner)
    }

    pub async fn range(self, from: u64, length: u64, etag: Option<String>) -> Result<Bytes> {
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
    pub async fn size(&self, etag: Option<String>) -> Result<u64> {
        let answer = self.ask_for(0, 0, etag).await?;
        let size = answer.content_range().and_then(|range| range.rsplit_once('/')?.1.parse().ok());
        size.ok_or_else(|| Error::new(Kind::Garbled, format!("no answer for {} tells how long it is", self.location())))
    }

    /// The first `length` bytes of an answer's body. What is left of it is not wanted, and its connection is closed.
    pub async fn taken(&self, body: ByteStream, length: u64) -> Result<Bytes> {
        let bytes = self.up_to(body, length).await?;
        let arrived = bytes.len() as u64;
        if arrived < length { Err(Error::new(Kind::Damaged, self.broke_off(arrived, length))) } else { Ok(bytes) }
    }

    /// The same, or all of it if it is shorter.
    pub async fn up_to(&self, mut body: ByteStream, length: u64) -> Result<Bytes> {
        let transferred = Transferred::default();
        let arriving = async {
            let wanted = usize::try_from(length).unwrap_or(usize::MAX);
            let mut bytes = BytesMut::with_capacity(wanted);
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
        arrived.map_err(|error| Error::with_source(Kind::Damaged, self.broke_off(transferred.bytes(), length), error))
    }

    fn broke_off(&self, arrived: u64, length: u64) -> String {
        format!("the download of {} broke off after {arrived} of {length} bytes", self.location())
    }

    pub fn explained(&self, error: SdkError<GetObjectError, HttpResponse>) -> Error {
        self.storage.explained(Error::from_sdk("s3:GetObject", self.location(), error))
    }
}

/// Bytes that an answer says it has.
pub(super) fn length_of(answer: &GetObjectOutput) -> Option<u64> {
    answer.content_length().and_then(|length| length.try_into().ok())
}
