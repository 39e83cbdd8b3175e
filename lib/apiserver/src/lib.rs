//! An in-process Kubernetes API server for tests: it serves the requests of FireCamp, is stateful
//! and strict, and injects faults.
//!
//! It is a service below `kube`'s client, so paths, queries, headers and bodies are real. It is
//! strict: a version other than the stored one is a conflict, a write without a version is an
//! error, unknown fields and invalid objects are rejected, a list has pages of one snapshot, and a
//! write without a change keeps the version.

mod answer;
mod diagnosis;
mod faults;
mod list;
mod objects;
mod patch;
mod pods;
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
use objects::{Key, ServerState};
pub use serve::{Reset, Sent, Unanswered};
pub use watch::Ending;

/// A received request: `GET staticips/10.1.0.20`.
pub type RequestLine = String;

/// The server. Clones share their state.
#[derive(Debug, Clone, Default)]
pub struct ApiServer {
    state: Arc<Mutex<ServerState>>,
}

impl ApiServer {
    /// A client of this server that sends each request once.
    pub fn client(&self) -> Client {
        let state = Arc::clone(&self.state);
        Client::new(service_fn(move |request| serve::serve(Arc::clone(&state), request)), "default")
    }

    /// Handles one complete request, with a fault, for callers with their own transport. A watch
    /// gets no response.
    pub fn answer(
        &self,
        request: Request<Vec<u8>>,
        fault: Option<Fault>,
    ) -> Result<Response<Vec<u8>>, Unanswered> {
        serve::answer_now(&mut self.state(), request, fault)
    }

    /// Serves one complete request, for callers that read requests from a socket. The response of
    /// a watch is a stream.
    pub async fn serve(&self, request: Request<Vec<u8>>) -> Result<Response<Sent>, Reset> {
        serve::serve(Arc::clone(&self.state), request.map(Into::into)).await
    }

    fn state(&self) -> MutexGuard<'_, ServerState> {
        lock(&self.state)
    }

    /// Creates a pool, as a user does.
    pub fn create_pool(&self, pool: &Pool) {
        let object = StaticIPPool::from(pool);
        let value = json!({
            "apiVersion": object.api_version,
            "kind": object.kind,
            "metadata": { "name": object.metadata.name },
            "spec": object.spec,
        });
        let key = Key::cluster(StaticIPPoolSpec::PLURAL, pool.name.as_str());
        self.state().insert(key, value);
    }

    /// Deletes a pool. Returns whether it existed.
    pub fn delete_pool(&self, pool: &Pool) -> bool {
        let key = Key::cluster(StaticIPPoolSpec::PLURAL, pool.name.as_str());
        self.state().remove(&key)
    }

    /// Sets a pod: `object` has at least `metadata`, without its name and namespace.
    pub fn set_pod(&self, namespace: &str, name: &str, object: Value) {
        self.set("pods", (Some(namespace), name), object);
    }

    /// Sets any object, as another client does: `object` has at least `metadata`, without its name
    /// and namespace.
    pub fn set(&self, plural: &'static str, place: (Option<&str>, &str), mut object: Value) {
        let (namespace, name) = (place.0.map(str::to_owned), place.1.to_owned());
        if let Some(Value::Object(metadata)) = object.get_mut("metadata") {
            metadata.insert("name".to_owned(), json!(name));
            if let Some(namespace) = &namespace {
                metadata.insert("namespace".to_owned(), json!(namespace));
            }
        }
        self.state().insert(Key { plural, namespace, name }, object);
    }

    /// Removes any object, as another client does. Returns whether it existed.
    pub fn remove(&self, plural: &'static str, namespace: Option<&str>, name: &str) -> bool {
        let namespace = namespace.map(str::to_owned);
        self.state().remove(&Key { plural, namespace, name: name.to_owned() })
    }

    /// Makes a SelfSubjectAccessReview deny this verb for this plural. Requests are still served.
    pub fn deny(&self, verb: &str, plural: &str) {
        self.state().denied.insert((verb.to_owned(), plural.to_owned()));
    }

    /// Issues a token of a pod, as the kubelet requests one: for this audience, bound to the pod
    /// with this UID and its node.
    pub fn issue_token(&self, token: &str, audience: &str, pod: (&str, &str, &str), node: &str) {
        let (namespace, name, uid) = pod;
        let status = json!({
            "authenticated": true,
            "audiences": [audience],
            "user": {
                "username": format!("system:serviceaccount:{namespace}:default"),
                "extra": {
                    "authentication.kubernetes.io/pod-name": [name],
                    "authentication.kubernetes.io/pod-uid": [uid],
                    "authentication.kubernetes.io/node-name": [node],
                },
            },
        });
        self.state().tokens.insert(token.to_owned(), status);
    }

    /// The stored object.
    pub fn object(
        &self,
        plural: &'static str,
        namespace: Option<&str>,
        name: &str,
    ) -> Option<Value> {
        let key = Key { plural, namespace: namespace.map(str::to_owned), name: name.to_owned() };
        self.state().get(&key).cloned()
    }

    /// All objects of a kind.
    pub fn all(&self, plural: &str) -> Vec<Value> {
        self.state().everything_of(plural)
    }

    /// Changes an object as another client does; it gets a new version.
    pub fn change(
        &self,
        plural: &'static str,
        namespace: Option<&str>,
        name: &str,
        change: impl FnOnce(&mut Value),
    ) -> bool {
        let key = Key { plural, namespace: namespace.map(str::to_owned), name: name.to_owned() };
        let mut state = self.state();
        let Some(mut object) = state.get(&key).cloned() else { return false };
        change(&mut object);
        state.insert(key, object);
        true
    }

    /// Injects a fault into the next request of this verb (`GET`, `WATCH`) for this plural.
    pub fn fail_next(&self, verb: &'static str, plural: &'static str, fault: Fault) {
        self.state().faults.add(verb, plural, fault);
    }

    /// Removes all faults.
    pub fn forget_faults(&self) {
        self.state().faults = faults::Faults::default();
    }

    /// The number of faults that no request has triggered yet.
    pub fn unmet_faults(&self) -> usize {
        self.state().faults.left()
    }

    /// From now on a list fails after its first page, as after a compaction of etcd.
    pub fn keep_no_snapshots(&self) {
        self.state().keeps_snapshots = false;
    }

    /// Removes the custom resources and all their objects.
    pub fn uninstall(&self) {
        self.state().uninstalled = true;
    }

    /// Makes the namespace not exist.
    pub fn without_namespace(&self, namespace: &str) {
        self.state().missing_namespaces.insert(namespace.to_owned());
    }

    /// Sets the header `Date` of responses; `None` omits it.
    pub fn set_date(&self, date: Option<&str>) {
        self.state().date = date.map(str::to_owned);
    }

    /// All requests so far, in order.
    pub fn requests(&self) -> Vec<RequestLine> {
        self.requests_since(0)
    }

    /// The requests after the first `number` ones.
    pub fn requests_since(&self, number: usize) -> Vec<RequestLine> {
        self.state().requests.get(number..).unwrap_or_default().to_vec()
    }
}

/// No method panics in the middle of a change, so the state behind a poisoned lock is complete.
fn lock(state: &Mutex<ServerState>) -> MutexGuard<'_, ServerState> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}
