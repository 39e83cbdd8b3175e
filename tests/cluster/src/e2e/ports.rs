//! Other programs, and the processes of pods.

use std::fs;
use std::net::Ipv4Addr;
use std::process::{Child, Command, Stdio};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;
use tempfile::NamedTempFile;

use super::scene::{Pod, Scene, ensure};
use crate::install::until;
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
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        Self::spawn(command)
    }

    fn spawn(command: &mut Command) -> Outcome<Self> {
        let what = format!("{command:?}");
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
}

impl Drop for Beside {
    fn drop(&mut self) {
        // Either fails only if it has ended.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// A program that runs beside a scenario, which reads what it prints as it does.
struct Reporter {
    _program: Beside,
    reported: NamedTempFile,
}

impl Reporter {
    fn start(command: &mut Command) -> Outcome<Self> {
        let reported = NamedTempFile::new().map_err(failed("a file"))?;
        // Both at one place of the file, so that neither writes over the other.
        let [out, err] = [reported.as_file().try_clone(), reported.as_file().try_clone()];
        command.stdin(Stdio::null()).stdout(out.map_err(failed("its output"))?);
        command.stderr(err.map_err(failed("its errors"))?);
        Ok(Self { _program: Beside::spawn(command)?, reported })
    }

    /// What it printed until now.
    fn reported(&self) -> Outcome<String> {
        fs::read_to_string(self.reported.path()).map_err(failed("what it printed"))
    }
}

/// What comes and goes in a worker's kernel, by a monitor that was seen to tell of it.
pub(super) struct Watch {
    monitor: Reporter,
    worker: String,
}

/// Addresses that are ours and nobody else's, by which a monitor shows that it tells: before what
/// it is to see, and after that.
const PROBES: [&str; 2] = ["127.66.0.1/32", "127.66.0.2/32"];

/// A client that was answered, and asks again and again.
pub(super) struct Asking(Reporter);

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

    /// A client in the VPC that notes who answers at an address; one has, already.
    pub(super) async fn asking(&self, address: Ipv4Addr) -> Outcome<Asking> {
        let mut client = self.running.anywhere("client", self.running.ourselves()?)?;
        let asking = Asking(Reporter::start(client.args(["ask", &address.to_string()]))?);
        until("the client is answered", || async {
            let reported = asking.0.reported()?;
            ensure(!reported.is_empty(), || "by nobody".to_owned())
        })
        .await?;
        Ok(asking)
    }

    /// Whether an address was ever removed from a worker's kernel: ended by [`Self::never_lost`].
    pub(super) async fn watch(&self, worker: &str) -> Outcome<Watch> {
        let mut monitor = self.running.on(worker, "ip")?;
        let monitor = Reporter::start(monitor.args(["-o", "-4", "monitor", "address"]))?;
        let watch = Watch { monitor, worker: worker.to_owned() };
        let [first, _last] = PROBES;
        self.is_reported(&watch, first).await?;
        Ok(watch)
    }

    /// Ends the watch of a kernel, and fails if it lost the address meanwhile.
    pub(super) async fn never_lost(&self, watch: Watch, address: Ipv4Addr) -> Outcome {
        let [_first, last] = PROBES;
        // It tells in order: of everything before this, too.
        self.is_reported(&watch, last).await?;
        kept(&watch.monitor.reported()?, address)
    }

    /// Waits until the monitor tells of an address that comes and goes.
    async fn is_reported(&self, watch: &Watch, probe: &str) -> Outcome {
        until(&format!("the monitor of {} tells of {probe}", watch.worker), || async {
            for verb in ["replace", "delete"] {
                let mut ip = self.running.on(&watch.worker, "ip")?;
                said(ip.args(["address", verb, probe, "dev", "lo"]))?;
            }
            let reported = watch.monitor.reported()?;
            ensure(reported.contains(&format!(" {probe} ")), || reported)
        })
        .await
    }
}

impl Asking {
    /// Waits until one of them answers last, and fails unless they answered in this order.
    pub(super) async fn was_answered_by(&self, pods: &[&Pod]) -> Outcome {
        let name = |pod: &&Pod| format!("{} {} {}", pod.name, pod.uid, pod.node);
        let wanted: Vec<String> = pods.iter().map(name).collect();
        let last = wanted.last().ok_or("nobody was to answer")?;
        until("the last of them answers", || async {
            let reported = self.0.reported()?;
            ensure(reported.lines().any(|line| line == last), || reported)
        })
        .await?;
        let reported = self.0.reported()?;
        let all: Vec<&str> = reported.lines().collect();
        ensure(all == wanted, || format!("{all:?} answered instead of {wanted:?}"))
    }
}

/// Ends a client, and says how its connections went.
pub(super) fn ended(client: Beside) -> Outcome<Traffic> {
    let said = client.finish()?;
    serde_json::from_str(&said).map(Traffic).map_err(failed(said))
}

/// Fails if a monitor that told this saw the address go, or may have missed it.
fn kept(reported: &str, address: Ipv4Addr) -> Outcome {
    let text = format!(" {address}/32 ");
    let gone = |line: &&str| line.starts_with("Deleted ") && line.contains(&text);
    let lines: Vec<&str> = reported.lines().filter(gone).collect();
    ensure(lines.is_empty(), || format!("{address} went away: {lines:?}"))?;
    ensure(!reported.contains("error"), || format!("the monitor missed something: {reported}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const ADDRESS: Ipv4Addr = Ipv4Addr::new(10, 0, 1, 64);

    fn line(address: &str) -> String {
        format!("2: eth0    inet {address} scope global eth0\\       valid_lft forever\n")
    }

    #[test]
    fn an_address_that_came_and_that_others_left_was_kept() {
        let reported = format!("{}Deleted {}", line("10.0.1.64/32"), line("10.0.1.6/32"));
        assert_eq!(kept(&reported, ADDRESS), Ok(()));
        assert_eq!(kept(&reported, Ipv4Addr::new(10, 0, 1, 4)), Ok(()));
    }

    #[test]
    fn an_address_that_went_was_not_kept_though_it_came_again() {
        let reported = format!("Deleted {}{}", line("10.0.1.64/32"), line("10.0.1.64/32"));
        assert!(kept(&reported, ADDRESS).unwrap_err().contains("went away"));
    }

    #[test]
    fn what_a_monitor_missed_was_not_seen_to_be_kept() {
        let reported = "netlink receive error No buffer space available (105)\n";
        assert!(kept(reported, ADDRESS).unwrap_err().contains("missed"));
    }
}
