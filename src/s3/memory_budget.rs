//! Bounds the memory of all uploads of a connection.
//!
//! A task's arguments are pickled faster than they are sent. Each upload bounds its own parts, but a thousand of them
//! at once would still fill the machine.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Memory of all uploads together. The parts in flight of a single one take about a third of it.
const TOTAL_BYTES: usize = 256 * 1024 * 1024;
/// Uploads at once, however small: each needs a connection and a file descriptor.
const MAX_UPLOADS: u32 = 64;
/// Bytes of a permit: one request to a semaphore is limited to 2^32 permits.
const UNIT_BYTES: usize = 1024;

/// The memory that uploads share.
#[derive(Clone, Debug)]
pub struct MemoryBudget {
    units: Arc<Semaphore>,
    total_units: u32,
}

/// Reserved memory, released on drop.
#[derive(Debug)]
pub struct Reservation(#[allow(dead_code)] Option<OwnedSemaphorePermit>);

impl Default for MemoryBudget {
    fn default() -> Self {
        Self::with_bytes(TOTAL_BYTES)
    }
}

impl MemoryBudget {
    fn with_bytes(bytes: usize) -> Self {
        let total_units = u32::try_from(bytes / UNIT_BYTES).unwrap_or(u32::MAX);
        Self { units: Arc::new(Semaphore::new(total_units as usize)), total_units }
    }

    /// Waits, first in, first out, until so many bytes are free. A request for more than the total reserves the total.
    pub async fn reserve(&self, bytes: usize) -> Reservation {
        let units = u32::try_from(bytes.div_ceil(UNIT_BYTES)).unwrap_or(u32::MAX);
        let units = units.max(self.total_units / MAX_UPLOADS).min(self.total_units);
        Reservation(self.units.clone().acquire_many_owned(units).await.ok())
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
        let budget = MemoryBudget::with_bytes(10 * UNIT_BYTES);
        let first = poll(pin!(budget.reserve(9 * UNIT_BYTES))).unwrap();
        let mut second = pin!(budget.reserve(UNIT_BYTES + 1));
        assert!(poll(second.as_mut()).is_none());
        drop(first);
        assert!(poll(second.as_mut()).is_some());
    }

    #[test]
    fn small_ones_are_not_without_number() {
        let budget = MemoryBudget::with_bytes(640 * UNIT_BYTES);
        let reservations: Vec<_> = (0..MAX_UPLOADS).map(|_| poll(pin!(budget.reserve(1))).unwrap()).collect();
        assert!(reservations.len() == 64 && poll(pin!(budget.reserve(1))).is_none());
    }

    #[test]
    fn what_is_larger_than_all_of_it_waits_for_all_of_it() {
        let budget = MemoryBudget::with_bytes(10 * UNIT_BYTES);
        let small = poll(pin!(budget.reserve(1))).unwrap();
        let mut large = pin!(budget.reserve(100 * UNIT_BYTES));
        assert!(poll(large.as_mut()).is_none());
        drop(small);
        assert!(poll(large.as_mut()).is_some());
    }
}
