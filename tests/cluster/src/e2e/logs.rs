//! Logs of services in CloudWatch Logs, by the collector of deploy/logs.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use firecamp_checks::deploy::objects;
use firecamp_core::contract::service::{UUID_LABEL, log_group};
use nix::sys::signal::Signal;
use serde_json::{Value, json};
use tempfile::NamedTempFile;
use tokio::time::sleep;
use vpcbox::vpc::{Fault, FaultSpec, Selector};

use super::processes::{output_of, processes, send};
use super::set::NAMESPACE;
use super::test_cluster::{TestCluster, ensure, text};
use crate::images::BUSYBOX;
use crate::install::{PATIENCE, tool, until, until_within};
use crate::member::PORT;
use crate::settings::kubeconfig;
use crate::topology::{CLUSTER, REGION, WORKERS};
use crate::{Outcome, failed, images};

const MANIFEST: &str = "deploy/logs/collector.yaml";
/// CloudWatch Logs in the box.
const LOGS: &str = "http://198.18.0.12";
/// The endpoint of Route 53 in the box.
const ROUTE53: &str = "http://198.18.0.11";
const SERVICE: &str = "talker";
/// The lines of a run: more than the kubelet keeps in one file.
const LINES: usize = 2_000;
/// The length of the line that the runtime splits.
const LONG: usize = 100_000;
/// How long CloudWatch refuses to take anything.
const REFUSED: Duration = Duration::from_secs(5);

/// Serves a port, and writes numbered lines in bursts, then one long line.
fn script() -> String {
    format!(
        "b={BUSYBOX}; $b httpd -p {PORT}; pad=$(printf '%4000s' x); i=0; \
         while [ $i -lt {LINES} ]; do echo \"line $i $pad\"; i=$((i+1)); \
         [ $((i % 100)) -ne 0 ] || $b sleep 1; done; printf 'long%{LONG}s\\n' x; $b sleep infinity; :"
    )
}

impl TestCluster<'_> {
    /// Installs the collector as users do, with this cluster's name and CloudWatch.
    async fn start_collector(&self) -> Outcome {
        let program = tool("otelcol", ".", "tools/otelcol")?;
        let archive = self.running.home.path("collector.tar");
        images::collector(&program, &archive)?;
        self.import_images(&archive)?;
        let mut all = objects(MANIFEST)?;
        for object in &mut all {
            match text(&object["kind"]).as_str() {
                "ConfigMap" if object["data"]["CLUSTER_NAME"].is_string() => {
                    object["data"] = json!({ "CLUSTER_NAME": CLUSTER, "AWS_REGION": REGION });
                }
                "DaemonSet" => {
                    let pod = &mut object["spec"]["template"]["spec"];
                    // Pods with a network of their own do not reach the metadata service here.
                    pod["hostNetwork"] = json!(true);
                    let more = json!({ "name": "AWS_ENDPOINT_URL_CLOUDWATCH_LOGS", "value": LOGS });
                    let env = pod["containers"][0]["env"].as_array_mut();
                    env.ok_or("no env")?.push(more);
                }
                _ => {}
            }
        }
        let list = json!({ "apiVersion": "v1", "kind": "List", "items": all });
        let file = NamedTempFile::new().map_err(failed("a file"))?;
        std::fs::write(file.path(), list.to_string()).map_err(failed("a manifest"))?;
        let path = file.path().display().to_string();
        self.admin.kubectl(&["apply", "--filename", &path]).await?;
        let ready = ["rollout", "status", "daemonset/firecamp-logs", "--timeout=240s"];
        let words = [&["--namespace", "firecamp-logs"], ready.as_slice()].concat();
        self.admin.kubectl(&words).await.map(drop)
    }

    /// Runs a program on the first worker, with the role of the node.
    fn with_role(&self, program: PathBuf) -> Outcome<Command> {
        let [first, ..] = WORKERS;
        let node = self.running.init_process(first.name)?;
        let mut command = Command::new("nsenter");
        command.args(["--net", "--target", &node.to_string(), "--"]).arg(program);
        command.env("AWS_DEFAULT_REGION", REGION).env("AWS_REGION", REGION);
        command.env("AWS_CONFIG_FILE", "/dev/null").env("AWS_SHARED_CREDENTIALS_FILE", "/dev/null");
        command.env("AWS_ENDPOINT_URL_CLOUDWATCH_LOGS", LOGS).env("NO_PROXY", "*");
        command.env("AWS_ENDPOINT_URL_ROUTE_53", ROUTE53);
        Ok(command)
    }

    /// `aws …`, whose answer is JSON.
    pub(super) fn aws(&self, words: &[&str]) -> Outcome<Value> {
        let tools = std::env::var_os("AWS_TOOLS").map(PathBuf::from);
        let tools = tools.ok_or("AWS_TOOLS is not set: run this by `make e2e`")?;
        let mut command = self.with_role(tools.join("aws"))?;
        let answer = output_of(command.args(words).args(["--output", "json"]))?;
        serde_json::from_str(&answer).map_err(failed(words.join(" ")))
    }

    fn streams(&self, group: &str) -> Outcome<BTreeSet<String>> {
        let answer = self.aws(&["logs", "describe-log-streams", "--log-group-name", group])?;
        let all = answer["logStreams"].as_array().cloned().unwrap_or_default();
        Ok(all.iter().map(|one| text(&one["logStreamName"])).collect())
    }

    /// What the container of a stream wrote, each line with its time, in the order of CloudWatch.
    fn lines(&self, group: &str, stream: &str) -> Outcome<Vec<(u64, String)>> {
        let (mut lines, mut token) = (Vec::new(), String::new());
        loop {
            let words = ["logs", "get-log-events", "--log-group-name", group, "--start-from-head"];
            let mut words = [&words[..], &["--log-stream-name", stream]].concat();
            if !token.is_empty() {
                words.extend(["--next-token", &token]);
            }
            let page = self.aws(&words)?;
            for event in page["events"].as_array().into_iter().flatten() {
                let record: Value = serde_json::from_str(&text(&event["message"]))
                    .map_err(failed("the record of a line"))?;
                let at = event["timestamp"].as_u64().unwrap_or_default();
                lines.push((at, text(&record["body"])));
            }
            let next = text(&page["nextForwardToken"]);
            if next == token {
                return Ok(lines);
            }
            token = next;
        }
    }

    /// A stream has every line of a run, in order. A collector that was killed sends again what it
    /// did not know to be sent, so that lines may be there twice, and those of the same millisecond
    /// in another order.
    fn verify_complete(&self, group: &str, stream: &str) -> Outcome {
        let lines = self.lines(group, stream)?;
        let numbered: Vec<(u64, usize)> = lines
            .iter()
            .map(|(at, line)| Ok((*at, number_of(line)?)))
            .collect::<Outcome<BTreeSet<_>>>()?
            .into_iter()
            .collect();
        let seen: Vec<usize> = numbered.iter().map(|(_at, number)| *number).collect();
        let first = (0..=LINES).zip(&seen).find(|(wanted, seen)| wanted != *seen);
        ensure(seen.len() == LINES + 1 && first.is_none(), || {
            format!("{stream}: {} events, {} lines, {first:?}", lines.len(), seen.len())
        })
    }

    /// The stream of a container that runs, by the contract of the original.
    async fn stream_of(&self, pod: &str, list: &str, container: &str) -> Outcome<String> {
        let object = self.pod(pod).await?;
        let all = object["status"][list].as_array().cloned().unwrap_or_default();
        let one = all.iter().find(|one| one["name"] == container);
        let id = one.map(|one| text(&one["containerID"])).unwrap_or_default();
        let id = id.strip_prefix("containerd://").and_then(|id| id.get(..13));
        let id = id.ok_or_else(|| format!("{container}: {}", object["status"]))?;
        Ok(format!("{pod}/{container}/{}/{id}", text(&object["spec"]["nodeName"])))
    }
}

/// The number of a line; the long one is the last.
fn number_of(line: &str) -> Outcome<usize> {
    if line.starts_with("long") {
        ensure(line.len() == "long".len() + LONG, || format!("cut: {}", line.len()))?;
        return Ok(LINES);
    }
    let number = line.strip_prefix("line ").and_then(|rest| rest.split_whitespace().next());
    number.and_then(|text| text.parse().ok()).ok_or_else(|| format!("not a line: {line:.80}"))
}

/// The processes of the collectors.
fn collectors() -> Vec<nix::unistd::Pid> {
    processes("cmdline", "--config=/etc/firecamp-logs/collector.yaml")
}

pub(super) async fn f100_each_container_has_a_log_stream_that_is_complete_and_in_order(
    cluster: &TestCluster<'_>,
) -> Outcome {
    cluster.start_collector().await?;
    let outcome = log_of_a_service(cluster).await;
    if outcome.is_err() {
        let words = ["-n", "firecamp-logs", "logs", "ds/firecamp-logs", "--tail=40"];
        let shown = cluster.admin.kubectl(&words).await.unwrap_or_else(|error| error);
        crate::cli::print_line(&shown)?;
    }
    cluster.admin.kubectl(&["delete", "namespace", "firecamp-logs"]).await?;
    outcome
}

async fn log_of_a_service(cluster: &TestCluster<'_>) -> Outcome {
    let (member, writer) = (format!("{SERVICE}-0"), script());
    let create = ["create", "--image", "localhost/pause:1", "--replicas", "1", "--pool", "main"];
    let port = format!("tcp={PORT}");
    let run =
        ["--port", &port, "--grace", "2", "--user", "65532", "--wait", "--", BUSYBOX, "sh", "-c"];
    let service = format!("{NAMESPACE}/{SERVICE}");
    let words = [&create[..], &run[..], &[&writer]].concat();
    cluster.service_exits_of(&service, &words, 0).await?;
    let uuid = text(&cluster.pod(&member).await?["metadata"]["labels"][UUID_LABEL]);
    let group = log_group(CLUSTER, NAMESPACE, SERVICE, &uuid);
    let stream = cluster.stream_of(&member, "containerStatuses", SERVICE).await?;
    until("the first lines are in the stream", || async {
        let lines = cluster.lines(&group, &stream)?;
        ensure(!lines.is_empty(), || format!("{group} {stream}"))
    })
    .await?;

    let when = Selector { op: Some("PutLogEvents".to_owned()), ..Selector::default() };
    let fault: Fault =
        serde_json::from_value(json!({ "kind": "throttle_storm" })).map_err(failed("a fault"))?;
    let fault = cluster.vpc(|vpc| vpc.fault_set(FaultSpec { fault, when }))?;
    sleep(REFUSED).await;
    for collector in collectors() {
        send(collector, Signal::SIGKILL)?;
    }
    sleep(REFUSED).await;
    cluster.vpc(|vpc| vpc.fault_clear(Some(fault)))?;
    until_within(PATIENCE, "every line is in the stream", || async {
        cluster.verify_complete(&group, &stream)
    })
    .await?;

    // A container that starts again has a stream of its own.
    for process in processes("cmdline", "printf 'long") {
        send(process, Signal::SIGKILL)?;
    }
    let next = until("the container starts again", || async {
        let next = cluster.stream_of(&member, "containerStatuses", SERVICE).await?;
        ensure(next != stream, || next.clone()).map(|()| next)
    })
    .await?;
    until_within(PATIENCE, "every line of the second run is in its stream", || async {
        cluster.verify_complete(&group, &next)
    })
    .await?;
    cluster.verify_complete(&group, &stream)?;
    let init = cluster.stream_of(&member, "initContainerStatuses", "firecamp-init").await?;
    let streams = cluster.streams(&group)?;
    ensure(streams == BTreeSet::from([init, next, stream]), || format!("{streams:?}"))?;
    verify_groups(cluster, &group).await?;
    delete_with_logs(cluster, &service, &group).await
}

/// The group of the service has its retention, and a pod that is of no service a group of its own.
async fn verify_groups(cluster: &TestCluster<'_>, group: &str) -> Outcome {
    let answer = cluster.aws(&["logs", "describe-log-groups", "--log-group-name-prefix", group])?;
    ensure(answer["logGroups"][0]["retentionInDays"] == 120, || answer.to_string())?;
    let agents = cluster.admin.get("/api/v1/namespaces/firecamp-system/pods").await?;
    let agent = text(&agents["items"][0]["metadata"]["name"]);
    let own = format!("{CLUSTER}-firecamp-system-{agent}");
    let answer = cluster.aws(&["logs", "describe-log-groups", "--log-group-name-prefix", &own])?;
    ensure(answer["logGroups"][0]["logGroupName"] == own, || format!("{own}: {answer}"))
}

/// `firecamp service delete --logs`, on a machine of the VPC.
async fn delete_with_logs(cluster: &TestCluster<'_>, service: &str, group: &str) -> Outcome {
    let firecamp = firecamp_testkit::build::command().map_err(failed("build the command"))?;
    let mut command = cluster.with_role(firecamp.to_path_buf())?;
    command.args(["service", "delete", service, "--yes", "--logs", "--cluster-name", CLUSTER]);
    command.arg("--kubeconfig").arg(kubeconfig(&cluster.running.home, "admin"));
    let said = output_of(&mut command)?;
    ensure(said.contains(&format!("log group {group} deleted")), || said.clone())?;
    // Nothing that the collector still sends creates it again.
    sleep(REFUSED).await;
    let answer = cluster.aws(&["logs", "describe-log-groups", "--log-group-name-prefix", group])?;
    ensure(answer["logGroups"].as_array().is_some_and(Vec::is_empty), || answer.to_string())
}
