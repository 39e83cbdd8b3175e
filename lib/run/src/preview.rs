//! Formats a plan: numbered lines as text, or one JSON document.

use std::fmt::Write as _;

use firecamp_core::action::Action;
use firecamp_core::plan::Plan;
use firecamp_core::ports::KernelTarget;
use firecamp_core::record::{StaticIp, Write};
use serde_json::{Value, json};

use crate::config::{Identity, Output};
use crate::report::Report;

/// One step for the output.
struct Step {
    system: &'static str,
    action: &'static str,
    text: String,
}

/// The formatted plan, with a trailing line break.
pub fn show(plan: &Plan, who: &Identity, output: Output) -> String {
    match output {
        Output::Human => human(plan, who),
        Output::Json => json(plan, who),
    }
}

fn human(plan: &Plan, who: &Identity) -> String {
    let Identity { member, pod, node } = who;
    let mut text =
        format!("Plan for {member} (pod {pod}) on {node}; dry run, nothing is changed.\n");
    for (number, step) in (1_u32..).zip(plan.steps.iter().map(step_of)) {
        // Writing to a String cannot fail.
        writeln!(text, "{number:>3}. {:<9} {}", step.system, step.text).ok();
    }
    let Report { exit, message, .. } = Report::from(&plan.outcome);
    writeln!(text, "Expected exit code: {} ({}): {message}", exit.code(), exit.reason()).ok();
    text
}

fn json(plan: &Plan, who: &Identity) -> String {
    let steps: Vec<Value> = plan
        .steps
        .iter()
        .map(step_of)
        .map(|step| json!({ "system": step.system, "action": step.action, "text": step.text }))
        .collect();
    let Report { exit, message, address, eni, epoch, path, cut_short: _ } =
        Report::from(&plan.outcome);
    let document = json!({
        "dryRun": true,
        "member": who.member.to_string(),
        "podUID": who.pod.as_str(),
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

fn step_of(action: &Action) -> Step {
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
        Action::RemoveAddress(address, _) => step(
            "kernel",
            "remove-address",
            format!("remove {address}/32 if FireCamp configured it"),
        ),
        Action::RemoveRouting(address, _) => {
            step("kernel", "remove-routing", format!("remove the routing rules for {address}"))
        }
        Action::Wait(delay) => {
            step("time", "wait", format!("wait up to {:?} for {}", delay.longest(), delay.why))
        }
        Action::ReadMember
        | Action::ReadRecord(_)
        | Action::ReadPod
        | Action::ReadAllocated(_)
        | Action::ReadIdentity
        | Action::ReadListed(_)
        | Action::BeginOwner(..)
        | Action::AwaitOwner
        | Action::ReadOwner(..)
        | Action::ProbeFile
        | Action::NoteAssign(_)
        | Action::Observe(_)
        | Action::ReadSockets(_)
        | Action::AwaitStop
        | Action::Done => step("none", "read", "read".to_owned()),
    }
}

fn added(target: &KernelTarget) -> String {
    format!(
        "add {}/32 with FireCamp's protocol tag to the link with MAC {}",
        target.address, target.mac
    )
}

fn routed(target: &KernelTarget) -> String {
    match &target.routing {
        Some(routing) => format!(
            "route packets from {} with table {}: {} direct, default via {}",
            target.address, routing.table, routing.subnet, routing.gateway
        ),
        None => format!("no routing rules for {} on the primary interface", target.address),
    }
}

fn written(write: &Write) -> String {
    match write {
        Write::CreateClaim(claim) => {
            format!("create the claim of {} in pool {}", claim.member, claim.pool)
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
    for pending in &ip.pending_mutations {
        let mutation = format!("{:?}", pending.mutation).to_lowercase();
        write!(text, "; pending {mutation} on {}", pending.eni).ok();
    }
    text
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::net::Ipv4Addr;

    use firecamp_core::attach::{Attach, AttachInput, UnwantedEnis};
    use firecamp_core::choose_interface::EniRule;
    use firecamp_core::contract::timing;
    use firecamp_core::ids::{ClusterName, Member, NodeName, PodUid, RunId};
    use firecamp_core::node_identity::{Eni, NodeIdentity};
    use firecamp_core::plan::{PlanInput, plan};
    use firecamp_core::ports::{KernelView, Owner, PodView, SocketUse};
    use firecamp_core::record::{MemberRecords, Pool, PoolSubnet, ReleasePolicy};
    use firecamp_core::time::Moment;

    use super::*;

    const FIRST: &str = "\
Plan for demo/redis-0 (pod uid-1) on node-a; dry run, nothing is changed.
  1. registry  create the claim of demo/redis-0 in pool main
  2. registry  allocate 10.0.1.40 of pool main to demo/redis-0
  3. registry  record 10.0.1.40 at epoch 1: attaching, pod uid-1, node node-a, eni-0a1b2c3d; \
pending assign on eni-0a1b2c3d
  4. ec2       assign 10.0.1.40 to eni-0a1b2c3d
  5. kernel    add 10.0.1.40/32 with FireCamp's protocol tag to the link with MAC 0a:00:00:00:00:01
  6. kernel    route packets from 10.0.1.40 with table 20001: 10.0.1.0/24 direct, default via \
10.0.1.1
  7. disk      write 10.0.1.40 to a temporary file and sync it
  8. disk      rename it to the static-IP file
  9. disk      sync the directory
 10. registry  record 10.0.1.40 at epoch 1: attached, pod uid-1, node node-a, eni-0a1b2c3d
Expected exit code: 0 (Success): 10.0.1.40 is attached to eni-0a1b2c3d; it was newly assigned there
";

    fn who() -> Identity {
        Identity {
            member: Member::new("demo", "redis-0").unwrap(),
            pod: PodUid::new("uid-1").unwrap(),
            node: NodeName::new("node-a").unwrap(),
        }
    }

    fn input() -> AttachInput {
        let Identity { member, pod, node } = who();
        AttachInput {
            member,
            pod,
            node,
            cluster: ClusterName::new("prod").unwrap(),
            pool: None,
            pool_is_approved: false,
            rule: EniRule::Auto,
            unwanted: UnwantedEnis::default(),
            metadata_poll: timing::METADATA_POLL,
            run: RunId::new("this").unwrap(),
            deadline: timing::ATTACH_DEADLINE,
            predecessor_grace: timing::PREDECESSOR_GRACE,
            looked_up: None,
        }
    }

    /// A pool with one address, and a node with one secondary ENI in its subnet.
    fn plan_input() -> PlanInput {
        let address = Ipv4Addr::new(10, 0, 1, 40);
        let subnet = PoolSubnet {
            subnet: "subnet-0a1b2c3d".parse().unwrap(),
            cidr: "10.0.1.0/24".parse().unwrap(),
            zone: "eu-west-1a".parse().unwrap(),
            ranges: vec![(address, address)],
        };
        let eni = Eni {
            id: "eni-0a1b2c3d".parse().unwrap(),
            mac: "0a:00:00:00:00:01".parse().unwrap(),
            device_index: 1,
            network_card: 0,
            subnet: subnet.subnet.clone(),
            cidr: subnet.cidr,
            primary_address: Ipv4Addr::new(10, 0, 1, 11),
            listed: BTreeSet::new(),
            prefixes: 0,
        };
        let pool = Pool {
            name: "main".parse().unwrap(),
            release_policy: ReleasePolicy::Keep,
            orphaned: firecamp_core::record::OrphanPolicy::Report,
            resource: firecamp_core::ids::ResourceName::default(),
            subnets: vec![subnet],
        };
        PlanInput {
            records: MemberRecords { pool: Some(pool), ..MemberRecords::default() },
            allocated: BTreeSet::new(),
            pod: PodView::Vouched,
            node: NodeIdentity {
                instance: "i-0a1b2c3d".parse().unwrap(),
                instance_type: "m5.large".to_owned(),
                zone: "eu-west-1a".parse().unwrap(),
                region: "eu-west-1".to_owned(),
                enis: vec![eni],
            },
            owners: (0..=255).map(|n| (Ipv4Addr::new(10, 0, 1, n), Owner::Unassigned)).collect(),
            kernel: Some(KernelView { link: Some("ens6".to_owned()), ..KernelView::default() }),
            sockets: Some(SocketUse::default()),
        }
    }

    fn first() -> Plan {
        plan(Attach::new(input(), Moment::default()), &plan_input()).unwrap()
    }

    #[test]
    fn a_first_attach_is_printed_step_by_step() {
        let text = show(&first(), &who(), Output::Human);
        assert_eq!(text, FIRST, "{text}");
    }

    #[test]
    fn the_json_format_has_the_same_steps_and_the_outcome() {
        let document: Value = serde_json::from_str(&show(&first(), &who(), Output::Json)).unwrap();
        let steps = document["steps"].as_array().unwrap();
        let actions: Vec<&str> = steps.iter().map(|s| s["action"].as_str().unwrap()).collect();
        let kernel = ["add-address", "add-routing", "stage-file", "publish-file", "sync-file"];
        assert_eq!(actions[..4], ["write", "write", "write", "assign"]);
        assert_eq!(actions[4..9], kernel);
        assert_eq!(actions[9..], ["write"]);
        assert_eq!(document["outcome"]["exitCode"], 0);
        assert_eq!(document["outcome"]["epoch"], 1);
        assert_eq!(document["outcome"]["address"], "10.0.1.40");
    }

    #[test]
    fn a_failing_plan_has_the_expected_exit() {
        let mut nowhere = plan_input();
        nowhere.node.enis.clear();
        let plan = plan(Attach::new(input(), Moment::default()), &nowhere).unwrap();
        let text = show(&plan, &who(), Output::Human);
        assert!(text.contains("Expected exit code: 17 (NodeUnsuitable)"), "{text}");
    }
}
