//! Reports throttled Batch calls to the account's rate limiter. An interceptor, because the limiter must also count the
//! attempts that the SDK retries by itself.

use std::sync::Arc;

use aws_smithy_runtime_api::box_error::BoxError;
use aws_smithy_runtime_api::client::interceptors::context::FinalizerInterceptorContextRef;
use aws_smithy_runtime_api::client::interceptors::{Intercept, dyn_dispatch_hint};
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use aws_smithy_types::config_bag::ConfigBag;

use super::identity::Caller;
use super::rate_limiter::RateLimiter;
use super::sdk_error::kind_of_code;
use crate::error::Kind;

/// Header with the error code, which may be followed by a colon and a URL.
const ERROR_TYPE_HEADER: &str = "x-amzn-errortype";

/// Finds the limiter of the caller's account and region.
#[derive(Clone, Debug)]
pub struct AccountLimiter {
    caller: Caller,
    region: String,
}

impl AccountLimiter {
    /// For a caller whose account need not be known yet.
    #[must_use]
    pub fn new(caller: Caller, region: String) -> Self {
        Self { caller, region }
    }

    /// The account's limiter. A task's first call is for its identity, so the account is known before any Batch call.
    #[must_use]
    pub fn limiter(&self) -> Arc<RateLimiter> {
        RateLimiter::shared(self.caller.known().map_or("", |identity| &identity.account), &self.region)
    }
}

#[dyn_dispatch_hint]
impl Intercept for AccountLimiter {
    fn name(&self) -> &'static str {
        "AccountLimiter"
    }

    fn read_after_attempt(
        &self,
        context: &FinalizerInterceptorContextRef<'_>,
        _components: &RuntimeComponents,
        _config: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        if let Some(answer) = context.response() {
            let code = answer.headers().get(ERROR_TYPE_HEADER).and_then(|code| code.split(':').next());
            if kind_of_code(code, Some(answer.status().as_u16())) == Kind::Throttled {
                self.limiter().on_throttled();
            }
        }
        Ok(())
    }
}
