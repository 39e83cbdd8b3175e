//! The links that are in the registry: claim, address, pod and epoch.

use std::net::Ipv4Addr;

use firecamp_core::contract::cluster::condition::BOUND;
use firecamp_core::contract::cluster::reason::AWAITING_FIRST_START;
use firecamp_core::decide::is_bound_to;
use firecamp_core::ports::{PodLifecycle, PodView};
use firecamp_core::record::{Attachment, Claim, State, StaticIp};
use firecamp_registry::api::VOLUME_READY;

use super::{Expectation, Link};
use crate::explain::facts::{Answer, Facts};
use crate::explain::reason::Reason;

/// The address that the claim names.
pub(super) fn claim(facts: &Facts, links: &mut Vec<Link>) -> Option<Ipv4Addr> {
    let member = &facts.member;
    let (link, named) = match &facts.claim {
        Answer::Unknown(why) => (Link::unknown("claim", why), None),
        Answer::Known(None) => {
            let recorded = facts.recorded.map(|ip| format!("; {ip} is still reserved for it"));
            let recorded = recorded.unwrap_or_default();
            let seen = format!("StaticIPClaim {member} does not exist{recorded}");
            (Link::broken("claim", Reason::ClaimNotFound, seen), None)
        }
        Answer::Known(Some(claim)) => match claim.address {
            None => (unbound(facts, claim), None),
            Some(ip) => {
                let seen = format!("{} names {ip}", named_claim(claim));
                (Link::ok("claim", seen), Some(ip))
            }
        },
    };
    links.push(link);
    named
}

/// A claim without an address, with the reason if the leader has reported it.
fn unbound(facts: &Facts, claim: &Claim) -> Link {
    let words = format!("{} has no address yet", named_claim(claim));
    let conditions = facts.conditions.known().into_iter().flatten();
    match conditions.into_iter().find(|one| one.kind == BOUND && one.status == "False") {
        Some(why) if why.reason != AWAITING_FIRST_START => {
            let words = format!("{words}: {}: {}", why.reason, why.message);
            Link::broken("claim", Reason::CannotBind, words)
        }
        Some(_) | None => Link::pending("claim", Reason::ClaimUnbound, words),
    }
}

/// The claim with its pool, and the StatefulSet to which it is bound.
fn named_claim(claim: &Claim) -> String {
    let Claim { member, pool, set, .. } = claim;
    let bound = set.as_ref().map(|set| format!(", bound to StatefulSet {set},"));
    format!("StaticIPClaim {member} of pool {pool}{}", bound.unwrap_or_default())
}

/// The StaticIP, if it belongs to this member.
pub(super) fn address<'a>(
    facts: &'a Facts,
    named: Ipv4Addr,
    links: &mut Vec<Link>,
) -> Option<&'a StaticIp> {
    let (link, ip) = match &facts.address {
        Answer::Unknown(why) => (Link::unknown("address", why), None),
        Answer::Known(None) => {
            let seen = format!("StaticIP {named} does not exist");
            (Link::broken("address", Reason::StaticIPNotFound, seen), None)
        }
        Answer::Known(Some(ip)) if ip.member != facts.member => {
            let seen = format!("StaticIP {named} belongs to {}", ip.member);
            (Link::broken("address", Reason::AddressOfAnotherMember, seen), None)
        }
        Answer::Known(Some(ip)) => {
            let seen =
                format!("StaticIP {named} belongs to the member, in {} ({})", ip.subnet, ip.zone);
            (Link::ok("address", seen), Some(ip))
        }
    };
    links.push(link);
    ip
}

/// The pod itself, and whether it may use the address. The epoch link compares it with the record.
pub(super) fn pod(facts: &Facts, ip: &StaticIp) -> Link {
    if let Some(seen) = of_another(facts, ip) {
        return Link::broken("pod", Reason::ControllerMismatch, seen);
    }
    let seen = match &facts.pod {
        Answer::Unknown(why) => return Link::unknown("pod", why),
        Answer::Known(PodView::Vouched) => {
            "a file registry has no pods; the process that starts the member vouches for it"
                .to_owned()
        }
        Answer::Known(PodView::Absent) => format!("pod {} does not exist", facts.member),
        Answer::Known(PodView::Present { pod, node, lifecycle, .. }) => {
            let place = node.as_ref().map_or_else(
                || "is not assigned to a node yet".to_owned(),
                |node| format!("is on {node}"),
            );
            format!("pod {pod} {place}, {}", lifecycle_text(*lifecycle))
        }
    };
    Link::ok("pod", seen)
}

/// A pod that the init container rejects: the StatefulSet of the claim does not control it.
fn of_another(facts: &Facts, ip: &StaticIp) -> Option<String> {
    let set = facts.claim.known()?.as_ref()?.set.as_ref()?;
    let PodView::Present { pod, lifecycle: PodLifecycle::Running, controller, .. } =
        facts.pod.known()?
    else {
        return None;
    };
    let by = controller.as_ref().map_or_else(|| "nothing".to_owned(), ToString::to_string);
    let words = format!("pod {pod} is controlled by {by}; the claim is bound to StatefulSet {set}");
    (!is_bound_to(set, ip, pod, controller.as_ref())).then_some(words)
}

/// The volumes of the pod, if its node's agent reports that one is not ready. No container of the
/// pod, including the init container, starts before all volumes are mounted.
pub(super) fn volume(facts: &Facts) -> Option<Link> {
    let PodView::Present { lifecycle: PodLifecycle::Running, .. } = facts.pod.known()? else {
        return None;
    };
    let ready = facts.conditions.known()?.iter().find(|one| one.kind == VOLUME_READY)?;
    let seen = format!("{}: {}", ready.reason, ready.message);
    let not_ready = ready.status == "False";
    not_ready.then(|| Link::broken("volume", Reason::VolumeNotReady, seen))
}

fn lifecycle_text(lifecycle: PodLifecycle) -> &'static str {
    match lifecycle {
        PodLifecycle::Running => "starting or running",
        PodLifecycle::Terminating(_) => "terminating",
        PodLifecycle::Terminal => "finished",
    }
}

/// Whether the recorded attachment is the pod's.
pub(super) fn epoch(facts: &Facts, ip: &StaticIp) -> (Link, Expectation) {
    let Some(attachment) = &ip.attachment else {
        let seen = format!("no pod has used {} yet (epoch {})", ip.address, ip.epoch);
        return (Link::pending("epoch", Reason::NeverAttached, seen), Expectation::InTransition);
    };
    match attachment.state {
        State::Attached => attached(facts, ip, attachment),
        State::Attaching => (attaching(facts, ip, attachment), Expectation::InTransition),
        State::Releasing => {
            let seen = format!(
                "epoch {}: {} is being released from EC2{}",
                ip.epoch,
                ip.address,
                calls(ip)
            );
            (Link::pending("epoch", Reason::Releasing, seen), Expectation::InTransition)
        }
        State::Parked | State::Released => detached(facts, ip, attachment),
    }
}

fn on(ip: &StaticIp, attachment: &Attachment) -> String {
    let eni = attachment.eni.as_ref().map(|eni| format!(", {eni}")).unwrap_or_default();
    format!("epoch {}: pod {} on {}{eni}", ip.epoch, attachment.pod, attachment.node)
}

fn calls(ip: &StaticIp) -> String {
    match ip.pending_mutations.len() {
        0 => String::new(),
        1 => ", a call to EC2 may be in flight".to_owned(),
        count => format!(", {count} calls to EC2 may be in flight"),
    }
}

fn attached(facts: &Facts, ip: &StaticIp, attachment: &Attachment) -> (Link, Expectation) {
    let on = on(ip, attachment);
    let waits = |reason, seen| (Link::pending("epoch", reason, seen), Expectation::InTransition);
    match facts.pod.known() {
        Some(PodView::Absent) => {
            return waits(
                Reason::PodGone,
                format!("{on}: that pod is gone, and its address is not released yet"),
            );
        }
        Some(PodView::Present { pod, .. }) if *pod != attachment.pod => {
            return waits(
                Reason::HeldByAnotherPod,
                format!("{on}: the member's current pod is {pod}"),
            );
        }
        Some(PodView::Present { lifecycle: PodLifecycle::Terminal, .. }) => {
            return waits(
                Reason::PodGone,
                format!("{on}: that pod has finished, and its address is not released yet"),
            );
        }
        Some(PodView::Present { node: Some(node), .. }) if *node != attachment.node => {
            let seen = format!("{on}: that pod runs on {node}");
            return (
                Link::broken("epoch", Reason::PodOnAnotherNode, seen),
                Expectation::InTransition,
            );
        }
        Some(PodView::Present { .. } | PodView::Vouched) | None => {}
    }
    if ip.pending_mutations.is_empty() {
        return (Link::ok("epoch", format!("{on}, attached")), Expectation::Serving);
    }
    let seen = format!("{on}, attached{}", calls(ip));
    (Link::pending("epoch", Reason::CallInFlight, seen), Expectation::Serving)
}

fn attaching(facts: &Facts, ip: &StaticIp, attachment: &Attachment) -> Link {
    let on = on(ip, attachment);
    match facts.pod.known() {
        Some(PodView::Absent) => {
            let seen = format!("{on}: an attach was interrupted, and that pod is gone");
            Link::pending("epoch", Reason::PodGone, seen)
        }
        Some(PodView::Present { pod, .. }) if *pod != attachment.pod => {
            let seen =
                format!("{on}: an attach was interrupted; the member's current pod is {pod}");
            Link::pending("epoch", Reason::HeldByAnotherPod, seen)
        }
        Some(PodView::Present { .. } | PodView::Vouched) | None => {
            let seen = format!("{on}: an attach is in progress or was interrupted{}", calls(ip));
            Link::pending("epoch", Reason::Attaching, seen)
        }
    }
}

fn detached(facts: &Facts, ip: &StaticIp, attachment: &Attachment) -> (Link, Expectation) {
    let how = match attachment.state {
        State::Parked => "parked: EC2 keeps it on its network interface",
        State::Attaching | State::Attached | State::Releasing | State::Released => {
            "released: on no network interface of the cluster"
        }
    };
    let seen = format!("epoch {}: no pod uses {}; {how}", ip.epoch, ip.address);
    match facts.pod.known() {
        Some(PodView::Present { pod, lifecycle: PodLifecycle::Running, .. }) => {
            let seen = format!("{seen}; pod {pod} exists but has not acquired it");
            (Link::pending("epoch", Reason::AwaitingInit, seen), Expectation::InTransition)
        }
        Some(_) | None => (Link::ok("epoch", seen), Expectation::Idle),
    }
}
