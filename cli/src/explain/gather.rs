//! Gathers the facts about a member. Reads only; each read has a timeout and may fail.

use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use firecamp_core::contract::path::STATIC_IP_FILE;
use firecamp_core::ids::{EniId, Member, NodeName};
use firecamp_core::ports::{Cloud, HostNet, KernelTarget, KernelView, Owner};
use firecamp_core::record::{Claim, StaticIp};
use firecamp_host::{HostTimeouts, LinuxHost};
use firecamp_registry::api::{AddressStatus, Condition, NodeAttachments, StaticIPSpec};

use super::facts::{Answer, Facts, FileState, NodeFacts};
use crate::common::agent_client::Agent;
use crate::common::progress;
use crate::common::registry_reader::RegistryReader;
use crate::node;

/// Timeout for EC2, including the search for credentials.
const EC2_WITHIN: Duration = Duration::from_secs(10);

/// The environment of the command.
#[derive(Debug)]
pub struct Environment<C> {
    /// EC2, or why it is not available.
    pub cloud: Result<C, String>,
    /// Why addresses are not looked up in EC2 although it is available.
    pub ec2_skipped: Option<String>,
    /// The name of this node.
    pub here: Option<NodeName>,
    /// The directory of the node-local locks.
    pub run_dir: PathBuf,
    /// The directory of the static-IP file.
    pub conf_dir: Option<PathBuf>,
    /// The agent of this node.
    pub agent: Agent,
}

/// Gathers all facts about a member that are available from here.
pub async fn gather<C: Cloud>(
    reader: &RegistryReader,
    member: &Member,
    around: &Environment<C>,
) -> Facts {
    let claim = Answer::from(reader.claim(member).await);
    let named = claim.known().and_then(|claim| claim.as_ref()?.address);
    let address = match (named, &claim) {
        (Some(named), _) => Answer::from(reader.address(named).await),
        (None, Answer::Known(_)) => Answer::Known(None),
        (None, Answer::Unknown(why)) => Answer::unknown(why),
    };
    let recorded = match claim {
        Answer::Known(None) => recorded(reader, member).await,
        Answer::Known(Some(_)) | Answer::Unknown(_) => None,
    };
    let mut facts = Facts {
        member: member.clone(),
        conditions: of_claim(reader, &claim, member).await,
        claim,
        address,
        recorded,
        pod: Answer::from(reader.pod(member).await),
        owner: Answer::unknown("the registry names no address"),
        here: around.here.clone(),
        node: NodeFacts::unknown("the registry names no node"),
        agent: Answer::unknown("the registry names no node"),
    };
    let ip = facts.address.known().cloned().flatten().filter(|ip| ip.member == *member);
    if let Some(ip) = ip {
        (facts.owner, facts.node, facts.agent) =
            tokio::join!(owner(around, &ip), of_node(around, &ip), of_agent(reader, around, &ip),);
    }
    facts
}

async fn of_claim(
    reader: &RegistryReader,
    claim: &Answer<Option<Claim>>,
    member: &Member,
) -> Answer<Vec<Condition>> {
    match claim {
        Answer::Known(Some(_)) => Answer::from(reader.claim_conditions(member).await),
        Answer::Known(None) => Answer::Known(Vec::new()),
        Answer::Unknown(why) => Answer::unknown(why),
    }
}

/// The address of a StaticIP that names the member, which has no claim.
async fn recorded(reader: &RegistryReader, member: &Member) -> Option<Ipv4Addr> {
    let all = reader.all::<StaticIPSpec>().await.ok()?;
    let of_member = |spec: &StaticIPSpec| {
        let owner = &spec.claim_ref;
        (owner.namespace.as_str(), owner.name.as_str()) == (member.namespace(), member.name())
    };
    all.found.iter().find(|ip| of_member(&ip.spec))?.metadata.name.parse().ok()
}

async fn owner<C: Cloud>(around: &Environment<C>, ip: &StaticIp) -> Answer<Owner> {
    let cloud = match (&around.ec2_skipped, &around.cloud) {
        (None, Ok(cloud)) => cloud,
        (Some(why), _) | (None, Err(why)) => return Answer::unknown(why),
    };
    let what = format!("look up {} of {} in EC2", ip.address, ip.subnet);
    let asked = tokio::time::timeout(EC2_WITHIN, cloud.owner(ip.address, &ip.subnet));
    match progress::during(&what, asked).await {
        Ok(answer) => Answer::from(answer),
        Err(_elapsed) => Answer::unknown(format!("{what}: no response within {EC2_WITHIN:?}")),
    }
}

/// The state of the recorded node, if this is that node.
async fn of_node<C: Cloud>(around: &Environment<C>, ip: &StaticIp) -> NodeFacts {
    let Some(attachment) = &ip.attachment else {
        return NodeFacts::unknown("no node is recorded");
    };
    if around.here.as_ref() != Some(&attachment.node) {
        let here = around.here.as_ref().map_or("unknown", NodeName::as_str);
        let why = format!("can only be checked on {}; this node is {here}", attachment.node);
        return NodeFacts::unknown(&why);
    }
    let host = LinuxHost::new(&around.run_dir, HostTimeouts::default());
    let kernel_snapshot = host.kernel_snapshot().await.map_err(|why| why.to_string());
    let lock = kernel_snapshot.clone().map(|all| all.locks.get(&ip.address).cloned());
    let mark = kernel_snapshot.map(|all| all.kernel.get(&ip.address).copied());
    let view = match &attachment.eni {
        Some(eni) => view(around, &host, ip.address, eni).await,
        None => Answer::unknown("no network interface is recorded"),
    };
    NodeFacts { lock: lock.into(), mark: mark.into(), view, file: file(around.conf_dir.as_deref()) }
}

/// Finds the link by the network interface's MAC address, which the metadata service lists.
async fn view<C: Cloud>(
    around: &Environment<C>,
    host: &LinuxHost,
    address: Ipv4Addr,
    eni: &EniId,
) -> Answer<KernelView> {
    let cloud = match &around.cloud {
        Ok(cloud) => cloud,
        Err(why) => return Answer::unknown(why),
    };
    let read = progress::during(
        "read the identity of this instance from the metadata service",
        cloud.identity(),
    );
    let identity = match read.await {
        Ok(identity) => identity,
        Err(why) => return Answer::unknown(why.to_string()),
    };
    match identity.enis.iter().find(|one| one.id == *eni) {
        Some(found) => Answer::from(host.observe(&KernelTarget::on(address, found)).await),
        None => {
            Answer::unknown(format!("the metadata service does not list {eni} on this instance"))
        }
    }
}

fn file(dir: Option<&Path>) -> Answer<FileState> {
    let Some(dir) = dir else {
        return Answer::unknown("the member's directory is unknown here: specify --conf-dir");
    };
    let path = dir.join(STATIC_IP_FILE);
    match std::fs::read(&path) {
        Ok(bytes) => Answer::Known(firecamp_host::parse(&bytes).map_or_else(
            |why| FileState::Invalid(format!("{}: {why}", path.display())),
            FileState::Contains,
        )),
        Err(why) if why.kind() == std::io::ErrorKind::NotFound => Answer::Known(FileState::Absent),
        Err(why) => Answer::unknown(format!("read {}: {why}", path.display())),
    }
}

/// What the agent of the recorded node reports: on its own page, if this is its node, otherwise
/// what it has published.
async fn of_agent<C>(
    reader: &RegistryReader,
    around: &Environment<C>,
    ip: &StaticIp,
) -> Answer<Option<AddressStatus>> {
    let Some(attachment) = &ip.attachment else { return Answer::unknown("no node is recorded") };
    let here = around.here.as_ref() == Some(&attachment.node);
    let own = if here { node::ask(&around.agent).await.ok() } else { None };
    if let Some(report) = own.filter(|one| one.object.metadata.name == attachment.node.as_str()) {
        return Answer::Known(reported(&report.object, ip));
    }
    match reader.report(attachment.node.as_str()).await {
        Ok(Some(report)) => Answer::Known(reported(&report, ip)),
        Ok(None) => {
            Answer::unknown(format!("no agent has published a report of {}", attachment.node))
        }
        Err(why) => Answer::unknown(why.to_string()),
    }
}

fn reported(report: &NodeAttachments, ip: &StaticIp) -> Option<AddressStatus> {
    let name = ip.address.to_string();
    report.status.addresses.iter().find(|one| one.address == name).cloned()
}
