//! The kernel of a node: local, so an effect is at once.

use std::net::Ipv4Addr;

use crate::audit::Touch;
use crate::scenario::Fault;
use firecamp_core::failure::{HostFailure, HostKind};
use firecamp_core::outside::{Holder, HostNet, KernelTarget, KernelView, SocketUse};
use firecamp_core::time::Moment;
use firecamp_testkit::sim::Kernel;
use firecamp_vpc::World;
use tokio::time::sleep;

use super::Me;
use crate::wire::site::{Kind, Site, Slot};

/// The kernel as one process sees it.
#[derive(Debug, Clone)]
pub(crate) struct Node(pub(super) Me);

fn failed(kind: HostKind) -> HostFailure {
    HostFailure { kind, detail: "the kernel of the simulation fails".to_owned() }
}

/// How a call goes.
enum Course {
    Done,
    Refused(HostKind),
    /// It takes effect and fails all the same.
    Spoilt,
}

impl Site {
    /// A superseded init takes back its own; all others have to have read the record.
    fn removes(&mut self, now: Moment, slot: Slot, address: Ipv4Addr) {
        let process = self.process(slot);
        let read = process.heard.read || process.kind == Kind::Init;
        self.audit.removes(now, slot.0, address, read);
    }

    fn touched(
        &mut self,
        world: &mut World,
        now: Moment,
        slot: Slot,
        touch: (Ipv4Addr, &Holder, bool),
    ) {
        let (address, holder, adds) = touch;
        let node = self.process(slot).spawn.node;
        let fixed = self.process(slot).heard.fixed;
        let touch = Touch { slot: slot.0, node, address, epoch: holder.epoch.0, adds, fixed };
        self.audit.touched(now, touch, &self.cluster.nodes[node.at()].kernel);
        self.check_address(world, now, address);
    }
}

impl Node {
    async fn call<T>(
        &self,
        act: impl FnOnce(&mut Site, &mut World, Moment) -> Result<T, HostFailure>,
    ) -> Result<T, HostFailure> {
        let Me { shared, slot } = &self.0;
        let (course, first, time) = {
            let mut site = shared.site();
            let mut time = site.process(*slot).chance.micros(50, 1_500);
            let course = if site.strikes(*slot, Fault::HostBusy) {
                time = site.process(*slot).chance.millis(5, 3_000);
                Course::Refused(HostKind::Busy)
            } else if site.strikes(*slot, Fault::HostRefuses) {
                let spoilt = site.process(*slot).chance.once_in(2);
                if spoilt { Course::Spoilt } else { Course::Refused(HostKind::Refused) }
            } else {
                Course::Done
            };
            (course, site.process(*slot).chance.once_in(2), time)
        };
        if let Course::Refused(kind) = course {
            sleep(time).await;
            return Err(failed(kind));
        }
        // A kill meets it before its effect as often as after it.
        if !first {
            sleep(time).await;
        }
        let done = shared.with(act);
        if first {
            sleep(time).await;
        }
        if let Course::Spoilt = course { Err(failed(HostKind::Refused)) } else { done }
    }

    /// A write, and what the audits say to it.
    async fn change(
        &self,
        touch: (Ipv4Addr, &Holder),
        adds: bool,
        change: impl FnOnce(&mut Kernel) -> Result<bool, HostFailure>,
    ) -> Result<bool, HostFailure> {
        let slot = self.0.slot;
        self.call(|site, world, now| {
            let node = site.process(slot).spawn.node;
            let node = &mut site.cluster.nodes[node.at()];
            if adds && node.hardware_at > now {
                return Err(failed(HostKind::NoLink));
            }
            let done = change(&mut node.kernel)?;
            site.touched(world, now, slot, (touch.0, touch.1, adds));
            Ok(done)
        })
        .await
    }
}

impl HostNet for Node {
    async fn add_address(
        &self,
        target: &KernelTarget,
        holder: &Holder,
    ) -> Result<bool, HostFailure> {
        let add = |kernel: &mut Kernel| kernel.add_address(target, holder);
        self.change((target.address, holder), true, add).await
    }

    async fn add_routing(
        &self,
        target: &KernelTarget,
        holder: &Holder,
    ) -> Result<bool, HostFailure> {
        let add = |kernel: &mut Kernel| kernel.add_routing(target, holder);
        self.change((target.address, holder), true, add).await
    }

    async fn note_assign(&self, address: Ipv4Addr) -> Result<(), HostFailure> {
        let slot = self.0.slot;
        self.call(|site, _, now| {
            let node = site.process(slot).spawn.node;
            site.cluster.node_mut(node).kernel.note_assign(address, now);
            Ok(())
        })
        .await
    }

    async fn observe(&self, target: &KernelTarget) -> Result<KernelView, HostFailure> {
        let slot = self.0.slot;
        self.call(|site, _, now| {
            let node = site.process(slot).spawn.node;
            let node = &site.cluster.nodes[node.at()];
            let mut view = node.kernel.observe(target, now);
            if node.hardware_at > now {
                (view.link, view.link_up) = (None, false);
            }
            Ok(view)
        })
        .await
    }

    async fn remove_address(
        &self,
        address: Ipv4Addr,
        holder: &Holder,
    ) -> Result<bool, HostFailure> {
        let Me { shared, slot } = &self.0;
        let now = shared.now();
        shared.site().removes(now, *slot, address);
        let remove = |kernel: &mut Kernel| kernel.remove_address(address, holder);
        self.change((address, holder), false, remove).await
    }

    async fn remove_routing(
        &self,
        address: Ipv4Addr,
        holder: &Holder,
    ) -> Result<bool, HostFailure> {
        let remove = |kernel: &mut Kernel| kernel.remove_routing(address, holder);
        self.change((address, holder), false, remove).await
    }

    async fn sockets(&self, address: Ipv4Addr) -> Result<SocketUse, HostFailure> {
        let slot = self.0.slot;
        self.call(|site, _, _| {
            let node = site.process(slot).spawn.node;
            Ok(site.cluster.nodes[node.at()].kernel.sockets(address))
        })
        .await
    }
}
