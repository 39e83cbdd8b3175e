//! Whole objects of any kind, for the commands that manage services.

use firecamp_core::failure::{RegistryFailure, RegistryKind};
use http::{Method, StatusCode};
use kube::Client;
use serde_json::{Value, json};

use crate::http_request::{self, Answer, Call, Timeouts};
use crate::{classify, list};

/// Objects for each page: a StatefulSet with its managed fields has tens of kilobytes.
const PAGE: usize = 50;

/// More of a log is not read.
const LOG_BYTES: usize = 3 * 1024 * 1024;

/// The field manager of what users manage with `firecamp service`.
pub const SERVICE_MANAGER: &str = "firecamp-service";

/// A kind of objects.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct ObjectKind {
    /// `apps/v1`, or `v1` for the core group.
    pub version: &'static str,
    /// `StatefulSet`.
    pub kind: &'static str,
    /// `statefulsets`.
    pub plural: &'static str,
}

/// The name of an object.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct ObjectPath {
    /// Its kind.
    pub kind: ObjectKind,
    /// Its namespace; none for a cluster-scoped object.
    pub namespace: Option<String>,
    /// Its name.
    pub name: String,
}

/// Which objects of a kind are listed: all that both select. An empty one selects all.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Selector {
    /// A label selector.
    pub labels: String,
    /// A field selector.
    pub fields: String,
}

/// How an object is applied.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Apply {
    /// The API server validates, defaults and returns the object, but does not store it.
    pub dry_run: bool,
    /// Take over fields that other managers have set.
    pub force: bool,
}

/// The response to an eviction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Evicted {
    /// The pod is being deleted, or exists no more.
    Deleted,
    /// A PodDisruptionBudget forbids it now; its message.
    Forbidden(String),
}

/// Reads and writes of whole objects.
#[derive(Clone)]
pub struct Objects {
    client: Client,
    timeouts: Timeouts,
}

impl std::fmt::Debug for Objects {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Objects").field("timeouts", &self.timeouts).finish_non_exhaustive()
    }
}

/// KIND NAMESPACE/NAME.
impl std::fmt::Display for ObjectPath {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} ", self.kind.kind)?;
        if let Some(namespace) = &self.namespace {
            write!(f, "{namespace}/")?;
        }
        f.write_str(&self.name)
    }
}

impl ObjectKind {
    /// The path of the objects in a namespace, or of all.
    fn path(self, namespace: Option<&str>) -> String {
        let root = if self.version.contains('/') { "apis" } else { "api" };
        let place = namespace.map(|name| format!("/namespaces/{name}")).unwrap_or_default();
        format!("/{root}/{}{place}/{}", self.version, self.plural)
    }
}

impl ObjectPath {
    fn path(&self) -> String {
        format!("{}/{}", self.kind.path(self.namespace.as_deref()), self.name)
    }
}

impl Objects {
    /// Uses a client that must not retry requests.
    pub fn new(client: Client, timeouts: Timeouts) -> Self {
        Self { client, timeouts }
    }

    /// An object; none if it does not exist.
    pub async fn get(&self, object: &ObjectPath) -> Result<Option<Value>, RegistryFailure> {
        let call = Call::get(format!("read {object}"), object.path());
        let answer = self.send(&call).await?;
        if classify::is_absent(&answer, object.kind.plural, &object.name) {
            return Ok(None);
        }
        read(&call, &answer).map(Some)
    }

    /// All objects of a kind in a namespace, or in all, that the selectors select.
    pub async fn list(
        &self,
        kind: ObjectKind,
        namespace: Option<&str>,
        selector: &Selector,
    ) -> Result<Vec<Value>, RegistryFailure> {
        let place = namespace.map(|name| format!(" of namespace {name}")).unwrap_or_default();
        let what = format!("list the {}{place}", kind.plural);
        let mut call = Call::get(what, kind.path(namespace));
        for (name, text) in
            [("labelSelector", &selector.labels), ("fieldSelector", &selector.fields)]
        {
            if !text.is_empty() {
                call.query.push(format!("{name}={}", list::escaped(text)));
            }
        }
        list::all(&self.client, self.timeouts, &call, PAGE).await
    }

    /// Creates or changes an object by server-side apply. Returns it as it is afterwards.
    pub async fn apply(
        &self,
        object: &ObjectPath,
        fields: &Value,
        how: Apply,
    ) -> Result<Value, RegistryFailure> {
        let mut call = Call::write(Method::PATCH, format!("apply {object}"), object.path());
        call.query.push(format!("force={}", how.force));
        call.query.extend(how.dry_run.then(|| "dryRun=All".to_owned()));
        self.write(call, "application/apply-patch+yaml", fields).await
    }

    /// Changes fields of an object: a list of operations is a JSON patch (RFC 6902), an object a
    /// merge patch (RFC 7396). If it sets a resource version, that must be the current one. Returns
    /// the object as it is afterwards.
    pub async fn patch(
        &self,
        object: &ObjectPath,
        fields: &Value,
    ) -> Result<Value, RegistryFailure> {
        let call = Call::write(Method::PATCH, format!("change {object}"), object.path());
        let operations = "application/json-patch+json";
        let content = if fields.is_array() { operations } else { "application/merge-patch+json" };
        self.write(call, content, fields).await
    }

    /// Deletes an object, if it exists and has this UID, with all that it owns.
    pub async fn delete(&self, object: &ObjectPath, uid: &str) -> Result<(), RegistryFailure> {
        let mut call = Call::write(Method::DELETE, format!("delete {object}"), object.path());
        let options = json!({
            "kind": "DeleteOptions",
            "apiVersion": "v1",
            "propagationPolicy": "Background",
            "preconditions": { "uid": uid },
        });
        call.body = Some(("application/json", options.to_string().into_bytes()));
        let answer = self.send(&call).await?;
        if classify::is_absent(&answer, object.kind.plural, &object.name) {
            return Ok(());
        }
        read(&call, &answer).map(drop)
    }

    /// Evicts a pod, if it exists and has this UID.
    pub async fn evict(&self, pod: &ObjectPath, uid: &str) -> Result<Evicted, RegistryFailure> {
        let path = format!("{}/eviction", pod.path());
        let mut call = Call::write(Method::POST, format!("evict {pod}"), path);
        let eviction = json!({
            "apiVersion": "policy/v1",
            "kind": "Eviction",
            "metadata": { "name": pod.name, "namespace": pod.namespace },
            "deleteOptions": { "preconditions": { "uid": uid } },
        });
        call.body = Some(("application/json", eviction.to_string().into_bytes()));
        let answer = self.send(&call).await?;
        if classify::is_absent(&answer, pod.kind.plural, &pod.name) {
            return Ok(Evicted::Deleted);
        }
        if answer.status == StatusCode::TOO_MANY_REQUESTS
            && let Some(message) = classify::budget(&answer)
        {
            return Ok(Evicted::Forbidden(message));
        }
        read(&call, &answer).map(|_status| Evicted::Deleted)
    }

    /// What the only container of a pod has written, up to 3 MiB.
    pub async fn log(&self, pod: &ObjectPath) -> Result<String, RegistryFailure> {
        let mut call = Call::get(format!("read the log of {pod}"), format!("{}/log", pod.path()));
        call.accept = "text/plain, application/json";
        call.query.push(format!("limitBytes={LOG_BYTES}"));
        let answer = self.send(&call).await?;
        if !answer.status.is_success() {
            return Err(classify::refused(&call, &answer));
        }
        Ok(String::from_utf8_lossy(&answer.body).into_owned())
    }

    async fn write(
        &self,
        mut call: Call,
        content: &'static str,
        fields: &Value,
    ) -> Result<Value, RegistryFailure> {
        call.query.push(format!("fieldManager={SERVICE_MANAGER}"));
        call.query.push("fieldValidation=Strict".to_owned());
        call.body = Some((content, fields.to_string().into_bytes()));
        let answer = self.send(&call).await?;
        read(&call, &answer)
    }

    async fn send(&self, call: &Call) -> Result<Answer, RegistryFailure> {
        http_request::send(&self.client, call, self.timeouts.call).await
    }
}

fn read(call: &Call, answer: &Answer) -> Result<Value, RegistryFailure> {
    if !answer.status.is_success() {
        return Err(classify::refused(call, answer));
    }
    let effect = call.in_doubt();
    serde_json::from_slice(&answer.body)
        .map_err(|wrong| call.failed(RegistryKind::Invalid, effect, wrong))
}
