//! The dry run: reads the outside systems and returns what an attach would do.

use std::collections::{BTreeMap, BTreeSet};

use firecamp_core::action::{Action, Reply};
use firecamp_core::attach::{Attach, AttachInput};
use firecamp_core::contract::exit::Exit;
use firecamp_core::failure::{CloudFailure, CloudKind, HostFailure, HostKind, RegistryFailure};
use firecamp_core::machine::Failure;
use firecamp_core::plan::{Missing, Plan, PlanInput, plan};
use firecamp_core::ports::{Cloud, HostNet, MemberFile, Registry};
use firecamp_core::time::Moment;

use crate::perform::Systems;

/// The maximum number of reads for one plan; a pool full of foreign addresses needs more.
const READS_MAX: usize = 64;

/// Reads the outside systems as far as the plan needs it, and plans an attach. It changes nothing.
pub async fn preview<C: Cloud, H: HostNet, R: Registry, F: MemberFile>(
    input: &AttachInput,
    systems: &Systems<C, H, R, F>,
) -> Result<Plan, Failure> {
    let mut inputs = observe(input, systems).await?;
    for _ in 0..READS_MAX {
        let action = match plan(Attach::new(input.clone(), Moment::default()), &inputs) {
            Ok(plan) => return Ok(plan),
            Err(Missing::Owner(address, subnet)) => Action::ReadOwner(address, subnet),
            Err(Missing::Kernel(target)) => Action::Observe(target),
            Err(Missing::Sockets(address)) => Action::ReadSockets(address),
            Err(Missing::End) => return Err(internal("the attach never ends")),
        };
        apply_reply(&mut inputs, &action, perform(input, systems, &action).await)?;
    }
    let message = format!("more than {READS_MAX} addresses of the pool are in use outside it");
    Err(Failure { exit: Exit::NoCapacity, message, address: None })
}

async fn perform<C: Cloud, H: HostNet, R: Registry, F: MemberFile>(
    input: &AttachInput,
    systems: &Systems<C, H, R, F>,
    action: &Action,
) -> Option<Reply> {
    systems.perform(&input.member, input.pool.as_ref(), action, Moment::default).await
}

fn apply_reply(
    inputs: &mut PlanInput,
    action: &Action,
    reply: Option<Reply>,
) -> Result<(), Failure> {
    match (action, reply) {
        (Action::ReadOwner(address, _), Some(Reply::Owner(observed))) => {
            inputs.owners.insert(*address, observed.map_err(cloud_failure)?);
        }
        (Action::Observe(_), Some(Reply::Observed(observed))) => {
            inputs.kernel = Some(observed.map_err(host_failure)?);
        }
        (Action::ReadSockets(_), Some(Reply::Sockets(observed))) => {
            inputs.sockets = Some(observed.map_err(host_failure)?);
        }
        (_, _) => return Err(internal("unexpected reply")),
    }
    Ok(())
}

async fn observe<C: Cloud, H: HostNet, R: Registry, F: MemberFile>(
    input: &AttachInput,
    systems: &Systems<C, H, R, F>,
) -> Result<PlanInput, Failure> {
    let wrong = || internal("unexpected reply");
    let Some(Reply::Member(read)) = perform(input, systems, &Action::ReadMember).await else {
        return Err(wrong());
    };
    let records = *read.map_err(registry_failure)?;
    let Some(Reply::Identity(read)) = perform(input, systems, &Action::ReadIdentity).await else {
        return Err(wrong());
    };
    let node = read.map_err(cloud_failure)?;
    let Some(Reply::Pod(read)) = perform(input, systems, &Action::ReadPod).await else {
        return Err(wrong());
    };
    let pod = read.map_err(registry_failure)?;
    let mut allocated = BTreeSet::new();
    if let Some(pool) = &records.pool {
        let action = Action::ReadAllocated(pool.name.clone());
        if let Some(Reply::Allocated(read)) = perform(input, systems, &action).await {
            allocated = read.map_err(registry_failure)?;
        }
    }
    let owners = BTreeMap::new();
    Ok(PlanInput { records, allocated, pod, node, owners, kernel: None, sockets: None })
}

fn internal(message: &str) -> Failure {
    Failure { exit: Exit::Internal, message: message.to_owned(), address: None }
}

fn registry_failure(failure: RegistryFailure) -> Failure {
    Failure { exit: failure.kind.exit(), message: failure.detail, address: None }
}

fn cloud_failure(failure: CloudFailure) -> Failure {
    let exit = match failure.kind {
        CloudKind::Transient | CloudKind::Throttled | CloudKind::NotFound => Exit::TimedOut,
        CloudKind::Auth
        | CloudKind::Unknown
        | CloudKind::HeldElsewhere
        | CloudKind::NotOnInterface
        | CloudKind::CapacityExceeded
        | CloudKind::SubnetExhausted
        | CloudKind::AttachmentLimitExceeded
        | CloudKind::DeviceIndexTaken
        | CloudKind::InterfaceInUse
        | CloudKind::QuotaExceeded
        | CloudKind::BadAddress => Exit::CloudRefused,
    };
    Failure { exit, message: failure.detail, address: None }
}

fn host_failure(failure: HostFailure) -> Failure {
    let exit = match failure.kind {
        HostKind::NoLink => Exit::NodeUnsuitable,
        HostKind::Superseded | HostKind::Busy | HostKind::Refused => Exit::KernelRefused,
    };
    Failure { exit, message: failure.detail, address: None }
}
