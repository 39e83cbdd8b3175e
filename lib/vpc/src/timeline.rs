//! The history of commits, and when each view shows them: data path, Describe, metadata.
//!
//! Commits have one total order. Each reader sees a prefix of it, with a lag per kind of view and
//! commit. "The newest commit that this reader sees now" only grows, so reads never go back in
//! time.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::Duration;

use ipnet::Ipv4Net;

use crate::log::{Commit, Move};
use crate::model::{Eni, Id, VpcState};
use crate::profile::{Distribution, Profile};
use crate::rng::{SeededRng, key_of};
use crate::simulator::micros;

/// States kept for lagging readers; the longest lag is far shorter than this many commits.
const MAX_SNAPSHOTS: usize = 4_096;
/// The largest number of commits in the log.
const MAX_COMMITS: usize = 100_000;
/// The largest number of kept owners per address, and of metadata events per key.
const MAX_HISTORY: usize = 256;

/// A view of the state.
#[derive(Debug, Clone, Copy)]
pub(crate) enum View {
    Describe,
    FreeCount,
    Volumes,
}

/// The state after a commit.
#[derive(Debug, Clone)]
struct Snapshot {
    seq: u64,
    at: Duration,
    vpc: Arc<VpcState>,
}

/// A change of an address's owner.
#[derive(Debug, Clone)]
pub(crate) struct Transition {
    pub(crate) at: Duration,
    pub(crate) eni: Option<Id>,
    pub(crate) by: String,
    pub(crate) remap_at: Duration,
    pub(crate) imds_added_at: Option<Duration>,
}

/// An item that the metadata service lists for an ENI.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Item {
    /// The ENI itself, on this instance.
    Attached(Id),
    Address(Ipv4Addr),
    Prefix(Ipv4Net),
}

/// How much of a listed ENI the metadata service of an instance shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ListingStage {
    /// Its MAC and its ID, and 404 for most keys.
    Bare,
    /// Everything, but the device number reads 0.
    Unnumbered,
    Whole,
}

#[derive(Debug, Clone)]
struct ImdsEvent {
    seq: u64,
    visible_at: Duration,
    listed: bool,
}

/// The history.
#[derive(Debug, Clone)]
pub(crate) struct Timeline {
    rng: SeededRng,
    profile: Profile,
    snapshots: VecDeque<Snapshot>,
    commits: VecDeque<Commit>,
    owners: BTreeMap<Ipv4Addr, VecDeque<Transition>>,
    imds: BTreeMap<Id, BTreeMap<Item, VecDeque<ImdsEvent>>>,
    /// The ENIs that each instance ever had: its metadata service lists no others, and each of a
    /// thousand agents asks it every few seconds.
    had: BTreeMap<Id, BTreeSet<Id>>,
    /// ENIs as they were last attached, for hosts that still list them.
    last_seen: BTreeMap<Id, Arc<Eni>>,
    last_seq: u64,
    /// How many data paths have switched.
    switches: u64,
}

/// The author of a commit, and its action.
#[derive(Debug, Clone)]
pub(crate) struct Author {
    pub(crate) by: String,
    pub(crate) call: Option<u64>,
    pub(crate) what: String,
}

impl Timeline {
    /// A timeline with the initial state, which is visible everywhere.
    pub(crate) fn new(rng: SeededRng, profile: &Profile, first: &VpcState) -> Self {
        let mut timeline = Self {
            rng,
            profile: *profile,
            snapshots: VecDeque::new(),
            commits: VecDeque::new(),
            owners: BTreeMap::new(),
            imds: BTreeMap::new(),
            had: BTreeMap::new(),
            last_seen: BTreeMap::new(),
            last_seq: 0,
            switches: 0,
        };
        let vpc = Arc::new(first.clone());
        timeline.snapshots.push_back(Snapshot { seq: 0, at: Duration::ZERO, vpc });
        for eni in first.enis.values() {
            for address in eni.addresses() {
                let history = timeline.owners.entry(address).or_default();
                history.push_back(Transition {
                    at: Duration::ZERO,
                    eni: Some(Arc::clone(&eni.id)),
                    by: "spec".to_owned(),
                    remap_at: Duration::ZERO,
                    imds_added_at: Some(Duration::ZERO),
                });
            }
            for item in items(eni) {
                timeline.list(&eni.id, item, 0, Duration::ZERO, true);
            }
            timeline.last_seen.insert(Arc::clone(&eni.id), Arc::clone(eni));
        }
        timeline
    }

    /// The current state.
    pub(crate) fn latest(&self) -> Arc<VpcState> {
        self.snapshots.back().map(|s| Arc::clone(&s.vpc)).unwrap_or_default()
    }

    /// The number of the latest commit.
    pub(crate) fn last_seq(&self) -> u64 {
        self.last_seq
    }

    /// A data path switches.
    pub(crate) fn switched(&mut self) {
        self.switches += 1;
    }

    /// The number of commits and of switches of data paths.
    pub(crate) fn changes(&self) -> u64 {
        self.last_seq + self.switches
    }

    /// Commits a state. Returns the times at which data paths switch.
    pub(crate) fn commit(&mut self, at: Duration, author: Author, next: VpcState) -> Vec<Duration> {
        let before = self.latest();
        self.last_seq += 1;
        let seq = self.last_seq;
        let moves = moves(&before, &next);
        let mut switches = Vec::new();
        for change in &moves {
            let remap_at = at + self.lag(&self.profile.data_path_remap, "remap", seq, change);
            switches.push(remap_at);
            let history = self.owners.entry(change.address).or_default();
            history.push_back(Transition {
                at,
                eni: change.after.as_deref().map(Arc::from),
                by: author.by.clone(),
                remap_at,
                imds_added_at: None,
            });
            if history.len() > MAX_HISTORY {
                history.pop_front();
            }
        }
        self.schedule_imds(at, seq, &before, &next);
        let Author { by, call, what } = author;
        self.commits.push_back(Commit { seq, at_us: micros(at), by, call, what, moves });
        if self.commits.len() > MAX_COMMITS {
            self.commits.pop_front();
        }
        for eni in next.enis.values().filter(|eni| eni.attachment.is_some()) {
            self.last_seen.insert(Arc::clone(&eni.id), Arc::clone(eni));
        }
        self.snapshots.push_back(Snapshot { seq, at, vpc: Arc::new(next) });
        if self.snapshots.len() > MAX_SNAPSHOTS {
            self.snapshots.pop_front();
        }
        switches
    }

    fn lag(&self, from: &Distribution, stream: &str, seq: u64, change: &Move) -> Duration {
        self.rng.draw(from, stream, seq, u64::from(u32::from(change.address)))
    }

    /// Records what the metadata services will list and when.
    fn schedule_imds(&mut self, at: Duration, seq: u64, before: &VpcState, next: &VpcState) {
        let ids: BTreeSet<&Id> = before.enis.keys().chain(next.enis.keys()).collect();
        for id in ids {
            let (old, new) = (before.enis.get(id), next.enis.get(id));
            if let (Some(old), Some(new)) = (old, new)
                && Arc::ptr_eq(old, new)
            {
                continue;
            }
            let had = old.map(|eni| items(eni)).unwrap_or_default();
            let has = new.map(|eni| items(eni)).unwrap_or_default();
            for item in had.iter().filter(|item| !has.contains(item)) {
                let key = key_of(&format!("{id}{item:?}"));
                let lag = self.rng.draw(&self.profile.imds_removal_lag, "imds-", seq, key);
                self.list(id, item.clone(), seq, at + lag, false);
            }
            for item in has.iter().filter(|item| !had.contains(item)) {
                let key = key_of(&format!("{id}{item:?}"));
                let lag = self.rng.draw(&self.profile.imds_add_lag, "imds+", seq, key);
                let visible_at = self.not_before_remap(item, at + lag);
                self.list(id, item.clone(), seq, visible_at, true);
            }
        }
    }

    /// The metadata service never lists a new address before its data path has switched.
    fn not_before_remap(&mut self, item: &Item, visible_at: Duration) -> Duration {
        let addresses = match item {
            Item::Attached(_) => return visible_at,
            Item::Address(address) => vec![*address],
            Item::Prefix(net) => crate::model::all_of(*net).collect(),
        };
        let latest = |timeline: &Self, address: &Ipv4Addr| {
            timeline.owners.get(address).and_then(|h| h.back()).map(|t| t.remap_at)
        };
        let remap = addresses.iter().filter_map(|address| latest(self, address)).max();
        let visible_at = remap.map_or(visible_at, |remap| remap.max(visible_at));
        for address in &addresses {
            if let Some(last) = self.owners.get_mut(address).and_then(VecDeque::back_mut) {
                last.imds_added_at = Some(visible_at);
            }
        }
        visible_at
    }

    fn list(&mut self, eni: &Id, item: Item, seq: u64, visible_at: Duration, listed: bool) {
        if let Item::Attached(instance) = &item {
            self.had.entry(Arc::clone(instance)).or_default().insert(Arc::clone(eni));
        }
        let events = self.imds.entry(Arc::clone(eni)).or_default().entry(item).or_default();
        events.push_back(ImdsEvent { seq, visible_at, listed });
        if events.len() > MAX_HISTORY {
            events.pop_front();
        }
    }

    /// The state as this reader sees it now.
    pub(crate) fn visible(&self, view: View, reader: &str, now: Duration) -> Arc<VpcState> {
        let (from, stream) = match view {
            View::Describe => (&self.profile.describe_lag, "describe"),
            View::FreeCount => (&self.profile.free_count_lag, "free-count"),
            View::Volumes => (&self.profile.volume_lag, "volumes"),
        };
        let reader = key_of(reader);
        self.newest(|seq| self.rng.draw(from, stream, seq, reader), now)
    }

    /// The state at a time.
    pub(crate) fn at(&self, then: Duration) -> Arc<VpcState> {
        self.newest(|_| Duration::ZERO, then)
    }

    fn newest(&self, lag: impl Fn(u64) -> Duration, now: Duration) -> Arc<VpcState> {
        let visible = |s: &&Snapshot| s.seq == 0 || s.at + lag(s.seq) <= now;
        let found = self.snapshots.iter().rev().find(visible).or(self.snapshots.front());
        found.map(|s| Arc::clone(&s.vpc)).unwrap_or_default()
    }

    /// The ENI that receives packets for an address.
    pub(crate) fn receiver(&self, address: Ipv4Addr, now: Duration) -> Option<&Id> {
        let history = self.owners.get(&address)?;
        history.iter().rev().find(|t| t.remap_at <= now).and_then(|t| t.eni.as_ref())
    }

    /// Every address that an ENI held, with its owners.
    pub(crate) fn owners(&self) -> &BTreeMap<Ipv4Addr, VecDeque<Transition>> {
        &self.owners
    }

    /// The addresses of a subnet that no ENI holds now, the most recently freed first.
    pub(crate) fn freed(&self) -> Vec<Ipv4Addr> {
        let mut freed: Vec<(Duration, Ipv4Addr)> = self
            .owners
            .iter()
            .filter_map(|(address, history)| history.back().map(|t| (address, t)))
            .filter(|(_, last)| last.eni.is_none())
            .map(|(address, last)| (last.at, *address))
            .collect();
        freed.sort_by(|a, b| b.cmp(a));
        freed.into_iter().map(|(_, address)| address).collect()
    }

    /// What the metadata service of an instance lists: ENIs with the addresses and prefixes of
    /// each, in the order in which they were added.
    pub(crate) fn listed(&self, instance: &str, now: Duration) -> Vec<(Arc<Eni>, Vec<Item>)> {
        let mut found = Vec::new();
        let had = self.had.get(instance).into_iter().flatten();
        for (id, items) in had.filter_map(|id| Some((id, self.imds.get(id)?))) {
            let state = |events: &VecDeque<ImdsEvent>| {
                let last = events.iter().rev().find(|event| event.visible_at <= now)?;
                last.listed.then_some(last.seq)
            };
            let attached = items.iter().any(|(item, events)| {
                matches!(item, Item::Attached(to) if &**to == instance) && state(events).is_some()
            });
            if let (true, Some(eni)) = (attached, self.last_seen.get(id)) {
                let mut shown: Vec<(u64, Item)> = items
                    .iter()
                    .filter(|(item, _)| !matches!(item, Item::Attached(_)))
                    .filter_map(|(item, events)| Some((state(events)?, item.clone())))
                    .collect();
                shown.sort();
                found.push((Arc::clone(eni), shown.into_iter().map(|(_, item)| item).collect()));
            }
        }
        found
    }

    /// How much of a listed ENI the metadata service of an instance shows.
    pub(crate) fn listing_stage(&self, eni: &Id, instance: &Id, now: Duration) -> ListingStage {
        let events = self.imds.get(eni).and_then(|all| all.get(&Item::Attached(instance.clone())));
        let shown = |events: &VecDeque<ImdsEvent>| {
            let last = events.iter().rev().find(|event| event.visible_at <= now)?;
            Some((last.seq, last.visible_at))
        };
        // Items from the start are complete.
        let Some((seq, since)) = events.and_then(shown).filter(|(seq, _)| *seq > 0) else {
            return ListingStage::Whole;
        };
        let takes = self.rng.draw(&self.profile.imds_settle, "imds-settle", seq, key_of(eni));
        if now < since + takes / 2 {
            ListingStage::Bare
        } else if now < since + takes {
            ListingStage::Unnumbered
        } else {
            ListingStage::Whole
        }
    }

    /// The commits after a number.
    pub(crate) fn commits(&self, since: u64) -> Vec<Commit> {
        self.commits.iter().filter(|commit| commit.seq > since).cloned().collect()
    }
}

/// The items of an ENI. The primary address is part of the ENI itself.
pub(crate) fn items(eni: &Eni) -> Vec<Item> {
    let attached = eni.attachment.iter().map(|a| Item::Attached(Arc::clone(&a.instance)));
    let addresses = eni.secondary.iter().map(|address| Item::Address(*address));
    attached.chain(addresses).chain(eni.prefixes.iter().map(|net| Item::Prefix(*net))).collect()
}

/// The addresses whose holder changed.
fn moves(before: &VpcState, after: &VpcState) -> Vec<Move> {
    let mut changed: BTreeMap<Ipv4Addr, (Option<&Id>, Option<&Id>)> = BTreeMap::new();
    for (id, eni) in &before.enis {
        if !after.enis.get(id).is_some_and(|same| Arc::ptr_eq(same, eni)) {
            eni.addresses().for_each(|a| changed.entry(a).or_default().0 = Some(id));
        }
    }
    for (id, eni) in &after.enis {
        if !before.enis.get(id).is_some_and(|same| Arc::ptr_eq(same, eni)) {
            eni.addresses().for_each(|a| changed.entry(a).or_default().1 = Some(id));
        }
    }
    let text = |id: Option<&Id>| id.map(ToString::to_string);
    changed
        .into_iter()
        .filter(|(_, (before, after))| before != after)
        .map(|(address, (before, after))| Move {
            address,
            before: text(before),
            after: text(after),
        })
        .collect()
}
