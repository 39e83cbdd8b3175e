//! Init containers that run when nobody expects it, and that end when they are asked to.

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

use super::ports::{container, ended, send};
use super::scene::{PODS, Pod, Scene, ensure};
use super::set::{NAMESPACE, Set};
use crate::cli::say;
use crate::install::until;
use crate::{Outcome, failed};

/// No signal takes longer than this to end an init container, unless the machine is busy.
const AT_ONCE: Duration = Duration::from_secs(1);
/// So often that is looked at.
const TRIES: u32 = 3;
/// Far more than what is ended by its signal takes to be gone.
const LONG: u32 = 120;

impl Scene<'_> {
    /// Runs the init container's program once more in a pod that lives, as kubelets did that lost
    /// sight of the first run.
    async fn init_again(&self, pod: &Pod) -> Outcome {
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
        until("init has run again", || async {
            let status = self.pod(&pod.name).await?["status"].take();
            let end = &status["ephemeralContainerStatuses"][0]["state"]["terminated"];
            ensure(end["exitCode"].is_i64(), || status.to_string())?;
            Ok(ensure(end["exitCode"] == 0, || end.to_string()))
        })
        .await?
    }

    /// Waits until a pod's init container has sent an Assign that EC2 does not answer.
    async fn assigning(&self, pod: &Pod, since: u64) -> Outcome<Pid> {
        until("an Assign hangs", || async {
            let sent = self.changes(since)?.into_iter().any(|call| call.answered_at_us.is_none());
            ensure(sent, || "none was sent".to_owned())?;
            container(&pod.uid, "firecamp-initcontainer")
        })
        .await
    }
}

/// The programs in the image of a process. Libraries are none, and mounts are no part of it.
fn programs(process: Pid) -> Outcome<Vec<String>> {
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
            } else if !of.is_dir() && !name.contains(".so") && runs(&path)? {
                found.push(name);
            }
        }
    }
    Ok(found)
}

/// Whether a file is what a kernel runs: a binary, or a script.
fn runs(file: &Path) -> Outcome<bool> {
    let mut head = [0; 4];
    let read = File::open(file).and_then(|mut file| file.read(&mut head));
    read.map_err(failed(file.display()))?;
    Ok(head.starts_with(b"\x7fELF") || head.starts_with(b"#!"))
}

/// Fails if there is another program than this one around a process.
fn alone(process: Pid, program: &str) -> Outcome {
    let found = programs(process)?;
    ensure(found == [program], || format!("beside {program}: {found:?}"))
}

/// Ends a process by SIGTERM: how long that took.
async fn terminated(process: Pid) -> Outcome<Duration> {
    let begun = Instant::now();
    send(process, Signal::SIGTERM)?;
    let place = format!("/proc/{process}/cmdline");
    // Of a process that only waits to be noticed nothing can be read.
    while !fs::read(&place).unwrap_or_default().is_empty() {
        ensure(begun.elapsed() < Duration::from_mins(1), || "it goes on".to_owned())?;
        sleep(Duration::from_millis(2)).await;
    }
    Ok(begun.elapsed())
}

pub(super) async fn f005_init_that_runs_again_beside_the_service_changes_nothing(
    scene: &Scene<'_>,
) -> Outcome {
    let set = Set::new("rerun", 1);
    let all = scene.started(&set).await?;
    let [(pod, held)] = all.as_slice() else { return Err(format!("{all:?}")) };
    let before = scene.calls()?;
    let watch = scene.watch(&pod.node).await?;
    let client = scene.traffic(&[held.address])?;
    scene.init_again(pod).await?;
    let now = scene.holds(pod).await?;
    ensure(now.address == held.address && now.epoch > held.epoch, || format!("{now:?}"))?;
    ended(client)?.undisturbed()?;
    scene.never_lost(watch, held.address).await?;
    scene.changed(before, 0)?;
    scene.delete(&set).await?;
    scene.released(pod, held).await?;
    scene.changed(before, 0)
}

pub(super) async fn f017_f014_an_init_container_is_alone_in_its_image_and_ends_at_its_signal(
    scene: &Scene<'_>,
) -> Outcome {
    let op = Some("AssignPrivateIpAddresses".to_owned());
    let when = Selector { op, ..Selector::default() };
    let fault = Fault::Hang { after_commit: false };
    let fault = scene.vpc(|vpc| vpc.fault_set(FaultSpec { fault, when }))?;
    let set = Set { grace: LONG, ..Set::new("hanging", 1) };
    let outcome = hangs(scene, &set).await;
    scene.vpc(|vpc| vpc.fault_clear(Some(fault)))?;
    outcome?;

    // What it left is where the next one begins.
    scene.create(&set).await?;
    let pod = scene.ready("hanging-0", None).await?;
    scene.holds(&pod).await?;
    alone(container(&pod.uid, "firecamp-stopcontainer")?, "firecamp-stopcontainer")?;
    for agent in scene.agents() {
        alone(agent, "firecamp-agent")?;
    }
    let shell = ["-n", NAMESPACE, "exec", &pod.name, "--container=memberstop", "--", "/bin/sh"];
    let none = scene.admin.kubectl(&shell).await.err().unwrap_or_default();
    ensure(none.contains("no such file or directory"), || format!("a shell: {none:?}"))?;
    scene.delete(&set).await
}

/// A member that EC2 never answers ends at its signal, whoever sends it.
async fn hangs(scene: &Scene<'_>, set: &Set) -> Outcome {
    let before = scene.calls()?;
    scene.create(set).await?;
    let pod = until("the pod is on a node", || async {
        let object = scene.pod("hanging-0").await?;
        let text = |value: &Value| value.as_str().map(str::to_owned);
        let place = text(&object["metadata"]["uid"]).zip(text(&object["spec"]["nodeName"]));
        let (uid, node) = place.ok_or_else(|| object.to_string())?;
        Ok(Pod { name: "hanging-0".to_owned(), uid, node })
    })
    .await?;
    ends_at_once(scene, &pod, before).await?;

    // And in the same way where its pod is deleted.
    scene.assigning(&pod, scene.calls()?).await?;
    let begun = Instant::now();
    scene.delete(set).await?;
    let took = begun.elapsed();
    ensure(took < Duration::from_secs(LONG.into()), || format!("gone after {took:?}"))
}

/// An init container whose Assign hangs has its signal, and no kubelet that would start the next.
async fn ends_at_once(scene: &Scene<'_>, pod: &Pod, before: u64) -> Outcome {
    let mut since = before;
    let mut all = Vec::new();
    for _try in 0..TRIES {
        let init = scene.assigning(pod, since).await?;
        alone(init, "firecamp-initcontainer")?;
        let status = fs::read_to_string(format!("/proc/{init}/status")).map_err(failed("it"))?;
        let first = status.lines().any(|line| line.starts_with("NSpid:") && line.ends_with("\t1"));
        ensure(first, || status.clone())?;
        let kubelet = scene.kubelet(&pod.node)?;
        send(kubelet, Signal::SIGSTOP)?;
        let record = scene.records().await?;
        since = scene.calls()?;
        let took = terminated(init).await;
        let changes = scene.changed(since, 0);
        let after = scene.records().await;
        send(kubelet, Signal::SIGCONT)?;
        let took = took?;
        changes?;
        ensure(Ok(&record) == after.as_ref(), || format!("{after:?} after {record}"))?;
        scene.interrupted(pod).await?;
        say(&format!("        signal to its end: {} ms", took.as_millis()))?;
        if took <= AT_ONCE {
            return Ok(());
        }
        all.push(took);
    }
    Err(format!("it never ended at once: {all:?}"))
}

impl Scene<'_> {
    /// What the registry says of all addresses.
    async fn records(&self) -> Outcome<Value> {
        let all = self.admin.get(super::scene::ADDRESSES).await?;
        let all = all["items"].as_array().into_iter().flatten();
        Ok(all.map(|one| one["spec"].clone()).collect())
    }

    /// Waits until the pod's status says that its init container was ended by a signal.
    async fn interrupted(&self, pod: &Pod) -> Outcome {
        until("its end is told", || async {
            let object = self.pod(&pod.name).await?;
            let init = &object["status"]["initContainerStatuses"][0];
            let ends = [&init["state"]["terminated"], &init["lastState"]["terminated"]];
            ensure(ends.into_iter().any(|end| end["exitCode"] == 143), || init.to_string())
        })
        .await
    }
}
