//! Classifies the SDK's errors, in this one place.

use std::borrow::Cow;
use std::error::Error as StdError;
use std::io;

use aws_credential_types::provider::error::CredentialsError;
use aws_sdk_s3::operation::RequestId;
use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use aws_smithy_runtime_api::client::result::{ConnectorError, SdkError};
use aws_smithy_types::error::metadata::ProvideErrorMetadata;

use super::intermediary::NoAnswer;
use super::skipped_call::SkippedCall;
use crate::error::{Details, Error, Kind, NoCredentials, Source, chain};

/// Characters of a code or a request id that are kept; AWS's have some tens.
const MAX_NAME_CHARS: usize = 200;
/// Header in which S3 names a bucket's region.
pub const BUCKET_REGION: &str = "x-amz-bucket-region";

impl Error {
    /// Reads an SDK error.
    ///
    /// `operation` is the IAM action (`s3:PutObject`), so that the error of a denied call names the missing right;
    /// `subject` is the resource (`s3://bucket/key`, a job's name).
    pub fn from_sdk<E>(operation: &'static str, subject: impl Into<String>, error: SdkError<E, HttpResponse>) -> Self
    where
        E: StdError + ProvideErrorMetadata + Send + Sync + 'static,
    {
        let subject = subject.into();
        let status = error.raw_response().map(|response| response.status().as_u16());
        let request_id = error.raw_response().and_then(|response| response.request_id()).map(bounded);
        let code = error.code().map(bounded);
        let kind = match kind_of(&error, code.as_deref(), status) {
            // Only S3 answers 404 for a missing object. From another service, a 404 without a code is not AWS's.
            Kind::NotFound if !operation.starts_with("s3:") => Kind::Refused,
            kind => kind,
        };
        let skipped = chain(&error).find_map(|error| error.downcast_ref::<SkippedCall>());
        let endpoint = chain(&error).find_map(|error| error.downcast_ref::<NoAnswer>()).map(NoAnswer::host);
        let endpoint = skipped.map(SkippedCall::hosts).or_else(|| endpoint.map(str::to_owned));
        let skipped = skipped.is_some();
        let no_credentials = chain(&error).find_map(|error| error.downcast_ref::<NoCredentials>()).cloned();
        let message = match (kind, &error) {
            _ if skipped => format!("AWS was not asked for {operation} on {subject}"),
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
        let bucket_region =
            error.raw_response().and_then(|response| response.headers().get(BUCKET_REGION)).map(bounded);
        let said = said.or_else(|| no_credentials.as_ref().map(ToString::to_string));
        let advice = advice(kind, code.as_deref(), operation, bucket_region.as_deref(), no_credentials.is_some());
        let message = [Some(message), said].into_iter().flatten().collect::<Vec<_>>().join(": ");
        let message = [Some(message.as_str()), advice.as_deref()].into_iter().flatten().collect::<Vec<_>>().join("; ");
        // The message has the service's own text already; the source would only add "service error".
        let never_arrived = matches!(
            &error,
            SdkError::DispatchFailure(failure) if failure.as_connector_error().is_some_and(is_connection_refused)
        );
        let is_complete =
            no_credentials.is_some() || matches!(error, SdkError::ServiceError(_)) && kind != Kind::Garbled;
        let source = (!is_complete).then(|| Source::from(error));
        // The sources above an informative one only say "dispatch failure".
        let skipped_sources = source.as_deref().map_or(0, |source| chain(source).position(is_informative).unwrap_or(0));
        let subject = Some(subject);
        Details {
            kind,
            message,
            operation: Some(operation),
            subject,
            code,
            request_id,
            never_arrived,
            endpoint,
            skipped,
            no_credentials,
            source,
            skipped_sources,
        }
        .into()
    }
}

/// A name from an answer, which may come from something else than AWS and be of any length.
fn bounded(text: &str) -> String {
    text.chars().take(MAX_NAME_CHARS).collect()
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
        // The SDK reports an answer that it cannot parse as a service error.
        SdkError::ServiceError(_) | SdkError::ResponseError(_) if status == Some(200) && code.is_none() => {
            Kind::Garbled
        }
        SdkError::ServiceError(_) => kind_of_code(code, status),
        _ => Kind::Ambiguous,
    }
}

/// Whether the connection was refused, so that the request was never sent.
fn is_connection_refused(error: &ConnectorError) -> bool {
    chain(error)
        .filter_map(|error| error.downcast_ref::<io::Error>())
        .any(|error| error.kind() == io::ErrorKind::ConnectionRefused)
}

/// What to do about an error, where AWS's message does not say it.
fn advice(
    kind: Kind,
    code: Option<&str>,
    operation: &str,
    bucket_region: Option<&str>,
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
            let bucket_region = bucket_region.unwrap_or("another region, and S3 does not say in which");
            return Some(Cow::Owned(format!(
                "the bucket is in {bucket_region}: set `s3_bucket_name` to one in the region of the queue, or `region`, which \
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

/// The codes are those of the services' API references. The answer to a HEAD request has none, so its status decides.
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

/// Whether an error explains credentials or names a host.
fn is_informative(error: &(dyn StdError + 'static)) -> bool {
    error.is::<CredentialsError>() || error.is::<NoAnswer>() || error.is::<SkippedCall>()
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
    fn what_aws_calls_an_error_is_bounded() {
        let metadata = ErrorMetadata::builder().code("x".repeat(1_000_000)).message("why").build();
        let response = HttpResponse::new(400.try_into().unwrap(), "".into());
        let refused = SdkError::service_error(DescribeJobsError::generic(metadata), response);
        let error = Error::from_sdk("batch:DescribeJobs", "1 jobs", refused);
        assert_eq!(error.code().map(str::len), Some(MAX_NAME_CHARS));
        assert!(error.to_string().ends_with("x: why"), "{error}");
    }
}
