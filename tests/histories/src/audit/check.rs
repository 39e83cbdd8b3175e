//! S2: what *ready* means.

use std::net::Ipv4Addr;

use firecamp_core::contract::timing;
use firecamp_core::lock_rule::Hold;
use firecamp_core::record::State;
use firecamp_core::time::Moment;
use firecamp_testkit::sim::{Disk, Kernel, Tag};

use super::{AddressState, Audit, Doubt, Promise};
use crate::level::Ready;
use crate::names::{EniIx, Names, PodIx};
use firecamp_core::record::StaticIp;

/// The facts that must agree for one pod.
#[derive(Debug, Clone, Copy)]
pub struct Truth<'a> {
    /// The ENI that EC2 reports as the owner.
    pub owner: Option<EniIx>,
    /// The ENI that receives the packets.
    pub receiver: Option<EniIx>,
    /// The record.
    pub record: Option<&'a StaticIp>,
    /// The kernel of the pod's node.
    pub kernel: &'a Kernel,
    /// The member's volume.
    pub disk: &'a Disk,
}

impl Audit {
    /// Checks one ready pod.
    pub fn check(&mut self, now: Moment, (pod, ready): (PodIx, Ready), truth: &Truth<'_>) {
        let secondary = self.secondary;
        let Some(known) = self.known(ready.address) else { return };
        let in_place = truth.owner == Some(ready.eni) && truth.receiver == Some(ready.eni);
        let doubt = known.doubt_at(in_place, now);
        let missing = missing_in_kernel(&ready, truth.kernel, secondary);
        let missing = known.not_stripped(&ready, missing);
        let wrong = wrong_outside(&ready, truth, doubt)
            .or_else(|| wrong_record(pod, &ready, truth))
            .or(missing)
            .or_else(|| wrong_node(&ready, truth));
        if let Some(what) = wrong {
            self.broken(Promise::S2, now, || {
                format!("pod {} is ready on {}, but {what}", pod.0, ready.address)
            });
        }
    }
}

impl AddressState {
    /// What is missing, unless another program removed it. The exemption ends when everything is
    /// restored, or in the final check.
    fn not_stripped(&mut self, ready: &Ready, missing: Option<String>) -> Option<String> {
        let stripped = &mut self.stripped[ready.node.at()];
        let excused = *stripped == Some(ready.epoch);
        if excused && missing.is_none() {
            *stripped = None;
        }
        missing.filter(|_what| !excused)
    }

    /// What others' changes may still explain. A pending data-path switch may undo a repair for a
    /// moment, so the address has to stay in place for [`SETTLE`].
    ///
    /// [`SETTLE`]: timing::SETTLE
    fn doubt_at(&mut self, in_place: bool, now: Moment) -> Doubt {
        self.doubt = match self.doubt {
            Doubt::Changed if in_place => Doubt::Restored(now),
            Doubt::Restored(_) if !in_place => Doubt::Changed,
            Doubt::Restored(since) if now.since(since) >= timing::SETTLE => Doubt::None,
            Doubt::Lagging(_, until) if now >= until => Doubt::None,
            same @ (Doubt::None | Doubt::Changed | Doubt::Restored(_) | Doubt::Lagging(..)) => same,
        };
        self.doubt
    }
}

fn wrong_outside(ready: &Ready, truth: &Truth<'_>, doubt: Doubt) -> Option<String> {
    if matches!(doubt, Doubt::Changed | Doubt::Restored(_)) {
        return None;
    }
    if truth.owner != Some(ready.eni) {
        return Some(format!("EC2 has it on {:?}, not on {:?}", truth.owner, ready.eni));
    }
    let lags = matches!(doubt, Doubt::Lagging(from, _) if from == ready.eni);
    (!lags && truth.receiver != Some(ready.eni))
        .then(|| format!("its packets reach {:?}, not {:?}", truth.receiver, ready.eni))
}

fn wrong_record(pod: PodIx, ready: &Ready, truth: &Truth<'_>) -> Option<String> {
    let Some(record) = truth.record else { return Some("it has no record".to_owned()) };
    let holds = record
        .attachment
        .as_ref()
        .is_some_and(|a| a.state == State::Attached && Names::pod_ix(&a.pod) == Some(pod));
    (record.epoch.0 != ready.epoch || !holds).then(|| {
        let state = record.attachment.as_ref().map(|a| (a.state, &a.pod));
        format!("the record has epoch {} with {state:?}", record.epoch)
    })
}

fn missing_in_kernel(ready: &Ready, kernel: &Kernel, secondary: bool) -> Option<String> {
    let address = ready.address;
    let mac = kernel.addresses.get(&address);
    let here = mac.is_some_and(|(mac, tag)| *tag == Tag::Ours && mac.bytes()[5] == ready.eni.0);
    if !here {
        return Some(format!("its node's kernel has {mac:?}"));
    }
    if secondary && !kernel.routed.contains(&address) {
        return Some("its node has no route for it".to_owned());
    }
    None
}

fn wrong_node(ready: &Ready, truth: &Truth<'_>) -> Option<String> {
    let (address, kernel) = (ready.address, truth.kernel);
    let lock = kernel.locks.get(&address);
    let held =
        lock.is_some_and(|last| last.hold == Hold::Held && last.holder.epoch.0 == ready.epoch);
    if !held {
        return Some(format!("the lock has {lock:?}"));
    }
    let published = truth.disk.durable.as_deref().is_some_and(|text| is_text_of(text, address))
        && truth.disk.visible == truth.disk.durable;
    (!published).then(|| format!("the file has {:?}", truth.disk))
}

fn is_text_of(text: &str, address: Ipv4Addr) -> bool {
    text.parse() == Ok(address)
}

impl Audit {
    /// From now on there are no exemptions.
    pub fn clear_doubt(&mut self) {
        for known in &mut self.known {
            known.doubt = Doubt::None;
            known.stripped.fill(None);
        }
    }
}
