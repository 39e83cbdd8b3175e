//! Formats a plan as lines for people and diffs.

use std::fmt::Write as _;

use firecamp_core::action::Action;
use firecamp_core::machine::Outcome;
use firecamp_core::plan::Plan;
use firecamp_core::record::{StaticIp, Write};

/// The plan, one line for each step, and its outcome.
pub(crate) fn show(plan: &Plan) -> String {
    let mut text = String::new();
    for step in &plan.steps {
        let _written = writeln!(text, "- {}", line(step));
    }
    let _written = writeln!(text, "= {}", outcome(&plan.outcome));
    text
}

fn outcome(outcome: &Outcome) -> String {
    match outcome {
        Outcome::Attached(done) => format!(
            "attached {} epoch {} on {} ({:?}{}{})",
            done.address,
            done.epoch,
            done.eni,
            done.path,
            if done.barrier { ", after a barrier" } else { "" },
            if done.overlapped { ", overlapping a predecessor" } else { "" },
        ),
        Outcome::Released { release, cut_short, .. } => {
            format!("{release:?}{}", if *cut_short { ", draining cut short" } else { "" })
        }
        Outcome::Maintained { what, .. } => format!("{what:?}"),
        Outcome::Failed(failure) => format!("{}: {}", failure.exit.reason(), failure.message),
    }
}

fn line(action: &Action) -> String {
    if let Action::Write(write) = action {
        return written(write);
    }
    if let Action::Assign { eni, address, force, not_after } = action {
        let force = if *force { " by force" } else { "" };
        return format!("assign {address} to {eni}{force}, not after {:?}", not_after.0);
    }
    if let Action::Unassign { eni, address, not_after } = action {
        return format!("unassign {address} from {eni}, not after {:?}", not_after.0);
    }
    if let Action::AddAddress(target, holder) | Action::AddRouting(target, holder) = action {
        let what = if let Action::AddAddress(..) = action { "address" } else { "routing" };
        let table = target
            .routing
            .as_ref()
            .map_or_else(String::new, |r| format!(" table {} via {}", r.table, r.gateway));
        return format!("kernel: add {what} {} epoch {}{table}", target.address, holder.epoch);
    }
    if let Action::RemoveAddress(address, holder) = action {
        return format!("kernel: remove address {address} epoch {}", holder.epoch);
    }
    if let Action::RemoveRouting(address, holder) = action {
        return format!("kernel: remove routing {address} epoch {}", holder.epoch);
    }
    if let Action::Wait(delay) = action {
        return format!("wait {:?} for {}", delay.longest(), delay.why);
    }
    if let Action::StageFile(address) = action {
        return format!("file: stage {address}");
    }
    format!("{action:?}")
}

fn written(write: &Write) -> String {
    match write {
        Write::CreateClaim(claim) => format!("create claim for {:?}", claim.address),
        Write::UpdateClaim(claim) => format!("update claim to {:?}", claim.object.address),
        Write::CreateStaticIp(ip) => format!("create StaticIP {}", ip.address),
        Write::UpdateStaticIp(stored) => {
            format!("swap version {}: {}", stored.version, record(&stored.object))
        }
    }
}

fn record(record: &StaticIp) -> String {
    let pending: Vec<_> = record
        .pending_mutations
        .iter()
        .map(|m| format!("{:?} {} by {}", m.mutation, m.eni, m.run))
        .collect();
    let attachment = record.attachment.as_ref().map_or_else(
        || "no holder".to_owned(),
        |a| {
            let eni = a.eni.as_ref().map_or_else(|| "no ENI".to_owned(), ToString::to_string);
            format!("{:?} {} on {} {eni}", a.state, a.pod, a.node)
        },
    );
    let reserved = record.reserved_on.as_ref().map_or_else(String::new, |e| format!(" at {e}"));
    format!("epoch {} {attachment}{reserved} pending [{}]", record.epoch, pending.join(", "))
}
