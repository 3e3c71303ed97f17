//! Reading an object as a stream: ranged requests that run ahead of the reader.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use bytes::Bytes;
use tokio::task::JoinHandle;

use crate::clients::Clients;
use crate::error::{Error, Kind, Result};
use crate::upload::location;

/// Size of one ranged request.
const RANGE: u64 = 16 * 1024 * 1024;
/// Ranges that are under way ahead of the one being read; with that one they bound the memory of a download.
const RANGES_AHEAD: usize = 3;

/// A download under way. All its ranges are of one version of the object, or it fails.
#[derive(Debug)]
pub struct Download {
    clients: Arc<Clients>,
    bucket: String,
    key: String,
    etag: Option<String>,
    metadata: HashMap<String, String>,
    size: u64,
    requested: u64,
    ahead: VecDeque<JoinHandle<Result<Bytes>>>,
    first: Option<Bytes>,
}

impl Download {
    /// Opens `s3://bucket/key` and fetches its first range.
    ///
    /// An object that is not there is [`Kind::NotFound`]; without `s3:ListBucket` AWS says "denied" instead.
    pub async fn open(clients: Arc<Clients>, bucket: &str, key: &str) -> Result<Self> {
        let object = clients.s3.get_object().bucket(bucket).key(key);
        let answer = match object.clone().range(range(0)).send().await {
            // No range of an empty object can be satisfied, and the refusal does not tell its metadata.
            Err(error) if error.raw_response().is_some_and(|response| response.status().as_u16() == 416) => {
                object.send().await
            }
            answer => answer,
        }
        .map_err(|error| Error::from_sdk("s3:GetObject", location(bucket, key), error))?;
        let length = u64::try_from(answer.content_length().unwrap_or_default()).unwrap_or_default();
        let size = answer.content_range().and_then(total_of).unwrap_or(length);
        let mut download = Self::new(clients, bucket, key, size);
        download.etag = answer.e_tag().map(str::to_owned);
        download.metadata = answer.metadata().cloned().unwrap_or_default();
        download.requested = length;
        download.run_ahead();
        let body = answer.body.collect().await.map_err(|error| cut_short(bucket, key, error))?;
        download.first = Some(body.into_bytes());
        Ok(download)
    }

    fn new(clients: Arc<Clients>, bucket: &str, key: &str, size: u64) -> Self {
        Self {
            clients,
            bucket: bucket.to_owned(),
            key: key.to_owned(),
            etag: None,
            metadata: HashMap::new(),
            size,
            requested: 0,
            ahead: VecDeque::new(),
            first: None,
        }
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
        let bytes = range
            .await
            .unwrap_or_else(|error| Err(Error::with_source(Kind::Ambiguous, "a range of a download was lost", error)));
        self.ahead.pop_front();
        self.run_ahead();
        bytes.map(Some)
    }

    /// The whole rest in one piece.
    pub async fn collect(mut self) -> Result<Vec<u8>> {
        let mut all = Vec::with_capacity(usize::try_from(self.size).unwrap_or_default());
        while let Some(piece) = self.next().await? {
            all.extend_from_slice(&piece);
        }
        Ok(all)
    }

    fn run_ahead(&mut self) {
        while self.requested < self.size && self.ahead.len() < RANGES_AHEAD {
            let request = self
                .clients
                .s3
                .get_object()
                .bucket(&self.bucket)
                .key(&self.key)
                .range(range(self.requested))
                .set_if_match(self.etag.clone());
            let (bucket, key) = (self.bucket.clone(), self.key.clone());
            self.ahead.push_back(tokio::spawn(async move {
                let answer = request
                    .send()
                    .await
                    .map_err(|error| Error::from_sdk("s3:GetObject", location(&bucket, &key), error))?;
                let body = answer.body.collect().await.map_err(|error| cut_short(&bucket, &key, error))?;
                Ok(body.into_bytes())
            }));
            self.requested = (self.requested + RANGE).min(self.size);
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
pub async fn read(clients: Arc<Clients>, bucket: &str, key: &str) -> Result<Vec<u8>> {
    Download::open(clients, bucket, key).await?.collect().await
}

fn range(from: u64) -> String {
    format!("bytes={from}-{}", from + RANGE - 1)
}

/// The total in `bytes 0-99/1234`.
fn total_of(content_range: &str) -> Option<u64> {
    content_range.rsplit_once('/')?.1.parse().ok()
}

fn cut_short(bucket: &str, key: &str, error: aws_sdk_s3::primitives::ByteStreamError) -> Error {
    Error::with_source(Kind::Ambiguous, format!("the download of {} broke off", location(bucket, key)), error)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_inclusive_and_totals_are_read() {
        assert_eq!(range(0), "bytes=0-16777215");
        assert_eq!(range(RANGE), "bytes=16777216-33554431");
        assert_eq!(total_of("bytes 0-16777215/20000000"), Some(20_000_000));
        assert_eq!(total_of("bytes 0-1/*"), None);
    }
}
