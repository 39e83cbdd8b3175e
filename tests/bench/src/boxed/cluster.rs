//! The registry of the quiet node: a strict API server in this process, which the node reaches on
//! its loopback device.

use std::path::PathBuf;

use firecamp_apiserver::ApiServer;
use firecamp_apiserver::socket::{FORWARDING, Listening, kubeconfig};
use firecamp_core::contract::cluster;
use firecamp_demo::process::Process;
use firecamp_kube::{KubeRegistry, Timeouts};
use firecamp_registry::FileRegistry;
use serde_json::json;
use tokio::runtime::Builder;

use super::records::failed;
use super::stage::{NAMESPACE, Place, Stage};
use crate::failure::Failure;

const PORT: u16 = 6443;
/// Where the agents' Lease is, if a kubeconfig names no namespace.
const LEASES: &str = "default";

/// The API server.
pub(crate) struct Cluster {
    pub(crate) api: ApiServer,
    kubeconfig: PathBuf,
    _listening: Listening,
    _forward: Process,
}

impl Cluster {
    /// With the pool of the box, and this node, from which it can be reached.
    pub(crate) fn start(stage: &mut Stage, node: &str) -> Result<Self, Failure> {
        let api = ApiServer::default();
        let files =
            FileRegistry::open(stage.registry_dir(), firecamp_registry::Timeouts::default());
        let follower = files.map_err(failed)?.follow();
        let runtime = Builder::new_current_thread().enable_all().build();
        let runtime = runtime.map_err(Failure::of("start a runtime"))?;
        let read = runtime.block_on(follower.list()).map_err(failed)?;
        for pool in read.pools.map_err(failed)? {
            api.create_pool(&pool);
        }
        let object = json!({ "metadata": { "uid": "node-0-uid" }, "status": {} });
        api.set("nodes", (None, node), object);
        let (socket, file) = (stage.path("apiserver.sock"), stage.path("kubeconfig"));
        let listening = api.listen(&socket).map_err(Failure::of("serve the API"))?;
        std::fs::write(&file, kubeconfig(PORT)).map_err(Failure::of(file.display()))?;
        let traces = stage.traces("forward");
        let mut command = stage.marked(node, &traces, &stage.tools.bench);
        command.arg("forward").arg(PORT.to_string()).arg(&socket);
        let mut forward = Process::start("the way to the API", &mut command, traces, stage.clock)?;
        forward.ready(FORWARDING)?;
        let it = Self { api, kubeconfig: file, _listening: listening, _forward: forward };
        it.renew_the_lease();
        Ok(it)
    }

    /// As containers are told of it.
    pub(crate) fn url(&self) -> String {
        format!("kubernetes://{}", self.kubeconfig.display())
    }

    pub(crate) fn registry(&self) -> KubeRegistry {
        KubeRegistry::new(self.api.client(), Timeouts::default())
    }

    /// The API shows this pod as the member's, and it runs.
    pub(crate) fn shows(&self, place: &Place) {
        let pod = json!({
            "metadata": { "uid": place.uid },
            "spec": { "nodeName": place.node },
            "status": { "phase": "Running" },
        });
        self.api.set_pod(NAMESPACE, &place.member, pod);
    }

    /// Another node's agent holds the Lease, as one of a cluster's agents does: it is taken for
    /// alive as long as whoever looks finds that it has changed since.
    pub(crate) fn renew_the_lease(&self) {
        let spec = json!({ "holderIdentity": "another", "leaseDurationSeconds": 60 });
        let object = json!({ "metadata": {}, "spec": spec });
        self.api.set("leases", (Some(LEASES), cluster::LEASE), object);
    }

    /// What was asked after so many requests: all of it, and what of it were writes.
    pub(crate) fn asked_since(&self, number: usize) -> (Vec<String>, Vec<String>) {
        let asked = self.api.requests().get(number..).unwrap_or_default().to_vec();
        let reads = ["GET ", "WATCH "];
        let writes = |one: &&String| !reads.iter().any(|verb| one.starts_with(verb));
        let writes = asked.iter().filter(writes).cloned().collect();
        (asked, writes)
    }
}
