//! Sets up links of ENIs that the operating system left unconfigured.
//!
//! Guarantees: only links of secondary ENIs that FireCamp may use, that are in the subnet of a
//! pool, and have no address but members'. A link that something sets down after it was up stays
//! down until an address on it is restored.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use firecamp_core::ids::EniId;
use firecamp_core::node_identity::Eni;
use firecamp_core::time::Moment;
use firecamp_node::kernel::ObservedLink;

/// How long a link must be up without an address before it counts as unconfigured: DHCP may be
/// about to configure it.
const PATIENCE: Duration = Duration::from_secs(30);
/// Interval between two attempts for one link.
const PAUSE: Duration = Duration::from_secs(30);

/// The history of links by index; a link that reappears has a new index.
#[derive(Debug, Default)]
pub(super) struct LinkRaiser {
    was_up: BTreeSet<u32>,
    /// Since when links are up without an address.
    bare_since: BTreeMap<u32, Moment>,
    tried: BTreeMap<u32, Moment>,
}

impl LinkRaiser {
    /// The ENIs whose links to set up now. They count as tried.
    pub(super) fn due(
        &mut self,
        links: &[ObservedLink],
        enis: &[Eni],
        usable: impl Fn(&EniId) -> bool,
        now: Moment,
    ) -> Vec<Eni> {
        let there: BTreeSet<u32> = links.iter().map(|link| link.index).collect();
        self.was_up.retain(|index| there.contains(index));
        self.tried.retain(|index, _| there.contains(index));
        self.was_up.extend(links.iter().filter(|link| link.up).map(|link| link.index));
        self.bare_since.retain(|index, _| {
            links.iter().any(|link| link.index == *index && link.up && link.bare)
        });
        let mut due = Vec::new();
        for link in links {
            let own = |eni: &&Eni| eni.mac == link.mac && eni.device_index != 0;
            let eni = enis.iter().find(own).filter(|eni| usable(&eni.id));
            let backing_off = self.tried.get(&link.index).is_some_and(|at| now.since(*at) < PAUSE);
            let Some(eni) = eni.filter(|_| link.bare && !backing_off) else { continue };
            let since = link.up.then(|| *self.bare_since.entry(link.index).or_insert(now));
            let lasts = since.is_some_and(|since| now.since(since) >= PATIENCE);
            if lasts || !self.was_up.contains(&link.index) {
                self.tried.insert(link.index, now);
                due.push(eni.clone());
            }
        }
        due
    }
}

#[cfg(test)]
#[path = "link_up_tests.rs"]
mod tests;
