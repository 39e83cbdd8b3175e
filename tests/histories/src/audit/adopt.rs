//! Adoption of orphaned addresses: S8 and K5.

use std::net::Ipv4Addr;
use std::time::Duration;

use firecamp_core::contract::timing;
use firecamp_core::record::{State, StaticIp};
use firecamp_core::time::Moment;

use super::{Audit, Promise};
use crate::names::{EniIx, NodeIx};

/// What the passes of an agent have shown of an address without a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OrphanObservation {
    /// When the first of these passes ended.
    pub since: Moment,
    /// The number of consecutive passes.
    pub passes: u32,
}

/// An orphaned address that gets a record.
#[derive(Debug, Clone, Copy)]
pub struct Adoption<'a> {
    /// The number of the process.
    pub slot: u32,
    /// Its node.
    pub node: NodeIx,
    /// The slot of the ENI that carries members' addresses.
    pub carrier: u8,
    /// The record.
    pub record: &'a StaticIp,
    /// A fact that was true when the agent read it and that rules out the adoption.
    pub against: Option<&'static str>,
    /// Which ENI has it in EC2, and whether as its primary address.
    pub owner: Option<(EniIx, bool)>,
    /// When its ENI last changed.
    pub changed: Option<Moment>,
}

impl Audit {
    /// An agent starts to examine an address. `seen` is what its passes have shown, including this
    /// one, if every read of theirs succeeded.
    pub fn due(
        &mut self,
        now: Moment,
        agent: u32,
        (address, observed): (Ipv4Addr, Option<OrphanObservation>),
    ) {
        let Some(OrphanObservation { since, passes }) = observed else {
            return self.broken(Promise::K5, now, || {
                format!("agent {agent} treats {address} as orphaned although a read failed")
            });
        };
        if passes < 2 || now.since(since) < timing::ADOPT_GRACE {
            self.broken(Promise::S8, now, || {
                format!("agent {agent} treats {address} as orphaned after {passes} passes")
            });
        }
    }

    /// An address was adopted.
    pub fn adopted(&mut self, now: Moment, adoption: &Adoption<'_>) {
        let Adoption { slot, record, against, .. } = *adoption;
        let address = record.address;
        let wrong = against
            .map(str::to_owned)
            .or_else(|| self.wrong_address(address))
            .or_else(|| wrong_record(adoption))
            .or_else(|| self.wrong_owner(now, adoption));
        if let Some(what) = wrong {
            self.broken(Promise::S8, now, || format!("process {slot} adopted {address}: {what}"));
        }
    }

    fn wrong_address(&mut self, address: Ipv4Addr) -> Option<String> {
        self.known(address).is_none().then(|| "it is outside the pool".to_owned())
    }

    /// EC2 reads lag and EC2 has no fencing: a very recent change may not be visible yet.
    fn wrong_owner(&self, now: Moment, adoption: &Adoption<'_>) -> Option<String> {
        let Adoption { owner, changed, node, carrier, .. } = *adoption;
        let late = changed.map_or(Duration::ZERO, |at| now.since(at));
        let here = owner == Some((node.eni(carrier), false));
        (!here && late > self.ownership_lag).then(|| format!("EC2 has it on {owner:?}"))
    }

    /// A mutation for an adopted address is sent. `reclaims` is true for a release that takes it
    /// out of EC2 as the pool's policy requires.
    pub fn mutation_sent_for_orphan(&mut self, now: Moment, slot: u32, reclaims: bool) {
        if !reclaims {
            self.broken(Promise::S8, now, || {
                format!("process {slot} changes EC2 for an orphaned address without reclaiming it")
            });
        }
    }
}

/// The record must be parked on the current ENI, have no holder and no pending mutations.
fn wrong_record(adoption: &Adoption<'_>) -> Option<String> {
    let record = adoption.record;
    let attachment = record.attachment.as_ref();
    let eni = attachment.and_then(|it| it.eni.as_ref()).and_then(EniIx::of);
    let parked = attachment.is_some_and(|it| it.state == State::Parked);
    let here = eni == Some(adoption.node.eni(adoption.carrier));
    let valid =
        parked && here && record.pending_mutations.is_empty() && record.member.is_orphaned();
    (!valid).then(|| format!("its record is {record:?}"))
}
