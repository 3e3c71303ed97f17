//! Retries: the SDK's for idempotent calls, and those that last longer.
//!
//! The SDK's standard retries suit every call that may safely happen twice. A call that creates something is not
//! idempotent: the code that makes it retries it, after it has looked up whether the first attempt took effect.

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

use crate::aws::bucket_region::has_learned_region;
use crate::error::{Kind, Result};

/// Attempts of one request, the first included; with their backoff they outlast an outage of a minute.
const MAX_ATTEMPTS: u32 = 8;
/// The backoff doubles from the first to the second.
const INITIAL_BACKOFF: Duration = Duration::from_millis(500);
const MAX_BACKOFF: Duration = Duration::from_secs(20);
/// Error codes with which AWS refuses a call because of this machine's clock; the SDK then corrects the skew.
const SKEW_CODES: [&str; 4] =
    ["AuthFailure", "InvalidSignatureException", "RequestTimeTooSkewed", "SignatureDoesNotMatch"];
/// Texts in a refusal because of the request's time: S3's code, and the messages of the other services.
const SKEW_MESSAGES: [&str; 3] = ["RequestTimeTooSkewed", "Signature expired", "Signature not yet current"];

/// The SDK's retries for a task's idempotent calls.
///
/// Standard and not adaptive: the adaptive mode slows all calls of a client to less than one a second when some are
/// throttled, S3's too. Batch calls have a rate limiter of their own.
#[must_use]
pub fn task_retries() -> RetryConfig {
    RetryConfig::standard().with_max_attempts(MAX_ATTEMPTS).with_max_backoff(MAX_BACKOFF)
}

/// The SDK's retries for a command, for which a person waits.
#[must_use]
pub fn interactive_retries() -> RetryConfig {
    RetryConfig::standard().with_max_attempts(2).with_max_backoff(Duration::from_secs(1))
}

/// How long a throttled Batch call is retried: throttling is transient, and the rate limiter slows down each time.
pub const THROTTLED_TIMEOUT: Duration = Duration::from_hours(1);

/// Retries a call while AWS throttles it.
///
/// # Errors
/// Any other error at once, and the last refusal after [`THROTTLED_TIMEOUT`].
pub async fn retry_throttled<T, F: Future<Output = Result<T>>>(call: impl FnMut() -> F) -> Result<T> {
    retry_transient(Duration::ZERO, call).await
}

/// Retries an idempotent call while AWS throttles it, and for up to `unanswered` while AWS does not answer.
///
/// # Errors
/// Any other error at once, and the last one when the time is over.
pub async fn retry_transient<T, F: Future<Output = Result<T>>>(
    unanswered: Duration,
    mut call: impl FnMut() -> F,
) -> Result<T> {
    let start = Instant::now();
    let mut unanswered_since = None;
    let mut backoff = INITIAL_BACKOFF;
    loop {
        let outcome = call().await;
        let end = match &outcome {
            Err(error) if error.kind() == Kind::Throttled => start + THROTTLED_TIMEOUT,
            Err(error) if error.is_transient() => *unanswered_since.get_or_insert_with(Instant::now) + unanswered,
            _ => return outcome,
        };
        match outcome {
            Err(error) if Instant::now() + backoff <= end => {
                tracing::info!("{error}; trying again");
                sleep(backoff).await;
                backoff = (backoff * 2).min(MAX_BACKOFF);
            }
            outcome => return outcome,
        }
    }
}

/// A retry partition without a token bucket: hundreds of tasks share a client, and the last ones would find the SDK's
/// bucket empty. Each request is still bounded by its own attempts.
#[must_use]
pub fn partition(service: &str) -> RetryPartition {
    RetryPartition::custom(format!("covalent-awsbatch-{service}")).token_bucket(TokenBucket::unlimited()).build()
}

/// Retries a request that AWS refused because of its signing time.
///
/// The SDK retries by itself where the answer's date and this machine's clock differ, and then corrects the skew. If
/// the clock was wrong and has been set right since, they no longer differ, but the SDK still applies the old skew.
/// This answer has reset it, so that a second attempt succeeds.
#[derive(Clone, Copy, Debug)]
pub struct SkewedSignature;

impl ClassifyRetry for SkewedSignature {
    fn classify_retry(&self, context: &InterceptorContext) -> RetryAction {
        let refused = context.response().filter(|response| matches!(response.status().as_u16(), 400 | 403));
        let said =
            refused.and_then(|response| response.body().bytes()).map(String::from_utf8_lossy).unwrap_or_default();
        if SKEW_MESSAGES.iter().any(|phrase| said.contains(phrase)) {
            RetryAction::transient_error()
        } else {
            RetryAction::NoActionIndicated
        }
    }

    fn name(&self) -> &'static str {
        "skewed signature"
    }
}

/// For calls that are not idempotent: lets the SDK retry only what AWS has refused because of clock skew or because the
/// bucket is in another region. Neither had an effect.
pub struct ClockSkewOnly<E>(PhantomData<fn() -> E>);

impl<E> ClockSkewOnly<E> {
    /// A classifier for the errors of one operation.
    #[must_use]
    pub fn new() -> Self {
        Self(PhantomData)
    }
}

impl<E> Default for ClockSkewOnly<E> {
    fn default() -> Self {
        Self::new()
    }
}

impl<E> fmt::Debug for ClockSkewOnly<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ClockSkewOnly")
    }
}

impl<E> ClassifyRetry for ClockSkewOnly<E>
where
    E: StdError + ProvideErrorMetadata + Send + Sync + 'static,
{
    fn classify_retry(&self, context: &InterceptorContext) -> RetryAction {
        let Some(Err(error)) = context.output_or_error() else { return RetryAction::NoActionIndicated };
        let code = OrchestratorError::as_operation_error(error)
            .and_then(|error| error.downcast_ref::<E>())
            .and_then(ProvideErrorMetadata::code);
        if code.is_some_and(|code| SKEW_CODES.contains(&code)) || has_learned_region(context) {
            RetryAction::NoActionIndicated
        } else {
            RetryAction::RetryForbidden
        }
    }

    fn name(&self) -> &'static str {
        "clock skew only"
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
        assert_eq!(retry_throttled(call).await.unwrap(), 7);
        assert!(start.elapsed() < Duration::from_mins(35));

        let start = Instant::now();
        let error =
            retry_throttled(|| ready(Err::<(), _>(Error::new(Kind::Throttled, "slow down")))).await.unwrap_err();
        assert_eq!(error.kind(), Kind::Throttled);
        assert!(start.elapsed() > Duration::from_mins(59));
    }

    #[tokio::test(start_paused = true)]
    async fn other_errors_are_told_at_once() {
        let start = Instant::now();
        let error = retry_throttled(|| ready(Err::<(), _>(Error::new(Kind::Refused, "no")))).await.unwrap_err();
        assert_eq!(error.kind(), Kind::Refused);
        assert_eq!(start.elapsed(), Duration::ZERO);
    }
}
