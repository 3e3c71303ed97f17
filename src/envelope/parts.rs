//! Format 3, which the runner writes: the length of the header in four bytes, big-endian; the header, a JSON object
//! with the lengths of the parts; and the parts `stdout`, `stderr`, `traceback` and `output`.

use bytes::Bytes;
use serde::Deserialize;

use super::Envelope;
use super::text::{short, text};
use crate::error::{Error, Kind, Result};

/// A header has some fields of a few characters each, so this is ample.
const MAX_HEADER_BYTES: usize = 64 * 1024;

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Header {
    status: String,
    parts: Lengths,
    output_blake3: Option<String>,
    output_sha256: Option<String>,
    exception: Option<String>,
    python: Option<String>,
    cloudpickle: Option<String>,
    covalent: Option<String>,
    started_at: Option<f64>,
    finished_at: Option<f64>,
    peak_rss_bytes: Option<u64>,
    job_id: Option<String>,
    attempt: Option<u32>,
}

impl Header {
    /// Whether an output that is an object of its own can be compared with what the runner wrote.
    fn has_known_hash(&self) -> bool {
        self.output_blake3.is_some() || self.output_sha256.is_some()
    }
}

/// Length of each part in bytes; absent for a part that does not exist.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Lengths {
    stdout: u64,
    stderr: u64,
    traceback: Option<u64>,
    output: Option<u64>,
}

/// Decodes an envelope. Unknown fields are ignored; the parts must fill the object exactly.
pub fn decode(content: &Bytes) -> Result<Envelope> {
    let mut rest = content.clone();
    let length = take(&mut rest, 4)?;
    let length = length.iter().fold(0, |number: usize, byte| number << 8 | usize::from(*byte));
    if length > MAX_HEADER_BYTES {
        return Err(corrupt("its header is larger than a runner writes"));
    }
    let header: Header = serde_json::from_slice(&take(&mut rest, length as u64)?)
        .map_err(|error| corrupt(&format!("its header cannot be read ({})", short(&error.to_string()))))?;
    let stdout = take(&mut rest, header.parts.stdout)?;
    let stderr = take(&mut rest, header.parts.stderr)?;
    let traceback = header.parts.traceback.map(|length| take(&mut rest, length)).transpose()?;
    let output = header.parts.output.map(|length| take(&mut rest, length)).transpose()?;
    if !rest.is_empty() {
        return Err(corrupt("it is longer than its header says"));
    }
    if header.status == "succeeded" && output.is_none() && !header.has_known_hash() {
        let message = "it has no hash of its output that this version knows; install a newer covalent-awsbatch-plugin \
                       where Covalent's server runs";
        return Err(Error::new(Kind::Result, message));
    }
    Ok(Envelope {
        status: short(&header.status),
        output,
        output_blake3: header.output_blake3.as_deref().map(short),
        output_sha256: header.output_sha256.as_deref().map(short),
        stdout: text(&stdout),
        stderr: text(&stderr),
        traceback: traceback.as_deref().map(text),
        exception: header.exception.as_deref().map(short),
        python: header.python.as_deref().map(short),
        cloudpickle: header.cloudpickle.as_deref().map(short),
        covalent: header.covalent.as_deref().map(short),
        started_at: header.started_at,
        finished_at: header.finished_at,
        peak_rss_bytes: header.peak_rss_bytes,
        job_id: header.job_id.as_deref().map(short),
        attempt: header.attempt,
    })
}

/// The next bytes, without a copy.
fn take(rest: &mut Bytes, length: u64) -> Result<Bytes> {
    match usize::try_from(length) {
        Ok(length) if length <= rest.len() => Ok(rest.split_to(length)),
        _ => Err(corrupt("it breaks off")),
    }
}

fn corrupt(why: &str) -> Error {
    Error::new(Kind::Result, format!("the result's envelope is corrupt: {why}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn envelope(header: &str, parts: &[u8]) -> Bytes {
        let length = u32::try_from(header.len()).unwrap().to_be_bytes();
        [&length[..], header.as_bytes(), parts].concat().into()
    }

    #[test]
    fn parts_are_told_apart_by_their_lengths() {
        let header = r#"{"status": "failed", "attempt": 2, "later": [1],
            "parts": {"stdout": 3, "stderr": 0, "traceback": 4, "output": null}}"#;
        let envelope = decode(&envelope(header, "outwhy?".as_bytes())).unwrap();
        assert_eq!((envelope.status.as_str(), envelope.attempt), ("failed", Some(2)));
        assert_eq!((envelope.stdout.as_str(), envelope.stderr.as_str()), ("out", ""));
        assert_eq!(envelope.traceback.as_deref(), Some("why?"));
        assert_eq!(envelope.output, None);
    }

    #[test]
    fn an_output_of_its_own_is_vouched_for_by_a_known_hash() {
        let with = |hash: &str| {
            let header = format!(r#"{{"status": "succeeded", {hash} "parts": {{"stdout": 0, "stderr": 0}}}}"#);
            decode(&envelope(&header, b""))
        };
        let blake3 = with(r#""output_blake3": "ab","#).unwrap();
        assert_eq!((blake3.output_blake3.as_deref(), blake3.output_sha256.as_deref()), (Some("ab"), None));
        let sha256 = with(r#""output_sha256": "cd","#).unwrap();
        assert_eq!((sha256.output_blake3.as_deref(), sha256.output_sha256.as_deref()), (None, Some("cd")));
        for unknown in ["", r#""output_blake3": null,"#, r#""output_blake4": "ef","#] {
            let error = with(unknown).unwrap_err().to_string();
            assert!(error.contains("install a newer covalent-awsbatch-plugin"), "{error}");
        }
    }

    #[test]
    fn what_does_not_add_up_is_corrupt() {
        let huge = format!(r#"{{"parts": {{"output": {}}}}}"#, u64::MAX);
        let nested = format!(r#"{{"later": {}}}"#, "[".repeat(10_000));
        let number = format!(r#"{{"attempt": {}}}"#, "9".repeat(60_000));
        for (content, why) in [
            (envelope(r#"{"parts": {"stdout": 4}}"#, b"abc"), "breaks off"),
            (envelope(r#"{"parts": {"stdout": 2}}"#, b"abc"), "longer than its header says"),
            (envelope(&huge, b""), "breaks off"),
            (envelope(&nested, b""), "cannot be read"),
            (envelope(&number, b""), "cannot be read"),
            (envelope(r#"{"status": 7}"#, b""), "cannot be read"),
            (Bytes::from_static(b"\xff\xff\xff\xff{}"), "larger than a runner writes"),
            (Bytes::from_static(b"\x00\x00\x00\x09{}"), "breaks off"),
            (Bytes::from_static(b"\x00"), "breaks off"),
        ] {
            let error = decode(&content).unwrap_err().to_string();
            assert!(error.contains(why) && error.len() < 500, "{error}");
        }
    }
}
