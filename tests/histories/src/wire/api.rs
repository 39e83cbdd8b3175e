//! The API server of a history whose processes use the registry of a cluster: its pods, its clock,
//! and the objects of its requests.

use std::net::Ipv4Addr;

use crate::cluster::ApiPod;
use crate::names::{MemberIx, Names};
use crate::simulated_cluster::SimulatedCluster;
use firecamp_apiserver::{ApiServer, Unanswered};
use firecamp_core::ids::Member;
use firecamp_core::time::Moment;
use firecamp_registry::api::{Kind, StaticIPClaimSpec, StaticIPSpec};
use firecamp_sim_tests::EPOCH;
use http::{Request, Response, StatusCode};
use jiff::Timestamp;
use jiff::fmt::rfc2822::DateTimePrinter;
use serde_json::{Value, json};

/// The coverage that API server requests must reach, in addition to the faults of all registries.
pub(crate) const EXPECTED_COVERAGE: [&str; 19] = [
    "registry kube",
    "registry memory",
    "api requests",
    "api calm restarts",
    "api conflict",
    "api already exists",
    "api too many requests",
    "api server error",
    "api proxy error",
    "api request lost",
    "api hang",
    "api answer lost",
    "api hang after effect",
    "api answer truncated",
    "api token refused",
    "api permission refused",
    "api refused by policy",
    "api kind not served",
    "api new uid",
];

/// Whether the processes of this history use the registry of a cluster. True for every second
/// history, also among those that run twice.
pub(crate) fn is_clustered(seed: u64) -> bool {
    (seed ^ (seed / 100)).is_multiple_of(2)
}

/// A server with the pools of a cluster.
pub(crate) fn server(cluster: &SimulatedCluster) -> ApiServer {
    let api = ApiServer::default();
    cluster.registry.pools.values().for_each(|pool| api.create_pool(pool));
    api
}

fn wall(moment: Moment) -> Timestamp {
    let seconds = EPOCH.saturating_add(moment.0).as_secs();
    let seconds = i64::try_from(seconds).expect("a history is shorter than the universe");
    Timestamp::from_second(seconds).expect("a time of this century")
}

/// Kubernetes timestamps have whole seconds.
pub(crate) fn set_clock(api: &ApiServer, now: Moment) {
    let date = DateTimePrinter::new().timestamp_to_rfc9110_string(&wall(now));
    api.set_date(Some(&date.expect("a time of this century")));
}

/// Shows a member's pod from now on.
pub(crate) fn show(api: &ApiServer, names: &Names, member: MemberIx, pod: Option<ApiPod>) {
    let name = names.member(member);
    let Some(ApiPod { pod, node, ending }) = pod else {
        api.remove("pods", Some(name.namespace()), name.name());
        return;
    };
    let mut metadata = json!({ "uid": names.uid(pod) });
    if let (Some(ending), Value::Object(metadata)) = (ending, &mut metadata) {
        metadata.insert("deletionTimestamp".to_owned(), json!(wall(ending).to_string()));
    }
    let node = node.map(|node| names.node(node).name.as_str());
    let object = json!({
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": metadata,
        "spec": { "nodeName": node.unwrap_or_default() },
        "status": { "phase": "Running" },
    });
    api.set_pod(name.namespace(), name.name(), object);
}

/// The object of a write.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Subject {
    Ip(Ipv4Addr),
    Claim(Member),
}

impl Subject {
    /// A patch names it in its path, a create in its body.
    pub(crate) fn of(request: &Request<Vec<u8>>) -> Option<Self> {
        let path = request.uri().path();
        let mut parts: Vec<&str> = path.split('/').collect();
        let body: Value = serde_json::from_slice(request.body()).ok()?;
        let created = body.pointer("/metadata/name").and_then(Value::as_str);
        parts.extend(created);
        match parts.as_slice() {
            [.., plural, name] if *plural == StaticIPSpec::PLURAL => {
                name.parse().ok().map(Self::Ip)
            }
            [.., namespace, plural, name] if *plural == StaticIPClaimSpec::PLURAL => {
                Member::new(namespace, name).ok().map(Self::Claim)
            }
            _ => None,
        }
    }

    pub(crate) fn address(&self) -> Option<Ipv4Addr> {
        match self {
            Self::Ip(address) => Some(*address),
            Self::Claim(_) => None,
        }
    }

    /// Another client adds an annotation, so that the object gets a new version.
    pub(crate) fn annotate(&self, api: &ApiServer) {
        let note = |object: &mut Value| {
            if let Some(Value::Object(metadata)) = object.get_mut("metadata") {
                metadata.insert("annotations".to_owned(), json!({ "someone": "else" }));
            }
        };
        self.change(api, note);
    }

    /// Another client deletes the object and creates it again, as `kubectl replace --force` does.
    /// True if it existed.
    pub(crate) fn renew(&self, api: &ApiServer) -> bool {
        self.change(api, |object| {
            if let Some(Value::Object(metadata)) = object.get_mut("metadata") {
                metadata.remove("uid");
            }
        })
    }

    /// True if it exists. A missing object has no version that could change.
    fn change(&self, api: &ApiServer, change: impl FnOnce(&mut Value)) -> bool {
        match self {
            Self::Ip(address) => {
                api.change(StaticIPSpec::PLURAL, None, &address.to_string(), change)
            }
            Self::Claim(member) => {
                let namespace = Some(member.namespace());
                api.change(StaticIPClaimSpec::PLURAL, namespace, member.name(), change)
            }
        }
    }
}

/// Why the server itself refused the request.
pub(crate) fn refusal(answered: &Result<Response<Vec<u8>>, Unanswered>) -> Option<&'static str> {
    let response = answered.as_ref().ok()?;
    if response.status() != StatusCode::CONFLICT {
        return None;
    }
    let status: Value = serde_json::from_slice(response.body()).ok()?;
    let exists = status.get("reason").is_some_and(|reason| reason == "AlreadyExists");
    Some(if exists { "api already exists" } else { "api conflict" })
}
