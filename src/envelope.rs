//! What the runner leaves at the result's key: a pickle of one dict of plain builtins, read without an interpreter, so
//! that nothing in it can run.

use serde::Deserialize;
use serde_bytes::ByteBuf;
use serde_pickle::DeOptions;

use crate::download::Download;
use crate::error::{Error, Kind, Result};
use crate::pickle::{self, Objection};
use crate::storage::{Storage, location};

/// User metadata that marks an envelope, and its value for the only version there is.
pub const FORMAT_KEY: &str = "covalent-awsbatch-format";
pub const FORMAT: &str = "2";
/// The runner keeps an output of 8 MiB or more in an object of its own and each printed stream below 4 MiB, so an
/// envelope of this size was not written by it.
const LARGEST: u64 = 64 * 1024 * 1024;

/// What the runner says about one attempt. Times are seconds since 1970.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct Envelope {
    /// `succeeded`, `failed` or `terminated`.
    pub status: String,
    /// The bytes of `TransportableObject.serialize()`, when they are few.
    pub output: Option<ByteBuf>,
    /// Key of the object that holds those bytes, when they are many.
    pub output_key: Option<String>,
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
    Envelope(Box<Envelope>),
    /// The bare pickle that the public image's program leaves on success, to be read.
    Legacy(Box<Download>),
    /// Nothing.
    Missing,
}

impl Envelope {
    /// Decodes an envelope. Only a few plain builtin values are accepted; a pickle that refers to anything else, or that
    /// would grow while it is decoded, is refused.
    pub fn decode(pickle: &[u8]) -> Result<Self> {
        if let Some(objection) = pickle::objection(pickle) {
            let message = match objection {
                Objection::Unreadable => format!("the result's envelope is corrupt: {objection}"),
                _ => format!("the result was refused: {objection}. Who can write to this bucket?"),
            };
            return Err(Error::new(Kind::Result, message));
        }
        serde_pickle::from_slice(pickle, DeOptions::new())
            .map_err(|error| Error::with_source(Kind::Result, "the result's envelope is corrupt", error))
    }
}

/// Fetches what stands at a result's key and decodes it if it is an envelope.
pub async fn fetch(storage: Storage, bucket: &str, key: &str) -> Result<Report> {
    let download = match Download::open(storage, bucket, key).await {
        Ok(download) => download,
        Err(error) if error.kind() == Kind::NotFound => return Ok(Report::Missing),
        Err(error) => return Err(error),
    };
    match download.metadata().get(FORMAT_KEY).map(String::as_str) {
        None => Ok(Report::Legacy(Box::new(download))),
        Some(FORMAT) if download.size() <= LARGEST => {
            let envelope = Envelope::decode(&download.collect().await?)
                .map_err(|error| Error::with_source(Kind::Result, location(bucket, key), error))?;
            Ok(Report::Envelope(Box::new(envelope)))
        }
        Some(FORMAT) => {
            let size = download.size();
            Err(Error::new(
                Kind::Result,
                format!("{} has {size} bytes, more than an envelope can have", location(bucket, key)),
            ))
        }
        Some(other) => Err(Error::new(
            Kind::Result,
            format!(
                "{} has format {other}, which this version does not know; install a newer covalent-awsbatch-plugin \
                 where Covalent's server runs",
                location(bucket, key)
            ),
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn absent_fields_are_empty_and_unknown_ones_ignored() {
        // {"status": "succeeded", "output": b"\x00\xff", "later": [1]}, protocol 4
        let pickle = b"\x80\x04}(\x8c\x06status\x8c\tsucceeded\x8c\x06outputC\x02\x00\xff\x8c\x05later]K\x01au.";
        let envelope = Envelope::decode(pickle).unwrap();
        assert_eq!(envelope.status, "succeeded");
        assert_eq!(envelope.output.as_deref().map(Vec::as_slice), Some(&b"\x00\xff"[..]));
        assert_eq!(envelope.stdout, "");
    }

    #[test]
    fn a_global_is_refused() {
        // os.system("true")
        let error = Envelope::decode(b"cos\nsystem\n(S'true'\ntR.").unwrap_err();
        assert_eq!(error.kind(), Kind::Result);
        assert!(error.to_string().contains("refers to os.system"), "{error}");
    }

    #[test]
    fn a_truncated_pickle_is_an_error() {
        assert!(Envelope::decode(b"\x80\x04}(\x8c\x06sta").is_err());
    }
}
