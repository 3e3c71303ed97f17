//! How far this machine's clock is from AWS's, which refuses what is signed too early or too late.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;

use aws_smithy_runtime_api::box_error::BoxError;
use aws_smithy_runtime_api::client::interceptors::context::BeforeDeserializationInterceptorContextRef;
use aws_smithy_runtime_api::client::interceptors::{Intercept, dyn_dispatch_hint};
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use aws_smithy_types::config_bag::ConfigBag;
use aws_smithy_types::date_time::{DateTime, Format};

use crate::aws::clients::Clients;
use crate::error::{Error, Result};

/// Seconds that AWS's clock is ahead of this one, by the date of an answer, also of one that refuses the call; its
/// resolution is a second. `None` if the answer had no date.
pub async fn skew(clients: &Clients) -> Result<Option<f64>> {
    let seen = Seen::default();
    let answer = clients.sts.get_caller_identity().customize().interceptor(seen.clone()).send().await;
    let skew = *seen.0.lock().unwrap_or_else(PoisonError::into_inner);
    match answer {
        Err(error) if skew.is_none() => Err(Error::from_sdk("sts:GetCallerIdentity", "the caller", error)),
        _ => Ok(skew),
    }
}

/// The difference that the first answer showed, before the SDK began to allow for it.
#[derive(Clone, Debug, Default)]
struct Seen(Arc<Mutex<Option<f64>>>);

#[dyn_dispatch_hint]
impl Intercept for Seen {
    fn name(&self) -> &'static str {
        "Seen"
    }

    fn read_before_deserialization(
        &self,
        context: &BeforeDeserializationInterceptorContextRef<'_>,
        _components: &RuntimeComponents,
        _config: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        if let Some(date) = context.response().headers().get("date") {
            let mut first = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            *first = first.or_else(|| ahead(date, SystemTime::now()));
        }
        Ok(())
    }
}

fn ahead(date: &str, now: SystemTime) -> Option<f64> {
    let theirs = DateTime::from_str(date, Format::HttpDate).ok()?.as_secs_f64();
    // The header has whole seconds; in the middle of one the error is the smallest.
    Some(theirs + 0.5 - DateTime::from(now).as_secs_f64())
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, UNIX_EPOCH};

    use super::*;

    #[test]
    fn a_clock_that_is_behind_sees_the_service_ahead() {
        let now = UNIX_EPOCH + Duration::from_millis(500);
        assert_eq!(ahead("Thu, 01 Jan 1970 00:10:00 GMT", now), Some(600.0));
        assert_eq!(ahead("yesterday", now), None);
    }
}
