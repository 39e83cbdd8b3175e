//! One term: watches of the whole cluster, passes over what they tell, and renewals, side by side
//! until the term is over.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use firecamp_controllers::leader::{
    Answers, Cluster, Planner, Questions, Site, View, timing, usage,
};
use firecamp_core::ids::Member;
use firecamp_core::outside::{Cloud, Owner};
use firecamp_core::record::StaticIp;
use tokio::time::{Instant, sleep, timeout};
use tokio_util::sync::CancellationToken;

use super::atlas::Atlas;
use super::duties::Facts;
use super::{RETRY, Steward, in_time};
use crate::source::follow;

/// The first pass comes as soon as everything is listed; it is looked for so often.
const FIRST_LOOK: Duration = Duration::from_secs(1);
/// So long may EC2 or the metadata service take over one read.
const READ_BOUND: Duration = Duration::from_secs(10);

impl<C: Cloud> Steward<C> {
    /// Acts as the holder until the Lease is lost or the end comes. What is under way then ends
    /// between two steps, and at the process's end within [`super::LAST_CALL`].
    pub(super) async fn tenure(&self, end: &CancellationToken) {
        let term = end.child_token();
        self.outside.cloud.forget();
        let atlas = RefCell::new(Atlas::default());
        let renewals = async {
            in_time(end, self.renew(&term)).await;
            term.cancel();
        };
        let watches = async {
            tokio::select! {
                () = term.cancelled() => {}
                () = self.watch(&atlas) => {}
            }
        };
        tokio::join!(renewals, watches, in_time(end, self.passes(&atlas, &term)));
    }

    async fn watch(&self, atlas: &RefCell<Atlas>) {
        let (addresses, claims) = (self.cluster.addresses(), self.cluster.claims());
        let (pools, sets) = (self.cluster.pools(), self.cluster.sets());
        let nodes = self.cluster.nodes();
        tokio::join!(
            follow(&addresses, |told| atlas.borrow_mut().addresses(told)),
            follow(&claims, |told| atlas.borrow_mut().claims(told)),
            follow(&pools, |told| atlas.borrow_mut().pools(told)),
            follow(&sets, |told| atlas.borrow_mut().sets(told)),
            follow(&nodes, |told| atlas.borrow_mut().nodes(told)),
        );
    }

    /// Renews until the Lease is lost.
    async fn renew(&self, term: &CancellationToken) {
        let mut pause = timing::RENEW_EVERY;
        loop {
            let Some(left) = self.candidate.borrow().left(self.now()) else { return };
            tokio::select! {
                () = term.cancelled() => return,
                () = sleep(pause.min(left)) => {}
            }
            let Some(left) = self.candidate.borrow().left(self.now()) else { return };
            // An answer that comes after the term is no renewal in time.
            let _late = timeout(left, self.stand()).await;
            let now = self.candidate.borrow().left(self.now());
            let renewed = now.is_some_and(|now| now > left);
            pause = if renewed { timing::RENEW_EVERY } else { RETRY };
        }
    }

    async fn passes(&self, atlas: &RefCell<Atlas>, term: &CancellationToken) {
        let mut planner = Planner::default();
        let mut site =
            Site { node: self.node.clone(), cluster: self.name.clone(), subnets: BTreeMap::new() };
        loop {
            let whole = atlas.borrow().view().is_some();
            if whole {
                tokio::select! {
                    () = term.cancelled() => return,
                    () = self.look_around(&mut site) => {}
                }
                self.pass(&mut planner, atlas, &site, term).await;
                if self.outside.cloud.is_deaf() {
                    return term.cancel();
                }
            }
            let pause = if whole { timing::PASS_EVERY } else { FIRST_LOOK };
            tokio::select! {
                () = term.cancelled() => return,
                () = sleep(pause) => {}
            }
        }
    }

    /// The subnets that this machine has an ENI in. What is not told stands as it was.
    async fn look_around(&self, site: &mut Site) {
        if let Ok(Ok(identity)) = timeout(READ_BOUND, self.outside.cloud.identity()).await {
            let subnet = |eni: firecamp_core::node::Eni| (eni.subnet, eni.cidr);
            site.subnets = identity.enis.into_iter().map(subnet).collect();
        }
    }

    /// What was told may change between question, plan and deed; each of them sees it as it is.
    /// Where the API server or EC2 is slow, what is urgent is not kept waiting by all the rest.
    async fn pass(
        &self,
        planner: &mut Planner,
        atlas: &RefCell<Atlas>,
        site: &Site,
        term: &CancellationToken,
    ) {
        let look = |view| {
            self.shown.sees(&usage(view));
            asked(view, planner.ask(view, site))
        };
        let asked = atlas.borrow().view().map(look);
        let Some(asked) = asked else { return };
        let begun = Instant::now();
        let answers = tokio::select! {
            () = term.cancelled() => return,
            answers = self.answers(asked, begun) => answers,
        };
        let now = self.now();
        let duties = atlas.borrow().view().map(|view| {
            let with_facts = |duty| (Facts::of(&duty, view), duty);
            let duties = planner.plan(view, site, &answers, now).into_iter();
            duties.map(with_facts).collect::<Vec<_>>()
        });
        for (facts, duty) in duties.into_iter().flatten() {
            if term.is_cancelled() || !self.holds() {
                return;
            }
            if begun.elapsed() >= timing::PASS_BOUND {
                tracing::warn!(%duty, "A pass takes too long: from this on, all is planned anew");
                return;
            }
            self.perform(&duty, &facts, term).await;
        }
    }

    /// What cannot be read, or not in time, is left out.
    async fn answers(&self, asked: Asked, begun: Instant) -> Answers {
        let mut answers = Answers::default();
        for record in asked.records {
            let address = record.address;
            if begun.elapsed() >= timing::ASK_BOUND / 2 {
                answers.unasked_owners.insert(address);
                continue;
            }
            let read = self.outside.cloud.owner(address, &record.subnet);
            match timeout(READ_BOUND, read).await {
                Ok(Ok(owner)) => drop(answers.held.insert(address, is_held(&record, &owner))),
                Ok(Err(why)) => tracing::warn!(%address, error = %why, "Its owner is not known"),
                Err(_elapsed) => tracing::warn!(%address, "EC2 does not say who owns it"),
            }
        }
        for member in asked.members {
            if begun.elapsed() >= timing::ASK_BOUND {
                answers.unasked_pods.insert(member);
                continue;
            }
            match self.cluster.pod(&member).await {
                Ok(seen) => drop(answers.pods.insert(member, seen)),
                Err(why) => tracing::warn!(%member, error = %why, "A pod cannot be read"),
            }
        }
        answers
    }
}

/// What a pass asks, the most urgent first.
struct Asked {
    /// The addresses that EC2 is asked about.
    records: Vec<StaticIp>,
    /// Whose pods are read.
    members: Vec<Member>,
}

/// The questions, with the records of the addresses that EC2 is asked about.
fn asked(view: &View, Questions { pods, owners }: Questions) -> Asked {
    let record = |address| Some(view.addresses.get(&address)?.as_ref()?.record.clone());
    let records = owners.into_iter().filter_map(record).collect();
    let mut once = BTreeSet::new();
    let members = pods.into_iter().filter(|member| once.insert(member.clone())).collect();
    Asked { records, members }
}

/// Whether it is on an ENI that the record names and that is attached to a machine.
fn is_held(record: &StaticIp, owner: &Owner) -> bool {
    matches!(owner, Owner::Eni(holder)
        if holder.instance.is_some() && record.recorded_enis().contains(&holder.id))
}
