//! One pass of the leader: the queries and then the operations, one at a time and bounded in time.

use std::collections::{BTreeSet, VecDeque};

use firecamp_core::ids::Member;
use firecamp_core::ports::Owner;
use firecamp_core::record::StaticIp;
use firecamp_core::time::Moment;

use super::{
    BoundVolume, InterfaceAnswer, InterfaceQuery, ObservedPod, Operation, PassStep, Queries,
    QueryResults, View, timing,
};

/// What a pass is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Scope {
    /// The whole cluster.
    Cluster,
    /// Only gated pods, between two passes of the whole cluster.
    GatedPods,
}

/// What a pass is doing.
#[derive(Debug)]
pub(super) enum Pass {
    /// Reads the metadata service.
    Identifying,
    /// Lists the interfaces of the cluster in EC2.
    Listing,
    /// Runs the queries.
    Querying(Box<RunningQueries>),
    /// Performs the operations.
    Performing(PlannedOperations),
}

/// The queries of a pass, the most urgent first. The first one runs.
#[derive(Debug)]
pub(super) struct RunningQueries {
    scope: Scope,
    begun: Moment,
    /// Gated pods whose volumes are read, by the claims that they use.
    volumes: VecDeque<(Member, Vec<String>)>,
    /// Records of the addresses to look up in EC2.
    records: VecDeque<StaticIp>,
    /// Members whose pods are read.
    members: VecDeque<Member>,
    /// Interfaces that are looked up. They come last: nothing waits for their removal.
    interfaces: VecDeque<InterfaceQuery>,
    results: QueryResults,
}

impl RunningQueries {
    pub(super) fn new(scope: Scope, asked: Queries, view: &View, begun: Moment) -> Self {
        let Queries { pods, owners, volumes, interfaces } = asked;
        let record = |address| Some(view.addresses.get(&address)?.as_ref()?.record.clone());
        let claims = |member: Member| {
            let claims = view.gated_pods.get(&member)?.as_ref()?.claims.clone();
            Some((member, claims))
        };
        let mut once = BTreeSet::new();
        Self {
            scope,
            begun,
            volumes: volumes.into_iter().filter_map(claims).collect(),
            records: owners.into_iter().filter_map(record).collect(),
            members: pods.into_iter().filter(|member| once.insert(member.clone())).collect(),
            interfaces: interfaces.into(),
            results: QueryResults::default(),
        }
    }

    /// The query to start now. Skips those for which there is no time left.
    pub(super) fn next(&mut self, now: Moment) -> Option<PassStep> {
        let elapsed = now.since(self.begun);
        // The gate of a pod that is skipped stays until the next pass.
        if elapsed >= timing::ASK_BOUND / 4 {
            self.volumes.clear();
        }
        if elapsed >= timing::ASK_BOUND / 2 {
            let skipped = self.records.drain(..).map(|record| record.address);
            self.results.skipped_owners.extend(skipped);
        }
        if elapsed >= timing::ASK_BOUND {
            self.results.skipped_pods.extend(self.members.drain(..));
            self.interfaces.clear();
        }
        let owner = |record: &StaticIp| PassStep::ReadOwner(record.address, record.subnet.clone());
        let pod = |member: &Member| PassStep::ReadPod(member.clone());
        let volumes = |(member, claims): &(Member, Vec<String>)| {
            PassStep::ReadVolumes(member.clone(), claims.clone())
        };
        let interface = |query: &InterfaceQuery| PassStep::QueryInterface(Box::new(query.clone()));
        let first = self.volumes.front().map(volumes);
        first
            .or_else(|| self.records.front().map(owner))
            .or_else(|| self.members.front().map(pod))
            .or_else(|| self.interfaces.front().map(interface))
    }

    /// The running query was the read of a gated pod's volumes; none if it failed.
    pub(super) fn volumes_read(&mut self, volumes: Option<Vec<BoundVolume>>) {
        if let (Some((member, _)), Some(volumes)) = (self.volumes.pop_front(), volumes) {
            self.results.volumes.insert(member, volumes);
        }
    }

    /// The running query was an owner lookup; none if it failed.
    pub(super) fn owner_read(&mut self, owner: Option<Owner>) {
        if let (Some(record), Some(owner)) = (self.records.pop_front(), owner) {
            self.results.held.insert(record.address, is_held(&record, &owner));
        }
    }

    /// The running query was the read of a pod; none if it failed.
    pub(super) fn pod_read(&mut self, pod: Option<ObservedPod>) {
        if let (Some(member), Some(pod)) = (self.members.pop_front(), pod) {
            self.results.pods.insert(member, pod);
        }
    }

    /// The running query was about an interface; none if it failed.
    pub(super) fn interface_queried(&mut self, answer: Option<InterfaceAnswer>) {
        if let (Some(query), Some(answer)) = (self.interfaces.pop_front(), answer) {
            self.results.interfaces.insert(query.uid().clone(), answer);
        }
    }

    pub(super) fn scope(&self) -> Scope {
        self.scope
    }

    pub(super) fn results(&self) -> &QueryResults {
        &self.results
    }

    /// The operations that were planned from the results.
    pub(super) fn planned(&self, operations: Vec<Operation>) -> PlannedOperations {
        let Self { scope, begun, .. } = *self;
        PlannedOperations { scope, begun, started: begun, operations: operations.into() }
    }
}

/// The operations of a pass that have not started, the most urgent first.
#[derive(Debug)]
pub(super) struct PlannedOperations {
    scope: Scope,
    begun: Moment,
    /// When the running one started.
    started: Moment,
    operations: VecDeque<Operation>,
}

impl PlannedOperations {
    /// The operation to start now.
    pub(super) fn next(&mut self, now: Moment) -> Option<Operation> {
        self.started = now;
        self.operations.pop_front()
    }

    pub(super) fn scope(&self) -> Scope {
        self.scope
    }

    /// When the running operation started.
    pub(super) fn started(&self) -> Moment {
        self.started
    }

    /// Whether the pass has taken too long to start another operation.
    pub(super) fn is_overdue(&self, now: Moment) -> bool {
        now.since(self.begun) >= timing::PASS_BOUND
    }
}

/// Whether the address is on an ENI that the record names and that is attached to an instance.
fn is_held(record: &StaticIp, owner: &Owner) -> bool {
    matches!(owner, Owner::Eni(holder)
        if holder.instance.is_some() && record.recorded_enis().contains(&holder.id))
}
