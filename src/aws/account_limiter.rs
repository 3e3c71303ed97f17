//! The pace of a client's Batch calls: its account's limiter, which hears of every attempt that AWS throttles, also of those
//! that the SDK makes again by itself.

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

/// Where AWS says in an answer's headers what is wrong, with a URL behind a colon.
const CODE: &str = "x-amzn-errortype";

/// The account, as soon as it is known, and the region.
#[derive(Clone, Debug)]
pub struct AccountLimiter {
    caller: Caller,
    region: String,
}

impl AccountLimiter {
    /// The limit of whoever this will turn out to be.
    #[must_use]
    pub fn new(caller: Caller, region: String) -> Self {
        Self { caller, region }
    }

    /// The limiter of the account; a task asks for its identity before anything else.
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
            let code = answer.headers().get(CODE).and_then(|code| code.split(':').next());
            if kind_of_code(code, Some(answer.status().as_u16())) == Kind::Throttled {
                self.limiter().throttled();
            }
        }
        Ok(())
    }
}
