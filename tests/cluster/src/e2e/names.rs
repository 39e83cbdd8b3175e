//! Names of members.

use serde_json::{Value, json};

use super::endpoint::with_own_network;
use super::refused::APART;
use super::set::{Set, Stop};
use super::test_cluster::{Pod, TestCluster, all_but, ensure};
use crate::Outcome;
use crate::install::until;
use crate::member::PORT;

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
    let path = format!("/api/v1/namespaces/{APART}/services/{service}");
    until("the Service reports its names", || async {
        let condition = cluster.admin.get(&path).await?["status"]["conditions"][0].take();
        ensure(condition["reason"] == "Published", || condition.to_string())
    })
    .await?;
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
