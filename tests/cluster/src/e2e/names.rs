//! Names of members.

use std::collections::BTreeSet;
use std::fs;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::sleep;
use vpcbox::vpc::{Fault, FaultSpec, Selector};

use super::endpoint::with_own_network;
use super::processes::output_of;
use super::refused::APART;
use super::set::{FirecampContainers, Set, Stop};
use super::test_cluster::{Pod, TestCluster, all_but, ensure, text};
use crate::dns::RESOLVER;
use crate::install::{until, until_within};
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

    async fn named(&self, service: &str) -> Outcome<BTreeSet<String>> {
        self.named_in(APART, service).await
    }

    /// The addresses in FireCamp's EndpointSlice of a Service that DNS answers with.
    pub(super) async fn named_in(
        &self,
        namespace: &str,
        service: &str,
    ) -> Outcome<BTreeSet<String>> {
        let place = format!(
            "/apis/discovery.k8s.io/v1/namespaces/{namespace}/endpointslices/{service}-firecamp"
        );
        let slice = self.admin.get(&place).await?;
        let all = slice["endpoints"].as_array().cloned().unwrap_or_default();
        let ready = all.iter().filter(|one| one["conditions"]["ready"] == true);
        Ok(ready.map(|one| one["addresses"][0].as_str().unwrap_or_default().to_owned()).collect())
    }

    /// Moves a member to another node.
    async fn move_named(&self, member: &Pod) -> Outcome<Pod> {
        self.cordon(&[&member.node], true).await?;
        self.delete_pod(APART, &member.name).await?;
        let moved = self.wait_ready_in(APART, &member.name, Some(member)).await?;
        self.cordon(&[&member.node], false).await?;
        ensure(moved.node != member.node, || format!("still on {}", moved.node))?;
        Ok(moved)
    }
}

/// What a member answers.
fn answer(pod: &Pod) -> String {
    format!("{} {} {}", pod.name, pod.uid, pod.node)
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
    cluster.wait_answer(visitor, (&name, PORT), &answer(&member)).await?;
    let named = cluster.named(&service).await?;
    ensure(named.iter().eq([&address]), || format!("{named:?} instead of {address}"))?;
    cluster.wait_names(&service, "Published").await?;
    let moved = cluster.move_named(&member).await?;
    cluster.wait_answer(visitor, (&name, PORT), &answer(&moved)).await?;
    let named = cluster.named(&service).await?;
    ensure(named.iter().eq([&address]), || format!("{named:?} instead of {address}"))?;
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
/// ExternalDNS compares all records once, which takes some calls.
const ONE_SYNC: Duration = external_dns::SYNC.saturating_add(Duration::from_secs(10));

/// The name of a member in the VPC.
fn in_zone(member: &str) -> String {
    format!("{member}.{}", external_dns::zone())
}

impl TestCluster<'_> {
    /// A user names the members of a StatefulSet in the cluster's DNS zone, too.
    async fn name_in_zone(&self, set: &str) -> Outcome<String> {
        self.name_members(set, json!({ "firecamp.io/dns-zone": "default" })).await
    }

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

    /// Waits until Route 53 shows what it has, and checks that a client in the VPC reaches the
    /// member by its name.
    async fn verify_named(&self, member: &Pod) -> Outcome {
        sleep(PROPAGATION).await;
        let name = in_zone(&member.name);
        let dialled = self.dial_by_name(&name)?;
        ensure(dialled == answer(member), || format!("{name} leads to {dialled:?}"))
    }

    /// The record changes that Route 53 has accepted.
    fn changes_of_records(&self) -> Outcome<usize> {
        let calls = self.vpc(|vpc| vpc.calls(0))?;
        let of_records = calls.iter().filter(|call| call.action == "ChangeResourceRecordSets");
        Ok(of_records.filter(|call| call.committed).count())
    }

    /// Waits one ExternalDNS sync for a change of records.
    async fn wait_changes_of_records(&self, before: usize) -> Outcome {
        until_within(ONE_SYNC, "ExternalDNS changes a record", || async {
            let changes = self.changes_of_records()?;
            ensure(changes > before, || "no change of records".to_owned())
        })
        .await
    }

    /// Fails if a record was changed since.
    fn verify_no_change(&self, before: usize) -> Outcome {
        let changes = self.changes_of_records()?;
        ensure(changes == before, || format!("{} changes of records", changes - before))
    }

    /// Creates or deletes a record, as somebody else who may.
    fn change_foreign_record(&self, verb: &str, name: &str) -> Outcome {
        let zones = self.aws(&["route53", "list-hosted-zones"])?;
        let zone = text(&zones["HostedZones"][0]["Id"]);
        let values = json!([{ "Value": "10.0.1.250" }]);
        let set = json!({ "Name": name, "Type": "A", "TTL": 5, "ResourceRecords": values });
        let batch = json!({ "Changes": [{ "Action": verb, "ResourceRecordSet": set }] });
        let words = ["route53", "change-resource-record-sets", "--hosted-zone-id", &zone];
        self.aws(&[&words[..], &["--change-batch", &batch.to_string()]].concat()).map(drop)
    }

    /// What the Service reports about its names.
    async fn names_reason(&self, service: &str) -> Outcome<String> {
        let path = format!("/api/v1/namespaces/{APART}/services/{service}");
        Ok(text(&self.admin.get(&path).await?["status"]["conditions"][0]["reason"]))
    }

    async fn wait_names(&self, service: &str, reason: &str) -> Outcome {
        until(&format!("the Service reports {reason}"), || async {
            let found = self.names_reason(service).await?;
            ensure(found == reason, || found)
        })
        .await
    }

    /// FireCamp's DNSEndpoint of a Service.
    async fn records(&self, service: &str) -> Outcome<Value> {
        let all = format!("/apis/externaldns.k8s.io/v1alpha1/namespaces/{APART}/dnsendpoints");
        self.admin.get(&format!("{all}/{service}")).await
    }

    /// Starts another member, whose name is there within a second of its address.
    async fn add_named(&self, set: &str, ordinal: u32, service: &str) -> Outcome<Pod> {
        let member = format!("{set}-{ordinal}");
        let replicas = format!("--replicas={}", ordinal + 1);
        self.admin.kubectl(&["-n", APART, "scale", "statefulset", set, &replicas]).await?;
        until("the claim has an address", || self.address_in(APART, &member)).await?;
        until_within(Duration::from_secs(1), "the DNSEndpoint has the name", || async {
            let records = self.records(service).await?;
            let mut all = records["spec"]["endpoints"].as_array().into_iter().flatten();
            ensure(all.any(|one| one["dnsName"] == in_zone(&member)), || records.to_string())
        })
        .await?;
        self.wait_ready_in(APART, &member, None).await
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
    let service = cluster.name_in_zone(set.name).await?;
    let before = cluster.changes_of_records()?;
    // Without ExternalDNS that is reported, and no look-up makes the resolver remember an absence.
    cluster.wait_names(&service, "RecordsNotProcessed").await?;
    cluster.running.order("start external-dns")?;
    cluster.wait_changes_of_records(before).await?;
    cluster.verify_named(&member).await?;
    cluster.wait_names(&service, "Published").await?;
    let before = cluster.changes_of_records()?;
    let second = cluster.add_named(set.name, 1, &service).await?;
    cluster.wait_changes_of_records(before).await?;
    cluster.verify_named(&second).await?;
    // Neither a move nor an ExternalDNS that restarts changes a record.
    let (before, records) = (cluster.changes_of_records()?, cluster.records(&service).await?);
    cluster.running.order("stop external-dns")?;
    let moved = cluster.move_named(&member).await?;
    cluster.wait_names(&service, "Published").await?;
    cluster.running.order("start external-dns")?;
    until("the client reaches the member after its move", || async {
        let dialled = cluster.dial_by_name(&in_zone(&member.name))?;
        ensure(dialled == answer(&moved), || format!("{dialled:?}, not {moved:?}"))
    })
    .await?;
    sleep(external_dns::SYNC * 2).await;
    cluster.verify_no_change(before)?;
    let now = cluster.records(&service).await?;
    let version = |records: &Value| (records["metadata"]["uid"].clone(), records["spec"].clone());
    ensure(version(&now) == version(&records), || format!("{now} after {records}"))?;
    let reason = cluster.names_reason(&service).await?;
    ensure(reason == "Published", || reason)?;
    let named = cluster.named(&service).await?;
    ensure(named.contains(&address), || format!("{named:?} without {address}"))?;
    leave_the_record_of_somebody_else(cluster, set.name, &service).await?;
    // The records go with the Service.
    let before = cluster.changes_of_records()?;
    cluster.end_apart(&moved, &moved.node).await?;
    cluster.wait_changes_of_records(before).await?;
    start_without_rights(cluster).await?;
    follow_a_member_without_static_address(cluster).await?;
    cluster.running.order("stop external-dns")
}

/// A member starts whose name has another record: it stays, which is reported, until its owner
/// deletes it.
async fn leave_the_record_of_somebody_else(
    cluster: &TestCluster<'_>,
    set: &str,
    service: &str,
) -> Outcome {
    let name = in_zone(&format!("{set}-2"));
    cluster.change_foreign_record("CREATE", &name)?;
    let before = cluster.changes_of_records()?;
    cluster.add_named(set, 2, service).await?;
    cluster.wait_names(service, "RecordDiffers").await?;
    cluster.verify_no_change(before)?;
    cluster.change_foreign_record("DELETE", &name)?;
    let before = cluster.changes_of_records()?;
    cluster.wait_changes_of_records(before).await
}

/// From now on, ExternalDNS may change no record; the number with which that ends.
fn take_rights(cluster: &TestCluster<'_>) -> Outcome<u64> {
    let denied = json!({ "kind": "error", "code": "AccessDenied", "status": 403 });
    let fault: Fault = serde_json::from_value(denied).map_err(failed("a fault"))?;
    let op = Some("ChangeResourceRecordSets".to_owned());
    let when = Selector { op, ..Selector::default() };
    cluster.vpc(|vpc| vpc.fault_set(FaultSpec { fault, when }))
}

/// A member starts while ExternalDNS has no right to write its record; then it has.
async fn start_without_rights(cluster: &TestCluster<'_>) -> Outcome {
    let fault = take_rights(cluster)?;
    let before = cluster.changes_of_records()?;
    let set = Set { stop: Stop::None, ..with_own_network("unrecorded") };
    let member = cluster.start_apart(&set).await?;
    let service = cluster.name_in_zone(set.name).await?;
    cluster.wait_names(&service, "RecordNotFound").await?;
    cluster.verify_no_change(before)?;
    cluster.vpc(|vpc| vpc.fault_clear(Some(fault)))?;
    cluster.wait_changes_of_records(before).await?;
    // The resolver remembers for 15 minutes that the name does not exist: the condition follows.
    let before = cluster.changes_of_records()?;
    cluster.end_apart(&member, &member.node).await?;
    cluster.wait_changes_of_records(before).await
}

/// A member without a static address is named at its pod, and its record follows each start, as
/// soon as ExternalDNS may write it.
async fn follow_a_member_without_static_address(cluster: &TestCluster<'_>) -> Outcome {
    let firecamp = FirecampContainers::None;
    let set = Set { namespace: APART, firecamp, ..Set::new("follows", 1) };
    let member = cluster.start_apart(&set).await?;
    let (pod, selector) = (format!("pod/{}", member.name), "app.kubernetes.io/name=follows");
    let own = ["--name", set.name, "--cluster-ip=None", "--port=6379", "--selector", selector];
    cluster.admin.kubectl(&[&["-n", APART, "expose", &pod], &own[..]].concat()).await?;
    let before = cluster.changes_of_records()?;
    let service = cluster.name_in_zone(set.name).await?;
    cluster.wait_changes_of_records(before).await?;
    cluster.verify_named(&member).await?;
    let before = cluster.changes_of_records()?;
    let moved = cluster.move_named(&member).await?;
    cluster.wait_changes_of_records(before).await?;
    cluster.verify_named(&moved).await?;
    cluster.wait_names(&service, "Published").await?;
    let fault = take_rights(cluster)?;
    let before = cluster.changes_of_records()?;
    let again = cluster.move_named(&moved).await?;
    cluster.wait_names(&service, "RecordDiffers").await?;
    cluster.verify_no_change(before)?;
    cluster.vpc(|vpc| vpc.fault_clear(Some(fault)))?;
    cluster.wait_changes_of_records(before).await?;
    cluster.verify_named(&again).await?;
    cluster.wait_names(&service, "Published").await?;
    let before = cluster.changes_of_records()?;
    cluster.admin.kubectl(&["delete", "namespace", APART]).await?;
    cluster.wait_changes_of_records(before).await
}
