//! The crate's error type. AWS's errors are converted in `aws::sdk_error`.

use std::error::Error as StdError;

/// Any fallible call of this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;

pub(crate) type Source = Box<dyn StdError + Send + Sync + 'static>;

/// Characters of an error's message that are kept: a source may hold a page of HTML.
const MAX_MESSAGE_CHARS: usize = 4000;

/// What an [`Error`] means to the caller, independent of the service that raised it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum Kind {
    /// A setting cannot work; nothing was sent.
    Settings,
    /// No credentials, expired ones, or not allowed to do this.
    Access,
    /// The S3 object is not there.
    NotFound,
    /// AWS says that there are too many requests; the call had no effect.
    Throttled,
    /// The answer was lost (connection, time-out, server error): whether the call had an effect is unknown.
    Ambiguous,
    /// The answer came but cannot be understood.
    Garbled,
    /// The content arrived truncated, or differs from what was stored; a retry may succeed.
    Damaged,
    /// AWS understood the call and refused it.
    Refused,
    /// A job's result cannot be used.
    Result,
}

/// There are no usable credentials.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("{found}{}{fix}", if .fix.is_empty() { "" } else { "; " })]
pub struct NoCredentials {
    /// What was looked at, and what is wrong with it.
    pub found: String,
    /// The command that helps; empty if it is not known.
    pub fix: String,
    /// What each provider of the SDK says.
    pub providers: String,
}

impl NoCredentials {
    /// Without messages of the SDK's providers.
    pub fn new(found: impl Into<String>, fix: impl Into<String>) -> Self {
        Self { found: found.into(), fix: fix.into(), providers: String::new() }
    }
}

/// A failed operation: what was tried on what, why it failed, and what AWS called it.
///
/// Its `Display` is one line: the sentence, then the chain of sources without repetitions.
#[derive(Debug, thiserror::Error)]
#[error(transparent)]
pub struct Error(Box<Details>);

/// The fields of an [`Error`], boxed to keep `Result` small.
#[derive(Debug, thiserror::Error)]
#[error("{}", one_line(.message, .source.as_deref(), *.skipped_sources))]
pub(crate) struct Details {
    pub kind: Kind,
    pub message: String,
    pub operation: Option<&'static str>,
    pub subject: Option<String>,
    pub code: Option<String>,
    pub request_id: Option<String>,
    pub never_arrived: bool,
    pub endpoint: Option<String>,
    pub skipped: bool,
    pub no_credentials: Option<NoCredentials>,
    pub source: Option<Source>,
    /// How many sources to leave out of the message, from the first on: they say nothing, such as "dispatch failure".
    pub skipped_sources: usize,
}

impl From<Details> for Error {
    fn from(details: Details) -> Self {
        Self(Box::new(details))
    }
}

impl Error {
    /// An error without a source.
    pub fn new(kind: Kind, message: impl Into<String>) -> Self {
        Self(Box::new(Details {
            kind,
            message: message.into(),
            operation: None,
            subject: None,
            code: None,
            request_id: None,
            never_arrived: false,
            endpoint: None,
            skipped: false,
            no_credentials: None,
            source: None,
            skipped_sources: 0,
        }))
    }

    /// An error that `source` has caused.
    pub fn with_source(kind: Kind, message: impl Into<String>, source: impl Into<Source>) -> Self {
        let mut error = Self::new(kind, message);
        error.0.source = Some(source.into());
        error
    }

    /// A copy for another caller; the sources become part of its message.
    #[must_use]
    pub fn replicate(&self) -> Self {
        Self(Box::new(Details {
            kind: self.0.kind,
            message: self.to_string(),
            operation: self.0.operation,
            subject: self.0.subject.clone(),
            code: self.0.code.clone(),
            request_id: self.0.request_id.clone(),
            never_arrived: self.0.never_arrived,
            endpoint: self.0.endpoint.clone(),
            skipped: self.0.skipped,
            no_credentials: self.0.no_credentials.clone(),
            source: None,
            skipped_sources: 0,
        }))
    }

    /// Adds what to do about it to the message.
    #[must_use]
    pub fn with_advice(mut self, advice: &str) -> Self {
        self.0.message = format!("{}; {advice}", self.0.message);
        self
    }

    /// The kind of error.
    #[must_use]
    pub fn kind(&self) -> Kind {
        self.0.kind
    }

    /// The IAM action that failed, where an AWS call did.
    #[must_use]
    pub fn operation(&self) -> Option<&'static str> {
        self.0.operation
    }

    /// The resource of the call.
    #[must_use]
    pub fn subject(&self) -> Option<&str> {
        self.0.subject.as_deref()
    }

    /// AWS's error code.
    #[must_use]
    pub fn code(&self) -> Option<&str> {
        self.0.code.as_deref()
    }

    /// AWS's request id, for a support case.
    #[must_use]
    pub fn request_id(&self) -> Option<&str> {
        self.0.request_id.as_deref()
    }

    /// Whether the credentials have expired.
    #[must_use]
    pub fn is_expired(&self) -> bool {
        matches!(self.code(), Some("ExpiredToken" | "ExpiredTokenException"))
    }

    /// Whether no connection was established, so that the call certainly had no effect.
    #[must_use]
    pub fn never_arrived(&self) -> bool {
        self.0.never_arrived
    }

    /// Host and port that did not answer.
    #[must_use]
    pub fn endpoint(&self) -> Option<&str> {
        self.0.endpoint.as_deref()
    }

    /// Why there are no credentials, where that is what failed.
    #[must_use]
    pub fn no_credentials(&self) -> Option<&NoCredentials> {
        self.0.no_credentials.as_ref()
    }

    /// Whether the call was not made, because its host has not answered an earlier one.
    #[must_use]
    pub fn was_skipped(&self) -> bool {
        self.0.skipped
    }

    /// Whether a retry may succeed.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        !self.0.skipped && matches!(self.0.kind, Kind::Throttled | Kind::Ambiguous | Kind::Garbled)
    }
}

/// The message and the chain of its sources, without repetitions.
fn one_line(message: &str, source: Option<&(dyn StdError + Send + Sync + 'static)>, skipped: usize) -> String {
    let mut line = message.to_owned();
    let source = source.map(|source| source as &(dyn StdError + 'static));
    for error in source.into_iter().flat_map(chain).skip(skipped) {
        let text = error.to_string();
        if !line.contains(&text) {
            line.push_str(": ");
            line.push_str(&text);
        }
        if error.is::<Error>() {
            break; // its message contains its own sources
        }
    }
    printable_line(&line)
}

/// An error and its sources.
pub(crate) fn chain<'a>(error: &'a (dyn StdError + 'static)) -> impl Iterator<Item = &'a (dyn StdError + 'static)> {
    std::iter::successors(Some(error), |error: &&'a (dyn StdError + 'static)| (*error).source())
}

/// One line of bounded length. A text from AWS, a proxy or the bucket may be of any length and contain control
/// characters for a terminal.
fn printable_line(text: &str) -> String {
    let mut line = String::new();
    let mut left = MAX_MESSAGE_CHARS;
    for word in text.split_whitespace() {
        for character in [' '].into_iter().take(usize::from(!line.is_empty())).chain(word.chars()) {
            let escaped = is_unprintable(character).then(|| character.escape_unicode());
            let Some(rest) = left.checked_sub(escaped.as_ref().map_or(1, ExactSizeIterator::len)) else {
                line.push('…');
                return line;
            };
            left = rest;
            match escaped {
                Some(escaped) => line.extend(escaped),
                None => line.push(character),
            }
        }
    }
    line
}

/// Control characters, and those that change the direction of reading.
fn is_unprintable(character: char) -> bool {
    character.is_control()
        || matches!(character, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_is_bounded_and_does_nothing_in_a_terminal() {
        let error = Error::new(Kind::Refused, format!("\u{1b}[2J\u{202e}a\u{2028}b {}", "x".repeat(10_000_000)));
        let message = error.to_string();
        assert!(message.starts_with("\\u{1b}[2J\\u{202e}a b xxx"), "{}", &message[..40]);
        assert!(message.ends_with('…') && message.chars().count() == MAX_MESSAGE_CHARS + 1);
        let escaped = Error::new(Kind::Refused, "\u{202e}".repeat(MAX_MESSAGE_CHARS)).to_string();
        assert!(escaped.ends_with("\\u{202e}…") && escaped.chars().count() <= MAX_MESSAGE_CHARS + 1);
    }

    #[test]
    fn the_message_is_one_line_without_repetitions() {
        let inner = std::io::Error::other("connection\nreset");
        let error = Error::with_source(Kind::Ambiguous, "no answer", inner);
        assert_eq!(error.to_string(), "no answer: connection reset");
        let error = Error::with_source(Kind::Ambiguous, "no answer: reset", std::io::Error::other("reset"));
        assert_eq!(error.to_string(), "no answer: reset");
    }
}
