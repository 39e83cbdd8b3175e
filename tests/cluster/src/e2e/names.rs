//! Names of members.

use std::fs;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::sleep;
use vpcbox::vpc::{Fault, FaultSpec, Selector};

use super::endpoint::with_own_network;
use super::processes::output_of;
use super::refused::APART;
use super::set::{Set, Stop};
use super::test_cluster::{Pod, TestCluster, all_but, ensure};
use crate::dns::RESOLVER;
use crate::install::{PATIENCE, until, until_within};
use crate::member::PORT;
use crate::{Outcome, external_dns, failed};

impl TestCluster<'_> {
    /// A user names the members of a StatefulSet.
    async fn name_members(&self, set: &str, annotations: Value) -> Outcome<String> {
        let name = format!("{set}-static");
        let metadata = json!({
            "name": name,
            "labels": { "firecamp.io/statefulset": set },
            "annotations": annotations,
        });
        let spec = json!({ "clusterIP": "None", "ports": [{ "port": PORT }] });
        let service =
            json!({ "apiVersion": "v1", "kind": "Service", "metadata": metadata, "spec": spec });
        self.create_object(&format!("/api/v1/namespaces/{APART}/services"), &service).await?;
        Ok(name)
    }

    /// The addresses in FireCamp's EndpointSlice of a Service that DNS answers with.
    async fn named(&self, service: &str) -> Outcome<Vec<String>> {
        let place = format!(
            "/apis/discovery.k8s.io/v1/namespaces/{APART}/endpointslices/{service}-firecamp"
        );
        let slice = self.admin.get(&place).await?;
        let all = slice["endpoints"].as_array().cloned().unwrap_or_default();
        let ready = all.iter().filter(|one| one["conditions"]["ready"] == true);
        Ok(ready.map(|one| one["addresses"][0].as_str().unwrap_or_default().to_owned()).collect())
    }
}

pub(super) async fn a_member_has_one_name_in_the_cluster_wherever_it_runs(
    cluster: &TestCluster<'_>,
) -> Outcome {
    let set = Set { stop: Stop::None, ..with_own_network("named") };
    let member = cluster.start_apart(&set).await?;
    let address = cluster.wait_serving(APART, &member, PORT).await?.to_string();
    let service = cluster.name_members(set.name, json!({})).await?;
    let (visitor, elsewhere) = ("asks-by-name", all_but(&member.node));
    cluster.start_visitor(visitor, elsewhere[0]).await?;
    let name = format!("{}.{service}", member.name);
    let answer = |pod: &Pod| format!("{} {} {}", pod.name, pod.uid, pod.node);
    cluster.wait_answer(visitor, (&name, PORT), &answer(&member)).await?;
    let named = cluster.named(&service).await?;
    ensure(named == [address.as_str()], || format!("{named:?} instead of {address}"))?;
    cluster.wait_names(&service, "Published").await?;
    cluster.cordon(&[&member.node], true).await?;
    cluster.delete_pod(APART, &member.name).await?;
    let moved = cluster.wait_ready_in(APART, &member.name, Some(&member)).await?;
    cluster.cordon(&[&member.node], false).await?;
    ensure(moved.node != member.node, || format!("still on {}", moved.node))?;
    cluster.wait_answer(visitor, (&name, PORT), &answer(&moved)).await?;
    let named = cluster.named(&service).await?;
    ensure(named == [address.as_str()], || format!("{named:?} instead of {address}"))?;
    cluster.admin.kubectl(&["-n", APART, "delete", "service", &service]).await?;
    until("its EndpointSlice is deleted with it", || async {
        let named = cluster.named(&service).await?;
        ensure(named.is_empty(), || format!("{named:?}"))
    })
    .await?;
    cluster.end_apart(&moved, &moved.node).await
}

/// A record is in DNS this long after Route 53 has it.
const PROPAGATION: Duration = Duration::from_mins(1);

impl TestCluster<'_> {
    /// What a client in the VPC is answered by this name.
    fn dial_by_name(&self, name: &str) -> Outcome<String> {
        let file = self.running.home.path("resolv.conf");
        fs::write(&file, format!("nameserver {RESOLVER}\n")).map_err(failed(file.display()))?;
        let own_binary = self.running.own_binary()?;
        let script = format!(
            "mount --bind {} /etc/resolv.conf && exec {} dial {name} --port {PORT}",
            file.display(),
            own_binary.display()
        );
        let mut client = self.running.on_machine("client", "unshare")?;
        client.args(["--mount", "sh", "-ec", &script]);
        output_of(&mut client).map(|line| line.trim().to_owned())
    }

    /// The records that ExternalDNS has written, by a call of its own.
    fn changes_of_records(&self) -> Outcome<usize> {
        let calls = self.vpc(|vpc| vpc.calls(0))?;
        let of_records = calls.iter().filter(|call| call.action == "ChangeResourceRecordSets");
        Ok(of_records.filter(|call| call.committed).count())
    }

    /// Waits until the Service reports this about its names.
    async fn wait_names(&self, service: &str, reason: &str) -> Outcome {
        let path = format!("/api/v1/namespaces/{APART}/services/{service}");
        until_within(PATIENCE, &format!("the Service reports {reason}"), || async {
            let status = &self.admin.get(&path).await?["status"];
            ensure(status["conditions"][0]["reason"] == reason, || status.to_string())
        })
        .await
    }

    /// Waits until ExternalDNS has changed records again.
    async fn wait_changes_of_records(&self, before: usize) -> Outcome {
        until("ExternalDNS changes a record", || async {
            let changes = self.changes_of_records()?;
            ensure(changes > before, || "no change of records".to_owned())
        })
        .await
    }
}

/// Clients in the VPC find a member by one name, with ExternalDNS and Route 53.
pub(super) async fn f009_a_member_has_one_name_in_the_vpc_wherever_it_runs(
    cluster: &TestCluster<'_>,
) -> Outcome {
    external_dns::program()?;
    let set = Set { stop: Stop::None, ..with_own_network("recorded") };
    let member = cluster.start_apart(&set).await?;
    let address = cluster.wait_serving(APART, &member, PORT).await?.to_string();
    let zone = json!({ "firecamp.io/dns-zone": "default" });
    let service = cluster.name_members(set.name, zone).await?;
    let before = cluster.changes_of_records()?;
    // Without ExternalDNS that is reported, and no look-up makes the resolver remember an absence.
    cluster.wait_names(&service, "RecordsNotProcessed").await?;
    cluster.running.order("start external-dns")?;
    cluster.wait_changes_of_records(before).await?;
    sleep(PROPAGATION).await;
    let name = format!("{}.{}", member.name, external_dns::zone());
    let answer = |pod: &Pod| format!("{} {} {}", pod.name, pod.uid, pod.node);
    let dialled = cluster.dial_by_name(&name)?;
    ensure(dialled == answer(&member), || format!("{name} leads to {dialled:?}"))?;
    cluster.wait_names(&service, "Published").await?;
    // Neither a move nor an ExternalDNS that restarts changes a record.
    let before = cluster.changes_of_records()?;
    cluster.running.order("stop external-dns")?;
    cluster.cordon(&[&member.node], true).await?;
    cluster.delete_pod(APART, &member.name).await?;
    let moved = cluster.wait_ready_in(APART, &member.name, Some(&member)).await?;
    cluster.cordon(&[&member.node], false).await?;
    cluster.running.order("start external-dns")?;
    until("the client reaches the member after its move", || async {
        let dialled = cluster.dial_by_name(&name)?;
        ensure(dialled == answer(&moved), || format!("{dialled:?}, not {moved:?}"))
    })
    .await?;
    sleep(Duration::from_secs(u64::from(external_dns::SYNC) * 2)).await;
    let changes = cluster.changes_of_records()?;
    ensure(changes == before, || format!("{} changes of records by a move", changes - before))?;
    let named = cluster.named(&service).await?;
    ensure(named == [address.as_str()], || format!("{named:?} instead of {address}"))?;
    // The record goes with the Service.
    cluster.end_apart(&moved, &moved.node).await?;
    cluster.wait_changes_of_records(before).await?;
    start_without_rights(cluster).await?;
    cluster.running.order("stop external-dns")
}

/// A member starts while ExternalDNS has no right to write its record; then it has.
async fn start_without_rights(cluster: &TestCluster<'_>) -> Outcome {
    let denied = json!({ "kind": "error", "code": "AccessDenied", "status": 403 });
    let fault: Fault = serde_json::from_value(denied).map_err(failed("a fault"))?;
    let op = Some("ChangeResourceRecordSets".to_owned());
    let when = Selector { op, ..Selector::default() };
    let fault = cluster.vpc(|vpc| vpc.fault_set(FaultSpec { fault, when }))?;
    let before = cluster.changes_of_records()?;
    let set = Set { stop: Stop::None, ..with_own_network("unrecorded") };
    let member = cluster.start_apart(&set).await?;
    let zone = json!({ "firecamp.io/dns-zone": "default" });
    let service = cluster.name_members(set.name, zone).await?;
    cluster.wait_names(&service, "RecordNotFound").await?;
    let changes = cluster.changes_of_records()?;
    ensure(changes == before, || "ExternalDNS changed a record without the right".to_owned())?;
    cluster.vpc(|vpc| vpc.fault_clear(Some(fault)))?;
    cluster.wait_changes_of_records(before).await?;
    // The resolver remembers for 15 minutes that the name does not exist: the condition follows.
    let before = cluster.changes_of_records()?;
    cluster.end_apart(&member, &member.node).await?;
    cluster.wait_changes_of_records(before).await
}
