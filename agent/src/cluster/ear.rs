//! Whether EC2 answers this agent at all.

use std::collections::BTreeSet;
use std::net::Ipv4Addr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use firecamp_cluster::timing;
use firecamp_core::failure::{CloudFailure, CloudKind};
use firecamp_core::ids::{EniId, Mac, SubnetId};
use firecamp_core::node::NodeIdentity;
use firecamp_core::outside::{Cloud, Owner};
use tokio::time::Instant;

/// EC2, with a note of the questions that it has left without an answer since the last that it
/// answered. The metadata service is another one, and not counted.
#[derive(Debug, Clone)]
pub(super) struct Ear<C> {
    cloud: C,
    unheard: Arc<Mutex<Option<Unheard>>>,
}

/// When the first of those questions was asked, and when the last.
#[derive(Debug, Clone, Copy)]
struct Unheard {
    first: Instant,
    last: Instant,
}

impl<C> Ear<C> {
    pub(super) fn new(cloud: C) -> Self {
        Self { cloud, unheard: Arc::default() }
    }

    /// It has asked again and again for long, and heard nothing.
    pub(super) fn is_deaf(&self) -> bool {
        let unheard = *self.unheard.lock().unwrap_or_else(PoisonError::into_inner);
        unheard.is_some_and(|Unheard { first, last }| last - first >= timing::UNHEARD)
    }

    /// Begins anew.
    pub(super) fn forget(&self) {
        *self.unheard.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    /// A question, which may be given up before its answer.
    async fn ask<T>(
        &self,
        question: impl Future<Output = Result<T, CloudFailure>>,
    ) -> Result<T, CloudFailure> {
        self.asks(Instant::now());
        let answer = question.await;
        if answer.as_ref().err().is_none_or(|why| is_answer(why.kind)) {
            self.forget();
        }
        answer
    }

    fn asks(&self, now: Instant) {
        let mut unheard = self.unheard.lock().unwrap_or_else(PoisonError::into_inner);
        // What was asked long ago says nothing of the time between.
        let lasting = unheard.filter(|before| now - before.last < timing::UNHEARD_GAP);
        let first = lasting.map_or(now, |before| before.first);
        *unheard = Some(Unheard { first, last: now });
    }
}

/// EC2 has understood who asks, and said something about what was asked.
fn is_answer(kind: CloudKind) -> bool {
    match kind {
        CloudKind::Auth | CloudKind::Transient => false,
        CloudKind::HeldElsewhere
        | CloudKind::NotOurs
        | CloudKind::CapacityExceeded
        | CloudKind::SubnetExhausted
        | CloudKind::BadAddress
        | CloudKind::Gone
        | CloudKind::Throttled
        | CloudKind::Unknown => true,
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
        self.ask(self.cloud.owner(address, subnet)).await
    }

    async fn assign(
        &self,
        eni: &EniId,
        address: Ipv4Addr,
        force: bool,
        within: Duration,
    ) -> Result<(), CloudFailure> {
        self.ask(self.cloud.assign(eni, address, force, within)).await
    }

    async fn unassign(
        &self,
        eni: &EniId,
        address: Ipv4Addr,
        within: Duration,
    ) -> Result<(), CloudFailure> {
        self.ask(self.cloud.unassign(eni, address, within)).await
    }
}
