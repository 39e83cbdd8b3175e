//! EC2 and the metadata service.

use std::net::Ipv4Addr;
use std::time::Duration;

use firecamp_core::action::Reply;
use firecamp_core::failure::{CloudFailure, CloudKind, Effect as Known};
use firecamp_core::ids::{EniId, Mac};
use firecamp_core::time::Moment;

use super::Model;
use super::calls::Effect;
use super::process::Slot;
use crate::audit::{Calling, Mover, Moving};
use crate::names::{EniIx, ProcessId};
use crate::scenario::Fault;
use crate::world::ec2::{Change, Lags};

/// The most that a read may take: the runner's bound.
const BOUND: Duration = Duration::from_secs(5);

fn failure(kind: CloudKind, effect: Known) -> CloudFailure {
    CloudFailure { kind, effect, detail: String::new() }
}

fn cloud(kind: CloudKind, effect: Known) -> Reply {
    Reply::Cloud(Err(failure(kind, effect)))
}

impl Model<'_> {
    pub(super) fn read_identity(&mut self, slot: Slot) {
        let node = self.processes[slot.at()].spawn.node;
        let reply = match self.metadata_fails(slot) {
            Some(failure) => Reply::Identity(Err(failure)),
            None => Reply::Identity(Ok(self.world.identity(node, self.names, self.now))),
        };
        let after = self.process(slot).chance.micros(500, 4_000);
        self.reply_after(slot, after, reply);
    }

    pub(super) fn read_listed(&mut self, slot: Slot, mac: Mac) {
        let eni = EniIx(mac.bytes()[5]);
        let reply = match self.metadata_fails(slot) {
            Some(failure) => Reply::Listed(Err(failure)),
            None => Reply::Listed(Ok(self.world.listed(eni, self.names, self.now))),
        };
        let after = self.process(slot).chance.micros(300, 1_500);
        self.reply_after(slot, after, reply);
    }

    fn metadata_fails(&mut self, slot: Slot) -> Option<CloudFailure> {
        let node = self.processes[slot.at()].spawn.node;
        let out = self.world.node(node).metadata_out;
        let fails = self.strikes(slot, Fault::MetadataFails) || out;
        fails.then(|| failure(CloudKind::Transient, Known::None))
    }

    /// A Describe: when its answer comes, and what it says.
    pub(super) fn look_up(&mut self, slot: Slot, address: Ipv4Addr) -> (Duration, Reply) {
        self.process(slot).ec2_calls += 1;
        let time = self.process(slot).chance.millis(20, 120);
        let refused = |kind| Reply::Owner(Err(failure(kind, Known::None)));
        if self.world.ec2_out {
            let silent = self.process(slot).chance.once_in(3);
            return (if silent { BOUND } else { time }, refused(CloudKind::Transient));
        }
        if !self.world.ec2.buckets.describe.take(self.now) {
            self.probes.fault(Fault::CloudThrottled);
            return (time, refused(CloudKind::Throttled));
        }
        if self.strikes(slot, Fault::CloudDenied) {
            return (time, refused(CloudKind::Auth));
        }
        if self.strikes(slot, Fault::CloudFails) {
            return (time, refused(CloudKind::Transient));
        }
        let then = if self.strikes(slot, Fault::DescribeStale) {
            let lag = self.process(slot).chance.millis(0, 9_900);
            Moment(self.now.0.saturating_sub(lag))
        } else {
            self.now
        };
        (time, Reply::Owner(Ok(self.world.owner(address, self.names, then))))
    }

    /// An Assign (by force or not) or an Unassign, sent if enough of T is left.
    pub(super) fn mutate(
        &mut self,
        slot: Slot,
        (eni, address): (&EniId, Ipv4Addr),
        assign: Option<bool>,
        left: Option<Duration>,
    ) {
        let Some(left) = left else {
            return self.reply_after(
                slot,
                Duration::ZERO,
                cloud(CloudKind::Transient, Known::None),
            );
        };
        let process = &mut self.processes[slot.at()];
        process.ec2_calls += 1;
        process.mutations += 1;
        self.probes.mutations += 1;
        let eni = EniIx::of(eni).unwrap_or_default();
        let call = Calling {
            slot: slot.0,
            eni,
            address,
            marked: process.marked,
            shown: process.shown_foreign && assign == Some(true),
        };
        self.audit.called(self.now, call);
        self.called_for_nobody(slot, address, assign.is_some());
        if let Some(kind) = self.refused(slot) {
            let after = self.process(slot).chance.millis(20, 150);
            return self.reply_after(slot, after, cloud(kind, Known::None));
        }
        let lags = self.lags(slot);
        let effect = match assign {
            Some(force) => Effect::Assign { eni, address, force, lags },
            None => Effect::Unassign { eni, address, lags },
        };
        self.send_mutation(slot, left, effect);
    }

    /// What EC2 says without doing anything.
    fn refused(&mut self, slot: Slot) -> Option<CloudKind> {
        if self.world.ec2_out && self.process(slot).chance.once_in(2) {
            return Some(CloudKind::Transient);
        }
        if !self.world.ec2.buckets.mutating.take(self.now) {
            self.probes.fault(Fault::CloudThrottled);
            return Some(CloudKind::Throttled);
        }
        self.strikes(slot, Fault::CloudDenied).then_some(CloudKind::Auth)
    }

    fn send_mutation(&mut self, slot: Slot, left: Duration, effect: Effect) {
        let chance = &mut self.process(slot).chance;
        let (lands, back) = (chance.millis(20, 250), chance.millis(5, 60));
        let unknown = || cloud(CloudKind::Transient, Known::Unknown);
        let bound = self.now.plus(left);
        if self.world.ec2_out {
            self.unsettled(slot, bound);
            return self.reply_after(slot, left, unknown());
        }
        if self.strikes(slot, Fault::CloudFails) {
            // 5xx: done or not, nobody knows.
            self.unsettled(slot, bound);
            let done = self.process(slot).chance.once_in(2);
            self.reply_after(slot, lands.saturating_add(back), unknown());
            if done {
                self.send(slot, (lands, None), effect);
            }
            return;
        }
        if self.strikes(slot, Fault::CloudLost) {
            self.unsettled(slot, bound);
            let silent = self.process(slot).chance.once_in(2);
            let told = if silent { left } else { lands.saturating_add(back) };
            self.reply_after(slot, told, unknown());
            return self.send(slot, (lands, None), effect);
        }
        if self.strikes(slot, Fault::CloudLate) {
            // The connection breaks before the effect, which comes any time within T.
            self.unsettled(slot, bound);
            let lands =
                self.process(slot).chance.part(left.saturating_sub(Duration::from_millis(1)));
            let silent = self.process(slot).chance.once_in(2);
            let told = if silent { left } else { self.process(slot).chance.part(lands) };
            self.reply_after(slot, told, unknown());
            return self.send(slot, (lands, None), effect);
        }
        if self.strikes(slot, Fault::CloudOutside) {
            let more = self.process(slot).chance.millis(1, 15_000);
            self.reply_after(slot, left, unknown());
            return self.send_outside(slot, left.saturating_add(more), effect);
        }
        self.send(slot, (lands, Some(back)), effect);
    }

    /// The process will not know what became of a call.
    fn unsettled(&mut self, slot: Slot, bound: Moment) {
        let process = self.process(slot);
        process.unsettled_until = process.unsettled_until.max(bound);
    }

    fn lags(&mut self, slot: Slot) -> Lags {
        let slow_switch = self.strikes(slot, Fault::SwitchSlow);
        let slow_metadata = self.strikes(slot, Fault::MetadataSlow);
        let chance = &mut self.process(slot).chance;
        // Very slow seldom, for each 25 ms of it is a step of somebody who waits.
        let very = chance.once_in(6);
        let switch = match (slow_switch, very) {
            (true, true) => chance.millis(400, 2_400),
            (true, false) => chance.millis(60, 400),
            (false, _) => chance.millis(2, 60),
        };
        let (listed, unlisted) = if slow_metadata {
            (chance.millis(0, if very { 20_000 } else { 300 }), chance.millis(0, 30_000))
        } else {
            (chance.millis(0, 60), chance.millis(0, 200))
        };
        Lags { switch, listed, unlisted }
    }

    pub(super) fn land_assign(
        &mut self,
        slot: Slot,
        (eni, address): (EniIx, Ipv4Addr),
        (force, outside): (bool, bool),
        lags: Lags,
    ) -> Reply {
        let done = self.world.ec2.assign(self.now, (eni, address), force, lags);
        self.landed(slot, address, done, outside)
    }

    pub(super) fn land_unassign(
        &mut self,
        slot: Slot,
        (eni, address): (EniIx, Ipv4Addr),
        outside: bool,
        lags: Lags,
    ) -> Reply {
        let done = self.world.ec2.unassign(self.now, (eni, address), lags);
        self.landed(slot, address, done, outside)
    }

    fn landed(
        &mut self,
        slot: Slot,
        address: Ipv4Addr,
        done: Result<Change, CloudKind>,
        outside: bool,
    ) -> Reply {
        let change = match done {
            Ok(change) => change,
            Err(kind) => return cloud(kind, Known::None),
        };
        if change.from != change.to {
            let announced = self.processes[slot.at()].announced;
            let mover = Mover { slot: slot.0, announced, outside };
            let moving = Moving { address, from: change.from, to: change.to };
            self.trace.moved(self.now, moving);
            let record = self.world.registry.static_ips.get(&address).map(|s| &s.object);
            self.audit.moved(self.now, mover, moving, record);
            if outside {
                self.disturb();
            }
            self.check_address(address);
        }
        Reply::Cloud(Ok(()))
    }

    /// The holder of an epoch has a proof that EC2 has the address on its ENI.
    pub(super) fn confirm(&mut self, slot: Slot) {
        let process = &self.processes[slot.at()];
        let member = self.names.member(process.spawn.member);
        let claim = self.world.registry.claims.get(member);
        let address = claim.and_then(|claim| claim.object.address);
        let record = address.and_then(|a| self.world.registry.static_ips.get(&a));
        let own = self.names.run(ProcessId(slot.0));
        let held = record.map(|s| &s.object).filter(|record| {
            record.attachment.as_ref().is_some_and(|attachment| attachment.run == own)
        });
        if let Some(record) = held {
            self.audit.confirmed(record, slot.0);
        }
    }
}
