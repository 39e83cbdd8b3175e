//! Init containers that run a second time, and that end by SIGTERM.

use std::fs::{self, File};
use std::io::Read;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use nix::sys::signal::Signal;
use nix::unistd::Pid;
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};
use vpcbox::vpc::{Fault, FaultSpec, Selector};

use super::processes::{Watch, container, finish_traffic, sandbox, send};
use super::set::{NAMESPACE, Set};
use super::test_cluster::{PODS, Pod, TestCluster, ensure};
use crate::cli::print_line;
use crate::install::until;
use crate::{Outcome, failed};

/// Maximum time from SIGTERM to the exit of an init container on a machine that is not busy.
const PROMPT: Duration = Duration::from_secs(1);
/// Attempts to observe that.
const TRIES: u32 = 3;
/// Grace period that a pod needs only if SIGTERM does not end its init container.
const LONG: u32 = 120;

impl TestCluster<'_> {
    /// Runs the init container's program once more in a running pod, like a kubelet that lost the
    /// status of the first run.
    async fn rerun_init(&self, pod: &Pod) -> Outcome {
        let object = self.pod(&pod.name).await?;
        let first = &object["spec"]["initContainers"][0];
        let mut again = json!({ "name": "again" });
        for part in ["image", "env", "securityContext", "volumeMounts"] {
            again[part] = first[part].clone();
        }
        let change = json!({ "spec": { "ephemeralContainers": [again] } });
        let place = format!("{PODS}/{}/ephemeralcontainers", pod.name);
        let kind = "application/strategic-merge-patch+json";
        let answer = self.admin.api.patch_as(kind, &place, &change).await?;
        ensure(answer.code == 200, || answer.text)?;
        until("the second run of init ends", || async {
            let status = self.pod(&pod.name).await?["status"].take();
            let end = &status["ephemeralContainerStatuses"][0]["state"]["terminated"];
            ensure(end["exitCode"].is_i64(), || status.to_string())?;
            Ok(ensure(end["exitCode"] == 0, || end.to_string()))
        })
        .await?
    }

    /// Waits until a pod's init container has sent an Assign that EC2 does not answer yet.
    async fn wait_for_hanging_assign(&self, pod: &Pod, since: u64) -> Outcome<Pid> {
        until("an Assign hangs", || async {
            let sent = self.mutations(since)?.into_iter().any(|call| call.answered_at_us.is_none());
            ensure(sent, || "no Assign was sent".to_owned())?;
            container(&pod.uid, "firecamp-initcontainer")
        })
        .await
    }
}

/// The executables in the image of a process, without shared libraries and mounts.
fn executables(process: Pid) -> Outcome<Vec<String>> {
    let root = PathBuf::from(format!("/proc/{process}/root"));
    let device = fs::metadata(&root).map_err(failed(root.display()))?.dev();
    let mut found = Vec::new();
    let mut left = vec![root.clone()];
    while let Some(dir) = left.pop() {
        for entry in fs::read_dir(&dir).map_err(failed(dir.display()))? {
            let path = entry.map_err(failed(dir.display()))?.path();
            let name = path.strip_prefix(&root).unwrap_or(&path).display().to_string();
            let of = fs::symlink_metadata(&path).map_err(failed(path.display()))?;
            if of.is_dir() && of.dev() == device {
                left.push(path);
            } else if !of.is_dir() && !name.contains(".so") && is_executable(&path)? {
                found.push(name);
            }
        }
    }
    Ok(found)
}

/// Whether the kernel can execute a file: an ELF binary or a script.
fn is_executable(file: &Path) -> Outcome<bool> {
    let mut head = [0; 4];
    let read = File::open(file).and_then(|mut file| file.read(&mut head));
    read.map_err(failed(file.display()))?;
    Ok(head.starts_with(b"\x7fELF") || head.starts_with(b"#!"))
}

/// Fails if the image of a process contains another executable than this one.
fn verify_only_program(process: Pid, program: &str) -> Outcome {
    let found = executables(process)?;
    ensure(found == [program], || format!("executables in the image of {program}: {found:?}"))
}

/// Sends SIGTERM to a process and returns the time until it exits.
async fn terminate(process: Pid) -> Outcome<Duration> {
    let begun = Instant::now();
    send(process, Signal::SIGTERM)?;
    let place = format!("/proc/{process}/cmdline");
    // The command line of a zombie is empty.
    while !fs::read(&place).unwrap_or_default().is_empty() {
        ensure(begun.elapsed() < Duration::from_mins(1), || {
            format!("process {process} ignores SIGTERM")
        })?;
        sleep(Duration::from_millis(2)).await;
    }
    Ok(begun.elapsed())
}

pub(super) async fn f005_a_second_init_run_beside_the_service_changes_nothing(
    cluster: &TestCluster<'_>,
) -> Outcome {
    let set = Set::new("rerun", 1);
    let all = cluster.start_members(&set).await?;
    let [(pod, held)] = all.as_slice() else { return Err(format!("{all:?}")) };
    let before = cluster.last_call()?;
    let watch = Watch::start(sandbox(&pod.uid)?).await?;
    let client = cluster.traffic(&[held.address])?;
    cluster.rerun_init(pod).await?;
    let now = cluster.wait_held(pod).await?;
    ensure(now.address == held.address && now.epoch > held.epoch, || format!("{now:?}"))?;
    finish_traffic(client)?.verify_undisturbed()?;
    watch.verify_never_lost(held.address).await?;
    cluster.verify_mutations(before, 0)?;
    cluster.delete(&set).await?;
    cluster.wait_released(pod, held).await?;
    cluster.verify_mutations(before, 0)
}

pub(super) async fn f017_f014_init_is_the_only_program_in_its_image_and_exits_on_sigterm(
    cluster: &TestCluster<'_>,
) -> Outcome {
    let op = Some("AssignPrivateIpAddresses".to_owned());
    let when = Selector { op, ..Selector::default() };
    let fault = Fault::Hang { after_commit: false };
    let fault = cluster.vpc(|vpc| vpc.fault_set(FaultSpec { fault, when }))?;
    let set = Set { grace: LONG, ..Set::new("hanging", 1) };
    let outcome = end_hanging_assigns(cluster, &set).await;
    cluster.vpc(|vpc| vpc.fault_clear(Some(fault)))?;
    outcome?;

    // The next attach continues from what the ended one left.
    cluster.create(&set).await?;
    let pod = cluster.wait_ready("hanging-0", None).await?;
    cluster.wait_held(&pod).await?;
    verify_only_program(container(&pod.uid, "firecamp-stopcontainer")?, "firecamp-stopcontainer")?;
    for agent in cluster.agents() {
        verify_only_program(agent, "firecamp-agent")?;
    }
    let shell = ["-n", NAMESPACE, "exec", &pod.name, "--container=memberstop", "--", "/bin/sh"];
    let none = cluster.admin.kubectl(&shell).await.err().unwrap_or_default();
    ensure(none.contains("no such file or directory"), || {
        format!("kubectl exec of a shell: {none:?}")
    })?;
    cluster.delete(&set).await
}

/// An init container whose Assign hangs ends by SIGTERM, from a test or from the kubelet.
async fn end_hanging_assigns(cluster: &TestCluster<'_>, set: &Set) -> Outcome {
    let before = cluster.last_call()?;
    cluster.create(set).await?;
    let pod = until("hanging-0 is scheduled", || async {
        let object = cluster.pod("hanging-0").await?;
        let text = |value: &Value| value.as_str().map(str::to_owned);
        let place = text(&object["metadata"]["uid"]).zip(text(&object["spec"]["nodeName"]));
        let (uid, node) = place.ok_or_else(|| object.to_string())?;
        Ok(Pod { name: "hanging-0".to_owned(), uid, node })
    })
    .await?;
    end_hanging_assign(cluster, &pod, before).await?;

    // The kubelet's SIGTERM after a deletion ends it, too.
    cluster.wait_for_hanging_assign(&pod, cluster.last_call()?).await?;
    let begun = Instant::now();
    cluster.delete(set).await?;
    let took = begun.elapsed();
    ensure(took < Duration::from_secs(LONG.into()), || {
        format!("the pod was gone only after {took:?}")
    })
}

/// Sends SIGTERM to an init container whose Assign hangs, while its kubelet is stopped so that it
/// does not start the next one.
async fn end_hanging_assign(cluster: &TestCluster<'_>, pod: &Pod, before: u64) -> Outcome {
    let mut since = before;
    let mut all = Vec::new();
    for _try in 0..TRIES {
        let init = cluster.wait_for_hanging_assign(pod, since).await?;
        verify_only_program(init, "firecamp-initcontainer")?;
        let status = fs::read_to_string(format!("/proc/{init}/status"))
            .map_err(failed("read its status"))?;
        let first = status.lines().any(|line| line.starts_with("NSpid:") && line.ends_with("\t1"));
        ensure(first, || status.clone())?;
        let kubelet = cluster.kubelet(&pod.node)?;
        send(kubelet, Signal::SIGSTOP)?;
        let record = cluster.static_ip_specs().await?;
        since = cluster.last_call()?;
        let took = terminate(init).await;
        let changes = cluster.verify_mutations(since, 0);
        let after = cluster.static_ip_specs().await;
        send(kubelet, Signal::SIGCONT)?;
        let took = took?;
        changes?;
        ensure(Ok(&record) == after.as_ref(), || {
            format!("records changed after SIGTERM: {after:?} after {record}")
        })?;
        cluster.wait_for_sigterm_exit(pod).await?;
        print_line(&format!("        SIGTERM to exit: {} ms", took.as_millis()))?;
        if took <= PROMPT {
            return Ok(());
        }
        all.push(took);
    }
    Err(format!("the init container exited too late: {all:?}"))
}

impl TestCluster<'_> {
    /// The specs of all StaticIPs.
    async fn static_ip_specs(&self) -> Outcome<Value> {
        let all = self.admin.get(super::test_cluster::ADDRESSES).await?;
        let all = all["items"].as_array().into_iter().flatten();
        Ok(all.map(|one| one["spec"].clone()).collect())
    }

    /// Waits until the pod's status reports that SIGTERM ended its init container.
    async fn wait_for_sigterm_exit(&self, pod: &Pod) -> Outcome {
        until("the status reports exit code 143", || async {
            let object = self.pod(&pod.name).await?;
            let init = &object["status"]["initContainerStatuses"][0];
            let ends = [&init["state"]["terminated"], &init["lastState"]["terminated"]];
            ensure(ends.into_iter().any(|end| end["exitCode"] == 143), || init.to_string())
        })
        .await
    }
}
