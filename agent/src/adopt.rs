//! Adopts one orphaned address: reads everything that could forbid it, then creates its StaticIP.
//!
//! Guarantees: there is one write, a create, which is also the allocation, so of two claimants one
//! succeeds. A failed read ends the attempt before the write. Nothing changes in EC2 or the kernel.

use firecamp_controllers::node::{AdoptionResult, AgentIdentity};
use firecamp_core::agent::{Evidence, Orphan, adopt};
use firecamp_core::failure::RegistryKind;
use firecamp_core::ports::{Cloud, Registry};
use firecamp_core::record::Write;
use firecamp_engine::{NoFile, Rng, Systems};
use firecamp_kube::Census;

use crate::ports::{Kernel, Registrar};

pub(crate) async fn attempt<C, H, R>(
    orphan: &Orphan,
    own: &AgentIdentity,
    systems: &Systems<C, H, R, NoFile>,
) -> AdoptionResult
where
    C: Cloud,
    H: Kernel,
    R: Registry + Registrar,
{
    let evidence = match gather(orphan, own, systems).await {
        Ok(evidence) => evidence,
        Err(why) => return AdoptionResult::Failed(why),
    };
    let record = match adopt(orphan, &evidence, Rng::default().run_id()) {
        Ok(record) => record,
        Err(why) => return AdoptionResult::Refused(why),
    };
    match systems.registry.write(&Write::CreateStaticIp(record)).await {
        Ok(_version) => AdoptionResult::Adopted,
        Err(why) if why.kind == RegistryKind::AlreadyExists => AdoptionResult::Moot,
        Err(why) => AdoptionResult::Failed(why.to_string()),
    }
}

/// Reads the record last, because the write depends on it.
async fn gather<C, H, R>(
    orphan: &Orphan,
    own: &AgentIdentity,
    Systems { cloud, host, registry, .. }: &Systems<C, H, R, NoFile>,
) -> Result<Evidence, String>
where
    C: Cloud,
    H: Kernel,
    R: Registry + Registrar,
{
    let address = orphan.address;
    let AgentIdentity { node, instance, cluster } = own.clone();
    let census = registry.census(address, &node).await.map_err(|why| why.to_string())?;
    let owner = cloud.owner(address, &orphan.subnet).await.map_err(|why| why.to_string())?;
    let kernel_snapshot = host.kernel_snapshot().await.map_err(|why| why.to_string())?;
    let sockets = host.sockets(address).await.map_err(|why| why.to_string())?;
    let record = registry.static_ip(address).await.map_err(|why| why.to_string())?;
    let Census { pools, claimed, pods } = census;
    Ok(Evidence {
        node,
        instance,
        cluster,
        recorded: record.is_some(),
        pools,
        claimed,
        owner,
        kernel: kernel_snapshot.mark(address),
        lock: kernel_snapshot.locks.get(&address).cloned(),
        torn: kernel_snapshot.torn.contains(&address),
        sockets,
        pods,
    })
}
