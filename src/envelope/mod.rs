//! What a job left in the bucket, read as data: nothing in it can run, and it costs what it has in bytes.
//!
//! [`Envelopes::fetch`] reads the object at a result's key. [`parts`] decodes what the runner writes today, [`pickled`] what its
//! version 1.0.0 wrote, [`printed`] what the public image's program leaves beside its result. [`signature`] tells whether
//! the task's own job wrote it.

use std::sync::Arc;

use bytes::Bytes;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::spawn_blocking;

use crate::error::{Error, Kind, Result};
use crate::s3::download::Download;
use crate::s3::storage::{Storage, location};
use printed::Printed;
use signature::{Found, Signature, Signatures};

pub mod parts;
pub mod pickle;
pub mod pickled;
pub mod printed;
pub mod signature;
pub mod text;

/// User metadata that marks an envelope.
pub const FORMAT_KEY: &str = "covalent-awsbatch-format";
/// Its value where the content is a pickle, as version 1.0.0 wrote it.
pub const PICKLED: &str = "2";
/// Its value where the content is a header and parts.
pub const PARTS: &str = "3";
/// The runner keeps an output of 8 MiB or more in an object of its own and at most 4 MiB of each printed stream, so an
/// envelope of this size was not written by it.
const LARGEST: u64 = 64 * 1024 * 1024;
/// From this size on, only a few envelopes are read at a time.
const LARGE: u64 = 1024 * 1024;

/// What the runner says about one attempt. Times are seconds since 1970.
#[derive(Debug, Default)]
pub struct Envelope {
    /// `succeeded`, `failed` or `terminated`.
    pub status: String,
    /// The bytes of `TransportableObject.serialize()`, when they are few; else they are an object of their own.
    pub output: Option<Bytes>,
    /// SHA-256 of that object in hexadecimal digits, from format 3 on.
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
    /// The most memory that the function took.
    pub peak_rss_bytes: Option<u64>,
    /// Which job and attempt wrote this.
    pub job_id: Option<String>,
    pub attempt: Option<u32>,
}

/// What stands at a result's key.
#[derive(Debug)]
pub enum Report {
    /// Our runner's word, on success and failure alike.
    Envelope(Box<Envelope>, Signature),
    /// The bare pickle that the public image's program leaves on success, to be read.
    Legacy(Box<Download>, Signature),
    /// Nothing.
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

/// Large envelopes that are read at once.
const LARGE_AT_ONCE: usize = 4;

/// Reads what jobs left, and knows what they sign with.
#[derive(Debug)]
pub struct Envelopes {
    signatures: Arc<Signatures>,
    /// Each large envelope is as much memory as it has bytes, several times.
    large: Arc<Semaphore>,
}

impl Envelopes {
    /// With these keys.
    #[must_use]
    pub fn new(signatures: Arc<Signatures>) -> Self {
        Self { signatures, large: Arc::new(Semaphore::new(LARGE_AT_ONCE)) }
    }

    /// Fetches what stands at a result's key and decodes it if it is an envelope.
    pub async fn fetch(&self, storage: &Storage, bucket: &str, key: &str) -> Result<Report> {
        let Some((download, _turn)) = self.open(storage, bucket, key).await? else { return Ok(Report::Missing) };
        let place = location(bucket, key);
        let Some(format) = download.metadata().get(FORMAT_KEY).cloned() else {
            let signature = self.signatures.judge(bucket, key, Found::Unsigned);
            return Ok(Report::Legacy(Box::new(download), signature));
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
        if size > LARGEST {
            return Err(Error::new(Kind::Result, format!("{place} has {size} bytes, more than an envelope can have")));
        }
        let signed = download.metadata().get(signature::METADATA).cloned();
        let content = Bytes::from(download.collect().await?);
        let (bucket, key, signatures) = (bucket.to_owned(), key.to_owned(), self.signatures.clone());
        decoded(place, move || {
            let found = signed.as_deref().map_or(Found::Unsigned, |signature| Found::Signed(signature, &content));
            let signature = signatures.judge(&bucket, &key, found);
            Ok(Report::Envelope(Box::new(Envelope::decode(&format, &content)?), signature))
        })
        .await
    }

    /// Opens an object, a large one only when its turn comes: each holds as much memory as it has bytes, several times.
    async fn open(
        &self,
        storage: &Storage,
        bucket: &str,
        key: &str,
    ) -> Result<Option<(Download, Option<OwnedSemaphorePermit>)>> {
        let opened = match Download::open(storage.clone(), bucket, key).await {
            Ok(download) if download.size() <= LARGE => return Ok(Some((download, None))),
            Ok(large) => {
                drop(large); // its first piece is memory
                let turn = self.large.clone().acquire_owned().await.ok();
                Download::open(storage.clone(), bucket, key).await.map(|download| (download, turn))
            }
            Err(error) => Err(error),
        };
        match opened {
            Ok(opened) => Ok(Some(opened)),
            Err(error) if error.kind() == Kind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Fetches what the public image's program says was printed; `None` if it is not there.
    ///
    /// What is too large or no such list is [`Kind::Result`].
    pub async fn printed(&self, storage: &Storage, bucket: &str, key: &str) -> Result<Option<Printed>> {
        let Some((download, _turn)) = self.open(storage, bucket, key).await? else { return Ok(None) };
        let (place, size) = (location(bucket, key), download.size());
        if size > printed::LARGEST {
            let message = format!("{place}, what the function printed, has {size} bytes and is not shown");
            return Err(Error::new(Kind::Result, message));
        }
        let content = download.collect().await?;
        decoded(place, move || printed::decode(&content).map(Some)).await
    }
}

/// Decodes on a thread of its own: the workers of the runtime have all other tasks to serve.
async fn decoded<T: Send + 'static>(place: String, decode: impl FnOnce() -> Result<T> + Send + 'static) -> Result<T> {
    let lost = |error| Err(Error::with_source(Kind::Result, "it could not be decoded", error));
    let outcome = spawn_blocking(decode).await.unwrap_or_else(lost);
    outcome.map_err(|error| Error::with_source(Kind::Result, place, error))
}
