//! A pending member leads to a node: Karpenter with its kwok provider, which creates Nodes instead
//! of instances, and the NodeOverlays of `deploy/autoscaling`.

use std::fs::File;
use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use firecamp_checks::deploy::{objects, parsed};
use firecamp_core::contract::api::EXTENDED_RESOURCE;
use firecamp_testkit::kubernetes::free_port;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::process::{Child, Command};
use tokio::time::{Instant, sleep};

use super::{Outcome, ensure};
use crate::cluster::Cluster;

const PATIENCE: Duration = Duration::from_mins(3);
const PAUSE: Duration = Duration::from_millis(200);
const OVERLAYS: &str = "/apis/karpenter.sh/v1alpha1/nodeoverlays";
const POOLS: &str = "/apis/karpenter.sh/v1/nodepools";
const CLASSES: &str = "/apis/karpenter.kwok.sh/v1alpha1/kwoknodeclasses";
const CLAIMS: &str = "/apis/karpenter.sh/v1/nodeclaims";
const PODS: &str = "/api/v1/namespaces/default/pods";
/// What Karpenter logs about a pod for which it creates no node. Its Events do not say it for
/// sure: it repeats one about the same pod after five minutes only, and the first one can be about
/// instance types that it has not read yet.
const REFUSED: &str = "no instance type has enough resources";

/// Karpenter, until this is dropped.
struct Karpenter {
    _child: Child,
    dir: TempDir,
}

fn given(name: &str) -> Result<PathBuf, String> {
    let path = std::env::var_os(name).map(PathBuf::from);
    path.ok_or_else(|| format!("{name} is not set: run `make test-apiserver`, which builds it"))
}

impl Karpenter {
    fn start(cluster: &Cluster) -> Result<Self, String> {
        let wrong = |wrong: std::io::Error| format!("start Karpenter: {wrong}");
        let dir = tempfile::tempdir().map_err(wrong)?;
        let log = File::create(dir.path().join("log")).map_err(wrong)?;
        let types = given("KARPENTER_SOURCE")?.join("kwok/examples/aws_instance_types.json");
        let child = Command::new(given("KARPENTER")?)
            .env_clear()
            .env("HOME", dir.path())
            .env("KUBECONFIG", cluster.kubeconfig()?)
            .env("SYSTEM_NAMESPACE", "kube-system")
            .env("DISABLE_LEADER_ELECTION", "true")
            .env("FEATURE_GATES", "NodeOverlay=true")
            .env("METRICS_PORT", free_port()?.to_string())
            .env("HEALTH_PROBE_PORT", free_port()?.to_string())
            .env("INSTANCE_TYPES_FILE_PATH", types)
            .stdin(Stdio::null())
            .stdout(log.try_clone().map_err(wrong)?)
            .stderr(log)
            .kill_on_drop(true)
            .spawn()
            .map_err(wrong)?;
        Ok(Self { _child: child, dir })
    }

    fn log(&self) -> String {
        std::fs::read_to_string(self.dir.path().join("log")).unwrap_or_default()
    }

    fn log_tail(&self) -> String {
        let log = self.log();
        let lines: Vec<&str> = log.lines().collect();
        lines.iter().rev().take(8).rev().copied().collect::<Vec<_>>().join("\n")
    }

    /// Waits until no instance type has the resource that the pending member requests.
    async fn refuses_the_resource(&self) -> Outcome {
        let end = Instant::now() + PATIENCE;
        let refused = |line: &str| line.contains(REFUSED) && line.contains(EXTENDED_RESOURCE);
        while !self.log().lines().any(refused) {
            ensure(Instant::now() < end, || format!("not refused: {}", self.log_tail()))?;
            sleep(PAUSE).await;
        }
        Ok(())
    }
}

async fn post(cluster: &Cluster, path: &str, object: &Value) -> Outcome {
    let end = Instant::now() + PATIENCE;
    loop {
        let answer = cluster.api.post(path, object).await?;
        match answer.code {
            201 => return Ok(()),
            // The server does not serve a new definition at once.
            404 | 429 if Instant::now() < end => sleep(PAUSE).await,
            _ => return Err(format!("{path}: {}", answer.text)),
        }
    }
}

/// The definitions of Karpenter and of its kwok provider.
async fn define(cluster: &Cluster) -> Outcome {
    let source = given("KARPENTER_SOURCE")?;
    for file in [
        "pkg/apis/crds/karpenter.sh_nodeclaims.yaml",
        "pkg/apis/crds/karpenter.sh_nodeoverlays.yaml",
        "pkg/apis/crds/karpenter.sh_nodepools.yaml",
        "kwok/apis/crds/karpenter.kwok.sh_kwoknodeclasses.yaml",
    ] {
        let text = std::fs::read_to_string(source.join(file));
        let text = text.map_err(|wrong| format!("{file}: {wrong}"))?;
        for definition in parsed(&text)? {
            let path = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions";
            post(cluster, path, &definition).await?;
        }
    }
    let class = json!({ "apiVersion": "karpenter.kwok.sh/v1alpha1", "kind": "KWOKNodeClass",
        "metadata": { "name": "default" } });
    post(cluster, CLASSES, &class).await?;
    let class = json!({ "group": "karpenter.kwok.sh", "kind": "KWOKNodeClass", "name": "default" });
    let requirement = json!({ "key": "karpenter.sh/capacity-type", "operator": "In",
        "values": ["on-demand"] });
    let template = json!({ "spec": { "nodeClassRef": class, "requirements": [requirement] } });
    let pool = json!({ "apiVersion": "karpenter.sh/v1", "kind": "NodePool",
        "metadata": { "name": "members" }, "spec": { "template": template } });
    post(cluster, POOLS, &pool).await
}

/// A member's pod for which the scheduler has found no node.
async fn pending_member(cluster: &Cluster) -> Outcome {
    let slot = json!({ EXTENDED_RESOURCE: "1" });
    let resources = json!({ "requests": slot, "limits": slot });
    let init = json!([{ "name": "memberinit", "image": "i", "resources": resources }]);
    let spec = json!({ "initContainers": init, "containers": [{ "name": "c", "image": "i" }] });
    let metadata = json!({ "name": "pending-0", "namespace": "default" });
    let pod = json!({ "apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec });
    post(cluster, PODS, &pod).await?;
    let condition = json!({ "type": "PodScheduled", "status": "False", "reason": "Unschedulable" });
    let status = json!([{ "op": "add", "path": "/status/conditions", "value": [condition] }]);
    let answer = cluster.api.patch(&format!("{PODS}/pending-0/status"), &status).await?;
    ensure(answer.code == 200, || answer.text)
}

/// Waits until one of the listed objects is as wanted.
async fn listed(
    cluster: &Cluster,
    karpenter: &Karpenter,
    (path, what): (&str, &str),
    wanted: impl Fn(&Value) -> bool,
) -> Result<Value, String> {
    let end = Instant::now() + PATIENCE;
    while Instant::now() < end {
        let list = cluster.api.get(path).await?.json();
        let found = list["items"].as_array().into_iter().flatten().find(|one| wanted(one)).cloned();
        if let Some(found) = found {
            return Ok(found);
        }
        sleep(PAUSE).await;
    }
    Err(format!("no {what}: {}", karpenter.log_tail()))
}

pub(crate) async fn karpenter_creates_a_node_for_a_pending_member(cluster: &Cluster) -> Outcome {
    define(cluster).await?;
    let karpenter = Karpenter::start(cluster)?;
    pending_member(cluster).await?;
    karpenter.refuses_the_resource().await?;
    for overlay in objects("deploy/autoscaling/karpenter.yaml")? {
        post(cluster, OVERLAYS, &overlay).await?;
    }
    let any = |_node: &Value| true;
    let claim = listed(cluster, &karpenter, (CLAIMS, "NodeClaim"), any).await?;
    let requested = &claim["spec"]["resources"]["requests"][EXTENDED_RESOURCE];
    ensure(*requested == "1", || format!("the claim requests {requested} slots"))?;
    let ours = |node: &Value| node["metadata"]["labels"]["karpenter.sh/nodepool"] == "members";
    let node = listed(cluster, &karpenter, ("/api/v1/nodes", "Node"), ours).await?;
    let kind = node["metadata"]["labels"]["node.kubernetes.io/instance-type"].clone();
    let overlays = objects("deploy/autoscaling/karpenter.yaml")?;
    let types = overlays.iter().map(|one| &one["spec"]["requirements"][0]["values"]);
    let known = types.flat_map(|all| all.as_array().into_iter().flatten()).any(|one| *one == kind);
    ensure(known, || format!("the node is a {kind}"))
}
