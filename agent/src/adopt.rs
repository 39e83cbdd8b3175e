//! Performs the steps of an attempt to adopt an orphaned address.

use firecamp_controllers::node::{
    AdoptionAttempt, AdoptionResult, AgentIdentity, AttemptAnswer, AttemptStep,
};
use firecamp_core::agent::Orphan;
use firecamp_core::failure::RegistryKind;
use firecamp_core::ports::{Cloud, Registry};
use firecamp_core::record::Write;
use firecamp_engine::{NoFile, Rng, Systems};
use firecamp_kube::Census;

use crate::kernel::Kernel;
use crate::ports::Registrar;

pub(crate) async fn attempt<C, H, R>(
    orphan: Orphan,
    own: AgentIdentity,
    systems: &Systems<C, H, R, NoFile>,
) -> AdoptionResult
where
    C: Cloud,
    H: Kernel,
    R: Registry + Registrar,
{
    let mut attempt = AdoptionAttempt::new(orphan, own, Rng::default().run_id());
    loop {
        if let AttemptStep::End(result) = attempt.step() {
            return result.clone();
        }
        let answer = perform(&attempt, systems).await;
        attempt.answered(answer.unwrap_or_else(AttemptAnswer::Failed));
    }
}

async fn perform<C, H, R>(
    attempt: &AdoptionAttempt,
    Systems { cloud, host, registry, .. }: &Systems<C, H, R, NoFile>,
) -> Result<AttemptAnswer, String>
where
    C: Cloud,
    H: Kernel,
    R: Registry + Registrar,
{
    let (orphan, node) = (attempt.orphan(), &attempt.evidence().node);
    let address = orphan.address;
    Ok(match attempt.step() {
        AttemptStep::ReadCensus => {
            let census = registry.census(address, node).await.map_err(|why| why.to_string())?;
            let Census { pools, claimed, pods } = census;
            AttemptAnswer::Census { pools, claimed, pods }
        }
        AttemptStep::ReadOwner => {
            let owner = cloud.owner(address, &orphan.subnet).await;
            AttemptAnswer::Owner(owner.map_err(|why| why.to_string())?)
        }
        AttemptStep::ReadKernel => {
            let snapshot = host.kernel_snapshot().await.map_err(|why| why.to_string())?;
            AttemptAnswer::Kernel {
                kernel: snapshot.mark(address),
                lock: snapshot.locks.get(&address).cloned(),
                torn: snapshot.torn.contains(&address),
            }
        }
        AttemptStep::ReadSockets => {
            let sockets = host.sockets(address).await;
            AttemptAnswer::Sockets(sockets.map_err(|why| why.to_string())?)
        }
        AttemptStep::ReadRecord => {
            let record = registry.static_ip(address).await.map_err(|why| why.to_string())?;
            AttemptAnswer::Recorded(record.is_some())
        }
        AttemptStep::Create(record) => {
            match registry.write(&Write::CreateStaticIp((**record).clone())).await {
                Ok(_version) => AttemptAnswer::Created,
                Err(why) if why.kind == RegistryKind::AlreadyExists => AttemptAnswer::AlreadyExists,
                Err(why) => return Err(why.to_string()),
            }
        }
        AttemptStep::End(_) => return Err("the attempt has ended".to_owned()),
    })
}
