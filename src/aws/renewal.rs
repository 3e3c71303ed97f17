//! Credentials that are kept while they are fresh, and looked for by one for all who want them.
//!
//! The SDK reads a credentials file once and keeps keys that name no expiry for good. But who works with temporary keys
//! writes new ones into that file, or signs on again, while an overnight run waits. And its cache goes by the clock of the
//! machine, which somebody may set back.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use aws_credential_types::Credentials;
use aws_credential_types::provider::error::CredentialsError;
use aws_credential_types::provider::{self, ProvideCredentials, future};
use aws_smithy_runtime_api::box_error::BoxError;
use aws_smithy_runtime_api::client::http::SharedHttpClient;
use aws_smithy_runtime_api::client::interceptors::context::{
    BeforeTransmitInterceptorContextRef, FinalizerInterceptorContextRef,
};
use aws_smithy_runtime_api::client::interceptors::{Intercept, dyn_dispatch_hint};
use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use aws_smithy_types::config_bag::{ConfigBag, Storable, StoreReplace};
use tokio::sync::watch;
use tokio::time::{Instant, timeout};

use super::credentials::{self, NoCredentials};
use super::settings::ClientSettings;
use super::timeouts::timeouts;

/// How long keys without an expiry of their own are used before they are looked for again.
const FRESH: Duration = Duration::from_secs(30);
/// How long before their expiry keys are no longer used.
const MARGIN: Duration = Duration::from_mins(1);
/// How long a call waits for credentials; less than an attempt of it may take.
const PATIENCE: Duration = Duration::from_secs(20);
/// How long a look goes on when nobody waits any more: somebody may be typing a code into a credential process.
const LONGEST_LOOK: Duration = Duration::from_mins(5);
/// What stands in the codes by which services refuse credentials that have expired.
const EXPIRED: &str = "ExpiredToken";

/// What comes of a look.
type Found = Result<Credentials, NoCredentials>;

/// The credentials to which some settings lead.
#[derive(Clone, Debug)]
pub struct Renewing(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    settings: ClientSettings,
    http: SharedHttpClient,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    kept: Option<Kept>,
    /// What comes of the look that is under way: credentials, or why there are none.
    looking: Option<watch::Receiver<Option<Found>>>,
}

#[derive(Debug)]
struct Kept {
    credentials: Credentials,
    /// Until when they are fresh, by a clock that nobody sets, and by the machine's own, which goes on while it sleeps.
    until: Instant,
    expiry: Option<SystemTime>,
}

impl Kept {
    fn new(credentials: Credentials) -> Self {
        let now = SystemTime::now();
        let lifetime = credentials.expiry().map(|expiry| expiry.duration_since(now).unwrap_or_default());
        let fresh = lifetime.unwrap_or_default().saturating_sub(MARGIN).max(FRESH);
        // A machine whose clock is ahead holds all that it gets for expired.
        let expiry = credentials.expiry().filter(|expiry| *expiry > now + MARGIN);
        Self { credentials, until: Instant::now() + fresh, expiry }
    }

    fn is_fresh(&self) -> bool {
        Instant::now() < self.until && self.expiry.is_none_or(|expiry| SystemTime::now() + MARGIN < expiry)
    }
}

impl Renewing {
    /// Credentials as these settings lead to them.
    #[must_use]
    pub fn new(settings: ClientSettings, http: SharedHttpClient) -> Self {
        Self(Arc::new(Shared { settings, http, state: Mutex::default() }))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn provide(&self) -> provider::Result {
        let mut looking = {
            let mut state = self.state();
            if let Some(kept) = state.kept.as_ref().filter(|kept| kept.is_fresh()) {
                return Ok(kept.credentials.clone());
            }
            // One whose sender is gone went down with its runtime.
            let under_way = state.looking.clone().filter(|looking| looking.has_changed().is_ok());
            under_way.unwrap_or_else(|| state.looking.insert(self.begin_to_look()).clone())
        };
        let found = timeout(PATIENCE, looking.wait_for(Option::is_some)).await;
        let found = found.map(|found| found.ok().and_then(|outcome| outcome.clone()));
        let outcome = match found {
            Ok(outcome) => outcome.unwrap_or_else(|| Err(NoCredentials::new("the look for them was given up", ""))),
            Err(_) => Err(credentials::unanswered(&self.0.settings, PATIENCE).await),
        };
        outcome.map_err(CredentialsError::provider_error)
    }

    fn begin_to_look(&self) -> watch::Receiver<Option<Found>> {
        let (tell, looking) = watch::channel(None);
        let this = self.clone();
        tokio::spawn(async move {
            let found = timeout(LONGEST_LOOK, this.look()).await;
            let outcome = match found {
                Ok(Ok(found)) => Ok(found),
                Ok(Err(error)) => Err(credentials::explain(&this.0.settings, &error).await),
                Err(_) => Err(credentials::unanswered(&this.0.settings, LONGEST_LOOK).await),
            };
            let mut state = this.state();
            state.looking = None;
            state.kept = outcome.clone().ok().map(Kept::new);
            drop(state);
            tell.send_replace(Some(outcome));
        });
        looking
    }

    async fn look(&self) -> provider::Result {
        credentials::check(&self.0.settings).map_err(CredentialsError::invalid_configuration)?;
        let config = credentials::loader(&self.0.settings, &self.0.http).timeout_config(timeouts()).load().await;
        let Some(provider) = config.credentials_provider() else {
            return Err(CredentialsError::not_loaded("there is no provider of credentials"));
        };
        provider.provide_credentials().await
    }

    /// Forgets the credentials if a request was signed with them.
    fn forget(&self, authorization: &str) {
        let mut state = self.state();
        if state.kept.as_ref().is_some_and(|kept| authorization.contains(kept.credentials.access_key_id())) {
            state.kept = None;
        }
    }
}

impl ProvideCredentials for Renewing {
    fn provide_credentials<'a>(&'a self) -> future::ProvideCredentials<'a>
    where
        Self: 'a,
    {
        future::ProvideCredentials::new(self.provide())
    }
}

#[dyn_dispatch_hint]
impl Intercept for Renewing {
    fn name(&self) -> &'static str {
        "Renewing"
    }

    fn read_before_transmit(
        &self,
        context: &BeforeTransmitInterceptorContextRef<'_>,
        _components: &RuntimeComponents,
        config: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let authorization = context.request().headers().get("authorization").unwrap_or_default().to_owned();
        config.interceptor_state().store_put(Signed { authorization });
        Ok(())
    }

    fn read_after_attempt(
        &self,
        context: &FinalizerInterceptorContextRef<'_>,
        _components: &RuntimeComponents,
        config: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        if let Some(signed) = config.load::<Signed>().filter(|_| context.response().is_some_and(says_expired)) {
            self.forget(&signed.authorization);
        }
        Ok(())
    }
}

/// What an attempt was signed with; the request itself is gone when the answer is there.
#[derive(Debug)]
struct Signed {
    authorization: String,
}

impl Storable for Signed {
    type Storer = StoreReplace<Self>;
}

/// Whether AWS refuses the credentials because they have expired: S3 and STS say so in XML, the others in a header.
fn says_expired(answer: &HttpResponse) -> bool {
    if !answer.status().is_client_error() {
        return false;
    }
    let header = answer.headers().get("x-amzn-errortype").unwrap_or_default();
    let body = answer.body().bytes().unwrap_or_default();
    header.contains(EXPIRED) || body.windows(EXPIRED.len()).any(|part| part == EXPIRED.as_bytes())
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::PathBuf;

    use tokio::time::advance;

    use super::*;

    /// A file of a test's own.
    fn file(name: &str) -> PathBuf {
        std::env::temp_dir().join(format!("covalent-awsbatch-{}-{name}", std::process::id()))
    }

    fn renewing(profile: &str, credentials: &std::path::Path) -> Renewing {
        let settings = ClientSettings {
            profile: profile.into(),
            credentials: credentials.to_str().unwrap().into(),
            region: "eu-west-1".into(),
            ..ClientSettings::default()
        };
        Renewing::new(settings, crate::aws::http::client(None).unwrap())
    }

    fn keys(key: &str) -> String {
        format!("[work]\naws_access_key_id = {key}\naws_secret_access_key = secret\n")
    }

    async fn key(renewing: &Renewing) -> String {
        renewing.provide().await.unwrap().access_key_id().to_owned()
    }

    #[tokio::test(start_paused = true)]
    async fn keys_are_fresh_by_a_clock_that_nobody_sets_until_aws_says_that_they_have_expired() {
        let file = file("keys");
        fs::write(&file, keys("ONE")).unwrap();
        let renewing = renewing("work", &file);
        assert_eq!(key(&renewing).await, "ONE");
        fs::write(&file, keys("TWO")).unwrap();
        assert_eq!(key(&renewing).await, "ONE");
        advance(FRESH).await;
        assert_eq!(key(&renewing).await, "TWO");
        fs::write(&file, keys("THREE")).unwrap();
        renewing.forget("AWS4-HMAC-SHA256 Credential=ONE/20260101/eu-west-1/s3/aws4_request");
        assert_eq!(key(&renewing).await, "TWO");
        renewing.forget("AWS4-HMAC-SHA256 Credential=TWO/20260101/eu-west-1/s3/aws4_request");
        assert_eq!(key(&renewing).await, "THREE");
        fs::remove_file(file).unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn keys_with_an_expiry_are_used_until_a_minute_before_it_whatever_the_clock_says() {
        let kept = |expiry| Kept::new(Credentials::new("id", "key", None, Some(expiry), "tests"));
        let ten_minutes = kept(SystemTime::now() + Duration::from_mins(10));
        // On a machine whose clock is a day ahead.
        let past = kept(SystemTime::now() - Duration::from_hours(24));
        assert!(ten_minutes.is_fresh() && past.is_fresh());
        advance(FRESH).await;
        assert!(ten_minutes.is_fresh() && !past.is_fresh());
        // The machine's own clock has not moved meanwhile.
        advance(Duration::from_mins(9)).await;
        assert!(!ten_minutes.is_fresh());
    }

    #[tokio::test(start_paused = true)]
    async fn a_credential_process_that_hangs_is_named_and_not_started_again_meanwhile() {
        let file = file("process");
        fs::write(&file, "[work]\ncredential_process = sleep 5\n").unwrap();
        let renewing = renewing("work", &file);
        let start = Instant::now();
        let (one, other) = tokio::join!(renewing.provide(), renewing.provide());
        let look = renewing.state().looking.clone().unwrap();
        for outcome in [one, other, renewing.provide().await] {
            let error = outcome.unwrap_err();
            let why = std::error::Error::source(&error).unwrap().to_string();
            assert_eq!(why, "the credential process of profile work does not answer within 20 s");
        }
        assert!(look.same_channel(renewing.state().looking.as_ref().unwrap()));
        assert!(start.elapsed() < 3 * PATIENCE);
        fs::remove_file(file).unwrap();
    }

    #[test]
    fn a_refusal_of_expired_keys_is_recognised() {
        let answer = |status: u16, body: &'static str| {
            HttpResponse::new(status.try_into().unwrap(), aws_smithy_types::body::SdkBody::from(body))
        };
        assert!(says_expired(&answer(400, "<Error><Code>ExpiredToken</Code></Error>")));
        assert!(!says_expired(&answer(403, "<Error><Code>AccessDenied</Code></Error>")));
        assert!(!says_expired(&answer(200, "ExpiredToken")));
        let mut header = answer(403, "{}");
        header.headers_mut().insert("x-amzn-errortype", "ExpiredTokenException:http://internal.amazon.com/");
        assert!(says_expired(&header));
    }
}
