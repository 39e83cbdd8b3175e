//! etcd and kube-apiserver on a machine of the VPC, outside of the nodes.

use std::fs::OpenOptions;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use firecamp_kube::{Source, Timeouts};
use firecamp_testkit::kubernetes::{ADMIN, Api, Assets, Keys, Server, apiserver_flags, etcd_flags};
use nix::sched::{CpuSet, sched_getaffinity, sched_setaffinity};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tokio::process::{Child, Command};
use tokio::time::{Instant, sleep, timeout};

use super::audit;
use super::fleet::{CONTROL, CONTROL_ADDRESS};
use crate::boxed::fixture::Fixture;
use crate::failure::Failure;
use crate::samples::progress;

/// The port of the API server, and those of etcd: clients, peers and metrics.
const PORT: u16 = 6443;
const STORE: (u16, u16) = (2379, 2380);
const METRICS: u16 = 2381;
/// A server with many objects fills its caches first.
const PATIENCE: Duration = Duration::from_mins(5);
const PAUSE: Duration = Duration::from_millis(200);
/// The largest database that etcd supports.
const QUOTA: u64 = 8 << 30;

/// How kube-apiserver runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Mode {
    /// Whether the feature gate `ListFromCacheSnapshot` is on.
    pub(super) snapshots: bool,
    /// Whether it and etcd have a fixed half of the processors.
    pub(super) pinned: bool,
}

/// The servers.
pub(super) struct Control {
    assets: Assets,
    keys: Keys,
    dir: PathBuf,
    vpcbox: PathBuf,
    started: u32,
    // Drop order: the API server, etcd.
    apiserver: Option<Child>,
    etcd: Option<Child>,
}

impl Control {
    /// Their files are in this directory.
    pub(super) fn prepare(dir: &Path, vpcbox: &Path) -> Result<Self, Failure> {
        let assets = Assets::find(&["etcd", "kube-apiserver"]).map_err(Failure::new)?;
        let keys = Keys::make(dir, &[ADMIN]).map_err(Failure::new)?;
        keys.write("audit-policy.yaml", &audit::policy().to_string()).map_err(Failure::new)?;
        let (dir, vpcbox) = (dir.to_owned(), vpcbox.to_owned());
        Ok(Self { assets, keys, dir, vpcbox, started: 0, apiserver: None, etcd: None })
    }

    /// Starts both, or starts them again with the objects that they have. Each run of the API
    /// server has an audit log of its own.
    pub(super) async fn start(&mut self, fixture: &Fixture, mode: Mode) -> Result<Api, Failure> {
        self.stop().await?;
        self.started = self.started.saturating_add(1);
        let flags = etcd_flags(&self.assets, &self.dir.join("etcd"), STORE);
        let mut flags = flags.map_err(Failure::new)?;
        flags.push(format!("--quota-backend-bytes={QUOTA}"));
        flags.push(format!("--listen-metrics-urls=http://{CONTROL_ADDRESS}:{METRICS}"));
        self.etcd = Some(self.spawn(fixture, "etcd", &flags, mode)?);
        let store = format!("http://127.0.0.1:{}", STORE.0);
        let at = (CONTROL_ADDRESS, PORT);
        let mut flags = apiserver_flags(&self.keys, &store, at, &self.log_name());
        let snapshots = mode.snapshots;
        // The server's own check of its cache reads all objects from etcd every five minutes.
        flags.push(format!(
            "--feature-gates=ListFromCacheSnapshot={snapshots},DetectCacheInconsistency=false"
        ));
        // One file for each run.
        flags.push("--audit-log-maxsize=100000".to_owned());
        self.apiserver = Some(self.spawn(fixture, "kube-apiserver", &flags, mode)?);
        self.ready().await
    }

    fn spawn(
        &self,
        fixture: &Fixture,
        name: &str,
        flags: &[String],
        mode: Mode,
    ) -> Result<Child, Failure> {
        let what = format!("start {name}");
        let log = self.dir.join(format!("{name}.log"));
        let log = OpenOptions::new().append(true).create(true).open(log);
        let log = log.map_err(Failure::of(&what))?;
        let program = self.assets.program(name);
        let mut command = Command::from(fixture.vpc.exec(&self.vpcbox, CONTROL, program));
        command.args(flags).env_clear().envs(std::env::var_os("PATH").map(|path| ("PATH", path)));
        command.current_dir(&self.dir).stdin(Stdio::null()).stdout(Stdio::null()).stderr(log);
        command.kill_on_drop(true);
        let spawn = || command.spawn().map_err(Failure::of(&what));
        if mode.pinned { on(Half::Control, spawn) } else { on(Half::Both, spawn) }
    }

    /// Ends both, so that the objects are on disk.
    pub(super) async fn stop(&mut self) -> Result<(), Failure> {
        for (name, child) in [("kube-apiserver", self.apiserver.take()), ("etcd", self.etcd.take())]
        {
            let Some(mut child) = child else { continue };
            let Some(pid) = pid(&child) else { continue };
            kill(pid, Signal::SIGTERM).map_err(Failure::of(format!("stop {name}")))?;
            if timeout(PATIENCE, child.wait()).await.is_err() {
                return Err(Failure::new(format!("{name} does not stop: {}", self.tail(name))));
            }
        }
        Ok(())
    }

    async fn ready(&mut self) -> Result<Api, Failure> {
        let admin = self.kubeconfig("admin", ADMIN.token)?;
        let begun = Instant::now();
        while begun.elapsed() < PATIENCE {
            for (name, child) in [("kube-apiserver", &mut self.apiserver), ("etcd", &mut self.etcd)]
            {
                let ended = child.as_mut().and_then(|child| child.try_wait().ok().flatten());
                if let Some(status) = ended {
                    let log = tail(&self.dir, name);
                    return Err(Failure::new(format!("{name} ended with {status}: {log}")));
                }
            }
            // The certificate may not exist yet.
            if let Ok(api) = client(&admin).await
                && api.get("/readyz").await.is_ok_and(|answer| answer.code == 200)
            {
                progress(&format!("kube-apiserver is ready after {:.1?}", begun.elapsed()));
                return Ok(api);
            }
            sleep(PAUSE).await;
        }
        Err(Failure::new(format!("kube-apiserver is not ready: {}", self.tail("kube-apiserver"))))
    }

    /// The kubeconfig of a user, `NAMESPACE.NAME`, with this token.
    pub(super) fn kubeconfig(&self, user: &str, token: &str) -> Result<PathBuf, Failure> {
        let url = format!("https://{CONTROL_ADDRESS}:{PORT}");
        self.keys.kubeconfig(user, token, Server { url: &url, name: None }).map_err(Failure::new)
    }

    fn log_name(&self) -> String {
        format!("audit-{}.log", self.started)
    }

    /// The audit log of the running API server.
    pub(super) fn audit(&self) -> PathBuf {
        self.keys.path(&self.log_name())
    }

    /// A client of etcd's metrics.
    pub(super) fn store_metrics() -> Result<Api, Failure> {
        Api::plain(&format!("http://{CONTROL_ADDRESS}:{METRICS}")).map_err(Failure::new)
    }

    /// The process IDs of kube-apiserver and etcd.
    pub(super) fn pids(&self) -> Result<[Pid; 2], Failure> {
        let of = |child: &Option<Child>| child.as_ref().and_then(pid);
        match [of(&self.apiserver), of(&self.etcd)] {
            [Some(apiserver), Some(etcd)] => Ok([apiserver, etcd]),
            _ => Err(Failure::new("kube-apiserver or etcd does not run")),
        }
    }

    fn tail(&self, name: &str) -> String {
        tail(&self.dir, name)
    }
}

/// A client with the credentials of a kubeconfig, as an agent has it.
pub(super) async fn client(kubeconfig: &Path) -> Result<Api, Failure> {
    let source = Source::Kubeconfig(kubeconfig.to_owned());
    let client = source.client(Timeouts::default()).await;
    client.map(Api::new).map_err(|wrong| Failure::new(wrong.detail))
}

fn pid(child: &Child) -> Option<Pid> {
    child.id().and_then(|id| i32::try_from(id).ok()).map(Pid::from_raw)
}

/// The end of a server's log.
fn tail(dir: &Path, name: &str) -> String {
    let log = std::fs::read_to_string(dir.join(format!("{name}.log"))).unwrap_or_default();
    let lines: Vec<&str> = log.lines().collect();
    lines.get(lines.len().saturating_sub(15)..).unwrap_or_default().join("\n")
}

/// A part of the processors.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Half {
    Control,
    Fleet,
    Both,
}

/// The processors of a half. With one processor both have it.
fn processors(half: Half, count: usize) -> Result<CpuSet, Failure> {
    let mut set = CpuSet::new();
    let part = match half {
        Half::Control if count > 1 => 0..count / 2,
        Half::Fleet if count > 1 => count / 2..count,
        Half::Control | Half::Fleet | Half::Both => 0..count,
    };
    for processor in part {
        set.set(processor).map_err(Failure::of("choose processors"))?;
    }
    Ok(set)
}

/// The number of processors of this machine that this process could use when it started.
fn count() -> usize {
    std::fs::read_to_string("/proc/cpuinfo")
        .map_or(1, |text| text.lines().filter(|line| line.starts_with("processor")).count())
        .max(1)
}

/// Starts a process on a part of the processors: it inherits those of this thread.
fn on<T>(half: Half, start: impl FnOnce() -> Result<T, Failure>) -> Result<T, Failure> {
    let this = Pid::from_raw(0);
    let before = sched_getaffinity(this).map_err(Failure::of("read the processors"))?;
    let set = processors(half, count())?;
    sched_setaffinity(this, &set).map_err(Failure::of("choose processors"))?;
    let started = start();
    sched_setaffinity(this, &before).map_err(Failure::of("choose processors again"))?;
    started
}

/// Moves this process, and what it starts, to the half that the servers do not have. Call it before
/// there are other threads.
pub(super) fn leave_the_servers_half() -> Result<(), Failure> {
    let set = processors(Half::Fleet, count())?;
    sched_setaffinity(Pid::from_raw(0), &set).map_err(Failure::of("choose processors"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_servers_and_the_fleet_have_half_of_the_processors_each() {
        let has =
            |half, count, processor| processors(half, count).unwrap().is_set(processor).unwrap();
        assert!(has(Half::Control, 2, 0) && !has(Half::Control, 2, 1));
        assert!(!has(Half::Fleet, 2, 0) && has(Half::Fleet, 2, 1));
        assert!(has(Half::Fleet, 1, 0) && has(Half::Control, 1, 0));
    }
}
