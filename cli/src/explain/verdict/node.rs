//! The links behind the record: EC2, and the node's lock, kernel and file.

use firecamp_core::agent::KernelMark;
use firecamp_core::lock::{Hold, LockRecord};
use firecamp_core::outside::{KernelView, Owner, OwnerEni};
use firecamp_core::record::StaticIp;
use firecamp_registry::api::AddressStatus;

use super::{Link, Wanted};
use crate::explain::facts::{Asked, Facts, FileFact};
use crate::explain::reason::Reason;

/// What the agent says of this very epoch. Of another one it says nothing about this.
fn agent<'a>(facts: &'a Facts, ip: &StaticIp) -> Option<&'a AddressStatus> {
    let said = facts.agent.known()?.as_ref()?;
    (said.epoch == ip.epoch.0).then_some(said)
}

/// The link as the agent sees it, for what cannot be seen from here.
fn by_agent(link: &'static str, said: Option<bool>, broken: (Reason, &str), why: &str) -> Link {
    match said {
        Some(true) => Link::holds(link, format!("its agent says so ({why})")),
        Some(false) => Link::broken(link, broken.0, format!("its agent says: {}", broken.1)),
        None => Link::unknown(link, why),
    }
}

/// EC2 has the address where the record says.
pub(super) fn ec2(facts: &Facts, ip: &StaticIp, wanted: Wanted) -> Link {
    let attached = ip.attachment.as_ref().and_then(|attachment| attachment.eni.as_ref());
    let Some(eni) = attached else {
        return Link::holds("ec2", "the record has it on no network interface");
    };
    let owner = match &facts.owner {
        Asked::Known(owner) => owner,
        Asked::Unknown(why) => {
            let text = format!("EC2 does not have {} on {eni}", ip.address);
            let said = agent(facts, ip).and_then(|said| said.in_ec2);
            return by_agent("ec2", said, (Reason::OnOtherEni, &text), why);
        }
    };
    match owner {
        Owner::Eni(shown) if shown.id == *eni => {
            Link::holds("ec2", format!("EC2 has {} on {eni}", ip.address))
        }
        Owner::Nobody if wanted == Wanted::Resting => {
            Link::holds("ec2", format!("EC2 has {} on none, and nobody needs it", ip.address))
        }
        Owner::Nobody => {
            let seen = format!("EC2 shows {} on no network interface, not on {eni}", ip.address);
            Link::broken("ec2", Reason::OnNoEni, seen)
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
    let place = format!("EC2 shows {} on {}{instance}{words}", ip.address, shown.id);
    match &shown.cluster {
        Some(cluster) if !shown.primary => {
            let seen = format!("{place}, of cluster {cluster}");
            Link::broken("ec2", Reason::OnOtherEni, seen)
        }
        Some(_) | None => {
            let how =
                if shown.primary { ", as its primary address" } else { ", which is not ours" };
            Link::broken("ec2", Reason::OnForeignEni, format!("{place}{how}"))
        }
    }
}

/// The node's lock knows the same holder.
pub(super) fn lock(facts: &Facts, ip: &StaticIp, wanted: Wanted) -> Link {
    let record = match &facts.node.lock {
        Asked::Unknown(why) => return Link::unknown("lock", why),
        Asked::Known(None) => {
            return Link::holds("lock", "nobody has acted on it since the node started");
        }
        Asked::Known(Some(record)) => record,
    };
    let LockRecord { holder, hold } = record;
    let what = match hold {
        Hold::Held => "holds",
        Hold::Released => "has released",
    };
    let seen = format!("pod {} {what} it with epoch {}", holder.pod, holder.epoch);
    let broken = |reason| Link::broken("lock", reason, seen.clone());
    if holder.epoch > ip.epoch {
        return broken(Reason::LockAhead);
    }
    let own = ip.attachment.as_ref().is_some_and(|now| now.pod == holder.pod);
    match (wanted, hold) {
        (Wanted::Serving, Hold::Released) if holder.epoch == ip.epoch => {
            broken(Reason::LockReleased)
        }
        (Wanted::Serving, Hold::Held) if holder.epoch == ip.epoch && own => {
            Link::holds("lock", seen)
        }
        (Wanted::Serving, Hold::Held | Hold::Released) => broken(Reason::LockBehind),
        (Wanted::Resting | Wanted::Moving, Hold::Held | Hold::Released) => {
            Link::holds("lock", seen)
        }
    }
}

/// The kernel of the node answers for the address, or has nothing of it.
pub(super) fn kernel(facts: &Facts, ip: &StaticIp, wanted: Wanted) -> Link {
    if wanted == Wanted::Resting {
        return leftover(facts, ip);
    }
    match (&facts.node.view, &facts.node.mark) {
        (Asked::Known(view), _) => of_view(ip, view),
        (Asked::Unknown(_), Asked::Known(mark)) => of_mark(ip, *mark),
        (Asked::Unknown(_), Asked::Unknown(why)) => {
            let said = agent(facts, ip);
            let problem = said.and_then(|said| said.problem.as_ref());
            let text = problem.map_or_else(
                || format!("the kernel lacks a part of {}", ip.address),
                |problem| format!("{}: {}", problem.reason, problem.message),
            );
            let complete = said.and_then(|said| said.in_kernel);
            by_agent("kernel", complete, (Reason::KernelLacks, &text), why)
        }
    }
}

fn leftover(facts: &Facts, ip: &StaticIp) -> Link {
    match &facts.node.mark {
        Asked::Unknown(why) => Link::unknown("kernel", why),
        Asked::Known(Some(KernelMark::Ours)) => {
            let seen = format!("the kernel here still has {}", ip.address);
            Link::broken("kernel", Reason::KernelLeftover, seen)
        }
        Asked::Known(Some(KernelMark::Foreign)) => {
            Link::holds("kernel", "somebody else's address, which is never touched")
        }
        Asked::Known(None) => Link::holds("kernel", "the kernel here has nothing of it"),
    }
}

fn of_view(ip: &StaticIp, view: &KernelView) -> Link {
    let address = ip.address;
    let Some(link) = &view.link else {
        let seen = "no link has the MAC of the network interface";
        return Link::broken("kernel", Reason::LinkMissing, seen);
    };
    if !view.link_up {
        return Link::broken("kernel", Reason::LinkDown, format!("link {link} is down"));
    }
    if !view.address {
        let seen = format!("link {link} does not have {address}");
        return Link::broken("kernel", Reason::KernelLacks, seen);
    }
    if !view.routing {
        let seen = format!("link {link} has {address}, and its rule or a route is missing");
        return Link::broken("kernel", Reason::RoutingLacks, seen);
    }
    let tag = if view.tagged { "" } else { ", put there by somebody else" };
    Link::holds("kernel", format!("link {link} has {address}, with all that it needs{tag}"))
}

fn of_mark(ip: &StaticIp, mark: Option<KernelMark>) -> Link {
    match mark {
        None => {
            let seen = format!("the kernel does not have {}", ip.address);
            Link::broken("kernel", Reason::KernelLacks, seen)
        }
        Some(KernelMark::Ours) => {
            Link::holds("kernel", "the kernel has it; its link and routes could not be compared")
        }
        Some(KernelMark::Foreign) => {
            Link::holds("kernel", "the kernel has it, put there by somebody else")
        }
    }
}

/// The member reads its own address.
pub(super) fn file(facts: &Facts, ip: &StaticIp) -> Link {
    match &facts.node.file {
        Asked::Known(FileFact::Holds(held)) if *held == ip.address => {
            Link::holds("file", format!("it holds {held}"))
        }
        Asked::Known(FileFact::Holds(held)) => {
            Link::broken("file", Reason::FileOther, format!("it holds {held}"))
        }
        Asked::Known(FileFact::Absent) => {
            Link::broken("file", Reason::FileMissing, "there is no static-IP file")
        }
        Asked::Known(FileFact::Garbled(why)) => {
            Link::broken("file", Reason::FileGarbled, why.clone())
        }
        Asked::Unknown(why) => {
            let said = agent(facts, ip).and_then(|said| said.in_file);
            by_agent("file", said, (Reason::FileOther, "the file does not hold it"), why)
        }
    }
}
