//! S2: what ready means.

use std::net::Ipv4Addr;

use firecamp_core::contract::timing;
use firecamp_core::lock::Hold;
use firecamp_core::record::State;
use firecamp_core::time::Moment;
use firecamp_testkit::sim::{Disk, Kernel, Tag};

use super::{Audit, Known, Promise};
use crate::level::Ready;
use crate::names::{EniIx, Names, PodIx};
use firecamp_core::record::StaticIp;

/// Everything that has to agree for one pod.
#[derive(Debug, Clone, Copy)]
pub struct Truth<'a> {
    /// Who EC2 says has the address.
    pub owner: Option<EniIx>,
    /// The ENI that its packets reach.
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
        let doubt = known.in_doubt(in_place, now);
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

impl Known {
    /// What is missing, but for what something else has stripped: that excuses it until all is
    /// back, or until nothing is excused any more.
    fn not_stripped(&mut self, ready: &Ready, missing: Option<String>) -> Option<String> {
        let stripped = &mut self.stripped[ready.node.at()];
        let excused = *stripped == Some(ready.epoch);
        if excused && missing.is_none() {
            *stripped = None;
        }
        missing.filter(|_what| !excused)
    }

    /// Whether a stranger's doing may still show. What was put right may yet be undone for a moment
    /// by a switch of the data path that was under way, so it has to stay right for [`SETTLE`].
    ///
    /// [`SETTLE`]: timing::SETTLE
    fn in_doubt(&mut self, in_place: bool, now: Moment) -> bool {
        if !self.doubt {
            return false;
        }
        self.placed = in_place.then(|| self.placed.unwrap_or(now));
        self.doubt = self.placed.is_none_or(|since| now.since(since) < timing::SETTLE);
        self.placed = self.placed.filter(|_since| self.doubt);
        self.doubt
    }
}

fn wrong_outside(ready: &Ready, truth: &Truth<'_>, doubt: bool) -> Option<String> {
    if doubt {
        return None;
    }
    if truth.owner != Some(ready.eni) {
        return Some(format!("EC2 has it on {:?}, not on {:?}", truth.owner, ready.eni));
    }
    (truth.receiver != Some(ready.eni))
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
    (!published).then(|| format!("the file says {:?}", truth.disk))
}

fn is_text_of(text: &str, address: Ipv4Addr) -> bool {
    text.parse() == Ok(address)
}

impl Audit {
    /// From here on nothing excuses what is out of place.
    pub fn clear_doubt(&mut self) {
        for known in &mut self.known {
            known.doubt = false;
            known.stripped.fill(None);
        }
    }
}
