//! Whether EC2 answers this agent at all.

use std::collections::BTreeSet;
use std::net::Ipv4Addr;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use firecamp_cluster::timing;
use firecamp_core::failure::{CloudFailure, CloudKind};
use firecamp_core::ids::{EniId, Mac, SubnetId};
use firecamp_core::node::NodeIdentity;
use firecamp_core::outside::{Cloud, Owner};
use tokio::time::Instant;

/// EC2, with a note of what it has left without an answer since it last answered such a question,
/// or such a change: a role may allow the one and not the other. The metadata service is another
/// one, and not counted.
#[derive(Debug)]
pub(super) struct Ear<C> {
    cloud: C,
    questions: Note,
    changes: Note,
}

type Note = Mutex<Option<Unheard>>;

/// When the first of them was sent, and when the last.
#[derive(Debug, Clone, Copy)]
struct Unheard {
    first: Instant,
    last: Instant,
}

impl<C> Ear<C> {
    pub(super) fn new(cloud: C) -> Self {
        Self { cloud, questions: Note::default(), changes: Note::default() }
    }

    /// It has asked again and again for long, and heard nothing.
    pub(super) fn is_deaf(&self) -> bool {
        [&self.questions, &self.changes].into_iter().any(|note| {
            let unheard = *note.lock().unwrap_or_else(PoisonError::into_inner);
            unheard.is_some_and(|Unheard { first, last }| last - first >= timing::UNHEARD)
        })
    }

    /// Begins anew.
    pub(super) fn forget(&self) {
        heard(&self.questions);
        heard(&self.changes);
    }
}

fn heard(note: &Note) {
    *note.lock().unwrap_or_else(PoisonError::into_inner) = None;
}

fn sent(note: &Note, now: Instant) {
    let mut unheard = note.lock().unwrap_or_else(PoisonError::into_inner);
    // What was sent long ago says nothing of the time between.
    let lasting = unheard.filter(|before| now - before.last < timing::UNHEARD_GAP);
    let first = lasting.map_or(now, |before| before.first);
    *unheard = Some(Unheard { first, last: now });
}

/// A call, which may be given up before its answer.
async fn call<T>(
    note: &Note,
    call: impl Future<Output = Result<T, CloudFailure>>,
) -> Result<T, CloudFailure> {
    sent(note, Instant::now());
    let answer = call.await;
    if answer.as_ref().err().is_none_or(|why| is_answer(why.kind)) {
        heard(note);
    }
    answer
}

/// EC2 has understood who asks, and said something about what was asked.
fn is_answer(kind: CloudKind) -> bool {
    match kind {
        // What nobody has listed is often not EC2's: a proxy's.
        CloudKind::Auth | CloudKind::Transient | CloudKind::Unknown => false,
        CloudKind::HeldElsewhere
        | CloudKind::NotOurs
        | CloudKind::CapacityExceeded
        | CloudKind::SubnetExhausted
        | CloudKind::BadAddress
        | CloudKind::Gone
        | CloudKind::Throttled => true,
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
        call(&self.questions, self.cloud.owner(address, subnet)).await
    }

    async fn assign(
        &self,
        eni: &EniId,
        address: Ipv4Addr,
        force: bool,
        within: Duration,
    ) -> Result<(), CloudFailure> {
        call(&self.changes, self.cloud.assign(eni, address, force, within)).await
    }

    async fn unassign(
        &self,
        eni: &EniId,
        address: Ipv4Addr,
        within: Duration,
    ) -> Result<(), CloudFailure> {
        call(&self.changes, self.cloud.unassign(eni, address, within)).await
    }
}
