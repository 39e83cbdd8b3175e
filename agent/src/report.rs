//! What an operator learns of a node's addresses: log lines and metrics.

use std::net::Ipv4Addr;

use firecamp_controllers::node::{AdoptionResult, Counts, EndedOperation, OperationKind, Report};
use firecamp_controllers::publish::Shortage;
use firecamp_core::agent::{Operation, Orphan};
use firecamp_core::failure::HostFailure;
use firecamp_core::ids::{EniId, Member};
use firecamp_core::machine::{Maintenance, Outcome};
use firecamp_node::preflight::{Condition, Severity};

use crate::status::{Operations, Status};

/// Logs and counts.
pub(crate) fn report(report: Report, status: &Status) {
    match report {
        Report::Overrun => drop(status.reads.overruns.inc()),
        Report::Counted(counts) => counted(counts, status),
        Report::Ready => status.health.is_ready_now(),
        Report::Started(operation, address, member) => {
            started(&operation, address, &member);
            status.operations.started.get_or_create(&labels(&operation)).inc();
        }
        Report::Ended(operation) => {
            log_end(&operation);
            ended(&operation, status);
        }
        Report::Condition(condition) => log_condition(&condition),
        Report::Raising(eni, mac) => tracing::info!(%eni, %mac, "setting unconfigured link up"),
        Report::Raised(eni, done) => raised(&eni, &done),
        Report::Orphaned { address, eni, was_ours } => tracing::warn!(%address, %eni, was_ours,
            "orphaned address: no StaticIP names it, but it occupies a slot of its ENI; to keep \
             it, create its claim with spec.address and its StaticIP with spec.reservedOn of this \
             ENI; otherwise unassign it in EC2"),
        Report::Unknown(address) => tracing::warn!(%address,
            "unknown kernel address with FireCamp's protocol number: no StaticIP and no lock \
             of this node names it; remove it by hand"),
        Report::Suspects(count) => drop(status.addresses.orphaned.set(gauge(count))),
        Report::NotReserved(Shortage { member, parked, subnet, .. }) => tracing::warn!(%member,
            %parked, %subnet,
            "pod waits for a slot: no CIDR reservation of type explicit covers the parked \
             address, so it is not evicted"),
        Report::WithoutAddress(member) => tracing::warn!(%member,
            "pod runs with the label of a pool and has no address; was it created without the \
             init container?"),
        Report::AdoptionTried(orphan, result) => adoption_tried(&orphan, &result, status),
        Report::Withheld { address, eni, owner, done } => match done {
            Ok(()) => tracing::warn!(%address, %eni, %owner,
                "address withheld: EC2 shows it on another ENI and the registry does not \
                 respond; removed from the kernel until either names this node again"),
            Err(why) => tracing::warn!(%address, %eni, %owner, error = %why,
                "failed to withhold address that EC2 shows on another ENI"),
        },
    }
}

fn gauge(count: usize) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

fn counted(counts: Counts, status: &Status) {
    let Counts { attached, missing, misplaced, blocks, without_address, observation_stale } =
        counts;
    status.preflight.blocks.set(gauge(blocks));
    status.addresses.attached.set(gauge(attached));
    status.addresses.missing.set(gauge(missing));
    status.addresses.misplaced.set(gauge(misplaced));
    status.addresses.without_address.set(gauge(without_address));
    status.addresses.observation_stale.set(i64::from(observation_stale));
}

fn labels(operation: &Operation) -> Operations {
    Operations { kind: OperationKind::of(operation).name() }
}

fn ended(EndedOperation { operation, outcome, took, .. }: &EndedOperation, status: &Status) {
    let (labels, seconds) = (labels(operation), took.as_secs_f64());
    status.operations.durations.get_or_create(&labels).observe(seconds);
    match outcome {
        Some(Outcome::Failed(_)) => drop(status.operations.failed.get_or_create(&labels).inc()),
        Some(Outcome::Maintained { what: Maintenance::Restored, .. }) => {
            status.operations.restored.observe(seconds);
        }
        Some(Outcome::Attached(_) | Outcome::Released { .. } | Outcome::Maintained { .. })
        | None => {}
    }
}

fn adoption_tried(Orphan { address, eni, .. }: &Orphan, tried: &AdoptionResult, status: &Status) {
    match tried {
        AdoptionResult::Adopted => {
            tracing::info!(%address, %eni,
                "orphaned address adopted: StaticIP created as the pool requires");
            status.addresses.adopted.inc();
        }
        AdoptionResult::Refused(why) => tracing::warn!(%address, %eni, reason = %why,
            "orphaned address not adopted"),
        AdoptionResult::Moot => {
            tracing::info!(%address, %eni, "orphaned address already has a StaticIP");
        }
        AdoptionResult::Failed(why) => tracing::warn!(%address, %eni, error = %why,
            "adoption of orphaned address failed; will retry"),
    }
}

fn raised(eni: &EniId, done: &Result<bool, HostFailure>) {
    match done {
        Ok(true) => tracing::info!(%eni, "link set up"),
        Ok(false) => tracing::info!(%eni, "link left unchanged: already up or has an address"),
        Err(why) => tracing::warn!(%eni, error = %why, "failed to set link up"),
    }
}

fn log_condition(condition: &Condition) {
    let Condition { kind, reason, message } = condition;
    match condition.severity() {
        Severity::Blocking => {
            tracing::error!(condition = %kind, %reason, %message, "preflight condition changed");
        }
        Severity::Warning => {
            tracing::warn!(condition = %kind, %reason, %message, "preflight condition changed");
        }
        Severity::Unknown | Severity::Ok => {
            tracing::info!(condition = %kind, %reason, %message, "preflight condition changed");
        }
    }
}

/// Log fields of an operation, as far as it has them.
struct Fields<'a> {
    epoch: Option<u64>,
    pod: Option<&'a str>,
    eni: Option<&'a str>,
}

fn fields(operation: &Operation) -> Fields<'_> {
    match operation {
        Operation::Withdraw { holder, .. }
        | Operation::Restore { holder, .. }
        | Operation::Collect { holder, .. } => {
            Fields { epoch: Some(holder.epoch.0), pod: Some(holder.pod.as_str()), eni: None }
        }
        Operation::Release { pod, .. } | Operation::Evict { pod, .. } => {
            Fields { epoch: None, pod: Some(pod.as_str()), eni: None }
        }
        Operation::Reassert { epoch, eni, .. } => {
            Fields { epoch: Some(epoch.0), pod: None, eni: Some(eni.as_str()) }
        }
    }
}

fn started(operation: &Operation, address: Ipv4Addr, member: &Member) {
    let (operation, Fields { epoch, pod, eni }) = (name(operation), fields(operation));
    tracing::info!(%address, %member, operation, epoch, podUID = pod, eni, "operation started");
}

fn log_end(EndedOperation { operation, address, member, outcome, .. }: &EndedOperation) {
    let (operation, Fields { epoch, pod, eni }) = (name(operation), fields(operation));
    match outcome {
        Some(Outcome::Failed(why)) => {
            tracing::warn!(%address, %member, operation, epoch, podUID = pod, eni,
                reason = why.exit.reason(), error = %why.message,
                "operation failed; will retry");
        }
        Some(
            outcome
            @ (Outcome::Maintained { .. } | Outcome::Released { .. } | Outcome::Attached(_)),
        ) => tracing::info!(%address, %member, operation, epoch, podUID = pod, eni, ?outcome,
            "operation succeeded"),
        None => {
            tracing::info!(%address, %member, operation, epoch, podUID = pod, eni,
                "operation interrupted");
        }
    }
}

/// An operation's name in the log.
fn name(operation: &Operation) -> &'static str {
    match operation {
        Operation::Withdraw { .. } => "withdraw",
        Operation::Release { .. } => "release",
        Operation::Reassert { .. } => "reassert",
        Operation::Restore { .. } => "restore",
        Operation::Collect { .. } => "collect",
        Operation::Evict { .. } => "evict",
    }
}
