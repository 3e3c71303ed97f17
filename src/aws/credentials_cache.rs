//! A credentials cache: credentials are reused while they are fresh, and loaded once for all callers that wait.
//!
//! The SDK reads a credentials file once and caches keys without an expiry for ever. Users with temporary keys replace
//! them in that file, or sign on again, while an overnight run waits. The SDK's cache also uses the wall clock, which
//! may be set back.

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

/// How long credentials without an expiry are reused before they are loaded again.
const DEFAULT_TTL: Duration = Duration::from_secs(30);
/// How long before their expiry credentials are no longer used.
const EXPIRY_MARGIN: Duration = Duration::from_mins(1);
/// How long a call waits for credentials; less than the time-out of its attempt.
const CALLER_TIMEOUT: Duration = Duration::from_secs(20);
/// How long loading may go on after its callers have timed out: a person may be typing a code into a credential
/// process.
const LOAD_TIMEOUT: Duration = Duration::from_mins(5);
/// Part of the error codes with which services refuse expired credentials.
const EXPIRED_CODE: &str = "ExpiredToken";

/// The outcome of loading.
type Loaded = Result<Credentials, NoCredentials>;

/// Provides the credentials of some settings. An interceptor, too, so that it sees when AWS refuses expired ones.
#[derive(Clone, Debug)]
pub struct CredentialsCache(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    settings: ClientSettings,
    http: SharedHttpClient,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    cached: Option<Cached>,
    /// Receives the outcome of the load that is running.
    loading: Option<watch::Receiver<Option<Loaded>>>,
}

#[derive(Debug)]
struct Cached {
    credentials: Credentials,
    /// By the monotonic clock. `expiry` is checked as well, since that clock stands still while the machine sleeps.
    fresh_until: Instant,
    expiry: Option<SystemTime>,
}

impl Cached {
    fn new(credentials: Credentials) -> Self {
        let now = SystemTime::now();
        let lifetime = credentials.expiry().map(|expiry| expiry.duration_since(now).unwrap_or_default());
        let ttl = lifetime.unwrap_or_default().saturating_sub(EXPIRY_MARGIN).max(DEFAULT_TTL);
        // If this machine's clock is ahead, new credentials look expired: then only the monotonic clock counts.
        let expiry = credentials.expiry().filter(|expiry| *expiry > now + EXPIRY_MARGIN);
        Self { credentials, fresh_until: Instant::now() + ttl, expiry }
    }

    fn is_fresh(&self) -> bool {
        Instant::now() < self.fresh_until && self.expiry.is_none_or(|expiry| SystemTime::now() + EXPIRY_MARGIN < expiry)
    }
}

impl CredentialsCache {
    /// An empty cache.
    #[must_use]
    pub fn new(settings: ClientSettings, http: SharedHttpClient) -> Self {
        Self(Arc::new(Shared { settings, http, state: Mutex::default() }))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn provide(&self) -> provider::Result {
        let mut loading = {
            let mut state = self.state();
            if let Some(cached) = state.cached.as_ref().filter(|cached| cached.is_fresh()) {
                return Ok(cached.credentials.clone());
            }
            // The sender of a load is gone if its runtime has ended.
            let running = state.loading.clone().filter(|loading| loading.has_changed().is_ok());
            running.unwrap_or_else(|| state.loading.insert(self.spawn_load()).clone())
        };
        let loaded = timeout(CALLER_TIMEOUT, loading.wait_for(Option::is_some)).await;
        let loaded = loaded.map(|loaded| loaded.ok().and_then(|outcome| outcome.clone()));
        let outcome = match loaded {
            Ok(outcome) => outcome.unwrap_or_else(|| Err(NoCredentials::new("the look for them was given up", ""))),
            Err(_) => Err(credentials::timed_out(&self.0.settings, CALLER_TIMEOUT).await),
        };
        outcome.map_err(CredentialsError::provider_error)
    }

    fn spawn_load(&self) -> watch::Receiver<Option<Loaded>> {
        let (sender, loading) = watch::channel(None);
        let this = self.clone();
        tokio::spawn(async move {
            let loaded = timeout(LOAD_TIMEOUT, this.load()).await;
            let outcome = match loaded {
                Ok(Ok(loaded)) => Ok(loaded),
                Ok(Err(error)) => Err(credentials::explain(&this.0.settings, &error).await),
                Err(_) => Err(credentials::timed_out(&this.0.settings, LOAD_TIMEOUT).await),
            };
            let mut state = this.state();
            state.loading = None;
            state.cached = outcome.clone().ok().map(Cached::new);
            drop(state);
            sender.send_replace(Some(outcome));
        });
        loading
    }

    async fn load(&self) -> provider::Result {
        credentials::check(&self.0.settings).map_err(CredentialsError::invalid_configuration)?;
        let config = credentials::loader(&self.0.settings, &self.0.http).timeout_config(timeouts()).load().await;
        let Some(provider) = config.credentials_provider() else {
            return Err(CredentialsError::not_loaded("there is no provider of credentials"));
        };
        provider.provide_credentials().await
    }

    /// Drops the cached credentials if a request was signed with them.
    fn invalidate(&self, authorization: &str) {
        let mut state = self.state();
        if state.cached.as_ref().is_some_and(|cached| authorization.contains(cached.credentials.access_key_id())) {
            state.cached = None;
        }
    }
}

impl ProvideCredentials for CredentialsCache {
    fn provide_credentials<'a>(&'a self) -> future::ProvideCredentials<'a>
    where
        Self: 'a,
    {
        future::ProvideCredentials::new(self.provide())
    }
}

#[dyn_dispatch_hint]
impl Intercept for CredentialsCache {
    fn name(&self) -> &'static str {
        "CredentialsCache"
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
        if let Some(signed) = config.load::<Signed>().filter(|_| context.response().is_some_and(is_expired_token)) {
            self.invalidate(&signed.authorization);
        }
        Ok(())
    }
}

/// The `Authorization` header of an attempt, whose request is gone when the answer arrives.
#[derive(Debug)]
struct Signed {
    authorization: String,
}

impl Storable for Signed {
    type Storer = StoreReplace<Self>;
}

/// Whether AWS refuses expired credentials: S3 and STS say so in XML, the others in a header.
fn is_expired_token(answer: &HttpResponse) -> bool {
    if !answer.status().is_client_error() {
        return false;
    }
    let header = answer.headers().get("x-amzn-errortype").unwrap_or_default();
    let body = answer.body().bytes().unwrap_or_default();
    header.contains(EXPIRED_CODE) || body.windows(EXPIRED_CODE.len()).any(|part| part == EXPIRED_CODE.as_bytes())
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

    fn cache(profile: &str, credentials: &std::path::Path) -> CredentialsCache {
        let settings = ClientSettings {
            profile: profile.into(),
            credentials: credentials.to_str().unwrap().into(),
            region: "eu-west-1".into(),
            ..ClientSettings::default()
        };
        CredentialsCache::new(settings, crate::aws::http::client(None).unwrap())
    }

    fn keys(key: &str) -> String {
        format!("[work]\naws_access_key_id = {key}\naws_secret_access_key = secret\n")
    }

    async fn key(cache: &CredentialsCache) -> String {
        cache.provide().await.unwrap().access_key_id().to_owned()
    }

    #[tokio::test(start_paused = true)]
    async fn keys_are_fresh_by_a_clock_that_nobody_sets_until_aws_says_that_they_have_expired() {
        let file = file("keys");
        fs::write(&file, keys("ONE")).unwrap();
        let cache = cache("work", &file);
        assert_eq!(key(&cache).await, "ONE");
        fs::write(&file, keys("TWO")).unwrap();
        assert_eq!(key(&cache).await, "ONE");
        advance(DEFAULT_TTL).await;
        assert_eq!(key(&cache).await, "TWO");
        fs::write(&file, keys("THREE")).unwrap();
        cache.invalidate("AWS4-HMAC-SHA256 Credential=ONE/20260101/eu-west-1/s3/aws4_request");
        assert_eq!(key(&cache).await, "TWO");
        cache.invalidate("AWS4-HMAC-SHA256 Credential=TWO/20260101/eu-west-1/s3/aws4_request");
        assert_eq!(key(&cache).await, "THREE");
        fs::remove_file(file).unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn keys_with_an_expiry_are_used_until_a_minute_before_it_whatever_the_clock_says() {
        let cached = |expiry| Cached::new(Credentials::new("id", "key", None, Some(expiry), "tests"));
        let ten_minutes = cached(SystemTime::now() + Duration::from_mins(10));
        // On a machine whose clock is a day ahead.
        let past = cached(SystemTime::now() - Duration::from_hours(24));
        assert!(ten_minutes.is_fresh() && past.is_fresh());
        advance(DEFAULT_TTL).await;
        assert!(ten_minutes.is_fresh() && !past.is_fresh());
        // The machine's own clock has not moved meanwhile.
        advance(Duration::from_mins(9)).await;
        assert!(!ten_minutes.is_fresh());
    }

    #[tokio::test(start_paused = true)]
    async fn a_credential_process_that_hangs_is_named_and_not_started_again_meanwhile() {
        let file = file("process");
        fs::write(&file, "[work]\ncredential_process = sleep 5\n").unwrap();
        let cache = cache("work", &file);
        let start = Instant::now();
        let (one, other) = tokio::join!(cache.provide(), cache.provide());
        let loading = cache.state().loading.clone().unwrap();
        for outcome in [one, other, cache.provide().await] {
            let error = outcome.unwrap_err();
            let why = std::error::Error::source(&error).unwrap().to_string();
            assert_eq!(why, "the credential process of profile work does not answer within 20 s");
        }
        assert!(loading.same_channel(cache.state().loading.as_ref().unwrap()));
        assert!(start.elapsed() < 3 * CALLER_TIMEOUT);
        fs::remove_file(file).unwrap();
    }

    #[test]
    fn a_refusal_of_expired_keys_is_recognised() {
        let answer = |status: u16, body: &'static str| {
            HttpResponse::new(status.try_into().unwrap(), aws_smithy_types::body::SdkBody::from(body))
        };
        assert!(is_expired_token(&answer(400, "<Error><Code>ExpiredToken</Code></Error>")));
        assert!(!is_expired_token(&answer(403, "<Error><Code>AccessDenied</Code></Error>")));
        assert!(!is_expired_token(&answer(200, "ExpiredToken")));
        let mut header = answer(403, "{}");
        header.headers_mut().insert("x-amzn-errortype", "ExpiredTokenException:http://internal.amazon.com/");
        assert!(is_expired_token(&header));
    }
}
