//! Creates the objects of the fleet through the API server, many at once.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use firecamp_checks::deploy;
use firecamp_testkit::kubernetes::{Answer, Api};
use serde_json::{Value, json};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};

use super::control::Control;
use super::fleet::{Fleet, MEMBERS, Node, PODS};
use super::objects::{self, ACCOUNT, NAMESPACE, NODES, STATIC_IPS, SYSTEM};
use super::trace::Names;
use crate::failure::Failure;
use crate::samples::progress;

/// Nodes whose objects are created at once.
const AT_ONCE: usize = 48;
/// The least size of a pod, as the API server returns it.
const LEAST: usize = 6 << 10;
/// How often progress is printed.
const EVERY: Duration = Duration::from_secs(5);
const PATIENCE: Duration = Duration::from_mins(1);
/// What is deployed: the definitions, the permissions and the admission policies.
const DEPLOYED: [&str; 3] =
    ["deploy/rbac/agent.yaml", "deploy/policies/agents.yaml", "deploy/policies/members.yaml"];
const MERGE: &str = "application/merge-patch+json";

/// What the API server chose for the objects of a node.
#[derive(Debug, Clone, Default)]
pub(super) struct Created {
    /// The credentials of its agent.
    pub(super) kubeconfig: PathBuf,
    node: String,
    pods: Vec<String>,
    static_ips: Vec<String>,
    claims: Vec<String>,
}

impl Created {
    /// The names in the requests of the node's agent.
    pub(super) fn names(&self, node: Node) -> Names {
        let mut names = Names::default();
        names.add("node", node.name());
        names.add("node.uid", &self.node);
        names.add("instance", node.instance());
        names.add("subnet", node.subnet_id());
        names.add("cidr", node.cidr());
        names.add("zone", node.zone());
        for index in 0..2 {
            names.add(format!("eni.{index}"), node.eni(index));
            names.add(format!("primary.{index}"), node.primary(index).to_string());
        }
        for member in 0..MEMBERS {
            names.add(format!("address.{member}"), node.address(member).to_string());
        }
        for number in 0..PODS {
            names.add(format!("pod.{number}"), node.pod(number));
        }
        let uids = [("pod", &self.pods), ("ip", &self.static_ips), ("claim", &self.claims)];
        for (kind, uids) in uids {
            for (number, uid) in uids.iter().enumerate() {
                names.add(format!("{kind}.{number}.uid"), uid);
            }
        }
        names
    }
}

/// Applies what is deployed, and waits until the API server serves our kinds.
pub(super) async fn deploy(api: &Api) -> Result<(), Failure> {
    let definitions = deploy::files("deploy/crds").map_err(Failure::new)?;
    let files = definitions.iter().map(String::as_str).chain(DEPLOYED);
    for file in files {
        for object in deploy::objects(file).map_err(Failure::new)? {
            let name = object.pointer("/metadata/name").and_then(Value::as_str);
            let collection = deploy::collection(&object).map_err(Failure::new)?;
            let path = format!("{collection}/{}?fieldManager=scale", name.unwrap_or_default());
            let applied = api.patch_as("application/apply-patch+yaml", &path, &object).await;
            good(&path, applied)?;
        }
    }
    let begun = Instant::now();
    for path in [STATIC_IPS.to_owned(), objects::claims(), pools()] {
        while api.get(&path).await.map_err(Failure::new)?.code != 200 {
            if begun.elapsed() > PATIENCE {
                return Err(Failure::new(format!("the API server does not serve {path}")));
            }
            sleep(Duration::from_millis(100)).await;
        }
    }
    let namespace = json!({ "metadata": { "name": NAMESPACE } });
    post(api, "/api/v1/namespaces", &namespace).await?;
    post(api, &pools(), &objects::pool()).await?;
    Ok(())
}

fn pools() -> String {
    "/apis/firecamp.io/v1alpha1/staticippools".to_owned()
}

/// Creates the objects of all nodes.
pub(super) async fn load(
    api: &Api,
    control: &Control,
    fleet: Fleet,
) -> Result<BTreeMap<Node, Created>, Failure> {
    let (done, gate) = (Arc::new(AtomicU64::new(0)), Arc::new(Semaphore::new(AT_ONCE)));
    let mut tasks = JoinSet::new();
    for node in fleet.nodes() {
        let (api, done, gate) = (api.clone(), Arc::clone(&done), Arc::clone(&gate));
        tasks.spawn(async move {
            // Nobody closes it.
            let _permit = gate.acquire().await.ok();
            Ok::<_, Failure>((node, objects_of(&api, node, &done).await?))
        });
    }
    let total = u64::from(fleet.nodes) * u64::from(PODS + 2 * MEMBERS);
    let work = async {
        let mut all = BTreeMap::new();
        while let Some(ended) = tasks.join_next().await {
            let (node, (mut created, token)) = ended.map_err(Failure::of("load"))??;
            let user = format!("{SYSTEM}.{ACCOUNT}.{}", node.name());
            created.kubeconfig = control.kubeconfig(&user, &token)?;
            all.insert(node, created);
        }
        Ok(all)
    };
    reporting("objects", &done, total, work).await
}

/// The objects of a node, and the token of its agent.
async fn objects_of(api: &Api, node: Node, done: &AtomicU64) -> Result<(Created, String), Failure> {
    let made = post(api, NODES, &objects::node(node)).await?;
    let mut created = Created { node: uid(&made), ..Created::default() };
    let path = format!("{NODES}/{}/status?fieldManager=kubelet", node.name());
    good(&path, api.patch_as(MERGE, &path, &objects::node_status(node)).await)?;
    let set = uid(&post(api, &objects::sets(), &objects::set(node)).await?);
    let pods = objects::core(NAMESPACE, "pods");
    for number in 0..PODS {
        let pod = if number < MEMBERS {
            objects::member_pod(node, number, &set)
        } else {
            objects::pod(node, number)
        };
        let made = post(api, &pods, &pod).await?;
        let path = format!("{pods}/{}/status?fieldManager=kubelet", node.pod(number));
        let status = objects::pod_status(node, number, 0);
        let stored = good(&path, api.patch_as(MERGE, &path, &status).await)?;
        let size = stored.text.len();
        if size < LEAST {
            return Err(Failure::new(format!("{path} has {size} bytes, at least {LEAST} wanted")));
        }
        created.pods.push(uid(&made));
        done.fetch_add(1, Ordering::Relaxed);
    }
    for (member, pod) in (0..MEMBERS).zip(created.pods.clone()) {
        let claims = objects::claims();
        let made = post(api, &claims, &objects::claim(node, member, &set)).await?;
        created.claims.push(uid(&made));
        let path = format!("{claims}/{}/status?fieldManager=firecamp", node.pod(member));
        merge(api, &path, &objects::claim_status(node, member)).await?;
        let made = post(api, STATIC_IPS, &objects::static_ip(node, member, &pod)).await?;
        created.static_ips.push(uid(&made));
        done.fetch_add(2, Ordering::Relaxed);
    }
    Ok((created, token(api, node).await?))
}

/// A token of the agent's pod, as the kubelet requests it.
async fn token(api: &Api, node: Node) -> Result<String, Failure> {
    let made = post(api, &objects::core(SYSTEM, "pods"), &objects::agent_pod(node)).await?;
    let bound = json!({ "apiVersion": "v1", "kind": "Pod", "name": objects::agent_name(node),
        "uid": uid(&made) });
    let wanted = json!({ "spec": { "expirationSeconds": 86_400, "boundObjectRef": bound } });
    let path = format!("{}/{ACCOUNT}/token", objects::core(SYSTEM, "serviceaccounts"));
    let given = post(api, &path, &wanted).await?;
    let token = given.pointer("/status/token").and_then(Value::as_str);
    token.map(str::to_owned).ok_or_else(|| Failure::new(format!("{path} returned no token")))
}

/// Creates an object; returns it.
pub(super) async fn post(api: &Api, path: &str, object: &Value) -> Result<Value, Failure> {
    Ok(good(path, api.post(path, object).await)?.json())
}

/// Applies a merge patch; returns the object.
pub(super) async fn merge(api: &Api, path: &str, change: &Value) -> Result<Value, Failure> {
    Ok(good(path, api.patch_as(MERGE, path, change).await)?.json())
}

/// A successful answer.
pub(super) fn good(path: &str, answer: Result<Answer, String>) -> Result<Answer, Failure> {
    let answer = answer.map_err(Failure::new)?;
    if matches!(answer.code, 200..=299) {
        return Ok(answer);
    }
    Err(Failure::new(format!("{path}: {} {}", answer.code, answer.text)))
}

fn uid(object: &Value) -> String {
    object.pointer("/metadata/uid").and_then(Value::as_str).unwrap_or_default().to_owned()
}

/// Awaits the work, and prints every few seconds how much of it is done.
pub(super) async fn reporting<T>(
    what: &str,
    done: &AtomicU64,
    total: u64,
    work: impl Future<Output = T>,
) -> T {
    let begun = Instant::now();
    tokio::pin!(work);
    loop {
        tokio::select! {
            result = &mut work => return result,
            () = sleep(EVERY) => {
                let done = done.load(Ordering::Relaxed);
                progress(&format!("{done} of {total} {what}, {:.0?}", begun.elapsed()));
            }
        }
    }
}
