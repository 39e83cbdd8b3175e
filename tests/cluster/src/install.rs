//! Waits for the nodes of a new cluster and installs FireCamp, as docs/install.md describes.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use firecamp_kube::{Source, Timeouts};
use firecamp_testkit::kubernetes::{ADMIN, Api, Assets};
use serde_json::Value;
use tokio::process::Command;
use tokio::time::{Instant, sleep, timeout};

use crate::pod_network::{PODS, SERVICES};
use crate::topology::{CLUSTER, Layout, WORKERS};
use crate::up::Running;
use crate::{Outcome, dns, external_dns, failed, network_policy, settings};

/// Upper bound of each wait, for a loaded machine.
pub(crate) const PATIENCE: Duration = Duration::from_mins(5);
const PAUSE: Duration = Duration::from_millis(100);
/// The namespaces of the agents and of the members.
const NAMESPACES: [&str; 2] = ["firecamp-system", "prod"];
/// The EC2 endpoint of the box.
pub(crate) const ENDPOINT: &str = "http://198.18.0.10";

/// Runs a future to completion on this thread.
pub(crate) fn block_on<T>(work: impl Future<Output = Outcome<T>>) -> Outcome<T> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.map_err(failed("start the runtime"))?.block_on(work)
}

/// Polls until `check` succeeds. After [`PATIENCE`] it fails with the last error.
pub(crate) async fn until<T, F>(what: &str, check: impl FnMut() -> F) -> Outcome<T>
where
    F: Future<Output = Result<T, String>>,
{
    until_within(PATIENCE, what, check).await
}

/// The same with another deadline.
pub(crate) async fn until_within<T, F>(
    limit: Duration,
    what: &str,
    mut check: impl FnMut() -> F,
) -> Outcome<T>
where
    F: Future<Output = Result<T, String>>,
{
    let end = Instant::now() + limit;
    loop {
        match check().await {
            Ok(found) => return Ok(found),
            Err(last) if Instant::now() > end => {
                return Err(format!("{what}: not within {} s: {last}", limit.as_secs()));
            }
            Err(_not_yet) => sleep(PAUSE).await,
        }
    }
}

/// Access to a cluster with all permissions.
pub(crate) struct Admin {
    pub(crate) api: Api,
    pub(crate) kubeconfig: PathBuf,
    pub(crate) kubectl: PathBuf,
}

impl Admin {
    /// Waits for the API server.
    pub(crate) async fn of(running: &Running) -> Outcome<Self> {
        let kubeconfig = running.home.path("kubeconfig");
        let kubectl = Assets::find(&settings::PROGRAMS)?.program("kubectl");
        let source = Source::Kubeconfig(kubeconfig.clone());
        let api = until("the API server", || async {
            let client = source.client(Timeouts::default()).await;
            let api = client.map(Api::new).map_err(|error| format!("{error:?}"))?;
            let answer = api.get("/readyz").await?;
            if answer.code == 200 { Ok(api) } else { Err(answer.text) }
        })
        .await?;
        Ok(Self { api, kubeconfig, kubectl })
    }

    /// A client of the same API server that uses another token.
    pub(crate) async fn by_token(&self, token: &str) -> Outcome<Api> {
        let ours = std::fs::read_to_string(&self.kubeconfig);
        let theirs = ours.map_err(failed("our kubeconfig"))?.replace(ADMIN.token, token);
        let file = tempfile::NamedTempFile::new().map_err(failed("a file"))?;
        std::fs::write(file.path(), theirs).map_err(failed("a kubeconfig"))?;
        let source = Source::Kubeconfig(file.path().to_owned());
        let client = source.client(Timeouts::default()).await;
        client.map(Api::new).map_err(|error| format!("{error:?}"))
    }

    /// Runs kubectl and returns its standard output.
    pub(crate) async fn kubectl(&self, args: &[&str]) -> Outcome<String> {
        self.run(&self.kubectl, args).await
    }

    /// A kubectl command to run in the background.
    pub(crate) fn kubectl_command(&self) -> std::process::Command {
        let mut command = std::process::Command::new(&self.kubectl);
        command.env("KUBECONFIG", &self.kubeconfig);
        command
    }

    async fn run(&self, program: &Path, args: &[&str]) -> Outcome<String> {
        let mut command = Command::new(program);
        command.args(args).env("KUBECONFIG", &self.kubeconfig).kill_on_drop(true);
        let what = format!("{} {}", program.display(), args.join(" "));
        let ended = timeout(PATIENCE, command.output()).await;
        let ended = ended.map_err(|_late| format!("{what}: timed out"))?;
        let ended = ended.map_err(failed(&what))?;
        if ended.status.success() {
            return Ok(String::from_utf8_lossy(&ended.stdout).into_owned());
        }
        Err(format!("{what}: {}", String::from_utf8_lossy(&ended.stderr)))
    }

    /// The object at this path; null if it does not exist.
    pub(crate) async fn get(&self, path: &str) -> Outcome<Value> {
        let answer = self.api.get(path).await?;
        match answer.code {
            200 => Ok(answer.json()),
            404 => Ok(Value::Null),
            _ => Err(format!("GET {path}: {}", answer.text)),
        }
    }
}

/// Waits until all nodes are ready.
pub(crate) async fn nodes_ready(admin: &Admin) -> Outcome {
    until("three ready nodes", || async {
        let nodes = admin.get("/api/v1/nodes").await?;
        let all = nodes["items"].as_array().cloned().unwrap_or_default();
        let ready = all.iter().filter(|node| is_condition_true(&node["status"], "Ready")).count();
        if ready == WORKERS.len() {
            Ok(())
        } else {
            Err(format!("{ready} of {} are ready", all.len()))
        }
    })
    .await
}

/// Whether a condition is true.
pub(crate) fn is_condition_true(status: &Value, condition: &str) -> bool {
    let all = status["conditions"].as_array();
    all.into_iter().flatten().any(|one| one["type"] == condition && one["status"] == "True")
}

/// Path of the Helm program.
pub(crate) fn helm_program() -> Outcome<OsString> {
    std::env::var_os("HELM").ok_or_else(|| "HELM is not set: run this by `make`".to_owned())
}

/// Runs a Helm command on FireCamp's release: the verb, then its flags.
pub(crate) async fn helm(admin: &Admin, words: &[&str]) -> Outcome {
    let program = helm_program()?;
    let (verb, flags) = words.split_first().ok_or("no verb")?;
    let chart = source("deploy/chart/firecamp");
    let mut all = vec![*verb, "firecamp"];
    if matches!(*verb, "install" | "upgrade") {
        all.push(&chart);
    }
    all.extend(["--namespace", NAMESPACES[0]]);
    all.extend(flags);
    admin.run(Path::new(&program), &all).await.map(drop)
}

/// Waits until the rollout of the agents is complete.
pub(crate) async fn roll_out(admin: &Admin) -> Outcome {
    let agents = ["rollout", "status", "daemonset/firecamp-agent", "--timeout=300s"];
    let words = [&["--namespace", NAMESPACES[0]], agents.as_slice()].concat();
    admin.kubectl(&words).await.map(drop)
}

/// The path of a file in the repository.
pub(crate) fn source(path: &str) -> String {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    root.join(path).display().to_string()
}

/// A program that a Go module of the repository pins; the first time, it is built.
pub(crate) fn tool(name: &str, package: &str, module: &str) -> Outcome<PathBuf> {
    script("scripts/tool.sh", &[name, package, module])
}

/// What a script of the repository prints: where something is, which it makes the first time.
pub(crate) fn script(path: &str, words: &[&str]) -> Outcome<PathBuf> {
    let mut script = std::process::Command::new(source(path));
    let ended = script.args(words).stderr(Stdio::inherit()).output();
    let ended = ended.map_err(failed(path))?;
    if !ended.status.success() {
        return Err(format!("{path} {words:?}: {}", ended.status));
    }
    Ok(PathBuf::from(String::from_utf8_lossy(&ended.stdout).trim()))
}

/// Waits for the nodes and installs FireCamp, unless `bare`.
pub(crate) async fn install(running: &Running, bare: bool) -> Outcome {
    let admin = Admin::of(running).await?;
    dns::install(&admin).await?;
    external_dns::install(&admin).await?;
    if network_policy::runs(&running.home) {
        network_policy::install(&admin).await?;
    }
    nodes_ready(&admin).await?;
    if bare {
        return Ok(());
    }
    for namespace in NAMESPACES {
        admin.kubectl(&["create", "namespace", namespace]).await?;
        let label = "pod-security.kubernetes.io/enforce=privileged";
        admin.kubectl(&["label", "namespace", namespace, label]).await?;
    }
    let name = format!("clusterName={CLUSTER}");
    let endpoint = format!("extraEnv[0].value={ENDPOINT}");
    let ranges = match running.home.layout() {
        Layout::OneSubnet | Layout::Ptp | Layout::Zones => format!("{PODS},{SERVICES}"),
        // The VPC CNI gives pods addresses of the VPC.
        Layout::VpcCni => SERVICES.to_owned(),
    };
    let ranges = format!("endpoint.podNetworks.clusterCIDRs={{{ranges}}}");
    let values = [
        name.as_str(),
        ranges.as_str(),
        "members.namespaces={prod}",
        "names.enabled=true",
        "names.dnsZones={default}",
        // The only difference from an installation on AWS.
        "extraEnv[0].name=AWS_ENDPOINT_URL_EC2",
        endpoint.as_str(),
    ];
    let values = values.iter().flat_map(|value| ["--set", *value]);
    let words: Vec<&str> = ["install"].into_iter().chain(values).collect();
    helm(&admin, &words).await?;
    roll_out(&admin).await?;
    let pool = match running.home.layout() {
        Layout::OneSubnet | Layout::Ptp => "pool.yaml",
        Layout::VpcCni => "pool-interfaces.yaml",
        Layout::Zones => "pool-zones.yaml",
    };
    let pool = source(&format!("tests/cluster/src/{pool}"));
    admin.kubectl(&["apply", "--server-side", "--filename", &pool]).await.map(drop)
}
