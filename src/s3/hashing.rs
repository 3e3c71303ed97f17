//! The hash of a whole object, computed while it is transferred. The envelope has the one of an output that is an object
//! of its own.

use sha2::{Digest, Sha256};

/// An algorithm.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HashAlgorithm {
    /// That of the runner.
    Blake3,
    /// That of the runner in an image of an older version.
    Sha256,
}

/// A hash in progress.
#[derive(Debug)]
pub enum Hasher {
    Blake3(Box<blake3::Hasher>),
    Sha256(Sha256),
}

impl HashAlgorithm {
    /// By its name, `blake3` or `sha256`.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        match name {
            "blake3" => Some(Self::Blake3),
            "sha256" => Some(Self::Sha256),
            _ => None,
        }
    }
}

impl Hasher {
    /// Before the first byte.
    #[must_use]
    pub fn new(algorithm: HashAlgorithm) -> Self {
        match algorithm {
            HashAlgorithm::Blake3 => Self::Blake3(Box::default()),
            HashAlgorithm::Sha256 => Self::Sha256(Sha256::new()),
        }
    }

    /// Adds the next bytes.
    pub fn update(&mut self, data: &[u8]) {
        match self {
            Self::Blake3(hasher) => {
                hasher.update(data);
            }
            Self::Sha256(hasher) => hasher.update(data),
        }
    }

    /// Hexadecimal digits for all bytes.
    #[must_use]
    pub fn finish(self) -> String {
        match self {
            Self::Blake3(hasher) => hasher.finalize().to_hex().to_string(),
            Self::Sha256(hasher) => {
                hasher.finalize().iter().fold(String::new(), |hex, byte| format!("{hex}{byte:02x}"))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hash(algorithm: HashAlgorithm, pieces: &[&[u8]]) -> String {
        let mut hasher = Hasher::new(algorithm);
        for piece in pieces {
            hasher.update(piece);
        }
        hasher.finish()
    }

    /// The first from BLAKE3's test vectors, the second from FIPS 180-2.
    #[test]
    fn the_algorithms_are_the_published_ones() {
        let pattern: Vec<u8> = (0..=250).cycle().take(102_400).collect();
        let (start, end) = pattern.split_at(70_001);
        assert_eq!(
            hash(HashAlgorithm::Blake3, &[start, end]),
            "bc3e3d41a1146b069abffad3c0d44860cf664390afce4d9661f7902e7943e085"
        );
        assert_eq!(
            hash(HashAlgorithm::Sha256, &[b"a", b"bc"]),
            "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
        );
    }
}
