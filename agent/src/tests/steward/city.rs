//! A cluster with one member, and agents that may hold the Lease.

use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use firecamp_apiserver::ApiServer;
use firecamp_cluster::{Change, Cluster as _, Identity, Uid};
use firecamp_connect::AnyRegistry;
use firecamp_core::failure::{CloudFailure, CloudKind, Effect};
use firecamp_core::ids::{EniId, Epoch, InstanceId, Mac, SubnetId};
use firecamp_core::node::NodeIdentity;
use firecamp_core::outside::{Cloud, Owner, OwnerEni, Registry};
use firecamp_core::record::{Attachment, Claim, Pool, State, StaticIp, Stored, Write};
use firecamp_kube::{KubeCluster, KubeRegistry, Timeouts};
use firecamp_registry::conformance;
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

use crate::cluster::{Elsewhere, Steward};
use crate::late::LateRegistry;
use crate::status::Status;

pub(in crate::tests) const ADDRESS: Ipv4Addr = Ipv4Addr::new(10, 1, 0, 20);
const ENI: &str = "eni-0000000a";
const POD: &str = "pod-1";

/// Nothing that is waited for takes longer, by the clock that jumps.
const DEADLINE: Duration = Duration::from_mins(20);

/// An ENI, and the machine that it is attached to.
type Place = (EniId, Option<InstanceId>);

/// Where each address is.
#[derive(Debug, Clone, Default)]
pub(in crate::tests) struct Ec2 {
    places: Arc<Mutex<BTreeMap<Ipv4Addr, Place>>>,
    unassigned: Arc<Mutex<u32>>,
    /// How often a call that changes something was sent, has arrived, or was answered.
    steps: Arc<Mutex<usize>>,
    /// So long it takes over a call that changes something.
    slowness: Arc<Mutex<Duration>>,
    /// So long it takes over a question.
    thinking: Arc<Mutex<Duration>>,
    /// How many questions it has left without an answer, once it answers none.
    unanswered: Arc<Mutex<Option<usize>>>,
    /// What it says instead of an answer to every question, and to every change.
    refusals: Arc<Mutex<[Option<CloudKind>; 2]>>,
}

fn failed(kind: CloudKind) -> CloudFailure {
    CloudFailure { kind, effect: Effect::None, detail: "on purpose".to_owned() }
}

impl Ec2 {
    pub(in crate::tests) fn put(&self, address: Ipv4Addr, eni: &str, machine: &str) {
        let place = (eni.parse().unwrap(), Some(machine.parse().unwrap()));
        self.places.lock().unwrap().insert(address, place);
    }

    /// The member's machine and its ENI are gone.
    pub(in crate::tests) fn terminate(&self) {
        self.places.lock().unwrap().retain(|_, (eni, _)| eni.as_str() != ENI);
    }

    pub(in crate::tests) fn slow_down(&self, each: Duration) {
        *self.slowness.lock().unwrap() = each;
    }

    /// Whoever asks from now on waits for ever.
    pub(in crate::tests) fn fall_silent(&self) {
        *self.unanswered.lock().unwrap() = Some(0);
    }

    /// Whoever asks something from now on hears the first of these, if any, and whoever changes
    /// something the second.
    pub(in crate::tests) fn refuse(
        &self,
        questions: Option<CloudKind>,
        changes: Option<CloudKind>,
    ) {
        *self.refusals.lock().unwrap() = [questions, changes];
    }

    /// Whoever asks from now on is answered again.
    pub(in crate::tests) fn speak(&self) {
        *self.unanswered.lock().unwrap() = None;
        self.refuse(None, None);
    }

    pub(in crate::tests) fn unanswered(&self) -> usize {
        self.unanswered.lock().unwrap().unwrap_or_default()
    }

    pub(in crate::tests) fn answer_slowly(&self, each: Duration) {
        *self.thinking.lock().unwrap() = each;
    }

    async fn hear(&self) {
        let thinking = *self.thinking.lock().unwrap();
        if !thinking.is_zero() {
            sleep(thinking).await;
        }
        if let Some(unanswered) = &mut *self.unanswered.lock().unwrap() {
            *unanswered += 1;
        } else {
            return;
        }
        std::future::pending::<()>().await;
    }

    fn refused(&self, what: usize) -> Result<(), CloudFailure> {
        self.refusals.lock().unwrap()[what].map_or(Ok(()), |kind| Err(failed(kind)))
    }

    /// Nobody has the address any more.
    pub(in crate::tests) fn lose(&self, address: Ipv4Addr) {
        self.places.lock().unwrap().remove(&address);
    }

    pub(in crate::tests) fn has(&self, address: Ipv4Addr) -> bool {
        self.places.lock().unwrap().contains_key(&address)
    }

    pub(in crate::tests) fn unassigned(&self) -> u32 {
        *self.unassigned.lock().unwrap()
    }

    pub(in crate::tests) fn steps(&self) -> usize {
        *self.steps.lock().unwrap()
    }

    /// Whoever called may die here.
    async fn step(&self) {
        *self.steps.lock().unwrap() += 1;
        tokio::task::yield_now().await;
    }

    fn take(&self, eni: &EniId, address: Ipv4Addr) -> Result<(), CloudFailure> {
        let mut places = self.places.lock().unwrap();
        if places.get(&address).is_none_or(|(there, _)| there != eni) {
            return Err(failed(CloudKind::NotOurs));
        }
        places.remove(&address);
        *self.unassigned.lock().unwrap() += 1;
        Ok(())
    }
}

impl Cloud for Ec2 {
    async fn identity(&self) -> Result<NodeIdentity, CloudFailure> {
        self.hear().await;
        Err(failed(CloudKind::Transient))
    }

    async fn listed(&self, _mac: Mac) -> Result<BTreeSet<Ipv4Addr>, CloudFailure> {
        Err(failed(CloudKind::Transient))
    }

    async fn owner(&self, address: Ipv4Addr, _subnet: &SubnetId) -> Result<Owner, CloudFailure> {
        self.hear().await;
        self.refused(0)?;
        let places = self.places.lock().unwrap();
        let Some((id, instance)) = places.get(&address).cloned() else { return Ok(Owner::Nobody) };
        let (cluster, description) = (Some("prod".to_owned()), String::new());
        Ok(Owner::Eni(OwnerEni { id, primary: false, cluster, instance, description }))
    }

    async fn assign(
        &self,
        _eni: &EniId,
        _address: Ipv4Addr,
        _force: bool,
        _within: Duration,
    ) -> Result<(), CloudFailure> {
        Err(failed(CloudKind::Auth))
    }

    async fn unassign(
        &self,
        eni: &EniId,
        address: Ipv4Addr,
        _within: Duration,
    ) -> Result<(), CloudFailure> {
        self.refused(1)?;
        self.step().await;
        let slowness = *self.slowness.lock().unwrap();
        if !slowness.is_zero() {
            sleep(slowness).await;
        }
        let answer = self.take(eni, address);
        self.step().await;
        answer
    }
}

/// All that agents find outside.
pub(in crate::tests) struct City {
    pub(in crate::tests) server: ApiServer,
    pub(in crate::tests) registry: KubeRegistry,
    pub(in crate::tests) ec2: Ec2,
    /// Of all its agents.
    pub(in crate::tests) status: Status,
}

impl City {
    /// Member redis-0 of StatefulSet redis is attached on node-1; the agents run on node-2 and
    /// node-3. The pool deletes whatever nobody wants.
    pub(in crate::tests) async fn new() -> Self {
        let server = ApiServer::default();
        let pool = Pool {
            release_policy: firecamp_core::record::ReleasePolicy::Keep,
            ..conformance::pool("a", &[1]).unwrap()
        };
        server.create_pool(&pool);
        let registry = KubeRegistry::new(server.client(), Timeouts::default());
        let city = Self { server, registry, ec2: Ec2::default(), status: Status::default() };
        city.policies("Delete", "Delete");
        for node in ["node-1", "node-2", "node-3"] {
            city.node(node, "True");
        }
        city.set("set-1", 1);
        let member = conformance::member(0).unwrap();
        let claim = Claim { address: Some(ADDRESS), ..conformance::claim(&member, &pool) };
        city.registry.write(&Write::CreateClaim(claim)).await.unwrap();
        let ip = conformance::static_ip(ADDRESS, &member, &pool).unwrap();
        city.registry.write(&Write::CreateStaticIp(ip)).await.unwrap();
        city.record(State::Attached, 5).await;
        city.pod(Some("set-1"));
        city.ec2.put(ADDRESS, ENI, "i-0000000a");
        city
    }

    pub(in crate::tests) fn policies(&self, reclaim: &str, retention: &str) {
        let changed = self.server.change("staticippools", None, "a", |pool| {
            pool["spec"]["reclaimPolicy"] = json!(reclaim);
            pool["spec"]["claimRetentionPolicy"] =
                json!({ "whenDeleted": retention, "whenScaled": retention });
        });
        assert!(changed);
    }

    pub(in crate::tests) fn node(&self, name: &str, ready: &str) {
        let conditions = json!([{ "type": "Ready", "status": ready }]);
        let node = json!({ "metadata": {}, "status": { "conditions": conditions } });
        self.server.set("nodes", (None, name), node);
    }

    pub(in crate::tests) fn set(&self, uid: &str, replicas: u32) {
        let set = json!({ "metadata": { "uid": uid }, "spec": { "replicas": replicas } });
        self.server.set("statefulsets", (Some("prod"), "redis"), set);
    }

    pub(in crate::tests) fn pod(&self, set: Option<&str>) {
        let owner = |uid: &str| {
            json!({ "apiVersion": "apps/v1", "kind": "StatefulSet", "name": "redis", "uid": uid,
                "controller": true })
        };
        let owners: Vec<Value> = set.into_iter().map(owner).collect();
        let pod = json!({
            "metadata": { "uid": POD, "ownerReferences": owners },
            "spec": { "nodeName": "node-1" },
            "status": { "phase": "Running" },
        });
        self.server.set_pod("prod", "redis-0", pod);
    }

    pub(in crate::tests) fn no_pod(&self) {
        assert!(self.server.remove("pods", Some("prod"), "redis-0"));
    }

    pub(in crate::tests) async fn record(&self, state: State, epoch: u64) {
        self.record_of(ADDRESS, state, epoch).await;
    }

    /// An address that no claim names, parked and in EC2.
    pub(in crate::tests) async fn orphan(&self, address: Ipv4Addr, number: u32) {
        let pool = conformance::pool("a", &[1]).unwrap();
        let member = conformance::member(number).unwrap();
        let ip = conformance::static_ip(address, &member, &pool).unwrap();
        self.registry.write(&Write::CreateStaticIp(ip)).await.unwrap();
        self.record_of(address, State::Parked, 5).await;
        self.ec2.put(address, ENI, "i-0000000a");
    }

    /// The address of another member on node-1, whose pod stays on record.
    pub(in crate::tests) async fn held(&self, address: Ipv4Addr, number: u32) {
        let pool = conformance::pool("a", &[1]).unwrap();
        let member = conformance::member(number).unwrap();
        let claim = Claim { address: Some(address), ..conformance::claim(&member, &pool) };
        self.registry.write(&Write::CreateClaim(claim)).await.unwrap();
        let ip = conformance::static_ip(address, &member, &pool).unwrap();
        self.registry.write(&Write::CreateStaticIp(ip)).await.unwrap();
        self.record_of(address, State::Attached, 5).await;
        let pod = json!({
            "metadata": { "uid": POD },
            "spec": { "nodeName": "node-1" },
            "status": { "phase": "Running" },
        });
        self.server.set_pod(member.namespace(), member.name(), pod);
        self.ec2.put(address, ENI, "i-0000000a");
    }

    async fn record_of(&self, address: Ipv4Addr, state: State, epoch: u64) {
        let Stored { version, mut object } =
            self.registry.static_ip(address).await.unwrap().unwrap();
        let eni: EniId = ENI.parse().unwrap();
        object.epoch = Epoch(epoch);
        object.reserved_on = Some(eni.clone());
        object.attachment = Some(Attachment {
            state,
            pod: POD.parse().unwrap(),
            node: "node-1".parse().unwrap(),
            eni: Some(eni),
            run: "init-1".parse().unwrap(),
            served: true,
        });
        self.registry.write(&Write::UpdateStaticIp(Stored { version, object })).await.unwrap();
    }

    /// Deletes the StaticIP, as a person does.
    pub(in crate::tests) async fn delete(&self) {
        let ip = self.ip().unwrap();
        let text = |path: &str| ip.pointer(path).and_then(Value::as_str).unwrap();
        let id = Identity {
            uid: Uid::new(text("/metadata/uid")).unwrap(),
            version: text("/metadata/resourceVersion").parse().unwrap(),
            deleting: false,
        };
        let person = KubeCluster::new(&self.registry);
        person.change(&Change::DropAddress(ADDRESS, id)).await.unwrap();
    }

    pub(in crate::tests) async fn read(&self) -> Option<StaticIp> {
        self.registry.static_ip(ADDRESS).await.unwrap().map(|stored| stored.object)
    }

    pub(in crate::tests) fn ip(&self) -> Option<Value> {
        self.server.object("staticips", None, &ADDRESS.to_string())
    }

    pub(in crate::tests) fn state(&self) -> Option<String> {
        let ip = self.ip()?;
        ip.pointer("/spec/attachment/state").and_then(Value::as_str).map(str::to_owned)
    }

    pub(in crate::tests) fn claim(&self) -> Option<Value> {
        self.server.object("staticipclaims", Some("prod"), "redis-0")
    }

    /// The StatefulSet on record as the claim's.
    pub(in crate::tests) fn owner(&self) -> Option<String> {
        let claim = self.claim()?;
        let owner = claim.pointer("/metadata/annotations/firecamp.io~1statefulset-uid");
        owner.and_then(Value::as_str).map(str::to_owned)
    }

    pub(in crate::tests) fn holder(&self, namespace: &str) -> Option<String> {
        let lease = self.server.object("leases", Some(namespace), "firecamp-agents")?;
        let holder = lease.pointer("/spec/holderIdentity").and_then(Value::as_str);
        holder.map(str::to_owned)
    }

    /// An agent of this node holds the Lease of the default namespace.
    pub(in crate::tests) fn is_led_by(&self, node: &str) -> bool {
        self.holder("default").is_some_and(|holder| holder.starts_with(&format!("{node}_")))
    }

    /// Runs an agent on this node until the end; its Lease is in this namespace.
    pub(in crate::tests) async fn agent(
        &self,
        node: &str,
        namespace: &str,
        end: &CancellationToken,
    ) {
        let registry = LateRegistry::from(AnyRegistry::Kube(self.registry.clone()));
        let cluster = KubeCluster::new(&self.registry).with_lease_in(namespace);
        let names = (node.parse().unwrap(), "prod".parse().unwrap());
        let outside = Elsewhere::new(self.ec2.clone(), registry);
        Steward::new(names, cluster, outside, self.status.steward.clone()).run(end).await;
    }

    /// Runs an agent on node-2, meanwhile `body`, and then ends the agent.
    pub(in crate::tests) async fn during(&self, body: impl AsyncFnOnce()) {
        let end = CancellationToken::new();
        let body = async {
            body().await;
            end.cancel();
        };
        tokio::join!(self.agent("node-2", "default", &end), body);
    }
}

/// Waits for a condition, by the clock that jumps, and says how long it took. Passes are half a
/// minute apart, so that nothing is missed by looking once a second.
pub(in crate::tests) async fn until(what: &str, condition: impl Fn() -> bool) -> Duration {
    let begun = Instant::now();
    while !condition() {
        assert!(begun.elapsed() < DEADLINE, "waited in vain until {what}");
        sleep(Duration::from_secs(1)).await;
    }
    begun.elapsed()
}
