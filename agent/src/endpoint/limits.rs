//! How much of the endpoint one client may use. Pure: the time comes in.

use std::collections::BTreeMap;
use std::net::IpAddr;

use firecamp_core::contract::endpoint::{
    CONNECTIONS, CONNECTIONS_OF_SOURCE, REQUESTS_OF_POD, REVIEWS, REVIEWS_A_SECOND,
};
use firecamp_core::ids::PodUid;
use firecamp_core::time::Moment;

/// What is in use.
#[derive(Debug, Default)]
pub(super) struct Limits {
    connections: BTreeMap<IpAddr, usize>,
    requests: BTreeMap<PodUid, usize>,
    /// Reviews that each source may still have, and since when. Only of sources that have a
    /// connection, or had one until their bucket is full again.
    reviews: BTreeMap<IpAddr, (f64, Moment)>,
}

impl Limits {
    /// Takes a connection. False if it must be closed.
    pub(super) fn connect(&mut self, from: IpAddr) -> bool {
        if self.open() >= CONNECTIONS {
            return false;
        }
        take(&mut self.connections, from, CONNECTIONS_OF_SOURCE)
    }

    /// A connection was closed.
    pub(super) fn disconnect(&mut self, from: IpAddr) {
        give_back(&mut self.connections, &from);
    }

    /// The number of open connections.
    pub(super) fn open(&self) -> usize {
        self.connections.values().sum()
    }

    /// Takes a review of a token. False if the client has to wait.
    pub(super) fn review(&mut self, from: IpAddr, now: Moment) -> bool {
        let left = |(had, since): (f64, Moment)| {
            (had + now.since(since).as_secs_f64() * REVIEWS_A_SECOND).min(REVIEWS)
        };
        self.reviews.retain(|other, bucket| *other == from || left(*bucket) < REVIEWS);
        let bucket = self.reviews.entry(from).or_insert((REVIEWS, now));
        let have = left(*bucket);
        *bucket = (if have < 1.0 { have } else { have - 1.0 }, now);
        have >= 1.0
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
    use std::net::Ipv4Addr;
    use std::time::Duration;

    use super::*;

    fn source(last: u8) -> IpAddr {
        IpAddr::from(Ipv4Addr::new(10, 244, 0, last))
    }

    fn at(seconds: u64) -> Moment {
        Moment(Duration::from_secs(seconds))
    }

    #[test]
    fn f123_one_source_cannot_take_all_connections() {
        let mut limits = Limits::default();
        let taken = (0..1000).filter(|_| limits.connect(source(1))).count();
        assert_eq!(taken, CONNECTIONS_OF_SOURCE);
        assert!(limits.connect(source(2)), "another pod is not affected");
        limits.disconnect(source(1));
        assert!(limits.connect(source(1)));
    }

    #[test]
    fn all_sources_together_have_a_limit() {
        let mut limits = Limits::default();
        let taken = (0..=255).filter(|last| limits.connect(source(*last))).count();
        let more = (0..=255).filter(|last| limits.connect(source(*last))).count();
        assert_eq!((taken + more, limits.open()), (CONNECTIONS, CONNECTIONS));
    }

    #[test]
    fn f123_reviews_of_one_source_are_limited_and_come_back() {
        let mut limits = Limits::default();
        let reviewed = |limits: &mut Limits, last, now| {
            (0..500).filter(|_| limits.review(source(last), now)).count()
        };
        assert_eq!(reviewed(&mut limits, 1, at(0)), 60);
        assert_eq!(reviewed(&mut limits, 2, at(0)), 60, "another pod is not affected");
        assert_eq!(reviewed(&mut limits, 1, at(2)), 20);
        assert_eq!(reviewed(&mut limits, 1, at(600)), 60);
    }

    #[test]
    fn sources_that_are_gone_are_forgotten() {
        let mut limits = Limits::default();
        for last in 0..=255 {
            assert!(limits.connect(source(last)) && limits.review(source(last), at(0)));
            limits.disconnect(source(last));
        }
        assert!(limits.review(source(1), at(60)));
        assert_eq!((limits.connections.len(), limits.reviews.len()), (0, 1));
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
