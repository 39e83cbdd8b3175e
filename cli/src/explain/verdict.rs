//! The links of a member's chain, and at which of them it breaks. Pure: facts in, a verdict out.
//!
//! Guarantees: what was not asked is *unknown* and breaks nothing; what the recorded node's agent
//! says stands in for what cannot be seen from here, and says so.

mod node;
mod records;

use std::net::Ipv4Addr;

use firecamp_core::contract::exit::Look;
use firecamp_core::record::StaticIp;
use serde::Serialize;

use super::facts::Facts;
use super::reason::Reason;

/// A member's chain. What `firecamp explain -o json` prints; stable: fields are added and never
/// change their meaning.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Explanation {
    /// NAMESPACE/NAME.
    pub member: String,
    /// Where the chain breaks, or that it does not.
    pub reason: Reason,
    /// The same in a sentence.
    pub message: String,
    /// What to do.
    pub advice: String,
    /// The links, in their order. What lies behind a break in the records is left out.
    pub links: Vec<Link>,
}

/// One link.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Link {
    /// `claim`, `address`, `pod`, `volume`, `epoch`, `ec2`, `lock`, `kernel` or `file`.
    pub link: &'static str,
    /// How it is.
    pub state: LinkState,
    /// Why it is broken or waits.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<Reason>,
    /// What was seen, for people.
    pub seen: String,
}

/// How a link is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub enum LinkState {
    /// It holds.
    Holds,
    /// It does not hold yet; that may pass by itself.
    Waits,
    /// It does not hold.
    Broken,
    /// Nobody could be asked.
    Unknown,
}

impl LinkState {
    /// As it is shown.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Holds => "holds",
            Self::Waits => "waits",
            Self::Broken => "BROKEN",
            Self::Unknown => "unknown",
        }
    }
}

impl Link {
    fn holds(link: &'static str, seen: impl Into<String>) -> Self {
        Self { link, state: LinkState::Holds, reason: None, seen: seen.into() }
    }

    fn unknown(link: &'static str, why: impl Into<String>) -> Self {
        Self { link, state: LinkState::Unknown, reason: None, seen: why.into() }
    }

    fn broken(link: &'static str, reason: Reason, seen: impl Into<String>) -> Self {
        Self { link, state: LinkState::Broken, reason: Some(reason), seen: seen.into() }
    }

    fn waits(link: &'static str, reason: Reason, seen: impl Into<String>) -> Self {
        Self { link, state: LinkState::Waits, reason: Some(reason), seen: seen.into() }
    }
}

/// What the record asks of EC2 and of the node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Wanted {
    /// A pod serves on the address: every link must hold.
    Serving,
    /// Nobody serves on it: nothing may be left of it on a node.
    Resting,
    /// It is between the two: nothing can be said of EC2 and the node.
    Moving,
}

/// Follows the chain of a member.
pub fn explain(facts: &Facts) -> Explanation {
    let mut links = Vec::new();
    let whole = records::claim(facts, &mut links).and_then(|claimed| {
        let ip = records::address(facts, claimed, &mut links)?;
        links.push(records::pod(facts, ip));
        Some(ip)
    });
    links.extend(records::volume(facts));
    let mut wanted = None;
    if let Some(ip) = whole {
        let (link, want) = records::epoch(facts, ip);
        links.push(link);
        wanted = Some(want);
        if want != Wanted::Moving {
            beyond(facts, ip, want, &mut links);
        }
    }
    conclude(facts, links, wanted)
}

fn beyond(facts: &Facts, ip: &StaticIp, wanted: Wanted, links: &mut Vec<Link>) {
    links.push(node::ec2(facts, ip, wanted));
    links.push(node::lock(facts, ip, wanted));
    links.push(node::kernel(facts, ip, wanted));
    if wanted == Wanted::Serving {
        links.push(node::file(facts, ip));
    }
}

fn conclude(facts: &Facts, links: Vec<Link>, wanted: Option<Wanted>) -> Explanation {
    let first = |state| links.iter().find(move |link| link.state == state);
    let wrong = first(LinkState::Broken).or_else(|| first(LinkState::Waits));
    let (reason, message) = match (wrong, wanted) {
        (Some(link), _) => (link.reason.unwrap_or(Reason::Unproven), link.seen.clone()),
        (None, None) => {
            let why = first(LinkState::Unknown).map(|link| link.seen.clone());
            (Reason::RegistryUnread, why.unwrap_or_default())
        }
        (None, Some(Wanted::Resting)) => (Reason::AtRest, resting(facts)),
        (None, Some(Wanted::Serving | Wanted::Moving)) => serving(facts, &links),
    };
    Explanation {
        member: facts.member.to_string(),
        reason,
        message,
        advice: reason.advice().to_owned(),
        links,
    }
}

fn address(facts: &Facts) -> Option<Ipv4Addr> {
    facts.address.known()?.as_ref().map(|ip| ip.address)
}

fn resting(facts: &Facts) -> String {
    let address = address(facts).map(|ip| ip.to_string()).unwrap_or_default();
    format!("{address} is kept for the member, and no pod holds it")
}

fn serving(facts: &Facts, links: &[Link]) -> (Reason, String) {
    let address = address(facts).map(|ip| ip.to_string()).unwrap_or_default();
    let unknown: Vec<&str> = links
        .iter()
        .filter(|link| link.state == LinkState::Unknown)
        .map(|link| link.link)
        .collect();
    if unknown.is_empty() {
        return (Reason::Reachable, format!("{address} is held, and every link holds"));
    }
    let which = unknown.join(", ");
    (
        Reason::Unproven,
        format!("{address} is held, and nothing that was seen is wrong; not seen: {which}"),
    )
}

impl Explanation {
    /// How the command ends.
    pub fn look(&self) -> Look {
        if self.reason == Reason::RegistryUnread {
            Look::Unchecked
        } else if self.reason.is_sound() {
            Look::Fine
        } else {
            Look::Problems
        }
    }
}
