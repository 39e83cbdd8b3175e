//! Executes one step of a plan. Every write is a create or names the version that was read: a
//! change since then is a conflict, and the user can run the command again.

use firecamp_core::failure::{Effect, RegistryFailure, RegistryKind};
use firecamp_core::ports::Registry;
use firecamp_core::record::{Claim, Stored, Write};

use super::plan::{AddressStep, ClaimStep, Step};

/// Writes the missing objects of one address: its claim before its StaticIP.
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

/// Adds the address to an existing claim.
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
    let detail = format!("{what}: another client has changed it since it was read");
    RegistryFailure { kind: RegistryKind::Conflict, effect: Effect::None, detail }
}
