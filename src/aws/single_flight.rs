//! Single-flight: concurrent callers share one execution.

use std::sync::{Mutex, PoisonError};

use tokio::sync::OnceCell;
use tokio::time::Instant;

use crate::error::{Error, Result};

/// A value that the first caller makes while the others wait. A failure is returned to all callers that were waiting,
/// instead of each of them trying in turn: with a thousand tasks and an endpoint that does not answer, the last would
/// fail after days. A later caller tries again.
#[derive(Debug)]
pub struct SingleFlight<T> {
    value: OnceCell<T>,
    failure: Mutex<Option<(Instant, Error)>>,
}

impl<T> Default for SingleFlight<T> {
    fn default() -> Self {
        Self { value: OnceCell::new(), failure: Mutex::default() }
    }
}

impl<T> SingleFlight<T> {
    /// The value, if it is there.
    pub fn get(&self) -> Option<&T> {
        self.value.get()
    }

    /// The value, made by `make` if it is not there and nobody is making it.
    pub async fn get_or_make<F: Future<Output = Result<T>>>(&self, make: impl FnOnce() -> F) -> Result<&T> {
        let called_at = Instant::now();
        self.value
            .get_or_try_init(|| async {
                if let Some((failed, error)) = &*self.failure.lock().unwrap_or_else(PoisonError::into_inner)
                    && *failed > called_at
                {
                    return Err(error.replicate());
                }
                let outcome = make().await;
                if let Err(error) = &outcome {
                    let failure = Some((Instant::now(), error.replicate()));
                    *self.failure.lock().unwrap_or_else(PoisonError::into_inner) = failure;
                }
                outcome
            })
            .await
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};
    use std::time::Duration;

    use tokio::time::sleep;

    use super::*;
    use crate::error::Kind;

    #[tokio::test(start_paused = true)]
    async fn a_failure_reaches_all_who_wait_and_nobody_who_comes_later() {
        let (flight, tries) = (SingleFlight::<u32>::default(), AtomicU32::new(0));
        let make = || async {
            sleep(Duration::from_mins(2)).await;
            match tries.fetch_add(1, Ordering::SeqCst) {
                0 => Err(Error::new(Kind::Ambiguous, "no answer")),
                _ => Ok(7),
            }
        };
        let start = Instant::now();
        let late = async {
            sleep(Duration::from_mins(1)).await;
            flight.get_or_make(make).await
        };
        let (first, second, late) = tokio::join!(flight.get_or_make(make), flight.get_or_make(make), late);
        assert_eq!([first, second, late].map(|outcome| outcome.unwrap_err().kind()), [Kind::Ambiguous; 3]);
        assert_eq!(start.elapsed(), Duration::from_mins(2));
        assert_eq!(*flight.get_or_make(make).await.unwrap(), 7);
        assert_eq!(flight.get(), Some(&7));
        assert_eq!(tries.load(Ordering::SeqCst), 2);
    }
}
