//! A limit on how fast bytes come in, shared by all requests to a repository.
//!
//! Bytes are taken from the network first and paid for with time afterwards: while nobody reads, the connection's
//! window fills and the server has to wait.

use std::num::NonZeroU64;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// What may come at once after a time in which nothing came: enough that a small blob is not slowed down.
const BURST: Duration = Duration::from_millis(100);

/// Spreads bytes over time.
#[derive(Debug)]
pub(crate) struct Limiter {
    bytes_per_s: NonZeroU64,
    /// The moment up to which all that was taken is paid for.
    paid: Mutex<Option<Instant>>,
}

impl Limiter {
    /// `None` for zero: no limit.
    pub(crate) fn new(bytes_per_s: u64) -> Option<Self> {
        Some(Self { bytes_per_s: NonZeroU64::new(bytes_per_s)?, paid: Mutex::default() })
    }

    /// Waits as long as `bytes`, which just came, cost.
    pub(crate) async fn pay(&self, bytes: usize) {
        let end = self.book(Instant::now(), u64::try_from(bytes).unwrap_or(u64::MAX));
        tokio::time::sleep_until(end).await;
    }

    /// When bytes that came at `now` are paid for, after all that came before them.
    fn book(&self, now: Instant, bytes: u64) -> Instant {
        let nanos = u128::from(bytes).saturating_mul(1_000_000_000) / u128::from(self.bytes_per_s.get());
        let cost = Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX));
        let earliest = now.checked_sub(BURST).unwrap_or(now);
        // Only whole values are stored, so a panic elsewhere cannot leave half of one.
        let mut paid = self.paid.lock().unwrap_or_else(PoisonError::into_inner);
        let start = paid.map_or(earliest, |paid| paid.max(earliest));
        // Beyond what the clock can say nothing is ever paid; it is 500 years away.
        let end = start.checked_add(cost).unwrap_or(start);
        *paid = Some(end);
        end
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: u64 = 1024 * 1024;

    /// A reader that waits as it is told, on a clock of its own.
    struct Reader {
        now: Instant,
    }

    impl Reader {
        fn pay(&mut self, limiter: &Limiter, bytes: u64) {
            self.now = self.now.max(limiter.book(self.now, bytes));
        }
    }

    fn limiter() -> Limiter {
        Limiter::new(MIB).expect("a limit")
    }

    #[track_caller]
    fn took(begin: Instant, end: Instant, seconds: u64) {
        let (took, expected) = (end - begin, Duration::from_secs(seconds).saturating_sub(BURST));
        assert!(took.abs_diff(expected) < Duration::from_millis(1), "{took:?} is not {expected:?}");
    }

    #[test]
    fn zero_is_no_limit() {
        assert!(Limiter::new(0).is_none());
    }

    #[test]
    fn many_bytes_take_their_time() {
        let (limiter, begin) = (limiter(), Instant::now());
        let mut reader = Reader { now: begin };
        for _ in 0..40 {
            reader.pay(&limiter, MIB / 4);
        }
        took(begin, reader.now, 10);
    }

    #[test]
    fn a_pause_buys_no_more_than_a_burst() {
        let limiter = limiter();
        let mut reader = Reader { now: Instant::now() };
        reader.pay(&limiter, MIB);
        reader.now += Duration::from_secs(3600);
        let begin = reader.now;
        reader.pay(&limiter, MIB / 100);
        assert_eq!(reader.now, begin, "a small blob comes at once");
        reader.pay(&limiter, MIB - MIB / 100);
        took(begin, reader.now, 1);
    }

    #[test]
    fn requests_side_by_side_share_the_limit() {
        let (limiter, begin) = (limiter(), Instant::now());
        let mut readers = [begin; 4].map(|now| Reader { now });
        for _ in 0..32 {
            // Whoever is done with waiting reads next.
            let next = readers.iter_mut().min_by_key(|reader| reader.now).expect("a reader");
            next.pay(&limiter, MIB / 4);
        }
        took(begin, readers.iter().map(|reader| reader.now).max().expect("a reader"), 8);
    }

    #[test]
    fn what_nobody_could_wait_for_is_not_an_overflow() {
        let limiter = Limiter::new(1).expect("a limit");
        let now = Instant::now();
        for _ in 0..4 {
            limiter.book(now, u64::MAX);
        }
    }
}
