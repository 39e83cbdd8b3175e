//! Running other programs, and finding processes of pods.

use std::fs;
use std::net::Ipv4Addr;
use std::process::{Child, Command, Stdio};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;
use tempfile::NamedTempFile;

use super::test_cluster::{Pod, TestCluster, ensure};
use crate::install::until;
use crate::{Outcome, failed};

/// Runs a program and returns its standard output. Fails if the exit status is not 0.
pub(super) fn output_of(command: &mut Command) -> Outcome<String> {
    let what = format!("{command:?}");
    let ended = command.output().map_err(failed(&what))?;
    if ended.status.success() {
        return Ok(String::from_utf8_lossy(&ended.stdout).into_owned());
    }
    Err(format!("{what}: {}", String::from_utf8_lossy(&ended.stderr)))
}

/// Processes whose /proc file satisfies `matches`. Its words are terminated by NUL.
pub(super) fn processes_with(file: &str, matches: impl Fn(&str) -> bool) -> Vec<Pid> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    let matching = entries.filter_map(|entry| {
        let pid: i32 = entry.file_name().to_string_lossy().parse().ok()?;
        let text = fs::read(entry.path().join(file)).ok()?;
        matches(&String::from_utf8_lossy(&text)).then(|| Pid::from_raw(pid))
    });
    matching.collect()
}

/// Processes whose /proc file contains this text.
pub(super) fn processes(file: &str, contains: &str) -> Vec<Pid> {
    processes_with(file, |text| text.contains(contains))
}

/// The running containers of a member's pod.
pub(super) fn containers(uid: &str) -> Vec<Pid> {
    processes("environ", &format!("POD_UID={uid}\0"))
}

/// The container of a pod whose command line contains this text.
pub(super) fn container(uid: &str, program: &str) -> Outcome<Pid> {
    let named = processes("cmdline", program);
    let found = containers(uid).into_iter().find(|pid| named.contains(pid));
    found.ok_or_else(|| format!("no {program} of pod {uid} runs"))
}

/// The pause process of a pod, found by the IPC namespace of one of its containers.
pub(super) fn sandbox(uid: &str) -> Outcome<Pid> {
    let space = |pid: &Pid| fs::read_link(format!("/proc/{pid}/ns/ipc")).ok();
    let member = containers(uid).pop().ok_or_else(|| format!("pod {uid} has no container"))?;
    let own = space(&member).ok_or_else(|| format!("pod {uid} has no namespaces"))?;
    let sleeping = processes("cmdline", "sleep\0infinity\0");
    let found = sleeping.into_iter().find(|pid| space(pid).as_ref() == Some(&own));
    found.ok_or_else(|| format!("pod {uid} has no sandbox"))
}

/// The runtime's process that starts and kills the containers of a pod: the parent of its sandbox.
pub(super) fn shim(uid: &str) -> Outcome<Pid> {
    let file = format!("/proc/{}/stat", sandbox(uid)?);
    let stat = fs::read_to_string(&file).map_err(failed(&file))?;
    // The program's name, in parentheses, may contain anything; proc_pid_stat(5).
    let parent = stat.rsplit(')').next().and_then(|rest| rest.split_whitespace().nth(1));
    let parent = parent.and_then(|pid| pid.parse().ok());
    parent.map(Pid::from_raw).ok_or_else(|| format!("{file} names no parent: {stat}"))
}

/// Sends a signal to a process. Fails if it has exited.
pub(super) fn send(pid: Pid, signal: Signal) -> Outcome {
    kill(pid, signal).map_err(failed(format!("send {signal} to process {pid}")))
}

/// A background process; it is killed when this value is dropped.
pub(super) struct Background {
    child: Child,
}

impl Background {
    pub(super) fn start(command: &mut Command) -> Outcome<Self> {
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        Self::spawn(command)
    }

    fn spawn(command: &mut Command) -> Outcome<Self> {
        let what = format!("{command:?}");
        Ok(Self { child: command.spawn().map_err(failed(what))? })
    }

    /// Closes its standard input and returns its standard output once it exits.
    pub(super) fn finish(mut self) -> Outcome<String> {
        drop(self.child.stdin.take());
        let mut text = String::new();
        if let Some(mut out) = self.child.stdout.take() {
            std::io::Read::read_to_string(&mut out, &mut text).map_err(failed("its output"))?;
        }
        Ok(text)
    }
}

impl Drop for Background {
    fn drop(&mut self) {
        // Both fail only if the process has exited.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// A background process whose output can be read while it runs.
pub(super) struct RecordedProcess {
    _process: Background,
    output: NamedTempFile,
}

impl RecordedProcess {
    pub(super) fn start(command: &mut Command) -> Outcome<Self> {
        let output = NamedTempFile::new().map_err(failed("a file"))?;
        // Both share one file offset, so that neither overwrites the other.
        let [out, err] = [output.as_file().try_clone(), output.as_file().try_clone()];
        command.stdin(Stdio::null()).stdout(out.map_err(failed("its output"))?);
        command.stderr(err.map_err(failed("its errors"))?);
        Ok(Self { _process: Background::spawn(command)?, output })
    }

    /// Its output until now.
    pub(super) fn output(&self) -> Outcome<String> {
        fs::read_to_string(self.output.path()).map_err(failed("read its output"))
    }
}

/// A running `ip monitor` of a network's addresses, which is known to report changes.
pub(super) struct Watch {
    monitor: RecordedProcess,
    /// A process in that network, which runs as long as the watch.
    network: Pid,
}

/// Addresses that only the tests use. The monitor must report the first one before the observed
/// steps, and the second one after them.
const PROBES: [&str; 2] = ["127.66.0.1/32", "127.66.0.2/32"];

/// A client that polls an address and has been answered once.
pub(super) struct AnswerLog(RecordedProcess);

/// Results of client connections, as [`crate::member::traffic`] prints them.
#[derive(Debug)]
pub(super) struct Traffic(Value);

impl Traffic {
    /// Fails if a connection broke or a request timed out.
    pub(super) fn verify_undisturbed(&self) -> Outcome {
        let Self(all) = self;
        let good = all["failed"] == 0 && all["lost"] == 0;
        let some = all["answered"].as_u64() > Some(10) && all["echoes"].as_u64() > Some(10);
        ensure(good && some, || format!("connections: {all}"))
    }
}

impl TestCluster<'_> {
    /// The kubelet of a node of this cluster.
    pub(super) fn kubelet(&self, node: &str) -> Outcome<Pid> {
        let name = format!("--hostname-override={node}\0");
        let home = &self.running.home;
        let found =
            processes_with("cmdline", |line| line.contains(&name) && home.is_named_in(line));
        found.first().copied().ok_or_else(|| format!("{node} has no kubelet"))
    }

    /// Processes in this cluster's containers whose /proc file contains this text.
    pub(super) fn contained(&self, file: &str, contains: &str) -> Vec<Pid> {
        let own = processes("cgroup", &self.running.home.cgroups());
        let mut all = processes(file, contains);
        all.retain(|pid| own.contains(pid));
        all
    }

    /// The processes of this cluster's agents.
    pub(super) fn agents(&self) -> Vec<Pid> {
        self.contained("cmdline", "firecamp-agent\0")
    }

    /// The process of a node's agent.
    pub(super) fn agent_on(&self, node: &str) -> Outcome<Pid> {
        let here = self.contained("environ", &format!("NODE_NAME={node}\0"));
        let found = self.agents().into_iter().find(|pid| here.contains(pid));
        found.ok_or_else(|| format!("{node} has no agent"))
    }

    /// A client in the VPC with long-lived and new connections to these addresses.
    pub(super) fn traffic(&self, addresses: &[Ipv4Addr]) -> Outcome<Background> {
        let mut client = self.running.on_machine("client", self.running.own_binary()?)?;
        client.arg("traffic").args(addresses.iter().map(ToString::to_string));
        Background::start(&mut client)
    }

    /// A service elsewhere in the VPC that answers with the address of its client.
    pub(super) fn serve_clients_address(&self, port: u16) -> Outcome<Background> {
        let mut service = self.running.on_machine("client", self.running.own_binary()?)?;
        service.args(["serve", "0.0.0.0", "--show-client", "--port", &port.to_string()]);
        Background::start(&mut service)
    }

    /// A client in the VPC that records which pod answers at an address. Waits for the first
    /// answer.
    pub(super) async fn record_answers(&self, address: Ipv4Addr) -> Outcome<AnswerLog> {
        let mut client = self.running.on_machine("client", self.running.own_binary()?)?;
        let answers =
            AnswerLog(RecordedProcess::start(client.args(["ask", &address.to_string()]))?);
        until("the client is answered", || async {
            let output = answers.0.output()?;
            ensure(!output.is_empty(), || format!("no answer at {address}"))
        })
        .await?;
        Ok(answers)
    }

    /// A process in the network of a worker.
    pub(super) fn in_network_of(&self, worker: &str) -> Outcome<Pid> {
        self.running.init_process(worker).map(Pid::from_raw)
    }
}

impl Watch {
    /// Starts to watch the network of a process for removed addresses, until
    /// [`Self::verify_never_lost`].
    pub(super) async fn start(network: Pid) -> Outcome<Self> {
        let mut monitor = ip_in(network);
        let monitor = RecordedProcess::start(monitor.args(["-o", "-4", "monitor", "address"]))?;
        let watch = Self { monitor, network };
        let [first, _last] = PROBES;
        watch.wait_for_probe(first).await.map(|()| watch)
    }

    /// Ends the watch. Fails if the address was removed meanwhile.
    pub(super) async fn verify_never_lost(self, address: Ipv4Addr) -> Outcome {
        let [_first, last] = PROBES;
        // The monitor reports in order, so it has reported all earlier changes, too.
        self.wait_for_probe(last).await?;
        verify_kept(&self.monitor.output()?, address)
    }

    /// Waits until the monitor reports a probe address, which is added and removed.
    async fn wait_for_probe(&self, probe: &str) -> Outcome {
        until(&format!("the monitor of {}'s network reports {probe}", self.network), || async {
            for verb in ["replace", "delete"] {
                output_of(ip_in(self.network).args(["address", verb, probe, "dev", "lo"]))?;
            }
            let output = self.monitor.output()?;
            ensure(output.contains(&format!(" {probe} ")), || output)
        })
        .await
    }
}

/// The command `ip` in the network of a process.
fn ip_in(network: Pid) -> Command {
    let mut command = Command::new("nsenter");
    command.args(["--net", "--target", &network.to_string(), "--", "ip"]);
    command
}

impl AnswerLog {
    /// Waits until the last of these pods answers. Fails unless they answered in this order.
    pub(super) async fn verify_answered_by(&self, pods: &[&Pod]) -> Outcome {
        let name = |pod: &&Pod| format!("{} {} {}", pod.name, pod.uid, pod.node);
        let wanted: Vec<String> = pods.iter().map(name).collect();
        let last = wanted.last().ok_or("no pods given")?;
        until("the last of the pods answers", || async {
            let output = self.0.output()?;
            ensure(output.lines().any(|line| line == last), || output)
        })
        .await?;
        let output = self.0.output()?;
        let all: Vec<&str> = output.lines().collect();
        ensure(all == wanted, || format!("{all:?} answered instead of {wanted:?}"))
    }
}

/// Stops a client and returns its results.
pub(super) fn finish_traffic(client: Background) -> Outcome<Traffic> {
    let output = client.finish()?;
    serde_json::from_str(&output).map(Traffic).map_err(failed(output))
}

/// Fails if the monitor's output contains a removal of the address, or reports lost messages.
fn verify_kept(output: &str, address: Ipv4Addr) -> Outcome {
    let text = format!(" {address}/32 ");
    let gone = |line: &&str| line.starts_with("Deleted ") && line.contains(&text);
    let lines: Vec<&str> = output.lines().filter(gone).collect();
    ensure(lines.is_empty(), || format!("{address} was removed from the kernel: {lines:?}"))?;
    ensure(!output.contains("error"), || format!("the monitor missed messages: {output}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const ADDRESS: Ipv4Addr = Ipv4Addr::new(10, 0, 1, 64);

    fn line(address: &str) -> String {
        format!("2: eth0    inet {address} scope global eth0\\       valid_lft forever\n")
    }

    #[test]
    fn additions_and_removals_of_other_addresses_pass() {
        let output = format!("{}Deleted {}", line("10.0.1.64/32"), line("10.0.1.6/32"));
        assert_eq!(verify_kept(&output, ADDRESS), Ok(()));
        assert_eq!(verify_kept(&output, Ipv4Addr::new(10, 0, 1, 4)), Ok(()));
    }

    #[test]
    fn a_removal_fails_even_if_the_address_was_added_again() {
        let output = format!("Deleted {}{}", line("10.0.1.64/32"), line("10.0.1.64/32"));
        assert!(verify_kept(&output, ADDRESS).unwrap_err().contains("was removed"));
    }

    #[test]
    fn lost_netlink_messages_fail() {
        let output = "netlink receive error No buffer space available (105)\n";
        assert!(verify_kept(output, ADDRESS).unwrap_err().contains("missed"));
    }
}
