//! A kernel with injected faults.

use std::net::Ipv4Addr;

use firecamp_core::failure::{HostFailure, HostKind};
use firecamp_core::ports::{Holder, HostNet, KernelTarget, KernelView, SocketUse};

use crate::sim::script::{Op, Script};

/// Wraps any host and injects the faults of a script.
#[derive(Debug, Clone)]
pub struct FaultyHost<H> {
    inner: H,
    script: Script,
}

impl<H> FaultyHost<H> {
    /// Wraps a host.
    pub fn new(inner: H, script: Script) -> Self {
        Self { inner, script }
    }
}

fn broken(op: Op) -> impl Fn(bool) -> HostFailure {
    move |_| HostFailure {
        kind: HostKind::Busy,
        detail: format!("{op:?}: fault injected by the script"),
    }
}

impl<H: HostNet> HostNet for FaultyHost<H> {
    async fn add_address(
        &self,
        target: &KernelTarget,
        holder: &Holder,
    ) -> Result<bool, HostFailure> {
        let call = || self.inner.add_address(target, holder);
        self.script.around(Op::AddAddress, call, broken(Op::AddAddress)).await
    }

    async fn add_routing(
        &self,
        target: &KernelTarget,
        holder: &Holder,
    ) -> Result<bool, HostFailure> {
        let call = || self.inner.add_routing(target, holder);
        self.script.around(Op::AddRouting, call, broken(Op::AddRouting)).await
    }

    async fn note_assign(&self, address: Ipv4Addr) -> Result<(), HostFailure> {
        let call = || self.inner.note_assign(address);
        self.script.around(Op::NoteAssign, call, broken(Op::NoteAssign)).await
    }

    async fn observe(&self, target: &KernelTarget) -> Result<KernelView, HostFailure> {
        let call = || self.inner.observe(target);
        self.script.around(Op::Observe, call, broken(Op::Observe)).await
    }

    async fn remove_address(
        &self,
        address: Ipv4Addr,
        holder: &Holder,
    ) -> Result<bool, HostFailure> {
        let call = || self.inner.remove_address(address, holder);
        self.script.around(Op::RemoveAddress, call, broken(Op::RemoveAddress)).await
    }

    async fn remove_routing(
        &self,
        address: Ipv4Addr,
        holder: &Holder,
    ) -> Result<bool, HostFailure> {
        let call = || self.inner.remove_routing(address, holder);
        self.script.around(Op::RemoveRouting, call, broken(Op::RemoveRouting)).await
    }

    async fn sockets(&self, address: Ipv4Addr) -> Result<SocketUse, HostFailure> {
        let call = || self.inner.sockets(address);
        self.script.around(Op::Sockets, call, broken(Op::Sockets)).await
    }
}
