//! Settings from Python: JSON that was validated there and is typed here.

use std::time::Duration;

use serde::Deserialize;

use crate::error::{Error, Kind, Result};

/// Account and endpoint. Empty fields are left to the SDK's own chain.
#[derive(Clone, Debug, Default, Deserialize, Eq, Hash, PartialEq)]
#[serde(default, deny_unknown_fields)]
pub struct ClientSettings {
    /// Named profile of the shared configuration. A named profile wins over credentials in the environment.
    pub profile: String,
    /// AWS region, such as `eu-central-1`.
    pub region: String,
    /// Path of a shared credentials file, read in place of `~/.aws/credentials`.
    pub credentials: String,
    /// URL of an AWS-compatible endpoint for all services.
    pub endpoint_url: String,
    /// Whether a person waits for a command: hosts that do not answer are called once, and all together take at most
    /// ten seconds.
    pub interactive: bool,
}

/// Parses settings. An error names the field and never its value.
pub fn from_json<'a, T: Deserialize<'a>>(json: &'a str) -> Result<T> {
    serde_json::from_str(json).map_err(|error| Error::with_source(Kind::Settings, "settings do not fit", error))
}

/// A number of seconds from Python as a duration.
pub fn seconds(seconds: f64) -> Result<Duration> {
    Duration::try_from_secs_f64(seconds)
        .map_err(|error| Error::with_source(Kind::Settings, format!("{seconds} s is no time span"), error))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn absent_client_settings_are_empty() {
        let settings: ClientSettings = from_json(r#"{"region": "eu-west-1"}"#).unwrap();
        assert_eq!(settings, ClientSettings { region: "eu-west-1".into(), ..ClientSettings::default() });
    }

    #[test]
    fn an_unknown_field_is_named() {
        let error = from_json::<ClientSettings>(r#"{"regoin": "secret"}"#).unwrap_err().to_string();
        assert!(error.contains("regoin") && !error.contains("secret"), "{error}");
    }
}
