//! EC2, as far as it is asked about the addresses of a city.

use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use firecamp_core::failure::{CloudFailure, CloudKind, Effect};
use firecamp_core::ids::{EniId, InstanceId, Mac, SubnetId};
use firecamp_core::node_identity::NodeIdentity;
use firecamp_core::ports::{Cloud, Owner, OwnerEni};
use tokio::time::sleep;

pub(super) const ENI: &str = "eni-0000000a";

/// An ENI, and the machine that it is attached to.
type Placement = (EniId, Option<InstanceId>);

/// Where each address is.
#[derive(Debug, Clone, Default)]
pub(in crate::tests) struct Ec2 {
    places: Arc<Mutex<BTreeMap<Ipv4Addr, Placement>>>,
    unassigned: Arc<Mutex<u32>>,
    /// How often a call that changes something was sent, has arrived, or was answered.
    steps: Arc<Mutex<usize>>,
    /// So long it takes over a call that changes something.
    slowness: Arc<Mutex<Duration>>,
    /// So long it takes over a question.
    thinking: Arc<Mutex<Duration>>,
    /// How many questions it has left without an answer, once it answers none.
    unanswered: Arc<Mutex<Option<usize>>>,
    /// What it says instead of an answer to every question, and to every change.
    refusals: Arc<Mutex<[Option<CloudKind>; 2]>>,
}

fn failed(kind: CloudKind) -> CloudFailure {
    CloudFailure { kind, effect: Effect::None, detail: "on purpose".to_owned() }
}

impl Ec2 {
    pub(in crate::tests) fn put(&self, address: Ipv4Addr, eni: &str, machine: &str) {
        let place = (eni.parse().unwrap(), Some(machine.parse().unwrap()));
        self.places.lock().unwrap().insert(address, place);
    }

    /// The member's machine and its ENI are gone.
    pub(in crate::tests) fn terminate(&self) {
        self.places.lock().unwrap().retain(|_, (eni, _)| eni.as_str() != ENI);
    }

    pub(in crate::tests) fn slow_down(&self, each: Duration) {
        *self.slowness.lock().unwrap() = each;
    }

    /// Whoever asks from now on waits for ever.
    pub(in crate::tests) fn fall_silent(&self) {
        *self.unanswered.lock().unwrap() = Some(0);
    }

    /// Whoever asks something from now on hears the first of these, if any, and whoever changes
    /// something the second.
    pub(in crate::tests) fn refuse(
        &self,
        questions: Option<CloudKind>,
        changes: Option<CloudKind>,
    ) {
        *self.refusals.lock().unwrap() = [questions, changes];
    }

    /// Whoever asks from now on is answered again.
    pub(in crate::tests) fn speak(&self) {
        *self.unanswered.lock().unwrap() = None;
        self.refuse(None, None);
    }

    pub(in crate::tests) fn unanswered(&self) -> usize {
        self.unanswered.lock().unwrap().unwrap_or_default()
    }

    pub(in crate::tests) fn answer_slowly(&self, each: Duration) {
        *self.thinking.lock().unwrap() = each;
    }

    async fn hear(&self) {
        let thinking = *self.thinking.lock().unwrap();
        if !thinking.is_zero() {
            sleep(thinking).await;
        }
        if let Some(unanswered) = &mut *self.unanswered.lock().unwrap() {
            *unanswered += 1;
        } else {
            return;
        }
        std::future::pending::<()>().await;
    }

    fn refused(&self, what: usize) -> Result<(), CloudFailure> {
        self.refusals.lock().unwrap()[what].map_or(Ok(()), |kind| Err(failed(kind)))
    }

    /// Nobody has the address any more.
    pub(in crate::tests) fn lose(&self, address: Ipv4Addr) {
        self.places.lock().unwrap().remove(&address);
    }

    pub(in crate::tests) fn has(&self, address: Ipv4Addr) -> bool {
        self.places.lock().unwrap().contains_key(&address)
    }

    pub(in crate::tests) fn unassigned(&self) -> u32 {
        *self.unassigned.lock().unwrap()
    }

    pub(in crate::tests) fn steps(&self) -> usize {
        *self.steps.lock().unwrap()
    }

    /// Whoever called may die here.
    async fn step(&self) {
        *self.steps.lock().unwrap() += 1;
        tokio::task::yield_now().await;
    }

    fn take(&self, eni: &EniId, address: Ipv4Addr) -> Result<(), CloudFailure> {
        let mut places = self.places.lock().unwrap();
        if places.get(&address).is_none_or(|(there, _)| there != eni) {
            return Err(failed(CloudKind::NotOnInterface));
        }
        places.remove(&address);
        *self.unassigned.lock().unwrap() += 1;
        Ok(())
    }
}

impl Cloud for Ec2 {
    async fn identity(&self) -> Result<NodeIdentity, CloudFailure> {
        self.hear().await;
        Err(failed(CloudKind::Transient))
    }

    async fn listed(&self, _mac: Mac) -> Result<BTreeSet<Ipv4Addr>, CloudFailure> {
        Err(failed(CloudKind::Transient))
    }

    async fn owner(&self, address: Ipv4Addr, _subnet: &SubnetId) -> Result<Owner, CloudFailure> {
        self.hear().await;
        self.refused(0)?;
        let places = self.places.lock().unwrap();
        let Some((id, instance)) = places.get(&address).cloned() else {
            return Ok(Owner::Unassigned);
        };
        let (cluster, description) = (Some("prod".to_owned()), String::new());
        Ok(Owner::Eni(OwnerEni { id, primary: false, cluster, instance, description }))
    }

    async fn assign(
        &self,
        _eni: &EniId,
        _address: Ipv4Addr,
        _force: bool,
        _within: Duration,
    ) -> Result<(), CloudFailure> {
        Err(failed(CloudKind::Auth))
    }

    async fn unassign(
        &self,
        eni: &EniId,
        address: Ipv4Addr,
        _within: Duration,
    ) -> Result<(), CloudFailure> {
        self.refused(1)?;
        self.step().await;
        let slowness = *self.slowness.lock().unwrap();
        if !slowness.is_zero() {
            sleep(slowness).await;
        }
        let answer = self.take(eni, address);
        self.step().await;
        answer
    }
}
