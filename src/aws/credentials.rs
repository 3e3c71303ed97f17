//! Credentials from wherever the SDK finds them, and why there are none.

use std::borrow::Cow;
use std::error::Error as StdError;
use std::time::Duration;

use aws_config::profile::{self, ProfileFileCredentialsProvider};
use aws_config::provider_config::ProviderConfig;
use aws_config::{BehaviorVersion, ConfigLoader, Region};
use aws_credential_types::provider::error::CredentialsError;
use aws_runtime::env_config::file::{EnvConfigFileKind, EnvConfigFiles};
use aws_smithy_runtime_api::client::http::SharedHttpClient;
use aws_types::os_shim_internal::{Env, Fs};

use super::settings::ClientSettings;
use crate::error::{Error, Kind, Result};

const MISSING: &str = "no usable AWS credentials: the file that `credentials` names cannot be found";

/// A loader with what decides where credentials come from, and nothing else.
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

/// Whether there is what `credentials` names.
///
/// The SDK puts the path into its errors and log records, and people have put the keys themselves in the path's place.
pub fn check(settings: &ClientSettings) -> Result<()> {
    if settings.credentials.is_empty() {
        return Ok(());
    }
    let found = std::fs::metadata(&settings.credentials).map(drop);
    found.map_err(|error| Error::with_source(Kind::Access, MISSING, error))
}

/// Why there are no credentials: what the SDK says, but for what a credential process says, in which a secret may stand.
pub(crate) async fn reason(settings: &ClientSettings, error: &CredentialsError) -> String {
    let mut reasons = vec![error.to_string()];
    let mut source = error.source();
    while let Some(error) = source {
        reasons.push(error.to_string());
        source = error.source();
    }
    let reasons = reasons.join(": ");
    if !reasons.contains("external process") {
        return reasons;
    }
    let process = process(settings).await.unwrap_or_else(|| "the credential process".to_owned());
    let status = reasons.split_once("exit status: ").map(|(_, rest)| rest.split(|c: char| !c.is_ascii_digit()));
    let how = match status.and_then(|mut parts| parts.next()) {
        Some(status) => format!("failed with exit status {status}"),
        None => "gives no credentials".to_owned(),
    };
    format!("{process} {how}; run it by hand to see what it says, which is not shown here since it may be secret")
}

/// That what has the credentials does not answer within this time.
pub(crate) async fn silence(settings: &ClientSettings, within: Duration) -> String {
    let process = process(settings).await;
    let source = process.as_deref().unwrap_or("what has the credentials");
    format!("{source} does not answer within {} s", within.as_secs())
}

/// The credential process to which the profile leads, as errors name it.
async fn process(settings: &ClientSettings) -> Option<String> {
    let files = profile_files(&settings.credentials).unwrap_or_default();
    let selected = Some(settings.profile.clone()).filter(|name| !name.is_empty()).map(Cow::Owned);
    let profiles = profile::load(&Fs::real(), &Env::real(), &files, selected).await.ok()?;
    let mut name = profiles.selected_profile();
    // A circle of profiles is an error elsewhere.
    for _ in 0..10 {
        let profile = profiles.get_profile(name)?;
        if profile.get("credential_process").is_some() {
            return Some(format!("the credential process of profile {name}"));
        }
        name = profile.get("source_profile")?;
    }
    None
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
