//! EC2's token buckets.

use std::time::Duration;

use firecamp_core::time::Moment;

/// The number of parts in a token.
const TOKEN: u64 = 1_000_000;

/// One bucket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bucket {
    capacity: u64,
    /// Parts of a token for each microsecond.
    refill: u64,
    tokens: u64,
    at: Moment,
}

impl Bucket {
    /// A full bucket with this capacity and refill rate, in tokens.
    pub fn new(capacity: u32, per_second: u32) -> Self {
        let capacity = u64::from(capacity).saturating_mul(TOKEN);
        let tokens = capacity;
        Self { capacity, refill: u64::from(per_second), tokens, at: Moment::default() }
    }

    /// Takes a token, if there is one.
    pub fn take(&mut self, now: Moment) -> bool {
        let passed = now.since(self.at).as_micros();
        let passed = u64::try_from(passed).unwrap_or(u64::MAX);
        let filled = self.tokens.saturating_add(passed.saturating_mul(self.refill));
        self.tokens = filled.min(self.capacity);
        self.at = self.at.plus(Duration::from_micros(passed));
        let there = self.tokens >= TOKEN;
        if there {
            self.tokens -= TOKEN;
        }
        there
    }
}

/// The buckets of the account.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Buckets {
    /// Assign and Unassign. EC2 has one bucket for each, but a member uses one at a time.
    pub mutating: Bucket,
    /// DescribeNetworkInterfaces with a filter.
    pub describe: Bucket,
}

impl Default for Buckets {
    fn default() -> Self {
        Self { mutating: Bucket::new(100, 5), describe: Bucket::new(100, 20) }
    }
}

impl Buckets {
    /// Almost empty buckets, as in an account with many other callers.
    pub fn starved() -> Self {
        Self { mutating: Bucket::new(2, 1), describe: Bucket::new(4, 2) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bucket_allows_its_burst_and_then_its_rate() {
        let mut bucket = Bucket::new(3, 2);
        let at = |ms| Moment(Duration::from_millis(ms));
        let burst: Vec<bool> = (0..4).map(|_| bucket.take(at(0))).collect();
        assert_eq!(burst, [true, true, true, false]);
        assert!(!bucket.take(at(499)));
        assert!(bucket.take(at(500)));
        let later = (0..5).filter(|_| bucket.take(at(60_000))).count();
        assert_eq!(later, 3, "it never holds more than its capacity");
    }
}
