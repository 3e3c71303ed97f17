//! How much memory all uploads of a connection may take for what is on its way.
//!
//! A task's arguments are pickled faster than they are sent. Each upload bounds its own parts; a thousand uploads at once
//! would each be within their bounds and fill the machine all the same.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Of all uploads together. One alone never takes more than its parts in flight, about a third of this.
const BYTES: usize = 256 * 1024 * 1024;
/// Uploads at once, however small: each is a connection and a file of the process.
const UPLOADS: u32 = 64;
/// A semaphore counts no further than 2^32 in one request, so it counts in these.
const UNIT: usize = 1024;

/// The memory that is there to be shared.
#[derive(Clone, Debug)]
pub struct MemoryBudget {
    units: Arc<Semaphore>,
    all: u32,
}

/// A part of it, given back when this is dropped.
#[derive(Debug)]
pub struct Share(#[allow(dead_code)] Option<OwnedSemaphorePermit>);

impl Default for MemoryBudget {
    fn default() -> Self {
        Self::of(BYTES)
    }
}

impl MemoryBudget {
    fn of(bytes: usize) -> Self {
        let all = u32::try_from(bytes / UNIT).unwrap_or(u32::MAX);
        Self { units: Arc::new(Semaphore::new(all as usize)), all }
    }

    /// Waits, first come first served, until there is room for so many bytes. What is larger than the whole gets the
    /// whole.
    pub async fn share(&self, bytes: usize) -> Share {
        let units = u32::try_from(bytes.div_ceil(UNIT)).unwrap_or(u32::MAX);
        let units = units.max(self.all / UPLOADS).min(self.all);
        Share(self.units.clone().acquire_many_owned(units).await.ok())
    }
}

#[cfg(test)]
mod tests {
    use std::future::Future;
    use std::pin::pin;
    use std::task::{Context, Poll, Waker};

    use super::*;

    fn poll<F: Future>(future: std::pin::Pin<&mut F>) -> Option<F::Output> {
        match future.poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(output) => Some(output),
            Poll::Pending => None,
        }
    }

    #[test]
    fn there_is_never_more_than_all_of_it() {
        let budget = MemoryBudget::of(10 * UNIT);
        let first = poll(pin!(budget.share(9 * UNIT))).unwrap();
        let mut second = pin!(budget.share(UNIT + 1));
        assert!(poll(second.as_mut()).is_none());
        drop(first);
        assert!(poll(second.as_mut()).is_some());
    }

    #[test]
    fn small_ones_are_not_without_number() {
        let budget = MemoryBudget::of(640 * UNIT);
        let shares: Vec<_> = (0..UPLOADS).map(|_| poll(pin!(budget.share(1))).unwrap()).collect();
        assert!(shares.len() == 64 && poll(pin!(budget.share(1))).is_none());
    }

    #[test]
    fn what_is_larger_than_all_of_it_waits_for_all_of_it() {
        let budget = MemoryBudget::of(10 * UNIT);
        let small = poll(pin!(budget.share(1))).unwrap();
        let mut large = pin!(budget.share(100 * UNIT));
        assert!(poll(large.as_mut()).is_none());
        drop(small);
        assert!(poll(large.as_mut()).is_some());
    }
}
