//! Token buckets, one per action of the account: ec2-semantics.md section 5.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::ec2::Action;
use crate::view::BucketTruth;

/// Capacity and refill rate of a bucket.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Size {
    pub(crate) capacity: u32,
    /// Tokens per second.
    pub(crate) refill: f64,
}

#[derive(Debug, Clone)]
struct Bucket {
    size: Size,
    tokens: f64,
    at: Duration,
    refused: u64,
}

impl Bucket {
    fn fill(&mut self, now: Duration) {
        let passed = now.saturating_sub(self.at).as_secs_f64();
        self.tokens = (self.tokens + passed * self.size.refill).min(f64::from(self.size.capacity));
        self.at = now;
    }

    fn take(&mut self, now: Duration) -> bool {
        self.fill(now);
        let there = self.tokens >= 1.0;
        if there {
            self.tokens -= 1.0;
        } else {
            self.refused += 1;
        }
        there
    }
}

/// All token buckets of the account.
#[derive(Debug, Clone, Default)]
pub(crate) struct Buckets {
    buckets: BTreeMap<String, Bucket>,
}

/// The documented bucket size of an action. Reads without filter and pagination have a separate
/// bucket.
fn documented(action: Action, unfiltered: bool) -> Size {
    let (capacity, refill) = match action {
        Action::Assign | Action::Unassign | Action::Create | Action::Delete | Action::Modify => {
            (100, 5.0)
        }
        Action::Attach | Action::Detach => (50, 5.0),
        Action::CreateTags | Action::DeleteTags => (100, 10.0),
        Action::Reserve | Action::Unreserve => (5, 1.0),
        Action::Interfaces | Action::Instances | Action::Volumes if unfiltered => (50, 10.0),
        Action::Interfaces
        | Action::Instances
        | Action::Volumes
        | Action::Subnets
        | Action::Reservations
        | Action::InstanceTypes => (100, 20.0),
    };
    Size { capacity, refill }
}

impl Buckets {
    /// Takes a token; false: the call is throttled. If a fault sets another size, a full bucket of
    /// that size replaces the current one, once.
    pub(crate) fn take(
        &mut self,
        action: Action,
        unfiltered: bool,
        other: Option<Size>,
        now: Duration,
    ) -> bool {
        let split = matches!(action, Action::Interfaces | Action::Instances | Action::Volumes);
        let split = split && unfiltered;
        let name = format!("{}{}", action.name(), if split { " (unfiltered)" } else { "" });
        let size = other.unwrap_or_else(|| documented(action, unfiltered));
        self.take_from(name, size, now)
    }

    /// Takes a token from the named bucket.
    pub(crate) fn take_from(&mut self, name: String, size: Size, now: Duration) -> bool {
        let full = || Bucket { size, tokens: f64::from(size.capacity), at: now, refused: 0 };
        let bucket = self.buckets.entry(name).or_insert_with(full);
        if bucket.size != size {
            let refused = bucket.refused;
            *bucket = Bucket { refused, ..full() };
        }
        bucket.take(now)
    }

    /// The remaining tokens of each bucket.
    pub(crate) fn truth(&self, now: Duration) -> BTreeMap<String, BucketTruth> {
        let left = |bucket: &Bucket| {
            let mut bucket = bucket.clone();
            bucket.fill(now);
            let whole = Duration::try_from_secs_f64(bucket.tokens).unwrap_or_default().as_secs();
            let capacity = u64::from(bucket.size.capacity);
            BucketTruth { tokens: whole, capacity, refused: bucket.refused }
        };
        self.buckets.iter().map(|(name, bucket)| (name.clone(), left(bucket))).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn taken(buckets: &mut Buckets, action: Action, unfiltered: bool, now: Duration) -> usize {
        (0..1_000).take_while(|_| buckets.take(action, unfiltered, None, now)).count()
    }

    #[test]
    fn each_action_has_its_documented_bucket() {
        let mut buckets = Buckets::default();
        let (start, later) = (Duration::ZERO, Duration::from_secs(2));
        for (action, unfiltered, capacity, refilled) in [
            (Action::Assign, true, 100, 10),
            (Action::Unassign, true, 100, 10),
            (Action::Interfaces, false, 100, 40),
            (Action::Interfaces, true, 50, 20),
            (Action::Instances, true, 50, 20),
            (Action::Subnets, true, 100, 40),
            (Action::Reservations, true, 100, 40),
            (Action::InstanceTypes, true, 100, 40),
            (Action::Volumes, false, 100, 40),
            (Action::Volumes, true, 50, 20),
            (Action::Create, true, 100, 10),
            (Action::Delete, true, 100, 10),
            (Action::Attach, true, 50, 10),
            (Action::Detach, true, 50, 10),
            (Action::Modify, true, 100, 10),
            (Action::CreateTags, true, 100, 20),
            (Action::DeleteTags, true, 100, 20),
            (Action::Reserve, true, 5, 2),
            (Action::Unreserve, true, 5, 2),
        ] {
            assert_eq!(taken(&mut buckets, action, unfiltered, start), capacity, "{action:?}");
            assert_eq!(taken(&mut buckets, action, unfiltered, later), refilled, "{action:?}");
        }
        let truth = buckets.truth(later);
        assert_eq!(truth.get("AssignPrivateIpAddresses").map(|b| b.refused), Some(2));
    }

    #[test]
    fn another_size_replaces_the_bucket_once() {
        let mut buckets = Buckets::default();
        let small = Some(Size { capacity: 2, refill: 0.0 });
        let now = Duration::from_secs(1);
        let count = (0..9).filter(|_| buckets.take(Action::Assign, false, small, now)).count();
        assert_eq!(count, 2);
        assert!(buckets.take(Action::Assign, false, None, now));
    }
}
