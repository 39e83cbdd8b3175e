//! Logs of services in CloudWatch Logs, by the collector of deploy/logs.

mod collector;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use firecamp_core::contract::service::{UUID_LABEL, log_group};
use nix::sys::signal::Signal;
use serde_json::json;
use tokio::time::sleep;
use vpcbox::vpc::{Fault, FaultSpec, Selector};

use self::collector::{collectors, last_line, last_rotated, positions, send_all};
use super::processes::{output_of, processes, send};
use super::set::NAMESPACE;
use super::test_cluster::{TestCluster, ensure, text};
use crate::images::BUSYBOX;
use crate::install::{PATIENCE, until, until_within};
use crate::member::PORT;
use crate::settings::kubeconfig;
use crate::topology::CLUSTER;
use crate::{Outcome, failed};

const SERVICE: &str = "talker";
/// The numbered lines of a run: more than the kubelet keeps in two files, less than in all.
const LINES: usize = 3_000;
/// The length of what follows the number.
const PAD: usize = 4_000;
/// After so many lines, a record of two lines is written.
const EVERY: usize = 500;
/// The length of the line that the runtime splits.
const LONG: usize = 100_000;
/// A collector that reads nothing for this time has stopped reading: lines are written each second.
const STALL: Duration = Duration::from_secs(3);
/// Lines that are still sent arrive within this time.
const LATE: Duration = Duration::from_secs(5);

/// Serves a port, and writes numbered lines in bursts, then one long line.
fn script(lines: usize) -> String {
    format!(
        "b={BUSYBOX}; $b httpd -p {PORT}; pad=$(printf '%{PAD}s' x); i=0; \
         while [ $i -lt {lines} ]; do echo \"line $i $pad\"; i=$((i+1)); \
         [ $((i % {EVERY})) -ne 0 ] || printf \"Error $i\\n\\tat line $i\\n\"; \
         [ $((i % 100)) -ne 0 ] || $b sleep 1; done; \
         printf 'long%{LONG}s\\n' x; $b sleep infinity; :"
    )
}

/// The lines that a run of [`LINES`] writes.
fn written() -> Vec<String> {
    let mut all = Vec::new();
    for number in 1..=LINES {
        all.push(format!("line {} {:>PAD$}", number - 1, "x"));
        if number % EVERY == 0 {
            all.extend([format!("Error {number}"), format!("\tat line {number}")]);
        }
    }
    all.push(format!("long{}x", " ".repeat(LONG - 1)));
    all
}

/// A container of the service, with the names of its logs.
struct Member<'a> {
    name: &'a str,
    group: String,
    stream: String,
}

impl TestCluster<'_> {
    /// Creates the service, and waits until its first lines are in CloudWatch.
    async fn create_talker<'a>(&self, member: &'a str, lines: usize) -> Outcome<Member<'a>> {
        let create =
            ["create", "--image", "localhost/pause:1", "--replicas", "1", "--pool", "main"];
        let (port, writer) = (format!("tcp={PORT}"), script(lines));
        let run = ["--port", &port, "--grace", "2", "--user", "65532", "--wait", "--"];
        let words = [&create[..], &run[..], &[BUSYBOX, "sh", "-c", &writer]].concat();
        self.service_exits_of(&format!("{NAMESPACE}/{SERVICE}"), &words, 0).await?;
        let uuid = text(&self.pod(member).await?["metadata"]["labels"][UUID_LABEL]);
        let group = log_group(CLUSTER, NAMESPACE, SERVICE, &uuid);
        let stream = self.stream_of(member, "containerStatuses", SERVICE).await?;
        until("the first lines are in the stream", || async {
            let lines = self.lines(&group, &stream)?;
            ensure(!lines.is_empty(), || format!("{group} {stream}"))
        })
        .await?;
        Ok(Member { name: member, group, stream })
    }

    /// The events of a stream in the order of CloudWatch, each with its time and the number of its
    /// line in the run.
    fn numbered(&self, group: &str, stream: &str) -> Outcome<Vec<(u64, usize)>> {
        let numbers: BTreeMap<String, usize> = written().into_iter().zip(0..).collect();
        let number = |(at, line): (u64, String)| {
            let number = numbers.get(&line).ok_or_else(|| format!("not a line: {line:.80}"))?;
            Ok((at, *number))
        };
        self.lines(group, stream)?.into_iter().map(number).collect()
    }

    /// A stream has every line of a run exactly once, in order: also the lines of one record.
    fn verify_complete(&self, group: &str, stream: &str) -> Outcome {
        verify_run(stream, self.numbered(group, stream)?)
    }

    /// The same after a collector was killed. It sends again what it did not know to be sent, so
    /// that lines may be there twice, and those of the same millisecond in another order.
    fn verify_complete_after_kill(&self, group: &str, stream: &str) -> Outcome {
        verify_run(stream, self.numbered(group, stream)?.into_iter().collect::<BTreeSet<_>>())
    }
}

fn verify_run(stream: &str, events: impl IntoIterator<Item = (u64, usize)>) -> Outcome {
    let seen: Vec<usize> = events.into_iter().map(|(_at, number)| number).collect();
    let all = written().len();
    let first = (0..all).zip(&seen).find(|(wanted, seen)| wanted != *seen);
    ensure(seen.len() == all && first.is_none(), || {
        format!("{stream}: {} of {all} lines, {first:?}", seen.len())
    })
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
    let name = format!("{SERVICE}-0");
    let member = cluster.create_talker(&name, LINES).await?;
    let Member { group, stream, .. } = &member;
    refuse_and_kill(cluster, &member).await?;
    until_within(PATIENCE, "every line is in the stream", || async {
        cluster.verify_complete_after_kill(group, stream)
    })
    .await?;

    // A container that starts again has a stream of its own, and so has the one of another pod.
    for process in processes("cmdline", "printf 'long") {
        send(process, Signal::SIGKILL)?;
    }
    let second = next_stream(cluster, &member, stream).await?;
    let first_init = cluster.stream_of(&name, "initContainerStatuses", "firecamp-init").await?;
    let before = cluster.wait_ready(&name, None).await?;
    cluster.admin.kubectl(&["-n", NAMESPACE, "delete", "pod", &name]).await?;
    cluster.wait_ready(&name, Some(&before)).await?;
    let third = next_stream(cluster, &member, &second).await?;
    let next_init = cluster.stream_of(&name, "initContainerStatuses", "firecamp-init").await?;
    cluster.verify_complete(group, &second)?;
    cluster.verify_complete_after_kill(group, stream)?;
    let streams = cluster.streams(group)?;
    let wanted = BTreeSet::from([stream.clone(), second, third, first_init, next_init]);
    ensure(streams == wanted, || format!("{streams:?} instead of {wanted:?}"))?;
    verify_groups(cluster, group).await?;

    let service = format!("{NAMESPACE}/{SERVICE}");
    cluster.service_exits_of(&service, &["delete", "--yes"], 0).await?;
    let kept = cluster.streams(group)?;
    ensure(kept == wanted, || format!("{kept:?} are kept of {wanted:?}"))?;
    let next = cluster.create_talker(&name, 1).await?;
    delete_with_logs(cluster, &service, &next.group).await
}

/// Waits until another container runs than that of this stream, and its stream is complete.
async fn next_stream(
    cluster: &TestCluster<'_>,
    member: &Member<'_>,
    before: &str,
) -> Outcome<String> {
    let next = until("the container starts again", || async {
        let next = cluster.stream_of(member.name, "containerStatuses", SERVICE).await?;
        ensure(next != before, || next.clone()).map(|()| next)
    })
    .await?;
    until_within(PATIENCE, "every line of the next run is in its stream", || async {
        cluster.verify_complete(&member.group, &next)
    })
    .await?;
    Ok(next)
}

/// CloudWatch refuses everything until the queue overflows. Then the kubelet rotates a file that
/// no collector reads, and the collectors are killed.
async fn refuse_and_kill(cluster: &TestCluster<'_>, member: &Member<'_>) -> Outcome {
    let logs = cluster.log_files(member.name).await?;
    let when = Selector { op: Some("PutLogEvents".to_owned()), ..Selector::default() };
    let fault: Fault =
        serde_json::from_value(json!({ "kind": "throttle_storm" })).map_err(failed("a fault"))?;
    let since = cluster.last_call()?;
    let fault = cluster.vpc(|vpc| vpc.fault_set(FaultSpec { fault, when }))?;
    until("a call is throttled", || async { cluster.verify_throttled(since) }).await?;
    until("the collector stops reading", || async {
        let before = positions(&logs)?;
        sleep(STALL).await;
        let after = positions(&logs)?;
        ensure(before == after, || format!("{before:?}, then {after:?}"))
    })
    .await?;
    let stopped = collectors()?;
    send_all(&stopped, Signal::SIGSTOP)?;
    let before = last_rotated(&logs)?;
    let rotated = until("the kubelet rotates a file that nobody reads", || async {
        let last = last_rotated(&logs)?.filter(|last| before.as_ref() != Some(last));
        last.ok_or_else(|| format!("the last rotation was at {before:?}"))
    })
    .await?;
    let last = last_line(&logs, &rotated)?;
    send_all(&stopped, Signal::SIGKILL)?;
    let sent = cluster.lines(&member.group, &member.stream)?;
    ensure(written().contains(&last), || format!("not a line: {last:.80}"))?;
    ensure(sent.iter().all(|(_at, line)| *line != last), || format!("{last:.80} was sent"))?;
    let since = cluster.last_call()?;
    until("the next collector is refused as well", || async { cluster.verify_throttled(since) })
        .await?;
    let complete = cluster.verify_complete_after_kill(&member.group, &member.stream);
    ensure(complete.is_err(), || "every line was sent while CloudWatch refused".to_owned())?;
    cluster.vpc(|vpc| vpc.fault_clear(Some(fault))).map(drop)
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
    sleep(LATE).await;
    let answer = cluster.aws(&["logs", "describe-log-groups", "--log-group-name-prefix", group])?;
    ensure(answer["logGroups"].as_array().is_some_and(Vec::is_empty), || answer.to_string())
}
