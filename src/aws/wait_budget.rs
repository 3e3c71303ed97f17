//! Bounds the time that a command, for which a person waits, spends on hosts that do not answer.

use std::collections::BTreeSet;
use std::future::Future;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use aws_smithy_runtime_api::client::result::ConnectorError;
use tokio::time::{Instant, timeout};

use super::intermediary::RequestTarget;
use super::skipped_call::SkippedCall;
use crate::error::chain;

/// How long a command waits for one answer, and for all hosts that do not answer together. The rest after the first is
/// enough to find out whether other hosts answer.
const MAX_WAIT_PER_CALL: Duration = Duration::from_secs(7);
const TOTAL_WAIT: Duration = Duration::from_secs(9);

/// The time that a command may still spend on hosts that do not answer. Such a host is not called again.
#[derive(Debug)]
pub struct WaitBudget(Mutex<State>);

#[derive(Debug)]
struct State {
    left: Duration,
    unresponsive: BTreeSet<String>,
}

impl Default for WaitBudget {
    fn default() -> Self {
        Self(Mutex::new(State { left: TOTAL_WAIT, unresponsive: BTreeSet::new() }))
    }
}

impl WaitBudget {
    /// Waits for an answer as long as the budget lasts. When it is spent, the call is not made.
    ///
    /// # Errors
    /// Those of the call. If there was no answer, the error is one that the SDK does not retry.
    pub async fn bounded(
        &self,
        target: &RequestTarget,
        call: impl Future<Output = Result<HttpResponse, ConnectorError>>,
    ) -> Result<HttpResponse, ConnectorError> {
        let limit = {
            let state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            if state.left.is_zero() || state.unresponsive.contains(target.host()) {
                let unresponsive = state.unresponsive.iter().cloned().collect();
                return Err(ConnectorError::other(SkippedCall { unresponsive }.into(), None));
            }
            state.left.min(MAX_WAIT_PER_CALL)
        };
        let start = Instant::now();
        let error = match timeout(limit, call).await {
            Ok(Err(error)) if error.is_timeout() || failed_to_connect(&error) => error.into_source(),
            Ok(outcome) => return outcome,
            Err(_) => format!("no answer within {} s", limit.as_secs()).into(),
        };
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        state.left = state.left.saturating_sub(start.elapsed());
        state.unresponsive.insert(target.host().to_owned());
        Err(ConnectorError::other(error, None))
    }
}

/// Whether no connection was established. The HTTP client does not export its error kinds, so this compares the text.
fn failed_to_connect(error: &ConnectorError) -> bool {
    chain(error).any(|error| error.to_string() == "client error (Connect)")
}

#[cfg(test)]
mod tests {
    use std::future::pending;
    use std::io;

    use aws_smithy_runtime_api::client::orchestrator::HttpRequest;
    use aws_smithy_types::body::SdkBody;

    use super::*;

    fn target(url: &str) -> RequestTarget {
        let mut request = HttpRequest::empty();
        request.set_uri(url).unwrap();
        RequestTarget::of(&request, None)
    }

    fn said(outcome: Result<HttpResponse, ConnectorError>) -> String {
        outcome.unwrap_err().into_source().to_string()
    }

    #[tokio::test(start_paused = true)]
    async fn what_does_not_answer_is_asked_once_and_all_together_take_nine_seconds() {
        let (budget, start) = (WaitBudget::default(), Instant::now());
        let (iam, logs, ecr) =
            (target("https://iam.example"), target("https://logs.example"), target("https://ecr.example"));
        assert_eq!(said(budget.bounded(&iam, pending()).await), "no answer within 7 s");
        assert_eq!(said(budget.bounded(&iam, pending()).await), "no answer from iam.example");
        assert_eq!(start.elapsed(), MAX_WAIT_PER_CALL);
        let answer = async { Ok(HttpResponse::new(200.try_into().unwrap(), SdkBody::empty())) };
        assert!(budget.bounded(&ecr, answer).await.is_ok());
        assert_eq!(said(budget.bounded(&logs, pending()).await), "no answer within 2 s");
        assert_eq!(said(budget.bounded(&ecr, pending()).await), "no answer from iam.example, logs.example");
        assert_eq!(start.elapsed(), TOTAL_WAIT);
    }

    #[tokio::test]
    async fn a_connection_that_breaks_off_spends_nothing() {
        let (budget, host) = (WaitBudget::default(), target("https://batch.example"));
        for _ in 0..2 {
            let reset = async { Err(ConnectorError::io(io::Error::from(io::ErrorKind::ConnectionReset).into())) };
            assert!(budget.bounded(&host, reset).await.unwrap_err().is_io());
        }
    }
}
