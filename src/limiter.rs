//! One pace for all Batch calls of an account and region.
//!
//! AWS Batch takes about 50 requests a second from an account in a region, which cannot be raised and which everybody in
//! the account shares. Calls queue up here in the order in which they are made, so neither polling nor submission
//! starves; a throttled call slows all of them down, and calm lets the pace recover.

use std::collections::HashMap;
use std::sync::{Arc, LazyLock, Mutex, PoisonError};
use std::time::Duration;

use tokio::time::{Instant, sleep_until};

/// Calls a second while AWS does not object: a little is left to others.
const FASTEST: f64 = 45.0;
/// Calls a second at the least.
const SLOWEST: f64 = 1.0;
/// Calls that may go out at once after a pause. A workflow of a hundred tasks is not to queue up.
const BURST: f64 = 100.0;
/// What a throttled call leaves of the pace; at most one in a second counts, since they come in flocks.
const SLOWED: f64 = 0.85;
/// What each calm second adds to the pace, in calls a second.
const RECOVERY: f64 = 5.0;

/// Paces of this process by account and region. Two clients with different profiles may well share an account, so this
/// cannot hang off either of them.
static SHARED: LazyLock<Mutex<HashMap<Place, Arc<Limiter>>>> = LazyLock::new(Mutex::default);

/// Account and region.
type Place = (String, String);

/// The pace of one account and region.
#[derive(Debug)]
pub struct Limiter(Mutex<State>);

#[derive(Debug)]
struct State {
    /// Calls a second.
    rate: f64,
    /// When the next call in the queue may go out.
    next: Instant,
    /// Up to when `rate` has recovered.
    recovered: Instant,
    slowed: Option<Instant>,
}

impl Limiter {
    /// The limiter that all clients of an account and region share.
    #[must_use]
    pub fn shared(account: &str, region: &str) -> Arc<Self> {
        let mut shared = SHARED.lock().unwrap_or_else(PoisonError::into_inner);
        shared.entry((account.to_owned(), region.to_owned())).or_default().clone()
    }

    /// Waits for the caller's turn.
    pub async fn turn(&self) {
        sleep_until(self.book()).await;
    }

    /// To be told when AWS has throttled a call.
    pub fn throttled(&self) {
        let now = Instant::now();
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if state.slowed.is_some_and(|slowed| now.duration_since(slowed) < Duration::from_secs(1)) {
            return;
        }
        state.recover(now);
        state.rate = (state.rate * SLOWED).max(SLOWEST);
        state.slowed = Some(now);
        tracing::info!("AWS throttles; going on with {:.0} calls a second", state.rate);
    }

    fn book(&self) -> Instant {
        let now = Instant::now();
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        state.recover(now);
        let interval = Duration::from_secs_f64(1.0 / state.rate);
        // An idle time is worth a burst and no more.
        let earliest = now.checked_sub(interval.mul_f64(BURST)).unwrap_or(now);
        let turn = state.next.max(earliest);
        state.next = turn + interval;
        turn
    }
}

impl Default for Limiter {
    fn default() -> Self {
        let now = Instant::now();
        // The first burst is due at once.
        let next = now.checked_sub(Duration::from_secs_f64(BURST / FASTEST)).unwrap_or(now);
        Self(Mutex::new(State { rate: FASTEST, next, recovered: now, slowed: None }))
    }
}

impl State {
    fn recover(&mut self, now: Instant) {
        let calm = now.duration_since(self.recovered).as_secs_f64();
        self.rate = (self.rate + RECOVERY * calm).min(FASTEST);
        self.recovered = now;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn calls(limiter: &Limiter, count: u32) -> f64 {
        let start = Instant::now();
        for _ in 0..count {
            limiter.turn().await;
        }
        start.elapsed().as_secs_f64()
    }

    /// A limiter whose burst is spent.
    async fn busy() -> Limiter {
        let limiter = Limiter::default();
        calls(&limiter, 150).await;
        limiter
    }

    #[tokio::test(start_paused = true)]
    async fn a_burst_is_free_and_the_rest_is_paced() {
        let limiter = Limiter::default();
        tokio::time::advance(Duration::from_mins(1)).await;
        assert!(calls(&limiter, 100).await < 0.1);
        let seconds = calls(&limiter, 450).await;
        assert!((9.0..11.0).contains(&seconds), "{seconds}");
    }

    #[tokio::test(start_paused = true)]
    async fn throttling_slows_once_a_second_and_calm_recovers() {
        let limiter = busy().await;
        for _ in 0..100 {
            limiter.throttled();
        }
        // At 38 calls a second instead of 45.
        let slowed = calls(&limiter, 39).await;
        assert!((0.93..1.1).contains(&slowed), "{slowed}");
        let recovered = calls(&limiter, 450).await;
        assert!((9.0..10.5).contains(&recovered), "{recovered}");
    }

    #[tokio::test(start_paused = true)]
    async fn it_never_stops() {
        let limiter = busy().await;
        for _ in 0..60 {
            limiter.throttled();
            tokio::time::advance(Duration::from_millis(1001)).await;
        }
        calls(&limiter, 100).await;
        assert!(calls(&limiter, 5).await < 6.0);
    }

    #[tokio::test]
    async fn clients_of_an_account_share_it() {
        let one = Limiter::shared("1", "eu-west-1");
        assert!(Arc::ptr_eq(&one, &Limiter::shared("1", "eu-west-1")));
        assert!(!Arc::ptr_eq(&one, &Limiter::shared("1", "eu-west-2")));
    }
}
