//! Other programs, and the processes of pods.

use std::fs;
use std::net::Ipv4Addr;
use std::process::{Child, Command, Stdio};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;

use super::scene::{Scene, ensure};
use crate::{Outcome, failed};

/// What a program prints that succeeds.
pub(super) fn said(command: &mut Command) -> Outcome<String> {
    let what = format!("{command:?}");
    let ended = command.output().map_err(failed(&what))?;
    if ended.status.success() {
        return Ok(String::from_utf8_lossy(&ended.stdout).into_owned());
    }
    Err(format!("{what}: {}", String::from_utf8_lossy(&ended.stderr)))
}

/// Processes whose file in /proc is such a text, of words that end in a zero byte.
pub(super) fn processes_with(file: &str, such: impl Fn(&str) -> bool) -> Vec<Pid> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    let matching = entries.filter_map(|entry| {
        let pid: i32 = entry.file_name().to_string_lossy().parse().ok()?;
        let text = fs::read(entry.path().join(file)).ok()?;
        such(&String::from_utf8_lossy(&text)).then(|| Pid::from_raw(pid))
    });
    matching.collect()
}

/// Processes whose file in /proc contains this.
pub(super) fn processes(file: &str, contains: &str) -> Vec<Pid> {
    processes_with(file, |text| text.contains(contains))
}

/// The containers of a pod of ours that live.
pub(super) fn containers(uid: &str) -> Vec<Pid> {
    processes("environ", &format!("POD_UID={uid}\0"))
}

/// The one of a pod's containers that runs this program.
pub(super) fn container(uid: &str, program: &str) -> Outcome<Pid> {
    let named = processes("cmdline", program);
    let found = containers(uid).into_iter().find(|pid| named.contains(pid));
    found.ok_or_else(|| format!("no {program} of pod {uid} runs"))
}

/// The process that holds the namespaces of a pod, found by one of its containers.
pub(super) fn sandbox(uid: &str) -> Outcome<Pid> {
    let space = |pid: &Pid| fs::read_link(format!("/proc/{pid}/ns/ipc")).ok();
    let member = containers(uid).pop().ok_or_else(|| format!("pod {uid} has no container"))?;
    let own = space(&member).ok_or("its namespaces are gone")?;
    let sleeping = processes("cmdline", "sleep\0infinity\0");
    let found = sleeping.into_iter().find(|pid| space(pid).as_ref() == Some(&own));
    found.ok_or_else(|| format!("pod {uid} has no sandbox"))
}

/// Sends a signal to a process that is there.
pub(super) fn send(pid: Pid, signal: Signal) -> Outcome {
    kill(pid, signal).map_err(failed(format!("{signal} to process {pid}")))
}

/// A program that runs beside a scenario; it is killed with this value.
pub(super) struct Beside {
    child: Child,
}

impl Beside {
    pub(super) fn start(command: &mut Command) -> Outcome<Self> {
        let what = format!("{command:?}");
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        Ok(Self { child: command.spawn().map_err(failed(what))? })
    }

    /// Ends its input, and returns what it printed.
    pub(super) fn finish(mut self) -> Outcome<String> {
        drop(self.child.stdin.take());
        let mut text = String::new();
        if let Some(mut out) = self.child.stdout.take() {
            std::io::Read::read_to_string(&mut out, &mut text).map_err(failed("its output"))?;
        }
        Ok(text)
    }

    /// Kills it, and returns what it printed so far.
    pub(super) fn kill(mut self) -> Outcome<String> {
        self.child.kill().map_err(failed("kill it"))?;
        self.finish()
    }
}

impl Drop for Beside {
    fn drop(&mut self) {
        // Either fails only if it has ended.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// What became of the connections of clients.
#[derive(Debug)]
pub(super) struct Traffic(Value);

impl Traffic {
    /// Nobody was kept waiting until he gave up, and no connection broke.
    pub(super) fn undisturbed(&self) -> Outcome {
        let Self(all) = self;
        let good = all["failed"] == 0 && all["lost"] == 0;
        let some = all["answered"].as_u64() > Some(10) && all["echoes"].as_u64() > Some(10);
        ensure(good && some, || format!("connections: {all}"))
    }
}

impl Scene<'_> {
    /// The kubelet of a node of this cluster.
    pub(super) fn kubelet(&self, node: &str) -> Outcome<Pid> {
        let name = format!("--hostname-override={node}\0");
        let home = &self.running.home;
        let found = processes_with("cmdline", |line| line.contains(&name) && home.is_in(line));
        found.first().copied().ok_or_else(|| format!("{node} has no kubelet"))
    }

    /// Processes in containers of this cluster whose file in /proc contains this.
    pub(super) fn contained(&self, file: &str, contains: &str) -> Vec<Pid> {
        let own = processes("cgroup", &self.running.home.cgroups());
        let mut all = processes(file, contains);
        all.retain(|pid| own.contains(pid));
        all
    }

    /// The agents of this cluster.
    pub(super) fn agents(&self) -> Vec<Pid> {
        self.contained("cmdline", "firecamp-agent\0")
    }

    /// A client in the VPC that keeps connections to these addresses and opens further ones.
    pub(super) fn traffic(&self, addresses: &[Ipv4Addr]) -> Outcome<Beside> {
        let mut client = self.running.anywhere("client", self.running.ourselves()?)?;
        client.arg("traffic").args(addresses.iter().map(ToString::to_string));
        Beside::start(&mut client)
    }

    /// Whether an address was ever removed from a worker's kernel: ended by [`never_lost`].
    pub(super) fn watch(&self, worker: &str) -> Outcome<Beside> {
        let mut monitor = self.running.on(worker, "ip")?;
        Beside::start(monitor.args(["-o", "-4", "monitor", "address"]))
    }
}

/// Ends a client, and says how its connections went.
pub(super) fn ended(client: Beside) -> Outcome<Traffic> {
    let said = client.finish()?;
    serde_json::from_str(&said).map(Traffic).map_err(failed(said))
}

/// Ends the watch of a kernel, and fails if it lost the address meanwhile.
pub(super) fn never_lost(watch: Beside, address: Ipv4Addr) -> Outcome {
    let said = watch.kill()?;
    let gone = |line: &&str| line.contains("Deleted") && line.contains(&address.to_string());
    let lines: Vec<&str> = said.lines().filter(gone).collect();
    ensure(lines.is_empty(), || format!("{address} went away: {lines:?}"))
}
