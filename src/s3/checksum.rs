//! Checksums of whole objects, computed while they are transferred and compared with S3's.
//!
//! S3 has a checksum of each object. For a single PUT, and for a multipart upload of type `FULL_OBJECT`, it covers the
//! content. For other multipart uploads it covers the checksums of the parts (`…-12`) and cannot be compared here.

use std::fmt;

use aws_sdk_s3::operation::get_object::GetObjectOutput;
use aws_smithy_types::base64;
use crc_fast::CrcAlgorithm;

/// The algorithm of all uploads.
pub const CRC32: CrcAlgorithm = CrcAlgorithm::Crc32IsoHdlc;

/// The checksum that S3 has of an object, and that of the pieces so far.
#[derive(Debug)]
pub struct Checksum {
    name: &'static str,
    expected: String,
    computed: Crc,
}

impl Checksum {
    /// For an answer of S3; `None` if it has no checksum that can be compared.
    #[must_use]
    pub fn of(answer: &GetObjectOutput) -> Option<Self> {
        let candidates = [
            ("CRC32", answer.checksum_crc32(), CRC32),
            ("CRC64NVME", answer.checksum_crc64_nvme(), CrcAlgorithm::Crc64Nvme),
            ("CRC32C", answer.checksum_crc32_c(), CrcAlgorithm::Crc32Iscsi),
        ];
        // A checksum of parts has a dash, which is not a base64 character.
        candidates.into_iter().find_map(|(name, expected, algorithm)| {
            let expected = expected.filter(|expected| !expected.contains('-'))?.to_owned();
            Some(Self { name, expected, computed: Crc::of(algorithm, &[]) })
        })
    }

    /// The algorithm for the checksums of the pieces.
    #[must_use]
    pub fn algorithm(&self) -> CrcAlgorithm {
        self.computed.algorithm
    }

    /// Appends the checksum of the next piece.
    pub fn append(&mut self, piece: &Crc) {
        self.computed = self.computed.followed_by(piece);
    }

    /// The algorithm's name, if the content differs from what S3 has.
    #[must_use]
    pub fn mismatch(&self) -> Option<&'static str> {
        (self.computed.to_string() != self.expected).then_some(self.name)
    }
}

/// The checksum of some bytes. Its `Display` is S3's encoding.
#[derive(Clone, Copy, Debug)]
pub struct Crc {
    algorithm: CrcAlgorithm,
    value: u64,
    length: u64,
}

impl Crc {
    /// The checksum of these bytes.
    #[must_use]
    pub fn of(algorithm: CrcAlgorithm, data: &[u8]) -> Self {
        Self { algorithm, value: crc_fast::checksum(algorithm, data), length: data.len() as u64 }
    }

    /// The checksum of the concatenation with the bytes of `next`.
    #[must_use]
    pub fn followed_by(self, next: &Self) -> Self {
        let value = crc_fast::checksum_combine(self.algorithm, self.value, next.value, next.length);
        Self { value, length: self.length + next.length, ..self }
    }
}

impl fmt::Display for Crc {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let value = self.value.to_be_bytes();
        let wide = matches!(self.algorithm, CrcAlgorithm::Crc64Nvme);
        formatter.write_str(&base64::encode(if wide { &value[..] } else { &value[4..] }))
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
            let piece = |data| Crc::of(checksum.algorithm(), data);
            let (first, second) = (piece(&CHECK[..4]), piece(&CHECK[4..]));
            checksum.append(&first);
            assert!(checksum.mismatch().is_some());
            checksum.append(&second);
            assert_eq!(checksum.mismatch(), None);
        }
    }

    #[test]
    fn that_of_a_whole_follows_from_its_parts() {
        for cut in 0..=CHECK.len() {
            let (first, second) = CHECK.split_at(cut);
            let whole = Crc::of(CRC32, &[]).followed_by(&Crc::of(CRC32, first)).followed_by(&Crc::of(CRC32, second));
            assert_eq!(whole.to_string(), base64::encode(0xCBF4_3926_u32.to_be_bytes()));
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
        checksum.append(&Crc::of(CRC32, b"123456780"));
        assert_eq!(checksum.mismatch(), Some("CRC32"));
    }
}
