//! Reads what a job left in the bucket as data: nothing in it is executed, and memory is linear in its size.
//!
//! [`Envelopes::fetch`] reads the object at a result's key. [`parts`] decodes the current format of the runner,
//! [`pickled`] that of its version 1.0.0, and [`printed`] the output file of the public image's program. [`signature`]
//! verifies that the task's own job wrote the object.

use std::sync::Arc;

use bytes::Bytes;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::spawn_blocking;

use crate::error::{Error, Kind, Result};
use crate::s3::download::Download;
use crate::s3::storage::{Storage, location};
use printed::Printed;
use signature::{SignatureStatus, Signatures, StoredContent};

pub mod parts;
pub mod pickle;
pub mod pickled;
pub mod printed;
pub mod signature;
pub mod text;

/// Key of the user metadata that marks an envelope and has its format.
pub const FORMAT_KEY: &str = "covalent-awsbatch-format";
/// The format of version 1.0.0, a pickle.
pub const PICKLED: &str = "2";
/// The current format, a header and parts.
pub const PARTS: &str = "3";
/// The runner stores an output of 8 MiB or more in a separate object, and at most 4 MiB of each printed stream, so it
/// does not write a larger envelope.
const MAX_ENVELOPE_BYTES: u64 = 64 * 1024 * 1024;
/// Only [`MAX_CONCURRENT_LARGE`] envelopes above this size are read at a time.
const LARGE_ENVELOPE_BYTES: u64 = 1024 * 1024;

/// The runner's report of one attempt. Times are seconds since 1970.
#[derive(Debug, Default)]
pub struct Envelope {
    /// `succeeded`, `failed` or `terminated`.
    pub status: String,
    /// The bytes of `TransportableObject.serialize()`; `None` if they are a separate object because of their size.
    pub output: Option<Bytes>,
    /// BLAKE3 hash of the separate object in hexadecimal digits.
    pub output_blake3: Option<String>,
    /// SHA-256 of the separate object in hexadecimal digits, where an older runner wrote that in its place.
    pub output_sha256: Option<String>,
    /// What the function printed.
    pub stdout: String,
    /// What it printed to the error stream.
    pub stderr: String,
    /// Why it failed, as Python prints it.
    pub traceback: Option<String>,
    /// Class name of the exception.
    pub exception: Option<String>,
    /// Versions in the container.
    pub python: Option<String>,
    pub cloudpickle: Option<String>,
    pub covalent: Option<String>,
    /// When the runner began and ended.
    pub started_at: Option<f64>,
    pub finished_at: Option<f64>,
    /// Peak memory of the function.
    pub peak_rss_bytes: Option<u64>,
    /// Which job and attempt wrote this.
    pub job_id: Option<String>,
    pub attempt: Option<u32>,
}

/// The object at a result's key.
#[derive(Debug)]
pub enum StoredResult {
    /// The envelope of this package's runner, after success or failure.
    Envelope(Box<Envelope>, SignatureStatus),
    /// The bare pickle that the public image's program writes after success, still to be read.
    BarePickle(Box<Download>, SignatureStatus),
    /// There is no object.
    Missing,
}

impl Envelope {
    /// Decodes the content of an envelope of a known format: [`PICKLED`] or [`PARTS`].
    ///
    /// Time and memory are linear in the length of the content.
    pub fn decode(format: &str, content: &Bytes) -> Result<Self> {
        if format == PICKLED { pickled::decode(content) } else { parts::decode(content) }
    }
}

/// Large envelopes that are read at a time.
const MAX_CONCURRENT_LARGE: usize = 4;

/// Reads results and verifies their signatures.
#[derive(Debug)]
pub struct Envelopes {
    signatures: Arc<Signatures>,
    /// Bounds memory: decoding takes several times the size of an envelope.
    large: Arc<Semaphore>,
}

impl Envelopes {
    /// With the keys of this session's jobs.
    #[must_use]
    pub fn new(signatures: Arc<Signatures>) -> Self {
        Self { signatures, large: Arc::new(Semaphore::new(MAX_CONCURRENT_LARGE)) }
    }

    /// Fetches the object at a result's key and decodes it if it is an envelope.
    pub async fn fetch(&self, storage: &Storage, bucket: &str, key: &str) -> Result<StoredResult> {
        let Some((download, _permit)) = self.open(storage, bucket, key).await? else {
            return Ok(StoredResult::Missing);
        };
        let place = location(bucket, key);
        let Some(format) = download.metadata().get(FORMAT_KEY).cloned() else {
            let signature = self.signatures.verify(bucket, key, StoredContent::Unsigned);
            return Ok(StoredResult::BarePickle(Box::new(download), signature));
        };
        if ![PICKLED, PARTS].contains(&format.as_str()) {
            let format = text::short(&format);
            let message = format!(
                "{place} has format {format}, which this version does not know; install a newer covalent-awsbatch-plugin \
             where Covalent's server runs"
            );
            return Err(Error::new(Kind::Result, message));
        }
        let size = download.size();
        if size > MAX_ENVELOPE_BYTES {
            return Err(Error::new(Kind::Result, format!("{place} has {size} bytes, more than an envelope can have")));
        }
        let signed = download.metadata().get(signature::METADATA).cloned();
        let content = Bytes::from(download.collect().await?);
        let (bucket, key, signatures) = (bucket.to_owned(), key.to_owned(), self.signatures.clone());
        decode_blocking(place, move || {
            let found = signed
                .as_deref()
                .map_or(StoredContent::Unsigned, |signature| StoredContent::Signed(signature, &content));
            let signature = signatures.verify(&bucket, &key, found);
            Ok(StoredResult::Envelope(Box::new(Envelope::decode(&format, &content)?), signature))
        })
        .await
    }

    /// Opens an object. A large one needs a permit, because decoding takes several times its size in memory.
    async fn open(
        &self,
        storage: &Storage,
        bucket: &str,
        key: &str,
    ) -> Result<Option<(Download, Option<OwnedSemaphorePermit>)>> {
        let opened = match Download::open(storage.clone(), bucket, key).await {
            Ok(download) if download.size() <= LARGE_ENVELOPE_BYTES => return Ok(Some((download, None))),
            Ok(large) => {
                drop(large); // its first piece is in memory, and waiting may take long
                let permit = self.large.clone().acquire_owned().await.ok();
                Download::open(storage.clone(), bucket, key).await.map(|download| (download, permit))
            }
            Err(error) => Err(error),
        };
        match opened {
            Ok(opened) => Ok(Some(opened)),
            Err(error) if error.kind() == Kind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Fetches the output file of the public image's program; `None` if there is none.
    ///
    /// A file that is too large or malformed is [`Kind::Result`].
    pub async fn printed(&self, storage: &Storage, bucket: &str, key: &str) -> Result<Option<Printed>> {
        let Some((download, _permit)) = self.open(storage, bucket, key).await? else { return Ok(None) };
        let (place, size) = (location(bucket, key), download.size());
        if size > printed::MAX_BYTES {
            let message = format!("{place}, what the function printed, has {size} bytes and is not shown");
            return Err(Error::new(Kind::Result, message));
        }
        let content = download.collect().await?;
        decode_blocking(place, move || printed::decode(&content).map(Some)).await
    }
}

/// Decodes on a blocking thread: the runtime's workers serve all other tasks.
async fn decode_blocking<T: Send + 'static>(
    place: String,
    decode: impl FnOnce() -> Result<T> + Send + 'static,
) -> Result<T> {
    let lost = |error| Err(Error::with_source(Kind::Result, "it could not be decoded", error));
    let outcome = spawn_blocking(decode).await.unwrap_or_else(lost);
    outcome.map_err(|error| Error::with_source(Kind::Result, place, error))
}
