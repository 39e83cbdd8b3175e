//! An address that is due to be adopted: everything is read afresh, and if nothing speaks against
//! it, its record is created.
//!
//! Guarantees: one write, a create, which is the allocation: of two who want the address one has
//! it. A read that fails ends it before that. Nothing is changed in EC2 or in the kernel.

use firecamp_core::agent::{Evidence, NotAdopted, Stray, adopt};
use firecamp_core::failure::RegistryKind;
use firecamp_core::ids::{ClusterName, InstanceId, NodeName};
use firecamp_core::outside::{Cloud, Registry};
use firecamp_core::record::Write;
use firecamp_engine::{Dice, NoFile, Systems};
use firecamp_kube::Census;

use crate::outside::{Kernel, Registrar};

/// Whose agent this is.
#[derive(Debug, Clone)]
pub(crate) struct Own {
    pub(crate) node: NodeName,
    pub(crate) instance: InstanceId,
    pub(crate) cluster: ClusterName,
}

/// What came of it.
#[derive(Debug)]
pub(crate) enum Tried {
    /// It has a record now.
    Adopted,
    /// Something speaks against it.
    Refused(NotAdopted),
    /// Somebody else was quicker.
    Moot,
    /// Something could not be read or written.
    Failed(String),
}

pub(crate) async fn attempt<C, H, R>(
    stray: &Stray,
    own: &Own,
    systems: &Systems<C, H, R, NoFile>,
) -> Tried
where
    C: Cloud,
    H: Kernel,
    R: Registry + Registrar,
{
    let evidence = match gather(stray, own, systems).await {
        Ok(evidence) => evidence,
        Err(why) => return Tried::Failed(why),
    };
    let record = match adopt(stray, &evidence, Dice::default().run_id()) {
        Ok(record) => record,
        Err(why) => return Tried::Refused(why),
    };
    match systems.registry.write(&Write::CreateStaticIp(record)).await {
        Ok(_version) => Tried::Adopted,
        Err(why) if why.kind == RegistryKind::AlreadyExists => Tried::Moot,
        Err(why) => Tried::Failed(why.to_string()),
    }
}

/// The record last: it is what the write depends on.
async fn gather<C, H, R>(
    stray: &Stray,
    own: &Own,
    Systems { cloud, host, registry, .. }: &Systems<C, H, R, NoFile>,
) -> Result<Evidence, String>
where
    C: Cloud,
    H: Kernel,
    R: Registry + Registrar,
{
    let address = stray.address;
    let Own { node, instance, cluster } = own.clone();
    let census = registry.census(address, &node).await.map_err(|why| why.to_string())?;
    let owner = cloud.owner(address, &stray.subnet).await.map_err(|why| why.to_string())?;
    let survey = host.survey().await.map_err(|why| why.to_string())?;
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
        kernel: survey.mark(address),
        lock: survey.locks.get(&address).cloned(),
        torn: survey.torn.contains(&address),
        sockets,
        pods,
    })
}
