//! Whether the zones of a pool have ready Nodes. A member whose zone has none waits, because its
//! address is in a subnet of that zone.

use std::collections::BTreeSet;

use firecamp_core::contract::cluster::{condition, reason};
use firecamp_core::ids::Zone;
use firecamp_core::record::Pool;

use crate::leader::pools::{Verdict, listed};
use crate::leader::view::{NodeReadiness, View};

/// A zone is not ready if it has Nodes or addresses of members, and no ready Node. The result is
/// unknown while a Node cannot be read or no Node has a zone label.
pub(crate) fn available(view: &View, pool: &Pool) -> Verdict {
    let kind = condition::ZONES_AVAILABLE;
    let nodes: Option<Vec<_>> = view.nodes.values().map(Option::as_ref).collect();
    let nodes = nodes.filter(|all| all.iter().any(|node| node.zone.is_some()));
    let Some(nodes) = nodes else {
        let message = "the zones are not known: a Node cannot be read, or no Node has a zone label";
        let message = message.to_owned();
        return Verdict { kind, holds: None, reason: reason::ZONES_UNKNOWN, message };
    };
    let zones: BTreeSet<&Zone> = pool.subnets.iter().map(|entry| &entry.zone).collect();
    let is_not_ready = |zone: &&Zone| {
        let mut here = nodes.iter().filter(|node| node.zone.as_ref() == Some(zone)).peekable();
        let needed = here.peek().is_some() || has_members(view, pool, zone);
        needed && !here.any(|node| node.lifecycle == NodeReadiness::Ready)
    };
    let not_ready: Vec<&Zone> = zones.into_iter().filter(is_not_ready).collect();
    if not_ready.is_empty() {
        let message = "each of its zones with members or Nodes has a ready Node";
        let message = message.to_owned();
        return Verdict { kind, holds: Some(true), reason: reason::ZONES_READY, message };
    }
    let message = format!(
        "no Node is ready in {}: members whose addresses are there cannot start in another zone; \
         they start once a Node there is ready",
        listed(&not_ready)
    );
    Verdict { kind, holds: Some(false), reason: reason::ZONE_NOT_READY, message }
}

fn has_members(view: &View, pool: &Pool, zone: &Zone) -> bool {
    let there =
        |record: &firecamp_core::record::StaticIp| record.pool == pool.name && record.zone == *zone;
    view.readable().any(|(_address, observed)| there(&observed.record))
}
