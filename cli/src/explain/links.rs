//! Checks the links of a member. Pure: facts in, an explanation out.
//!
//! Guarantees: a link whose facts are unknown is *unknown*, never broken. A report of the recorded
//! node's agent replaces facts that are not available here, and the detail says so.

mod node;
mod records;

use std::net::Ipv4Addr;

use firecamp_core::contract::exit::CheckExit;
use firecamp_core::record::StaticIp;
use serde::Serialize;

use super::facts::Facts;
use super::reason::Reason;

/// The output of `firecamp explain -o json`. Stable: fields may be added but never change their
/// meaning.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Explanation {
    /// NAMESPACE/NAME.
    pub member: String,
    /// The first broken or pending link, or that there is none.
    pub reason: Reason,
    /// The same as a sentence.
    pub message: String,
    /// What to do.
    pub advice: String,
    /// The links, in order. After a broken link in the records, later links are omitted.
    pub links: Vec<Link>,
}

/// One link.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Link {
    /// `claim`, `address`, `pod`, `volume`, `epoch`, `ec2`, `lock`, `kernel` or `file`.
    pub link: &'static str,
    /// The state.
    pub state: LinkState,
    /// Why it is broken or pending.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<Reason>,
    /// What was observed, as text.
    pub seen: String,
}

/// The state of a link.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub enum LinkState {
    /// The link is as expected.
    Ok,
    /// The link is not ok yet; this may resolve itself.
    Pending,
    /// The link is broken.
    Broken,
    /// The link could not be checked.
    Unknown,
}

impl LinkState {
    /// The text in tables.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Pending => "pending",
            Self::Broken => "BROKEN",
            Self::Unknown => "unknown",
        }
    }
}

impl Link {
    fn ok(link: &'static str, seen: impl Into<String>) -> Self {
        Self { link, state: LinkState::Ok, reason: None, seen: seen.into() }
    }

    fn unknown(link: &'static str, why: impl Into<String>) -> Self {
        Self { link, state: LinkState::Unknown, reason: None, seen: why.into() }
    }

    fn broken(link: &'static str, reason: Reason, seen: impl Into<String>) -> Self {
        Self { link, state: LinkState::Broken, reason: Some(reason), seen: seen.into() }
    }

    fn pending(link: &'static str, reason: Reason, seen: impl Into<String>) -> Self {
        Self { link, state: LinkState::Pending, reason: Some(reason), seen: seen.into() }
    }
}

/// What the record implies for EC2 and the node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Expectation {
    /// A pod uses the address: all links must be ok.
    Serving,
    /// No pod uses the address: no node may have it configured.
    Idle,
    /// The address is being attached or released: EC2 and the node are not checked.
    InTransition,
}

/// Checks the links of a member.
pub fn explain(facts: &Facts) -> Explanation {
    let mut links = Vec::new();
    let record = records::claim(facts, &mut links).and_then(|claimed| {
        let ip = records::address(facts, claimed, &mut links)?;
        links.push(records::pod(facts, ip));
        Some(ip)
    });
    links.extend(records::volume(facts));
    let mut wanted = None;
    if let Some(ip) = record {
        let (link, want) = records::epoch(facts, ip);
        links.push(link);
        wanted = Some(want);
        if want != Expectation::InTransition {
            check_node(facts, ip, want, &mut links);
        }
    }
    conclude(facts, links, wanted)
}

fn check_node(facts: &Facts, ip: &StaticIp, wanted: Expectation, links: &mut Vec<Link>) {
    links.push(node::ec2(facts, ip, wanted));
    links.push(node::lock(facts, ip, wanted));
    links.push(node::kernel(facts, ip, wanted));
    if wanted == Expectation::Serving {
        links.push(node::file(facts, ip));
    }
}

fn conclude(facts: &Facts, links: Vec<Link>, wanted: Option<Expectation>) -> Explanation {
    let first = |state| links.iter().find(move |link| link.state == state);
    let wrong = first(LinkState::Broken).or_else(|| first(LinkState::Pending));
    let (reason, message) = match (wrong, wanted) {
        (Some(link), _) => (link.reason.unwrap_or(Reason::NotVerified), link.seen.clone()),
        (None, None) => {
            let why = first(LinkState::Unknown).map(|link| link.seen.clone());
            (Reason::RegistryUnreadable, why.unwrap_or_default())
        }
        (None, Some(Expectation::Idle)) => (Reason::NotInUse, idle(facts)),
        (None, Some(Expectation::Serving | Expectation::InTransition)) => serving(facts, &links),
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

fn idle(facts: &Facts) -> String {
    let address = address(facts).map(|ip| ip.to_string()).unwrap_or_default();
    format!("no pod uses {address}; it stays reserved for the member")
}

fn serving(facts: &Facts, links: &[Link]) -> (Reason, String) {
    let address = address(facts).map(|ip| ip.to_string()).unwrap_or_default();
    let unknown: Vec<&str> = links
        .iter()
        .filter(|link| link.state == LinkState::Unknown)
        .map(|link| link.link)
        .collect();
    if unknown.is_empty() {
        return (Reason::Reachable, format!("{address} is attached, and all links are ok"));
    }
    let which = unknown.join(", ");
    (
        Reason::NotVerified,
        format!("{address} is attached; no problem found; could not be checked: {which}"),
    )
}

impl Explanation {
    /// The exit code of the command.
    pub fn exit(&self) -> CheckExit {
        if self.reason == Reason::RegistryUnreadable {
            CheckExit::Unchecked
        } else if self.reason.is_healthy() {
            CheckExit::Fine
        } else {
            CheckExit::Problems
        }
    }
}
