//! Interfaces that FireCamp removes beside the VPC CNI. The grace periods take minutes, so these
//! scenarios only run if they are named.

use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;
use std::process::Command;
use std::time::Duration;

use vpcbox::client::Client;
use vpcbox::vpc::Act;

use super::processes::output_of;
use super::set::Set;
use super::test_cluster::{ADDRESSES, CLAIMS, POOLS, TestCluster, ensure, text};
use super::vpc_cni::INTERFACES;
use crate::install::until_within;
use crate::{Outcome, failed};

/// An instance is lost after ten minutes, and its interface deleted after five.
const LONG: Duration = Duration::from_mins(20);
const LOST: &str = "node-c";

impl TestCluster<'_> {
    /// The interface of each NodeInterface, by its name.
    async fn interface_records(&self) -> Outcome<BTreeMap<String, String>> {
        let all = self.admin.get(INTERFACES).await?;
        let all = all["items"].as_array().cloned().unwrap_or_default();
        Ok(all
            .iter()
            .map(|one| (text(&one["metadata"]["name"]), text(&one["spec"]["eni"])))
            .collect())
    }

    /// The addresses that EC2 has on this interface, attached or not.
    fn addresses_on(&self, eni: &str) -> Outcome<BTreeSet<Ipv4Addr>> {
        let truth = self.vpc(Client::truth)?;
        let here = truth.addresses.iter().filter(|one| one.owner.as_deref() == Some(eni));
        Ok(here.map(|one| one.address).collect())
    }

    /// Waits until the record and the interface are gone.
    async fn wait_removed(&self, record: &str, eni: &str) -> Outcome {
        until_within(LONG, &format!("{record} is removed"), || async {
            let object = self.admin.get(&format!("{INTERFACES}/{record}")).await?;
            ensure(object.is_null(), || object["spec"].to_string())
        })
        .await?;
        let left = self.addresses_on(eni)?;
        ensure(left.is_empty(), || format!("EC2 still has {left:?} on {eni}"))
    }

    /// Everything that the VPC has had from others: the interfaces of the VPC CNI, and the primary
    /// ones.
    async fn foreign_interfaces(&self, without: &str) -> Outcome<BTreeSet<String>> {
        let ours: BTreeSet<String> = self.interface_records().await?.into_values().collect();
        let truth = self.vpc(Client::truth)?;
        let nodes = truth.nodes.iter().filter(|node| node.name != without);
        let enis = nodes.flat_map(|node| &node.enis).map(|eni| eni.id.clone());
        Ok(enis.filter(|id| !ours.contains(id)).collect())
    }
}

pub(super) async fn removed_interfaces_are_emptied_and_members_keep_their_addresses(
    cluster: &TestCluster<'_>,
) -> Outcome {
    let set = Set { parallel: true, slots: 1, ..Set::new("moving", 6) };
    let mut held = BTreeMap::new();
    for (pod, one) in cluster.start_members(&set).await? {
        held.insert(pod.name, one.address);
    }
    cluster.delete(&set).await?;
    for address in held.values() {
        cluster.allow_unassign(*address);
    }
    let records = cluster.interface_records().await?;
    let foreign = cluster.foreign_interfaces(LOST).await?;
    let truth = cluster.vpc(Client::truth)?;
    let instance = |name: &str| {
        let node = truth.nodes.iter().find(|node| node.name == name);
        node.map(|node| format!("{}-0", node.instance)).ok_or_else(|| format!("no {name}"))
    };
    let (drained, lost) = (instance("node-a")?, instance(LOST)?);
    let patch = r#"{"spec":{"phase":"Draining"}}"#;
    let words = ["patch", "nodeinterface", &drained, "--type=merge", "-p", patch];
    cluster.admin.kubectl(&words).await?;
    let act = Act::Terminate { node: LOST.to_owned(), delete_on_termination: None };
    cluster.vpc(|vpc| vpc.act(act))?;
    cluster.admin.kubectl(&["delete", "node", LOST]).await?;
    for record in [&drained, &lost] {
        let eni = records.get(record).ok_or_else(|| format!("no {record} in {records:?}"))?;
        cluster.wait_removed(record, eni).await?;
    }
    let after = cluster.foreign_interfaces(LOST).await?;
    ensure(foreign.is_subset(&after), || format!("{foreign:?} became {after:?}"))?;
    for (pod, one) in cluster.start_members(&set).await? {
        let before = held.get(&pod.name);
        ensure(before == Some(&one.address), || format!("{}: {one:?} after {before:?}", pod.name))?;
    }
    cluster.delete(&set).await
}

pub(super) async fn an_uninstall_leaves_no_interface_and_no_address(
    cluster: &TestCluster<'_>,
) -> Outcome {
    let set = Set { parallel: true, slots: 1, ..Set::new("last", 2) };
    cluster.start_members(&set).await?;
    cluster.delete(&set).await?;
    let ours: BTreeSet<String> = cluster.interface_records().await?.into_values().collect();
    // An interface has a primary address, and the members' are parked.
    let mut used = 0;
    for eni in &ours {
        used += cluster.addresses_on(eni)?.len();
    }
    ensure(!ours.is_empty() && used > ours.len(), || format!("{used} addresses on {ours:?}"))?;
    let foreign = cluster.foreign_interfaces(LOST).await?;
    let firecamp = firecamp_testkit::build::command().map_err(failed("build the command"))?;
    let kubeconfig = cluster.admin.kubeconfig.clone();
    let ended = tokio::task::spawn_blocking(move || {
        let mut command = Command::new(firecamp);
        output_of(command.args(["uninstall", "--yes"]).arg("--kubeconfig").arg(kubeconfig))
    });
    ended.await.map_err(failed("wait for the command"))??;
    for kind in [ADDRESSES, CLAIMS, POOLS, INTERFACES] {
        let all = cluster.admin.get(kind).await?;
        ensure(all["items"].as_array().is_some_and(Vec::is_empty), || format!("{kind}: {all}"))?;
    }
    let truth = cluster.vpc(Client::truth)?;
    let mut enis = truth.nodes.iter().flat_map(|node| &node.enis);
    ensure(!enis.any(|eni| ours.contains(&eni.id)), || format!("left of {ours:?}: {truth:?}"))?;
    for eni in &ours {
        let left = cluster.addresses_on(eni)?;
        ensure(left.is_empty(), || format!("EC2 still has {left:?} on {eni}"))?;
    }
    let after = cluster.foreign_interfaces(LOST).await?;
    ensure(foreign.is_subset(&after), || format!("{foreign:?} became {after:?}"))
}
