//! What a clean-up has to know, and whom it asks for it.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::path::PathBuf;

use firecamp_core::ids::{NodeName, PodUid};
use firecamp_core::outside::{Life, PodView};
use firecamp_core::record::{State, StaticIp};
use firecamp_host::{AgentPlace, LinuxHost};
use firecamp_node::cleanup::{Holder, Known, Seen};
use firecamp_registry::api::StaticIPSpec;

use super::refused;
use crate::failure::Failure;
use crate::look::book::{Book, Cluster};
use crate::look::progress;
use crate::look::target::Target;

/// The machine that this runs on.
#[derive(Debug, Clone)]
pub struct Machine {
    /// Its kernel.
    pub host: LinuxHost,
    /// Its name in the cluster.
    pub node: Option<NodeName>,
    /// The directory of its locks.
    pub run_dir: PathBuf,
}

/// What is known of the members on a node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Members {
    /// The pods that have not ended, with their names.
    pub pods: Known<BTreeMap<PodUid, String>>,
    /// The addresses that the registry has attached to it.
    pub records: Known<BTreeMap<Ipv4Addr, Holder>>,
}

impl Members {
    fn unknown(why: &str) -> Self {
        Self { pods: Err(why.to_owned()), records: Err(why.to_owned()) }
    }
}

impl Machine {
    /// Looks at all of it. Where nothing of ours is in the kernel, nobody else is asked.
    pub(crate) async fn look(&self, target: &Target) -> Result<Seen, Failure> {
        let Members { pods, records } = Members::unknown("not asked");
        let kernel = firecamp_node::cleanup::Kernel::default();
        let mut seen = Seen { agent: false, kernel, sockets: BTreeMap::new(), pods, records };
        seen.agent = AgentPlace::is_taken(&self.run_dir).map_err(|why| refused(&why))?;
        self.look_again(&mut seen).await?;
        if !seen.kernel.subjects().is_empty() {
            let asked = self.ask(target).await?;
            (seen.pods, seen.records) = (asked.pods, asked.records);
        }
        Ok(seen)
    }

    /// Looks at the kernel, its sockets and the locks alone.
    pub(crate) async fn look_again(&self, seen: &mut Seen) -> Result<(), Failure> {
        seen.kernel = self.host.left().await.map_err(|why| refused(&why))?;
        seen.sockets = self.host.sockets_of(seen.kernel.subjects()).await;
        Ok(())
    }

    async fn ask(&self, target: &Target) -> Result<Members, Failure> {
        let here = self.host.addresses().await.map_err(|why| refused(&why))?;
        let Some(node) = &self.node else {
            let why = "the host name is no node's name: give it with --node-name";
            return Ok(Members::unknown(why));
        };
        match Book::open(target).await {
            Ok(book) => Ok(members(&book, node, &here).await),
            Err(why) => Ok(Members::unknown(&why.chain())),
        }
    }
}

/// What a registry knows of the members on a node, which has these addresses.
pub async fn members(book: &Book, node: &NodeName, here: &[Ipv4Addr]) -> Members {
    let what = format!("ask {} for the members on {node}", book.label());
    progress::during(&what, async {
        match book {
            Book::File(_) => Members {
                pods: Err("a file registry knows no pods".to_owned()),
                records: of_files(book, node).await,
            },
            Book::Cluster(cluster) => match is_here(cluster, node, here).await {
                Ok(()) => of_cluster(cluster, node).await,
                Err(why) => Members::unknown(&why),
            },
        }
    })
    .await
}

/// Whether the cluster's Node of this name is this machine: another one's pods say nothing here.
async fn is_here(cluster: &Cluster, node: &NodeName, here: &[Ipv4Addr]) -> Result<(), String> {
    let found = cluster.inventory.node(node.as_str()).await.map_err(|why| why.to_string())?;
    let found = found.ok_or_else(|| format!("the cluster has no Node {node}: give --node-name"))?;
    if found.internal.iter().any(|address| here.contains(address)) {
        return Ok(());
    }
    Err(format!(
        "Node {node} is another machine: none of its addresses {:?} is here; give --node-name",
        found.internal
    ))
}

async fn of_cluster(cluster: &Cluster, node: &NodeName) -> Members {
    let pods = cluster.registry.pods_of(node).list().await.map_err(|why| why.to_string());
    let pods = pods.and_then(|(items, _version)| {
        let mut alive = BTreeMap::new();
        for item in items {
            let name = format!("{}/{}", item.key.namespace.unwrap_or_default(), item.key.name);
            let view = item.object.map_err(|why| format!("pod {name}: {why}"))?;
            if let Some(uid) = living(view) {
                alive.insert(uid, name);
            }
        }
        Ok(alive)
    });
    let records = cluster.registry.static_ips_of(node).list().await;
    let records = records.map_err(|why| why.to_string()).and_then(|(items, _version)| {
        let each = items
            .into_iter()
            .map(|item| item.object.map_err(|why| format!("StaticIP {}: {why}", item.key.name)));
        Ok(each.collect::<Result<Vec<_>, _>>()?.iter().filter_map(|ip| holder(ip, node)).collect())
    });
    Members { pods, records }
}

fn living(view: PodView) -> Option<PodUid> {
    match view {
        PodView::Present { life: Life::Running | Life::Terminating(_), pod, .. } => Some(pod),
        PodView::Present { life: Life::Terminal, .. } | PodView::Absent | PodView::Vouched => None,
    }
}

async fn of_files(book: &Book, node: &NodeName) -> Known<BTreeMap<Ipv4Addr, Holder>> {
    let listed = book.all::<StaticIPSpec>().await.map_err(|why| why.to_string())?;
    if let Some(unread) = listed.unread.first() {
        return Err(format!("{}: {}", unread.what, unread.why));
    }
    let mut held = BTreeMap::new();
    for found in listed.found {
        let name = found.metadata.name;
        let address = name.parse().map_err(|_text| format!("StaticIP {name} names no address"))?;
        let record = book.address(address).await.map_err(|why| why.to_string())?;
        held.extend(record.and_then(|record| holder(&record, node)));
    }
    Ok(held)
}

/// Who holds an address on this node, or is about to.
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
