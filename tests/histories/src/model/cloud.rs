//! EC2 and the metadata service.

use std::net::Ipv4Addr;
use std::time::Duration;

use firecamp_core::action::Reply;
use firecamp_core::failure::{CloudFailure, CloudKind, Effect as ReportedEffect};
use firecamp_core::ids::{EniId, Mac};
use firecamp_core::time::Moment;

use super::Model;
use super::calls::Effect;
use super::process::Slot;
use crate::audit::{AddressMove, Ec2Mutation, MutationSource};
use crate::names::{EniIx, ProcessId};
use crate::scenario::Fault;
use crate::simulated_cluster::ec2::{Change, Lags};

/// What becomes of a call that EC2 accepts, by the time from its sending.
#[derive(Debug, Clone, Copy)]
pub(super) enum Fate {
    /// It takes effect, and the answer follows.
    Answered { lands: Duration, back: Duration },
    /// The caller only learns that there is no answer. It may take effect before or after.
    Unanswered { notified: Duration, lands: Option<Duration> },
    /// The caller waits in vain, and it takes effect after T.
    AfterDeadline { lands: Duration },
}

/// The time limit of a read in the runner.
const BOUND: Duration = Duration::from_secs(5);

pub(super) fn failure(kind: CloudKind, effect: ReportedEffect) -> CloudFailure {
    CloudFailure { kind, effect, detail: String::new() }
}

fn cloud(kind: CloudKind, effect: ReportedEffect) -> Reply {
    Reply::Cloud(Err(failure(kind, effect)))
}

impl Model<'_> {
    pub(super) fn read_identity(&mut self, slot: Slot) {
        let node = self.processes[slot.at()].spawn.node;
        let reply = match self.metadata_fails(slot) {
            Some(failure) => Reply::Identity(Err(failure)),
            None => Reply::Identity(Ok(self.cluster.identity(node, self.names, self.now))),
        };
        let after = self.process(slot).rng.micros(500, 4_000);
        self.reply_after(slot, after, reply);
    }

    pub(super) fn read_listed(&mut self, slot: Slot, mac: Mac) {
        let eni = EniIx(mac.bytes()[5]);
        let reply = match self.metadata_fails(slot) {
            Some(failure) => Reply::Listed(Err(failure)),
            None => Reply::Listed(Ok(self.cluster.listed(eni, self.names, self.now))),
        };
        let after = self.process(slot).rng.micros(300, 1_500);
        self.reply_after(slot, after, reply);
    }

    pub(super) fn metadata_fails(&mut self, slot: Slot) -> Option<CloudFailure> {
        let node = self.processes[slot.at()].spawn.node;
        let out = self.cluster.node(node).metadata_out;
        let fails = self.injects(slot, Fault::MetadataFails) || out;
        fails.then(|| failure(CloudKind::Transient, ReportedEffect::None))
    }

    /// A Describe: when its answer arrives, and its content.
    pub(super) fn describe_owner(&mut self, slot: Slot, address: Ipv4Addr) -> (Duration, Reply) {
        self.process(slot).ec2_calls += 1;
        let time = self.process(slot).rng.millis(20, 120);
        let refused = |kind| Reply::Owner(Err(failure(kind, ReportedEffect::None)));
        if self.cluster.ec2_out {
            let silent = self.process(slot).rng.once_in(3);
            return (if silent { BOUND } else { time }, refused(CloudKind::Transient));
        }
        if !self.cluster.ec2.buckets.describe.take(self.now) {
            self.coverage.fault(Fault::CloudThrottled);
            return (time, refused(CloudKind::Throttled));
        }
        if self.injects(slot, Fault::CloudDenied) {
            return (time, refused(CloudKind::Auth));
        }
        if self.injects(slot, Fault::CloudFails) {
            return (time, refused(CloudKind::Transient));
        }
        let then = if self.injects(slot, Fault::DescribeStale) {
            let lag = self.process(slot).rng.millis(0, 9_900);
            Moment(self.now.0.saturating_sub(lag))
        } else {
            self.now
        };
        (time, Reply::Owner(Ok(self.cluster.owner(address, self.names, then))))
    }

    /// An Assign (forced or not) or an Unassign, sent if enough of T is left.
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
                cloud(CloudKind::Transient, ReportedEffect::None),
            );
        };
        let eni = EniIx::of(eni).unwrap_or_default();
        if let (Some(force), Some(agent)) = (assign, self.shares_requests(slot)) {
            return self.queue_assign(agent, slot, (eni, address, force), self.now.plus(left));
        }
        self.count_mutation(slot, (eni, address), assign);
        if let Some(kind) = self.refused(slot) {
            let after = self.process(slot).rng.millis(20, 150);
            return self.reply_after(slot, after, cloud(kind, ReportedEffect::None));
        }
        let lags = self.lags(slot);
        let effect = match assign {
            Some(force) => Effect::Assign { eni, address, force, lags },
            None => Effect::Unassign { eni, address, lags },
        };
        self.send_mutation(slot, left, effect);
    }

    /// A call that changes EC2 is sent.
    pub(super) fn count_mutation(
        &mut self,
        slot: Slot,
        (eni, address): (EniIx, Ipv4Addr),
        assign: Option<bool>,
    ) {
        let process = &mut self.processes[slot.at()];
        process.ec2_calls += 1;
        process.mutations += 1;
        self.coverage.mutations += 1;
        let call = Ec2Mutation {
            slot: slot.0,
            eni,
            address,
            marked: process.marked,
            shown: process.shown_foreign && assign == Some(true),
        };
        self.audit.called(self.now, call);
        self.mutation_sent_for_orphan(slot, address, assign.is_some());
    }

    /// Refusals of EC2 without an effect.
    pub(super) fn refused(&mut self, slot: Slot) -> Option<CloudKind> {
        if self.cluster.ec2_out && self.process(slot).rng.once_in(2) {
            return Some(CloudKind::Transient);
        }
        if !self.cluster.ec2.buckets.mutating.take(self.now) {
            self.coverage.fault(Fault::CloudThrottled);
            return Some(CloudKind::Throttled);
        }
        self.injects(slot, Fault::CloudDenied).then_some(CloudKind::Auth)
    }

    fn send_mutation(&mut self, slot: Slot, left: Duration, effect: Effect) {
        let unknown = cloud(CloudKind::Transient, ReportedEffect::Unknown);
        match self.fate(slot, left) {
            Fate::Answered { lands, back } => self.send(slot, (lands, Some(back)), effect),
            Fate::Unanswered { notified, lands } => {
                self.pending_mutations(slot, self.now.plus(left));
                self.reply_after(slot, notified, unknown);
                if let Some(lands) = lands {
                    self.send(slot, (lands, None), effect);
                }
            }
            Fate::AfterDeadline { lands } => {
                self.reply_after(slot, left, unknown);
                self.send_after_deadline(slot, lands, effect);
            }
        }
    }

    /// What becomes of a call that EC2 accepts.
    pub(super) fn fate(&mut self, slot: Slot, left: Duration) -> Fate {
        let rng = &mut self.process(slot).rng;
        let (lands, back) = (rng.millis(20, 250), rng.millis(5, 60));
        if self.cluster.ec2_out {
            return Fate::Unanswered { notified: left, lands: None };
        }
        if self.injects(slot, Fault::CloudFails) {
            // 5xx: the caller does not know whether the call took effect.
            let done = self.process(slot).rng.once_in(2);
            let notified = lands.saturating_add(back);
            return Fate::Unanswered { notified, lands: done.then_some(lands) };
        }
        if self.injects(slot, Fault::CloudLost) {
            let silent = self.process(slot).rng.once_in(2);
            let notified = if silent { left } else { lands.saturating_add(back) };
            return Fate::Unanswered { notified, lands: Some(lands) };
        }
        if self.injects(slot, Fault::CloudLate) {
            // The connection breaks before the effect, which comes at any time within T.
            let lands = self.process(slot).rng.part(left.saturating_sub(Duration::from_millis(1)));
            let silent = self.process(slot).rng.once_in(2);
            let notified = if silent { left } else { self.process(slot).rng.part(lands) };
            return Fate::Unanswered { notified, lands: Some(lands) };
        }
        if self.injects(slot, Fault::CloudAfterDeadline) {
            let more = self.process(slot).rng.millis(1, 15_000);
            return Fate::AfterDeadline { lands: left.saturating_add(more) };
        }
        Fate::Answered { lands, back }
    }

    /// The process will not learn the result of a call.
    pub(super) fn pending_mutations(&mut self, slot: Slot, bound: Moment) {
        let process = self.process(slot);
        process.pending_until = process.pending_until.max(bound);
    }

    pub(super) fn lags(&mut self, slot: Slot) -> Lags {
        let slow_switch = self.injects(slot, Fault::SwitchSlow);
        let slow_metadata = self.injects(slot, Fault::MetadataSlow);
        let rng = &mut self.process(slot).rng;
        // Very slow ones are rare: each poll is a step of a waiting process.
        let very = rng.once_in(6);
        let switch = match (slow_switch, very) {
            (true, true) => rng.millis(400, 2_400),
            (true, false) => rng.millis(60, 400),
            (false, _) => rng.millis(2, 60),
        };
        let (listed, unlisted) = if slow_metadata {
            (rng.millis(0, if very { 20_000 } else { 300 }), rng.millis(0, 30_000))
        } else {
            (rng.millis(0, 60), rng.millis(0, 200))
        };
        Lags { switch, listed, unlisted }
    }

    pub(super) fn land_assign(
        &mut self,
        slot: Slot,
        (eni, address): (EniIx, Ipv4Addr),
        (force, after_deadline): (bool, bool),
        lags: Lags,
    ) -> Reply {
        let done = self.cluster.ec2.assign(self.now, (eni, address), force, lags);
        self.landed(slot, address, done, after_deadline)
    }

    pub(super) fn land_unassign(
        &mut self,
        slot: Slot,
        (eni, address): (EniIx, Ipv4Addr),
        after_deadline: bool,
        lags: Lags,
    ) -> Reply {
        let done = self.cluster.ec2.unassign(self.now, (eni, address), lags);
        self.landed(slot, address, done, after_deadline)
    }

    pub(super) fn landed(
        &mut self,
        slot: Slot,
        address: Ipv4Addr,
        done: Result<Change, CloudKind>,
        after_deadline: bool,
    ) -> Reply {
        let change = match done {
            Ok(change) => change,
            Err(kind) => return cloud(kind, ReportedEffect::None),
        };
        if change.from != change.to {
            let announced = self.processes[slot.at()].announced;
            let mover = MutationSource { slot: slot.0, announced, after_deadline };
            let moving = AddressMove { address, from: change.from, to: change.to };
            self.trace.moved(self.now, moving);
            let record = self.cluster.registry.static_ips.get(&address).map(|s| &s.object);
            self.audit.moved(self.now, mover, moving, record);
            if after_deadline {
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
        let claim = self.cluster.registry.claims.get(member);
        let address = claim.and_then(|claim| claim.object.address);
        let record = address.and_then(|a| self.cluster.registry.static_ips.get(&a));
        let own = self.names.run(ProcessId(slot.0));
        let held = record.map(|s| &s.object).filter(|record| {
            record.attachment.as_ref().is_some_and(|attachment| attachment.run == own)
        });
        if let Some(record) = held {
            self.audit.confirmed(record, slot.0);
        }
    }
}
