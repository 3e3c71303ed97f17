//! What can go wrong, and the one place where AWS's error codes are read.

use std::borrow::Cow;
use std::error::Error as StdError;
use std::io;

use aws_credential_types::provider::error::CredentialsError;
use aws_sdk_s3::operation::RequestId;
use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use aws_smithy_runtime_api::client::result::{ConnectorError, SdkError};
use aws_smithy_types::error::metadata::ProvideErrorMetadata;

use crate::aws::bucket_region::TOLD;
use crate::aws::credentials::NoCredentials;
use crate::aws::intermediary::Unanswered;
use crate::aws::silence::{NotAsked, chain};

/// Any fallible call of this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;

type Source = Box<dyn StdError + Send + Sync + 'static>;

/// Characters of an error's message; a chain of sources with a page of HTML in it is longer.
const LONGEST_MESSAGE: usize = 4000;
/// Characters of a code or a request id; AWS's have some tens.
const LONGEST_NAME: usize = 200;

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
    /// What was read arrived cut off, or is not what was stored; another try may well succeed.
    Damaged,
    /// AWS understood the call and refused it.
    Refused,
    /// What a job left behind cannot be used.
    Result,
}

/// A failed operation: what was tried on what, why it failed, and what AWS called it.
///
/// Its `Display` is one line: the sentence, then the chain of sources without repetitions.
#[derive(Debug, thiserror::Error)]
#[error(transparent)]
pub struct Error(Box<Details>);

#[derive(Debug, thiserror::Error)]
#[error("{}", one_line(.message, .source.as_deref()))]
struct Details {
    kind: Kind,
    message: String,
    operation: Option<&'static str>,
    subject: Option<String>,
    code: Option<String>,
    request_id: Option<String>,
    never_arrived: bool,
    endpoint: Option<String>,
    unasked: bool,
    without: Option<NoCredentials>,
    source: Option<Source>,
}

impl Error {
    /// An error with a sentence of its own and nothing beneath it.
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
            unasked: false,
            without: None,
            source: None,
        }))
    }

    /// The same, caused by `source`.
    pub fn with_source(kind: Kind, message: impl Into<String>, source: impl Into<Source>) -> Self {
        let mut error = Self::new(kind, message);
        error.0.source = Some(source.into());
        error
    }

    /// Reads an SDK error.
    ///
    /// `operation` is the IAM action (`s3:PutObject`), so that a denied call names the right to ask for; `subject` is
    /// what it was tried on (`s3://bucket/key`, a job's name).
    pub fn from_sdk<E>(operation: &'static str, subject: impl Into<String>, error: SdkError<E, HttpResponse>) -> Self
    where
        E: StdError + ProvideErrorMetadata + Send + Sync + 'static,
    {
        let subject = subject.into();
        let status = error.raw_response().map(|response| response.status().as_u16());
        let request_id = error.raw_response().and_then(|response| response.request_id()).map(name);
        let code = error.code().map(name);
        let kind = match kind_of(&error, code.as_deref(), status) {
            // What is not there in S3 is an object; elsewhere AWS says what it is, and this is somebody else's page.
            Kind::NotFound if !operation.starts_with("s3:") => Kind::Refused,
            kind => kind,
        };
        let unasked = chain(&error).find_map(|error| error.downcast_ref::<NotAsked>());
        let endpoint = chain(&error).find_map(|error| error.downcast_ref::<Unanswered>()).map(Unanswered::host);
        let endpoint = unasked.map(NotAsked::of_whom).or_else(|| endpoint.map(str::to_owned));
        let unasked = unasked.is_some();
        let without = chain(&error).find_map(|error| error.downcast_ref::<NoCredentials>()).cloned();
        let message = match (kind, &error) {
            _ if unasked => format!("AWS was not asked for {operation} on {subject}"),
            (Kind::Access, SdkError::ServiceError(_)) => format!("AWS denied {operation} on {subject}"),
            (Kind::Access, _) => format!("no usable AWS credentials for {operation} on {subject}"),
            (Kind::NotFound, _) => format!("{subject} does not exist"),
            (Kind::Throttled, _) => format!("AWS throttles {operation} ({subject})"),
            (Kind::Ambiguous, _) => format!("no answer from AWS to {operation} on {subject}"),
            (Kind::Garbled, _) => format!("the answer of AWS to {operation} on {subject} cannot be understood"),
            _ => format!("{operation} on {subject} failed"),
        };
        let said = match (error.message(), code.as_deref()) {
            (Some(text), Some(code)) => Some(format!("{code}: {text}")),
            (None, Some(code)) => Some(code.to_owned()),
            (Some(text), None) => Some(text.to_owned()),
            (None, None) => None,
        };
        let there = error.raw_response().and_then(|response| response.headers().get(TOLD)).map(name);
        let said = said.or_else(|| without.as_ref().map(ToString::to_string));
        let advice = advice(kind, code.as_deref(), operation, there.as_deref(), without.is_some());
        let message = [Some(message), said].into_iter().flatten().collect::<Vec<_>>().join(": ");
        let message = [Some(message.as_str()), advice.as_deref()].into_iter().flatten().collect::<Vec<_>>().join("; ");
        // The service's own words stand in the message; the source would only say "service error" once more.
        let never_arrived = matches!(
            &error,
            SdkError::DispatchFailure(failure) if failure.as_connector_error().is_some_and(is_unconnected)
        );
        let told = without.is_some() || matches!(error, SdkError::ServiceError(_)) && kind != Kind::Garbled;
        let source = (!told).then(|| Source::from(error));
        let subject = Some(subject);
        Self(Box::new(Details {
            kind,
            message,
            operation: Some(operation),
            subject,
            code,
            request_id,
            never_arrived,
            endpoint,
            unasked,
            without,
            source,
        }))
    }

    /// The same error for one more receiver; its sources are folded into the message.
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
            unasked: self.0.unasked,
            without: self.0.without.clone(),
            source: None,
        }))
    }

    /// The same error, with what to do about it behind what AWS said.
    #[must_use]
    pub fn advising(mut self, advice: &str) -> Self {
        self.0.message = format!("{}; {advice}", self.0.message);
        self
    }

    /// What this means to the caller.
    #[must_use]
    pub fn kind(&self) -> Kind {
        self.0.kind
    }

    /// The IAM action that failed, where an AWS call did.
    #[must_use]
    pub fn operation(&self) -> Option<&'static str> {
        self.0.operation
    }

    /// What the call was about.
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

    /// Whether the credentials were good once.
    #[must_use]
    pub fn is_expired(&self) -> bool {
        matches!(self.code(), Some("ExpiredToken" | "ExpiredTokenException"))
    }

    /// Whether no connection came about, so that the call had no effect for sure.
    #[must_use]
    pub fn never_arrived(&self) -> bool {
        self.0.never_arrived
    }

    /// Host and port of whoever did not answer.
    #[must_use]
    pub fn endpoint(&self) -> Option<&str> {
        self.0.endpoint.as_deref()
    }

    /// Why there are no credentials, where that is what failed.
    #[must_use]
    pub fn without_credentials(&self) -> Option<&NoCredentials> {
        self.0.without.as_ref()
    }

    /// Whether a command did not ask any more, since there was no answer before.
    #[must_use]
    pub fn was_not_asked(&self) -> bool {
        self.0.unasked
    }

    /// Whether the same call may well succeed a little later.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        !self.0.unasked && matches!(self.0.kind, Kind::Throttled | Kind::Ambiguous | Kind::Garbled)
    }
}

/// What AWS calls something, or whatever else answered in its place.
fn name(text: &str) -> String {
    text.chars().take(LONGEST_NAME).collect()
}

/// The sentence and the chain of its sources, without what one of them repeats.
fn one_line(message: &str, source: Option<&(dyn StdError + Send + Sync + 'static)>) -> String {
    let mut line = message.to_owned();
    let mut source = source.map(|source| source as &(dyn StdError + 'static));
    // The layers above what tells of credentials, or of whom was asked, only say "dispatch failure".
    source = source.and_then(|source| telling(source)).or(source);
    while let Some(error) = source {
        let text = error.to_string();
        if !line.contains(&text) {
            line.push_str(": ");
            line.push_str(&text);
        }
        source = error.source();
    }
    shown(&line)
}

/// One line of bounded length for people. What AWS, a proxy or the bucket said may be of any length, and hold characters
/// that do more in a terminal than to show themselves.
fn shown(text: &str) -> String {
    let mut line = String::new();
    let mut left = LONGEST_MESSAGE;
    for word in text.split_whitespace() {
        for character in [' '].into_iter().take(usize::from(!line.is_empty())).chain(word.chars()) {
            let escaped = is_unsafe(character).then(|| character.escape_unicode());
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
fn is_unsafe(character: char) -> bool {
    character.is_control()
        || matches!(character, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}')
}

fn kind_of<E>(error: &SdkError<E, HttpResponse>, code: Option<&str>, status: Option<u16>) -> Kind
where
    E: StdError + ProvideErrorMetadata + Send + Sync + 'static,
{
    if credentials_error(error).is_some() {
        return Kind::Access;
    }
    match error {
        SdkError::ConstructionFailure(_) => Kind::Settings,
        // The SDK counts an answer that it cannot read among the service's errors.
        SdkError::ServiceError(_) | SdkError::ResponseError(_) if status == Some(200) && code.is_none() => {
            Kind::Garbled
        }
        SdkError::ServiceError(_) => kind_of_code(code, status),
        _ => Kind::Ambiguous,
    }
}

/// Whether the connection itself failed: nobody listened.
fn is_unconnected(error: &ConnectorError) -> bool {
    chain(error)
        .filter_map(|error| error.downcast_ref::<io::Error>())
        .any(|error| error.kind() == io::ErrorKind::ConnectionRefused)
}

/// What to do about it, where AWS's own words leave that open.
fn advice(
    kind: Kind,
    code: Option<&str>,
    operation: &str,
    there: Option<&str>,
    explained: bool,
) -> Option<Cow<'static, str>> {
    let advice = match code {
        Some("AccessDenied") if operation == "s3:GetObject" => {
            Some("without s3:ListBucket on the bucket AWS says so also of an object that does not exist")
        }
        Some("ExpiredToken" | "ExpiredTokenException") => {
            Some("the credentials have expired: renew them, with single sign-on by `aws sso login`")
        }
        Some("NoSuchBucket") => Some("create the bucket, or set `s3_bucket_name` and `region` to those of yours"),
        Some("PermanentRedirect" | "AuthorizationHeaderMalformed") => {
            let there = there.unwrap_or("another region, and S3 does not say in which");
            return Some(Cow::Owned(format!(
                "the bucket is in {there}: set `s3_bucket_name` to one in the region of the queue, or `region`, which \
                 moves the queue as well"
            )));
        }
        Some("RequestTimeTooSkewed" | "SignatureDoesNotMatch" | "InvalidSignatureException") => {
            Some("look at this machine's clock and at the secret key")
        }
        None if kind == Kind::Access && !explained => Some(
            "give the executor a `profile` or `credentials`, or set the AWS variables where Covalent's server runs",
        ),
        _ => None,
    };
    advice.map(Cow::Borrowed)
}

/// The codes are those of the services' API references; a HEAD request has none, and then the status speaks.
pub(crate) fn kind_of_code(code: Option<&str>, status: Option<u16>) -> Kind {
    match code {
        Some("NoSuchKey" | "NotFound") => Kind::NotFound,
        Some(
            "TooManyRequestsException"
            | "ThrottlingException"
            | "Throttling"
            | "RequestLimitExceeded"
            | "SlowDown"
            | "LimitExceededException",
        ) => Kind::Throttled,
        Some(
            "AccessDenied"
            | "AccessDeniedException"
            | "AuthFailure"
            | "ExpiredToken"
            | "ExpiredTokenException"
            | "InvalidAccessKeyId"
            | "InvalidClientTokenId"
            | "InvalidToken"
            | "InvalidSignatureException"
            | "RequestTimeTooSkewed"
            | "SignatureDoesNotMatch"
            | "UnauthorizedException"
            | "UnrecognizedClientException",
        ) => Kind::Access,
        _ => match status {
            Some(429) => Kind::Throttled,
            Some(401 | 403) => Kind::Access,
            Some(500..) => Kind::Ambiguous,
            Some(404) if code.is_none() => Kind::NotFound,
            _ => Kind::Refused,
        },
    }
}

/// The first of an error and its sources that says something.
fn telling<'a>(error: &'a (dyn StdError + 'static)) -> Option<&'a (dyn StdError + 'static)> {
    chain(error).find(|error| error.is::<CredentialsError>() || error.is::<Unanswered>() || error.is::<NotAsked>())
}

/// The error of a credentials provider among an error and its sources.
fn credentials_error<'a>(error: &'a (dyn StdError + 'static)) -> Option<&'a (dyn StdError + 'static)> {
    chain(error).find(|error| error.is::<CredentialsError>())
}

#[cfg(test)]
mod tests {
    use aws_sdk_batch::operation::describe_jobs::DescribeJobsError;
    use aws_smithy_types::error::ErrorMetadata;

    use super::*;

    #[test]
    fn a_code_outranks_the_status() {
        assert_eq!(kind_of_code(Some("NoSuchKey"), Some(404)), Kind::NotFound);
        assert_eq!(kind_of_code(Some("NoSuchBucket"), Some(404)), Kind::Refused);
        assert_eq!(kind_of_code(Some("TooManyRequestsException"), Some(400)), Kind::Throttled);
        assert_eq!(kind_of_code(Some("ServerException"), Some(500)), Kind::Ambiguous);
        assert_eq!(kind_of_code(Some("ClientException"), Some(400)), Kind::Refused);
    }

    #[test]
    fn without_a_code_the_status_speaks() {
        assert_eq!(kind_of_code(None, Some(403)), Kind::Access);
        assert_eq!(kind_of_code(None, Some(404)), Kind::NotFound);
        assert_eq!(kind_of_code(None, Some(503)), Kind::Ambiguous);
    }

    #[test]
    fn a_message_is_bounded_and_does_nothing_in_a_terminal() {
        let error = Error::new(Kind::Refused, format!("\u{1b}[2J\u{202e}a\u{2028}b {}", "x".repeat(10_000_000)));
        let message = error.to_string();
        assert!(message.starts_with("\\u{1b}[2J\\u{202e}a b xxx"), "{}", &message[..40]);
        assert!(message.ends_with('…') && message.chars().count() == LONGEST_MESSAGE + 1);
        let escaped = Error::new(Kind::Refused, "\u{202e}".repeat(LONGEST_MESSAGE)).to_string();
        assert!(escaped.ends_with("\\u{202e}…") && escaped.chars().count() <= LONGEST_MESSAGE + 1);
    }

    #[test]
    fn what_aws_calls_an_error_is_bounded() {
        let metadata = ErrorMetadata::builder().code("x".repeat(1_000_000)).message("why").build();
        let response = HttpResponse::new(400.try_into().unwrap(), "".into());
        let refused = SdkError::service_error(DescribeJobsError::generic(metadata), response);
        let error = Error::from_sdk("batch:DescribeJobs", "1 jobs", refused);
        assert_eq!(error.code().map(str::len), Some(LONGEST_NAME));
        assert!(error.to_string().ends_with("x: why"), "{error}");
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
