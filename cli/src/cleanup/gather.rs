//! Gathers what a cleanup needs to know.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::path::PathBuf;

use firecamp_core::ids::{NodeName, PodUid};
use firecamp_core::ports::{PodLifecycle, PodView};
use firecamp_core::record::{State, StaticIp};
use firecamp_host::{AgentLock, LinuxHost};
use firecamp_kube::Item;
use firecamp_node::cleanup::{Holder, Known, Observation};
use firecamp_registry::api::StaticIPSpec;

use super::refused;
use crate::common::progress;
use crate::common::registry_reader::{Cluster, RegistryReader};
use crate::common::select_registry::Target;
use crate::failure::Failure;

/// This machine.
#[derive(Debug, Clone)]
pub struct Machine {
    /// Its kernel.
    pub host: LinuxHost,
    /// Its name in the cluster.
    pub node: Option<NodeName>,
    /// The directory of its locks.
    pub run_dir: PathBuf,
}

/// The members on a node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Members {
    /// The pods that have not finished, with their names.
    pub pods: Known<BTreeMap<PodUid, String>>,
    /// The addresses that the registry records as attached to it.
    pub records: Known<BTreeMap<Ipv4Addr, Holder>>,
}

impl Members {
    fn unknown(why: &str) -> Self {
        Self { pods: Err(why.to_owned()), records: Err(why.to_owned()) }
    }
}

impl Machine {
    /// Reads the full state. If the kernel has nothing of FireCamp, reads only the kernel.
    pub(crate) async fn observe(&self, target: &Target) -> Result<Observation, Failure> {
        let Members { pods, records } = Members::unknown("not queried");
        let kernel = firecamp_node::cleanup::Kernel::default();
        let mut seen =
            Observation { agent: false, kernel, sockets: BTreeMap::new(), pods, records };
        seen.agent = AgentLock::is_taken(&self.run_dir).map_err(|why| refused(&why))?;
        self.refresh(&mut seen).await?;
        if !seen.kernel.subjects().is_empty() {
            let asked = self.members(target).await?;
            (seen.pods, seen.records) = (asked.pods, asked.records);
        }
        Ok(seen)
    }

    /// Reads the kernel, its sockets and the locks again.
    pub(crate) async fn refresh(&self, seen: &mut Observation) -> Result<(), Failure> {
        seen.kernel = self.host.left().await.map_err(|why| refused(&why))?;
        seen.sockets = self.host.sockets_of(seen.kernel.subjects()).await;
        Ok(())
    }

    async fn members(&self, target: &Target) -> Result<Members, Failure> {
        let here = self.host.addresses().await.map_err(|why| refused(&why))?;
        let Some(node) = &self.node else {
            let why = "the host name is not a valid node name: specify --node-name";
            return Ok(Members::unknown(why));
        };
        match RegistryReader::open(target).await {
            Ok(reader) => Ok(members(&reader, node, &here).await),
            Err(why) => Ok(Members::unknown(&why.chain())),
        }
    }
}

/// The members on a node with these local addresses, according to a registry.
pub async fn members(reader: &RegistryReader, node: &NodeName, here: &[Ipv4Addr]) -> Members {
    let what = format!("read the members on {node} from {}", reader.label());
    progress::during(&what, async {
        match reader {
            RegistryReader::File(_) => Members {
                pods: Err("a file registry has no pods".to_owned()),
                records: of_files(reader, node).await,
            },
            RegistryReader::Cluster(cluster) => match is_here(cluster, node, here).await {
                Ok(()) => of_cluster(cluster, node).await,
                Err(why) => Members::unknown(&why),
            },
        }
    })
    .await
}

/// Checks that the cluster's Node of this name is this machine.
async fn is_here(cluster: &Cluster, node: &NodeName, here: &[Ipv4Addr]) -> Result<(), String> {
    let found = cluster.inventory.node(node.as_str()).await.map_err(|why| why.to_string())?;
    let found =
        found.ok_or_else(|| format!("the cluster has no Node {node}: specify --node-name"))?;
    if found.internal.iter().any(|address| here.contains(address)) {
        return Ok(());
    }
    Err(format!(
        "Node {node} is another machine: this machine has none of its addresses {:?}; specify \
         --node-name",
        found.internal
    ))
}

async fn of_cluster(cluster: &Cluster, node: &NodeName) -> Members {
    let pods = cluster.registry.pods_of(node).list().await.map_err(|why| why.to_string());
    let pods = pods.and_then(|items| {
        let mut alive = BTreeMap::new();
        for item in items {
            let name = format!("{}/{}", item.namespace().unwrap_or_default(), item.name());
            let pod = item.object.map_err(|why| format!("pod {name}: {why}"))?;
            if let Some(uid) = living(pod.view) {
                alive.insert(uid, name);
            }
        }
        Ok(alive)
    });
    let records = cluster.registry.static_ips_of(node).list().await;
    let records = records.map_err(|why| why.to_string()).and_then(|items| {
        let record = |item: &Item<StaticIp>| {
            item.object.clone().map_err(|why| format!("StaticIP {}: {why}", item.name()))
        };
        let each = items.iter().map(record);
        Ok(each.collect::<Result<Vec<_>, _>>()?.iter().filter_map(|ip| holder(ip, node)).collect())
    });
    Members { pods, records }
}

fn living(view: PodView) -> Option<PodUid> {
    match view {
        PodView::Present {
            lifecycle: PodLifecycle::Running | PodLifecycle::Terminating(_),
            pod,
            ..
        } => Some(pod),
        PodView::Present { lifecycle: PodLifecycle::Terminal, .. }
        | PodView::Absent
        | PodView::Vouched => None,
    }
}

async fn of_files(reader: &RegistryReader, node: &NodeName) -> Known<BTreeMap<Ipv4Addr, Holder>> {
    let listed = reader.all::<StaticIPSpec>().await.map_err(|why| why.to_string())?;
    if let Some(unread) = listed.unread.first() {
        return Err(format!("{}: {}", unread.what, unread.why));
    }
    let mut held = BTreeMap::new();
    for found in listed.found {
        let name = found.metadata.name;
        let address = name
            .parse()
            .map_err(|_text| format!("StaticIP {name} is not named after an IPv4 address"))?;
        let record = reader.address(address).await.map_err(|why| why.to_string())?;
        held.extend(record.and_then(|record| holder(&record, node)));
    }
    Ok(held)
}

/// The holder of an address that is attached or being attached to this node.
fn holder(ip: &StaticIp, node: &NodeName) -> Option<(Ipv4Addr, Holder)> {
    let attachment = ip.attachment.as_ref().filter(|it| it.node == *node)?;
    match attachment.state {
        State::Attaching | State::Attached => {
            let (member, pod) = (ip.member.to_string(), attachment.pod.clone());
            Some((ip.address, Holder { member, pod }))
        }
        State::Parked | State::Releasing | State::Released => None,
    }
}
