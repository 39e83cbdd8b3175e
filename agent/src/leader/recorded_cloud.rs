//! EC2 as the leader calls it: records the result of each call for [`Ec2Reachability`].

use std::collections::BTreeSet;
use std::net::Ipv4Addr;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use firecamp_controllers::leader::{Call, Ec2Reachability};
use firecamp_core::failure::CloudFailure;
use firecamp_core::ids::{EniId, Mac, SubnetId};
use firecamp_core::node_identity::NodeIdentity;
use firecamp_core::ports::{Cloud, Owner};
use firecamp_core::time::Moment;
use tokio::time::Instant;

/// A cloud that records its results.
#[derive(Debug)]
pub(super) struct RecordedCloud<C> {
    cloud: C,
    reachability: Mutex<Ec2Reachability>,
    origin: Instant,
}

impl<C> RecordedCloud<C> {
    pub(super) fn new(cloud: C) -> Self {
        Self { cloud, reachability: Mutex::default(), origin: Instant::now() }
    }

    pub(super) fn is_unreachable(&self) -> bool {
        self.reachability().is_unreachable()
    }

    /// Starts with an empty record.
    pub(super) fn reset(&self) {
        *self.reachability() = Ec2Reachability::default();
    }

    fn reachability(&self) -> MutexGuard<'_, Ec2Reachability> {
        self.reachability.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Records one call. A cancelled call counts as unanswered.
    async fn record<T>(
        &self,
        call: Call,
        request: impl Future<Output = Result<T, CloudFailure>>,
    ) -> Result<T, CloudFailure> {
        self.reachability().sent(call, Moment(self.origin.elapsed()));
        let answer = request.await;
        self.reachability().ended(call, answer.as_ref().err().map(|failure| failure.kind));
        answer
    }
}

impl<C: Cloud> Cloud for RecordedCloud<C> {
    async fn identity(&self) -> Result<NodeIdentity, CloudFailure> {
        self.cloud.identity().await
    }

    async fn listed(&self, mac: Mac) -> Result<BTreeSet<Ipv4Addr>, CloudFailure> {
        self.cloud.listed(mac).await
    }

    async fn owner(&self, address: Ipv4Addr, subnet: &SubnetId) -> Result<Owner, CloudFailure> {
        self.record(Call::Read, self.cloud.owner(address, subnet)).await
    }

    async fn assign(
        &self,
        eni: &EniId,
        address: Ipv4Addr,
        force: bool,
        within: Duration,
    ) -> Result<(), CloudFailure> {
        self.record(Call::Change, self.cloud.assign(eni, address, force, within)).await
    }

    async fn unassign(
        &self,
        eni: &EniId,
        address: Ipv4Addr,
        within: Duration,
    ) -> Result<(), CloudFailure> {
        self.record(Call::Change, self.cloud.unassign(eni, address, within)).await
    }
}
