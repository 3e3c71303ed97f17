//! Loads credentials by the SDK's chain, and explains why there are none.

mod explanation;

use aws_config::profile::ProfileFileCredentialsProvider;
use aws_config::provider_config::ProviderConfig;
use aws_config::{BehaviorVersion, ConfigLoader, Region};
use aws_runtime::env_config::file::{EnvConfigFileKind, EnvConfigFiles};
use aws_smithy_runtime_api::client::http::SharedHttpClient;

pub(crate) use self::explanation::{explain, timed_out};
use super::settings::ClientSettings;
pub use crate::error::NoCredentials;
use crate::error::{Error, Kind, Result};

const MISSING: &str = "no usable AWS credentials: the file that `credentials` names cannot be found";

/// A configuration loader with the settings that decide where credentials come from.
#[must_use]
pub fn loader(settings: &ClientSettings, http: &SharedHttpClient) -> ConfigLoader {
    let mut loader = aws_config::defaults(BehaviorVersion::v2026_01_12()).http_client(http.clone());
    if !settings.region.is_empty() {
        loader = loader.region(Region::new(settings.region.clone()));
    }
    if !settings.endpoint_url.is_empty() {
        loader = loader.endpoint_url(settings.endpoint_url.clone());
    }
    let files = profile_files(&settings.credentials);
    if let Some(files) = &files {
        loader = loader.profile_files(files.clone());
    }
    if settings.profile.is_empty() {
        return loader;
    }
    // The SDK would prefer credentials in the environment even to a profile that was asked for by name.
    let region = (!settings.region.is_empty()).then(|| Region::new(settings.region.clone()));
    let provider_config = ProviderConfig::default().with_http_client(http.clone()).with_region(region);
    let mut named = ProfileFileCredentialsProvider::builder().profile_name(settings.profile.clone());
    if let Some(files) = files {
        named = named.profile_files(files);
    }
    loader.profile_name(settings.profile.clone()).credentials_provider(named.configure(&provider_config).build())
}

/// Checks that the file that `credentials` names exists.
///
/// The SDK would put the path into its errors and log records, and users have put the keys themselves in its place.
pub fn check(settings: &ClientSettings) -> Result<()> {
    if settings.credentials.is_empty() {
        return Ok(());
    }
    let found = std::fs::metadata(&settings.credentials).map(drop);
    found.map_err(|error| Error::with_source(Kind::Access, MISSING, error))
}

/// The user's credentials file in place of the default one, beside the default `~/.aws/config`.
fn profile_files(credentials: &str) -> Option<EnvConfigFiles> {
    (!credentials.is_empty()).then(|| {
        EnvConfigFiles::builder()
            .with_file(EnvConfigFileKind::Credentials, credentials)
            .include_default_config_file(true)
            .build()
    })
}
