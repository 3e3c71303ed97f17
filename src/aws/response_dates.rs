//! The `Date` headers of AWS's answers, for what must not depend on this machine's clock.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;

use aws_smithy_runtime_api::box_error::BoxError;
use aws_smithy_runtime_api::client::interceptors::context::BeforeDeserializationInterceptorContextRef;
use aws_smithy_runtime_api::client::interceptors::{Intercept, dyn_dispatch_hint};
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use aws_smithy_types::config_bag::ConfigBag;
use aws_smithy_types::date_time::{DateTime, Format};

/// Records the dates of the answers to a call, retries included.
#[derive(Clone, Debug, Default)]
pub(crate) struct ResponseDates(Arc<Mutex<Seen>>);

#[derive(Clone, Copy, Debug, Default)]
struct Seen {
    initial_skew: Option<f64>,
    last: Option<i64>,
}

impl ResponseDates {
    /// Seconds that AWS's clock was ahead of this one at the first answer, before the SDK began to correct the skew.
    pub fn initial_skew(&self) -> Option<f64> {
        self.seen().initial_skew
    }

    /// The date of the last answer in milliseconds since 1970, with a resolution of a second; `None` if it had none.
    pub fn last(&self) -> Option<i64> {
        self.seen().last
    }

    fn seen(&self) -> Seen {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[dyn_dispatch_hint]
impl Intercept for ResponseDates {
    fn name(&self) -> &'static str {
        "ResponseDates"
    }

    fn read_before_deserialization(
        &self,
        context: &BeforeDeserializationInterceptorContextRef<'_>,
        _components: &RuntimeComponents,
        _config: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let date = context.response().headers().get("date");
        let date = date.and_then(|date| DateTime::from_str(date, Format::HttpDate).ok());
        let mut seen = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        seen.initial_skew = seen.initial_skew.or_else(|| date.map(|date| skew_seconds(date, SystemTime::now())));
        seen.last = date.and_then(|date| date.to_millis().ok());
        Ok(())
    }
}

fn skew_seconds(server: DateTime, now: SystemTime) -> f64 {
    // The header has whole seconds; half a second more makes the error the smallest.
    server.as_secs_f64() + 0.5 - DateTime::from(now).as_secs_f64()
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, UNIX_EPOCH};

    use super::*;

    #[test]
    #[allow(clippy::float_cmp)] // these are exact
    fn a_clock_that_is_behind_sees_the_service_ahead() {
        let now = UNIX_EPOCH + Duration::from_millis(500);
        assert_eq!(skew_seconds(DateTime::from_secs(600), now), 600.0);
    }
}
