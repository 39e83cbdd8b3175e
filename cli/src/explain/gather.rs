//! Finds out what is known of a member. Only reads, each bounded in time; what fails is unknown.

use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use firecamp_core::attach::kernel_target;
use firecamp_core::contract::path::STATIC_IP_FILE;
use firecamp_core::ids::{EniId, Member, NodeName};
use firecamp_core::outside::{Cloud, HostNet, KernelView, Owner};
use firecamp_core::record::{Claim, StaticIp};
use firecamp_host::{HostTimeouts, LinuxHost};
use firecamp_registry::api::{AddressStatus, Condition, NodeAttachments, StaticIPSpec};

use super::facts::{Asked, Facts, FileFact, NodeFacts};
use crate::look::agent::Agent;
use crate::look::book::Book;
use crate::look::progress;
use crate::node;

/// EC2, with credentials that are still to be found, may take so long.
const EC2_WITHIN: Duration = Duration::from_secs(10);

/// What there is around this process.
#[derive(Debug)]
pub struct Around<C> {
    /// EC2, or why it is not asked.
    pub cloud: Result<C, String>,
    /// Why EC2 is not asked who has an address, though it and the metadata service can be.
    pub spared: Option<String>,
    /// The node that this is.
    pub here: Option<NodeName>,
    /// The directory of the node-local locks.
    pub run_dir: PathBuf,
    /// The directory of the static-IP file.
    pub conf_dir: Option<PathBuf>,
    /// The agent of this node.
    pub agent: Agent,
}

/// Everything that can be found out about a member from here.
pub async fn gather<C: Cloud>(book: &Book, member: &Member, around: &Around<C>) -> Facts {
    let claim = Asked::from(book.claim(member).await);
    let named = claim.known().and_then(|claim| claim.as_ref()?.address);
    let address = match (named, &claim) {
        (Some(named), _) => Asked::from(book.address(named).await),
        (None, Asked::Known(_)) => Asked::Known(None),
        (None, Asked::Unknown(why)) => Asked::not(why),
    };
    let kept = match claim {
        Asked::Known(None) => kept(book, member).await,
        Asked::Known(Some(_)) | Asked::Unknown(_) => None,
    };
    let mut facts = Facts {
        member: member.clone(),
        said: of_claim(book, &claim, member).await,
        claim,
        address,
        kept,
        pod: Asked::from(book.pod(member).await),
        owner: Asked::not("the registry names no address to ask for"),
        here: around.here.clone(),
        node: NodeFacts::unseen("the registry names no node to look at"),
        agent: Asked::not("the registry names no node to ask for"),
    };
    let ip = facts.address.known().cloned().flatten().filter(|ip| ip.member == *member);
    if let Some(ip) = ip {
        (facts.owner, facts.node, facts.agent) =
            tokio::join!(owner(around, &ip), of_node(around, &ip), of_agent(book, around, &ip),);
    }
    facts
}

async fn of_claim(
    book: &Book,
    claim: &Asked<Option<Claim>>,
    member: &Member,
) -> Asked<Vec<Condition>> {
    match claim {
        Asked::Known(Some(_)) => Asked::from(book.said_of(member).await),
        Asked::Known(None) => Asked::Known(Vec::new()),
        Asked::Unknown(why) => Asked::not(why),
    }
}

/// An address that names the member, though the member has no claim.
async fn kept(book: &Book, member: &Member) -> Option<Ipv4Addr> {
    let all = book.all::<StaticIPSpec>().await.ok()?;
    let of_member = |spec: &StaticIPSpec| {
        let owner = &spec.claim_ref;
        (owner.namespace.as_str(), owner.name.as_str()) == (member.namespace(), member.name())
    };
    all.found.iter().find(|ip| of_member(&ip.spec))?.metadata.name.parse().ok()
}

async fn owner<C: Cloud>(around: &Around<C>, ip: &StaticIp) -> Asked<Owner> {
    let cloud = match (&around.spared, &around.cloud) {
        (None, Ok(cloud)) => cloud,
        (Some(why), _) | (None, Err(why)) => return Asked::not(why),
    };
    let what = format!("ask EC2 who has {} in {}", ip.address, ip.subnet);
    let asked = tokio::time::timeout(EC2_WITHIN, cloud.owner(ip.address, &ip.subnet));
    match progress::during(&what, asked).await {
        Ok(answer) => Asked::from(answer),
        Err(_elapsed) => Asked::not(format!("{what}: no answer within {EC2_WITHIN:?}")),
    }
}

/// The recorded node, if this is it.
async fn of_node<C: Cloud>(around: &Around<C>, ip: &StaticIp) -> NodeFacts {
    let Some(attachment) = &ip.attachment else {
        return NodeFacts::unseen("no node is on record");
    };
    if around.here.as_ref() != Some(&attachment.node) {
        let here = around.here.as_ref().map_or("not known", NodeName::as_str);
        let why = format!("only {} itself can tell, and this node is {here}", attachment.node);
        return NodeFacts::unseen(&why);
    }
    let host = LinuxHost::new(&around.run_dir, HostTimeouts::default());
    let survey = host.survey().await.map_err(|why| why.to_string());
    let lock = survey.clone().map(|all| all.locks.get(&ip.address).cloned());
    let mark = survey.map(|all| all.kernel.get(&ip.address).copied());
    let view = match &attachment.eni {
        Some(eni) => view(around, &host, ip.address, eni).await,
        None => Asked::not("no network interface is on record"),
    };
    NodeFacts { lock: lock.into(), mark: mark.into(), view, file: file(around.conf_dir.as_deref()) }
}

/// The link is found by the network interface's MAC, which the metadata service knows.
async fn view<C: Cloud>(
    around: &Around<C>,
    host: &LinuxHost,
    address: Ipv4Addr,
    eni: &EniId,
) -> Asked<KernelView> {
    let cloud = match &around.cloud {
        Ok(cloud) => cloud,
        Err(why) => return Asked::not(why),
    };
    let read = progress::during("ask the metadata service for this instance", cloud.identity());
    let identity = match read.await {
        Ok(identity) => identity,
        Err(why) => return Asked::not(why.to_string()),
    };
    match identity.enis.iter().find(|one| one.id == *eni) {
        Some(found) => Asked::from(host.observe(&kernel_target(address, found)).await),
        None => Asked::not(format!("the metadata service does not list {eni} on this instance")),
    }
}

fn file(dir: Option<&Path>) -> Asked<FileFact> {
    let Some(dir) = dir else {
        return Asked::not("which directory is the member's is not known here: --conf-dir");
    };
    let path = dir.join(STATIC_IP_FILE);
    match std::fs::read(&path) {
        Ok(bytes) => Asked::Known(firecamp_host::parse(&bytes).map_or_else(
            |why| FileFact::Garbled(format!("{}: {why}", path.display())),
            FileFact::Holds,
        )),
        Err(why) if why.kind() == std::io::ErrorKind::NotFound => Asked::Known(FileFact::Absent),
        Err(why) => Asked::not(format!("read {}: {why}", path.display())),
    }
}

/// What the agent of the recorded node says: itself, if this is its node, or what it has
/// published.
async fn of_agent<C>(
    book: &Book,
    around: &Around<C>,
    ip: &StaticIp,
) -> Asked<Option<AddressStatus>> {
    let Some(attachment) = &ip.attachment else { return Asked::not("no node is on record") };
    let here = around.here.as_ref() == Some(&attachment.node);
    let own = if here { node::ask(&around.agent).await.ok() } else { None };
    if let Some(report) = own.filter(|one| one.object.metadata.name == attachment.node.as_str()) {
        return Asked::Known(said(&report.object, ip));
    }
    match book.report(attachment.node.as_str()).await {
        Ok(Some(report)) => Asked::Known(said(&report, ip)),
        Ok(None) => Asked::not(format!("no agent has published a report of {}", attachment.node)),
        Err(why) => Asked::not(why.to_string()),
    }
}

fn said(report: &NodeAttachments, ip: &StaticIp) -> Option<AddressStatus> {
    let name = ip.address.to_string();
    report.status.addresses.iter().find(|one| one.address == name).cloned()
}
