//! The port of the agent to the kernel of its node, and its events.

use std::collections::BTreeSet;
use std::net::{Ipv4Addr, SocketAddrV4};

use firecamp_core::failure::HostFailure;
use firecamp_core::ids::{Mac, PodUid};
use firecamp_core::ports::{Holder, HostNet, KernelTarget, KernelView};
use firecamp_host::{LinuxHost, Monitor};
use firecamp_node::kernel::{Change, KernelSnapshot, ObservedLink};

/// The networks of pods, and where they reach the agent.
pub(crate) trait PodKernel {
    /// Ensures that the endpoint's link is up and has the address.
    fn ensure_endpoint(&self, at: Ipv4Addr) -> impl Future<Output = Result<bool, HostFailure>>;

    /// Whether a client of the endpoint is on another machine.
    fn is_elsewhere(&self, client: Ipv4Addr) -> impl Future<Output = Result<bool, HostFailure>>;

    /// Records these pods of this node as such with a network of their own. `present`: all pods of
    /// the node.
    fn note_pods(
        &self,
        own: &BTreeSet<PodUid>,
        present: &BTreeSet<PodUid>,
    ) -> impl Future<Output = Result<(), HostFailure>>;

    /// Finds the network of a pod by its connection, from its end to the agent's; otherwise says
    /// why it is not clear which one it is.
    fn find_pod_network(
        &self,
        pod: &PodUid,
        connection: (SocketAddrV4, SocketAddrV4),
    ) -> impl Future<Output = Result<Result<(), String>, HostFailure>>;
}

/// The kernel of this node.
pub(crate) trait Kernel: HostNet + PodKernel + Clone {
    /// The same for a withdraw, which also accepts lock records of unsupported versions.
    fn withdrawing(self) -> Self;

    /// A complete snapshot of FireCamp's addresses and locks.
    fn kernel_snapshot(&self) -> impl Future<Output = Result<KernelSnapshot, HostFailure>>;

    /// The kernel state of each target, in order; without a link while the network of the pod that
    /// holds the address is gone.
    fn views(
        &self,
        targets: &[KernelTarget],
    ) -> impl Future<Output = Vec<Result<KernelView, HostFailure>>>;

    /// The links that may be ENIs.
    fn links(&self) -> impl Future<Output = Result<Vec<ObservedLink>, HostFailure>>;

    /// Sets up the link with this MAC, with the ENI's `own` address, if it has none but members'.
    /// Returns whether it changed anything.
    fn raise(&self, mac: Mac, own: Ipv4Addr) -> impl Future<Output = Result<bool, HostFailure>>;

    /// Removes an address from the kernel and keeps its holder in the lock. Returns whether it
    /// changed anything.
    fn withhold(
        &self,
        address: Ipv4Addr,
        holder: &Holder,
    ) -> impl Future<Output = Result<bool, HostFailure>>;
}

impl PodKernel for LinuxHost {
    async fn ensure_endpoint(&self, at: Ipv4Addr) -> Result<bool, HostFailure> {
        Self::ensure_endpoint(self, at).await
    }

    async fn is_elsewhere(&self, client: Ipv4Addr) -> Result<bool, HostFailure> {
        Self::is_elsewhere(self, client).await
    }

    async fn note_pods(
        &self,
        own: &BTreeSet<PodUid>,
        present: &BTreeSet<PodUid>,
    ) -> Result<(), HostFailure> {
        Self::note_pods(self, own, present).await
    }

    async fn find_pod_network(
        &self,
        pod: &PodUid,
        connection: (SocketAddrV4, SocketAddrV4),
    ) -> Result<Result<(), String>, HostFailure> {
        Self::find_pod_network(self, pod, connection).await
    }
}

impl Kernel for LinuxHost {
    fn withdrawing(self) -> Self {
        Self::withdrawing(self)
    }

    async fn kernel_snapshot(&self) -> Result<KernelSnapshot, HostFailure> {
        Self::kernel_snapshot(self).await
    }

    async fn views(&self, targets: &[KernelTarget]) -> Vec<Result<KernelView, HostFailure>> {
        Self::views(self, targets).await
    }

    async fn links(&self) -> Result<Vec<ObservedLink>, HostFailure> {
        Self::links(self).await
    }

    async fn raise(&self, mac: Mac, own: Ipv4Addr) -> Result<bool, HostFailure> {
        Self::raise(self, mac, own).await
    }

    async fn withhold(&self, address: Ipv4Addr, holder: &Holder) -> Result<bool, HostFailure> {
        Self::withhold(self, address, holder).await
    }
}

/// Kernel events.
pub(crate) trait KernelEvents {
    /// Waits for the next events. Cancel-safe.
    fn changed(&mut self) -> impl Future<Output = Result<Vec<Change>, HostFailure>>;
}

impl KernelEvents for Monitor {
    async fn changed(&mut self) -> Result<Vec<Change>, HostFailure> {
        Self::changed(self).await
    }
}
