//! What members and agents asked of the API server, by its own record, while all of the other
//! scenarios went on.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::net::Ipv4Addr;

use serde_json::Value;

use super::scene::{Pod, Scene, ensure, text};
use crate::cli::say;
use crate::install::until;
use crate::topology::WORKERS;
use crate::{Outcome, failed, settings};

/// In a write that releases an address and leaves it where it is.
const PARKED: &str = r#""state":"Parked""#;
const AGENT: &str = "system:serviceaccount:firecamp-system:firecamp-agent";

/// A request that was granted.
struct Request(Value);

impl Request {
    fn verb(&self) -> &str {
        self.0["verb"].as_str().unwrap_or_default()
    }

    /// Without that of a subresource, as `pods/status`.
    fn resource(&self) -> &str {
        let object = &self.0["objectRef"];
        let whole = object["subresource"].is_null();
        object["resource"].as_str().filter(|_name| whole).unwrap_or_default()
    }

    fn is_of_many(&self) -> bool {
        matches!(self.verb(), "list" | "watch")
    }

    /// When it came, as text that sorts by time.
    fn at(&self) -> &str {
        self.0["requestReceivedTimestamp"].as_str().unwrap_or_default()
    }

    /// The node of the agent that asked.
    fn agent(&self) -> Option<String> {
        let extra = &self.0["user"]["extra"]["authentication.kubernetes.io/node-name"];
        (self.0["user"]["username"] == AGENT).then(|| text(&extra[0]))
    }

    /// The pod whose token asked.
    fn pod(&self) -> String {
        text(&self.0["user"]["extra"]["authentication.kubernetes.io/pod-uid"][0])
    }

    /// Whether it asks for what this field names, and for nothing else.
    fn selects(&self, field: &str, node: &str) -> bool {
        let uri = text(&self.0["requestURI"]);
        let plain = uri.replace("%2E", ".").replace("%2D", "-").replace("%3D", "=");
        plain.split(['?', '&']).any(|part| part == format!("fieldSelector={field}={node}"))
    }
}

/// All of them, in order.
fn requests(scene: &Scene<'_>) -> Outcome<Vec<Request>> {
    let log = settings::audit_log(&scene.running.home);
    let text = fs::read_to_string(&log).map_err(failed(log.display()))?;
    let whole = text.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let granted = whole.filter(|one| one["responseStatus"]["code"].as_u64() < Some(300));
    Ok(granted.map(Request).collect())
}

/// Who of them had written the Lease last at that time.
fn holder<'a>(writes: &'a BTreeMap<&'a str, String>, at: &'a str) -> Option<&'a String> {
    writes.range(..at).next_back().map(|(_written, node)| node)
}

pub(super) async fn f109_agents_ask_for_the_pods_and_addresses_of_their_own_nodes(
    scene: &Scene<'_>,
) -> Outcome {
    let all = requests(scene)?;
    let writes = all.iter().filter(|one| !one.is_of_many() && one.resource() == "leases");
    let writes = writes.filter(|one| one.verb() != "get");
    let held: BTreeMap<&str, String> =
        writes.filter_map(|one| Some((one.at(), one.agent()?))).collect();
    let (mut asked, mut watched) = (BTreeSet::new(), 0);
    for one in all.iter().filter(|one| one.is_of_many()) {
        let Some(node) = one.agent() else { continue };
        let field = match one.resource() {
            "pods" => "spec.nodeName",
            "staticips" => "spec.attachment.nodeName",
            _other => continue,
        };
        let own = one.selects(field, &node);
        // Of addresses, who wrote the Lease last watches all.
        let holds = one.resource() == "staticips" && holder(&held, one.at()) == Some(&node);
        ensure(own || holds, || format!("{node}: {}", one.0))?;
        watched += usize::from(!own);
        if own {
            asked.insert((node, one.verb().to_owned(), one.resource().to_owned()));
        }
    }
    let holders: BTreeSet<&String> = held.values().collect();
    say(&format!("        of {} requests; leaders: {holders:?}", all.len()))?;
    ensure(watched > 0, || "nobody asked for all addresses".to_owned())?;
    for worker in WORKERS {
        for (verb, resource) in
            [("list", "pods"), ("watch", "pods"), ("list", "staticips"), ("watch", "staticips")]
        {
            let key = (worker.name.to_owned(), verb.to_owned(), resource.to_owned());
            ensure(asked.contains(&key), || format!("never asked: {key:?} of {asked:?}"))?;
        }
    }
    Ok(())
}

/// How many writes by members and agents named the version that they had read; all others.
pub(super) fn unversioned(scene: &Scene<'_>) -> Outcome<(usize, Vec<String>)> {
    let all = requests(scene)?;
    let writes = all.iter().filter(|one| matches!(one.verb(), "patch" | "update"));
    let ours = writes.filter(|one| one.resource().starts_with("staticip"));
    let named = |one: &&Request| one.0["requestObject"].to_string().contains("resourceVersion");
    let (with, without): (Vec<_>, Vec<_>) = ours.partition(named);
    Ok((with.len(), without.iter().map(|one| one.0.to_string()).collect()))
}

impl Scene<'_> {
    /// Waits until the record of requests says that the pod's own token wrote down the release of
    /// its address: nobody else, as the agent, did it for the pod.
    pub(super) async fn released_itself(&self, pod: &Pod, address: Ipv4Addr) -> Outcome {
        until(&format!("{} writes down its release", pod.name), || async {
            let who = self.releasers(address)?;
            ensure(who.contains(&pod.uid), || format!("{address} was released by {who:?}"))
        })
        .await
    }

    /// The pods whose tokens wrote down a release of this address until now.
    fn releasers(&self, address: Ipv4Addr) -> Outcome<Vec<String>> {
        Ok(releases(self, address)?.iter().map(Request::pod).collect())
    }

    /// Whether anybody, it or the agent, wrote down that this pod does not have the address any
    /// more.
    pub(super) fn was_released(&self, pod: &Pod, address: Ipv4Addr) -> Outcome<bool> {
        let holder = format!(r#""podUID":"{}""#, pod.uid);
        let all = releases(self, address)?;
        Ok(all.iter().any(|one| one.0["requestObject"].to_string().contains(&holder)))
    }
}

/// What released this address and left it where it is.
fn releases(scene: &Scene<'_>, address: Ipv4Addr) -> Outcome<Vec<Request>> {
    let (mut all, name) = (requests(scene)?, address.to_string());
    all.retain(|one| {
        one.resource() == "staticips"
            && one.0["objectRef"]["name"] == name.as_str()
            && one.0["requestObject"].to_string().contains(PARKED)
    });
    Ok(all)
}
