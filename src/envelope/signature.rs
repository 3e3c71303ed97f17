//! Verifies that a task's own job wrote its result, and not another principal with write access to the bucket.
//!
//! Each job gets a random key in its environment, and the runner signs with it (HMAC-SHA256 over the object's content).
//! `DescribeJobs` returns the environment, so the key need not be stored for a restart. A principal that may describe
//! the account's jobs can therefore forge a signature; one that can only write to the bucket cannot.
//!
//! The public image's program does not sign. Once an image has signed, unsigned results of that image are refused.

use std::collections::{HashMap, HashSet, VecDeque};
use std::fmt;
use std::sync::{Mutex, MutexGuard, PoisonError};

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

/// Key of the user metadata with the signature in hexadecimal digits.
pub const METADATA: &str = "covalent-awsbatch-signature";
/// Environment variable of the job with the key in hexadecimal digits.
pub const VARIABLE: &str = "COVALENT_AWSBATCH_SIGNING_KEY";
/// Keys that are kept, some megabytes; the oldest are dropped first.
const MAX_KEYS: usize = 20_000;

/// The outcome of verifying a signature.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum SignatureStatus {
    /// The task's job wrote the object, or another holder of its key.
    Valid,
    /// The task's job did not write it.
    Wrong,
    /// There is no signature, although the job's image signs.
    Missing,
    /// There is no signature, or no key to verify it with.
    Unchecked,
}

impl SignatureStatus {
    /// The value in Python.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Valid => "valid",
            Self::Wrong => "wrong",
            Self::Missing => "missing",
            Self::Unchecked => "unchecked",
        }
    }
}

/// The content at a result's key.
#[derive(Clone, Copy, Debug)]
pub enum StoredContent<'a> {
    /// Content with this signature.
    Signed(&'a str, &'a [u8]),
    /// Content without a signature.
    Unsigned,
}

/// The keys of this process's tasks, by the location of their result.
#[derive(Debug, Default)]
pub struct Signatures(Mutex<Known>);

#[derive(Debug, Default)]
struct Known {
    tasks: HashMap<Location, Task>,
    oldest_first: VecDeque<Location>,
    signing_images: HashSet<String>,
}

/// Bucket and key.
type Location = (String, String);

#[derive(Clone, Debug)]
struct Task {
    key: SigningKey,
    image: String,
}

/// A secret, so `Debug` does not show it.
#[derive(Clone)]
struct SigningKey(Hmac<Sha256>);

impl fmt::Debug for SigningKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("SigningKey")
    }
}

impl Signatures {
    /// Remembers a job's key from its environment, when the job is submitted and when AWS describes it.
    pub fn remember_key<'a>(&self, environment: impl IntoIterator<Item = (&'a str, &'a str)>, image: &str) {
        let (mut bucket, mut result, mut key) = (None, None, None);
        for (name, value) in environment {
            match name {
                "S3_BUCKET_NAME" => bucket = Some(value),
                "RESULT_FILENAME" => result = Some(value),
                VARIABLE => key = decode_hex(value),
                _ => {}
            }
        }
        let (Some(bucket), Some(result), Some(key)) = (bucket, result, key) else { return };
        let Ok(key) = Hmac::new_from_slice(&key) else { return };
        let location = (bucket.to_owned(), result.to_owned());
        let mut known = self.known();
        if known.tasks.insert(location.clone(), Task { key: SigningKey(key), image: image.to_owned() }).is_none() {
            known.oldest_first.push_back(location);
        }
        if known.tasks.len() > MAX_KEYS
            && let Some(oldest) = known.oldest_first.pop_front()
        {
            known.tasks.remove(&oldest);
        }
    }

    /// Verifies the content at `s3://bucket/key`.
    #[must_use]
    pub fn verify(&self, bucket: &str, key: &str, found: StoredContent<'_>) -> SignatureStatus {
        let task = self.known().tasks.get(&(bucket.to_owned(), of_task(key))).cloned();
        let Some(task) = task else { return SignatureStatus::Unchecked };
        match found {
            StoredContent::Signed(signature, content) => {
                let mut mac = task.key.0;
                mac.update(content);
                if decode_hex(signature).is_some_and(|signature| mac.verify_slice(&signature).is_ok()) {
                    self.known().signing_images.insert(task.image);
                    SignatureStatus::Valid
                } else {
                    SignatureStatus::Wrong
                }
            }
            StoredContent::Unsigned if self.known().signing_images.contains(&task.image) => SignatureStatus::Missing,
            StoredContent::Unsigned => SignatureStatus::Unchecked,
        }
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The key of a task's result. A node of its job that is not the main one leaves its own beside it, such as
/// `result-X-1.node-2.attempt-1.pkl`, signed with the same key.
fn of_task(key: &str) -> String {
    key.split_once(".node-").map_or_else(|| key.to_owned(), |(stem, _)| format!("{stem}.pkl"))
}

fn decode_hex(digits: &str) -> Option<Vec<u8>> {
    let pairs = digits.as_bytes().chunks(2);
    pairs.map(|pair| u8::from_str_radix(str::from_utf8(pair).ok().filter(|pair| pair.len() == 2)?, 16).ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &str = "4a656665"; // test case 2 of RFC 4231
    const CONTENT: &[u8] = b"what do ya want for nothing?";
    const SIGNATURE: &str = "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843";

    fn signatures(image: &str) -> Signatures {
        let signatures = Signatures::default();
        for result in ["r1", "r2"] {
            signatures.remember_key([("S3_BUCKET_NAME", "b"), ("RESULT_FILENAME", result), (VARIABLE, KEY)], image);
        }
        signatures
    }

    #[test]
    fn only_the_key_makes_a_valid_signature() {
        let signatures = signatures("i");
        assert_eq!(signatures.verify("b", "r1", StoredContent::Signed(SIGNATURE, CONTENT)), SignatureStatus::Valid);
        for (signature, content) in [(SIGNATURE, &b"another"[..]), ("", CONTENT), ("5b", CONTENT), ("xyz", CONTENT)] {
            assert_eq!(signatures.verify("b", "r1", StoredContent::Signed(signature, content)), SignatureStatus::Wrong);
        }
        assert!(!format!("{signatures:?}").contains("4a65"));
    }

    #[test]
    fn what_another_node_leaves_is_held_to_the_key_of_its_job() {
        let signatures = signatures("i");
        signatures.remember_key([("S3_BUCKET_NAME", "b"), ("RESULT_FILENAME", "result-X-1.pkl"), (VARIABLE, KEY)], "i");
        let key = "result-X-1.node-2.attempt-1.pkl";
        assert_eq!(signatures.verify("b", key, StoredContent::Signed(SIGNATURE, CONTENT)), SignatureStatus::Valid);
        assert_eq!(signatures.verify("b", key, StoredContent::Signed("5b", CONTENT)), SignatureStatus::Wrong);
        assert_eq!(signatures.verify("b", key, StoredContent::Unsigned), SignatureStatus::Missing);
    }

    #[test]
    fn an_image_that_has_signed_is_expected_to_go_on() {
        let signatures = signatures("i");
        assert_eq!(signatures.verify("b", "r2", StoredContent::Unsigned), SignatureStatus::Unchecked);
        assert_eq!(signatures.verify("b", "r1", StoredContent::Signed(SIGNATURE, CONTENT)), SignatureStatus::Valid);
        assert_eq!(signatures.verify("b", "r2", StoredContent::Unsigned), SignatureStatus::Missing);
    }

    #[test]
    fn without_a_key_nothing_is_said() {
        let signatures = signatures("i");
        assert_eq!(
            signatures.verify("b", "other", StoredContent::Signed(SIGNATURE, CONTENT)),
            SignatureStatus::Unchecked
        );
        assert_eq!(signatures.verify("b", "other", StoredContent::Unsigned), SignatureStatus::Unchecked);
    }

    #[test]
    fn the_keys_of_the_oldest_submissions_are_forgotten() {
        let signatures = signatures("i");
        for number in 0..MAX_KEYS {
            let result = format!("more-{number}");
            signatures.remember_key([("S3_BUCKET_NAME", "b"), ("RESULT_FILENAME", &result), (VARIABLE, KEY)], "i");
        }
        assert_eq!(signatures.known().tasks.len(), MAX_KEYS);
        assert_eq!(signatures.verify("b", "r1", StoredContent::Signed(SIGNATURE, CONTENT)), SignatureStatus::Unchecked);
    }
}
