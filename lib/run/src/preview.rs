//! How a plan is shown: numbered lines for people, one JSON document for machines.

use std::fmt::Write as _;

use firecamp_core::action::Action;
use firecamp_core::outside::KernelTarget;
use firecamp_core::plan::Plan;
use firecamp_core::record::{StaticIp, Write};
use serde_json::{Value, json};

use crate::config::{Identity, Output};
use crate::report::Report;

/// One step, told.
struct Step {
    system: &'static str,
    action: &'static str,
    text: String,
}

/// The plan as text with a line break at its end.
pub fn show(plan: &Plan, who: &Identity, output: Output) -> String {
    match output {
        Output::Human => human(plan, who),
        Output::Json => json(plan, who),
    }
}

fn human(plan: &Plan, who: &Identity) -> String {
    let Identity { member, pod, node } = who;
    let mut text = format!("Plan for {member} (pod {pod}) on {node}; nothing is changed.\n");
    for (number, step) in (1_u32..).zip(plan.steps.iter().map(told)) {
        // Writing to a String does not fail.
        writeln!(text, "{number:>3}. {:<9} {}", step.system, step.text).ok();
    }
    let Report { exit, message, .. } = Report::from(&plan.outcome);
    writeln!(text, "It would end with {} ({}): {message}", exit.code(), exit.reason()).ok();
    text
}

fn json(plan: &Plan, who: &Identity) -> String {
    let steps: Vec<Value> = plan
        .steps
        .iter()
        .map(told)
        .map(|step| json!({ "system": step.system, "action": step.action, "text": step.text }))
        .collect();
    let Report { exit, message, address, eni, epoch, path } = Report::from(&plan.outcome);
    let document = json!({
        "dryRun": true,
        "member": who.member.to_string(),
        "podUid": who.pod.as_str(),
        "node": who.node.as_str(),
        "steps": steps,
        "outcome": {
            "exitCode": exit.code(),
            "reason": exit.reason(),
            "message": message,
            "address": address,
            "eni": eni.map(|eni| eni.to_string()),
            "epoch": epoch.map(|epoch| epoch.0),
            "path": path,
        },
    });
    format!("{document:#}\n")
}

fn told(action: &Action) -> Step {
    let step = |system, action, text: String| Step { system, action, text };
    match action {
        Action::Write(write) => step("registry", "write", written(write)),
        Action::Assign { eni, address, force, .. } => {
            let force = if *force { ", by force" } else { "" };
            step("ec2", "assign", format!("assign {address} to {eni}{force}"))
        }
        Action::Unassign { eni, address, .. } => {
            step("ec2", "unassign", format!("unassign {address} from {eni}"))
        }
        Action::StageFile(address) => {
            step("disk", "stage-file", format!("write {address} to a temporary file and sync it"))
        }
        Action::PublishFile => {
            step("disk", "publish-file", "rename it to the static-IP file".to_owned())
        }
        Action::SyncFile => step("disk", "sync-file", "sync the directory".to_owned()),
        Action::AddAddress(target, _) => step("kernel", "add-address", added(target)),
        Action::AddRouting(target, _) => step("kernel", "add-routing", routed(target)),
        Action::RemoveAddress(address, _) => {
            step("kernel", "remove-address", format!("remove {address}/32 if it is ours"))
        }
        Action::RemoveRouting(address, _) => {
            step("kernel", "remove-routing", format!("remove our rules from {address}"))
        }
        Action::Wait(delay) => {
            step("time", "wait", format!("wait up to {:?} for {}", delay.length, delay.why))
        }
        Action::ReadMember
        | Action::ReadRecord(_)
        | Action::ReadPod
        | Action::ReadAllocated(_)
        | Action::ReadIdentity
        | Action::ReadListed(_)
        | Action::BeginOwner(..)
        | Action::ReadOwner(..)
        | Action::ProbeFile
        | Action::Observe(_)
        | Action::ReadSockets(_)
        | Action::AwaitStop
        | Action::Done => step("none", "read", "look".to_owned()),
    }
}

fn added(target: &KernelTarget) -> String {
    format!("add {}/32, tagged ours, to the link with MAC {}", target.address, target.mac)
}

fn routed(target: &KernelTarget) -> String {
    match &target.routing {
        Some(routing) => format!(
            "route what comes from {} by table {}: {} direct, the rest via {}",
            target.address, routing.table, routing.subnet, routing.gateway
        ),
        None => format!("no rules for {}: it is on the primary interface", target.address),
    }
}

fn written(write: &Write) -> String {
    match write {
        Write::CreateClaim(claim) => {
            format!("create the claim of {} on pool {}", claim.member, claim.pool)
        }
        Write::UpdateClaim(stored) => match stored.object.address {
            Some(address) => format!("bind the claim of {} to {address}", stored.object.member),
            None => format!("unbind the claim of {}", stored.object.member),
        },
        Write::CreateStaticIp(ip) => {
            format!("allocate {} of pool {} to {}", ip.address, ip.pool, ip.member)
        }
        Write::UpdateStaticIp(stored) => recorded(&stored.object),
    }
}

fn recorded(ip: &StaticIp) -> String {
    let mut text = format!("record {} at epoch {}", ip.address, ip.epoch);
    if let Some(attachment) = &ip.attachment {
        let state = format!("{:?}", attachment.state).to_lowercase();
        write!(text, ": {state}, pod {}, node {}", attachment.pod, attachment.node).ok();
        if let Some(eni) = &attachment.eni {
            write!(text, ", {eni}").ok();
        }
    }
    for mark in &ip.unsettled {
        let mutation = format!("{:?}", mark.mutation).to_lowercase();
        write!(text, "; {mutation} on {} may be in flight", mark.eni).ok();
    }
    text
}
