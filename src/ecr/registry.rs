//! Reads images from a registry of any kind, without credentials: GET requests of the OCI distribution API.

use std::time::Duration;

use aws_smithy_runtime_api::client::http::{HttpConnector, SharedHttpConnector};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_types::body::SdkBody;
use serde::Deserialize;
use tokio::sync::Mutex;
use tokio::time::sleep;

use super::body;
use crate::aws::http;
use crate::error::{Error, Kind, Result};

/// What a manifest may be; also the list of manifests by platform.
pub const MEDIA_TYPES: [&str; 4] = [
    "application/vnd.oci.image.index.v1+json",
    "application/vnd.docker.distribution.manifest.list.v2+json",
    "application/vnd.oci.image.manifest.v1+json",
    "application/vnd.docker.distribution.manifest.v2+json",
];
const MAX_TOKEN_BYTES: usize = 1024 * 1024;
const MAX_REDIRECTS: usize = 5;
/// Attempts of a request while the registry does not answer, or asks to wait.
const MAX_ATTEMPTS: u32 = 5;
const DOCKER_HUB: &str = "registry-1.docker.io";

/// A repository in a registry.
#[derive(Debug)]
pub struct Registry {
    connector: SharedHttpConnector,
    /// Host and port, as a person knows it.
    host: String,
    url: String,
    repository: String,
    token: Mutex<Option<String>>,
}

/// An image's name, as Docker reads it: host, repository, and tag or digest.
#[must_use]
pub fn parts(image: &str) -> (&str, String, &str) {
    let (name, digest) = image.split_once('@').map_or((image, None), |(name, digest)| (name, Some(digest)));
    let is_host = |host: &str| host.contains(['.', ':']) || host == "localhost";
    let (host, path) = match name.split_once('/').filter(|(host, _)| is_host(host)) {
        Some(("docker.io" | "index.docker.io", path)) => (DOCKER_HUB, path),
        Some(found) => found,
        None => (DOCKER_HUB, name),
    };
    let (path, tag) = path.split_once(':').unwrap_or((path, "latest"));
    let repository =
        if host == DOCKER_HUB && !path.contains('/') { format!("library/{path}") } else { path.to_owned() };
    (host, repository, digest.unwrap_or(tag))
}

impl Registry {
    /// The repository of an image. Sends nothing.
    #[must_use]
    pub fn new(connector: SharedHttpConnector, host: &str, repository: String) -> Self {
        // As Docker has it: a registry on this machine needs no TLS.
        let scheme = if http::is_loopback(&format!("http://{host}")) { "http" } else { "https" };
        Self {
            connector,
            host: host.to_owned(),
            url: format!("{scheme}://{host}"),
            repository,
            token: Mutex::default(),
        }
    }

    /// A manifest by tag or digest.
    pub async fn manifest(&self, version: &str) -> Result<HttpResponse> {
        let url = format!("{}/v2/{}/manifests/{version}", self.url, self.repository);
        self.get(&url, None, 0).await
    }

    /// A blob from one of its bytes on.
    pub async fn blob(&self, digest: &str, from: u64) -> Result<HttpResponse> {
        let url = format!("{}/v2/{}/blobs/{digest}", self.url, self.repository);
        self.get(&url, None, from).await
    }

    async fn get(&self, url: &str, mut token: Option<String>, from: u64) -> Result<HttpResponse> {
        if token.is_none() {
            token.clone_from(&*self.token.lock().await);
        }
        let answer = fetch(&self.connector, url, token.as_deref(), from).await?;
        let challenge = answer.headers().get("www-authenticate").and_then(Challenge::parse);
        let answer = match challenge.filter(|_| answer.status().as_u16() == 401) {
            None => answer,
            Some(challenge) => {
                let token = self.anonymous_token(&challenge).await?;
                *self.token.lock().await = Some(token.clone());
                fetch(&self.connector, url, Some(&token), from).await?
            }
        };
        match answer.status().as_u16() {
            200..300 => Ok(answer),
            status => Err(Error::new(Kind::Refused, format!("{} {}", self.refusal(status), self.repository))),
        }
    }

    fn refusal(&self, status: u16) -> String {
        let host = &self.host;
        match status {
            404 => format!("{host} has no such image:"),
            401 | 403 => format!("{host} gives nobody without credentials"),
            429 => format!("{host} limits how much is pulled without credentials, such as"),
            status => format!("{host} answers {status} for"),
        }
    }

    async fn anonymous_token(&self, challenge: &Challenge) -> Result<String> {
        #[derive(Deserialize)]
        struct Answer {
            token: Option<String>,
            access_token: Option<String>,
        }
        let Challenge { realm, service } = challenge;
        if !may_follow(&self.url, realm) {
            return Err(Error::new(Kind::Refused, format!("{} asks for a token from a place without TLS", self.host)));
        }
        let url = format!("{realm}?service={service}&scope=repository:{}:pull", self.repository);
        let answer = fetch(&self.connector, &url, None, 0).await?;
        let status = answer.status().as_u16();
        if status != 200 {
            return Err(Error::new(Kind::Refused, format!("{} {}", self.refusal(status), self.repository)));
        }
        let text = body::read(answer.into_body(), MAX_TOKEN_BYTES, &self.host).await?;
        let token = serde_json::from_slice(&text).ok().and_then(|answer: Answer| answer.token.or(answer.access_token));
        token.ok_or_else(|| Error::new(Kind::Garbled, format!("{} answers without a token", self.host)))
    }
}

/// What an answer with the status 401 asks for.
struct Challenge {
    realm: String,
    service: String,
}

impl Challenge {
    fn parse(header: &str) -> Option<Self> {
        let fields = header.strip_prefix("Bearer ").or_else(|| header.strip_prefix("bearer "))?;
        let field = |name: &str| {
            let (_, rest) = fields.split_once(&format!("{name}=\""))?;
            rest.split_once('"').map(|(value, _)| value.to_owned())
        };
        Some(Self { realm: field("realm")?, service: field("service").unwrap_or_default() })
    }
}

/// Gets a URL, from one of its bytes on. Redirections are followed, without the token at another host, and never from
/// TLS to none. Waits and tries again while there is no answer, or one that says so.
pub async fn fetch(connector: &SharedHttpConnector, url: &str, token: Option<&str>, from: u64) -> Result<HttpResponse> {
    let mut backoff = Duration::from_millis(500);
    for _ in 1..MAX_ATTEMPTS {
        match follow(connector, url, token, from).await {
            Ok(answer) if !matches!(answer.status().as_u16(), 429 | 500..) => return Ok(answer),
            Ok(answer) => tracing::info!("{} answers {}; trying again", place(url), answer.status().as_u16()),
            Err(error) if error.kind() == Kind::Ambiguous => tracing::info!("{error}; trying again"),
            Err(error) => return Err(error),
        }
        sleep(backoff).await;
        backoff *= 2;
    }
    follow(connector, url, token, from).await
}

async fn follow(connector: &SharedHttpConnector, url: &str, token: Option<&str>, from: u64) -> Result<HttpResponse> {
    let mut url = url.to_owned();
    let mut token = token;
    for _ in 0..=MAX_REDIRECTS {
        let answer = send(connector, &url, token, from).await?;
        if !matches!(answer.status().as_u16(), 301 | 302 | 303 | 307 | 308) {
            return Ok(answer);
        }
        let location = answer.headers().get("location").unwrap_or_default();
        let next = if location.starts_with('/') { format!("{}{location}", origin(&url)) } else { location.to_owned() };
        if !may_follow(&url, &next) {
            return Err(Error::new(Kind::Refused, format!("{} redirects to a place without TLS", place(&url))));
        }
        if origin(&next) != origin(&url) {
            token = None;
        }
        url = next;
    }
    Err(Error::new(Kind::Refused, format!("{} redirects more than {MAX_REDIRECTS} times", place(&url))))
}

async fn send(connector: &SharedHttpConnector, url: &str, token: Option<&str>, from: u64) -> Result<HttpResponse> {
    let mut request = HttpRequest::new(SdkBody::empty());
    let unusable = |_| Error::new(Kind::Refused, format!("{} is no usable address", place(url)));
    request.set_uri(url).map_err(unusable)?;
    let headers = request.headers_mut();
    headers.insert("accept", format!("{}, */*", MEDIA_TYPES.join(", ")));
    headers.insert("user-agent", concat!("covalent-awsbatch-plugin/", env!("CARGO_PKG_VERSION")));
    if let Some(token) = token {
        let value = format!("Bearer {token}");
        headers
            .try_insert("authorization", value)
            .map_err(|_| Error::new(Kind::Garbled, "the token cannot be sent"))?;
    }
    if from > 0 {
        headers.insert("range", format!("bytes={from}-"));
    }
    let answer = connector.call(request).await;
    answer.map_err(|error| Error::with_source(Kind::Ambiguous, format!("no answer from {}", place(url)), error))
}

/// Whether a server may send its client on: over TLS, or on this machine alone.
fn may_follow(from: &str, to: &str) -> bool {
    to.starts_with("https://") || http::is_loopback(from) && http::is_loopback(to)
}

/// Scheme, host and port of a URL.
fn origin(url: &str) -> &str {
    let start = url.find("://").map_or(0, |at| at + 3);
    url[start..].find(['/', '?']).map_or(url, |end| &url[..start + end])
}

/// What of a URL an error may say: the rest may be a signature.
fn place(url: &str) -> &str {
    origin(url).rsplit('/').next().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_images_name_is_read_as_docker_does() {
        for (image, host, repository, version) in [
            ("python", DOCKER_HUB, "library/python", "latest"),
            ("docker.io/library/python:3.11", DOCKER_HUB, "library/python", "3.11"),
            ("team/jobs:v1", DOCKER_HUB, "team/jobs", "v1"),
            ("public.ecr.aws/docker/library/python:3.11-slim", "public.ecr.aws", "docker/library/python", "3.11-slim"),
            ("localhost:5000/jobs@sha256:ab", "localhost:5000", "jobs", "sha256:ab"),
            ("ghcr.io/a/b:c@sha256:ab", "ghcr.io", "a/b", "sha256:ab"),
        ] {
            assert_eq!(parts(image), (host, repository.to_owned(), version), "{image}");
        }
    }

    #[test]
    fn a_challenge_names_where_there_are_tokens() {
        let header = "Bearer realm=\"https://auth.docker.io/token\",service=\"registry.docker.io\"";
        let found = Challenge::parse(header).unwrap();
        assert_eq!(
            (found.realm.as_str(), found.service.as_str()),
            ("https://auth.docker.io/token", "registry.docker.io")
        );
        assert!(Challenge::parse("Basic realm=\"x\"").is_none());
        assert!(Challenge::parse("Bearer realm=\"unended").is_none());
    }

    #[test]
    fn what_an_error_names_has_no_signature() {
        assert_eq!(place("https://bucket.example/key?X-Amz-Signature=7"), "bucket.example");
        assert_eq!(origin("http://127.0.0.1:5000/v2/x"), "http://127.0.0.1:5000");
        assert_eq!(place("https://host?X-Amz-Signature=7"), "host");
    }
}
