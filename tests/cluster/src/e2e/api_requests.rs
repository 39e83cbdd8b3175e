//! Requests of members and agents to the API server during all scenarios, from its audit log.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::net::Ipv4Addr;

use serde_json::Value;

use super::set::FirecampContainers;
use super::test_cluster::{Pod, TestCluster, ensure, text};
use crate::cli::print_line;
use crate::install::until;
use crate::topology::WORKERS;
use crate::{Outcome, failed, settings};

/// Part of a write that parks an address: releases it without Unassign.
const PARKED: &str = r#""state":"Parked""#;
const AGENT: &str = "system:serviceaccount:firecamp-system:firecamp-agent";

/// An audit event of a successful request.
struct Request(Value);

impl Request {
    fn verb(&self) -> &str {
        self.0["verb"].as_str().unwrap_or_default()
    }

    /// Empty for a subresource such as `pods/status`.
    fn resource(&self) -> &str {
        let object = &self.0["objectRef"];
        let whole = object["subresource"].is_null();
        object["resource"].as_str().filter(|_name| whole).unwrap_or_default()
    }

    fn is_list_or_watch(&self) -> bool {
        matches!(self.verb(), "list" | "watch")
    }

    /// Timestamp; the text sorts by time.
    fn at(&self) -> &str {
        self.0["requestReceivedTimestamp"].as_str().unwrap_or_default()
    }

    /// The node, if an agent sent the request.
    fn agent(&self) -> Option<String> {
        let extra = &self.0["user"]["extra"]["authentication.kubernetes.io/node-name"];
        (self.0["user"]["username"] == AGENT).then(|| text(&extra[0]))
    }

    /// UID of the pod whose token authenticated the request.
    fn pod(&self) -> String {
        text(&self.0["user"]["extra"]["authentication.kubernetes.io/pod-uid"][0])
    }

    /// Whether its field selector is exactly `field=node`; without a node if that is empty.
    fn selects(&self, field: &str, node: &str) -> bool {
        let uri = text(&self.0["requestURI"]);
        let plain = uri.replace("%2E", ".").replace("%2D", "-").replace("%3D", "=");
        plain.split(['?', '&']).any(|part| part == format!("fieldSelector={field}={node}"))
    }
}

/// All successful requests, in order.
fn requests(cluster: &TestCluster<'_>) -> Outcome<Vec<Request>> {
    let log = settings::audit_log(&cluster.running.home);
    let text = fs::read_to_string(&log).map_err(failed(log.display()))?;
    let whole = text.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let granted = whole.filter(|one| one["responseStatus"]["code"].as_u64() < Some(300));
    Ok(granted.map(Request).collect())
}

/// The node whose agent wrote the Lease last before `at`.
fn leader_at<'a>(writes: &'a BTreeMap<&'a str, String>, at: &'a str) -> Option<&'a String> {
    writes.range(..at).next_back().map(|(_written, node)| node)
}

pub(super) async fn f109_agents_request_only_pods_and_addresses_of_their_own_nodes(
    cluster: &TestCluster<'_>,
) -> Outcome {
    let all = requests(cluster)?;
    let writes = all.iter().filter(|one| !one.is_list_or_watch() && one.resource() == "leases");
    let writes = writes.filter(|one| one.verb() != "get");
    let leases: BTreeMap<&str, String> =
        writes.filter_map(|one| Some((one.at(), one.agent()?))).collect();
    let (mut asked, mut watched) = (BTreeSet::new(), 0);
    for one in all.iter().filter(|one| one.is_list_or_watch()) {
        let Some(node) = one.agent() else { continue };
        let field = match one.resource() {
            "pods" => "spec.nodeName",
            "staticips" => "spec.attachment.nodeName",
            _other => continue,
        };
        let own = one.selects(field, &node);
        // The leader watches all addresses, and the pods without a node.
        let cluster_wide = one.resource() == "staticips" || one.selects(field, "");
        let leads = cluster_wide && leader_at(&leases, one.at()) == Some(&node);
        ensure(own || leads, || {
            format!("the agent of {node} requested objects of other nodes: {}", one.0)
        })?;
        watched += usize::from(!own && one.resource() == "staticips");
        if own {
            asked.insert((node, one.verb().to_owned(), one.resource().to_owned()));
        }
    }
    let leaders: BTreeSet<&String> = leases.values().collect();
    print_line(&format!("        {} requests; leaders: {leaders:?}", all.len()))?;
    ensure(watched > 0, || "no leader watched all addresses".to_owned())?;
    for worker in WORKERS {
        for (verb, resource) in
            [("list", "pods"), ("watch", "pods"), ("list", "staticips"), ("watch", "staticips")]
        {
            let key = (worker.name.to_owned(), verb.to_owned(), resource.to_owned());
            ensure(asked.contains(&key), || format!("no request {key:?} in {asked:?}"))?;
        }
    }
    Ok(())
}

/// The number of writes by members and agents with a resourceVersion, and the writes without.
pub(super) fn writes_by_version(cluster: &TestCluster<'_>) -> Outcome<(usize, Vec<String>)> {
    let all = requests(cluster)?;
    let writes = all.iter().filter(|one| matches!(one.verb(), "patch" | "update"));
    let ours = writes.filter(|one| one.resource().starts_with("staticip"));
    let named = |one: &&Request| one.0["requestObject"].to_string().contains("resourceVersion");
    let (with, without): (Vec<_>, Vec<_>) = ours.partition(named);
    Ok((with.len(), without.iter().map(|one| one.0.to_string()).collect()))
}

impl TestCluster<'_> {
    /// Waits until the audit log shows that the pod itself recorded the release of its address: the
    /// agent did not do it for the pod. For a pod that asks the agent's endpoint, the agent records
    /// every release.
    pub(super) async fn wait_released_by_pod(&self, pod: &Pod, address: Ipv4Addr) -> Outcome {
        until(&format!("{} records the release of its address", pod.name), || async {
            let who = self.releasers(address)?;
            let by_agent = FirecampContainers::of_members().is_injected();
            let recorded =
                who.contains(&pod.uid) || (by_agent && self.was_released(pod, address)?);
            ensure(recorded, || format!("{address} was released by pods {who:?}"))
        })
        .await
    }

    /// UIDs of the pods whose tokens recorded a release of this address.
    fn releasers(&self, address: Ipv4Addr) -> Outcome<Vec<String>> {
        Ok(releases(self, address)?.iter().map(Request::pod).collect())
    }

    /// Whether the pod or an agent recorded that this pod released the address.
    pub(super) fn was_released(&self, pod: &Pod, address: Ipv4Addr) -> Outcome<bool> {
        let holder = format!(r#""podUID":"{}""#, pod.uid);
        let all = releases(self, address)?;
        Ok(all.iter().any(|one| one.0["requestObject"].to_string().contains(&holder)))
    }
}

/// Requests that parked this address.
fn releases(cluster: &TestCluster<'_>, address: Ipv4Addr) -> Outcome<Vec<Request>> {
    let (mut all, name) = (requests(cluster)?, address.to_string());
    all.retain(|one| {
        one.resource() == "staticips"
            && one.0["objectRef"]["name"] == name.as_str()
            && one.0["requestObject"].to_string().contains(PARKED)
    });
    Ok(all)
}
