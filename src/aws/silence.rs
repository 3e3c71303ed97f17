//! What does not answer: who was asked is named, and a command, for which a person waits, does not wait for long.

use std::collections::BTreeSet;
use std::error::Error as StdError;
use std::future::Future;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use aws_smithy_runtime_api::box_error::BoxError;
use aws_smithy_runtime_api::client::interceptors::context::{
    BeforeTransmitInterceptorContextRef, FinalizerInterceptorContextMut,
};
use aws_smithy_runtime_api::client::interceptors::{Intercept, dyn_dispatch_hint};
use aws_smithy_runtime_api::client::orchestrator::{HttpResponse, OrchestratorError};
use aws_smithy_runtime_api::client::result::ConnectorError;
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use aws_smithy_types::config_bag::{ConfigBag, Storable, StoreReplace};
use hyper_util::client::proxy::matcher::Matcher;
use tokio::time::{Instant, timeout};

use super::http::is_near;
use super::intermediary::{Asked, Unanswered};

/// What a command waits for an answer at the most, and for all that does not answer together. What is left after the first
/// is enough to hear whether others answer.
const LONGEST: Duration = Duration::from_secs(7);
const IN_ALL: Duration = Duration::from_secs(9);

/// What a command has waited for in vain. Whoever did not answer is not asked again.
#[derive(Debug)]
pub struct Impatience(Mutex<State>);

#[derive(Debug)]
struct State {
    left: Duration,
    silent: BTreeSet<String>,
}

impl Default for Impatience {
    fn default() -> Self {
        Self(Mutex::new(State { left: IN_ALL, silent: BTreeSet::new() }))
    }
}

impl Impatience {
    /// Waits for an answer no longer than there is patience, and not at all where there is none.
    ///
    /// # Errors
    /// Those of the call, and none that the SDK would try again if there was no answer.
    pub async fn bounded(
        &self,
        asked: &Asked,
        call: impl Future<Output = Result<HttpResponse, ConnectorError>>,
    ) -> Result<HttpResponse, ConnectorError> {
        let limit = {
            let state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            if state.left.is_zero() || state.silent.contains(asked.host()) {
                let silent = state.silent.iter().cloned().collect();
                return Err(ConnectorError::other(NotAsked { silent }.into(), None));
            }
            state.left.min(LONGEST)
        };
        let start = Instant::now();
        let error = match timeout(limit, call).await {
            Ok(Err(error)) if error.is_timeout() || is_unconnected(&error) => error.into_source(),
            Ok(outcome) => return outcome,
            Err(_) => format!("no answer within {} s", limit.as_secs()).into(),
        };
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        state.left = state.left.saturating_sub(start.elapsed());
        state.silent.insert(asked.host().to_owned());
        Err(ConnectorError::other(error, None))
    }
}

/// Whether no connection came about, in the words of the HTTP client, which keeps its kinds to itself.
fn is_unconnected(error: &ConnectorError) -> bool {
    chain(error).any(|error| error.to_string() == "client error (Connect)")
}

/// An error and its sources.
pub fn chain<'a>(error: &'a (dyn StdError + 'static)) -> impl Iterator<Item = &'a (dyn StdError + 'static)> {
    std::iter::successors(Some(error), |error: &&'a (dyn StdError + 'static)| (*error).source())
}

/// Nobody was asked, since these have not answered before.
#[derive(Debug, thiserror::Error)]
#[error("no answer from {}", .silent.join(", "))]
pub struct NotAsked {
    silent: Vec<String>,
}

impl NotAsked {
    /// Who has not answered.
    #[must_use]
    pub fn of_whom(&self) -> String {
        self.silent.join(", ")
    }
}

/// Has the SDK's own time-outs, which know nothing of hosts, name who was asked.
#[derive(Debug)]
pub struct NamedTimeouts(Matcher);

impl Default for NamedTimeouts {
    fn default() -> Self {
        Self(Matcher::from_env())
    }
}

#[dyn_dispatch_hint]
impl Intercept for NamedTimeouts {
    fn name(&self) -> &'static str {
        "NamedTimeouts"
    }

    fn read_before_transmit(
        &self,
        context: &BeforeTransmitInterceptorContextRef<'_>,
        _components: &RuntimeComponents,
        config: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let request = context.request();
        let asked = Asked::of(request, (!is_near(request.uri())).then_some(&self.0));
        config.interceptor_state().store_put(LastAsked(asked));
        Ok(())
    }

    fn modify_before_completion(
        &self,
        context: &mut FinalizerInterceptorContextMut<'_>,
        _components: &RuntimeComponents,
        config: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        if let Some(LastAsked(asked)) = config.load::<LastAsked>()
            && let Some(Err(error)) = context.output_or_error_mut()
            && error.is_timeout_error()
        {
            let source = std::mem::replace(error, OrchestratorError::other("a time-out"));
            *error = OrchestratorError::timeout(Unanswered::new(asked.clone(), source).into());
        }
        Ok(())
    }
}

/// Whom the last attempt of a call asked.
#[derive(Debug)]
struct LastAsked(Asked);

impl Storable for LastAsked {
    type Storer = StoreReplace<Self>;
}

#[cfg(test)]
mod tests {
    use std::future::pending;
    use std::io;

    use aws_config::retry::RetryConfig;
    use aws_config::{BehaviorVersion, Region};
    use aws_credential_types::Credentials;
    use aws_smithy_runtime_api::client::http::{
        HttpConnector, HttpConnectorFuture, SharedHttpConnector, http_client_fn,
    };
    use aws_smithy_runtime_api::client::orchestrator::HttpRequest;
    use aws_smithy_types::body::SdkBody;

    use super::*;

    fn asked(url: &str) -> Asked {
        let mut request = HttpRequest::empty();
        request.set_uri(url).unwrap();
        Asked::of(&request, None)
    }

    fn said(outcome: Result<HttpResponse, ConnectorError>) -> String {
        outcome.unwrap_err().into_source().to_string()
    }

    #[tokio::test(start_paused = true)]
    async fn what_does_not_answer_is_asked_once_and_all_together_take_nine_seconds() {
        let (impatience, start) = (Impatience::default(), Instant::now());
        let (iam, logs, ecr) =
            (asked("https://iam.example"), asked("https://logs.example"), asked("https://ecr.example"));
        assert_eq!(said(impatience.bounded(&iam, pending()).await), "no answer within 7 s");
        assert_eq!(said(impatience.bounded(&iam, pending()).await), "no answer from iam.example");
        assert_eq!(start.elapsed(), LONGEST);
        let answer = async { Ok(HttpResponse::new(200.try_into().unwrap(), SdkBody::empty())) };
        assert!(impatience.bounded(&ecr, answer).await.is_ok());
        assert_eq!(said(impatience.bounded(&logs, pending()).await), "no answer within 2 s");
        assert_eq!(said(impatience.bounded(&ecr, pending()).await), "no answer from iam.example, logs.example");
        assert_eq!(start.elapsed(), IN_ALL);
    }

    #[tokio::test(start_paused = true)]
    async fn the_time_out_of_an_attempt_names_who_was_asked() {
        let mute = http_client_fn(|_, _| SharedHttpConnector::new(Mute));
        let config = aws_sdk_sts::Config::builder()
            .behavior_version(BehaviorVersion::v2026_01_12())
            .region(Region::new("eu-west-1"))
            .credentials_provider(Credentials::new("id", "key", None, None, "tests"))
            .http_client(mute)
            .retry_config(RetryConfig::disabled())
            .timeout_config(crate::aws::clients::timeouts())
            .interceptor(NamedTimeouts::default())
            .build();
        let outcome = aws_sdk_sts::Client::from_conf(config).get_caller_identity().send().await;
        let error = crate::error::Error::from_sdk("sts:GetCallerIdentity", "the caller", outcome.unwrap_err());
        assert_eq!(error.endpoint(), Some("sts.eu-west-1.amazonaws.com"));
        let said = error.to_string();
        assert!(said.contains(": sts.eu-west-1.amazonaws.com was asked, in region eu-west-1: "), "{said}");
        assert!(said.contains("30 s") || said.contains("30s"), "{said}");
    }

    /// What takes a request and never answers it.
    #[derive(Debug)]
    struct Mute;

    impl HttpConnector for Mute {
        fn call(&self, _request: HttpRequest) -> HttpConnectorFuture {
            HttpConnectorFuture::new(pending())
        }
    }

    #[tokio::test]
    async fn a_connection_that_breaks_off_is_no_silence() {
        let (impatience, host) = (Impatience::default(), asked("https://batch.example"));
        for _ in 0..2 {
            let reset = async { Err(ConnectorError::io(io::Error::from(io::ErrorKind::ConnectionReset).into())) };
            assert!(impatience.bounded(&host, reset).await.unwrap_err().is_io());
        }
    }
}
