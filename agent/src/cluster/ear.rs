//! EC2 as the holder of the Lease calls it: notes what is answered, for [`Hearing`] to judge.

use std::collections::BTreeSet;
use std::net::Ipv4Addr;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use firecamp_controllers::leader::{Call, Hearing};
use firecamp_core::failure::CloudFailure;
use firecamp_core::ids::{EniId, Mac, SubnetId};
use firecamp_core::node::NodeIdentity;
use firecamp_core::outside::{Cloud, Owner};
use firecamp_core::time::Moment;
use tokio::time::Instant;

/// EC2, and whether it was heard.
#[derive(Debug)]
pub(super) struct Ear<C> {
    cloud: C,
    hearing: Mutex<Hearing>,
    origin: Instant,
}

impl<C> Ear<C> {
    pub(super) fn new(cloud: C) -> Self {
        Self { cloud, hearing: Mutex::default(), origin: Instant::now() }
    }

    pub(super) fn is_deaf(&self) -> bool {
        self.hearing().is_deaf()
    }

    /// Begins anew.
    pub(super) fn forget(&self) {
        *self.hearing() = Hearing::default();
    }

    fn hearing(&self) -> MutexGuard<'_, Hearing> {
        self.hearing.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Who gives a call up has heard nothing.
    async fn made<T>(
        &self,
        call: Call,
        request: impl Future<Output = Result<T, CloudFailure>>,
    ) -> Result<T, CloudFailure> {
        self.hearing().sent(call, Moment(self.origin.elapsed()));
        let answer = request.await;
        self.hearing().ended(call, answer.as_ref().err().map(|failure| failure.kind));
        answer
    }
}

impl<C: Cloud> Cloud for Ear<C> {
    async fn identity(&self) -> Result<NodeIdentity, CloudFailure> {
        self.cloud.identity().await
    }

    async fn listed(&self, mac: Mac) -> Result<BTreeSet<Ipv4Addr>, CloudFailure> {
        self.cloud.listed(mac).await
    }

    async fn owner(&self, address: Ipv4Addr, subnet: &SubnetId) -> Result<Owner, CloudFailure> {
        self.made(Call::Question, self.cloud.owner(address, subnet)).await
    }

    async fn assign(
        &self,
        eni: &EniId,
        address: Ipv4Addr,
        force: bool,
        within: Duration,
    ) -> Result<(), CloudFailure> {
        self.made(Call::Change, self.cloud.assign(eni, address, force, within)).await
    }

    async fn unassign(
        &self,
        eni: &EniId,
        address: Ipv4Addr,
        within: Duration,
    ) -> Result<(), CloudFailure> {
        self.made(Call::Change, self.cloud.unassign(eni, address, within)).await
    }
}
