//! Explains why there are no credentials: what was looked at, and which command helps.

use std::borrow::Cow;
use std::env;
use std::error::Error as StdError;
use std::path::{Path, PathBuf};
use std::time::Duration;

use aws_config::profile::{self, Profile, ProfileSet};
use aws_credential_types::provider::error::CredentialsError;
use aws_types::os_shim_internal::{Env, Fs};

use super::profile_files;
use crate::aws::settings::ClientSettings;
use crate::error::{NoCredentials, chain};

/// Profiles that the error lists as alternatives.
const MAX_LISTED_PROFILES: usize = 8;
/// Profiles that are followed by `source_profile`. The SDK reports a cycle itself.
const MAX_CHAIN_LENGTH: usize = 10;

/// The error of a credential source that does not answer in time.
pub(crate) async fn timed_out(settings: &ClientSettings, within: Duration) -> NoCredentials {
    let profiles = load(settings).await.ok();
    let chained = profiles.as_ref().map(profile_chain).unwrap_or_default();
    let process = chained.last().filter(|profile| profile.get("credential_process").is_some());
    let source = process.map_or_else(
        || "what has the credentials".to_owned(),
        |profile| format!("the credential process of profile {}", profile.name()),
    );
    NoCredentials::new(format!("{source} does not answer within {} s", within.as_secs()), "")
}

/// Explains the error of the SDK's providers by the files that they have read.
pub(crate) async fn explain(settings: &ClientSettings, error: &CredentialsError) -> NoCredentials {
    let mut provider_error = Vec::new();
    for error in chain(error) {
        let text = error.to_string();
        if !provider_error.contains(&text) {
            provider_error.push(text);
        }
    }
    let provider_error = provider_error.join(": ");
    let profiles = match load(settings).await {
        Ok(profiles) => profiles,
        // The provider has failed on the same file, so its error would say nothing more.
        Err(unreadable) => return unreadable,
    };
    if provider_error.contains("external process") {
        // The output of a credential process may be secret.
        return explain_process(&profiles, &provider_error);
    }
    let why = explain_profile(settings, &profiles, &provider_error)
        .unwrap_or_else(|| explain_environment(settings, &provider_error));
    NoCredentials { providers: provider_error, ..why }
}

/// The profiles of both files.
async fn load(settings: &ClientSettings) -> Result<ProfileSet, NoCredentials> {
    let files = profile_files(&settings.credentials).unwrap_or_default();
    let selected = Some(settings.profile.clone()).filter(|name| !name.is_empty()).map(Cow::Owned);
    profile::load(&Fs::real(), &Env::real(), &files, selected).await.map_err(|error| unreadable(&error))
}

/// The error of a file that cannot be read or parsed: its path and line, and none of its content.
fn unreadable(error: &(dyn StdError + 'static)) -> NoCredentials {
    let provider_error = chain(error).map(ToString::to_string).find(|text| text.starts_with("error parsing "));
    let place = provider_error
        .as_deref()
        .and_then(|text| text.strip_prefix("error parsing ")?.lines().next()?.strip_suffix(':'));
    match place.and_then(|place| place.rsplit_once(" on line ")) {
        Some((path, line)) => NoCredentials::new(
            format!("{path} cannot be understood: line {line} is no part of a profile"),
            format!("write line {line} as `[profile name]` ([name] in a credentials file) or as `key = value`"),
        ),
        None => NoCredentials::new(
            chain(error).map(ToString::to_string).collect::<Vec<_>>().join(": "),
            "make the file readable for whom Covalent's server runs as",
        ),
    }
}

/// The selected profile, followed by its `source_profile`, and so on.
fn profile_chain(profiles: &ProfileSet) -> Vec<&Profile> {
    let first = profiles.get_profile(profiles.selected_profile());
    let next = |profile: &&Profile| profiles.get_profile(profile.get("source_profile")?);
    std::iter::successors(first, next).take(MAX_CHAIN_LENGTH).collect()
}

/// Explains a failed credential process without its output, which may be secret.
fn explain_process(profiles: &ProfileSet, provider_error: &str) -> NoCredentials {
    let last = profile_chain(profiles).last().map(|profile| profile.name().to_owned());
    let process = last.map_or_else(
        || "the credential process".to_owned(),
        |name| format!("the credential process of profile {name}"),
    );
    let status = provider_error.split_once("exit status: ").map(|(_, rest)| rest.split(|c: char| !c.is_ascii_digit()));
    let how = match status.and_then(|mut parts| parts.next()) {
        Some(status) => format!("failed with exit status {status}"),
        None => "gives no credentials".to_owned(),
    };
    NoCredentials::new(
        format!("{process} {how}"),
        "run it by hand to see what it says, which is not shown here since it may be secret",
    )
}

/// Explains the selected profile; `None` for a default profile that does not define credentials.
fn explain_profile(settings: &ClientSettings, profiles: &ProfileSet, provider_error: &str) -> Option<NoCredentials> {
    let name = profiles.selected_profile();
    let is_named = !settings.profile.is_empty() || is_set("AWS_PROFILE");
    let chained = profile_chain(profiles);
    let Some(last) = chained.last() else { return is_named.then(|| missing_profile(settings, profiles, name)) };
    if let Some(second) = chained.iter().find(|profile| profile.get("mfa_serial").is_some()) {
        let name = second.name();
        return Some(NoCredentials::new(
            format!(
                "profile '{name}' asks for a code of a second factor (mfa_serial), and nobody can be asked for one here"
            ),
            "get keys with `aws sts get-session-token --serial-number … --token-code …`, put them into a profile of their \
             own (aws_access_key_id, aws_secret_access_key, aws_session_token), and set `profile` to it",
        ));
    }
    let name_of_last = last.name();
    if let Some(next) = last.get("source_profile").filter(|next| profiles.get_profile(next).is_none()) {
        let found = format!(
            "profile '{name_of_last}' names '{next}' as its source_profile, which is not in {}",
            describe_files(settings)
        );
        return Some(NoCredentials::new(found, format!("add profile '{next}', or correct source_profile")));
    }
    // In the order in which the SDK tries them.
    if last.get("sso_session").or_else(|| last.get("sso_start_url")).is_some() {
        return Some(explain_session("single sign-on", "aws sso login", name_of_last, provider_error));
    }
    if last.get("login_session").is_some() {
        return Some(explain_session("`aws login`", "aws login", name_of_last, provider_error));
    }
    let leads_elsewhere = ["role_arn", "credential_source", "web_identity_token_file"];
    if is_named || leads_elsewhere.iter().any(|key| chained.iter().any(|profile| profile.get(key).is_some())) {
        let fix = format!("look at profile '{name}' with `aws sts get-caller-identity --profile {name}`");
        return Some(NoCredentials::new(format!("profile '{name}' gives none: {provider_error}"), fix));
    }
    None
}

/// Explains a session that a person has to start.
fn explain_session(way: &str, command: &str, name: &str, provider_error: &str) -> NoCredentials {
    let what = match () {
        // The SDK's messages for a session file that does not exist.
        () if provider_error.contains("failed to read")
            || provider_error.contains("failed to load the cached SSO token") =>
        {
            format!("there is no session of {way} for profile '{name}'")
        }
        () if ["expired", "Unauthorized", "AccessDenied"].iter().any(|word| provider_error.contains(word)) => {
            format!("the session of {way} for profile '{name}' has expired")
        }
        () => {
            let fix = format!("sign on anew with `{command} --profile {name}`, or look at what the profile says");
            return NoCredentials::new(format!("{way} gives none for profile '{name}': {provider_error}"), fix);
        }
    };
    NoCredentials::new(what, format!("sign on where Covalent's server runs: `{command} --profile {name}`"))
}

/// The error of a profile that is in neither file; it may be on another machine.
fn missing_profile(settings: &ClientSettings, profiles: &ProfileSet, name: &str) -> NoCredentials {
    let mut others: Vec<_> = profiles.profiles().collect();
    others.sort_unstable();
    others.truncate(MAX_LISTED_PROFILES);
    let there = if others.is_empty() { String::new() } else { format!("; there are {}", others.join(", ")) };
    NoCredentials::new(
        format!(
            "profile '{name}' is looked up on the machine where the task is sent from (Covalent's server) and is not \
             there: looked at {}{there}",
            describe_files(settings)
        ),
        format!("create it there (`aws configure --profile {name}`), or set `profile` to one that is there"),
    )
}

/// Explains the sources other than profiles: variables, and the metadata of a container.
fn explain_environment(settings: &ClientSettings, provider_error: &str) -> NoCredentials {
    let keys = ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"];
    if let Some(missing) = keys.iter().find(|key| !is_set(key))
        && let Some(present) = keys.iter().find(|key| is_set(key))
    {
        return NoCredentials::new(
            format!("{present} is set, and {missing} is not"),
            format!("set {missing}, or unset {present}"),
        );
    }
    let elsewhere =
        ["AWS_WEB_IDENTITY_TOKEN_FILE", "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI", "AWS_CONTAINER_CREDENTIALS_FULL_URI"];
    if let Some(variable) = elsewhere.iter().find(|variable| is_set(variable)) {
        let fix = format!("look at what {variable} leads to, or set `profile`");
        return NoCredentials::new(format!("what {variable} leads to gives none: {provider_error}"), fix);
    }
    NoCredentials::new(
        format!(
            "there are none in the environment (AWS_ACCESS_KEY_ID), in {}, or from the metadata of a container or an instance",
            describe_files(settings)
        ),
        "type `aws configure` (or `aws sso login --profile NAME`, and set the option `profile`) where Covalent's server runs",
    )
}

/// The paths of both files, and whether they exist.
fn describe_files(settings: &ClientSettings) -> String {
    let home = env::var_os("HOME").map(PathBuf::from).unwrap_or_default();
    let place = |variable: &str, name: &str| {
        env::var_os(variable)
            .filter(|path| !path.is_empty())
            .map_or_else(|| home.join(".aws").join(name), PathBuf::from)
    };
    let credentials = match settings.credentials.as_str() {
        "" => place("AWS_SHARED_CREDENTIALS_FILE", "credentials"),
        path => PathBuf::from(path),
    };
    let shown = |path: &Path| format!("{}{}", path.display(), if path.exists() { "" } else { " (not there)" });
    format!("{} and {}", shown(&place("AWS_CONFIG_FILE", "config")), shown(&credentials))
}

fn is_set(variable: &str) -> bool {
    env::var_os(variable).is_some_and(|value| !value.is_empty())
}
