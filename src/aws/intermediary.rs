//! Whoever stands between this machine and AWS, such as a company's proxy or a network that wants its users to sign in, and
//! what they answer in AWS's place.

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

/// What was asked of whom.
#[derive(Clone, Debug)]
pub struct Asked {
    host: String,
    /// The one that the request is signed for; empty if it is not signed.
    region: String,
    proxy: Option<String>,
    content: Content,
}

/// Which way a request carries an object's content.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Content {
    None,
    Up,
    Down,
}

impl Asked {
    /// Reads a request, and which of the proxies it goes through.
    #[must_use]
    pub fn of(request: &HttpRequest, proxies: Option<&Matcher>) -> Self {
        let uri: Option<Uri> = request.uri().parse().ok();
        // Names are only part of what stands before the host: a URL may hold a user and a password.
        let place = |uri: &Uri| {
            let port = uri.port().map(|port| format!(":{port}")).unwrap_or_default();
            format!("{}{port}", uri.host().unwrap_or_default())
        };
        let proxy = uri.as_ref().zip(proxies).and_then(|(uri, proxies)| proxies.intercept(uri));
        let proxy = proxy.map(|proxy| place(proxy.uri()));
        let query = uri.as_ref().and_then(Uri::query).unwrap_or_default();
        // The SDK names the operation there.
        let content = match query.split('&').find_map(|pair| pair.strip_prefix("x-id=")) {
            Some("PutObject" | "UploadPart") => Content::Up,
            Some("GetObject") => Content::Down,
            _ => Content::None,
        };
        let signature = request.headers().get("authorization").unwrap_or_default();
        let scope = signature.split_once("Credential=").and_then(|(_, scope)| scope.split('/').nth(2));
        let region = scope.unwrap_or_default().to_owned();
        Self { host: uri.as_ref().map(place).unwrap_or_default(), region, proxy, content }
    }

    /// Host and port of the URL.
    #[must_use]
    pub fn host(&self) -> &str {
        &self.host
    }

    /// What to say of a name to which no address belongs, or to which a proxy does not lead.
    fn unresolved(&self) -> String {
        // The region stands in the names of AWS's own hosts, and not in those of others.
        let of_region = self.host.split('.').any(|label| label == self.region);
        match regions::doubt(&self.region).filter(|_| of_region) {
            Some(doubt) => format!("; its name cannot be resolved: {doubt}"),
            None if self.proxy.is_some() => String::new(),
            None => "; its name cannot be resolved: look at the name and at this machine's network".to_owned(),
        }
    }

    /// The outcome of the request, if it is AWS's.
    ///
    /// # Errors
    /// The same one, with who was asked; and that somebody else has answered.
    pub fn judged(self, outcome: Result<HttpResponse, ConnectorError>) -> Result<HttpResponse, ConnectorError> {
        match outcome {
            Ok(answer) if self.is_from_elsewhere(&answer) => Err(self.elsewhere(&answer)),
            Ok(mut answer) => {
                if self.content == Content::Up && answer.status().is_success() {
                    // All that S3 says is in the headers.
                    *answer.body_mut() = SdkBody::empty();
                }
                Ok(answer)
            }
            Err(error) if chain(&error).any(<dyn StdError>::is::<SkippedCall>) => Err(error),
            Err(error) => Err(self.unanswered(error)),
        }
    }

    fn is_from_elsewhere(&self, answer: &HttpResponse) -> bool {
        let headers = answer.headers();
        let etag = headers.get("etag").is_some();
        match answer.status().as_u16() {
            407 => true,
            // S3 says in XML where a bucket is, if not here, and in a header where an answer has no content.
            300..400 => {
                let known = answer.request_id().is_some() || etag || headers.get("x-amz-bucket-region").is_some();
                !known && !kind_of_content(answer).contains("xml")
            }
            200..300 => match self.content {
                Content::None => false,
                Content::Down => !etag && answer.request_id().is_none(),
                // A page means that nothing was stored.
                Content::Up => !etag && !headers.iter().any(|(name, _)| name.starts_with("x-amz-checksum-")),
            },
            _ => false,
        }
    }

    fn elsewhere(self, answer: &HttpResponse) -> ConnectorError {
        let status = answer.status().as_u16();
        let target = answer.headers().get("location").and_then(|target| target.parse::<Uri>().ok());
        let what = match (status, target.as_ref().and_then(Uri::host), kind_of_content(answer)) {
            (407, ..) => "the proxy wants a user and a password".to_owned(),
            (_, Some(host), _) => format!("it leads to {host}"),
            (_, None, "") => "it is none of AWS's".to_owned(),
            (_, None, kind) => format!("it is {kind} and none of AWS's"),
        };
        // Who wants a password wants it the next time as well.
        let kind = (status != 407).then_some(ErrorKind::TransientError);
        ConnectorError::other(Box::new(Elsewhere { asked: self, status, what }), kind)
    }

    fn unanswered(self, error: ConnectorError) -> ConnectorError {
        let (timeout, io, user, kind) = (error.is_timeout(), error.is_io(), error.is_user(), error.as_other());
        let error = Box::new(Unanswered::new(self, error.into_source()));
        match () {
            () if timeout => ConnectorError::timeout(error),
            () if io => ConnectorError::io(error),
            () if user => ConnectorError::user(error),
            () => ConnectorError::other(error, kind),
        }
    }
}

impl fmt::Display for Asked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.host)?;
        self.proxy.as_ref().map_or(Ok(()), |proxy| write!(f, " through the proxy {proxy}"))
    }
}

fn kind_of_content(answer: &HttpResponse) -> &str {
    let kind = answer.headers().get("content-type").unwrap_or_default();
    kind.split(';').next().unwrap_or_default().trim()
}

/// An answer that is not AWS's.
#[derive(Debug, thiserror::Error)]
#[error(
    "something between here and AWS has answered in its place: {asked} was asked, the answer has the status {status}, {what}"
)]
struct Elsewhere {
    asked: Asked,
    status: u16,
    what: String,
}

/// Who was asked, where there is no answer.
#[derive(Debug)]
pub struct Unanswered {
    asked: Asked,
    source: BoxError,
}

impl Unanswered {
    /// This one was asked, and then there was this error.
    pub fn new(asked: Asked, source: impl Into<BoxError>) -> Self {
        Self { asked, source: source.into() }
    }

    /// Host and port of who was asked.
    #[must_use]
    pub fn host(&self) -> &str {
        &self.asked.host
    }
}

impl fmt::Display for Unanswered {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} was asked", self.asked)?;
        if !self.asked.region.is_empty() {
            write!(f, ", in region {}", self.asked.region)?;
        }
        for error in chain(&*self.source) {
            // The HTTP client tells these apart in words alone.
            let text = error.to_string();
            if text.contains("proxy authorization required") {
                return f.write_str(", and the proxy wants a user and a password (status 407)");
            }
            if text == "dns error" || text.starts_with("tunnel error") {
                return f.write_str(&self.asked.unresolved());
            }
        }
        Ok(())
    }
}

impl StdError for Unanswered {
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

    fn asked(url: &str) -> Asked {
        let mut request = HttpRequest::empty();
        request.set_uri(url).unwrap();
        Asked::of(&request, Some(&Matcher::builder().all("http://me:opensesame@proxy.example:3128").build()))
    }

    /// What becomes of an answer with these headers.
    fn judged(
        url: &str,
        status: u16,
        headers: &[(&'static str, &'static str)],
    ) -> Result<HttpResponse, ConnectorError> {
        let mut answer = HttpResponse::new(status.try_into().unwrap(), SdkBody::from("<html>Please sign in</html>"));
        for (name, value) in headers {
            answer.headers_mut().insert(*name, *value);
        }
        asked(url).judged(Ok(answer))
    }

    fn why(url: &str, status: u16, headers: &[(&'static str, &'static str)]) -> (String, Option<ErrorKind>) {
        let error = judged(url, status, headers).unwrap_err();
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
            assert!(judged(url, 200, &[PAGE, ("etag", "\"1\"")]).is_ok());
        }
        assert!(judged(PUT, 200, &[("x-amz-checksum-crc32", "AAAAAA==")]).is_ok());
        assert!(judged(GET, 200, &[("x-amz-request-id", "1")]).is_ok());
        assert!(judged(PUT, 200, &[("x-amz-request-id", "1")]).is_err());
    }

    #[test]
    fn a_redirection_is_named_with_where_it_leads() {
        for status in [302, 307] {
            let (why, kind) = why(BATCH, status, &[("location", "https://me:opensesame@wifi.example/login?token=1")]);
            assert!(why.contains("batch.eu-west-1.amazonaws.com through the proxy proxy.example:3128"), "{why}");
            assert!(why.ends_with(&format!("the answer has the status {status}, it leads to wifi.example")), "{why}");
            assert_eq!(kind, Some(ErrorKind::TransientError));
        }
        assert!(judged(GET, 307, &[("content-type", "application/xml"), ("location", "https://elsewhere")]).is_ok());
        assert!(judged(GET, 304, &[("etag", "\"1\"")]).is_ok());
        assert!(judged(GET, 301, &[("x-amz-bucket-region", "eu-west-1")]).is_ok());
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
        let error = asked(BATCH).judged(Err(ConnectorError::io(refused.into()))).unwrap_err();
        assert!(error.is_io());
        let why = error.source().unwrap().to_string();
        assert_eq!(why, "batch.eu-west-1.amazonaws.com through the proxy proxy.example:3128 was asked");
    }
}
