//! One rate limit for all Batch calls of an account and region.
//!
//! AWS Batch takes about 50 requests a second from an account in a region. The quota cannot be raised, and everybody in
//! the account shares it. Calls queue here in order, except for urgent ones: describing or terminating running jobs
//! does not wait for hundreds of submissions. Describe calls are few, so submissions do not starve. Terminations go
//! before submissions because running jobs cost money. A throttled call lowers the rate for all, and seconds without
//! throttling let it recover.

use std::collections::HashMap;
use std::process;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, LazyLock, Mutex, PoisonError};
use std::time::Duration;

use tokio::time::{Instant, sleep_until};

/// Calls a second without throttling. It is below the quota, which other clients of the account share.
const MAX_RATE: f64 = 45.0;
/// Calls a second that are always allowed.
const MIN_RATE: f64 = 1.0;
/// Calls that may go out at once after an idle time, so that a workflow of a hundred tasks does not queue. AWS does not
/// document its burst quota; a call that it throttles is retried.
const BURST_CALLS: f64 = 100.0;
/// How long queued calls may be delayed so that they go out in groups: a single call wakes every thread and finds the
/// processor's caches cold, which is a third of its cost.
const MAX_GROUPING_DELAY: Duration = Duration::from_millis(250);
/// The rate is multiplied by this after a throttled call, at most once a second, since throttled calls come in groups.
const THROTTLE_FACTOR: f64 = 0.85;
/// What each second without throttling adds to the rate, in calls a second.
const RECOVERY_PER_SECOND: f64 = 5.0;

/// The limiters of this process. They are static because two clients with different profiles may share an account.
static LIMITERS: LazyLock<Mutex<HashMap<LimiterKey, Arc<RateLimiter>>>> = LazyLock::new(Mutex::default);

/// Process id, account and region.
type LimiterKey = (u32, String, String);

/// The rate limiter of one account and region.
#[derive(Debug)]
pub struct RateLimiter {
    state: Mutex<State>,
    /// The queues, first in, first out: the holder of the lock is the next to call.
    ordinary: tokio::sync::Mutex<()>,
    urgent: tokio::sync::Mutex<()>,
    /// Lengths of the queues.
    ordinary_waiting: AtomicUsize,
    urgent_waiting: AtomicUsize,
}

#[derive(Debug)]
struct State {
    /// Calls a second.
    rate: f64,
    /// When the next call may go out.
    next: Instant,
    /// Up to when `rate` has recovered.
    recovered: Instant,
    last_throttled: Option<Instant>,
}

impl RateLimiter {
    /// The limiter that all clients of an account and region share.
    #[must_use]
    pub fn shared(account: &str, region: &str) -> Arc<Self> {
        let mut shared = LIMITERS.lock().unwrap_or_else(PoisonError::into_inner);
        // After a fork() the locks belong to tasks of the parent, which do not run in the child.
        shared.entry((process::id(), account.to_owned(), region.to_owned())).or_default().clone()
    }

    /// Waits until the caller may make one call.
    pub async fn acquire(&self) {
        let waiting = WaiterCount::enter(&self.ordinary_waiting);
        let first = self.ordinary.lock().await;
        let queued_behind = || self.ordinary_waiting.load(Ordering::Relaxed).saturating_sub(1);
        self.wait_for_slot(queued_behind, || self.urgent_waiting.load(Ordering::Relaxed) > 0).await;
        drop(waiting); // before the next in line reads the length of the queue
        drop(first);
    }

    /// Like [`Self::acquire`], ahead of all calls that are not urgent.
    pub async fn acquire_urgent(&self) {
        let _waiting = WaiterCount::enter(&self.urgent_waiting);
        let _first = self.urgent.lock().await;
        self.wait_for_slot(|| 0, || false).await;
    }

    /// Lowers the rate after AWS has throttled a call.
    pub fn on_throttled(&self) {
        let now = Instant::now();
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if state.last_throttled.is_some_and(|last| now.duration_since(last) < Duration::from_secs(1)) {
            return;
        }
        state.recover(now);
        state.rate = (state.rate * THROTTLE_FACTOR).max(MIN_RATE);
        state.last_throttled = Some(now);
        // The rate does not recover in the second after a throttled call.
        state.recovered = now + Duration::from_secs(1);
        let rate = state.rate;
        drop(state); // logging waits for the GIL
        tracing::info!("AWS throttles; going on with {rate:.0} calls a second");
    }

    async fn wait_for_slot(&self, queued_behind: impl Fn() -> usize, urgent_is_waiting: impl Fn() -> bool) {
        while let Err(later) = self.try_take_slot(&queued_behind, &urgent_is_waiting) {
            sleep_until(later).await;
        }
    }

    /// Takes the next slot if it is due, else returns when to try again: late enough to go out in a group with the
    /// calls behind this one, and no later than the last of them would be due by itself.
    fn try_take_slot(
        &self,
        queued_behind: impl Fn() -> usize,
        urgent_is_waiting: impl Fn() -> bool,
    ) -> Result<(), Instant> {
        let now = Instant::now();
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.recover(now);
        let interval = Duration::from_secs_f64(1.0 / state.rate);
        // However long the limiter was idle, it allows one burst.
        let earliest = now.checked_sub(interval.mul_f64(BURST_CALLS)).unwrap_or(now);
        let slot = state.next.max(earliest);
        if slot > now {
            let queued = u32::try_from(queued_behind()).unwrap_or(u32::MAX);
            return Err(slot + interval.saturating_mul(queued).min(MAX_GROUPING_DELAY));
        }
        if urgent_is_waiting() {
            return Err(now + interval);
        }
        state.next = slot + interval;
        Ok(())
    }
}

/// Counts a waiting caller until it is dropped.
struct WaiterCount<'a>(&'a AtomicUsize);

impl<'a> WaiterCount<'a> {
    fn enter(count: &'a AtomicUsize) -> Self {
        count.fetch_add(1, Ordering::Relaxed);
        Self(count)
    }
}

impl Drop for WaiterCount<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Default for RateLimiter {
    fn default() -> Self {
        let now = Instant::now();
        // The first burst is due at once.
        let next = now.checked_sub(Duration::from_secs_f64(BURST_CALLS / MAX_RATE)).unwrap_or(now);
        Self {
            state: Mutex::new(State { rate: MAX_RATE, next, recovered: now, last_throttled: None }),
            ordinary: tokio::sync::Mutex::default(),
            urgent: tokio::sync::Mutex::default(),
            ordinary_waiting: AtomicUsize::new(0),
            urgent_waiting: AtomicUsize::new(0),
        }
    }
}

impl State {
    fn recover(&mut self, now: Instant) {
        let calm = now.duration_since(self.recovered).as_secs_f64();
        self.rate = (self.rate + RECOVERY_PER_SECOND * calm).min(MAX_RATE);
        self.recovered = self.recovered.max(now);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn calls(limiter: &RateLimiter, count: u32) -> f64 {
        let start = Instant::now();
        for _ in 0..count {
            limiter.acquire().await;
        }
        start.elapsed().as_secs_f64()
    }

    /// A limiter whose burst is spent.
    async fn busy() -> RateLimiter {
        let limiter = RateLimiter::default();
        calls(&limiter, 150).await;
        limiter
    }

    #[tokio::test(start_paused = true)]
    async fn a_burst_is_free_and_the_rest_is_paced() {
        let limiter = RateLimiter::default();
        tokio::time::advance(Duration::from_mins(1)).await;
        assert!(calls(&limiter, 100).await < 0.1);
        let seconds = calls(&limiter, 450).await;
        assert!((9.0..11.0).contains(&seconds), "{seconds}");
    }

    #[tokio::test(start_paused = true)]
    async fn throttling_slows_once_a_second_and_calm_recovers() {
        let limiter = busy().await;
        for _ in 0..100 {
            limiter.on_throttled();
        }
        // At 38 calls a second instead of 45.
        let seconds = calls(&limiter, 39).await;
        assert!((0.93..1.1).contains(&seconds), "{seconds}");
        let recovered = calls(&limiter, 450).await;
        assert!((9.0..10.5).contains(&recovered), "{recovered}");
    }

    #[tokio::test(start_paused = true)]
    async fn it_never_stops() {
        let limiter = busy().await;
        for _ in 0..60 {
            limiter.on_throttled();
            tokio::time::advance(Duration::from_millis(1001)).await;
        }
        let rate = limiter.state.lock().unwrap().rate;
        assert!((MIN_RATE..1.1 * MIN_RATE).contains(&rate), "{rate}");
        calls(&limiter, 100).await;
        assert!(calls(&limiter, 5).await < 6.0);
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_urgent_waits_for_no_queue() {
        let limiter = Arc::new(busy().await);
        let start = Instant::now();
        let ordinary: Vec<_> = (0..450)
            .map(|_| {
                let limiter = limiter.clone();
                tokio::spawn(async move { limiter.acquire().await })
            })
            .collect();
        tokio::task::yield_now().await;
        for _ in 0..5 {
            limiter.acquire_urgent().await;
        }
        assert!(start.elapsed().as_secs_f64() < 0.3, "{:?}", start.elapsed());
        for call in ordinary {
            call.await.unwrap();
        }
        let seconds = start.elapsed().as_secs_f64();
        assert!((9.0..11.5).contains(&seconds), "{seconds}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_queue_goes_out_in_groups_and_none_of_it_late() {
        let limiter = Arc::new(busy().await);
        let start = Instant::now();
        let calls: Vec<_> = (0..90)
            .map(|_| {
                let limiter = limiter.clone();
                tokio::spawn(async move {
                    limiter.acquire().await;
                    start.elapsed().as_millis()
                })
            })
            .collect();
        let mut times = Vec::new();
        for call in calls {
            times.push(call.await.unwrap());
        }
        assert!(times[89] <= 2050, "the rate is the same: {times:?}");
        times.dedup();
        assert!(times.len() <= 12, "{times:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_call_by_itself_waits_for_no_group() {
        let limiter = busy().await;
        assert!(calls(&limiter, 1).await < 0.03);
    }

    #[tokio::test(start_paused = true)]
    async fn whoever_no_longer_waits_holds_up_nobody() {
        let limiter = busy().await;
        drop(tokio::time::timeout(Duration::from_millis(1), limiter.acquire_urgent()).await);
        drop(tokio::time::timeout(Duration::from_millis(1), limiter.acquire()).await);
        assert!(calls(&limiter, 45).await < 1.2);
    }

    #[tokio::test]
    async fn clients_of_an_account_share_it() {
        let one = RateLimiter::shared("1", "eu-west-1");
        assert!(Arc::ptr_eq(&one, &RateLimiter::shared("1", "eu-west-1")));
        assert!(!Arc::ptr_eq(&one, &RateLimiter::shared("1", "eu-west-2")));
    }
}
