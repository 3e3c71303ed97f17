//! What the SDK may try again by itself.
//!
//! Its own standard retries suit every call that may safely happen twice. Those that may not, because each makes something
//! new, are tried again by whoever makes them, after a look at what there is by now.

use std::error::Error as StdError;
use std::fmt;
use std::future::Future;
use std::marker::PhantomData;
use std::time::Duration;

use aws_sdk_batch::config::retry::{ClassifyRetry, RetryAction, RetryConfig, RetryPartition, TokenBucket};
use aws_smithy_runtime_api::client::interceptors::context::InterceptorContext;
use aws_smithy_runtime_api::client::orchestrator::OrchestratorError;
use aws_smithy_types::error::metadata::ProvideErrorMetadata;
use tokio::time::{Instant, sleep};

use crate::aws::bucket_region::is_learned;
use crate::error::{Kind, Result};

/// Tries of one request, the first included; with their pauses they outlast an outage of a minute.
const ATTEMPTS: u32 = 8;
/// The first pause between two of them, and the longest.
const FIRST_PAUSE: Duration = Duration::from_millis(500);
const LONGEST_PAUSE: Duration = Duration::from_secs(20);
/// Codes by which AWS refuses a call because of this machine's clock; the SDK then corrects for it.
const CLOCK: [&str; 4] = ["AuthFailure", "InvalidSignatureException", "RequestTimeTooSkewed", "SignatureDoesNotMatch"];

/// What a refusal because of a request's time says: S3's code, and the sentences of the other services.
const OF_ITS_TIME: [&str; 3] = ["RequestTimeTooSkewed", "Signature expired", "Signature not yet current"];

/// For calls that may happen twice.
///
/// Standard and not adaptive: the adaptive mode slows all calls of a client down to less than one a second when some are
/// throttled, S3's as well, and for Batch's there is the limiter.
#[must_use]
pub fn patient() -> RetryConfig {
    RetryConfig::standard().with_max_attempts(ATTEMPTS).with_max_backoff(LONGEST_PAUSE)
}

/// The same for a command, for which a person waits.
#[must_use]
pub fn brief() -> RetryConfig {
    RetryConfig::standard().with_max_attempts(2).with_max_backoff(Duration::from_secs(1))
}

/// How long a Batch call goes on while AWS throttles it: throttling is transient, and the rate limiter slows down with each refusal.
pub const PATIENCE_THROTTLED: Duration = Duration::from_hours(1);

/// Makes a call again for as long as AWS throttles it.
///
/// # Errors
/// Any other error at once, and the last refusal after [`PATIENCE_THROTTLED`].
pub async fn while_throttled<T, F: Future<Output = Result<T>>>(call: impl FnMut() -> F) -> Result<T> {
    patiently(Duration::ZERO, call).await
}

/// Makes a call again for as long as AWS throttles it, or does not answer it for no longer than `unanswered`. The call
/// must be one that may happen twice.
///
/// # Errors
/// Any other error at once, and the last one when patience ends.
pub async fn patiently<T, F: Future<Output = Result<T>>>(
    unanswered: Duration,
    mut call: impl FnMut() -> F,
) -> Result<T> {
    let start = Instant::now();
    let mut silent_since = None;
    let mut pause = FIRST_PAUSE;
    loop {
        let outcome = call().await;
        let end = match &outcome {
            Err(error) if error.kind() == Kind::Throttled => start + PATIENCE_THROTTLED,
            Err(error) if error.is_transient() => *silent_since.get_or_insert_with(Instant::now) + unanswered,
            _ => return outcome,
        };
        match outcome {
            Err(error) if Instant::now() + pause <= end => {
                tracing::info!("{error}; trying again");
                sleep(pause).await;
                pause = (pause * 2).min(LONGEST_PAUSE);
            }
            outcome => return outcome,
        }
    }
}

/// A budget of retries for a service's client: none but that of each request, since hundreds of tasks share the client and
/// those that come last would find the SDK's common budget spent.
#[must_use]
pub fn partition(service: &str) -> RetryPartition {
    RetryPartition::custom(format!("covalent-awsbatch-{service}")).token_bucket(TokenBucket::unlimited()).build()
}

/// Has a request sent again that AWS refused because of its time.
///
/// The SDK does so by itself where the answer's date and this machine's clock differ: then it signs by the answer's date
/// from there on. Where the clock was wrong and has been set right since, they no longer differ, and only the time that it
/// had learned to sign by is wrong; with this answer it has learned the right one.
#[derive(Clone, Copy, Debug)]
pub struct SkewedSignature;

impl ClassifyRetry for SkewedSignature {
    fn classify_retry(&self, context: &InterceptorContext) -> RetryAction {
        let refused = context.response().filter(|response| matches!(response.status().as_u16(), 400 | 403));
        let said =
            refused.and_then(|response| response.body().bytes()).map(String::from_utf8_lossy).unwrap_or_default();
        if OF_ITS_TIME.iter().any(|phrase| said.contains(phrase)) {
            RetryAction::transient_error()
        } else {
            RetryAction::NoActionIndicated
        }
    }

    fn name(&self) -> &'static str {
        "skewed signature"
    }
}

/// For calls that may not happen twice: lets the SDK try again only what AWS refused because of the clock, or because a
/// bucket is in another region.
pub struct OnlyForTheClock<E>(PhantomData<fn() -> E>);

impl<E> OnlyForTheClock<E> {
    /// A classifier for the errors of one operation.
    #[must_use]
    pub fn new() -> Self {
        Self(PhantomData)
    }
}

impl<E> Default for OnlyForTheClock<E> {
    fn default() -> Self {
        Self::new()
    }
}

impl<E> fmt::Debug for OnlyForTheClock<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("OnlyForTheClock")
    }
}

impl<E> ClassifyRetry for OnlyForTheClock<E>
where
    E: StdError + ProvideErrorMetadata + Send + Sync + 'static,
{
    fn classify_retry(&self, context: &InterceptorContext) -> RetryAction {
        let Some(Err(error)) = context.output_or_error() else { return RetryAction::NoActionIndicated };
        let code = OrchestratorError::as_operation_error(error)
            .and_then(|error| error.downcast_ref::<E>())
            .and_then(ProvideErrorMetadata::code);
        if code.is_some_and(|code| CLOCK.contains(&code)) || is_learned(context) {
            RetryAction::NoActionIndicated
        } else {
            RetryAction::RetryForbidden
        }
    }

    fn name(&self) -> &'static str {
        "only for the clock"
    }
}

#[cfg(test)]
mod tests {
    use std::future::ready;

    use super::*;
    use crate::error::Error;

    #[tokio::test(start_paused = true)]
    async fn throttling_is_waited_out_for_an_hour() {
        let mut left = 100;
        let call = || {
            left -= 1;
            ready(if left > 0 { Err(Error::new(Kind::Throttled, "slow down")) } else { Ok(7) })
        };
        let start = Instant::now();
        assert_eq!(while_throttled(call).await.unwrap(), 7);
        assert!(start.elapsed() < Duration::from_mins(35));

        let start = Instant::now();
        let error =
            while_throttled(|| ready(Err::<(), _>(Error::new(Kind::Throttled, "slow down")))).await.unwrap_err();
        assert_eq!(error.kind(), Kind::Throttled);
        assert!(start.elapsed() > Duration::from_mins(59));
    }

    #[tokio::test(start_paused = true)]
    async fn other_errors_are_told_at_once() {
        let start = Instant::now();
        let error = while_throttled(|| ready(Err::<(), _>(Error::new(Kind::Refused, "no")))).await.unwrap_err();
        assert_eq!(error.kind(), Kind::Refused);
        assert_eq!(start.elapsed(), Duration::ZERO);
    }
}
