//! Answers that do not come from AWS but from an intermediary, such as a company's proxy or a captive portal.

use std::error::Error as StdError;
use std::fmt;

use aws_sdk_s3::operation::RequestId;
use aws_smithy_runtime_api::box_error::BoxError;
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_runtime_api::client::result::ConnectorError;
use aws_smithy_types::body::SdkBody;
use aws_smithy_types::retry::ErrorKind;
use http::Uri;
use hyper_util::client::proxy::matcher::Matcher;

use super::regions;
use super::skipped_call::SkippedCall;
use crate::error::chain;

/// Where a request goes, and what it transfers.
#[derive(Clone, Debug)]
pub struct RequestTarget {
    host: String,
    /// The region that the request is signed for; empty if it is not signed.
    region: String,
    proxy: Option<String>,
    payload: Payload,
}

/// Whether a request transfers an object, and in which direction.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Payload {
    None,
    Upload,
    Download,
}

impl RequestTarget {
    /// The target of a request, and the proxy that it goes through.
    #[must_use]
    pub fn of(request: &HttpRequest, proxies: Option<&Matcher>) -> Self {
        let uri: Option<Uri> = request.uri().parse().ok();
        // Only host and port are kept: the URL may hold a user and a password.
        let place = |uri: &Uri| {
            let port = uri.port().map(|port| format!(":{port}")).unwrap_or_default();
            format!("{}{port}", uri.host().unwrap_or_default())
        };
        let proxy = uri.as_ref().zip(proxies).and_then(|(uri, proxies)| proxies.intercept(uri));
        let proxy = proxy.map(|proxy| place(proxy.uri()));
        let query = uri.as_ref().and_then(Uri::query).unwrap_or_default();
        // The SDK adds the operation's name to the query.
        let payload = match query.split('&').find_map(|pair| pair.strip_prefix("x-id=")) {
            Some("PutObject" | "UploadPart") => Payload::Upload,
            Some("GetObject") => Payload::Download,
            _ => Payload::None,
        };
        let signature = request.headers().get("authorization").unwrap_or_default();
        let scope = signature.split_once("Credential=").and_then(|(_, scope)| scope.split('/').nth(2));
        let region = scope.unwrap_or_default().to_owned();
        Self { host: uri.as_ref().map(place).unwrap_or_default(), region, proxy, payload }
    }

    /// Host and port of the URL.
    #[must_use]
    pub fn host(&self) -> &str {
        &self.host
    }

    /// What to add to the error if the host's name cannot be resolved.
    fn resolution_hint(&self) -> String {
        // Only the names of AWS's own hosts contain the region.
        let of_region = self.host.split('.').any(|label| label == self.region);
        match regions::unknown_region_hint(&self.region).filter(|_| of_region) {
            Some(hint) => format!("; its name cannot be resolved: {hint}"),
            None if self.proxy.is_some() => String::new(),
            None => "; its name cannot be resolved: look at the name and at this machine's network".to_owned(),
        }
    }

    /// Passes the answer on if it is AWS's.
    ///
    /// # Errors
    /// The request's error with its target added, or that the answer is not AWS's.
    pub fn verify(self, outcome: Result<HttpResponse, ConnectorError>) -> Result<HttpResponse, ConnectorError> {
        match outcome {
            Ok(answer) if self.is_foreign(&answer) => Err(self.foreign_answer(&answer)),
            Ok(mut answer) => {
                if self.payload == Payload::Upload && answer.status().is_success() {
                    // S3's answer to an upload is in the headers alone.
                    *answer.body_mut() = SdkBody::empty();
                }
                Ok(answer)
            }
            Err(error) if chain(&error).any(<dyn StdError>::is::<SkippedCall>) => Err(error),
            Err(error) => Err(self.unreachable(error)),
        }
    }

    fn is_foreign(&self, answer: &HttpResponse) -> bool {
        let headers = answer.headers();
        let etag = headers.get("etag").is_some();
        match answer.status().as_u16() {
            407 => true,
            // S3 redirects to the region of a bucket in XML, or in a header if the answer has no content.
            300..400 => {
                let known = answer.request_id().is_some() || etag || headers.get("x-amz-bucket-region").is_some();
                !known && !content_type(answer).contains("xml")
            }
            200..300 => match self.payload {
                Payload::None => false,
                Payload::Download => !etag && answer.request_id().is_none(),
                // An HTML page in place of S3's answer means that nothing was stored.
                Payload::Upload => !etag && !headers.iter().any(|(name, _)| name.starts_with("x-amz-checksum-")),
            },
            _ => false,
        }
    }

    fn foreign_answer(self, answer: &HttpResponse) -> ConnectorError {
        let status = answer.status().as_u16();
        let location = answer.headers().get("location").and_then(|location| location.parse::<Uri>().ok());
        let detail = match (status, location.as_ref().and_then(Uri::host), content_type(answer)) {
            (407, ..) => "the proxy wants a user and a password".to_owned(),
            (_, Some(host), _) => format!("it leads to {host}"),
            (_, None, "") => "it is none of AWS's".to_owned(),
            (_, None, kind) => format!("it is {kind} and none of AWS's"),
        };
        // A proxy that requires a password requires it for a retry, too.
        let kind = (status != 407).then_some(ErrorKind::TransientError);
        ConnectorError::other(Box::new(ForeignAnswer { target: self, status, detail }), kind)
    }

    fn unreachable(self, error: ConnectorError) -> ConnectorError {
        let (timeout, io, user, kind) = (error.is_timeout(), error.is_io(), error.is_user(), error.as_other());
        let error = Box::new(NoAnswer::new(self, error.into_source()));
        match () {
            () if timeout => ConnectorError::timeout(error),
            () if io => ConnectorError::io(error),
            () if user => ConnectorError::user(error),
            () => ConnectorError::other(error, kind),
        }
    }
}

impl fmt::Display for RequestTarget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.host)?;
        self.proxy.as_ref().map_or(Ok(()), |proxy| write!(f, " through the proxy {proxy}"))
    }
}

fn content_type(answer: &HttpResponse) -> &str {
    let kind = answer.headers().get("content-type").unwrap_or_default();
    kind.split(';').next().unwrap_or_default().trim()
}

/// An answer that does not come from AWS.
#[derive(Debug, thiserror::Error)]
#[error(
    "something between here and AWS has answered in its place: {target} was asked, the answer has the status {status}, {detail}"
)]
struct ForeignAnswer {
    target: RequestTarget,
    status: u16,
    detail: String,
}

/// The target of a request that got no answer.
#[derive(Debug)]
pub struct NoAnswer {
    target: RequestTarget,
    source: BoxError,
}

impl NoAnswer {
    /// No answer from `target` because of `source`.
    pub fn new(target: RequestTarget, source: impl Into<BoxError>) -> Self {
        Self { target, source: source.into() }
    }

    /// Host and port.
    #[must_use]
    pub fn host(&self) -> &str {
        &self.target.host
    }
}

impl fmt::Display for NoAnswer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} was asked", self.target)?;
        if !self.target.region.is_empty() {
            write!(f, ", in region {}", self.target.region)?;
        }
        for error in chain(&*self.source) {
            // The HTTP client distinguishes these by their texts only.
            let text = error.to_string();
            if text.contains("proxy authorization required") {
                return f.write_str(", and the proxy wants a user and a password (status 407)");
            }
            if text == "dns error" || text.starts_with("tunnel error") {
                return f.write_str(&self.target.resolution_hint());
            }
        }
        Ok(())
    }
}

impl StdError for NoAnswer {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        Some(&*self.source)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PUT: &str = "https://bucket.s3.eu-west-1.amazonaws.com/key?x-id=PutObject";
    const GET: &str = "https://bucket.s3.eu-west-1.amazonaws.com/key?x-id=GetObject";
    const BATCH: &str = "https://batch.eu-west-1.amazonaws.com/v1/describejobs";

    fn target(url: &str) -> RequestTarget {
        let mut request = HttpRequest::empty();
        request.set_uri(url).unwrap();
        RequestTarget::of(&request, Some(&Matcher::builder().all("http://me:opensesame@proxy.example:3128").build()))
    }

    /// Verifies an answer with these headers.
    fn verify(
        url: &str,
        status: u16,
        headers: &[(&'static str, &'static str)],
    ) -> Result<HttpResponse, ConnectorError> {
        let mut answer = HttpResponse::new(status.try_into().unwrap(), SdkBody::from("<html>Please sign in</html>"));
        for (name, value) in headers {
            answer.headers_mut().insert(*name, *value);
        }
        target(url).verify(Ok(answer))
    }

    fn why(url: &str, status: u16, headers: &[(&'static str, &'static str)]) -> (String, Option<ErrorKind>) {
        let error = verify(url, status, headers).unwrap_err();
        let why = error.source().unwrap().to_string();
        assert!(!why.contains("opensesame"), "{why}");
        (why, error.as_other())
    }

    #[test]
    fn a_page_in_place_of_s3s_answer_is_told_from_it() {
        const PAGE: (&str, &str) = ("content-type", "text/html; charset=utf-8");
        for url in [PUT, GET] {
            let (why, kind) = why(url, 200, &[PAGE]);
            assert_eq!(
                why,
                "something between here and AWS has answered in its place: bucket.s3.eu-west-1.amazonaws.com through the \
                 proxy proxy.example:3128 was asked, the answer has the status 200, it is text/html and none of AWS's"
            );
            assert_eq!(kind, Some(ErrorKind::TransientError));
            assert!(verify(url, 200, &[PAGE, ("etag", "\"1\"")]).is_ok());
        }
        assert!(verify(PUT, 200, &[("x-amz-checksum-crc32", "AAAAAA==")]).is_ok());
        assert!(verify(GET, 200, &[("x-amz-request-id", "1")]).is_ok());
        assert!(verify(PUT, 200, &[("x-amz-request-id", "1")]).is_err());
    }

    #[test]
    fn a_redirection_is_named_with_where_it_leads() {
        for status in [302, 307] {
            let (why, kind) = why(BATCH, status, &[("location", "https://me:opensesame@wifi.example/login?token=1")]);
            assert!(why.contains("batch.eu-west-1.amazonaws.com through the proxy proxy.example:3128"), "{why}");
            assert!(why.ends_with(&format!("the answer has the status {status}, it leads to wifi.example")), "{why}");
            assert_eq!(kind, Some(ErrorKind::TransientError));
        }
        assert!(verify(GET, 307, &[("content-type", "application/xml"), ("location", "https://elsewhere")]).is_ok());
        assert!(verify(GET, 304, &[("etag", "\"1\"")]).is_ok());
        assert!(verify(GET, 301, &[("x-amz-bucket-region", "eu-west-1")]).is_ok());
    }

    #[test]
    fn a_proxy_that_wants_a_password_is_not_asked_again() {
        let (why, kind) = why(BATCH, 407, &[]);
        assert!(why.ends_with("the answer has the status 407, the proxy wants a user and a password"), "{why}");
        assert_eq!(kind, None);
    }

    #[test]
    fn an_error_names_who_was_asked_and_stays_what_it_is() {
        let refused = std::io::Error::from(std::io::ErrorKind::ConnectionRefused);
        let error = target(BATCH).verify(Err(ConnectorError::io(refused.into()))).unwrap_err();
        assert!(error.is_io());
        let why = error.source().unwrap().to_string();
        assert_eq!(why, "batch.eu-west-1.amazonaws.com through the proxy proxy.example:3128 was asked");
    }
}
