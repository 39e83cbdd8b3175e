//! How much of the endpoint its clients may use. Pure: the time comes in.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::Duration;

use firecamp_core::contract::endpoint::{
    CONNECTIONS, CONNECTIONS_OF_OTHERS, CONNECTIONS_OF_POD, REQUESTS_OF_POD, REVIEWS,
    REVIEWS_A_SECOND, REVIEWS_OF_POD,
};
use firecamp_core::contract::exit::Exit;
use firecamp_core::ids::PodUid;
use firecamp_core::time::Moment;

/// A pod's requests that are refused for one reason have one Event in this time.
const REFUSAL_AGAIN: Duration = Duration::from_mins(5);
/// Refusals that are remembered for this; others have no Event.
const REFUSALS: usize = 128;

/// Where a connection comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Source {
    /// The node itself: pods with hostNetwork.
    Node,
    /// A pod with a network of its own, by its address.
    Pod(IpAddr),
    /// All pods with networks of their own together.
    Pods,
    /// Anything else.
    Other,
}

impl Source {
    /// The connections that it may have at once.
    fn connections(self) -> usize {
        match self {
            Self::Node | Self::Pods => CONNECTIONS,
            Self::Pod(_) => CONNECTIONS_OF_POD,
            Self::Other => CONNECTIONS_OF_OTHERS,
        }
    }

    /// The reviews that it may have at once, and those that each second adds.
    fn reviews(self) -> (f64, f64) {
        match self {
            Self::Node | Self::Pods | Self::Other => (REVIEWS, REVIEWS_A_SECOND),
            Self::Pod(_) => (REVIEWS_OF_POD, 1.0),
        }
    }
}

/// What is in use. Those who are not served can only use what the others do not need.
#[derive(Debug, Default)]
pub(super) struct Limits {
    connections: BTreeMap<Source, usize>,
    requests: BTreeMap<PodUid, usize>,
    /// When the Event of a refusal was last written, by pod and exit code.
    refusals: BTreeMap<(PodUid, u8), Moment>,
    /// The reviews that are left, and since when.
    reviews: BTreeMap<Source, (f64, Moment)>,
}

impl Limits {
    /// Takes a connection. False if it must be closed.
    pub(super) fn connect(&mut self, from: Source) -> bool {
        let pods = self.connections.iter().filter(|(one, _)| matches!(one, Source::Pod(_)));
        let pods: usize = pods.map(|(_, count)| count).sum();
        if matches!(from, Source::Pod(_)) && pods >= Source::Pods.connections() {
            return false;
        }
        take(&mut self.connections, from, from.connections())
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
        let left = |from: Source, (had, since): (f64, Moment)| {
            let (most, a_second) = from.reviews();
            (had + now.since(since).as_secs_f64() * a_second).min(most)
        };
        // Who has not asked for a while is as one who never did.
        self.reviews.retain(|from, last| left(*from, *last) < from.reviews().0);
        let last = self.reviews.get(&from).copied().unwrap_or((from.reviews().0, now));
        let have = left(from, last);
        let granted = have >= 1.0;
        self.reviews.insert(from, (if granted { have - 1.0 } else { have }, now));
        let together = matches!(from, Source::Pod(_)).then_some(Source::Pods);
        granted && together.is_none_or(|all| self.review(all, now))
    }

    /// Whether a refusal is to have an Event: a pod may ask in a loop.
    pub(super) fn reports_refusal(&mut self, pod: &PodUid, exit: Exit, now: Moment) -> bool {
        self.refusals.retain(|_, at| now.since(*at) < REFUSAL_AGAIN);
        let key = (pod.clone(), exit.code());
        let is_new = !self.refusals.contains_key(&key) && self.refusals.len() < REFUSALS;
        if is_new {
            self.refusals.insert(key, now);
        }
        is_new
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
    fn f123_a_pod_with_its_own_network_uses_up_only_its_own_share() {
        let (mut limits, hostile) = (Limits::default(), pod(1));
        let taken = (0..1000).filter(|_| limits.connect(hostile)).count();
        let reviewed = (0..1000).filter(|_| limits.review(hostile, at(0))).count();
        assert_eq!((taken, reviewed), (CONNECTIONS_OF_POD, 6));
        assert!(limits.connect(pod(2)) && limits.review(pod(2), at(0)));
        assert!(limits.review(hostile, at(1)) && !limits.review(hostile, at(1)));
        assert!(limits.review(pod(2), at(60)));
        assert_eq!(limits.reviews.len(), 2, "only who asked lately is remembered");
        let all = (3..1000).filter(|number| limits.review(pod(*number), at(90))).count();
        assert_eq!(all, 60, "all pods together have a limit, too");
        let all = (3..1000).filter(|number| limits.connect(pod(*number))).count();
        assert_eq!(all + CONNECTIONS_OF_POD + 1, CONNECTIONS);
        assert!(limits.connect(Source::Node), "pods with hostNetwork are not affected");
    }

    fn pod(number: u32) -> Source {
        Source::Pod(Ipv4Addr::from(number).into())
    }

    #[test]
    fn f123_refusals_have_one_event_for_each_pod_and_reason_in_five_minutes() {
        let mut limits = Limits::default();
        let uid = |number: usize| format!("uid-{number}").parse().unwrap();
        let mut reported = |number, exit, seconds| {
            (0..100).filter(|_| limits.reports_refusal(&uid(number), exit, at(seconds))).count()
        };
        assert_eq!(reported(0, Exit::NamespaceNotAllowed, 0), 1);
        assert_eq!(reported(0, Exit::NodeUnsuitable, 1), 1);
        assert_eq!(reported(0, Exit::NamespaceNotAllowed, 299), 0);
        assert_eq!(reported(0, Exit::NamespaceNotAllowed, 300), 1);
        let others: usize = (1..1000).map(|it| reported(it, Exit::Usage, 400)).sum();
        assert_eq!(others, REFUSALS - 1, "many pods have a limit, too");
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
