//! Adds the host to the errors of the SDK's own time-outs.

use aws_smithy_runtime_api::box_error::BoxError;
use aws_smithy_runtime_api::client::interceptors::context::{
    BeforeTransmitInterceptorContextRef, FinalizerInterceptorContextMut,
};
use aws_smithy_runtime_api::client::interceptors::{Intercept, dyn_dispatch_hint};
use aws_smithy_runtime_api::client::orchestrator::OrchestratorError;
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use aws_smithy_types::config_bag::{ConfigBag, Storable, StoreReplace};
use hyper_util::client::proxy::matcher::Matcher;

use super::http::is_local;
use super::intermediary::{NoAnswer, RequestTarget};

/// Adds the request's target to the SDK's own time-out errors, which do not name a host.
#[derive(Debug)]
pub struct TimeoutContext(Matcher);

impl Default for TimeoutContext {
    fn default() -> Self {
        Self(Matcher::from_env())
    }
}

#[dyn_dispatch_hint]
impl Intercept for TimeoutContext {
    fn name(&self) -> &'static str {
        "TimeoutContext"
    }

    fn read_before_transmit(
        &self,
        context: &BeforeTransmitInterceptorContextRef<'_>,
        _components: &RuntimeComponents,
        config: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let request = context.request();
        let target = RequestTarget::of(request, (!is_local(request.uri())).then_some(&self.0));
        config.interceptor_state().store_put(LastTarget(target));
        Ok(())
    }

    fn modify_before_completion(
        &self,
        context: &mut FinalizerInterceptorContextMut<'_>,
        _components: &RuntimeComponents,
        config: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        if let Some(LastTarget(target)) = config.load::<LastTarget>()
            && let Some(Err(error)) = context.output_or_error_mut()
            && error.is_timeout_error()
        {
            let source = std::mem::replace(error, OrchestratorError::other("a time-out"));
            *error = OrchestratorError::timeout(NoAnswer::new(target.clone(), source).into());
        }
        Ok(())
    }
}

/// The target of a call's last attempt.
#[derive(Debug)]
struct LastTarget(RequestTarget);

impl Storable for LastTarget {
    type Storer = StoreReplace<Self>;
}

#[cfg(test)]
mod tests {
    use std::future::pending;

    use aws_config::retry::RetryConfig;
    use aws_config::{BehaviorVersion, Region};
    use aws_credential_types::Credentials;
    use aws_smithy_runtime_api::client::http::{
        HttpConnector, HttpConnectorFuture, SharedHttpConnector, http_client_fn,
    };
    use aws_smithy_runtime_api::client::orchestrator::HttpRequest;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn the_time_out_of_an_attempt_names_who_was_asked() {
        let never_answers = http_client_fn(|_, _| SharedHttpConnector::new(NeverAnswers));
        let config = aws_sdk_sts::Config::builder()
            .behavior_version(BehaviorVersion::v2026_01_12())
            .region(Region::new("eu-west-1"))
            .credentials_provider(Credentials::new("id", "key", None, None, "tests"))
            .http_client(never_answers)
            .retry_config(RetryConfig::disabled())
            .timeout_config(crate::aws::timeouts::timeouts())
            .interceptor(TimeoutContext::default())
            .build();
        let outcome = aws_sdk_sts::Client::from_conf(config).get_caller_identity().send().await;
        let error = crate::error::Error::from_sdk("sts:GetCallerIdentity", "the caller", outcome.unwrap_err());
        assert_eq!(error.endpoint(), Some("sts.eu-west-1.amazonaws.com"));
        let said = error.to_string();
        assert!(said.contains(": sts.eu-west-1.amazonaws.com was asked, in region eu-west-1: "), "{said}");
        assert!(said.contains("30 s") || said.contains("30s"), "{said}");
    }

    /// Accepts requests and never answers.
    #[derive(Debug)]
    struct NeverAnswers;

    impl HttpConnector for NeverAnswers {
        fn call(&self, _request: HttpRequest) -> HttpConnectorFuture {
            HttpConnectorFuture::new(pending())
        }
    }
}
