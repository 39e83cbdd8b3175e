//! A strict API server in this process, which nodes reach at their loopback devices.

use firecamp_core::contract::cluster;
use firecamp_demo::api_in_box::ApiInBox;
use firecamp_demo::process::Process;
use firecamp_kube::{KubeRegistry, Timeouts};
use firecamp_registry::FileRegistry;
use serde_json::json;
use tokio::runtime::Builder;

use super::fixture::{Fixture, NAMESPACE, Place};
use super::records::failed;
use crate::failure::Failure;

/// The namespace of the agents' Lease if a kubeconfig names none.
const LEASES: &str = "default";

/// The API server.
pub(crate) struct Cluster {
    pub(super) api: ApiInBox,
    _forwarders: Vec<Process>,
}

impl Cluster {
    /// Starts the API server with the pool of the box, and makes it reachable from these nodes.
    pub(crate) fn start(fixture: &mut Fixture, nodes: &[String]) -> Result<Self, Failure> {
        let api = ApiInBox::start(&fixture.path(""))?;
        let files =
            FileRegistry::open(fixture.registry_dir(), firecamp_registry::Timeouts::default());
        let follower = files.map_err(failed)?.follow();
        let runtime = Builder::new_current_thread().enable_all().build();
        let runtime = runtime.map_err(Failure::of("start a runtime"))?;
        let read = runtime.block_on(follower.list()).map_err(failed)?;
        for pool in read.pools.map_err(failed)? {
            api.server.create_pool(&pool);
        }
        let mut forwarders = Vec::new();
        for node in nodes {
            let uid = format!("{node}-uid");
            let object = json!({ "metadata": { "uid": uid }, "status": {} });
            api.server.set("nodes", (None, node), object);
            let traces = fixture.traces("forward");
            let command = fixture.small(node, &traces, &[]);
            forwarders.push(api.connect(command, traces, fixture.clock)?);
        }
        let it = Self { api, _forwarders: forwarders };
        it.renew_the_lease();
        Ok(it)
    }

    /// The registry URL for containers.
    pub(crate) fn url(&self) -> String {
        self.api.url()
    }

    pub(crate) fn registry(&self) -> KubeRegistry {
        KubeRegistry::new(self.api.server.client(), Timeouts::default())
    }

    /// Creates the member's Pod object, which is running.
    pub(crate) fn create_pod(&self, place: &Place) {
        let pod = json!({
            "metadata": { "uid": place.uid },
            "spec": { "nodeName": place.node, "hostNetwork": true },
            "status": { "phase": "Running" },
        });
        self.api.server.set_pod(NAMESPACE, &place.member, pod);
    }

    /// Renews the Lease in the name of another node's agent. Candidates consider the holder alive
    /// as long as the Lease changes.
    pub(crate) fn renew_the_lease(&self) {
        let spec = json!({ "holderIdentity": "another", "leaseDurationSeconds": 60 });
        let object = json!({ "metadata": {}, "spec": spec });
        self.api.server.set("leases", (Some(LEASES), cluster::LEASE), object);
    }

    /// The requests after the first `number`, and the writes among them.
    pub(crate) fn requests_since(&self, number: usize) -> (Vec<String>, Vec<String>) {
        let asked = self.api.server.requests().get(number..).unwrap_or_default().to_vec();
        let reads = ["GET ", "WATCH "];
        let writes = |one: &&String| !reads.iter().any(|verb| one.starts_with(verb));
        let writes = asked.iter().filter(writes).cloned().collect();
        (asked, writes)
    }
}
