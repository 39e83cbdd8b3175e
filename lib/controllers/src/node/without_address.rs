//! Pods of this node that run with a pool's label and hold no address: they were created while the
//! admission policies were away, or opt out of them without containers of FireCamp.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use firecamp_core::ids::{Member, PodUid};
use firecamp_core::ports::PodLifecycle;
use firecamp_core::record::{Attachment, State};
use firecamp_core::time::Moment;

use super::Listing;

/// A pod's status and its StaticIP arrive by separate watches.
const PATIENCE: Duration = Duration::from_secs(30);

/// Since when each of them has been seen, and which ones were reported.
#[derive(Debug, Default)]
pub(super) struct WithoutAddress {
    since: BTreeMap<PodUid, Moment>,
    reported: BTreeSet<PodUid>,
}

impl WithoutAddress {
    /// Those that are to be reported now: each one once.
    /// Pods that hold a lock of this node have one, whatever the watches say.
    pub(super) fn step(
        &mut self,
        (listing, locked): (&Listing, &BTreeSet<PodUid>),
        now: Moment,
    ) -> Vec<(Member, PodUid)> {
        let Some(pods) = listing.local_pods.as_ref().filter(|_| listing.unread.is_empty()) else {
            return Vec::new();
        };
        let held = |at: &&Attachment| matches!(at.state, State::Attaching | State::Attached);
        let records = listing.records.values().filter_map(|record| record.attachment.as_ref());
        let holders = records.filter(held).map(|held| &held.pod).chain(locked);
        let holders: BTreeSet<&PodUid> = holders.collect();
        let without = pods.iter().filter(|(_, pod)| {
            pod.expects_address
                && pod.lifecycle == PodLifecycle::Running
                && !holders.contains(&pod.pod)
        });
        let without: BTreeMap<&PodUid, &Member> =
            without.map(|(member, pod)| (&pod.pod, member)).collect();
        self.since.retain(|pod, _| without.contains_key(pod));
        self.reported.retain(|pod| without.contains_key(pod));
        let mut due = Vec::new();
        for (pod, member) in without {
            let since = *self.since.entry(pod.clone()).or_insert(now);
            if now.since(since) >= PATIENCE && self.reported.insert(pod.clone()) {
                due.push((member.clone(), pod.clone()));
            }
        }
        due
    }

    /// How many there are.
    pub(super) fn count(&self) -> usize {
        self.reported.len()
    }
}
