//! What the kernel needs for an address on an ENI: its link, and a routing table of the ENI's own.

use std::net::Ipv4Addr;

use crate::contract::kernel;
use crate::node_identity::Eni;
use crate::ports::{KernelTarget, Routing};

impl KernelTarget {
    /// What the kernel needs for an address on this ENI. The primary interface needs no routing.
    pub fn on(address: Ipv4Addr, eni: &Eni) -> Self {
        let primary = eni.device_index == 0 && eni.network_card == 0;
        let card = eni.network_card.saturating_mul(kernel::TABLES_PER_CARD);
        let table = kernel::TABLE_BASE
            .saturating_add(card)
            .saturating_add(eni.device_index)
            .min(kernel::TABLE_MAX);
        let routing = (!primary).then(|| Routing {
            table,
            gateway: Ipv4Addr::from(u32::from(eni.cidr.network()).saturating_add(1)),
            subnet: eni.cidr,
        });
        Self { address, mac: eni.mac, routing }
    }
}
