//! How many bytes of request bodies this replica holds at a time, for all requests together. A request that
//! would go over it is turned away at once: to let it wait would hold what it has already.
//!
//! A semaphore would count permits in 32 bits at a time, and a body may take more bytes than that once it is parsed.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

/// The bytes of all requests.
#[derive(Debug)]
pub struct Budget {
    all: usize,
    taken: AtomicUsize,
}

/// One request's part of it; given back when dropped.
#[derive(Debug)]
pub struct Reservation {
    budget: Arc<Budget>,
    bytes: usize,
}

/// There is no more to be had now.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the bodies of other requests take up the memory for bodies")]
pub struct Full;

impl Budget {
    /// So many bytes, all free.
    #[must_use]
    pub fn new(all: usize) -> Arc<Self> {
        Arc::new(Self { all, taken: AtomicUsize::new(0) })
    }

    /// The bytes that there are in all.
    #[must_use]
    pub fn all(&self) -> usize {
        self.all
    }

    /// A part of it.
    pub fn reserve(self: &Arc<Self>, bytes: usize) -> Result<Reservation, Full> {
        let mut reservation = Reservation { budget: Arc::clone(self), bytes: 0 };
        reservation.grow_to(bytes)?;
        Ok(reservation)
    }
}

impl Reservation {
    /// Takes more, up to so many in all; it never gives back before its end.
    pub fn grow_to(&mut self, bytes: usize) -> Result<(), Full> {
        let more = bytes.saturating_sub(self.bytes);
        let grown = |taken: usize| taken.checked_add(more).filter(|sum| *sum <= self.budget.all);
        self.budget.taken.fetch_update(Ordering::Relaxed, Ordering::Relaxed, grown).map_err(|_| Full)?;
        self.bytes += more;
        Ok(())
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        self.budget.taken.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_one_request_holds_another_cannot_have_until_it_is_dropped() {
        let budget = Budget::new(10);
        let mut first = budget.reserve(4).expect("free");
        assert_eq!(first.grow_to(11), Err(Full));
        let second = budget.reserve(6).expect("free");
        assert_eq!(first.grow_to(5), Err(Full));
        assert_eq!(first.grow_to(3), Ok(()), "smaller than what it has");
        assert!(budget.reserve(1).is_err());
        drop(second);
        assert_eq!(first.grow_to(10), Ok(()));
        drop(first);
        assert!(budget.reserve(10).is_ok(), "everything was given back");
    }

    #[test]
    fn sizes_that_no_memory_has_are_refused() {
        let budget = Budget::new(10);
        let _held = budget.reserve(1).expect("free");
        assert!(budget.reserve(usize::MAX).is_err());
    }
}
