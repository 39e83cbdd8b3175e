//! One step of a plan, executed over a registry. Every write is a create or names the version
//! that was read; whatever has changed since the plan was made ends it, and it can be run again.

use firecamp_core::failure::{Effect, RegistryFailure, RegistryKind};
use firecamp_core::outside::Registry;
use firecamp_core::record::{Claim, Stored, Write};

use super::plan::{AddressStep, ClaimStep, Step};

/// Does what one address lacks: its claim before its StaticIP.
pub async fn apply(registry: &impl Registry, step: &Step) -> Result<(), RegistryFailure> {
    match &step.claim {
        None => {}
        Some(ClaimStep::Create(claim)) => {
            written(registry, Write::CreateClaim(claim.clone())).await?;
        }
        Some(ClaimStep::Bind(claim)) => bind(registry, claim).await?,
    }
    match &step.address {
        None => Ok(()),
        Some(AddressStep { before: None, after }) => {
            written(registry, Write::CreateStaticIp(after.clone())).await
        }
        Some(AddressStep { before: Some(before), after }) => {
            let what = format!("update StaticIP {}", before.address);
            let read = registry.static_ip(before.address).await?;
            let read = read.filter(|stored| stored.object == *before);
            let Stored { version, .. } = read.ok_or_else(|| changed(&what))?;
            let object = after.clone();
            written(registry, Write::UpdateStaticIp(Stored { version, object })).await
        }
    }
}

/// Only the address is added to what is there.
async fn bind(registry: &impl Registry, claim: &Claim) -> Result<(), RegistryFailure> {
    let what = format!("update StaticIPClaim {}", claim.member);
    let read = registry.member(&claim.member, Some(&claim.pool)).await?.claim;
    let same = |stored: &Stored<Claim>| {
        stored.object.address.is_none()
            && stored.object.requested == claim.requested
            && stored.object.pool == claim.pool
    };
    let Stored { version, object } = read.filter(same).ok_or_else(|| changed(&what))?;
    let object = Claim { address: claim.address, ..object };
    written(registry, Write::UpdateClaim(Stored { version, object })).await
}

async fn written(registry: &impl Registry, write: Write) -> Result<(), RegistryFailure> {
    registry.write(&write).await.map(drop)
}

fn changed(what: &str) -> RegistryFailure {
    let detail = format!("{what}: somebody else has changed it meanwhile");
    RegistryFailure { kind: RegistryKind::Conflict, effect: Effect::None, detail }
}
