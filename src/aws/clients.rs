//! The service clients of one account and region, sharing one connection pool and one set of credentials.

use std::sync::Arc;
use std::time::Duration;

use aws_config::SdkConfig;
use aws_config::identity::IdentityCache;
use aws_config::stalled_stream_protection::StalledStreamProtectionConfig;
use aws_config::timeout::TimeoutConfig;
use aws_smithy_runtime_api::client::interceptors::SharedInterceptor;
use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use aws_smithy_runtime_api::client::result::SdkError;
use aws_smithy_types::checksum_config::ResponseChecksumValidation;
use aws_smithy_types::error::metadata::ProvideErrorMetadata;
use aws_types::service_config::ServiceConfigKey;
use tokio::sync::Semaphore;

use super::account_limiter::AccountLimiter;
use super::bucket_region::{BucketRegions, InItsRegion};
use super::credentials;
use super::http;
use super::identity::Identity;
use super::renewal::Renewing;
use super::retry::{self, SkewedSignature, partition};
use super::settings::ClientSettings;
use super::silence::NamedTimeouts;
use super::single_flight::SingleFlight;
use crate::batch::definition::Registry;
use crate::batch::submission::Names;
use crate::batch::watcher::Watcher;
use crate::envelope::signature::Signatures;
use crate::error::{Error, Kind, Result};
use crate::s3::memory_budget::MemoryBudget;

/// Downloads that begin at once.
const DOWNLOADS: usize = 64;
/// Large envelopes that are read at once.
const LARGE_ENVELOPES: usize = 4;
/// How long a connection may take; a proxy or a VPN is slower than the SDK's own 3.1 s.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// How long AWS may be silent before the request is tried again.
const READ_TIMEOUT: Duration = Duration::from_mins(1);
/// How long a call may take until its answer is there as a whole, after which it is tried again. An answer that trickles in
/// is not silence.
const ATTEMPT_TIMEOUT: Duration = Duration::from_secs(30);
/// The same where a part of an object, of 16 MiB or more, goes with the call.
const TRANSFER_TIMEOUT: Duration = Duration::from_hours(2);
/// How long a call may take with all its attempts where a person waits for it.
const BRIEF_TIMEOUT: Duration = Duration::from_secs(9);

/// Connections to one account and region, and what is known about it. Everything with state hangs off this value.
#[derive(Debug)]
pub struct Clients {
    /// AWS Batch.
    pub batch: aws_sdk_batch::Client,
    /// CloudWatch Logs.
    pub logs: aws_sdk_cloudwatchlogs::Client,
    /// Elastic Container Registry.
    pub ecr: aws_sdk_ecr::Client,
    /// Identity and Access Management, which only the doctor asks.
    pub iam: aws_sdk_iam::Client,
    /// S3, path-style when the endpoint is not AWS's own. It finds buckets of other regions.
    pub s3: aws_sdk_s3::Client,
    /// The Security Token Service.
    pub sts: aws_sdk_sts::Client,
    /// The region in force; empty where none was given.
    pub region: String,
    /// Job definitions that are known to exist.
    pub definitions: Registry,
    /// The one watcher of all running jobs.
    pub watcher: Watcher,
    /// Jobs that are known by name.
    pub names: Names,
    /// Memory for what is on its way to S3.
    pub uploads: MemoryBudget,
    /// Downloads whose first piece, mostly the only one, is on its way; each is a connection and a file of the process.
    pub downloads: Arc<Semaphore>,
    /// Large envelopes that are read at once; each is as much memory as it has bytes, several times.
    pub large_envelopes: Arc<Semaphore>,
    /// What the jobs of this process's tasks sign with.
    pub signatures: Signatures,
    /// Whether the signature of an upload has to cover its content. Where TLS does that, a second hash of everything is
    /// time lost; the checksum is signed either way.
    pub hash_payloads: bool,
    /// Where the credentials come from, in words.
    whose: String,
    pub(crate) identity: Arc<SingleFlight<Identity>>,
    pace: AccountLimiter,
}

impl Clients {
    /// Resolves the configuration and credentials provider. Reads configuration files, sends nothing.
    pub async fn connect(settings: &ClientSettings) -> Result<Self> {
        credentials::check(settings)?;
        let http = http::client(settings.impatient.then(Arc::default))?;
        let renewing = Renewing::new(settings.clone(), http.clone());
        let loader = credentials::loader(settings, &http)
            .credentials_provider(renewing.clone())
            // The provider is one, and hears of credentials that have expired.
            .identity_cache(IdentityCache::no_cache())
            .retry_config(if settings.impatient { retry::brief() } else { retry::patient() })
            .timeout_config(if settings.impatient { brief_timeouts() } else { timeouts() });
        let looking = [SharedInterceptor::new(renewing), SharedInterceptor::new(NamedTimeouts::default())];
        let mut clients = Self::with(&loader.load().await, &looking);
        if !settings.profile.is_empty() {
            clients.whose = format!("profile {}", settings.profile);
        }
        Ok(clients)
    }

    /// The clients of a configuration that is complete.
    #[must_use]
    pub fn new(config: &SdkConfig) -> Self {
        Self::with(config, &[])
    }

    /// The same, all of whose attempts somebody looks at.
    fn with(config: &SdkConfig, looking: &[SharedInterceptor]) -> Self {
        let endpoint = s3_endpoint(config);
        let mut s3 = aws_sdk_s3::config::Builder::from(config)
            .force_path_style(endpoint.is_some())
            // A download compares the object as a whole, which the SDK cannot: it sees one range at a time.
            .response_checksum_validation(ResponseChecksumValidation::WhenRequired)
            .stalled_stream_protection(StalledStreamProtectionConfig::disabled()) // `throughput` has more of it
            .retry_classifier(SkewedSignature)
            .retry_classifier(InItsRegion)
            .interceptor(BucketRegions::default())
            .retry_partition(partition("s3"));
        let region = config.region().map(ToString::to_string).unwrap_or_default();
        let identity = Arc::new(SingleFlight::default());
        let pace = AccountLimiter::new(identity.clone(), region.clone());
        let mut batch = aws_sdk_batch::config::Builder::from(config)
            .retry_classifier(SkewedSignature)
            .retry_partition(partition("batch"))
            .interceptor(pace.clone());
        let mut logs = aws_sdk_cloudwatchlogs::config::Builder::from(config)
            .retry_classifier(SkewedSignature)
            .retry_partition(partition("logs"));
        let mut sts = aws_sdk_sts::config::Builder::from(config)
            .retry_classifier(SkewedSignature)
            .retry_partition(partition("sts"));
        let mut ecr = aws_sdk_ecr::config::Builder::from(config).retry_classifier(SkewedSignature);
        let mut iam = aws_sdk_iam::config::Builder::from(config).retry_classifier(SkewedSignature);
        for looking in looking {
            s3.push_interceptor(looking.clone());
            batch.push_interceptor(looking.clone());
            logs.push_interceptor(looking.clone());
            sts.push_interceptor(looking.clone());
            ecr.push_interceptor(looking.clone());
            iam.push_interceptor(looking.clone());
        }
        Self {
            watcher: Watcher::default(),
            batch: aws_sdk_batch::Client::from_conf(batch.build()),
            logs: aws_sdk_cloudwatchlogs::Client::from_conf(logs.build()),
            ecr: aws_sdk_ecr::Client::from_conf(ecr.build()),
            iam: aws_sdk_iam::Client::from_conf(iam.build()),
            s3: aws_sdk_s3::Client::from_conf(s3.build()),
            sts: aws_sdk_sts::Client::from_conf(sts.build()),
            region,
            definitions: Registry::default(),
            names: Names::default(),
            uploads: MemoryBudget::default(),
            downloads: Arc::new(Semaphore::new(DOWNLOADS)),
            large_envelopes: Arc::new(Semaphore::new(LARGE_ENVELOPES)),
            signatures: Signatures::default(),
            hash_payloads: !endpoint.is_none_or(|endpoint| is_safe(&endpoint)),
            whose: "the default profile or the environment".to_owned(),
            identity,
            pace,
        }
    }
}

impl Clients {
    /// Waits until it is the caller's turn for a Batch call.
    pub async fn turn(&self) {
        self.pace.limiter().turn().await;
    }

    /// The same, before all calls that are not urgent: looks at running jobs, and their end.
    pub async fn urgent_turn(&self) {
        self.pace.limiter().urgent_turn().await;
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
        if error.kind() == Kind::Access && error.without_credentials().is_none() {
            error.advising(&format!("the credentials are those of {}", self.whose))
        } else {
            error
        }
    }
}

/// What bounds every call.
pub(crate) fn timeouts() -> TimeoutConfig {
    TimeoutConfig::builder()
        .connect_timeout(CONNECT_TIMEOUT)
        .read_timeout(READ_TIMEOUT)
        .operation_attempt_timeout(ATTEMPT_TIMEOUT)
        .build()
}

/// The same for a command: an answer that begins and does not end is no longer waited for than one that does not begin.
fn brief_timeouts() -> TimeoutConfig {
    timeouts().to_builder().operation_timeout(BRIEF_TIMEOUT).build()
}

/// For a call of S3 that takes as long as its content, or as S3 takes to put parts together: several minutes, by its
/// reference. The content has to move along, and then S3 may not be silent for long.
pub(crate) fn transfer_timeouts() -> aws_sdk_s3::config::Builder {
    let timeouts = TimeoutConfig::builder().operation_attempt_timeout(TRANSFER_TIMEOUT).build();
    aws_sdk_s3::Config::builder().timeout_config(timeouts)
}

/// Where S3 is, if somewhere else than at AWS: for all services, or by `AWS_ENDPOINT_URL_S3` or the profile's `services`.
fn s3_endpoint(config: &SdkConfig) -> Option<String> {
    let key = ServiceConfigKey::builder().service_id("S3").env("AWS_ENDPOINT_URL").profile("endpoint_url").build();
    let own = config.service_config().zip(key.ok()).and_then(|(places, key)| places.load_config(key));
    own.or_else(|| config.endpoint_url().map(str::to_owned))
}

/// Whether nobody can change what is sent there on its way: by TLS, as to AWS, or because it stays on this machine.
fn is_safe(endpoint: &str) -> bool {
    endpoint.get(..8).is_some_and(|scheme| scheme.eq_ignore_ascii_case("https://")) || http::is_near(endpoint)
}

#[cfg(test)]
mod tests {
    use super::is_safe;

    #[test]
    fn only_tls_and_this_machine_are_safe() {
        for endpoint in ["https://minio.example", "HTTPS://minio.example:9000", "http://127.0.0.1:5000"] {
            assert!(is_safe(endpoint), "{endpoint}");
        }
        for endpoint in ["http://minio.example", "http://10.0.0.1:9000", "", "https:"] {
            assert!(!is_safe(endpoint), "{endpoint}");
        }
    }
}
