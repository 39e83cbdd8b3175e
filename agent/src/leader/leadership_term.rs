//! One leadership term: watches of the cluster, passes over the cache, and renewals of the Lease
//! run concurrently until the term is over.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use firecamp_controllers::leader::{
    Cluster, Planner, Queries, QueryResults, Site, View, timing, usage,
};
use firecamp_core::ids::Member;
use firecamp_core::ports::{Cloud, Owner};
use firecamp_core::record::StaticIp;
use tokio::time::{Instant, sleep, timeout};
use tokio_util::sync::CancellationToken;

use super::cache::ClusterCache;
use super::operations::Facts;
use super::{Leader, RETRY, in_time};
use crate::source::follow;

/// Poll interval until everything is listed and the first pass can start.
const FIRST_PASS_POLL: Duration = Duration::from_secs(1);
/// Bound of one read of EC2 or the metadata service.
const READ_BOUND: Duration = Duration::from_secs(10);

impl<C: Cloud> Leader<C> {
    /// Acts as leader until the Lease is lost or `end` is cancelled. A running operation then stops
    /// between two steps, and at the end of the process within [`super::LAST_CALL`].
    pub(super) async fn leadership_term(&self, end: &CancellationToken) {
        let term = end.child_token();
        self.ports.cloud.reset();
        let cache = RefCell::new(ClusterCache::default());
        let renewals = async {
            in_time(end, self.renew(&term)).await;
            term.cancel();
        };
        let watches = async {
            tokio::select! {
                () = term.cancelled() => {}
                () = self.watch(&cache) => {}
            }
        };
        tokio::join!(renewals, watches, in_time(end, self.passes(&cache, &term)));
    }

    async fn watch(&self, cache: &RefCell<ClusterCache>) {
        let (addresses, claims) = (self.cluster.addresses(), self.cluster.claims());
        let (pools, sets) = (self.cluster.pools(), self.cluster.sets());
        let nodes = self.cluster.nodes();
        tokio::join!(
            follow(&addresses, |reported| cache.borrow_mut().addresses(reported)),
            follow(&claims, |reported| cache.borrow_mut().claims(reported)),
            follow(&pools, |reported| cache.borrow_mut().pools(reported)),
            follow(&sets, |reported| cache.borrow_mut().sets(reported)),
            follow(&nodes, |reported| cache.borrow_mut().nodes(reported)),
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
            // An answer after the term is too late for a renewal.
            let _late = timeout(left, self.acquire_or_renew()).await;
            let now = self.candidate.borrow().left(self.now());
            let renewed = now.is_some_and(|now| now > left);
            pause = if renewed { timing::RENEW_EVERY } else { RETRY };
        }
    }

    async fn passes(&self, cache: &RefCell<ClusterCache>, term: &CancellationToken) {
        let mut planner = Planner::default();
        let mut site =
            Site { node: self.node.clone(), cluster: self.name.clone(), subnets: BTreeMap::new() };
        loop {
            let is_listed = cache.borrow().view().is_some();
            if is_listed {
                tokio::select! {
                    () = term.cancelled() => return,
                    () = self.refresh_site(&mut site) => {}
                }
                self.pass(&mut planner, cache, &site, term).await;
                if self.ports.cloud.is_unreachable() {
                    return term.cancel();
                }
            }
            let pause = if is_listed { timing::PASS_EVERY } else { FIRST_PASS_POLL };
            tokio::select! {
                () = term.cancelled() => return,
                () = sleep(pause) => {}
            }
        }
    }

    /// Updates the subnets of this instance's ENIs; a failed read keeps the old ones.
    async fn refresh_site(&self, site: &mut Site) {
        if let Ok(Ok(identity)) = timeout(READ_BOUND, self.ports.cloud.identity()).await {
            let subnet = |eni: firecamp_core::node_identity::Eni| (eni.subnet, eni.cidr);
            site.subnets = identity.enis.into_iter().map(subnet).collect();
        }
    }

    /// One pass: queries, plan, operations. The cache may change in between; each of them uses its
    /// current content. If the API server or EC2 is slow, urgent operations do not wait for others.
    async fn pass(
        &self,
        planner: &mut Planner,
        cache: &RefCell<ClusterCache>,
        site: &Site,
        term: &CancellationToken,
    ) {
        let queries = |view| {
            self.metrics.set_pools(&usage(view));
            asked(view, planner.ask(view, site))
        };
        let asked = cache.borrow().view().map(queries);
        let Some(asked) = asked else { return };
        let begun = Instant::now();
        let answers = tokio::select! {
            () = term.cancelled() => return,
            answers = self.answers(asked, begun) => answers,
        };
        let now = self.now();
        let operations = cache.borrow().view().map(|view| {
            let with_facts = |operation| (Facts::of(&operation, view), operation);
            let operations = planner.plan(view, site, &answers, now).into_iter();
            operations.map(with_facts).collect::<Vec<_>>()
        });
        for (facts, operation) in operations.into_iter().flatten() {
            if term.is_cancelled() || !self.holds() {
                return;
            }
            if begun.elapsed() >= timing::PASS_BOUND {
                tracing::warn!(%operation, "pass exceeds its time limit; planning again");
                return;
            }
            self.perform(&operation, &facts, term).await;
        }
    }

    /// Runs the queries. Leaves out what cannot be read in time.
    async fn answers(&self, asked: PassQueries, begun: Instant) -> QueryResults {
        let mut answers = QueryResults::default();
        for record in asked.records {
            let address = record.address;
            if begun.elapsed() >= timing::ASK_BOUND / 2 {
                answers.skipped_owners.insert(address);
                continue;
            }
            let read = self.ports.cloud.owner(address, &record.subnet);
            match timeout(READ_BOUND, read).await {
                Ok(Ok(owner)) => drop(answers.held.insert(address, is_held(&record, &owner))),
                Ok(Err(why)) => {
                    tracing::warn!(%address, error = %why, "failed to look up owner in EC2");
                }
                Err(_elapsed) => tracing::warn!(%address, "owner lookup in EC2 timed out"),
            }
        }
        for member in asked.members {
            if begun.elapsed() >= timing::ASK_BOUND {
                answers.skipped_pods.insert(member);
                continue;
            }
            match self.cluster.pod(&member).await {
                Ok(seen) => drop(answers.pods.insert(member, seen)),
                Err(why) => tracing::warn!(%member, error = %why, "failed to read pod"),
            }
        }
        answers
    }
}

/// The queries of a pass, the most urgent first.
struct PassQueries {
    /// Records of the addresses to look up in EC2.
    records: Vec<StaticIp>,
    /// Members whose pods are read.
    members: Vec<Member>,
}

/// The questions, with the records of the addresses that EC2 is asked about.
fn asked(view: &View, Queries { pods, owners }: Queries) -> PassQueries {
    let record = |address| Some(view.addresses.get(&address)?.as_ref()?.record.clone());
    let records = owners.into_iter().filter_map(record).collect();
    let mut once = BTreeSet::new();
    let members = pods.into_iter().filter(|member| once.insert(member.clone())).collect();
    PassQueries { records, members }
}

/// Whether the address is on an ENI that the record names and that is attached to an instance.
fn is_held(record: &StaticIp, owner: &Owner) -> bool {
    matches!(owner, Owner::Eni(holder)
        if holder.instance.is_some() && record.recorded_enis().contains(&holder.id))
}
