//! How much of the endpoint its clients may use. Pure: the time comes in.

use std::collections::BTreeMap;

use firecamp_core::contract::endpoint::{
    CONNECTIONS, CONNECTIONS_OF_OTHERS, REQUESTS_OF_POD, REVIEWS, REVIEWS_A_SECOND,
};
use firecamp_core::ids::PodUid;
use firecamp_core::time::Moment;

/// Where a connection comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Source {
    /// The node itself: pods with hostNetwork.
    Node,
    /// Anything else.
    Other,
}

/// What is in use. Those who are not served can only use what the others do not need.
#[derive(Debug, Default)]
pub(super) struct Limits {
    connections: BTreeMap<Source, usize>,
    requests: BTreeMap<PodUid, usize>,
    /// The reviews that are left, and since when.
    reviews: BTreeMap<Source, (f64, Moment)>,
}

impl Limits {
    /// Takes a connection. False if it must be closed.
    pub(super) fn connect(&mut self, from: Source) -> bool {
        let limit = match from {
            Source::Node => CONNECTIONS,
            Source::Other => CONNECTIONS_OF_OTHERS,
        };
        take(&mut self.connections, from, limit)
    }

    /// A connection was closed.
    pub(super) fn disconnect(&mut self, from: Source) {
        give_back(&mut self.connections, &from);
    }

    /// The number of open connections.
    pub(super) fn open(&self) -> usize {
        self.connections.values().sum()
    }

    /// Takes a review of a token. False if the client has to wait.
    pub(super) fn review(&mut self, from: Source, now: Moment) -> bool {
        let (had, since) = self.reviews.get(&from).copied().unwrap_or((REVIEWS, now));
        let have = (had + now.since(since).as_secs_f64() * REVIEWS_A_SECOND).min(REVIEWS);
        let granted = have >= 1.0;
        self.reviews.insert(from, (if granted { have - 1.0 } else { have }, now));
        granted
    }

    /// Begins a request of a pod. False if it has too many.
    pub(super) fn begin(&mut self, pod: &PodUid) -> bool {
        take(&mut self.requests, pod.clone(), REQUESTS_OF_POD)
    }

    /// A request of a pod ended.
    pub(super) fn end(&mut self, pod: &PodUid) {
        give_back(&mut self.requests, pod);
    }
}

fn take<K: Ord>(used: &mut BTreeMap<K, usize>, key: K, limit: usize) -> bool {
    let count = used.entry(key).or_default();
    let fits = *count < limit;
    *count += usize::from(fits);
    fits
}

fn give_back<K: Ord>(used: &mut BTreeMap<K, usize>, key: &K) {
    if let Some(count) = used.get_mut(key) {
        *count = count.saturating_sub(1);
    }
    used.retain(|_, count| *count > 0);
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn at(seconds: u64) -> Moment {
        Moment(Duration::from_secs(seconds))
    }

    #[test]
    fn f123_others_cannot_take_the_connections_of_pods_that_are_served() {
        let mut limits = Limits::default();
        let taken = (0..1000).filter(|_| limits.connect(Source::Other)).count();
        assert_eq!(taken, CONNECTIONS_OF_OTHERS);
        let taken = (0..1000).filter(|_| limits.connect(Source::Node)).count();
        assert_eq!((taken, limits.open()), (CONNECTIONS, CONNECTIONS + CONNECTIONS_OF_OTHERS));
        limits.disconnect(Source::Node);
        assert!(limits.connect(Source::Node) && !limits.connect(Source::Other));
    }

    #[test]
    fn f123_reviews_are_limited_and_come_back() {
        let mut limits = Limits::default();
        let reviewed =
            |limits: &mut Limits, from, now| (0..500).filter(|_| limits.review(from, now)).count();
        assert_eq!(reviewed(&mut limits, Source::Other, at(0)), 60);
        assert_eq!(reviewed(&mut limits, Source::Node, at(0)), 60, "pods are not affected");
        assert_eq!(reviewed(&mut limits, Source::Other, at(2)), 20);
        assert_eq!(reviewed(&mut limits, Source::Other, at(600)), 60);
    }

    #[test]
    fn one_pod_has_few_requests_at_once() {
        let (mut limits, pod) = (Limits::default(), "uid-1".parse().unwrap());
        let begun = (0..10).filter(|_| limits.begin(&pod)).count();
        assert_eq!(begun, REQUESTS_OF_POD);
        assert!(limits.begin(&"uid-2".parse().unwrap()), "another pod is not affected");
        limits.end(&pod);
        assert!(limits.begin(&pod));
    }
}
