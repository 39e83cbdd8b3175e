//! The links after the record: EC2, and the node's lock, kernel and file.

use firecamp_core::agent::KernelOwner;
use firecamp_core::lock_rule::{Hold, LockRecord};
use firecamp_core::ports::{KernelView, Owner, OwnerEni};
use firecamp_core::record::StaticIp;
use firecamp_registry::api::AddressStatus;

use super::{Expectation, Link};
use crate::explain::facts::{Answer, Facts, FileState};
use crate::explain::reason::Reason;

/// What the agent reports for this epoch. A report for another epoch is ignored.
fn agent<'a>(facts: &'a Facts, ip: &StaticIp) -> Option<&'a AddressStatus> {
    let reported = facts.agent.known()?.as_ref()?;
    (reported.epoch == ip.epoch.0).then_some(reported)
}

/// The link as the agent reports it, if it cannot be checked from here.
fn by_agent(link: &'static str, ok: Option<bool>, broken: (Reason, &str), why: &str) -> Link {
    match ok {
        Some(true) => Link::ok(link, format!("reported by the node's agent ({why})")),
        Some(false) => {
            Link::broken(link, broken.0, format!("the node's agent reports: {}", broken.1))
        }
        None => Link::unknown(link, why),
    }
}

/// EC2 has the address on the recorded ENI.
pub(super) fn ec2(facts: &Facts, ip: &StaticIp, wanted: Expectation) -> Link {
    let attached = ip.attachment.as_ref().and_then(|attachment| attachment.eni.as_ref());
    let Some(eni) = attached else {
        return Link::ok("ec2", "the record names no network interface");
    };
    let owner = match &facts.owner {
        Answer::Known(owner) => owner,
        Answer::Unknown(why) => {
            let text = format!("EC2 does not have {} on {eni}", ip.address);
            let ok = agent(facts, ip).and_then(|reported| reported.in_ec2);
            return by_agent("ec2", ok, (Reason::Misplaced, &text), why);
        }
    };
    match owner {
        Owner::Eni(shown) if shown.id == *eni => {
            Link::ok("ec2", format!("EC2 has {} on {eni}", ip.address))
        }
        Owner::Unassigned if wanted == Expectation::Idle => Link::ok(
            "ec2",
            format!("EC2 has {} on no network interface; no pod needs it", ip.address),
        ),
        Owner::Unassigned => {
            let seen = format!("EC2 has {} on no network interface; expected on {eni}", ip.address);
            Link::broken("ec2", Reason::NotOnAnyInterface, seen)
        }
        Owner::Eni(shown) => elsewhere(ip, shown),
    }
}

fn elsewhere(ip: &StaticIp, shown: &OwnerEni) -> Link {
    let instance = shown.instance.as_ref().map(|it| format!(" of {it}")).unwrap_or_default();
    let words = match shown.description.as_str() {
        "" => String::new(),
        description => format!(" ({description})"),
    };
    let place = format!("EC2 has {} on {}{instance}{words}", ip.address, shown.id);
    match &shown.cluster {
        Some(cluster) if !shown.primary => {
            let seen = format!("{place}, in cluster {cluster}");
            Link::broken("ec2", Reason::Misplaced, seen)
        }
        Some(_) | None => {
            let how = if shown.primary {
                ", as its primary address"
            } else {
                ", which is not tagged for a FireCamp cluster"
            };
            Link::broken("ec2", Reason::HeldByForeignInterface, format!("{place}{how}"))
        }
    }
}

/// The node-local lock names the recorded holder.
pub(super) fn lock(facts: &Facts, ip: &StaticIp, wanted: Expectation) -> Link {
    let record = match &facts.node.lock {
        Answer::Unknown(why) => return Link::unknown("lock", why),
        Answer::Known(None) => {
            return Link::ok("lock", "the address has not been used here since the node booted");
        }
        Answer::Known(Some(record)) => record,
    };
    let LockRecord { holder, hold } = record;
    let what = match hold {
        Hold::Held => "holds",
        Hold::Released => "has released",
    };
    let seen = format!("pod {} {what} it, epoch {}", holder.pod, holder.epoch);
    let broken = |reason| Link::broken("lock", reason, seen.clone());
    if holder.epoch > ip.epoch {
        return broken(Reason::LockAhead);
    }
    let own = ip.attachment.as_ref().is_some_and(|now| now.pod == holder.pod);
    match (wanted, hold) {
        (Expectation::Serving, Hold::Released) if holder.epoch == ip.epoch => {
            broken(Reason::LockReleased)
        }
        (Expectation::Serving, Hold::Held) if holder.epoch == ip.epoch && own => {
            Link::ok("lock", seen)
        }
        (Expectation::Serving, Hold::Held | Hold::Released) => broken(Reason::LockBehind),
        (Expectation::Idle | Expectation::InTransition, Hold::Held | Hold::Released) => {
            Link::ok("lock", seen)
        }
    }
}

/// The kernel of the node has the address configured, or, if no pod uses it, does not.
pub(super) fn kernel(facts: &Facts, ip: &StaticIp, wanted: Expectation) -> Link {
    if wanted == Expectation::Idle {
        return leftover(facts, ip);
    }
    match (&facts.node.view, &facts.node.mark) {
        (Answer::Known(view), _) => of_view(ip, view),
        (Answer::Unknown(_), Answer::Known(mark)) => of_mark(ip, *mark),
        (Answer::Unknown(_), Answer::Unknown(why)) => {
            let reported = agent(facts, ip);
            let problem = reported.and_then(|reported| reported.problem.as_ref());
            let text = problem.map_or_else(
                || format!("a part of the configuration of {} is missing", ip.address),
                |problem| format!("{}: {}", problem.reason, problem.message),
            );
            let complete = reported.and_then(|reported| reported.in_kernel);
            by_agent("kernel", complete, (Reason::MissingInKernel, &text), why)
        }
    }
}

fn leftover(facts: &Facts, ip: &StaticIp) -> Link {
    match &facts.node.mark {
        Answer::Unknown(why) => Link::unknown("kernel", why),
        Answer::Known(Some(KernelOwner::Ours)) => {
            let seen = format!("the kernel of this node still has {}", ip.address);
            Link::broken("kernel", Reason::LeftoverInKernel, seen)
        }
        Answer::Known(Some(KernelOwner::Foreign)) => Link::ok(
            "kernel",
            "the kernel has it, configured by another program; FireCamp does not change it",
        ),
        Answer::Known(None) => Link::ok("kernel", "the kernel of this node does not have it"),
    }
}

fn of_view(ip: &StaticIp, view: &KernelView) -> Link {
    let address = ip.address;
    let Some(link) = &view.link else {
        let seen = "no link has the MAC address of the network interface";
        return Link::broken("kernel", Reason::LinkMissing, seen);
    };
    if !view.link_up {
        return Link::broken("kernel", Reason::LinkDown, format!("link {link} is down"));
    }
    if !view.address {
        let seen = format!("link {link} does not have {address}");
        return Link::broken("kernel", Reason::MissingInKernel, seen);
    }
    if !view.routing {
        let seen = format!("link {link} has {address}, but its rule or a route is missing");
        return Link::broken("kernel", Reason::RoutingMissingInKernel, seen);
    }
    let tag = if view.tagged { "" } else { ", configured by another program" };
    Link::ok("kernel", format!("link {link} has {address} with its rule and routes{tag}"))
}

fn of_mark(ip: &StaticIp, mark: Option<KernelOwner>) -> Link {
    match mark {
        None => {
            let seen = format!("the kernel does not have {}", ip.address);
            Link::broken("kernel", Reason::MissingInKernel, seen)
        }
        Some(KernelOwner::Ours) => {
            Link::ok("kernel", "the kernel has it; its link and routes could not be checked")
        }
        Some(KernelOwner::Foreign) => {
            Link::ok("kernel", "the kernel has it, configured by another program")
        }
    }
}

/// The static-IP file contains the member's address.
pub(super) fn file(facts: &Facts, ip: &StaticIp) -> Link {
    match &facts.node.file {
        Answer::Known(FileState::Contains(held)) if *held == ip.address => {
            Link::ok("file", format!("contains {held}"))
        }
        Answer::Known(FileState::Contains(held)) => {
            Link::broken("file", Reason::FileMismatch, format!("contains {held}"))
        }
        Answer::Known(FileState::Absent) => {
            Link::broken("file", Reason::FileMissing, "the static-IP file does not exist")
        }
        Answer::Known(FileState::Invalid(why)) => {
            Link::broken("file", Reason::FileInvalid, why.clone())
        }
        Answer::Unknown(why) => {
            let ok = agent(facts, ip).and_then(|reported| reported.in_file);
            by_agent("file", ok, (Reason::FileMismatch, "the file does not contain it"), why)
        }
    }
}
