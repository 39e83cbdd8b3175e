//! One turn of the loop: look, plan, begin, tell.

use std::collections::BTreeSet;
use std::net::Ipv4Addr;
use std::time::Duration;

use firecamp_core::agent::{Duty, Seen, Sight, plan};
use firecamp_core::record::State;
use firecamp_node::preflight::{Condition, Weight};
use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::Agent;
use crate::errands::kind;
use crate::outside::World;
use crate::source::Source;
use crate::status::Kind;
use crate::work::News;

/// Between two bulletins.
const BULLETIN_PAUSE: Duration = Duration::from_millis(900);

impl<W: World> Agent<'_, W> {
    /// Looks at what is stale, plans, and begins what there is to do.
    pub(super) async fn turn(&mut self, end: &CancellationToken, work: &mut JoinSet<News>) {
        let begun = Instant::now();
        self.look().await;
        self.list(work);
        let sight = self.state.sight(self.now());
        self.tell(&sight);
        self.act(&sight, end, work);
        self.raise_links(work);
        if let Some(snapshot) = self.state.snapshot() {
            self.keep.write(snapshot);
        }
        self.keep.bar(self.preflight.verdicts());
        // What is only now being listed may be what the news were about.
        self.told = self.told.filter(|_| self.listing);
        let current = self.outside.source().is_current();
        self.status.current.set(i64::from(current));
        self.tell_what_is_known();
        if self.state.is_complete() {
            self.status.is_ready_now();
        }
        self.status.came_round(begun.elapsed());
    }

    /// What else there is to do where a restore is under way or has failed: what the kernel does
    /// not take back must not hide that EC2 has lost the address as well.
    fn beside_restores(&self, sight: &Sight) -> Vec<Duty> {
        let restores = |seen: &&Seen| {
            let address = seen.record.address;
            self.busy.contains_key(&(address, Kind::Restore))
                || self.is_resting(address, Kind::Restore)
        };
        let mut rest = Sight::new(sight.node.clone(), sight.cluster.clone(), sight.gone.clone());
        let addresses = sight.addresses.iter().filter(restores).cloned();
        rest.addresses = addresses.map(|seen| Seen { lacking: None, ..seen }).collect();
        plan(&rest, self.now())
    }

    /// Begins what the plan and the collector name.
    fn act(&mut self, sight: &Sight, end: &CancellationToken, work: &mut JoinSet<News>) {
        let mut duties = plan(sight, self.now());
        duties.extend(self.beside_restores(sight));
        if duties.is_empty() {
            self.rests.retain(|_, rest| !rest.is_over());
        }
        let errand = |duty| self.state.subject(duty).map(|(address, _)| (address, kind(duty)));
        let planned: BTreeSet<(Ipv4Addr, Kind)> = duties.iter().filter_map(errand).collect();
        // Between two re-asserts nothing is planned, and nothing is well.
        let is_astray = |address: &Ipv4Addr| {
            sight.addresses.iter().any(|s| s.record.address == *address && s.astray.is_some())
        };
        self.failing.retain(|errand, _| {
            let (address, kind) = errand;
            planned.contains(errand) || (*kind == Kind::Reassert && is_astray(address))
        });
        for duty in duties {
            if !self.is_withheld(&duty) {
                self.begin(duty, end, work);
            }
        }
        for address in std::mem::take(&mut self.leftovers) {
            if let Some(duty) = self.collection(address) {
                self.begin(duty, end, work);
            }
        }
    }

    /// Once a second at most: nobody looks more often.
    fn tell_what_is_known(&mut self) {
        if self.bulletin_at.is_none_or(|at| at.elapsed() >= BULLETIN_PAUSE) {
            self.bulletin_at = Some(Instant::now());
            let mut facts = self.state.facts(&self.failing);
            self.preflight.tell(&mut facts);
            self.bulletin.tell(facts);
        }
    }

    fn tell(&self, sight: &Sight) {
        let here = |seen: &&Seen| {
            seen.record
                .attachment
                .as_ref()
                .is_some_and(|a| a.node == sight.node && a.state == State::Attached)
        };
        let count = |which: &dyn Fn(&Seen) -> bool| {
            let all = sight.addresses.iter().filter(here).filter(|seen| which(seen));
            i64::try_from(all.count()).unwrap_or(i64::MAX)
        };
        let blocks = |one: &&Condition| one.weight() == Weight::Blocks;
        let blocks = self.preflight.conditions().iter().filter(blocks).count();
        self.status.blocks.set(i64::try_from(blocks).unwrap_or(i64::MAX));
        let lacking = |seen: &Seen| self.state.is_lacking(seen.record.address);
        self.status.attached.set(count(&|_| true));
        self.status.lacking.set(count(&lacking));
        self.status.astray.set(count(&|seen| seen.astray.is_some()));
    }
}
