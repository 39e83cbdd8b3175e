//! The agent adopts orphaned addresses of a pool with the policy Adopt.

use std::net::Ipv4Addr;

use firecamp_core::agent::{Evidence, Orphan, adopt};
use firecamp_core::failure::RegistryKind;
use firecamp_core::ids::NodeName;
use firecamp_core::ports::{Owner, OwnerEni, Registry as _, SocketUse};
use firecamp_core::record::{OrphanPolicy, Write};
use firecamp_kube::KubeRegistry;

use super::{NODE, Outcome, ensure};

const ENI: &str = "eni-0123456789abcdef0";

fn parsed<T: std::str::FromStr<Err: std::fmt::Display>>(text: &str) -> Result<T, String> {
    text.parse().map_err(|wrong| format!("{wrong}"))
}

/// Adopts the last address of the first pool.
pub(super) async fn orphaned_address(registry: &KubeRegistry) -> Outcome {
    let node: NodeName = parsed(NODE)?;
    let reported = |wrong: firecamp_core::failure::RegistryFailure| format!("{wrong:?}");
    let anything = Ipv4Addr::UNSPECIFIED;
    let mut pools = registry.census(anything, &node).await.map_err(reported)?.pools;
    let entry = pools.first().and_then(|pool| pool.subnets.first()).ok_or("no pool")?;
    let (_, address) = *entry.ranges.last().ok_or("no range")?;
    let (eni, subnet) = (parsed(ENI)?, entry.subnet.clone());
    let census = registry.census(address, &node).await.map_err(reported)?;
    let record = registry.static_ip(address).await.map_err(reported)?;
    // The pool of this check does not have the policy; another check reads pools from the API.
    for pool in &mut pools {
        pool.orphaned = OrphanPolicy::Adopt;
    }
    let instance = parsed("i-0000000a")?;
    let owner = OwnerEni {
        id: parsed(ENI)?,
        primary: false,
        cluster: Some("prod".to_owned()),
        instance: Some(parsed("i-0000000a")?),
        description: String::new(),
    };
    let evidence = Evidence {
        node,
        instance,
        cluster: parsed("prod")?,
        recorded: record.is_some(),
        pools,
        claimed: census.claimed,
        owner: Owner::Eni(owner),
        kernel: None,
        lock: None,
        torn: false,
        sockets: SocketUse::default(),
        pods: census.pods,
    };
    let orphan = Orphan { eni, subnet, address };
    let record = adopt(&orphan, &evidence, parsed("agent-1")?).map_err(|why| why.to_string())?;
    let write = Write::CreateStaticIp(record);
    registry.write(&write).await.map_err(reported)?;
    // Creating it is the allocation: a second create fails.
    let second = registry.write(&write).await.err().map(|why| why.kind);
    ensure(second == Some(RegistryKind::AlreadyExists), || format!("{second:?}"))
}
