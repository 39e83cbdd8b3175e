//! Writes to the registry: S1, and S3 for records.

use firecamp_core::record::{Attachment, State, StaticIp};
use firecamp_core::time::Moment;

use super::{Audit, Author, Promise, is_run};
use crate::names::Names;

impl Audit {
    /// A static IP was created or replaced.
    pub fn recorded(
        &mut self,
        now: Moment,
        by: Author,
        before: Option<&StaticIp>,
        after: &StaticIp,
    ) {
        self.acquires(now, by, before, after);
        match before {
            None => self.created(now, by, after),
            Some(before) => {
                self.changed(now, by, before, after);
                self.without_pending(now, by, before, after);
            }
        }
        let Some(known) = self.known(after.address) else { return };
        if after.epoch.0 > known.epoch {
            known.marks.clear();
            known.marks.extend(before.iter().flat_map(|before| &before.pending_mutations).cloned());
            // A new holder has no proof yet, and the previous holder's proof does not count.
            known.confirmed = None;
        }
        known.epoch = after.epoch.0;
    }

    fn created(&mut self, now: Moment, by: Author, after: &StaticIp) {
        if after.member.is_orphaned() {
            return;
        }
        let count = &mut self.allocated[by.member.at()];
        *count = count.saturating_add(1);
        let (count, slot) = (*count, by.slot);
        if count > 1 {
            let member = &after.member;
            self.broken(Promise::S1, now, || {
                format!(
                    "process {slot} allocated {}, the second address of {member}",
                    after.address
                )
            });
        }
    }

    fn changed(&mut self, now: Moment, by: Author, before: &StaticIp, after: &StaticIp) {
        let slot = by.slot;
        if after.member != before.member {
            self.broken(Promise::S1, now, || {
                format!(
                    "process {slot} changed the member of {} to {}",
                    after.address, after.member
                )
            });
        }
        if after.epoch < before.epoch {
            self.broken(Promise::S1, now, || {
                format!("process {slot} set epoch {} back to {}", before.epoch, after.epoch)
            });
        }
        let (Some(old), Some(new)) = (&before.attachment, &after.attachment) else { return };
        self.released(now, by, (before, old), (after, new));
        if after.epoch > before.epoch {
            return;
        }
        if !may_change(old, new, slot) {
            self.broken(Promise::S3, now, || {
                format!(
                    "process {slot} changed the record of {} at epoch {}: {old:?} to {new:?}",
                    after.address, after.epoch
                )
            });
        }
    }

    /// A release names the epoch that was fixed and a terminating pod. A release that unassigns
    /// acquires an epoch of its own.
    fn released(
        &mut self,
        now: Moment,
        by: Author,
        (before, old): (&StaticIp, &Attachment),
        (after, new): (&StaticIp, &Attachment),
    ) {
        let held = matches!(old.state, State::Attaching | State::Attached);
        let freed = matches!(new.state, State::Parked | State::Releasing);
        if !held || !freed || is_run(&old.run, by.slot) {
            return;
        }
        let Author { slot, member, fixed, .. } = by;
        let shown = self.shown[member.at()].filter(|shown| shown.ending.is_none());
        let pod = Names::pod_ix(&old.pod);
        let address = before.address;
        if pod.is_some() && shown.map(|shown| shown.pod) == pod {
            self.broken(Promise::S3, now, || {
                format!(
                    "process {slot} released {address} of {}, which is not being deleted",
                    old.pod
                )
            });
        }
        if fixed.is_some_and(|fixed| fixed != before.epoch.0) {
            self.broken(Promise::S3, now, || {
                format!(
                    "process {slot} released {address} at epoch {}, not {fixed:?}",
                    before.epoch
                )
            });
        }
        if new.state == State::Releasing && after.epoch <= before.epoch {
            self.broken(Promise::S1, now, || {
                format!("process {slot} unassigns {address} under the epoch that held it")
            });
        }
    }

    /// Only its own process clears a pending mutation, or the claimant that has waited for it.
    fn without_pending(&mut self, now: Moment, by: Author, before: &StaticIp, after: &StaticIp) {
        for mark in &before.pending_mutations {
            let replaced = || {
                after
                    .pending_mutations
                    .iter()
                    .any(|m| m.mutation == mark.mutation && m.eni == mark.eni)
            };
            let own = is_run(&mark.run, by.slot);
            if own && !after.pending_mutations.contains(mark) && now < by.pending_until {
                let slot = by.slot;
                self.broken(Promise::S3, now, || {
                    format!(
                        "process {slot} cleared its pending mutation while its call may still land"
                    )
                });
            }
            if own || after.pending_mutations.contains(mark) || replaced() {
                continue;
            }
            let holder = before.attachment.as_ref().is_some_and(|a| is_run(&a.run, by.slot));
            let found = self.known(before.address).is_some_and(|k| k.marks.contains(mark));
            if !(holder && found) {
                let slot = by.slot;
                self.broken(Promise::S3, now, || {
                    format!("process {slot} cleared {mark:?} of {}", before.address)
                });
            }
        }
    }
}

/// Within one epoch, only its own run completes or abandons it, and only its pod is released.
fn may_change(old: &Attachment, new: &Attachment, slot: u32) -> bool {
    let own = is_run(&old.run, slot);
    match new.state {
        State::Attaching | State::Attached => {
            let same = new.pod == old.pod && new.run == old.run && new.eni == old.eni;
            same && (own || new.state == old.state)
        }
        State::Parked | State::Releasing | State::Released => own || new.pod == old.pod,
    }
}
