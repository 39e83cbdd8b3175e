//! The kernel of a node and the volume of a member: local, so effects are immediate.

use std::net::Ipv4Addr;

use firecamp_core::action::{Action, Reply};
use firecamp_core::failure::{FileFailure, HostFailure, HostKind};
use firecamp_core::ports::{Holder, KernelTarget};

use firecamp_node::kernel::Change;

use super::Model;
use super::process::{ProcessKind, Slot};
use crate::audit::KernelWrite;
use crate::names::NodeIx;
use crate::scenario::Fault;

fn failed(kind: HostKind) -> HostFailure {
    HostFailure { kind, detail: String::new() }
}

/// The reply to a kernel action that failed.
fn answer(action: &Action, failure: HostFailure) -> Reply {
    if let Action::Observe(_) = action {
        Reply::Observed(Err(failure))
    } else if let Action::ReadSockets(_) = action {
        Reply::Sockets(Err(failure))
    } else {
        Reply::Host(Err(failure))
    }
}

/// The address and the holder of a kernel write.
fn subject(action: &Action) -> Option<(Ipv4Addr, &Holder)> {
    if let Action::AddAddress(KernelTarget { address, .. }, holder)
    | Action::AddRouting(KernelTarget { address, .. }, holder)
    | Action::RemoveAddress(address, holder)
    | Action::RemoveRouting(address, holder) = action
    {
        return Some((*address, holder));
    }
    None
}

impl Model<'_> {
    pub(super) fn host(&mut self, slot: Slot, action: &Action) {
        let node = self.processes[slot.at()].spawn.node;
        let after = self.process(slot).rng.micros(50, 1_500);
        if self.injects(slot, Fault::HostBusy) {
            let after = self.process(slot).rng.millis(5, 3_000);
            return self.reply_after(slot, after, answer(action, failed(HostKind::Busy)));
        }
        if self.injects(slot, Fault::HostRefuses) {
            if self.process(slot).rng.once_in(2) {
                // A failed action may have taken effect.
                self.act_on_kernel(slot, action);
            }
            return self.reply_after(slot, after, answer(action, failed(HostKind::Refused)));
        }
        let target = if let Action::AddAddress(target, _)
        | Action::AddRouting(target, _)
        | Action::Observe(target) = action
        {
            Some(target)
        } else {
            None
        };
        if let (Some(target), true) = (target, self.cluster.node(node).hardware_at > self.now) {
            let reply = if let Action::Observe(_) = action {
                let mut view = self.cluster.node(node).kernel.observe(target, self.now);
                (view.link, view.link_up) = (None, false);
                Reply::Observed(Ok(view))
            } else {
                answer(action, failed(HostKind::NoLink))
            };
            return self.reply_after(slot, after, reply);
        }
        let reply = self.act_on_kernel(slot, action);
        self.reply_after(slot, after, reply);
    }

    fn act_on_kernel(&mut self, slot: Slot, action: &Action) -> Reply {
        if subject(action).is_some() {
            return self.change_kernel(slot, action);
        }
        let node = self.processes[slot.at()].spawn.node;
        let kernel = &self.cluster.node(node).kernel;
        if let Action::Observe(target) = action {
            return Reply::Observed(Ok(kernel.observe(target, self.now)));
        }
        if let Action::NoteAssign(address) = action {
            let now = self.now;
            self.cluster.node_mut(node).kernel.note_assign(*address, now);
            return Reply::Host(Ok(true));
        }
        let used = if let Action::ReadSockets(address) = action {
            kernel.sockets(*address)
        } else {
            return Reply::Host(Ok(false));
        };
        Reply::Sockets(Ok(used))
    }

    /// A kernel write, with its audits.
    pub(super) fn change_kernel(&mut self, slot: Slot, action: &Action) -> Reply {
        let node = self.processes[slot.at()].spawn.node;
        if let Action::RemoveAddress(address, _) = action {
            let process = &self.processes[slot.at()];
            // A superseded init may remove its own addresses.
            let read = process.read || matches!(process.machine, ProcessKind::Attach(_));
            self.audit.removes(self.now, slot.0, *address, read);
        }
        let kernel = &mut self.cluster.node_mut(node).kernel;
        let done = if let Action::AddAddress(target, holder) = action {
            kernel.add_address(target, holder)
        } else if let Action::AddRouting(target, holder) = action {
            kernel.add_routing(target, holder)
        } else if let Action::RemoveAddress(address, holder) = action {
            kernel.remove_address(*address, holder)
        } else if let Action::RemoveRouting(address, holder) = action {
            kernel.remove_routing(*address, holder)
        } else {
            return Reply::Host(Ok(false));
        };
        if let (Ok(_), Some(subject)) = (&done, subject(action)) {
            let adds = matches!(action, Action::AddAddress(..) | Action::AddRouting(..));
            self.touched(slot, node, subject, adds);
        }
        if let (Ok(true), Some((address, _))) = (&done, subject(action)) {
            let routing = matches!(action, Action::AddRouting(..) | Action::RemoveRouting(..));
            let change = if routing { Change::Routing } else { Change::Address(address) };
            self.kernel_changed(node, &change);
        }
        Reply::Host(done)
    }

    fn touched(&mut self, slot: Slot, node: NodeIx, subject: (Ipv4Addr, &Holder), adds: bool) {
        let (address, holder) = subject;
        let fixed = self.processes[slot.at()].fixed;
        let touch = KernelWrite { slot: slot.0, node, address, epoch: holder.epoch.0, adds, fixed };
        self.audit.touched(self.now, touch, &self.cluster.node(node).kernel);
        self.check_address(address);
    }

    pub(super) fn file(&mut self, slot: Slot, action: &Action) {
        let member = self.processes[slot.at()].spawn.member;
        let fails = self.injects(slot, Fault::DiskFails);
        let before = fails && self.process(slot).rng.once_in(2);
        let disk = &mut self.cluster.disks[member.at()];
        let done = if before {
            Ok(false)
        } else if let Action::StageFile(address) = action {
            disk.stage(*address)
        } else if let Action::PublishFile = action {
            disk.publish().map(|()| true)
        } else if let Action::SyncFile = action {
            disk.sync().map(|()| true)
        } else {
            disk.probe().map(|()| true)
        };
        let failure = FileFailure { detail: String::new() };
        let reply = Reply::File(if fails { Err(failure) } else { done });
        let after = self.process(slot).rng.micros(100, 5_000);
        self.reply_after(slot, after, reply);
    }
}
