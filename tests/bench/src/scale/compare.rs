//! Compares the requests of replayed agents with those of real ones.

use std::collections::{BTreeMap, BTreeSet};

use super::audit::Event;

/// The largest difference of all requests, in percent.
const MOST: f64 = 20.0;
/// A kind of request that an agent sends less often than this may be missing by chance.
const RARE: f64 = 2.0;
/// The characters of an example that are shown.
const EXAMPLE: usize = 500;

/// The mean number of requests of an agent, by verb and resource.
type Means = BTreeMap<(String, String), f64>;

/// The comparison.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Compared {
    /// Requests of a real agent and of a replayed one.
    pub(super) real: f64,
    pub(super) replayed: f64,
    /// Requests that only one of them sends, in percent of the real ones.
    pub(super) difference: f64,
    /// The kinds that one of them does not send, each with an example.
    missing: Vec<String>,
}

/// Compares the requests of these nodes.
pub(super) fn compare(
    events: &[Event],
    real: &BTreeSet<String>,
    replayed: &BTreeSet<String>,
) -> Compared {
    let [one, other] = [real, replayed].map(|nodes| means(events, nodes));
    let kinds: BTreeSet<_> = one.keys().chain(other.keys()).collect();
    let total = |means: &Means| means.values().sum::<f64>();
    let apart: f64 = kinds.iter().map(|kind| (of(&one, kind) - of(&other, kind)).abs()).sum();
    let is_missing = |kind: &&&(String, String)| {
        let [a, b] = [of(&one, kind), of(&other, kind)];
        a.max(b) >= RARE && a.min(b) <= 0.0
    };
    let missing = kinds.iter().filter(is_missing).map(|kind| example(events, kind));
    Compared {
        real: total(&one),
        replayed: total(&other),
        difference: 100.0 * apart / total(&one).max(1.0),
        missing: missing.collect(),
    }
}

fn example(events: &[Event], (verb, resource): &(String, String)) -> String {
    let found = events.iter().find(|event| event.verb == *verb && event.resource == *resource);
    let body = found.and_then(|event| event.body.as_ref()).map(ToString::to_string);
    let body: String = body.unwrap_or_default().chars().take(EXAMPLE).collect();
    format!("{verb} {resource}: {body}")
}

fn of(means: &Means, kind: &(String, String)) -> f64 {
    means.get(kind).copied().unwrap_or_default()
}

fn means(events: &[Event], nodes: &BTreeSet<String>) -> Means {
    let mut means = Means::new();
    let each = 1.0 / f64::from(u32::try_from(nodes.len()).unwrap_or(u32::MAX)).max(1.0);
    for event in events.iter().filter(|event| nodes.contains(&event.node)) {
        let kind = (event.verb.clone(), event.resource.clone());
        *means.entry(kind).or_default() += each;
    }
    means
}

impl Compared {
    /// Whether the replayed agents act as the real ones do.
    pub(super) fn alike(&self) -> bool {
        self.difference <= MOST && self.missing.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn events(node: &str, verb: &str, count: usize) -> Vec<Event> {
        let at = "2026-11-20T15:00:00Z".parse().unwrap();
        let event = Event {
            at,
            answered: at,
            node: node.to_owned(),
            verb: verb.to_owned(),
            uri: String::new(),
            resource: "leases".to_owned(),
            code: 200,
            body: None,
        };
        vec![event; count]
    }

    fn compared(all: &[Vec<Event>]) -> Compared {
        let [real, replayed] = [["a"], ["b"]].map(|names| names.map(str::to_owned).into());
        compare(&all.concat(), &real, &replayed)
    }

    #[test]
    fn agents_with_the_same_requests_are_alike() {
        let same = compared(&[events("a", "get", 40), events("b", "get", 41)]);
        assert!(same.alike(), "{same:?}");
        assert!((same.real - 40.0).abs() < 1e-9 && (same.difference - 2.5).abs() < 1e-9);
    }

    #[test]
    fn other_numbers_and_missing_kinds_are_reported() {
        let fewer = compared(&[events("a", "get", 40), events("b", "get", 20)]);
        assert!(!fewer.alike(), "{fewer:?}");
        let few = compared(&[events("a", "get", 2), events("b", "get", 1)]);
        assert!(!few.alike(), "{few:?}");
        let missing =
            compared(&[events("a", "get", 40), events("a", "list", 3), events("b", "get", 40)]);
        assert_eq!((missing.alike(), missing.missing), (false, vec!["list leases: ".to_owned()]));
    }
}
