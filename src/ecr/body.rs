//! Reads the body of an answer: whole and bounded, or piece by piece with a minimum throughput.

use aws_smithy_types::body::SdkBody;
use aws_smithy_types::byte_stream::ByteStream;
use bytes::BytesMut;

use crate::aws::throughput::{Transferred, with_min_throughput};
use crate::error::{Error, Kind, Result};

/// The whole body.
///
/// # Errors
/// It is longer than `most`, or breaks off; `place` is what the error names.
pub async fn read(body: SdkBody, most: usize, place: &str) -> Result<Vec<u8>> {
    let mut stream = ByteStream::new(body);
    let mut bytes = BytesMut::new();
    fill(&mut stream, &mut bytes, most.saturating_add(1), place).await?;
    if bytes.len() > most {
        return Err(Error::new(Kind::Refused, format!("{place} answers with more than {most} bytes")));
    }
    Ok(bytes.to_vec())
}

/// Adds pieces of a stream to a buffer until this has so many bytes, or more. False when the stream has ended.
///
/// # Errors
/// It breaks off or stalls.
pub async fn fill(stream: &mut ByteStream, buffer: &mut BytesMut, wanted: usize, place: &str) -> Result<bool> {
    let transferred = Transferred::default();
    let arriving = async {
        while buffer.len() < wanted {
            let Some(piece) = stream.next().await else { return Ok(false) };
            let piece = piece?;
            transferred.count(piece.len());
            buffer.extend_from_slice(&piece);
        }
        Ok::<_, aws_smithy_types::byte_stream::error::Error>(true)
    };
    let broken = |error: aws_smithy_runtime_api::box_error::BoxError| {
        Error::with_source(Kind::Damaged, format!("what {place} sends broke off"), error)
    };
    match with_min_throughput(&transferred, arriving).await {
        Ok(Ok(more)) => Ok(more),
        Ok(Err(error)) => Err(broken(error.into())),
        Err(stalled) => Err(broken(stalled.into())),
    }
}
