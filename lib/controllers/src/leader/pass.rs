//! One pass of the leader: the queries and then the operations, one at a time and bounded in time.

use std::collections::{BTreeSet, VecDeque};

use firecamp_core::ids::Member;
use firecamp_core::ports::Owner;
use firecamp_core::record::StaticIp;
use firecamp_core::time::Moment;

use super::{ObservedPod, Operation, PassStep, Queries, QueryResults, View, timing};

/// What a pass is doing.
#[derive(Debug)]
pub(super) enum Pass {
    /// Reads the metadata service.
    Identifying,
    /// Runs the queries.
    Querying(RunningQueries),
    /// Performs the operations.
    Performing(PlannedOperations),
}

/// The queries of a pass, the most urgent first. The first one runs.
#[derive(Debug)]
pub(super) struct RunningQueries {
    begun: Moment,
    /// Records of the addresses to look up in EC2.
    records: VecDeque<StaticIp>,
    /// Members whose pods are read.
    members: VecDeque<Member>,
    results: QueryResults,
}

impl RunningQueries {
    pub(super) fn new(Queries { pods, owners }: Queries, view: &View, begun: Moment) -> Self {
        let record = |address| Some(view.addresses.get(&address)?.as_ref()?.record.clone());
        let mut once = BTreeSet::new();
        Self {
            begun,
            records: owners.into_iter().filter_map(record).collect(),
            members: pods.into_iter().filter(|member| once.insert(member.clone())).collect(),
            results: QueryResults::default(),
        }
    }

    /// The query to start now. Skips those for which there is no time left.
    pub(super) fn next(&mut self, now: Moment) -> Option<PassStep> {
        let elapsed = now.since(self.begun);
        if elapsed >= timing::ASK_BOUND / 2 {
            let skipped = self.records.drain(..).map(|record| record.address);
            self.results.skipped_owners.extend(skipped);
        }
        if elapsed >= timing::ASK_BOUND {
            self.results.skipped_pods.extend(self.members.drain(..));
        }
        let owner = |record: &StaticIp| PassStep::ReadOwner(record.address, record.subnet.clone());
        let pod = |member: &Member| PassStep::ReadPod(member.clone());
        self.records.front().map(owner).or_else(|| self.members.front().map(pod))
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

    pub(super) fn results(&self) -> &QueryResults {
        &self.results
    }

    /// The operations that were planned from the results.
    pub(super) fn planned(&self, operations: Vec<Operation>) -> PlannedOperations {
        let (begun, operations) = (self.begun, operations.into());
        PlannedOperations { begun, started: begun, operations }
    }
}

/// The operations of a pass that have not started, the most urgent first.
#[derive(Debug)]
pub(super) struct PlannedOperations {
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
