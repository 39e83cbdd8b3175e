//! The watch events of StaticIPs that reach replayed agents.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::time::Instant;

/// The events for each version of a StaticIP.
#[derive(Debug, Default)]
pub(super) struct Arrivals(Mutex<ByVersion>);

/// By name and version.
type ByVersion = HashMap<(String, String), Vec<Arrival>>;

/// A watch event.
#[derive(Debug)]
struct Arrival {
    /// The node of the agent that received it.
    node: String,
    at: Instant,
}

impl Arrivals {
    fn lock(&self) -> MutexGuard<'_, ByVersion> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The agent of this node has received this version of a StaticIP.
    pub(super) fn add(&self, node: String, name: String, version: String) {
        let arrival = Arrival { node, at: Instant::now() };
        self.lock().entry((name, version)).or_default().push(arrival);
    }

    /// When the agent of this node received this version of a StaticIP.
    pub(super) fn at(&self, node: &str, name: &str, version: &str) -> Option<Instant> {
        let all = self.lock();
        let arrivals = all.get(&(name.to_owned(), version.to_owned()))?;
        arrivals.iter().find(|one| one.node == node).map(|one| one.at)
    }

    /// The largest number of events for one version, whichever agents received them.
    pub(super) fn most(&self) -> u32 {
        let most = self.lock().values().map(Vec::len).max().unwrap_or_default();
        u32::try_from(most).unwrap_or(u32::MAX)
    }

    /// Forgets all events.
    pub(super) fn forget(&self) {
        self.lock().clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_at_another_agent_counts_and_is_no_arrival_at_the_node() {
        let arrivals = Arrivals::default();
        let add = |node: &str, version: &str| {
            arrivals.add(node.to_owned(), "10.0.4.1".to_owned(), version.to_owned());
        };
        let is_seen = |version| arrivals.at("node-1", "10.0.4.1", version).is_some();
        add("node-2", "12");
        assert!(!is_seen("12"));
        add("node-1", "12");
        add("node-1", "13");
        assert!(is_seen("12") && is_seen("13") && !is_seen("14"));
        assert_eq!(arrivals.most(), 2);
        add("node-1", "13");
        add("node-1", "13");
        assert_eq!(arrivals.most(), 3, "an agent that receives the same version again counts");
        arrivals.forget();
        assert_eq!((arrivals.most(), is_seen("12")), (0, false));
    }
}
