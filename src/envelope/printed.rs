//! The output file of the public image's program, which it writes after success and failure: a JSON list of stdout,
//! stderr, traceback and the exception's class name; the last two may be null.

use serde_bytes::ByteBuf;

use super::text::{short, text};
use crate::error::{Error, Kind, Result};

/// A larger file is not read: it would be in memory several times, and nobody reads so much output.
pub(super) const MAX_BYTES: u64 = 32 * 1024 * 1024;

/// The decoded list; whatever is not valid Unicode is escaped.
#[derive(Debug, Eq, PartialEq)]
pub struct Printed {
    pub stdout: String,
    pub stderr: String,
    pub traceback: Option<String>,
    pub exception: Option<String>,
}

/// Decodes the list. Lone surrogates, which Python writes, are not valid in Rust's strings, so bytes are read.
pub fn decode(content: &[u8]) -> Result<Printed> {
    type List = (ByteBuf, ByteBuf, Option<ByteBuf>, Option<ByteBuf>);
    let (stdout, stderr, traceback, exception): List = serde_json::from_slice(content).map_err(|error| {
        let why = short(&error.to_string());
        Error::new(Kind::Result, format!("what the function printed cannot be read ({why})"))
    })?;
    Ok(Printed {
        stdout: text(&stdout),
        stderr: text(&stderr),
        traceback: traceback.map(|traceback| text(&traceback)),
        exception: exception.map(|exception| short(&text(&exception))),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lone_surrogate_is_escaped() {
        let printed = decode(br#"["caf\udce9", "", "ValueError: caf\udce9", "ValueError"]"#).unwrap();
        assert_eq!(printed.stdout, "caf\\udce9");
        assert_eq!(printed.traceback.as_deref(), Some("ValueError: caf\\udce9"));
        assert_eq!(printed.exception.as_deref(), Some("ValueError"));
    }

    #[test]
    fn what_is_no_such_list_is_refused_and_costs_nothing() {
        let nested = [b"[".repeat(100_000), b"]".repeat(100_000)].concat();
        for content in [&nested[..], b"", b"{}", b"[1, 2, 3, 4]", br#"["", "", null]"#, br#"["", "", null, {}]"#] {
            let error = decode(content).unwrap_err();
            assert_eq!(error.kind(), Kind::Result);
            assert!(error.to_string().len() < 500);
        }
    }
}
