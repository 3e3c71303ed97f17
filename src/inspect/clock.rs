//! The skew of this machine's clock against AWS's, which refuses requests that are signed too early or too late.

use crate::aws::clients::Clients;
use crate::aws::response_dates::ResponseDates;
use crate::error::{Error, Result};

/// Seconds that AWS's clock is ahead of this one, by the date of an answer, even if that refuses the call. The
/// resolution is a second. `None` if the answer had no date.
pub async fn skew(clients: &Clients) -> Result<Option<f64>> {
    let dates = ResponseDates::default();
    let answer = clients.caller.sts.get_caller_identity().customize().interceptor(dates.clone()).send().await;
    let skew = dates.initial_skew();
    match answer {
        Err(error) if skew.is_none() => Err(Error::from_sdk("sts:GetCallerIdentity", "the caller", error)),
        _ => Ok(skew),
    }
}
