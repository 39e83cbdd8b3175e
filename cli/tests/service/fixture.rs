//! A cluster with one StatefulSet: its controller, its kubelets, a budget and a moving primary.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use firecamp_cli::service::cluster::{ServiceCluster, kind, path};
use firecamp_cli::service::members::Members;
use firecamp_cli::service::restart::Goal;
use firecamp_cli::service::restart::progress::{Order, PrimaryBy, Progress};
use firecamp_cli::service::restart::run::{Ended, Run};
use firecamp_core::contract::service::RESTART;
use firecamp_core::failure::{Effect, RegistryFailure, RegistryKind};
use firecamp_kube::{Apply, Evicted, ObjectKind, ObjectPath, Selector};
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

use super::restart::perform;

/// The UID of the StatefulSet.
const SET: &str = "11111111-2222-3333-4444-555555555555";
/// How long an old pod takes to end.
const ENDS: Duration = Duration::from_secs(3);
/// How long a new pod takes to be ready.
const STARTS: Duration = Duration::from_secs(7);
/// How long the others take to elect another primary.
const ELECTION: Duration = Duration::from_secs(2);

#[derive(Debug, Clone)]
struct FakePod {
    uid: u32,
    revision: u32,
    gone_at: Option<Instant>,
    ready_at: Instant,
}

/// The state of the cluster.
#[derive(Debug)]
pub(crate) struct State {
    replicas: u32,
    version: u64,
    annotations: BTreeMap<String, Value>,
    /// The revision of the template.
    pub(crate) revision: u32,
    pods: BTreeMap<String, FakePod>,
    uids: u32,
    /// Revisions whose pods never become ready.
    pub(crate) broken: BTreeSet<u32>,
    /// Members that are not ready, whatever their revision.
    pub(crate) unready: BTreeSet<String>,
    /// The update strategy.
    pub(crate) strategy: &'static str,
    /// Whether the budget belongs to somebody else and forbids all.
    pub(crate) forbids: bool,
    /// The primary, and since when it is one.
    pub(crate) primary: Option<(String, Instant)>,
    /// If members do not answer when they are asked for their role: when they were asked.
    pub(crate) silent: Option<Vec<Instant>>,
    /// The pods that were deleted, in their order.
    pub(crate) deleted: Vec<String>,
    /// Requests so far, and those that fail: whether they took effect.
    requests: usize,
    /// The request that fails, and whether it takes effect all the same.
    pub(crate) fault: Option<(usize, bool)>,
}

/// The cluster.
#[derive(Debug)]
pub(crate) struct FakeCluster(Mutex<State>);

/// The name of a member.
pub(crate) fn member(ordinal: u32) -> String {
    format!("redis-{ordinal}")
}

impl FakeCluster {
    /// Three ready members of revision 1, of which the given one is the primary.
    pub(crate) fn new(primary: u32) -> Self {
        let now = Instant::now();
        let pod = |uid| FakePod { uid, revision: 1, gone_at: None, ready_at: now };
        Self(Mutex::new(State {
            replicas: 3,
            version: 1,
            annotations: BTreeMap::new(),
            revision: 1,
            pods: (0..3).map(|ordinal| (member(ordinal), pod(ordinal))).collect(),
            uids: 3,
            broken: BTreeSet::new(),
            unready: BTreeSet::new(),
            strategy: "OnDelete",
            forbids: false,
            primary: Some((member(primary), now)),
            silent: None,
            deleted: Vec::new(),
            requests: 0,
            fault: None,
        }))
    }

    /// The state, as it is now.
    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        state.advance(Instant::now());
        state
    }

    /// The progress on the StatefulSet.
    pub(crate) fn progress(&self) -> Progress {
        let state = self.state();
        let text = state.annotations.get(RESTART).and_then(Value::as_str).unwrap();
        serde_json::from_str(text).unwrap()
    }

    /// A command with this identity.
    pub(crate) fn command<'a>(
        &'a self,
        identity: &str,
        now: &'a dyn Fn() -> Timestamp,
    ) -> Run<'a, Self> {
        Run {
            members: Members { cluster: self, set: path(kind::STATEFUL_SET, "prod", "redis") },
            identity: identity.to_owned(),
            primary: PrimaryBy::Label("role".to_owned(), "primary".to_owned()),
            delete: false,
            now,
        }
    }

    /// Performs a restart as one command.
    pub(crate) async fn restart(&self, identity: &str, goal: Goal) -> Ended {
        let clock = clock();
        perform(&self.command(identity, &clock), goal).await
    }

    /// Restarts all members in an order. Returns those that were deleted.
    pub(crate) async fn restart_all(&self, order: Order) -> Vec<String> {
        assert_eq!(self.restart("one", Goal::All(order)).await, Ended::Done);
        self.state().deleted.clone()
    }

    fn request(&self) -> Result<Answer<'_>, RegistryFailure> {
        let mut state = self.state();
        state.requests += 1;
        let now = state.requests;
        match state.fault {
            Some((at, false)) if at == now => Err(unavailable()),
            Some((at, true)) if at == now => Ok(Answer { state, lost: true }),
            Some(_) | None => Ok(Answer { state, lost: false }),
        }
    }
}

/// A clock of the virtual time.
pub(crate) fn clock() -> impl Fn() -> Timestamp {
    let (begun, epoch) = (Instant::now(), Timestamp::UNIX_EPOCH);
    move || epoch + SignedDuration::try_from(begun.elapsed()).unwrap()
}

struct Answer<'a> {
    state: MutexGuard<'a, State>,
    lost: bool,
}

impl Answer<'_> {
    fn with<T>(self, value: T) -> Result<T, RegistryFailure> {
        if self.lost { Err(unavailable()) } else { Ok(value) }
    }
}

fn failure(kind: RegistryKind, effect: Effect, detail: &str) -> RegistryFailure {
    RegistryFailure { kind, effect, detail: detail.to_owned() }
}

fn unavailable() -> RegistryFailure {
    failure(RegistryKind::Unavailable, Effect::Unknown, "no answer within 5 s")
}

impl State {
    /// What controller and kubelets do until now.
    fn advance(&mut self, now: Instant) {
        let mut vacant = BTreeMap::new();
        for ordinal in 0..self.replicas {
            let name = member(ordinal);
            match self.pods.get(&name).map(|pod| pod.gone_at) {
                None => drop(vacant.insert(name, now)),
                Some(Some(gone)) if gone <= now => drop(vacant.insert(name, gone)),
                Some(_) => {}
            }
        }
        for (name, since) in vacant {
            let (uid, ready_at) = (self.uids, since + STARTS);
            self.uids += 1;
            let new = FakePod { uid, revision: self.revision, gone_at: None, ready_at };
            self.pods.insert(name, new);
        }
        let down = self.pods.values().filter(|pod| !self.is_ready(pod, now)).count();
        let is_sound = self.broken.is_empty() && self.unready.is_empty();
        assert!(down <= 1 || !is_sound, "{down} members are down at once");
        self.elect(now);
    }

    fn is_ready(&self, pod: &FakePod, now: Instant) -> bool {
        pod.gone_at.is_none() && pod.ready_at <= now && !self.broken.contains(&pod.revision)
    }

    /// Another ready member becomes the primary when the old one is deleted.
    fn elect(&mut self, now: Instant) {
        let Some((primary, _since)) = &self.primary else { return };
        if self.pods.get(primary).is_some_and(|pod| pod.gone_at.is_none()) {
            return;
        }
        let mut next =
            self.pods.iter().filter(|(_, pod)| self.is_ready(pod, now)).map(|(name, _)| name);
        self.primary =
            next.next_back().map(|name| (name.clone(), now + ELECTION)).or(self.primary.take());
    }

    /// Deletes a pod with this UID. Only the first request for a pod counts.
    fn delete(&mut self, name: &str, uid: &str) {
        let Some(pod) = self.pods.get_mut(name) else { return };
        if pod.uid.to_string() == uid && pod.gone_at.is_none() {
            pod.gone_at = Some(Instant::now() + ENDS);
            self.deleted.push(name.to_owned());
            self.version += 1;
        }
        self.advance(Instant::now());
    }

    fn set(&self) -> Value {
        json!({
            "metadata": {
                "namespace": "prod", "name": "redis", "generation": 1, "uid": SET,
                "resourceVersion": self.version.to_string(), "annotations": self.annotations,
            },
            "spec": {
                "replicas": self.replicas,
                "updateStrategy": { "type": self.strategy },
                "selector": { "matchLabels": { "app": "redis" } },
                "template": { "metadata": { "labels": { "firecamp.io/pool": "main" } } },
            },
            "status": {
                "observedGeneration": 1, "updateRevision": revision(self.revision),
                "currentRevision": revision(1),
            },
        })
    }

    fn pods(&self, now: Instant) -> Vec<Value> {
        let object = |(name, pod): (&String, &FakePod)| {
            let is_primary =
                self.primary.as_ref().is_some_and(|(one, since)| one == name && *since <= now);
            let role = if is_primary { "primary" } else { "replica" };
            let is_ready = self.is_ready(pod, now) && !self.unready.contains(name);
            let ready = if is_ready { "True" } else { "False" };
            let deleted = pod.gone_at.map(|_at| "1970-01-01T00:00:00Z");
            json!({
                "metadata": {
                    "namespace": "prod", "name": name, "uid": pod.uid.to_string(),
                    "deletionTimestamp": deleted, "ownerReferences": owners(),
                    "labels": { "controller-revision-hash": revision(pod.revision), "role": role },
                },
                "spec": { "nodeName": "node-a" },
                "status": { "conditions": [{ "type": "Ready", "status": ready }] },
            })
        };
        self.pods.iter().map(object).collect()
    }

    /// Each address is attached to the pod that is, or will be, ready.
    fn addresses(&self) -> Vec<Value> {
        let object = |(number, (name, pod)): (usize, (&String, &FakePod))| {
            let address = format!("10.0.0.{}", number + 16);
            json!({
                "metadata": { "name": address },
                "spec": {
                    "address": address, "pool": "main", "subnet": "subnet-a",
                    "cidr": "10.0.0.0/24", "zone": "a", "epoch": 1,
                    "claimRef": { "namespace": "prod", "name": name },
                    "attachment": {
                        "state": "Attached", "podUID": pod.uid.to_string(),
                        "nodeName": "node-a", "run": "r",
                    },
                },
            })
        };
        self.pods.iter().enumerate().map(object).collect()
    }

    fn store(&mut self, patch: &Value) -> Result<(), RegistryFailure> {
        let conflict = || failure(RegistryKind::Conflict, Effect::None, "409 Conflict");
        let is_current = |version: &Value| *version == json!(self.version.to_string());
        if let Some(operations) = patch.as_array() {
            let [version, progress, template] = operations.as_slice() else { panic!("{patch}") };
            if !is_current(&version["value"]) {
                return Err(conflict());
            }
            self.annotations.insert(RESTART.to_owned(), progress["value"].clone());
            self.revision = u32::try_from(template["value"]["revision"].as_u64().unwrap()).unwrap();
        } else {
            if !is_current(&patch["metadata"]["resourceVersion"]) {
                return Err(conflict());
            }
            let annotations = patch["metadata"]["annotations"].as_object().unwrap();
            self.annotations.extend(annotations.clone());
        }
        self.version += 1;
        Ok(())
    }
}

fn owners() -> Value {
    json!([{ "uid": SET, "controller": true }])
}

fn revision(number: u32) -> String {
    format!("redis-{number}")
}

impl ServiceCluster for FakeCluster {
    async fn get(&self, object: &ObjectPath) -> Result<Option<Value>, RegistryFailure> {
        let answer = self.request()?;
        let value = if object.kind == kind::REVISION {
            let number: u32 = object.name.trim_start_matches("redis-").parse().unwrap();
            let template = json!({ "revision": number, "$patch": "replace" });
            let metadata = json!({ "ownerReferences": owners() });
            json!({ "metadata": metadata, "data": { "spec": { "template": template } } })
        } else {
            assert_eq!(object.kind, kind::STATEFUL_SET);
            answer.state.set()
        };
        answer.with(Some(value))
    }

    async fn list(
        &self,
        kind: ObjectKind,
        _namespace: Option<&str>,
        _selector: &Selector,
    ) -> Result<Vec<Value>, RegistryFailure> {
        let answer = self.request()?;
        let found = match kind {
            kind::POD => answer.state.pods(Instant::now()),
            kind::STATIC_IP => answer.state.addresses(),
            _ => panic!("{kind:?}"),
        };
        answer.with(found)
    }

    async fn apply(
        &self,
        object: &ObjectPath,
        _fields: &Value,
        _how: Apply,
    ) -> Result<Value, RegistryFailure> {
        panic!("a restart applies nothing: {object}")
    }

    async fn patch(&self, _object: &ObjectPath, fields: &Value) -> Result<Value, RegistryFailure> {
        let mut answer = self.request()?;
        answer.state.store(fields)?;
        let set = answer.state.set();
        answer.with(set)
    }

    async fn delete(&self, object: &ObjectPath, uid: &str) -> Result<(), RegistryFailure> {
        let mut answer = self.request()?;
        answer.state.delete(&object.name, uid);
        answer.with(())
    }

    async fn evict(&self, pod: &ObjectPath, uid: &str) -> Result<Evicted, RegistryFailure> {
        let mut answer = self.request()?;
        if answer.state.forbids {
            return answer.with(Evicted::Forbidden("the budget needs 3 healthy pods".to_owned()));
        }
        answer.state.delete(&pod.name, uid);
        answer.with(Evicted::Deleted)
    }

    async fn succeeds(
        &self,
        pod: &ObjectPath,
        _command: &[String],
    ) -> Result<bool, RegistryFailure> {
        let asked = self.state().silent.as_mut().map(|asked| asked.push(Instant::now()));
        if asked.is_some() {
            sleep(Duration::from_secs(10)).await;
            return Err(unavailable());
        }
        let answer = self.request()?;
        let is_primary = answer.state.primary.as_ref().is_some_and(|(one, _)| *one == pod.name);
        answer.with(is_primary)
    }
}
