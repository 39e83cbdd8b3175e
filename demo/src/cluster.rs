//! The cluster of the steps with the agent's endpoint. The demo plays the StatefulSet controller,
//! the scheduler and the kubelet: it creates pods, gives them volumes with their token, and reports
//! them. The simulated API server reviews the tokens.

use std::net::Ipv4Addr;
use std::path::Path;

use firecamp_core::record::StaticIp;
use firecamp_registry::api::{Kind, StaticIP, StaticIPClaim, StaticIPClaimSpec, StaticIPSpec};
use serde::Serialize;
use serde_json::{Value, json};

use super::environment::Stage;
use super::fixture;
use crate::api_in_box::{ApiInBox, LabelledPod, Phase, Volumes};
use crate::failure::Failure;
use crate::process::Process;

/// The cluster.
pub(crate) struct Cluster {
    api: ApiInBox,
    _forwarders: Vec<Process>,
}

impl Cluster {
    /// Starts the API server with the pool and the member's records so far, and connects all nodes.
    pub(crate) fn start(stage: &mut Stage) -> Result<Self, Failure> {
        let api = ApiInBox::start(&stage.dir)?;
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

    /// Gives a pod a volume for its address and one with its token.
    pub(crate) fn volumes(&self, dir: &Path, pod: (&str, &str)) -> Result<Volumes, Failure> {
        self.api.volumes(dir, labelled(pod, None))
    }

    /// Creates a pod, reports its state, or removes it.
    pub(crate) fn report(&self, pod: (&str, &str), own: Option<Ipv4Addr>, phase: Phase) {
        self.api.report(labelled(pod, own), phase);
    }
}

fn labelled<'a>((uid, node): (&'a str, &'a str), own: Option<Ipv4Addr>) -> LabelledPod<'a> {
    let (namespace, name) = (fixture::NAMESPACE, fixture::MEMBER);
    LabelledPod { namespace, name, uid, node, pool: fixture::POOL, own }
}

fn value(object: &impl Serialize) -> Result<Value, Failure> {
    serde_json::to_value(object).map_err(|e| Failure::Registry(e.to_string()))
}
