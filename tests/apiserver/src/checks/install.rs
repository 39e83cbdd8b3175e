//! Helm and Kustomize, as a user runs them, on a server without FireCamp.

use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::time::Duration;

use firecamp_checks::deploy::{objects, place, text};
use serde_json::{Value, json};
use tokio::process::Command;
use tokio::time::timeout;

use super::deployment::define_monitoring;
use super::{Outcome, ensure};
use crate::cluster::Cluster;
use crate::deploy::{apply, mutates};
use crate::samples::GROUP;

const PATIENCE: Duration = Duration::from_mins(3);
const NAMESPACE: &str = "firecamp-system";
/// The objects of a release, one of each kind.
const PARTS: [&str; 8] = [
    "/apis/apps/v1/namespaces/firecamp-system/daemonsets/firecamp-agent",
    "/api/v1/namespaces/firecamp-system/serviceaccounts/firecamp-agent",
    "/apis/networking.k8s.io/v1/namespaces/firecamp-system/networkpolicies/firecamp-agent",
    "/apis/rbac.authorization.k8s.io/v1/clusterroles/firecamp-agent",
    "/apis/rbac.authorization.k8s.io/v1/namespaces/prod/rolebindings/firecamp-member",
    "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings/firecamp-member-addresses-prod",
    "/apis/admissionregistration.k8s.io/v1/validatingadmissionpolicies/firecamp-agent-lease",
    "/apis/admissionregistration.k8s.io/v1/validatingadmissionpolicybindings/firecamp-agent-lease",
];

/// The policy that refuses labelled pods without what is injected.
const GUARD: &str =
    "/apis/admissionregistration.k8s.io/v1/validatingadmissionpolicies/firecamp-injected";

/// The program that this variable names.
fn program(variable: &str) -> Result<PathBuf, String> {
    let why = "does not name the program: run `make test-apiserver`, which builds it";
    std::env::var_os(variable).map(PathBuf::from).ok_or_else(|| format!("{variable} {why}"))
}

/// A user with only a kubeconfig.
struct User<'a> {
    cluster: &'a Cluster,
    home: tempfile::TempDir,
    /// The path of the chart.
    chart: String,
}

impl<'a> User<'a> {
    /// Creates the namespaces, too.
    async fn of(cluster: &'a Cluster) -> Result<Self, String> {
        for name in [NAMESPACE, "prod"] {
            let object = json!({
                "apiVersion": "v1", "kind": "Namespace", "metadata": { "name": name },
            });
            apply(cluster, &object).await?;
        }
        let home = tempfile::tempdir().map_err(|wrong| format!("a directory: {wrong}"))?;
        let chart = place("deploy/chart/firecamp").display().to_string();
        Ok(Self { cluster, home, chart })
    }

    /// Runs Helm and returns its standard output.
    async fn helm(&self, args: &[&str]) -> Result<String, String> {
        let mut command = Command::new(program("HELM")?);
        command.args(args).args(["--namespace", NAMESPACE]).env_clear().kill_on_drop(true);
        command.current_dir(place("."));
        command.env("HOME", self.home.path()).env("KUBECONFIG", self.cluster.kubeconfig()?);
        let ended = timeout(PATIENCE, command.output()).await;
        let ended = ended.map_err(|_late| format!("helm {args:?}: timed out"))?;
        let ended = ended.map_err(|wrong| format!("helm {args:?}: {wrong}"))?;
        let stderr = String::from_utf8_lossy(&ended.stderr).into_owned();
        ensure(ended.status.success(), || format!("helm {args:?}: {stderr}"))?;
        Ok(String::from_utf8_lossy(&ended.stdout).into_owned())
    }

    /// Returns the notes.
    async fn install(&self) -> Result<String, String> {
        let values = ["--set", "clusterName=prod", "--set", "members.namespaces={prod}"];
        self.helm(&[["install", "firecamp", &self.chart].as_slice(), &values].concat()).await
    }

    async fn get(&self, path: &str) -> Result<Value, String> {
        Ok(self.cluster.api.get(path).await?.json())
    }

    async fn release_exists(&self, wanted: bool) -> Outcome {
        for path in PARTS {
            let code = self.cluster.api.get(path).await?.code;
            let expected = if wanted { code == 200 } else { code == 404 };
            ensure(expected, || format!("{path}: {code}, expected to exist: {wanted}"))?;
        }
        Ok(())
    }

    /// The log level of the agents.
    async fn level(&self) -> Result<Value, String> {
        let agents = self.get(PARTS[0]).await?;
        let env = &agents["spec"]["template"]["spec"]["containers"][0]["env"];
        let all = env.as_array().cloned().unwrap_or_default();
        let found = all.into_iter().find(|one| one["name"] == "FIRECAMP_LOG_LEVEL");
        Ok(found.unwrap_or_default()["value"].clone())
    }
}

async fn upgrades_and_rolls_back(user: &User<'_>) -> Outcome {
    let notes = user.install().await?;
    let words =
        if mutates(user.cluster).await? { "becomes a member" } else { "unless `firecamp inject`" };
    ensure(notes.contains(words), || notes)?;
    user.release_exists(true).await?;
    for pool in objects("deploy/examples/pool.yaml")? {
        apply(user.cluster, &pool).await?;
    }
    let change = ["--reuse-values", "--set", "log.level=debug"];
    user.helm(&[["upgrade", "firecamp", &user.chart].as_slice(), &change].concat()).await?;
    let level = user.level().await?;
    ensure(level == "debug", || format!("after the upgrade: {level}"))?;
    user.helm(&["rollback", "firecamp", "1"]).await?;
    let level = user.level().await?;
    ensure(level == "info", || format!("after the rollback: {level}"))?;
    user.helm(&["uninstall", "firecamp"]).await?;
    user.release_exists(false).await?;
    user.install().await?;
    user.release_exists(true).await?;
    let pool = user.get(&format!("{GROUP}/staticippools/main")).await?;
    ensure(pool["spec"]["subnets"].is_array(), || format!("the pool is gone: {pool}"))
}

/// The command of docs/install.md, *Observe*.
async fn upgrades_for_the_prometheus_operator(user: &User<'_>) -> Outcome {
    define_monitoring(user.cluster).await?;
    let page = text("docs/install.md")?;
    let block = page.split("\n## Observe\n").nth(1).and_then(|it| it.split("```console\n").nth(1));
    let block =
        block.and_then(|it| it.split("```").next()).and_then(|it| it.strip_prefix("$ helm "));
    let command = block.ok_or("docs/install.md, Observe: no command of Helm")?.replace('\\', "");
    user.helm(&command.split_whitespace().collect::<Vec<_>>()).await?;
    for plural in ["podmonitors", "prometheusrules"] {
        let path = format!("/apis/monitoring.coreos.com/v1/namespaces/{NAMESPACE}/{plural}");
        let all = user.get(&path).await?;
        let count = all["items"].as_array().map_or(0, Vec::len);
        ensure(count == 1, || format!("{count} {plural}: {all}"))?;
    }
    Ok(())
}

/// A pod with the label, as a chart and as a kustomization.
fn a_member_in(dir: &Path) -> Outcome {
    let pod = json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": { "name": "redis-0", "labels": { "firecamp.io/pool": "main" } },
        "spec": { "containers": [{ "name": "redis", "image": "redis:8" }] },
    });
    let chart = json!({ "apiVersion": "v2", "name": "redis", "version": "0.1.0" });
    let kustomization = json!({
        "resources": ["CHART/templates/pod.yaml"], "transformers": ["firecamp-inject.yaml"],
    });
    let wrong = |wrong: std::io::Error| format!("a chart: {wrong}");
    std::fs::create_dir_all(dir.join("CHART/templates")).map_err(wrong)?;
    std::fs::write(dir.join("CHART/Chart.yaml"), chart.to_string()).map_err(wrong)?;
    std::fs::write(dir.join("CHART/templates/pod.yaml"), pod.to_string()).map_err(wrong)?;
    std::fs::write(dir.join("kustomization.yaml"), kustomization.to_string()).map_err(wrong)
}

/// What a script prints whose programs are first those in its directory.
async fn printed_by(script: &str, home: &Path) -> Result<String, String> {
    let mut command = Command::new("sh");
    command.args(["-euc", script]).env_clear().kill_on_drop(true).current_dir(home);
    let path = std::env::var("PATH").unwrap_or_default();
    command.env("HOME", home).env("PATH", format!("{}:{path}", home.display()));
    let ended = timeout(PATIENCE, command.output()).await;
    let ended = ended.map_err(|_late| format!("{script}: timed out"))?;
    let ended = ended.map_err(|wrong| format!("sh: {wrong}"))?;
    let stderr = String::from_utf8_lossy(&ended.stderr);
    ensure(ended.status.success(), || format!("{script}: {stderr}"))?;
    Ok(String::from_utf8_lossy(&ended.stdout).into_owned())
}

/// The commands of docs/endpoint.md, *Kubernetes before 1.36*.
pub(super) async fn helm_and_kustomize_inject_as_the_page_says(_other: &Cluster) -> Outcome {
    let home = tempfile::tempdir().map_err(|wrong| format!("a directory: {wrong}"))?;
    let firecamp = firecamp_testkit::build::command().map_err(|wrong| wrong.to_string())?;
    let (helm, kustomize) = (program("HELM")?, program("KUSTOMIZE")?);
    for (name, at) in [("helm", &*helm), ("kustomize", &*kustomize), ("firecamp", firecamp)] {
        symlink(at, home.path().join(name)).map_err(|wrong| format!("{name}: {wrong}"))?;
    }
    a_member_in(home.path())?;
    let page = text("docs/endpoint.md")?;
    let section = page.split("\n### Kubernetes before 1.36\n").nth(1).unwrap_or_default();
    let blocks = section.split("```sh\n").skip(1).filter_map(|rest| rest.split("```").next());
    let [plugin, function] = blocks.take(2).collect::<Vec<_>>()[..] else {
        return Err("docs/endpoint.md lacks the commands for Helm 4 or Kustomize".to_owned());
    };
    let render = "helm template redis ./CHART --post-renderer firecamp-inject";
    let build = "kustomize build --enable-alpha-plugins --enable-exec .";
    for script in [format!("{plugin}{render}"), format!("{function}{build}")] {
        let printed = printed_by(&script, home.path()).await?;
        let image = "registry.example.com/firecamp/firecamp-initcontainer:0.1.0";
        let injected = printed.contains("name: firecamp-init") && printed.contains(image);
        ensure(injected, || printed)?;
    }
    Ok(())
}

pub(super) async fn helm_installs_upgrades_rolls_back_and_uninstalls_all_but_the_records(
    _other: &Cluster,
) -> Outcome {
    let cluster = Box::pin(Cluster::start()).await?;
    let user = User::of(&cluster).await?;
    Box::pin(upgrades_and_rolls_back(&user)).await?;
    Box::pin(upgrades_for_the_prometheus_operator(&user)).await
}

pub(super) async fn helm_refers_to_firecamp_inject_where_the_server_injects_nothing(
    _other: &Cluster,
) -> Outcome {
    let cluster = Box::pin(Cluster::start_without_mutating_admission()).await?;
    let user = User::of(&cluster).await?;
    let notes = Box::pin(user.install()).await?;
    let words = "unless `firecamp inject` has prepared their manifests";
    ensure(notes.contains(words), || notes)?;
    user.release_exists(true).await?;
    let guard = user.get(GUARD).await?;
    ensure(guard["spec"].is_object(), || format!("labelled pods are not refused: {guard}"))
}
