//! The service clients of one account and region, sharing one connection pool and one set of credentials.

use std::sync::Arc;
use std::time::Duration;

use aws_config::SdkConfig;
use aws_config::timeout::TimeoutConfig;
use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use aws_smithy_runtime_api::client::result::SdkError;
use aws_smithy_types::checksum_config::ResponseChecksumValidation;
use aws_smithy_types::error::metadata::ProvideErrorMetadata;
use aws_types::service_config::ServiceConfigKey;
use tokio::sync::OnceCell;

use crate::credentials::{self, Renewing};
use crate::definition::Registry;
use crate::error::{Error, Kind, Result};
use crate::http;
use crate::limiter::Limiter;
use crate::retry::{self, partition};
use crate::settings::ClientSettings;
use crate::submission::Names;
use crate::watcher::Watcher;

/// How long a connection may take; a proxy or a VPN is slower than the SDK's own 3.1 s.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// How long AWS may be silent before the request is tried again.
const READ_TIMEOUT: Duration = Duration::from_mins(1);

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
    /// S3, path-style when the endpoint is not AWS's own.
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
    /// Where the credentials come from, in words.
    whose: String,
    pub(crate) identity: OnceCell<crate::identity::Identity>,
}

impl Clients {
    /// Resolves the configuration and credentials provider. Reads configuration files, sends nothing.
    pub async fn connect(settings: &ClientSettings) -> Result<Self> {
        let http = http::client()?;
        let timeouts = TimeoutConfig::builder().connect_timeout(CONNECT_TIMEOUT).read_timeout(READ_TIMEOUT).build();
        let loader = credentials::loader(settings, &http)
            .credentials_provider(Renewing::new(settings.clone(), http.clone()))
            .retry_config(retry::patient())
            .timeout_config(timeouts);
        let mut clients = Self::new(&loader.load().await);
        if !settings.profile.is_empty() {
            clients.whose = format!("profile {}", settings.profile);
        }
        Ok(clients)
    }

    /// The clients of a configuration that is complete.
    #[must_use]
    pub fn new(config: &SdkConfig) -> Self {
        let s3 = aws_sdk_s3::config::Builder::from(config)
            .force_path_style(has_s3_endpoint(config))
            // A download compares the object as a whole, which the SDK cannot: it sees one range at a time.
            .response_checksum_validation(ResponseChecksumValidation::WhenRequired)
            .retry_partition(partition("s3"))
            .build();
        let batch = aws_sdk_batch::config::Builder::from(config).retry_partition(partition("batch")).build();
        let logs = aws_sdk_cloudwatchlogs::config::Builder::from(config).retry_partition(partition("logs")).build();
        let sts = aws_sdk_sts::config::Builder::from(config).retry_partition(partition("sts")).build();
        Self {
            watcher: Watcher::default(),
            batch: aws_sdk_batch::Client::from_conf(batch),
            logs: aws_sdk_cloudwatchlogs::Client::from_conf(logs),
            ecr: aws_sdk_ecr::Client::new(config),
            iam: aws_sdk_iam::Client::new(config),
            s3: aws_sdk_s3::Client::from_conf(s3),
            sts: aws_sdk_sts::Client::from_conf(sts),
            region: config.region().map(ToString::to_string).unwrap_or_default(),
            definitions: Registry::default(),
            names: Names::default(),
            whose: "the default profile or the environment".to_owned(),
            identity: OnceCell::new(),
        }
    }
}

impl Clients {
    /// Waits until it is the caller's turn for a Batch call.
    pub async fn turn(&self) {
        self.limiter().turn().await;
    }

    /// Reads the error of a Batch call, and slows the next ones down if it was throttled.
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
        if error.kind() == Kind::Throttled {
            self.limiter().throttled();
        }
        if error.kind() == Kind::Access {
            error.advising(&format!("the credentials are those of {}", self.whose))
        } else {
            error
        }
    }

    /// The account's, as soon as it is known; a task asks for it before anything else.
    fn limiter(&self) -> Arc<Limiter> {
        Limiter::shared(self.identity.get().map_or("", |identity| &identity.account), &self.region)
    }
}

/// Whether S3 is somewhere else than at AWS: for all services, or by `AWS_ENDPOINT_URL_S3` or the profile's `services`.
fn has_s3_endpoint(config: &SdkConfig) -> bool {
    let key = ServiceConfigKey::builder().service_id("S3").env("AWS_ENDPOINT_URL").profile("endpoint_url").build();
    let own = config.service_config().zip(key.ok()).and_then(|(places, key)| places.load_config(key));
    own.is_some() || config.endpoint_url().is_some()
}
