//! Lifecycles of members' pods: the core's state machines, run by the real engine, with records and
//! pods on the real API server and the simulated VPC, kernels and volumes of `firecamp-sim-tests`.

use std::net::Ipv4Addr;
use std::time::Duration;

use firecamp_core::attach::{AttachInput, UnwantedEnis};
use firecamp_core::choose_interface::EniRule;
use firecamp_core::contract::timing;
use firecamp_core::ids::{Member, PodUid};
use firecamp_core::machine::{Attached, Outcome};
use firecamp_core::ports::{Registry, SocketScope};
use firecamp_core::record::Pool;
use firecamp_core::release::{ReleaseInput, Releaser};
use firecamp_engine::{Ended, NoFile, Rng, Run, Signal, Systems, run};
use firecamp_kube::Source;
use firecamp_registry::api::StaticIPPool;
use firecamp_sim_tests::Cluster as Vpc;
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use crate::checks::{Outcome as Checked, ensure};
use crate::cluster::Cluster;
use crate::samples::GROUP;

/// The first address of the pool, in zone a of the simulated VPC.
pub(crate) const FIRST: Ipv4Addr = firecamp_sim_tests::FIRST;
/// The service account of the pods.
pub(crate) const ACCOUNT: &str = "redis";
const PODS: &str = "/api/v1/namespaces/prod/pods";

/// An API server with one pool and no other record, and idle nodes.
pub(crate) struct Site<'a> {
    pub(crate) cluster: &'a Cluster,
    pub(crate) vpc: Vpc,
}

/// One pod on the API server.
#[derive(Debug, Clone)]
pub(crate) struct Pod {
    pub(crate) member: Member,
    pub(crate) uid: PodUid,
    node: String,
}

impl Pod {
    /// The credentials of its containers.
    pub(crate) async fn source(&self, cluster: &Cluster) -> Result<Source, String> {
        let pod = (self.member.name(), self.uid.as_str());
        cluster.pod(self.member.namespace(), ACCOUNT, pod).await
    }
}

impl<'a> Site<'a> {
    pub(crate) async fn new(cluster: &'a Cluster) -> Result<Self, String> {
        let vpc = Vpc::default();
        cluster.empty().await?;
        for pool in vpc.registry.snapshot().pools.values() {
            cluster.create_pool(pool).await?;
        }
        Ok(Self { cluster, vpc })
    }

    /// Creates a pod on a node; replaces an earlier pod of that name.
    pub(crate) async fn pod(&self, name: &str, node: &str) -> Result<Pod, String> {
        self.cluster.api.delete(&format!("{PODS}/{name}?gracePeriodSeconds=0")).await?;
        let pod = json!({
            "metadata": { "name": name },
            "spec": {
                "nodeName": node,
                "serviceAccountName": ACCOUNT,
                "containers": [{ "name": "c", "image": "none" }],
            },
        });
        let made = self.cluster.api.post(PODS, &pod).await?;
        ensure(made.code == 201, || made.text.clone())?;
        let made = made.json();
        let uid = made["metadata"]["uid"].as_str().unwrap_or_default();
        let uid = uid.parse().map_err(|wrong| format!("a pod's UID: {wrong}"))?;
        let member = Member::new("prod", name).map_err(|wrong| wrong.to_string())?;
        Ok(Pod { member, uid, node: node.to_owned() })
    }

    /// Deletes the pod gracefully.
    pub(crate) async fn delete(&self, pod: &Pod) -> Checked {
        let gone = self.cluster.api.delete(&format!("{PODS}/{}", pod.member.name())).await?;
        ensure(gone.code == 200, || gone.text)
    }

    /// Runs the pod's init container; a member without a claim uses the only pool.
    pub(crate) async fn init(&self, pod: &Pod, registry: impl Registry) -> Ended {
        self.init_in(pod, registry, timing::ATTACH_DEADLINE).await
    }

    /// The same with another deadline.
    pub(crate) async fn init_in(
        &self,
        pod: &Pod,
        registry: impl Registry,
        deadline: Duration,
    ) -> Ended {
        let node = self.vpc.node(&pod.node);
        let (cloud, host) = (node.cloud(), node.host.clone());
        let systems = Systems { cloud, host, registry, file: self.vpc.volume.clone() };
        let rng = Rng::default();
        let input = AttachInput {
            member: pod.member.clone(),
            pod: pod.uid.clone(),
            node: pod.node.parse().expect("a node name"),
            cluster: "demo".parse().expect("a cluster name"),
            pool: None,
            pool_is_approved: false,
            rule: EniRule::Primary,
            unwanted: UnwantedEnis::default(),
            metadata_poll: timing::METADATA_POLL,
            run: rng.run_id(),
            deadline,
            predecessor_grace: timing::PREDECESSOR_GRACE,
            looked_up: None,
        };
        let signal = Signal::Interrupt(CancellationToken::new());
        Box::pin(run(input, &systems, &this(pod, signal, rng))).await
    }

    /// Force-deletes the pod: its object is gone immediately.
    pub(crate) async fn force_out(&self, pod: &Pod) -> Checked {
        let path = format!("{PODS}/{}?gracePeriodSeconds=0", pod.member.name());
        let gone = self.cluster.api.delete(&path).await?;
        ensure(gone.code == 200, || gone.text)
    }

    /// Runs its stop container, or the agent's release in its place, to the end.
    pub(crate) async fn stop(&self, pod: &Pod, registry: impl Registry, by: Releaser) -> Ended {
        let node = self.vpc.node(&pod.node);
        let systems =
            Systems { cloud: node.cloud(), host: node.host.clone(), registry, file: NoFile };
        let rng = Rng::default();
        let input = ReleaseInput {
            member: pod.member.clone(),
            pod: pod.uid.clone(),
            run: rng.run_id(),
            unassign: false,
            await_stop: false,
            by,
            scope: SocketScope::All,
            drain: timing::DRAIN,
            grace: Duration::from_secs(30),
        };
        let signal = Signal::Stop(CancellationToken::new());
        Box::pin(run(input, &systems, &this(pod, signal, rng))).await
    }

    /// The stored StaticIP of an address.
    pub(crate) async fn stored(&self, address: Ipv4Addr) -> Result<Value, String> {
        let answer = self.cluster.api.get(&format!("{GROUP}/staticips/{address}")).await?;
        ensure(answer.code == 200, || answer.text.clone())?;
        Ok(answer.json())
    }
}

fn this(pod: &Pod, signal: Signal, rng: Rng) -> Run {
    Run { member: pod.member.clone(), pool: None, signal, rng, watcher: None }
}

/// Requires that the attach succeeded.
pub(crate) fn attached(ended: Ended) -> Result<Attached, String> {
    if let Ended::Outcome(Outcome::Attached(attached)) = ended {
        Ok(attached)
    } else {
        Err(format!("not attached: {ended:?}"))
    }
}

/// Requires that the release was recorded.
pub(crate) fn released(ended: &Ended) -> Checked {
    let good = matches!(ended, Ended::Outcome(Outcome::Released { .. }));
    ensure(good, || format!("not released: {ended:?}"))
}

impl Cluster {
    /// Deletes all records.
    pub(crate) async fn empty(&self) -> Checked {
        let namespaced = |namespace| format!("{GROUP}/namespaces/{namespace}/staticipclaims");
        let all = [
            format!("{GROUP}/staticips"),
            format!("{GROUP}/staticippools"),
            format!("{GROUP}/nodeattachments"),
            namespaced("prod"),
            namespaced("test"),
        ];
        for path in all {
            let answer = self.api.delete(&path).await?;
            ensure(answer.code == 200, || answer.text)?;
        }
        self.free_addresses().await
    }

    /// Removes the finalizers of deleted addresses in place of an agent.
    async fn free_addresses(&self) -> Checked {
        let list = self.api.get(&format!("{GROUP}/staticips")).await?;
        ensure(list.code == 200, || list.text.clone())?;
        for held in list.json()["items"].as_array().into_iter().flatten() {
            let name = held["metadata"]["name"].as_str().unwrap_or_default();
            let patch = json!([{ "op": "remove", "path": "/metadata/finalizers" }]);
            let answer = self.api.patch(&format!("{GROUP}/staticips/{name}"), &patch).await?;
            ensure(answer.code == 200, || answer.text)?;
        }
        Ok(())
    }

    /// Applies the pool as a user does.
    pub(crate) async fn create_pool(&self, pool: &Pool) -> Checked {
        let object = StaticIPPool::from(pool);
        let object = json!({
            "apiVersion": object.api_version,
            "kind": object.kind,
            "metadata": { "name": object.metadata.name },
            "spec": object.spec,
        });
        let path = format!("{GROUP}/staticippools?fieldValidation=Strict");
        let answer = self.api.post(&path, &object).await?;
        ensure(answer.code == 201 && answer.warnings.is_empty(), || {
            format!("{} {:?}", answer.text, answer.warnings)
        })
    }
}
