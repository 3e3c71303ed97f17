//! Detached tasks: work that runs to its end even if its future is dropped, such as a submission, whose job would
//! otherwise be unknown, or a termination. The process waits for them a short time before it exits.

use std::future::{Future, pending};
use std::panic::resume_unwind;
use std::sync::LazyLock;

use tokio::sync::{oneshot, watch};

/// Number of detached tasks that run in this process.
static RUNNING: LazyLock<watch::Sender<usize>> = LazyLock::new(|| watch::Sender::new(0));

/// Counts a task until it is dropped, also when it panics or its runtime ends.
struct RunningGuard;

impl RunningGuard {
    fn new() -> Self {
        RUNNING.send_modify(|count| *count += 1);
        Self
    }
}

impl Drop for RunningGuard {
    fn drop(&mut self) {
        RUNNING.send_modify(|count| *count -= 1);
    }
}

/// Runs `work` to its end on the current runtime, and returns what it returned.
///
/// If the returned future is dropped, the work goes on, and `unclaimed` gets its outcome.
///
/// # Panics
/// The returned future panics if the work does.
pub fn run<T, U>(
    work: impl Future<Output = T> + Send + 'static,
    unclaimed: impl FnOnce(T) -> U + Send + 'static,
) -> impl Future<Output = T>
where
    T: Send + 'static,
    U: Future<Output = ()> + Send + 'static,
{
    let (reply, answer) = oneshot::channel();
    let guard = RunningGuard::new();
    let task = tokio::spawn(async move {
        let _guard = guard;
        if let Err(outcome) = reply.send(work.await) {
            unclaimed(outcome).await;
        }
    });
    async {
        match answer.await {
            Ok(outcome) => outcome,
            Err(_) => match task.await {
                Err(error) if error.is_panic() => resume_unwind(error.into_panic()),
                // The runtime ends, and drops this future as well.
                _ => pending().await,
            },
        }
    }
}

/// Resets the count in a forked process: the parent's tasks do not run there.
pub fn reset_after_fork() {
    RUNNING.send_replace(0);
}

/// Waits until no detached task runs.
pub async fn wait_for_all() {
    // The sender is static: it is never dropped.
    let _ = RUNNING.subscribe().wait_for(|count| *count == 0).await;
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU32, Ordering};
    use std::time::Duration;

    use tokio::time::{sleep, timeout};

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn work_goes_on_when_nobody_waits_and_its_outcome_is_taken() {
        let taken = Arc::new(AtomicU32::new(0));
        let seen = taken.clone();
        let waiting = run(
            async {
                sleep(Duration::from_secs(5)).await;
                7
            },
            move |outcome| async move { seen.store(outcome, Ordering::SeqCst) },
        );
        assert!(timeout(Duration::from_secs(1), waiting).await.is_err());
        wait_for_all().await;
        assert_eq!(taken.load(Ordering::SeqCst), 7);
    }

    #[tokio::test]
    async fn an_outcome_that_is_waited_for_is_returned() {
        assert_eq!(run(async { 7 }, |_| async { unreachable!() }).await, 7);
    }
}
