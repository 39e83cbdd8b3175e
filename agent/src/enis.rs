//! ENIs that the system left down: brought up once, when they first appear.
//!
//! Guarantees: only a link of an ENI that FireCamp is known to be free to use, that is not the
//! primary one, that is in the subnet of a pool, that has no address of anybody's, and that has
//! not been up since it appeared. Whoever takes a link down later has his reasons; an address that
//! belongs on it brings it up again by being restored.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use firecamp_core::ids::{EniId, Mac};
use firecamp_core::node::Eni;
use firecamp_core::time::Moment;
use firecamp_host::LinkSeen;

/// Between two attempts for one link.
const PAUSE: Duration = Duration::from_secs(30);

/// What is remembered of links, by index: a link that comes again has another one.
#[derive(Debug, Default)]
pub(crate) struct Raiser {
    was_up: BTreeSet<u32>,
    tried: BTreeMap<u32, Moment>,
}

impl Raiser {
    /// The links to bring up now, each with its ENI; they count as tried.
    pub(crate) fn due(
        &mut self,
        links: &[LinkSeen],
        enis: &[Eni],
        usable: impl Fn(&EniId) -> bool,
        now: Moment,
    ) -> Vec<(EniId, Mac)> {
        let there: BTreeSet<u32> = links.iter().map(|link| link.index).collect();
        self.was_up.retain(|index| there.contains(index));
        self.tried.retain(|index, _| there.contains(index));
        self.was_up.extend(links.iter().filter(|link| link.up).map(|link| link.index));
        let mut due = Vec::new();
        for link in links {
            let own = |eni: &&Eni| eni.mac == link.mac && eni.device_index != 0;
            let eni = enis.iter().find(own).filter(|eni| usable(&eni.id));
            let rests = self.tried.get(&link.index).is_some_and(|at| now.since(*at) < PAUSE);
            let Some(eni) = eni.filter(|_| link.bare && !rests) else { continue };
            if !self.was_up.contains(&link.index) {
                self.tried.insert(link.index, now);
                due.push((eni.id.clone(), link.mac));
            }
        }
        due
    }
}

#[cfg(test)]
#[path = "enis_tests.rs"]
mod tests;
