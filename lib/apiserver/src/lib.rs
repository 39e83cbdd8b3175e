//! A Kubernetes API server in one process, as far as FireCamp's registry speaks with one, for
//! tests: stateful, strict, and broken on purpose.
//!
//! It is a service below `kube`'s client, so paths, queries, headers and bodies are the real
//! ones. Strict means: a version that is not the stored one is a conflict, a write that names no
//! version is an error, unknown fields and objects that break a rule are refused, a list comes in
//! pages of one snapshot, and a write that changes nothing keeps its version.

mod answer;
mod faults;
mod list;
mod looks;
mod objects;
mod outage;
mod patch;
mod records;
mod remove;
mod route;
mod serve;
pub mod socket;
mod validate;
mod watch;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use firecamp_core::record::Pool;
use firecamp_registry::api::{Kind, StaticIPPool, StaticIPPoolSpec};
use http::{Request, Response};
use kube::Client;
use serde_json::{Value, json};
use tower::service_fn;

pub use faults::Fault;
use objects::{Key, World};
pub use serve::{Reset, Sent, Unanswered};
pub use watch::Ending;

/// What the server was asked: `GET staticips/10.1.0.20`.
pub type Asked = String;

/// The server. Clones are the same one.
#[derive(Debug, Clone, Default)]
pub struct ApiServer {
    world: Arc<Mutex<World>>,
}

impl ApiServer {
    /// A client of this server, which sends each request once.
    pub fn client(&self) -> Client {
        let world = Arc::clone(&self.world);
        Client::new(service_fn(move |request| serve::serve(Arc::clone(&world), request)), "default")
    }

    /// Answers one request that was read to its end, for who carries requests here itself; this
    /// one meets the fault. A watch is met by silence.
    pub fn answer(
        &self,
        request: Request<Vec<u8>>,
        fault: Option<Fault>,
    ) -> Result<Response<Vec<u8>>, Unanswered> {
        serve::answer_whole(&mut self.world(), request, fault)
    }

    /// Serves one request that was read to its end, for who carries requests here from a socket.
    /// The answer to a watch goes on.
    pub async fn serve(&self, request: Request<Vec<u8>>) -> Result<Response<Sent>, Reset> {
        serve::serve(Arc::clone(&self.world), request.map(Into::into)).await
    }

    fn world(&self) -> MutexGuard<'_, World> {
        lock(&self.world)
    }

    /// Creates a pool, as a person would.
    pub fn create_pool(&self, pool: &Pool) {
        let object = StaticIPPool::from(pool);
        let value = json!({
            "apiVersion": object.api_version,
            "kind": object.kind,
            "metadata": { "name": object.metadata.name },
            "spec": object.spec,
        });
        let key = Key::cluster(StaticIPPoolSpec::PLURAL, pool.name.as_str());
        self.world().insert(key, value);
    }

    /// Removes a pool. Says whether there was one.
    pub fn delete_pool(&self, pool: &Pool) -> bool {
        let key = Key::cluster(StaticIPPoolSpec::PLURAL, pool.name.as_str());
        self.world().remove(&key)
    }

    /// Sets a pod: `object` has at least `metadata`, without its name and namespace.
    pub fn set_pod(&self, namespace: &str, name: &str, object: Value) {
        self.set("pods", (Some(namespace), name), object);
    }

    /// Sets any object, as somebody else would: `object` has at least `metadata`, without its name
    /// and namespace.
    pub fn set(&self, plural: &'static str, place: (Option<&str>, &str), mut object: Value) {
        let (namespace, name) = (place.0.map(str::to_owned), place.1.to_owned());
        if let Some(Value::Object(metadata)) = object.get_mut("metadata") {
            metadata.insert("name".to_owned(), json!(name));
            if let Some(namespace) = &namespace {
                metadata.insert("namespace".to_owned(), json!(namespace));
            }
        }
        self.world().insert(Key { plural, namespace, name }, object);
    }

    /// Removes any object, as somebody else would. Says whether there was one.
    pub fn remove(&self, plural: &'static str, namespace: Option<&str>, name: &str) -> bool {
        let namespace = namespace.map(str::to_owned);
        self.world().remove(&Key { plural, namespace, name: name.to_owned() })
    }

    /// A review of one's own rights says no to this verb for this plural. Requests are served.
    pub fn deny(&self, verb: &str, plural: &str) {
        self.world().denied.insert((verb.to_owned(), plural.to_owned()));
    }

    /// The object as it is stored.
    pub fn object(
        &self,
        plural: &'static str,
        namespace: Option<&str>,
        name: &str,
    ) -> Option<Value> {
        let key = Key { plural, namespace: namespace.map(str::to_owned), name: name.to_owned() };
        self.world().get(&key).cloned()
    }

    /// All objects of a kind.
    pub fn all(&self, plural: &str) -> Vec<Value> {
        self.world().everything_of(plural)
    }

    /// Changes an object as somebody else would; it gets a new version.
    pub fn change(
        &self,
        plural: &'static str,
        namespace: Option<&str>,
        name: &str,
        change: impl FnOnce(&mut Value),
    ) -> bool {
        let key = Key { plural, namespace: namespace.map(str::to_owned), name: name.to_owned() };
        let mut world = self.world();
        let Some(mut object) = world.get(&key).cloned() else { return false };
        change(&mut object);
        world.insert(key, object);
        true
    }

    /// What the next request of this verb (`GET`, `WATCH`) for this plural meets.
    pub fn fail_next(&self, verb: &'static str, plural: &'static str, fault: Fault) {
        self.world().faults.add(verb, plural, fault);
    }

    /// Nothing is to fail any more.
    pub fn forget_faults(&self) {
        self.world().faults = faults::Faults::default();
    }

    /// Faults that nothing has met yet.
    pub fn unmet_faults(&self) -> usize {
        self.world().faults.left()
    }

    /// From now on a list cannot go on after its first page, as if etcd had been compacted.
    pub fn keep_no_snapshots(&self) {
        self.world().keeps_snapshots = false;
    }

    /// Removes the custom resources and all their objects.
    pub fn uninstall(&self) {
        self.world().uninstalled = true;
    }

    /// The namespace does not exist.
    pub fn without_namespace(&self, namespace: &str) {
        self.world().missing_namespaces.insert(namespace.to_owned());
    }

    /// The clock that answers show, as in the header `Date`; none at all without a text.
    pub fn set_date(&self, date: Option<&str>) {
        self.world().date = date.map(str::to_owned);
    }

    /// All that was asked so far, in order.
    pub fn asked(&self) -> Vec<Asked> {
        self.asked_since(0)
    }

    /// What was asked after so many requests.
    pub fn asked_since(&self, number: usize) -> Vec<Asked> {
        self.world().asked.get(number..).unwrap_or_default().to_vec()
    }
}

/// Nothing here panics half way through a change, so a poisoned state is a whole one.
fn lock(world: &Mutex<World>) -> MutexGuard<'_, World> {
    world.lock().unwrap_or_else(PoisonError::into_inner)
}
