//! Format 2, which the runner of version 1.0.0 writes: a pickle of one flat dict.

use bytes::Bytes;

use super::Envelope;
use super::pickle::{self, PickleError, Value};
use super::text::{short, text};
use crate::error::{Error, Kind, Result};

/// The value of a field has another type than the runner writes.
struct Mismatch;

type Field<T> = std::result::Result<T, Mismatch>;

/// Decodes an envelope. Unknown fields with plain values are ignored.
pub fn decode(content: &Bytes) -> Result<Envelope> {
    let mut envelope = Envelope::default();
    for (name, value) in pickle::dict(content).map_err(|error| refused(&error))? {
        let name = str::from_utf8(name).unwrap_or_default();
        enter(&mut envelope, name, value, content).map_err(|Mismatch| {
            let message = format!("the result's envelope is corrupt: {} is of another kind", short(name));
            Error::new(Kind::Result, message)
        })?;
    }
    Ok(envelope)
}

fn enter(envelope: &mut Envelope, name: &str, value: Value<'_>, content: &Bytes) -> Field<()> {
    match name {
        "status" => envelope.status = named(value)?.ok_or(Mismatch)?,
        "output" => {
            envelope.output = match value {
                Value::None => None,
                Value::Bytes(output) => Some(content.slice_ref(output)),
                _ => return Err(Mismatch),
            };
        }
        "stdout" => envelope.stdout = long(value)?.ok_or(Mismatch)?,
        "stderr" => envelope.stderr = long(value)?.ok_or(Mismatch)?,
        "traceback" => envelope.traceback = long(value)?,
        "exception" => envelope.exception = named(value)?,
        "python" => envelope.python = named(value)?,
        "cloudpickle" => envelope.cloudpickle = named(value)?,
        "covalent" => envelope.covalent = named(value)?,
        "started_at" => envelope.started_at = time(value)?,
        "finished_at" => envelope.finished_at = time(value)?,
        "peak_rss_bytes" => envelope.peak_rss_bytes = count(value)?,
        "job_id" => envelope.job_id = named(value)?,
        "attempt" => envelope.attempt = count(value)?.map(u32::try_from).transpose().map_err(|_| Mismatch)?,
        _ => {}
    }
    Ok(())
}

/// A text of any length.
fn long(value: Value<'_>) -> Field<Option<String>> {
    match value {
        Value::None => Ok(None),
        Value::Text(bytes) => Ok(Some(text(bytes))),
        _ => Err(Mismatch),
    }
}

/// A name or version.
fn named(value: Value<'_>) -> Field<Option<String>> {
    match value {
        Value::Text(bytes) => Ok(Some(short(&text(&bytes[..bytes.len().min(1000)])))),
        value => long(value),
    }
}

fn time(value: Value<'_>) -> Field<Option<f64>> {
    match value {
        Value::None => Ok(None),
        Value::Float(seconds) => Ok(Some(seconds)),
        _ => Err(Mismatch),
    }
}

fn count(value: Value<'_>) -> Field<Option<u64>> {
    match value {
        Value::None => Ok(None),
        Value::Integer(count) => u64::try_from(count).map(Some).map_err(|_| Mismatch),
        _ => Err(Mismatch),
    }
}

fn refused(error: &PickleError) -> Error {
    let message = match error {
        PickleError::Unreadable => format!("the result's envelope is corrupt: {error}"),
        _ => format!("the result was refused: {error}. Who can write to this bucket?"),
    };
    Error::new(Kind::Result, message)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn absent_fields_are_empty_and_unknown_ones_ignored() {
        // {"status": "succeeded", "output": b"\x00\xff", "later": "x"}, protocol 4
        let pickle = b"\x80\x04}(\x8c\x06status\x8c\tsucceeded\x8c\x06outputC\x02\x00\xff\x8c\x05later\x8c\x01xu.";
        let envelope = decode(&Bytes::from_static(pickle)).unwrap();
        assert_eq!(envelope.status, "succeeded");
        assert_eq!(envelope.output.as_deref(), Some(&b"\x00\xff"[..]));
        assert_eq!(envelope.stdout, "");
    }

    #[test]
    fn a_global_is_refused() {
        // os.system("true")
        let error = decode(&Bytes::from_static(b"cos\nsystem\n(S'true'\ntR.")).unwrap_err();
        assert_eq!(error.kind(), Kind::Result);
        assert!(error.to_string().contains("refers to os.system"), "{error}");
    }

    #[test]
    fn a_field_of_another_kind_is_corrupt() {
        for pickle in [
            &b"\x80\x04}\x8c\x06statusK\x01s."[..],
            b"\x80\x04}\x8c\x06statusNs.",
            b"\x80\x04}\x8c\x06output\x8c\x01xs.",
            b"\x80\x04}\x8c\x06stdoutC\x01xs.",
            b"\x80\x04}\x8c\x07attemptJ\xff\xff\xff\xffs.",
        ] {
            let error = decode(&Bytes::from_static(pickle)).unwrap_err().to_string();
            assert!(error.contains("of another kind"), "{error}");
        }
    }

    #[test]
    fn a_truncated_pickle_is_an_error() {
        assert!(decode(&Bytes::from_static(b"\x80\x04}(\x8c\x06sta")).is_err());
    }
}
