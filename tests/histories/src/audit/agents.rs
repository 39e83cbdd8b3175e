//! What agents start, and what other programs do to their nodes.

use std::net::Ipv4Addr;

use firecamp_core::contract::timing;
use firecamp_core::ports::Holder;
use firecamp_core::record::StaticIp;
use firecamp_core::time::Moment;

use super::{Audit, Promise};
use crate::names::NodeIx;

impl Audit {
    /// Another program has removed one of our addresses from a node's kernel.
    pub fn stripped(&mut self, node: NodeIx, address: Ipv4Addr) {
        if let Some(known) = self.known(address) {
            known.stripped[node.at()] = Some(known.epoch);
        }
    }

    /// An agent starts to re-assert an address. It must wait until a pass can show the result of
    /// the last re-assert.
    pub fn reasserts(&mut self, now: Moment, agent: u32, address: Ipv4Addr) {
        let Some(known) = self.known(address) else { return };
        let last = known.reasserted.replace((agent, now));
        let soon =
            last.is_some_and(|(by, at)| by == agent && now.since(at) < timing::REASSERT_PAUSE);
        if soon {
            self.broken(Promise::S6, now, || {
                format!("agent {agent} re-asserts {address} again too soon")
            });
        }
    }

    /// An agent starts to restore an address. It may restore only what the record holds at this
    /// epoch.
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
