//! NetworkPolicies and members with a network of their own, with a real engine.

use serde_json::{Value, json};

use super::endpoint::with_own_network;
use super::own_network::{CLIENT, CLIENTS_PORT};
use super::refused::APART;
use super::set::{Set, Stop};
use super::test_cluster::{Pod, TestCluster, all_but, ensure};
use crate::install::{source, until};
use crate::member::PORT;
use crate::topology::Layout;
use crate::{Outcome, failed, network_policy};

/// The agents' endpoint.
const ENDPOINT: &str = "169.254.196.96:9814";
/// The policy with which members reach it, and the namespace in it.
const ALLOW_ENDPOINT: &str = "deploy/networkpolicy/kubernetes.yaml";
const ITS_NAMESPACE: &str = "namespace: prod";
const POLICIES: &str = "/apis/networking.k8s.io/v1/namespaces/apart/networkpolicies";
/// The range of the pool.
const POOL: &str = "10.0.1.64/26";

/// Whether the cluster has an engine, and pods with addresses of the cluster.
pub(super) fn is_tested(cluster: &TestCluster<'_>) -> bool {
    let home = &cluster.running.home;
    network_policy::runs(home) && home.layout() != Layout::VpcCni
}

fn named(name: &str) -> Value {
    json!({ "matchLabels": { "app.kubernetes.io/name": name } })
}

impl TestCluster<'_> {
    async fn add_policy(&self, name: &str, spec: Value) -> Outcome {
        let metadata = json!({ "name": name, "namespace": APART });
        let policy = json!({ "apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy",
            "metadata": metadata, "spec": spec });
        self.create_object(POLICIES, &policy).await
    }

    /// Applies the policy of `deploy` with which members reach the endpoint.
    async fn allow_endpoint(&self) -> Outcome {
        let allow = source(ALLOW_ENDPOINT);
        let allow = std::fs::read_to_string(&allow).map_err(failed(allow))?;
        let allow = allow.replace(ITS_NAMESPACE, &format!("namespace: {APART}"));
        let file = tempfile::NamedTempFile::new().map_err(failed("a file"))?;
        std::fs::write(file.path(), allow).map_err(failed("a policy"))?;
        let path = file.path().display().to_string();
        self.admin.kubectl(&["apply", "--filename", &path]).await.map(drop)
    }

    async fn remove_policies(&self) -> Outcome {
        self.admin.kubectl(&["-n", APART, "delete", "networkpolicy", "--all"]).await.map(drop)
    }

    /// Waits until the engine refuses the pod's connections there.
    async fn wait_refused(&self, from: &str, at: &str, port: u16) -> Outcome {
        until(&format!("{from} is refused at {at}:{port}"), || async {
            let answer = self.dial_from(from, at, port).await;
            let refused = answer.as_ref().is_err_and(|error| error.contains("refused"));
            ensure(refused, || format!("{answer:?}"))
        })
        .await
    }

    /// Waits until the agents' endpoint answers the pod, or the engine refuses it.
    async fn wait_endpoint(&self, pod: &str, reached: bool) -> Outcome {
        let words = ["-n", APART, "exec", pod, "-c", "service", "--"];
        let words = [words.as_slice(), &["/clusterbox", "fetch", ENDPOINT, "/"]].concat();
        let wanted = if reached { "HTTP/1." } else { "refused" };
        until(&format!("{pod} at the endpoint: {wanted}"), || async {
            // No page is there: what it answers is the error's text.
            let answer = self.admin.kubectl(&words).await.err().unwrap_or_default();
            ensure(answer.contains(wanted), || answer)
        })
        .await
    }
}

/// The name that a member answers with.
fn answer_of(pod: &Pod) -> String {
    format!("{} {} {}", pod.name, pod.uid, pod.node)
}

pub(super) async fn network_policies_apply_to_the_pod_ip_and_not_to_the_static_address(
    cluster: &TestCluster<'_>,
) -> Outcome {
    let set = Set { stop: Stop::None, ..with_own_network("guarded") };
    let member = cluster.start_apart(&set).await?;
    let (name, from) = (answer_of(&member), member.name.as_str());
    let address = cluster.wait_serving(APART, &member, PORT).await?.to_string();
    let own = cluster.pod_ip(from).await?;
    let _outside = cluster.serve_clients_address(CLIENTS_PORT)?;
    let mut visitors = Vec::new();
    for (visitor, node) in [("near", member.node.as_str()), ("far", all_but(&member.node)[0])] {
        visitors.push((visitor, cluster.start_visitor(visitor, node).await?));
    }
    let member_only = named(set.name);
    let nothing = json!({ "podSelector": member_only, "policyTypes": ["Ingress", "Egress"] });
    cluster.add_policy("nothing", nothing).await?;
    for (visitor, at) in &visitors {
        // The engine knows the pod's own address, and only that one.
        cluster.wait_refused(visitor, &own, PORT).await?;
        cluster.wait_refused(from, at, PORT).await?;
        cluster.wait_answer(visitor, (&address, PORT), &name).await?;
    }
    cluster.wait_serving(APART, &member, PORT).await?;
    cluster.wait_answer(from, (CLIENT, CLIENTS_PORT), &address).await?;
    // The endpoint sees the pod's own address: members need the policy that allows it.
    cluster.wait_endpoint(from, false).await?;
    cluster.allow_endpoint().await?;
    cluster.wait_endpoint(from, true).await?;
    // A member with both policies starts anew.
    cluster.delete_pod(APART, from).await?;
    let member = cluster.wait_ready_in(APART, from, Some(&member)).await?;
    let name = answer_of(&member);
    let again = cluster.wait_serving(APART, &member, PORT).await?.to_string();
    ensure(again == address, || format!("{again} instead of {address}"))?;
    let own = cluster.pod_ip(from).await?;
    // Policies of others: a selector never means the static address.
    cluster.remove_policies().await?;
    let selected = json!({ "podSelector": member_only });
    let egress = |to: Value| {
        let visitors = json!({ "matchExpressions": [
            { "key": "app.kubernetes.io/name", "operator": "In", "values": ["near", "far"] }] });
        json!({ "podSelector": visitors, "policyTypes": ["Egress"], "egress": [{ "to": to }] })
    };
    cluster.add_policy("selected", egress(json!([selected]))).await?;
    for (visitor, _at) in &visitors {
        cluster.wait_refused(visitor, &address, PORT).await?;
        cluster.wait_answer(visitor, (&own, PORT), &name).await?;
    }
    let block = json!({ "ipBlock": { "cidr": POOL } });
    cluster.add_policy("block", egress(json!([block]))).await?;
    for (visitor, _at) in &visitors {
        cluster.wait_answer(visitor, (&address, PORT), &name).await?;
    }
    cluster.end_apart(&member, &member.node).await
}
