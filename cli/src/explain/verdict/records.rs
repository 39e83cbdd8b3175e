//! The links that are in the registry: claim, address, pod and epoch.

use std::net::Ipv4Addr;

use firecamp_core::contract::cluster::condition::BOUND;
use firecamp_core::contract::cluster::reason::AWAITING_FIRST_START;
use firecamp_core::decide::is_bound_to;
use firecamp_core::outside::{Life, PodView};
use firecamp_core::record::{Attachment, Claim, State, StaticIp};
use firecamp_registry::api::VOLUME_READY;

use super::{Link, Wanted};
use crate::explain::facts::{Asked, Facts};
use crate::explain::reason::Reason;

/// The address that the claim names.
pub(super) fn claim(facts: &Facts, links: &mut Vec<Link>) -> Option<Ipv4Addr> {
    let member = &facts.member;
    let (link, named) = match &facts.claim {
        Asked::Unknown(why) => (Link::unknown("claim", why), None),
        Asked::Known(None) => {
            let kept = facts.kept.map(|ip| format!("; {ip} is kept for it all the same"));
            let seen = format!("there is no StaticIPClaim {member}{}", kept.unwrap_or_default());
            (Link::broken("claim", Reason::NoClaim, seen), None)
        }
        Asked::Known(Some(claim)) => match claim.address {
            None => (unbound(facts, claim), None),
            Some(ip) => {
                let seen = format!("{} names {ip}", named_claim(claim));
                (Link::holds("claim", seen), Some(ip))
            }
        },
    };
    links.push(link);
    named
}

/// A claim without an address, and why that is so, if the holder of the Lease has said it.
fn unbound(facts: &Facts, claim: &Claim) -> Link {
    let words = format!("{} has no address yet", named_claim(claim));
    let said = facts.said.known().into_iter().flatten();
    match said.into_iter().find(|one| one.kind == BOUND && one.status == "False") {
        Some(why) if why.reason != AWAITING_FIRST_START => {
            let words = format!("{words}: {}: {}", why.reason, why.message);
            Link::broken("claim", Reason::CannotBind, words)
        }
        Some(_) | None => Link::waits("claim", Reason::ClaimUnbound, words),
    }
}

/// The claim, the pool that it draws from, and whose pods alone have its address.
fn named_claim(claim: &Claim) -> String {
    let Claim { member, pool, set, .. } = claim;
    let bound = set.as_ref().map(|set| format!(", bound to StatefulSet {set},"));
    format!("StaticIPClaim {member} of pool {pool}{}", bound.unwrap_or_default())
}

/// The address's own object, if it is this member's.
pub(super) fn address<'a>(
    facts: &'a Facts,
    named: Ipv4Addr,
    links: &mut Vec<Link>,
) -> Option<&'a StaticIp> {
    let (link, ip) = match &facts.address {
        Asked::Unknown(why) => (Link::unknown("address", why), None),
        Asked::Known(None) => {
            let seen = format!("there is no StaticIP {named}");
            (Link::broken("address", Reason::AddressMissing, seen), None)
        }
        Asked::Known(Some(ip)) if ip.member != facts.member => {
            let seen = format!("StaticIP {named} belongs to {}", ip.member);
            (Link::broken("address", Reason::AddressOfOther, seen), None)
        }
        Asked::Known(Some(ip)) => {
            let seen = format!("StaticIP {named} is the member's, in {} ({})", ip.subnet, ip.zone);
            (Link::holds("address", seen), Some(ip))
        }
    };
    links.push(link);
    ip
}

/// The pod by itself, and whether it may have the address; whether it fits the record is the
/// epoch's link.
pub(super) fn pod(facts: &Facts, ip: &StaticIp) -> Link {
    if let Some(seen) = of_another(facts, ip) {
        return Link::broken("pod", Reason::ControllerMismatch, seen);
    }
    let seen = match &facts.pod {
        Asked::Unknown(why) => return Link::unknown("pod", why),
        Asked::Known(PodView::Vouched) => {
            "this registry knows no pods: whoever starts a member vouches for it".to_owned()
        }
        Asked::Known(PodView::Absent) => format!("there is no pod {}", facts.member),
        Asked::Known(PodView::Present { pod, node, life, .. }) => {
            let place = node
                .as_ref()
                .map_or_else(|| "is on no node yet".to_owned(), |node| format!("is on {node}"));
            format!("pod {pod} {place}, {}", of_life(*life))
        }
    };
    Link::holds("pod", seen)
}

/// A pod that init refuses: another StatefulSet than that of the claim controls it, or none.
fn of_another(facts: &Facts, ip: &StaticIp) -> Option<String> {
    let set = facts.claim.known()?.as_ref()?.set.as_ref()?;
    let PodView::Present { pod, life: Life::Running, controller, .. } = facts.pod.known()? else {
        return None;
    };
    let by = controller.as_ref().map_or_else(|| "nothing".to_owned(), ToString::to_string);
    let words = format!("pod {pod} is controlled by {by}; the claim is bound to StatefulSet {set}");
    (!is_bound_to(set, ip, pod, controller.as_ref())).then_some(words)
}

/// The volumes of the pod, where its node's agent says that it lacks one: before it has all of
/// them none of its containers starts, the init container included.
pub(super) fn volume(facts: &Facts) -> Option<Link> {
    let PodView::Present { life: Life::Running, .. } = facts.pod.known()? else { return None };
    let said = facts.said.known()?.iter().find(|one| one.kind == VOLUME_READY)?;
    let seen = format!("{}: {}", said.reason, said.message);
    let lacks = said.status == "False";
    lacks.then(|| Link::broken("volume", Reason::VolumeNotReady, seen))
}

fn of_life(life: Life) -> &'static str {
    match life {
        Life::Running => "starting or running",
        Life::Terminating(_) => "terminating",
        Life::Terminal => "ended",
    }
}

/// Whether the attachment that is on record is the pod's.
pub(super) fn epoch(facts: &Facts, ip: &StaticIp) -> (Link, Wanted) {
    let Some(attachment) = &ip.attachment else {
        let seen = format!("no pod has held {} yet (epoch {})", ip.address, ip.epoch);
        return (Link::waits("epoch", Reason::NeverAttached, seen), Wanted::Moving);
    };
    match attachment.state {
        State::Attached => attached(facts, ip, attachment),
        State::Attaching => (cut_off(facts, ip, attachment), Wanted::Moving),
        State::Releasing => {
            let seen = format!("epoch {}: {} is leaving EC2{}", ip.epoch, ip.address, calls(ip));
            (Link::waits("epoch", Reason::Releasing, seen), Wanted::Moving)
        }
        State::Parked | State::Released => rested(facts, ip, attachment),
    }
}

fn on(ip: &StaticIp, attachment: &Attachment) -> String {
    let eni = attachment.eni.as_ref().map(|eni| format!(", {eni}")).unwrap_or_default();
    format!("epoch {}: pod {} on {}{eni}", ip.epoch, attachment.pod, attachment.node)
}

fn calls(ip: &StaticIp) -> String {
    match ip.unsettled.len() {
        0 => String::new(),
        1 => ", a call to EC2 may be in flight".to_owned(),
        count => format!(", {count} calls to EC2 may be in flight"),
    }
}

fn attached(facts: &Facts, ip: &StaticIp, attachment: &Attachment) -> (Link, Wanted) {
    let on = on(ip, attachment);
    let waits = |reason, seen| (Link::waits("epoch", reason, seen), Wanted::Moving);
    match facts.pod.known() {
        Some(PodView::Absent) => {
            return waits(Reason::PodGone, format!("{on}: that pod is gone and was not released"));
        }
        Some(PodView::Present { pod, .. }) if *pod != attachment.pod => {
            return waits(Reason::PodReplaced, format!("{on}: by now the member's pod is {pod}"));
        }
        Some(PodView::Present { life: Life::Terminal, .. }) => {
            return waits(
                Reason::PodGone,
                format!("{on}: that pod has ended and was not released"),
            );
        }
        Some(PodView::Present { node: Some(node), .. }) if *node != attachment.node => {
            let seen = format!("{on}: but that pod runs on {node}");
            return (Link::broken("epoch", Reason::PodElsewhere, seen), Wanted::Moving);
        }
        Some(PodView::Present { .. } | PodView::Vouched) | None => {}
    }
    if ip.unsettled.is_empty() {
        return (Link::holds("epoch", format!("{on}, attached")), Wanted::Serving);
    }
    let seen = format!("{on}, attached{}", calls(ip));
    (Link::waits("epoch", Reason::CallInFlight, seen), Wanted::Serving)
}

fn cut_off(facts: &Facts, ip: &StaticIp, attachment: &Attachment) -> Link {
    let on = on(ip, attachment);
    match facts.pod.known() {
        Some(PodView::Absent) => {
            let seen = format!("{on}: an attach was cut off, and that pod is gone");
            Link::waits("epoch", Reason::PodGone, seen)
        }
        Some(PodView::Present { pod, .. }) if *pod != attachment.pod => {
            let seen = format!("{on}: an attach was cut off; by now the member's pod is {pod}");
            Link::waits("epoch", Reason::PodReplaced, seen)
        }
        Some(PodView::Present { .. } | PodView::Vouched) | None => {
            let seen = format!("{on}: an attach is under way, or was cut off{}", calls(ip));
            Link::waits("epoch", Reason::Attaching, seen)
        }
    }
}

fn rested(facts: &Facts, ip: &StaticIp, attachment: &Attachment) -> (Link, Wanted) {
    let how = match attachment.state {
        State::Parked => "parked: EC2 keeps it on its network interface",
        State::Attaching | State::Attached | State::Releasing | State::Released => {
            "released: on no network interface of ours"
        }
    };
    let seen = format!("epoch {}: no pod holds {}; {how}", ip.epoch, ip.address);
    match facts.pod.known() {
        Some(PodView::Present { pod, life: Life::Running, .. }) => {
            let seen = format!("{seen}; pod {pod} is there and has not taken it");
            (Link::waits("epoch", Reason::AwaitingInit, seen), Wanted::Moving)
        }
        Some(_) | None => (Link::holds("epoch", seen), Wanted::Resting),
    }
}
