//! Whether the job of a task wrote what stands at its result's key, or somebody else who can write to the bucket.
//!
//! Each job gets a random key in its environment, and the runner signs with it (HMAC-SHA256 over the object's content).
//! AWS tells the key again with the job's description, so that it needs no place of its own after a restart. Who may
//! describe the account's jobs can therefore sign as well; who can only write to the bucket cannot.
//!
//! The public image's program does not sign. An image whose program has signed once is expected to go on.

use std::collections::{HashMap, HashSet, VecDeque};
use std::fmt;
use std::sync::{Mutex, MutexGuard, PoisonError};

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

/// User metadata that holds a signature in hexadecimal digits.
pub const METADATA: &str = "covalent-awsbatch-signature";
/// Variable of the job that holds the key in hexadecimal digits.
pub const VARIABLE: &str = "COVALENT_AWSBATCH_SIGNING_KEY";
/// Keys that are remembered, some megabytes; those of the oldest submissions go first.
const REMEMBERED: usize = 20_000;

/// What a signature says.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Signature {
    /// The task's own job wrote the object, or somebody who knows its key.
    Valid,
    /// Somebody else wrote it, or another job.
    Wrong,
    /// There is none, although the program of the job's image signs.
    Missing,
    /// There is none, or no key to compare it with.
    Unchecked,
}

impl Signature {
    /// As programs see it.
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

/// What was found at a result's key.
#[derive(Clone, Copy, Debug)]
pub enum Found<'a> {
    /// A content with this signature.
    Signed(&'a str, &'a [u8]),
    /// A content without one.
    Unsigned,
}

/// The keys of the tasks of this process, by place of their result.
#[derive(Debug, Default)]
pub struct Signatures(Mutex<Known>);

#[derive(Debug, Default)]
struct Known {
    tasks: HashMap<Place, Task>,
    oldest_first: VecDeque<Place>,
    signing_images: HashSet<String>,
}

/// Bucket and key.
type Place = (String, String);

#[derive(Clone, Debug)]
struct Task {
    key: SigningKey,
    image: String,
}

/// A secret, which `Debug` does not show.
#[derive(Clone)]
struct SigningKey(Hmac<Sha256>);

impl fmt::Debug for SigningKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("SigningKey")
    }
}

impl Signatures {
    /// Takes in the key of a job from its environment, if it has one: when it is submitted, and when AWS describes it.
    pub fn learn<'a>(&self, environment: impl IntoIterator<Item = (&'a str, &'a str)>, image: &str) {
        let (mut bucket, mut result, mut key) = (None, None, None);
        for (name, value) in environment {
            match name {
                "S3_BUCKET_NAME" => bucket = Some(value),
                "RESULT_FILENAME" => result = Some(value),
                VARIABLE => key = bytes(value),
                _ => {}
            }
        }
        let (Some(bucket), Some(result), Some(key)) = (bucket, result, key) else { return };
        let Ok(key) = Hmac::new_from_slice(&key) else { return };
        let place = (bucket.to_owned(), result.to_owned());
        let mut known = self.known();
        if known.tasks.insert(place.clone(), Task { key: SigningKey(key), image: image.to_owned() }).is_none() {
            known.oldest_first.push_back(place);
        }
        if known.tasks.len() > REMEMBERED
            && let Some(oldest) = known.oldest_first.pop_front()
        {
            known.tasks.remove(&oldest);
        }
    }

    /// Who wrote what was found at `s3://bucket/key`.
    #[must_use]
    pub fn judge(&self, bucket: &str, key: &str, found: Found<'_>) -> Signature {
        let task = self.known().tasks.get(&(bucket.to_owned(), key.to_owned())).cloned();
        let Some(task) = task else { return Signature::Unchecked };
        match found {
            Found::Signed(signature, content) => {
                let mut mac = task.key.0;
                mac.update(content);
                if bytes(signature).is_some_and(|signature| mac.verify_slice(&signature).is_ok()) {
                    self.known().signing_images.insert(task.image);
                    Signature::Valid
                } else {
                    Signature::Wrong
                }
            }
            Found::Unsigned if self.known().signing_images.contains(&task.image) => Signature::Missing,
            Found::Unsigned => Signature::Unchecked,
        }
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn bytes(digits: &str) -> Option<Vec<u8>> {
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
            signatures.learn([("S3_BUCKET_NAME", "b"), ("RESULT_FILENAME", result), (VARIABLE, KEY)], image);
        }
        signatures
    }

    #[test]
    fn only_the_key_makes_a_valid_signature() {
        let signatures = signatures("i");
        assert_eq!(signatures.judge("b", "r1", Found::Signed(SIGNATURE, CONTENT)), Signature::Valid);
        for (signature, content) in [(SIGNATURE, &b"another"[..]), ("", CONTENT), ("5b", CONTENT), ("xyz", CONTENT)] {
            assert_eq!(signatures.judge("b", "r1", Found::Signed(signature, content)), Signature::Wrong);
        }
        assert!(!format!("{signatures:?}").contains("4a65"));
    }

    #[test]
    fn an_image_that_has_signed_is_expected_to_go_on() {
        let signatures = signatures("i");
        assert_eq!(signatures.judge("b", "r2", Found::Unsigned), Signature::Unchecked);
        assert_eq!(signatures.judge("b", "r1", Found::Signed(SIGNATURE, CONTENT)), Signature::Valid);
        assert_eq!(signatures.judge("b", "r2", Found::Unsigned), Signature::Missing);
    }

    #[test]
    fn without_a_key_nothing_is_said() {
        let signatures = signatures("i");
        assert_eq!(signatures.judge("b", "other", Found::Signed(SIGNATURE, CONTENT)), Signature::Unchecked);
        assert_eq!(signatures.judge("b", "other", Found::Unsigned), Signature::Unchecked);
    }

    #[test]
    fn the_keys_of_the_oldest_submissions_are_forgotten() {
        let signatures = signatures("i");
        for number in 0..REMEMBERED {
            let result = format!("more-{number}");
            signatures.learn([("S3_BUCKET_NAME", "b"), ("RESULT_FILENAME", &result), (VARIABLE, KEY)], "i");
        }
        assert_eq!(signatures.known().tasks.len(), REMEMBERED);
        assert_eq!(signatures.judge("b", "r1", Found::Signed(SIGNATURE, CONTENT)), Signature::Unchecked);
    }
}
