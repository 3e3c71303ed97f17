//! The SDK's own time-outs, with who was asked.

use aws_smithy_runtime_api::box_error::BoxError;
use aws_smithy_runtime_api::client::interceptors::context::{
    BeforeTransmitInterceptorContextRef, FinalizerInterceptorContextMut,
};
use aws_smithy_runtime_api::client::interceptors::{Intercept, dyn_dispatch_hint};
use aws_smithy_runtime_api::client::orchestrator::OrchestratorError;
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use aws_smithy_types::config_bag::{ConfigBag, Storable, StoreReplace};
use hyper_util::client::proxy::matcher::Matcher;

use super::http::is_near;
use super::intermediary::{Asked, Unanswered};

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
        let mute = http_client_fn(|_, _| SharedHttpConnector::new(Mute));
        let config = aws_sdk_sts::Config::builder()
            .behavior_version(BehaviorVersion::v2026_01_12())
            .region(Region::new("eu-west-1"))
            .credentials_provider(Credentials::new("id", "key", None, None, "tests"))
            .http_client(mute)
            .retry_config(RetryConfig::disabled())
            .timeout_config(crate::aws::timeouts::timeouts())
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
}
