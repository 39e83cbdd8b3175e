//! What agents begin, and what is done to their nodes.

use std::net::Ipv4Addr;

use firecamp_core::contract::timing;
use firecamp_core::outside::Holder;
use firecamp_core::record::StaticIp;
use firecamp_core::time::Moment;

use super::{Audit, Promise};
use crate::names::NodeIx;

impl Audit {
    /// Something else on a node has removed what is ours from its kernel.
    pub fn stripped(&mut self, node: NodeIx, address: Ipv4Addr) {
        if let Some(known) = self.known(address) {
            known.stripped[node.at()] = Some(known.epoch);
        }
    }

    /// An agent begins to re-assert an address: not before a look can show what the last one did.
    pub fn reasserts(&mut self, now: Moment, agent: u32, address: Ipv4Addr) {
        let Some(known) = self.known(address) else { return };
        let last = known.reasserted.replace((agent, now));
        let soon =
            last.is_some_and(|(by, at)| by == agent && now.since(at) < timing::REASSERT_PAUSE);
        if soon {
            self.broken(Promise::S6, now, || {
                format!("agent {agent} re-asserts {address} again though it did so a moment ago")
            });
        }
    }

    /// An agent begins to restore an address: only what its record has at this very epoch.
    pub fn restores(&mut self, now: Moment, agent: u32, holder: &Holder, record: &StaticIp) {
        let address = record.address;
        if !record.held_by(&holder.pod, holder.epoch) {
            self.broken(Promise::S3, now, || {
                let Holder { pod, epoch } = holder;
                format!(
                    "agent {agent} restores {address} for {pod} at epoch {epoch}; the record has \
                     epoch {}",
                    record.epoch
                )
            });
        }
    }
}
