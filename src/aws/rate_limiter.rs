//! One pace for all Batch calls of an account and region.
//!
//! AWS Batch takes about 50 requests a second from an account in a region, which cannot be raised and which everybody in
//! the account shares. Calls queue up here in the order in which they are made, but for the urgent ones: a look at running
//! jobs, or the end of one, does not wait for hundreds of submissions. Looks are few, so submission does not starve either;
//! where hundreds of jobs are to be ended, which cost while they run, new ones wait for that. A throttled call slows
//! all of them down, and calm lets the pace recover.

use std::collections::HashMap;
use std::process;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, LazyLock, Mutex, PoisonError};
use std::time::Duration;

use tokio::time::{Instant, sleep_until};

/// Calls a second while AWS does not object: a little is left to others.
const FASTEST: f64 = 45.0;
/// Calls a second at the least.
const SLOWEST: f64 = 1.0;
/// Calls that may go out at once after a pause: a workflow of a hundred tasks is not to queue up. AWS does not say what
/// it takes at once; what it throttles of these is tried again.
const BURST: f64 = 100.0;
/// How long calls of a queue may be kept so that they go out in groups: one by itself wakes every thread and finds the
/// processor's caches cold, which is a third of what it costs.
const GROUPED: Duration = Duration::from_millis(250);
/// What a throttled call leaves of the pace; at most one in a second counts, since they come in flocks.
const SLOWED: f64 = 0.85;
/// What each calm second adds to the pace, in calls a second.
const RECOVERY: f64 = 5.0;

/// Paces of this process by account and region. Two clients with different profiles may well share an account, so this
/// cannot hang off either of them.
static SHARED: LazyLock<Mutex<HashMap<Place, Arc<RateLimiter>>>> = LazyLock::new(Mutex::default);

/// Account and region.
type Place = (u32, String, String);

/// The pace of one account and region.
#[derive(Debug)]
pub struct RateLimiter {
    state: Mutex<State>,
    /// The queues, first come first served: who has the lock is the next of its kind.
    ordinary: tokio::sync::Mutex<()>,
    urgent: tokio::sync::Mutex<()>,
    /// How many of each wait.
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
    slowed: Option<Instant>,
}

impl RateLimiter {
    /// The limiter that all clients of an account and region share.
    #[must_use]
    pub fn shared(account: &str, region: &str) -> Arc<Self> {
        let mut shared = SHARED.lock().unwrap_or_else(PoisonError::into_inner);
        // After a fork() the queues belong to the parent: those who hold them do not run here.
        shared.entry((process::id(), account.to_owned(), region.to_owned())).or_default().clone()
    }

    /// Waits for the caller's turn.
    pub async fn turn(&self) {
        let waiting = Waiting::one_of(&self.ordinary_waiting);
        let first = self.ordinary.lock().await;
        let behind = || self.ordinary_waiting.load(Ordering::Relaxed).saturating_sub(1);
        self.slot(behind, || self.urgent_waiting.load(Ordering::Relaxed) > 0).await;
        drop(waiting); // before the next one counts who is behind it
        drop(first);
    }

    /// The same, before all calls that are not urgent.
    pub async fn urgent_turn(&self) {
        let _waiting = Waiting::one_of(&self.urgent_waiting);
        let _first = self.urgent.lock().await;
        self.slot(|| 0, || false).await;
    }

    /// To be told when AWS has throttled a call.
    pub fn throttled(&self) {
        let now = Instant::now();
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if state.slowed.is_some_and(|slowed| now.duration_since(slowed) < Duration::from_secs(1)) {
            return;
        }
        state.recover(now);
        state.rate = (state.rate * SLOWED).max(SLOWEST);
        state.slowed = Some(now);
        // This second is not a calm one.
        state.recovered = now + Duration::from_secs(1);
        let rate = state.rate;
        drop(state); // a record waits for the GIL
        tracing::info!("AWS throttles; going on with {rate:.0} calls a second");
    }

    async fn slot(&self, behind: impl Fn() -> usize, gives_way: impl Fn() -> bool) {
        while let Err(later) = self.take(&behind, &gives_way) {
            sleep_until(later).await;
        }
    }

    /// Takes the next slot if it is due, else says when to ask again: with those behind, and no later than the last of
    /// them would have gone by itself.
    fn take(&self, behind: impl Fn() -> usize, gives_way: impl Fn() -> bool) -> Result<(), Instant> {
        let now = Instant::now();
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.recover(now);
        let interval = Duration::from_secs_f64(1.0 / state.rate);
        // An idle time is worth a burst and no more.
        let earliest = now.checked_sub(interval.mul_f64(BURST)).unwrap_or(now);
        let slot = state.next.max(earliest);
        if slot > now {
            let behind = u32::try_from(behind()).unwrap_or(u32::MAX);
            return Err(slot + interval.saturating_mul(behind).min(GROUPED));
        }
        if gives_way() {
            return Err(now + interval);
        }
        state.next = slot + interval;
        Ok(())
    }
}

/// Counts one who waits, for as long as that is.
struct Waiting<'a>(&'a AtomicUsize);

impl<'a> Waiting<'a> {
    fn one_of(count: &'a AtomicUsize) -> Self {
        count.fetch_add(1, Ordering::Relaxed);
        Self(count)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Default for RateLimiter {
    fn default() -> Self {
        let now = Instant::now();
        // The first burst is due at once.
        let next = now.checked_sub(Duration::from_secs_f64(BURST / FASTEST)).unwrap_or(now);
        Self {
            state: Mutex::new(State { rate: FASTEST, next, recovered: now, slowed: None }),
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
        self.rate = (self.rate + RECOVERY * calm).min(FASTEST);
        self.recovered = self.recovered.max(now);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn calls(limiter: &RateLimiter, count: u32) -> f64 {
        let start = Instant::now();
        for _ in 0..count {
            limiter.turn().await;
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
        let rate = limiter.state.lock().unwrap().rate;
        assert!((SLOWEST..1.1 * SLOWEST).contains(&rate), "{rate}");
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
                tokio::spawn(async move { limiter.turn().await })
            })
            .collect();
        tokio::task::yield_now().await;
        for _ in 0..5 {
            limiter.urgent_turn().await;
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
                    limiter.turn().await;
                    start.elapsed().as_millis()
                })
            })
            .collect();
        let mut times = Vec::new();
        for call in calls {
            times.push(call.await.unwrap());
        }
        assert!(times[89] <= 2050, "the pace is the same: {times:?}");
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
        drop(tokio::time::timeout(Duration::from_millis(1), limiter.urgent_turn()).await);
        drop(tokio::time::timeout(Duration::from_millis(1), limiter.turn()).await);
        assert!(calls(&limiter, 45).await < 1.2);
    }

    #[tokio::test]
    async fn clients_of_an_account_share_it() {
        let one = RateLimiter::shared("1", "eu-west-1");
        assert!(Arc::ptr_eq(&one, &RateLimiter::shared("1", "eu-west-1")));
        assert!(!Arc::ptr_eq(&one, &RateLimiter::shared("1", "eu-west-2")));
    }
}
