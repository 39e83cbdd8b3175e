//! The collector of deploy/logs on each node, the files that it reads, and what it sends to
//! CloudWatch Logs.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use firecamp_checks::deploy::objects;
use nix::sys::signal::Signal;
use nix::unistd::Pid;
use serde_json::{Value, json};
use tempfile::NamedTempFile;

use super::SERVICE;
use crate::e2e::processes::{output_of, processes, send};
use crate::e2e::set::NAMESPACE;
use crate::e2e::test_cluster::{TestCluster, ensure, text};
use crate::install::tool;
use crate::topology::{CLUSTER, REGION, WORKERS};
use crate::{Outcome, failed, images};

const MANIFEST: &str = "deploy/logs/collector.yaml";
/// CloudWatch Logs in the box.
const LOGS: &str = "http://198.18.0.12";
/// Route 53 in the box.
const ROUTE53: &str = "http://198.18.0.11";
/// The queue, and one that a few seconds fill.
const QUEUE: [&str; 2] = ["queue_size: 500\n", "queue_size: 2\n"];

impl TestCluster<'_> {
    /// Installs the collector as users do, with this cluster's name and CloudWatch, and a queue
    /// that overflows soon.
    pub(super) async fn start_collector(&self) -> Outcome {
        let program = tool("otelcol", ".", "tools/otelcol")?;
        let archive = self.running.home.path("collector.tar");
        images::collector(&program, &archive)?;
        self.import_images(&archive)?;
        let mut all = objects(MANIFEST)?;
        for object in &mut all {
            adapt(object)?;
        }
        let list = json!({ "apiVersion": "v1", "kind": "List", "items": all });
        let file = NamedTempFile::new().map_err(failed("a file"))?;
        fs::write(file.path(), list.to_string()).map_err(failed("a manifest"))?;
        let path = file.path().display().to_string();
        self.admin.kubectl(&["apply", "--filename", &path]).await?;
        let ready = ["rollout", "status", "daemonset/firecamp-logs", "--timeout=240s"];
        let words = [&["--namespace", "firecamp-logs"], ready.as_slice()].concat();
        self.admin.kubectl(&words).await.map(drop)
    }

    /// Runs a program on the first worker, with the role of the node.
    pub(super) fn with_role(&self, program: PathBuf) -> Outcome<Command> {
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
    pub(in crate::e2e) fn aws(&self, words: &[&str]) -> Outcome<Value> {
        let tools = std::env::var_os("AWS_TOOLS").map(PathBuf::from);
        let tools = tools.ok_or("AWS_TOOLS is not set: run this by `make e2e`")?;
        let mut command = self.with_role(tools.join("aws"))?;
        let answer = output_of(command.args(words).args(["--output", "json"]))?;
        serde_json::from_str(&answer).map_err(failed(words.join(" ")))
    }

    pub(super) fn streams(&self, group: &str) -> Outcome<BTreeSet<String>> {
        let answer = self.aws(&["logs", "describe-log-streams", "--log-group-name", group])?;
        let all = answer["logStreams"].as_array().cloned().unwrap_or_default();
        Ok(all.iter().map(|one| text(&one["logStreamName"])).collect())
    }

    /// What the container of a stream wrote, each line with its time, in the order of CloudWatch.
    pub(super) fn lines(&self, group: &str, stream: &str) -> Outcome<Vec<(u64, String)>> {
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

    /// The stream of a container that runs, by the contract of the original.
    pub(super) async fn stream_of(&self, pod: &str, list: &str, name: &str) -> Outcome<String> {
        let object = self.pod(pod).await?;
        let all = object["status"][list].as_array().cloned().unwrap_or_default();
        let one = all.iter().find(|one| one["name"] == name);
        let id = one.map(|one| text(&one["containerID"])).unwrap_or_default();
        let id = id.strip_prefix("containerd://").and_then(|id| id.get(..13));
        let id = id.ok_or_else(|| format!("{name}: {}", object["status"]))?;
        Ok(format!("{pod}/{name}/{}/{id}", text(&object["spec"]["nodeName"])))
    }

    /// Fails unless CloudWatch has throttled a PutLogEvents after this call.
    pub(super) fn verify_throttled(&self, since: u64) -> Outcome {
        let calls = self.vpc(|vpc| vpc.calls(since))?;
        let throttled = |code: &Option<String>| code.as_deref() == Some("ThrottlingException");
        let found = calls.iter().any(|call| call.action == "PutLogEvents" && throttled(&call.code));
        ensure(found, || format!("no PutLogEvents of {} calls was throttled", calls.len()))
    }

    /// Where the runtime writes the logs of the service's container.
    pub(super) async fn log_files(&self, member: &str) -> Outcome<PathBuf> {
        let pod = self.pod(member).await?;
        let node = self.running.init_process(&text(&pod["spec"]["nodeName"]))?;
        let uid = text(&pod["metadata"]["uid"]);
        let logs = format!("var/log/pods/{NAMESPACE}_{member}_{uid}/{SERVICE}");
        Ok(PathBuf::from(format!("/proc/{node}/root")).join(logs))
    }
}

/// An object of the manifest for this cluster.
fn adapt(object: &mut Value) -> Outcome {
    match text(&object["kind"]).as_str() {
        "ConfigMap" if object["data"]["CLUSTER_NAME"].is_string() => {
            object["data"] = json!({ "CLUSTER_NAME": CLUSTER, "AWS_REGION": REGION });
        }
        "ConfigMap" => {
            let ([long, short], shipped) = (QUEUE, text(&object["data"]["collector.yaml"]));
            let adapted = shipped.replacen(long, short, 1);
            ensure(adapted != shipped, || format!("no {long} in {shipped}"))?;
            object["data"] = json!({ "collector.yaml": adapted });
        }
        "DaemonSet" => {
            let pod = &mut object["spec"]["template"]["spec"];
            // Pods with a network of their own do not reach the metadata service here.
            pod["hostNetwork"] = json!(true);
            let more = json!({ "name": "AWS_ENDPOINT_URL_CLOUDWATCH_LOGS", "value": LOGS });
            pod["containers"][0]["env"].as_array_mut().ok_or("no env")?.push(more);
        }
        _ => {}
    }
    Ok(())
}

/// The processes of the collectors, one on each worker.
pub(super) fn collectors() -> Outcome<Vec<Pid>> {
    let all = processes("cmdline", "--config=/etc/firecamp-logs/collector.yaml");
    ensure(all.len() == WORKERS.len(), || format!("collectors: {all:?}"))?;
    Ok(all)
}

/// Sends a signal to these collectors.
pub(super) fn send_all(collectors: &[Pid], signal: Signal) -> Outcome {
    collectors.iter().try_for_each(|collector| send(*collector, signal))
}

/// How far the collectors have read the open files of a container's logs.
pub(super) fn positions(logs: &Path) -> Outcome<Vec<String>> {
    let pod = logs.iter().rev().nth(1).unwrap_or_default().to_string_lossy().into_owned();
    let mut found = Vec::new();
    for collector in collectors()? {
        let open = fs::read_dir(format!("/proc/{collector}/fd")).map_err(failed("open files"))?;
        let of_pod = open.flatten().filter(|file| {
            fs::read_link(file.path()).is_ok_and(|target| target.to_string_lossy().contains(&pod))
        });
        for file in of_pod {
            let number = file.file_name();
            let info = Path::new("/proc").join(collector.to_string()).join("fdinfo").join(number);
            let info = fs::read_to_string(info).map_err(failed("an open file"))?;
            found.push(info.lines().next().unwrap_or_default().to_owned());
        }
    }
    ensure(!found.is_empty(), || format!("no collector has a file of {pod} open"))?;
    Ok(found)
}

/// The time of the container's last file that the kubelet has rotated, from its name.
pub(super) fn last_rotated(logs: &Path) -> Outcome<Option<String>> {
    let files = fs::read_dir(logs).map_err(failed(logs.display()))?;
    let names = files.flatten().map(|file| file.file_name().to_string_lossy().into_owned());
    let time = |name: String| Some(name.strip_prefix("0.log.")?.get(..15)?.to_owned());
    Ok(names.filter_map(time).max())
}

/// The last line of a rotated file, without what the runtime writes before it.
pub(super) fn last_line(logs: &Path, rotated: &str) -> Outcome<String> {
    let file = logs.join(format!("0.log.{rotated}"));
    let text = fs::read_to_string(&file).map_err(failed(file.display()))?;
    let last = text.lines().last().and_then(|line| line.splitn(4, ' ').nth(3));
    last.map(str::to_owned).ok_or_else(|| format!("{} is empty", file.display()))
}
