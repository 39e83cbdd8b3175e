//! Whether the zones of a pool have machines: a member whose zone is down waits for it, since its
//! address is in a subnet of that zone and in no other.

use std::collections::BTreeSet;

use firecamp_core::contract::cluster::{condition, reason};
use firecamp_core::ids::Zone;
use firecamp_core::record::Pool;

use crate::leader::pools::{Verdict, listed};
use crate::leader::view::{NodeLife, View};

/// A zone is down if no Node of it is ready though there are some, or though members have
/// addresses there. Nothing is known while a Node cannot be read or none tells its zone.
pub(crate) fn available(view: &View, pool: &Pool) -> Verdict {
    let kind = condition::ZONES_AVAILABLE;
    let nodes: Option<Vec<_>> = view.nodes.values().map(Option::as_ref).collect();
    let nodes = nodes.filter(|all| all.iter().any(|node| node.zone.is_some()));
    let Some(nodes) = nodes else {
        let message = "which zones the Nodes are in is not known".to_owned();
        return Verdict { kind, holds: None, reason: reason::ZONES_NOT_KNOWN, message };
    };
    let zones: BTreeSet<&Zone> = pool.subnets.iter().map(|entry| &entry.zone).collect();
    let is_down = |zone: &&Zone| {
        let mut here = nodes.iter().filter(|node| node.zone.as_ref() == Some(zone)).peekable();
        let wanted = here.peek().is_some() || has_members(view, pool, zone);
        wanted && !here.any(|node| node.life == NodeLife::Ready)
    };
    let down: Vec<&Zone> = zones.into_iter().filter(is_down).collect();
    if down.is_empty() {
        let message = "each zone in which it has members or Nodes has a Node that is ready";
        let message = message.to_owned();
        return Verdict { kind, holds: Some(true), reason: reason::ZONES_UP, message };
    }
    let message = format!(
        "no Node of {} is ready: members whose addresses are there start when one is, and are \
         tried in no other zone",
        listed(&down)
    );
    Verdict { kind, holds: Some(false), reason: reason::ZONE_DOWN, message }
}

fn has_members(view: &View, pool: &Pool, zone: &Zone) -> bool {
    let there =
        |record: &firecamp_core::record::StaticIp| record.pool == pool.name && record.zone == *zone;
    view.readable().any(|(_address, seen)| there(&seen.record))
}
