//! The cluster of the steps with the agent's endpoint. The demo plays the StatefulSet controller,
//! the scheduler and the kubelet: it creates pods, gives them volumes with their token, and reports
//! them. The simulated API server reviews the tokens.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use firecamp_core::contract::endpoint;
use firecamp_core::record::StaticIp;
use firecamp_registry::api::{Kind, StaticIP, StaticIPClaim, StaticIPClaimSpec, StaticIPSpec};
use serde::Serialize;
use serde_json::{Value, json};

use super::environment::Stage;
use super::fixture;
use crate::api_in_box::ApiInBox;
use crate::failure::Failure;
use crate::process::Process;

/// The cluster.
pub(crate) struct Cluster {
    api: ApiInBox,
    _forwarders: Vec<Process>,
}

/// The files of a pod in its volumes.
#[derive(Debug)]
pub(crate) struct Volumes {
    pub(crate) token: PathBuf,
    pub(crate) address: PathBuf,
}

/// What the kubelet reports about a pod.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Phase {
    Pending,
    Running,
    Terminating,
    Gone,
}

impl Cluster {
    /// Starts the API server with the pool and the member's records so far, and connects all nodes.
    pub(crate) fn start(stage: &mut Stage) -> Result<Self, Failure> {
        let api = ApiInBox::start(&stage.dir)?;
        // A fixed date would be a wrong clock.
        api.server.set_date(None);
        let records = stage.records.member()?;
        if let (Some(pool), Some(claim), Some(record)) =
            (&records.pool, &records.claim, &records.static_ip)
        {
            api.server.create_pool(pool);
            let place = (Some(fixture::NAMESPACE), fixture::MEMBER);
            api.server.set(
                StaticIPClaimSpec::PLURAL,
                place,
                value(&StaticIPClaim::from(&claim.object))?,
            );
            let name = record.object.address.to_string();
            let object = value(&StaticIP::from(&record.object))?;
            api.server.set(StaticIPSpec::PLURAL, (None, &name), object);
        }
        let mut forwarders = Vec::new();
        for node in stage.nodes() {
            api.server.set("nodes", (None, &node), json!({ "metadata": {}, "status": {} }));
            let traces = stage.traces(&format!("forward-{node}"));
            let command = stage.in_node(&node, &traces, &stage.config.tools.demo);
            forwarders.push(api.connect(command, traces, stage.clock)?);
        }
        Ok(Self { api, _forwarders: forwarders })
    }

    /// The registry URL of the agents.
    pub(crate) fn url(&self) -> String {
        self.api.url()
    }

    /// The member's record.
    pub(crate) fn record(&self) -> Option<StaticIp> {
        self.api.server.static_ip(fixture::ADDRESS).map(|stored| stored.object)
    }

    /// Gives a pod without privileges a volume for its address and one with its token.
    pub(crate) fn volumes(
        &self,
        dir: &Path,
        (uid, node): (&str, &str),
    ) -> Result<Volumes, Failure> {
        let dir = dir.join("pods").join(uid);
        let empty = dir.join(endpoint::ADDRESS_VOLUME);
        fs::create_dir_all(&empty).map_err(|e| Failure::file("create", &empty, e))?;
        // As the kubelet creates an emptyDir.
        fs::set_permissions(&empty, Permissions::from_mode(0o777))
            .map_err(|e| Failure::file("change the mode of", &empty, e))?;
        let token = dir.join("token");
        let secret = format!("token-of-{uid}");
        fs::write(&token, &secret).map_err(|e| Failure::file("write", &token, e))?;
        let pod = (fixture::NAMESPACE, fixture::MEMBER, uid);
        self.api.server.issue_token(&secret, endpoint::AUDIENCE, pod, node);
        Ok(Volumes { token, address: empty.join("address") })
    }

    /// Creates a pod, reports its state, or removes it.
    pub(crate) fn report(&self, (uid, node): (&str, &str), phase: Phase) {
        let server = &self.api.server;
        let (reported, deleted) = match phase {
            Phase::Pending => ("Pending", None),
            Phase::Running => ("Running", None),
            Phase::Terminating => ("Running", Some("2036-11-20T15:00:30Z")),
            Phase::Gone => {
                server.remove("pods", Some(fixture::NAMESPACE), fixture::MEMBER);
                return;
            }
        };
        let object = json!({
            "metadata": {
                "uid": uid,
                "labels": { endpoint::POOL_LABEL: fixture::POOL },
                "deletionTimestamp": deleted,
            },
            "spec": { "nodeName": node, "hostNetwork": true },
            "status": { "phase": reported },
        });
        server.set_pod(fixture::NAMESPACE, fixture::MEMBER, object);
    }
}

fn value(object: &impl Serialize) -> Result<Value, Failure> {
    serde_json::to_value(object).map_err(|e| Failure::Registry(e.to_string()))
}
