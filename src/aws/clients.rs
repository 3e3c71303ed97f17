//! The service clients of one account and region, sharing one connection pool and one set of credentials.

use std::sync::Arc;

use aws_config::SdkConfig;
use aws_config::identity::IdentityCache;
use aws_config::stalled_stream_protection::StalledStreamProtectionConfig;
use aws_smithy_runtime_api::client::interceptors::SharedInterceptor;
use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use aws_smithy_runtime_api::client::result::SdkError;
use aws_smithy_types::checksum_config::ResponseChecksumValidation;
use aws_smithy_types::error::metadata::ProvideErrorMetadata;
use aws_types::service_config::ServiceConfigKey;

use super::account_limiter::AccountLimiter;
use super::bucket_region::{BucketRegions, RetryInBucketRegion};
use super::credentials;
use super::credentials_cache::CredentialsCache;
use super::http;
use super::identity::Caller;
use super::retry::{self, SkewedSignature, partition};
use super::settings::ClientSettings;
use super::timeout_context::TimeoutContext;
use super::timeouts::{interactive_timeouts, timeouts};
use crate::error::{Error, Kind, Result};

/// The service clients with their caller identity and rate limiter.
#[derive(Debug)]
pub struct Clients {
    /// AWS Batch.
    pub batch: aws_sdk_batch::Client,
    /// CloudWatch Logs.
    pub logs: aws_sdk_cloudwatchlogs::Client,
    /// Elastic Container Registry.
    pub ecr: aws_sdk_ecr::Client,
    /// Identity and Access Management; only the doctor uses it.
    pub iam: aws_sdk_iam::Client,
    /// S3, path-style when the endpoint is not AWS's own. It follows buckets to their regions.
    pub s3: aws_sdk_s3::Client,
    /// The region in force; empty where none was given.
    pub region: String,
    /// The caller's identity.
    pub caller: Caller,
    /// Whether the signature of an upload has to cover its content. Over TLS a second hash would only cost time; the
    /// checksum is signed either way.
    pub hash_payloads: bool,
    /// Where the credentials come from, for errors.
    credentials_source: String,
    batch_limiter: AccountLimiter,
}

impl Clients {
    /// Resolves the configuration and credentials provider. Reads configuration files, sends nothing.
    pub async fn connect(settings: &ClientSettings) -> Result<Self> {
        credentials::check(settings)?;
        let http = http::client(settings.interactive.then(Arc::default))?;
        let credentials_cache = CredentialsCache::new(settings.clone(), http.clone());
        let loader = credentials::loader(settings, &http)
            .credentials_provider(credentials_cache.clone())
            // The provider is a cache itself, and drops expired credentials.
            .identity_cache(IdentityCache::no_cache())
            .retry_config(if settings.interactive { retry::interactive_retries() } else { retry::task_retries() })
            .timeout_config(if settings.interactive { interactive_timeouts() } else { timeouts() });
        let interceptors =
            [SharedInterceptor::new(credentials_cache), SharedInterceptor::new(TimeoutContext::default())];
        let mut clients = Self::with(&loader.load().await, &interceptors);
        if !settings.profile.is_empty() {
            clients.credentials_source = format!("profile {}", settings.profile);
        }
        Ok(clients)
    }

    /// The clients of a configuration that is complete.
    #[must_use]
    pub fn new(config: &SdkConfig) -> Self {
        Self::with(config, &[])
    }

    /// Like [`Self::new`], with interceptors for every service.
    fn with(config: &SdkConfig, interceptors: &[SharedInterceptor]) -> Self {
        let endpoint = s3_endpoint(config);
        let mut s3 = aws_sdk_s3::config::Builder::from(config)
            .force_path_style(endpoint.is_some())
            // A download compares the object as a whole, which the SDK cannot: it sees one range at a time.
            .response_checksum_validation(ResponseChecksumValidation::WhenRequired)
            .stalled_stream_protection(StalledStreamProtectionConfig::disabled()) // `throughput` replaces it
            .retry_classifier(SkewedSignature)
            .retry_classifier(RetryInBucketRegion)
            .interceptor(BucketRegions::default())
            .retry_partition(partition("s3"));
        let region = config.region().map(ToString::to_string).unwrap_or_default();
        let mut batch = aws_sdk_batch::config::Builder::from(config)
            .retry_classifier(SkewedSignature)
            .retry_partition(partition("batch"));
        let mut logs = aws_sdk_cloudwatchlogs::config::Builder::from(config)
            .retry_classifier(SkewedSignature)
            .retry_partition(partition("logs"));
        let mut sts = aws_sdk_sts::config::Builder::from(config)
            .retry_classifier(SkewedSignature)
            .retry_partition(partition("sts"));
        let mut ecr = aws_sdk_ecr::config::Builder::from(config).retry_classifier(SkewedSignature);
        let mut iam = aws_sdk_iam::config::Builder::from(config).retry_classifier(SkewedSignature);
        for interceptor in interceptors {
            s3.push_interceptor(interceptor.clone());
            batch.push_interceptor(interceptor.clone());
            logs.push_interceptor(interceptor.clone());
            sts.push_interceptor(interceptor.clone());
            ecr.push_interceptor(interceptor.clone());
            iam.push_interceptor(interceptor.clone());
        }
        let caller = Caller::new(aws_sdk_sts::Client::from_conf(sts.build()));
        let batch_limiter = AccountLimiter::new(caller.clone(), region.clone());
        Self {
            batch: aws_sdk_batch::Client::from_conf(batch.interceptor(batch_limiter.clone()).build()),
            logs: aws_sdk_cloudwatchlogs::Client::from_conf(logs.build()),
            ecr: aws_sdk_ecr::Client::from_conf(ecr.build()),
            iam: aws_sdk_iam::Client::from_conf(iam.build()),
            s3: aws_sdk_s3::Client::from_conf(s3.build()),
            region,
            caller,
            hash_payloads: !endpoint.is_none_or(|endpoint| is_tamper_proof(&endpoint)),
            credentials_source: "the default profile or the environment".to_owned(),
            batch_limiter,
        }
    }
}

impl Clients {
    /// Waits until the rate limiter allows a Batch call.
    pub async fn acquire_batch_call(&self) {
        self.batch_limiter.limiter().acquire().await;
    }

    /// The same ahead of all calls that are not urgent: for describing and terminating jobs.
    pub async fn acquire_urgent_batch_call(&self) {
        self.batch_limiter.limiter().acquire_urgent().await;
    }

    /// Reads the error of a Batch call.
    pub(crate) fn batch_error<E>(
        &self,
        operation: &'static str,
        subject: impl Into<String>,
        error: SdkError<E, HttpResponse>,
    ) -> Error
    where
        E: std::error::Error + ProvideErrorMetadata + Send + Sync + 'static,
    {
        let error = Error::from_sdk(operation, subject, error);
        if error.kind() == Kind::Access && error.no_credentials().is_none() {
            error.with_advice(&format!("the credentials are those of {}", self.credentials_source))
        } else {
            error
        }
    }
}

/// S3's endpoint, if it is not AWS's own: by `AWS_ENDPOINT_URL_S3`, the profile's `services`, or for all services.
fn s3_endpoint(config: &SdkConfig) -> Option<String> {
    let key = ServiceConfigKey::builder().service_id("S3").env("AWS_ENDPOINT_URL").profile("endpoint_url").build();
    let own = config.service_config().zip(key.ok()).and_then(|(places, key)| places.load_config(key));
    own.or_else(|| config.endpoint_url().map(str::to_owned))
}

/// Whether nobody can change what is sent on its way: it goes over TLS, or stays on this machine.
fn is_tamper_proof(endpoint: &str) -> bool {
    endpoint.get(..8).is_some_and(|scheme| scheme.eq_ignore_ascii_case("https://")) || http::is_local(endpoint)
}

#[cfg(test)]
mod tests {
    use super::is_tamper_proof;

    #[test]
    fn only_tls_and_this_machine_are_safe() {
        for endpoint in ["https://minio.example", "HTTPS://minio.example:9000", "http://127.0.0.1:5000"] {
            assert!(is_tamper_proof(endpoint), "{endpoint}");
        }
        for endpoint in ["http://minio.example", "http://10.0.0.1:9000", "", "https:"] {
            assert!(!is_tamper_proof(endpoint), "{endpoint}");
        }
    }
}
