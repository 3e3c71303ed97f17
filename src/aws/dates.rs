//! The dates of AWS's answers: AWS's own clock, whatever this machine's says.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;

use aws_smithy_runtime_api::box_error::BoxError;
use aws_smithy_runtime_api::client::interceptors::context::BeforeDeserializationInterceptorContextRef;
use aws_smithy_runtime_api::client::interceptors::{Intercept, dyn_dispatch_hint};
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use aws_smithy_types::config_bag::ConfigBag;
use aws_smithy_types::date_time::{DateTime, Format};

/// Keeps the dates of a call's answers: of all of them, if it was made several times.
#[derive(Clone, Debug, Default)]
pub(crate) struct Dates(Arc<Mutex<Seen>>);

#[derive(Clone, Copy, Debug, Default)]
struct Seen {
    first_ahead: Option<f64>,
    last: Option<i64>,
}

impl Dates {
    /// Seconds that AWS's clock was ahead of this one at the first answer, before the SDK began to allow for it.
    pub fn first_ahead(&self) -> Option<f64> {
        self.seen().first_ahead
    }

    /// The last answer's date in milliseconds since 1970; its resolution is a second. `None` if it had none.
    pub fn last(&self) -> Option<i64> {
        self.seen().last
    }

    fn seen(&self) -> Seen {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[dyn_dispatch_hint]
impl Intercept for Dates {
    fn name(&self) -> &'static str {
        "Dates"
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
        seen.first_ahead = seen.first_ahead.or_else(|| date.map(|date| ahead(date, SystemTime::now())));
        seen.last = date.and_then(|date| date.to_millis().ok());
        Ok(())
    }
}

fn ahead(theirs: DateTime, now: SystemTime) -> f64 {
    // The header has whole seconds; in the middle of one the error is the smallest.
    theirs.as_secs_f64() + 0.5 - DateTime::from(now).as_secs_f64()
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, UNIX_EPOCH};

    use super::*;

    #[test]
    #[allow(clippy::float_cmp)] // these are exact
    fn a_clock_that_is_behind_sees_the_service_ahead() {
        let now = UNIX_EPOCH + Duration::from_millis(500);
        assert_eq!(ahead(DateTime::from_secs(600), now), 600.0);
    }
}
