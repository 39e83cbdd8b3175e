//! A pod of the member, started and stopped like by a kubelet: init container, then the stop
//! container as a native sidecar, then the server; at the end first the server, then the sidecar.
//!
//! A pod that asks the agent's endpoint has a network of its own, no stop container, and no
//! privilege.

use std::net::Ipv4Addr;
use std::path::Path;
use std::process::Command;
use std::thread;
use std::time::Duration;

use firecamp_core::contract::env;
use firecamp_core::record::State;
use nix::sys::signal::Signal;
use serde_json::Value;

use super::agreement::record;
use super::environment::Stage;
use super::fixture;
use crate::api_in_box::{Phase, Volumes};
use crate::event::{Privileges, Ran, Role};
use crate::failure::Failure;
use crate::measurements::Term;
use crate::member::READY;
use crate::process::{DEADLINE, Ended, Process, Traces};

/// The number of responses after which a pod counts as reachable.
pub(super) const PROOF: usize = 20;

/// Poll interval while the agent releases the address.
const POLL: Duration = Duration::from_millis(2);

/// What the stop container logs once it has read its epoch.
const FIXED: &str = "release.0";

/// What the stop container does with the address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum AtStop {
    /// The pool's policy: EC2 keeps the address on the ENI.
    Park,
    /// Unassign the address in EC2.
    Unassign,
}

/// A running pod.
pub(crate) struct Pod {
    pub(crate) uid: String,
    pub(crate) node: String,
    /// None if the agent releases the address.
    sidecar: Option<Process>,
    /// None in the network of the node.
    sandbox: Option<Sandbox>,
    server: Process,
    /// The run of the init container.
    pub(crate) init: Init,
}

/// The run of an init container.
#[derive(Debug, Clone)]
pub(crate) struct Init {
    pub(crate) ran: Ran,
    pub(crate) privileges: Privileges,
}

/// The network of a pod.
struct Sandbox {
    process: Process,
    own: Ipv4Addr,
}

impl Sandbox {
    /// As container runtime and CNI plugin do.
    fn start(stage: &mut Stage, (uid, node): (&str, &str)) -> Result<Self, Failure> {
        let own = stage.pod_address();
        let traces = stage.traces(&format!("sandbox-{uid}"));
        let mut command = stage.in_node(node, &traces, &stage.config.tools.vpcbox);
        command.args(["pod", uid, &own.to_string()]);
        let mut process = Process::start("the sandbox", &mut command, traces, stage.clock)?;
        let ready_us = process.ready(vpcbox::pod::READY)?;
        let span = (process.ordered_us(), process.ordered_us(), ready_us);
        let mut ran = ran(stage, (uid, node), Role::Sandbox, span);
        ran.words = own.to_string();
        stage.span(ran)?;
        Ok(Self { process, own })
    }

    fn end(&self) -> Result<(), Failure> {
        self.process.signal(Signal::SIGTERM)?;
        match self.process.wait()?.exit {
            Some(0) => Ok(()),
            exit => Err(self.process.failed(&format!("exited with {exit:?}"))),
        }
    }
}

impl Pod {
    /// Starts a pod and waits until the client gets responses from it.
    pub(crate) fn start(stage: &mut Stage, node: &str, at_stop: AtStop) -> Result<Self, Failure> {
        let uid = stage.next_pod();
        report(stage, (&uid, node), None, Phase::Pending);
        stage.address_file = stage.static_ip_file();
        let init = run_init(stage, (&uid, node))?;
        let sidecar = start_sidecar(stage, (&uid, node), at_stop)?;
        let server = start_server(stage, (&uid, node), None, &fixture::ADDRESS.to_string())?;
        // The sidecar must have read its epoch before another pod acquires the next one.
        sidecar.logged(FIXED)?;
        report(stage, (&uid, node), None, Phase::Running);
        stage.watch.answers_of(&uid, PROOF)?;
        let (sidecar, node) = (Some(sidecar), node.to_owned());
        Ok(Self { uid, node, sidecar, sandbox: None, server, init })
    }

    /// Starts a pod without privileges, whose init container asks the agent of its node.
    pub(crate) fn start_unprivileged(stage: &mut Stage, node: &str) -> Result<Self, Failure> {
        let uid = stage.next_pod();
        let pod = (uid.as_str(), node);
        let volumes = stage.cluster()?.volumes(&stage.dir, pod)?;
        let sandbox = Sandbox::start(stage, pod)?;
        report(stage, pod, Some(sandbox.own), Phase::Pending);
        stage.address_file.clone_from(&volumes.address);
        let init = ask_agent(stage, pod, &volumes)?;
        let address = std::fs::read_to_string(&volumes.address)
            .map_err(|e| Failure::file("read", &volumes.address, e))?;
        let server = start_server(stage, pod, Some(&sandbox), address.trim())?;
        report(stage, pod, Some(sandbox.own), Phase::Running);
        stage.watch.answers_of(&uid, PROOF)?;
        let (sandbox, node) = (Some(sandbox), node.to_owned());
        Ok(Self { uid, node, sidecar: None, sandbox, server, init })
    }

    /// Stops the pod like a kubelet; returns the duration of its stop container, or of the release
    /// by the agent.
    pub(crate) fn stop(self, stage: &mut Stage) -> Result<u64, Failure> {
        let own = self.sandbox.as_ref().map(|sandbox| sandbox.own);
        report(stage, (&self.uid, &self.node), own, Phase::Terminating);
        self.end_server(stage, Signal::SIGTERM)?;
        let stopped = self.sidecar.is_some().then(|| self.stop_sidecar(stage)).transpose()?;
        self.sandbox.as_ref().map_or(Ok(()), Sandbox::end)?;
        report(stage, (&self.uid, &self.node), own, Phase::Gone);
        stopped.map_or_else(|| released(stage), Ok)
    }

    /// Kills only the server: the stop container keeps running, as without a kubelet.
    pub(crate) fn crash(&self, stage: &mut Stage) -> Result<(), Failure> {
        self.end_server(stage, Signal::SIGKILL)
    }

    /// Waits for the death of all processes with their node.
    pub(crate) fn dies(self, stage: &mut Stage) -> Result<(), Failure> {
        let gone_us = self.server.killed()?;
        stage.watch.pod_is_gone(&self.uid, gone_us);
        self.sidecar.as_ref().map_or(Ok(()), |sidecar| sidecar.killed().map(drop))
    }

    fn end_server(&self, stage: &mut Stage, signal: Signal) -> Result<(), Failure> {
        let from_us = self.server.signal(signal)?;
        let ended = self.server.wait()?;
        stage.watch.pod_is_gone(&self.uid, ended.to_us);
        let expected = if signal == Signal::SIGTERM { Some(0) } else { None };
        if ended.exit != expected {
            return Err(self.server.failed(&format!("exited with {:?}", ended.exit)));
        }
        let span = (from_us, from_us, ended.to_us);
        let mut ran = ran(stage, (&self.uid, &self.node), Role::ServerEnd, span);
        signal.as_str().clone_into(&mut ran.words);
        stage.span(ran)
    }

    /// Sends SIGTERM to the stop container; returns its duration until exit.
    pub(crate) fn stop_sidecar(&self, stage: &mut Stage) -> Result<u64, Failure> {
        let missing = || Failure::Story(format!("{} has no stop container", self.uid));
        let sidecar = self.sidecar.as_ref().ok_or_else(missing)?;
        let from_us = sidecar.signal(Signal::SIGTERM)?;
        let ended = sidecar.wait()?;
        let span = (from_us, from_us, ended.to_us);
        let ran = ran(stage, (&self.uid, &self.node), Role::Stop, span);
        conclude(stage, sidecar, ran, ended)?;
        Ok(ended.to_us.saturating_sub(from_us))
    }
}

/// Runs the preStop hook of the stop container for this pod.
pub(crate) fn release_hook(stage: &mut Stage, pod: (&str, &str)) -> Result<(), Failure> {
    let traces = stage.traces(&format!("release-{}", pod.0));
    let mut command = stage.container(pod, &traces, &stage.config.tools.stop);
    command.arg("release");
    let process = Process::start("the stop container", &mut command, traces, stage.clock)?;
    let ended = process.wait()?;
    let span = (ended.from_us, ended.began_us, ended.to_us);
    let ran = ran(stage, pod, Role::Stop, span);
    conclude(stage, &process, ran, ended)
}

fn ran(
    stage: &Stage,
    (pod, node): (&str, &str),
    role: Role,
    (from_us, began_us, to_us): (u64, u64, u64),
) -> Ran {
    Ran {
        step: stage.step,
        role,
        pod: pod.to_owned(),
        node: node.to_owned(),
        from_us,
        began_us,
        to_us,
        exit: None,
        words: String::new(),
    }
}

/// Reports the exit of a container; a failure is an error.
fn conclude(
    stage: &mut Stage,
    process: &Process,
    mut ran: Ran,
    ended: Ended,
) -> Result<(), Failure> {
    ran.exit = ended.exit;
    ran.words = read_termination_message(&process.termination_message());
    stage.span(ran)?;
    if ended.exit == Some(0) {
        return Ok(());
    }
    Err(process.failed(&match ended.exit {
        Some(code) => format!("exited with {code}"),
        None => "was killed".to_owned(),
    }))
}

fn run_init(stage: &mut Stage, pod: (&str, &str)) -> Result<Init, Failure> {
    let traces = stage.traces(&format!("init-{}", pod.0));
    let mut command = stage.container(pod, &traces, &stage.config.tools.init);
    command
        .env(env::POOL, fixture::POOL)
        .env(env::CONF_DIR, stage.conf_dir())
        .env(env::TIMEOUT, format!("{}s", DEADLINE.as_secs()));
    run_to_end(stage, pod, traces, &mut command)
}

/// Runs an init container without privileges: it has the agent's address and a token, and nothing
/// else.
fn ask_agent(stage: &mut Stage, pod: (&str, &str), volumes: &Volumes) -> Result<Init, Failure> {
    let traces = stage.traces(&format!("init-{}", pod.0));
    let message = traces.create_termination_message()?;
    let mut command = stage.unprivileged(pod, &traces, &stage.config.tools.init);
    command
        .envs(volumes.environment())
        .env(env::TIMEOUT, format!("{}s", DEADLINE.as_secs()))
        .env(env::LOG_FORMAT, "json")
        .env(env::TERMINATION_LOG, &message);
    run_to_end(stage, pod, traces, &mut command)
}

/// Waits until the agent has released the address; returns how long that took.
fn released(stage: &mut Stage) -> Result<u64, Failure> {
    let from_us = stage.clock.now_us();
    let deadline = stage.clock.now().saturating_add(DEADLINE);
    while stage.clock.now() < deadline {
        let held = record(stage)?.attachment;
        if held.is_some_and(|held| held.state == State::Parked) {
            return Ok(stage.clock.now_us().saturating_sub(from_us));
        }
        thread::sleep(POLL);
    }
    Err(Failure::Story("the agent does not release the address".to_owned()))
}

fn run_to_end(
    stage: &mut Stage,
    pod: (&str, &str),
    traces: Traces,
    command: &mut Command,
) -> Result<Init, Failure> {
    let before = stage.last_call()?;
    let process = Process::start("the init container", command, traces, stage.clock)?;
    let ended = process.wait()?;
    let span = (ended.from_us, ended.began_us, ended.to_us);
    let ran = ran(stage, pod, Role::Init, span);
    conclude(stage, &process, ran.clone(), ended)?;
    let missing = || process.failed("has no credentials in /proc");
    let mut privileges = ended.privileges.ok_or_else(missing)?;
    let mut calls = stage.ec2_calls(before)?;
    calls.retain(|call| call.caller == pod.1 && !call.is_agents());
    privileges.calls = calls.len();
    Ok(Init { ran, privileges })
}

fn start_sidecar(
    stage: &mut Stage,
    pod: (&str, &str),
    at_stop: AtStop,
) -> Result<Process, Failure> {
    let traces = stage.traces(&format!("stop-{}", pod.0));
    let mut command = stage.container(pod, &traces, &stage.config.tools.stop);
    command.arg("wait");
    if at_stop == AtStop::Unassign {
        command.arg("--unassign");
    }
    Process::start("the stop container", &mut command, traces, stage.clock)
}

/// Reports a pod to the cluster, if there is one.
fn report(stage: &Stage, pod: (&str, &str), own: Option<Ipv4Addr>, phase: Phase) {
    if let Some(cluster) = &stage.cluster {
        cluster.report(pod, own, phase);
    }
}

fn start_server(
    stage: &mut Stage,
    (uid, node): (&str, &str),
    sandbox: Option<&Sandbox>,
    address: &str,
) -> Result<Process, Failure> {
    let traces = stage.traces(&format!("server-{uid}"));
    let program = &stage.config.tools.demo;
    let mut command = match sandbox {
        Some(_) => stage.unprivileged((uid, node), &traces, program),
        None => stage.in_node(node, &traces, program),
    };
    command.args(["member-server", "--address", address]).args([
        "--port",
        &fixture::PORT.to_string(),
        "--pod",
        uid,
    ]);
    // From now on: a response can arrive before the server reports that it listens.
    stage.watch.pod_may_answer(Term {
        pod: uid.to_owned(),
        node: node.to_owned(),
        from_us: stage.clock.now_us(),
        to_us: None,
    });
    let mut server = Process::start("the member's server", &mut command, traces, stage.clock)?;
    let ready_us = server.ready(READY)?;
    let span = (server.ordered_us(), server.ordered_us(), ready_us);
    let ran = ran(stage, (uid, node), Role::ServerStart, span);
    stage.span(ran)?;
    Ok(server)
}

/// The termination message of a container as text; unchanged if it is not JSON.
fn read_termination_message(file: &Path) -> String {
    let Ok(text) = std::fs::read_to_string(file) else { return String::new() };
    let Ok(message) = serde_json::from_str::<Value>(&text) else { return text };
    let field = |name: &str| message.get(name).and_then(Value::as_str).map(str::to_owned);
    let epoch = message.get("epoch").and_then(Value::as_u64).map(|epoch| format!("epoch {epoch}"));
    let parts = [field("message"), epoch];
    parts.into_iter().flatten().collect::<Vec<_>>().join(", ")
}
