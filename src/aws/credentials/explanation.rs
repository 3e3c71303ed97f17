//! Why there are no credentials, for whoever has to mend it: what was looked at, and what to type.

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

/// Profiles of a file that are named as those to choose from.
const NAMED: usize = 8;
/// Profiles that one may lead to after the other; a circle of them is an error elsewhere.
const LONGEST_CHAIN: usize = 10;

/// That what has the credentials does not answer within this time.
pub(crate) async fn unanswered(settings: &ClientSettings, within: Duration) -> NoCredentials {
    let profiles = load(settings).await.ok();
    let leading = profiles.as_ref().map(profile_chain).unwrap_or_default();
    let process = leading.last().filter(|profile| profile.get("credential_process").is_some());
    let source = process.map_or_else(
        || "what has the credentials".to_owned(),
        |profile| format!("the credential process of profile {}", profile.name()),
    );
    NoCredentials::new(format!("{source} does not answer within {} s", within.as_secs()), "")
}

/// Reads the error of the SDK's providers beside the files that they have read.
pub(crate) async fn explain(settings: &ClientSettings, error: &CredentialsError) -> NoCredentials {
    let mut said = Vec::new();
    for error in chain(error) {
        let text = error.to_string();
        if !said.contains(&text) {
            said.push(text);
        }
    }
    let said = said.join(": ");
    let profiles = match load(settings).await {
        Ok(profiles) => profiles,
        // Without the words of the provider, which has read the same file.
        Err(unreadable) => return unreadable,
    };
    if said.contains("external process") {
        // What a credential process says may be secret.
        return process(&profiles, &said);
    }
    let why = of_the_profile(settings, &profiles, &said).unwrap_or_else(|| of_the_environment(settings, &said));
    NoCredentials { providers: said, ..why }
}

/// The profiles of both files.
async fn load(settings: &ClientSettings) -> Result<ProfileSet, NoCredentials> {
    let files = profile_files(&settings.credentials).unwrap_or_default();
    let selected = Some(settings.profile.clone()).filter(|name| !name.is_empty()).map(Cow::Owned);
    profile::load(&Fs::real(), &Env::real(), &files, selected).await.map_err(|error| unreadable(&error))
}

/// A file that cannot be read or understood: its path and line, and nothing of what stands there.
fn unreadable(error: &(dyn StdError + 'static)) -> NoCredentials {
    let said = chain(error).map(ToString::to_string).find(|text| text.starts_with("error parsing "));
    let place = said.as_deref().and_then(|text| text.strip_prefix("error parsing ")?.lines().next()?.strip_suffix(':'));
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

/// The profile that is in force, and those to which it leads one after the other.
fn profile_chain(profiles: &ProfileSet) -> Vec<&Profile> {
    let first = profiles.get_profile(profiles.selected_profile());
    let next = |profile: &&Profile| profiles.get_profile(profile.get("source_profile")?);
    std::iter::successors(first, next).take(LONGEST_CHAIN).collect()
}

/// What is the matter with a credential process; what it printed may be secret.
fn process(profiles: &ProfileSet, said: &str) -> NoCredentials {
    let last = profile_chain(profiles).last().map(|profile| profile.name().to_owned());
    let process = last.map_or_else(
        || "the credential process".to_owned(),
        |name| format!("the credential process of profile {name}"),
    );
    let status = said.split_once("exit status: ").map(|(_, rest)| rest.split(|c: char| !c.is_ascii_digit()));
    let how = match status.and_then(|mut parts| parts.next()) {
        Some(status) => format!("failed with exit status {status}"),
        None => "gives no credentials".to_owned(),
    };
    NoCredentials::new(
        format!("{process} {how}"),
        "run it by hand to see what it says, which is not shown here since it may be secret",
    )
}

/// What is the matter with a profile that somebody named, or with the default one if it is meant to give credentials.
fn of_the_profile(settings: &ClientSettings, profiles: &ProfileSet, said: &str) -> Option<NoCredentials> {
    let name = profiles.selected_profile();
    let is_named = !settings.profile.is_empty() || is_set("AWS_PROFILE");
    let leading = profile_chain(profiles);
    let Some(last) = leading.last() else { return is_named.then(|| absent(settings, profiles, name)) };
    if let Some(second) = leading.iter().find(|profile| profile.get("mfa_serial").is_some()) {
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
            files(settings)
        );
        return Some(NoCredentials::new(found, format!("add profile '{next}', or correct source_profile")));
    }
    // The order is that of the SDK.
    if last.get("sso_session").or_else(|| last.get("sso_start_url")).is_some() {
        return Some(signed_off("single sign-on", "aws sso login", name_of_last, said));
    }
    if last.get("login_session").is_some() {
        return Some(signed_off("`aws login`", "aws login", name_of_last, said));
    }
    let leads_elsewhere = ["role_arn", "credential_source", "web_identity_token_file"];
    if is_named || leads_elsewhere.iter().any(|key| leading.iter().any(|profile| profile.get(key).is_some())) {
        let fix = format!("look at profile '{name}' with `aws sts get-caller-identity --profile {name}`");
        return Some(NoCredentials::new(format!("profile '{name}' gives none: {said}"), fix));
    }
    None
}

/// What is the matter with a session that a person has to begin.
fn signed_off(way: &str, command: &str, name: &str, said: &str) -> NoCredentials {
    let what = match () {
        // So the SDK says that there is no such file among those of sessions.
        () if said.contains("failed to read") || said.contains("failed to load the cached SSO token") => {
            format!("there is no session of {way} for profile '{name}'")
        }
        () if ["expired", "Unauthorized", "AccessDenied"].iter().any(|word| said.contains(word)) => {
            format!("the session of {way} for profile '{name}' has expired")
        }
        () => {
            let fix = format!("sign on anew with `{command} --profile {name}`, or look at what the profile says");
            return NoCredentials::new(format!("{way} gives none for profile '{name}': {said}"), fix);
        }
    };
    NoCredentials::new(what, format!("sign on where Covalent's server runs: `{command} --profile {name}`"))
}

/// A profile that is in no file; it may well be on another machine.
fn absent(settings: &ClientSettings, profiles: &ProfileSet, name: &str) -> NoCredentials {
    let mut others: Vec<_> = profiles.profiles().collect();
    others.sort_unstable();
    others.truncate(NAMED);
    let there = if others.is_empty() { String::new() } else { format!("; there are {}", others.join(", ")) };
    NoCredentials::new(
        format!(
            "profile '{name}' is looked up on the machine where the task is sent from (Covalent's server) and is not \
             there: looked at {}{there}",
            files(settings)
        ),
        format!("create it there (`aws configure --profile {name}`), or set `profile` to one that is there"),
    )
}

/// That nothing was given, or that it is somewhere else than in a profile.
fn of_the_environment(settings: &ClientSettings, said: &str) -> NoCredentials {
    let keys = ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"];
    if let Some(lacking) = keys.iter().find(|key| !is_set(key))
        && let Some(given) = keys.iter().find(|key| is_set(key))
    {
        return NoCredentials::new(
            format!("{given} is set, and {lacking} is not"),
            format!("set {lacking}, or unset {given}"),
        );
    }
    let elsewhere =
        ["AWS_WEB_IDENTITY_TOKEN_FILE", "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI", "AWS_CONTAINER_CREDENTIALS_FULL_URI"];
    if let Some(variable) = elsewhere.iter().find(|variable| is_set(variable)) {
        let fix = format!("look at what {variable} leads to, or set `profile`");
        return NoCredentials::new(format!("what {variable} leads to gives none: {said}"), fix);
    }
    NoCredentials::new(
        format!(
            "there are none in the environment (AWS_ACCESS_KEY_ID), in {}, or from the metadata of a container or an instance",
            files(settings)
        ),
        "type `aws configure` (or `aws sso login --profile NAME`, and set the option `profile`) where Covalent's server runs",
    )
}

/// The files that are looked at, and which of them are not there.
fn files(settings: &ClientSettings) -> String {
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
