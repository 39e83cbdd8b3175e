//! The API server of a history whose processes use the registry of a cluster: its pods, its clock,
//! and what its requests are about.

use std::net::Ipv4Addr;

use crate::cluster::ApiPod;
use crate::names::{MemberIx, Names};
use crate::world::World as Cluster;
use firecamp_apiserver::{ApiServer, Unanswered};
use firecamp_core::ids::Member;
use firecamp_core::time::Moment;
use firecamp_registry::api::{Kind, StaticIPClaimSpec, StaticIPSpec};
use firecamp_sim_tests::EPOCH;
use http::{Request, Response, StatusCode};
use jiff::Timestamp;
use jiff::fmt::rfc2822::DateTimePrinter;
use serde_json::{Value, json};

/// What has to be met by requests to an API server, besides the faults that all registries have.
pub(crate) const MEETS: [&str; 19] = [
    "registry kube",
    "registry memory",
    "api requests",
    "api calm restarts",
    "api conflict",
    "api already exists",
    "api too many requests",
    "api server error",
    "api proxy error",
    "api lost request",
    "api silence",
    "api lost answer",
    "api silence after effect",
    "api cut answer",
    "api token refused",
    "api right refused",
    "api policy refused",
    "api kind unserved",
    "api new uid",
];

/// Whether the processes of this history use the registry of a cluster. Every second one does, and
/// every second one of those that run twice.
pub(crate) fn is_clustered(seed: u64) -> bool {
    (seed ^ (seed / 100)).is_multiple_of(2)
}

/// A server with the pools of a cluster.
pub(crate) fn server(cluster: &Cluster) -> ApiServer {
    let api = ApiServer::default();
    cluster.registry.pools.values().for_each(|pool| api.create_pool(pool));
    api
}

fn wall(moment: Moment) -> Timestamp {
    let seconds = EPOCH.saturating_add(moment.0).as_secs();
    let seconds = i64::try_from(seconds).expect("a history is shorter than the universe");
    Timestamp::from_second(seconds).expect("a time of this century")
}

/// Kubernetes' times have whole seconds.
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

/// The object that a write is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Subject {
    Ip(Ipv4Addr),
    Claim(Member),
}

impl Subject {
    /// A patch has it in its path, a create in its body.
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

    /// Somebody else writes something that is not ours into the object, which gets a new version.
    pub(crate) fn annotate(&self, api: &ApiServer) {
        let note = |object: &mut Value| {
            if let Some(Value::Object(metadata)) = object.get_mut("metadata") {
                metadata.insert("annotations".to_owned(), json!({ "someone": "else" }));
            }
        };
        self.change(api, note);
    }

    /// Somebody deletes the object and makes it anew, as by `kubectl replace --force`. True if it
    /// was there.
    pub(crate) fn renew(&self, api: &ApiServer) -> bool {
        self.change(api, |object| {
            if let Some(Value::Object(metadata)) = object.get_mut("metadata") {
                metadata.remove("uid");
            }
        })
    }

    /// True if it is there. What is not has no version that could change.
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

/// Why the server itself refused.
pub(crate) fn refusal(answered: &Result<Response<Vec<u8>>, Unanswered>) -> Option<&'static str> {
    let response = answered.as_ref().ok()?;
    if response.status() != StatusCode::CONFLICT {
        return None;
    }
    let status: Value = serde_json::from_slice(response.body()).ok()?;
    let exists = status.get("reason").is_some_and(|reason| reason == "AlreadyExists");
    Some(if exists { "api already exists" } else { "api conflict" })
}
