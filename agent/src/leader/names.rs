//! Performs the leader's steps for the names of members.

use std::collections::BTreeSet;
use std::io;
use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use dns_lookup::{AddrFamily, AddrInfoHints, LookupErrorKind, SockType, getaddrinfo};
use firecamp_controllers::leader::{
    Change, Cluster as _, LookupAnswer, NamesChange, NamesResult, NamesStep,
};
use firecamp_core::failure::{RegistryFailure, RegistryKind};
use firecamp_kube::KubeCluster;
use tokio::task::spawn_blocking;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

/// Bound of one look-up. The resolver's thread may last longer; the next look-up waits 10 s.
const LOOKUP_BOUND: Duration = Duration::from_secs(3);

/// Performs a step. At the end of the term it is dropped: each change names the version that was
/// read, so nothing is left half done.
pub(super) async fn perform(
    cluster: &KubeCluster,
    step: NamesStep,
    term: &CancellationToken,
) -> NamesResult {
    match step {
        NamesStep::Change(change) => {
            let changed = term.run_until_cancelled(write(cluster, *change)).await;
            changed.map_or(NamesResult::Cancelled, NamesResult::Changed)
        }
        NamesStep::LookUp(name) => {
            NamesResult::LookedUp(term.run_until_cancelled(look_up(name)).await)
        }
    }
}

async fn write(cluster: &KubeCluster, change: NamesChange) -> Result<(), RegistryFailure> {
    let text = change.to_string();
    let changed = cluster.change(&Change::Names(change)).await;
    match &changed {
        Ok(()) => tracing::info!(change = text, "name written"),
        Err(why) if why.kind == RegistryKind::Conflict => {
            tracing::debug!(change = text, error = %why, "change obsolete");
        }
        Err(why) => tracing::warn!(change = text, error = %why, "change failed; will retry"),
    }
    changed
}

/// Asks the resolver of the node, as every program does. The dot keeps search domains out.
async fn look_up(name: String) -> LookupAnswer {
    let asked = spawn_blocking(move || addresses(&format!("{name}.")));
    match timeout(LOOKUP_BOUND, asked).await {
        Ok(Ok(answer)) => answer,
        Ok(Err(ended)) => LookupAnswer::Failed(ended.to_string()),
        Err(_elapsed) => {
            LookupAnswer::Failed(format!("no answer within {} s", LOOKUP_BOUND.as_secs()))
        }
    }
}

fn addresses(name: &str) -> LookupAnswer {
    let hints = AddrInfoHints {
        socktype: SockType::Stream.into(),
        address: AddrFamily::Inet.into(),
        ..AddrInfoHints::default()
    };
    let found = match getaddrinfo(Some(name), None, Some(hints)) {
        Ok(found) => found,
        Err(why) => {
            let is_absent = matches!(why.kind(), LookupErrorKind::NoName | LookupErrorKind::NoData);
            return if is_absent {
                LookupAnswer::NotFound
            } else {
                LookupAnswer::Failed(io::Error::from(why).to_string())
            };
        }
    };
    let v4 = |found: Result<dns_lookup::AddrInfo, io::Error>| match found.ok()?.sockaddr.ip() {
        IpAddr::V4(address) => Some(address),
        IpAddr::V6(_) => None,
    };
    let all: BTreeSet<Ipv4Addr> = found.filter_map(v4).collect();
    if all.is_empty() { LookupAnswer::NotFound } else { LookupAnswer::Addresses(all) }
}
