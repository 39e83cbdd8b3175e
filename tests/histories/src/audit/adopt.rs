//! What agents adopt: S8 and K5.

use std::net::Ipv4Addr;
use std::time::Duration;

use firecamp_core::contract::timing;
use firecamp_core::record::{State, StaticIp};
use firecamp_core::time::Moment;

use super::{Audit, Promise};
use crate::names::{EniIx, NodeIx};

/// What the looks of an agent have shown of an address that has no record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sighting {
    /// When the first of them was over.
    pub since: Moment,
    /// How many there were without a break.
    pub looks: u32,
}

/// An address that gets its record because nobody claims it.
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
    /// What was true while it was looked into, and speaks against it.
    pub against: Option<&'static str>,
    /// Who has it in EC2, and whether as its primary address.
    pub owner: Option<(EniIx, bool)>,
    /// When it changed hands last.
    pub changed: Option<Moment>,
}

impl Audit {
    /// An address is due to be looked into. `seen`: what the looks have shown, as far as every one
    /// of them was answered, this one with them.
    pub fn due(&mut self, now: Moment, agent: u32, (address, seen): (Ipv4Addr, Option<Sighting>)) {
        let Some(Sighting { since, looks }) = seen else {
            return self.broken(Promise::K5, now, || {
                format!("agent {agent} takes {address} for unclaimed by what was not read")
            });
        };
        if looks < 2 || now.since(since) < timing::ADOPT_GRACE {
            self.broken(Promise::S8, now, || {
                format!("agent {agent} takes {address} for unclaimed after {looks} looks")
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
        self.known(address).is_none().then(|| "the pool does not have it".to_owned())
    }

    /// EC2's reads lag, and it knows no fencing: who has it only just may not have been seen.
    fn wrong_owner(&self, now: Moment, adoption: &Adoption<'_>) -> Option<String> {
        let Adoption { owner, changed, node, carrier, .. } = *adoption;
        let late = changed.map_or(Duration::ZERO, |at| now.since(at));
        let here = owner == Some((node.eni(carrier), false));
        (!here && late > self.unseen).then(|| format!("EC2 has it on {owner:?}"))
    }

    /// EC2 is changed for an address that was adopted. `reclaims`: by a release that takes it out,
    /// as the pool says.
    pub fn called_for_nobody(&mut self, now: Moment, slot: u32, reclaims: bool) {
        if !reclaims {
            self.broken(Promise::S8, now, || {
                format!("process {slot} changes EC2 for an address that is nobody's")
            });
        }
    }
}

/// It is parked where it is, by nobody, and announces nothing.
fn wrong_record(adoption: &Adoption<'_>) -> Option<String> {
    let record = adoption.record;
    let attachment = record.attachment.as_ref();
    let eni = attachment.and_then(|it| it.eni.as_ref()).and_then(EniIx::of);
    let parked = attachment.is_some_and(|it| it.state == State::Parked);
    let here = eni == Some(adoption.node.eni(adoption.carrier));
    let whole = parked && here && record.unsettled.is_empty() && record.member.is_nobody();
    (!whole).then(|| format!("its record is {record:?}"))
}
