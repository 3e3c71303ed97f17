//! Checksums of whole objects: computed along the way, compared with the one that S3 keeps.
//!
//! S3 has one for each object. For what came in one piece, and for a multipart upload of type `FULL_OBJECT`, it is that of
//! the content. Of other multipart uploads it is one over the parts' own, such as `…-12`, which says nothing here.

use aws_sdk_s3::operation::get_object::GetObjectOutput;
use aws_smithy_types::base64;
use crc_fast::{CrcAlgorithm, Digest};

/// The checksum that an object has to have, and the one of what has arrived so far.
#[derive(Debug)]
pub struct Checksum {
    name: &'static str,
    expected: String,
    running: Running,
}

/// A checksum that is being computed.
#[derive(Debug)]
pub struct Running {
    digest: Digest,
    bytes: usize,
}

impl Checksum {
    /// What S3 says of an object; `None` if there is nothing to compare with.
    #[must_use]
    pub fn of(answer: &GetObjectOutput) -> Option<Self> {
        let kept = [
            ("CRC32", answer.checksum_crc32(), Running::crc32()),
            ("CRC64NVME", answer.checksum_crc64_nvme(), Running::new(CrcAlgorithm::Crc64Nvme, 8)),
            ("CRC32C", answer.checksum_crc32_c(), Running::new(CrcAlgorithm::Crc32Iscsi, 4)),
        ];
        // A dash is no character of base64: what has one is of parts.
        kept.into_iter().find_map(|(name, expected, running)| {
            let expected = expected.filter(|expected| !expected.contains('-'))?.to_owned();
            Some(Self { name, expected, running })
        })
    }

    /// Takes in the next bytes.
    pub fn update(&mut self, data: &[u8]) {
        self.running.update(data);
    }

    /// The algorithm's name, if what has arrived is not what S3 has.
    #[must_use]
    pub fn mismatch(&self) -> Option<&'static str> {
        (self.running.value() != self.expected).then_some(self.name)
    }
}

/// The CRC32 of some bytes, as S3 writes it.
#[must_use]
pub fn crc32_of(data: &[u8]) -> String {
    let mut running = Running::crc32();
    running.update(data);
    running.value()
}

impl Running {
    /// The algorithm of everything that is uploaded here.
    #[must_use]
    pub fn crc32() -> Self {
        Self::new(CrcAlgorithm::Crc32IsoHdlc, 4)
    }

    fn new(algorithm: CrcAlgorithm, bytes: usize) -> Self {
        Self { digest: Digest::new(algorithm), bytes }
    }

    /// Takes in the next bytes.
    pub fn update(&mut self, data: &[u8]) {
        self.digest.update(data);
    }

    /// The checksum of the bytes so far, as S3 writes it.
    #[must_use]
    pub fn value(&self) -> String {
        let value = self.digest.finalize().to_be_bytes();
        base64::encode(&value[value.len() - self.bytes..])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The check value that the catalogues of CRCs give for `123456789`.
    const CHECK: &[u8] = b"123456789";

    fn object() -> aws_sdk_s3::operation::get_object::builders::GetObjectOutputBuilder {
        GetObjectOutput::builder()
    }

    #[test]
    fn the_algorithms_are_those_of_s3() {
        let crc32 = object().checksum_crc32(base64::encode(0xCBF4_3926_u32.to_be_bytes()));
        let crc32_c = object().checksum_crc32_c(base64::encode(0xE306_9283_u32.to_be_bytes()));
        let crc64_nvme = object().checksum_crc64_nvme(base64::encode(0xAE8B_1486_0A79_9888_u64.to_be_bytes()));
        for answer in [crc32, crc32_c, crc64_nvme] {
            let mut checksum = Checksum::of(&answer.build()).unwrap();
            checksum.update(&CHECK[..4]);
            assert!(checksum.mismatch().is_some());
            checksum.update(&CHECK[4..]);
            assert_eq!(checksum.mismatch(), None);
        }
    }

    #[test]
    fn what_is_of_parts_or_of_another_kind_is_not_compared() {
        assert!(Checksum::of(&object().checksum_crc32("y/Q5Jg==-12").build()).is_none());
        assert!(Checksum::of(&object().checksum_sha256("anything").build()).is_none());
        assert!(Checksum::of(&object().build()).is_none());
    }

    #[test]
    fn another_content_is_named_by_its_algorithm() {
        let mut checksum = Checksum::of(&object().checksum_crc32("y/Q5Jg==").build()).unwrap();
        checksum.update(b"123456780");
        assert_eq!(checksum.mismatch(), Some("CRC32"));
    }
}
