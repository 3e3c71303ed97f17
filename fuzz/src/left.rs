//! What a job left in the bucket, or somebody else did.

use bytes::Bytes;
use covalent_awsbatch_plugin::envelope::{Envelope, PARTS, PICKLED, printed as io_output};

use super::bounds::{short, within};

/// Memory of a decoder for each byte of what it reads: a byte that is no UTF-8 becomes four characters, and a text that
/// grows is there twice.
const FOR_A_BYTE: usize = 16;
const BESIDES: usize = 1024 * 1024;
/// Bytes of text that a pickle may name twice.
const REPEATED: usize = 64 * 1024;
/// Bytes of a name, a version or a status: 200 characters, escaped.
const LONGEST_NAME: usize = 2000;

/// An envelope of format 3.
pub fn parts(data: &[u8]) {
    envelope(PARTS, data);
}

/// An envelope of format 2.
pub fn pickled(data: &[u8]) {
    envelope(PICKLED, data);
}

fn envelope(format: &str, data: &[u8]) {
    let content = Bytes::copy_from_slice(data);
    match within(BESIDES + FOR_A_BYTE * data.len(), || Envelope::decode(format, &content)) {
        Ok(envelope) => {
            let texts = [&envelope.stdout, &envelope.stderr].into_iter().chain(&envelope.traceback);
            assert!(texts.map(String::len).sum::<usize>() <= 4 * (data.len() + REPEATED));
            assert!(envelope.output.is_none_or(|output| output.len() <= data.len()));
            let names = [Some(envelope.status), envelope.exception, envelope.python, envelope.cloudpickle];
            let more = [envelope.covalent, envelope.job_id, envelope.output_blake3, envelope.output_sha256];
            assert!(names.into_iter().chain(more).flatten().all(|name| name.len() <= LONGEST_NAME));
        }
        Err(error) => short(&error),
    }
}

/// The `io_output-….json` of the public image's program.
pub fn printed(data: &[u8]) {
    match within(BESIDES + FOR_A_BYTE * data.len(), || io_output::decode(data)) {
        Ok(printed) => {
            let texts = [&printed.stdout, &printed.stderr].into_iter().chain(&printed.traceback);
            assert!(texts.map(String::len).sum::<usize>() <= 4 * data.len());
            assert!(printed.exception.is_none_or(|name| name.len() <= LONGEST_NAME));
        }
        Err(error) => short(&error),
    }
}
