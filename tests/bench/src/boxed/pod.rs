//! A pod, started and stopped as a kubelet does.
//!
//! Its init container attaches the address itself, or has no privilege and asks the agent of its
//! node. The latter pod has no stop container.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;
use std::time::Duration;

use firecamp_core::contract::env;
use firecamp_demo::api_in_box::Phase;
use firecamp_demo::event::{Ran, Role};
use firecamp_demo::measurements::Term;
use firecamp_demo::observe_client::Watch;
use firecamp_demo::process::{DEADLINE, Process, Traces};
use nix::sys::signal::Signal;

use super::fixture::{Fixture, PORT, Place};
use crate::failure::Failure;
use crate::timed::{ProcessRun, memory};

/// How long a kubelet takes from a pod's binding to its first container, at least: it looks every
/// 300 ms whether the pod's volumes are mounted (`podAttachAndMountRetryInterval`), and then
/// creates a sandbox and the container.
const KUBELET: Duration = Duration::from_millis(500);

/// The step that the stop container logs after it has read its epoch.
const EPOCH_READ: &str = "release.0";

/// An init container and a stop container of one build.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Build {
    pub(crate) init: PathBuf,
    pub(crate) stop: PathBuf,
}

/// A running pod.
pub(crate) struct Pod {
    pub(crate) place: Place,
    pub(crate) address: String,
    /// None if the agent releases the address.
    sidecar: Option<Process>,
    server: Process,
    /// The time span and the resource usage of its init container.
    pub(crate) init: Ran,
    pub(crate) cost: ProcessRun,
    /// The start of its server.
    pub(crate) start: Ran,
}

/// How a pod ended.
pub(crate) struct End {
    /// The end of its server.
    pub(crate) server: Ran,
    /// From the stop container's SIGTERM to its end, or from the pod's removal to the release by
    /// the agent.
    pub(crate) stop_us: u64,
    /// The peak memory of the waiting stop container.
    pub(crate) waiting_kib: Option<u64>,
}

impl Pod {
    /// Runs the init container, then starts the stop container as a native sidecar, and the server.
    pub(crate) fn start(
        fixture: &mut Fixture,
        place: Place,
        build: &Build,
        watch: Option<&Watch>,
        words: &[&str],
    ) -> Result<Self, Failure> {
        // What the kubelet and the API server do is no part of the container.
        let from_us = fixture.clock.now_us();
        report(fixture, &place, Phase::Pending);
        let (init, cost, address) = run_init(fixture, (&place, from_us), build)?;
        let mut sidecar = None;
        if fixture.endpoint.is_none() {
            sidecar = Some(start_sidecar(fixture, &place, build, words)?);
        }
        let (server, start) = start_server(fixture, (&place, &address), watch)?;
        if let Some(sidecar) = &sidecar {
            // The stop container must read its epoch before another pod takes the next one.
            sidecar.logged(EPOCH_READ)?;
        }
        report(fixture, &place, Phase::Running);
        Ok(Self { place, address, sidecar, server, init, cost, start })
    }

    /// Stops the server, then the sidecar; without one, waits for the release by the agent.
    pub(crate) fn stop(self, fixture: &Fixture, watch: Option<&Watch>) -> Result<End, Failure> {
        report(fixture, &self.place, Phase::Terminating);
        let from_us = self.server.signal(Signal::SIGTERM)?;
        let ended = self.server.wait()?;
        if let Some(watch) = watch {
            watch.pod_is_gone(&self.place.uid, ended.to_us);
        }
        let server = ran(&self.place, Role::ServerEnd, (from_us, from_us, ended.to_us));
        let (stop_us, waiting_kib) = match (&self.sidecar, &fixture.endpoint) {
            (Some(sidecar), _) => stop_sidecar(sidecar)?,
            (None, Some(endpoint)) => (endpoint.release(&self.place, &self.address)?, None),
            (None, None) => return Err(Failure::new("a pod without a stop container")),
        };
        Ok(End { server, stop_us, waiting_kib })
    }
}

/// Reports a pod to the agents, if they serve it.
fn report(fixture: &Fixture, place: &Place, phase: Phase) {
    if let Some(endpoint) = &fixture.endpoint {
        endpoint.report(place, phase);
    }
}

fn start_sidecar(
    fixture: &mut Fixture,
    place: &Place,
    build: &Build,
    words: &[&str],
) -> Result<Process, Failure> {
    let traces = fixture.traces(&format!("stop-{}", place.uid));
    let mut command = fixture.marked(&place.node, &traces, &build.stop);
    command.arg("wait").args(words).envs(fixture.environment(place, &traces));
    Ok(Process::start("the stop container", &mut command, traces, fixture.clock)?)
}

/// Returns the time from its SIGTERM to its end, and its peak memory before.
fn stop_sidecar(sidecar: &Process) -> Result<(u64, Option<u64>), Failure> {
    let waiting = memory(sidecar.pid()).map(|memory| memory.peak);
    let from_us = sidecar.signal(Signal::SIGTERM)?;
    let ended = sidecar.wait()?;
    if ended.exit != Some(0) {
        return Err(sidecar.failed(&format!("ended with {:?}", ended.exit)).into());
    }
    Ok((ended.to_us.saturating_sub(from_us), waiting))
}

fn ran(place: &Place, role: Role, (from_us, began_us, to_us): (u64, u64, u64)) -> Ran {
    Ran {
        step: 0,
        role,
        pod: place.uid.clone(),
        node: place.node.clone(),
        from_us,
        began_us,
        to_us,
        exit: None,
        words: String::new(),
    }
}

/// Runs only an init container, with additional variables.
pub(crate) fn attach(
    fixture: &mut Fixture,
    place: &Place,
    variables: &[(&str, &str)],
) -> Result<(), Failure> {
    fixture.make_volume(&place.member)?;
    let traces = fixture.traces(&format!("init-{}", place.uid));
    let mut command = fixture.marked(&place.node, &traces, &fixture.tools.init);
    command.envs(fixture.environment(place, &traces)).envs(variables.iter().copied());
    let process = Process::start("an init container", &mut command, traces, fixture.clock)?;
    match process.wait()?.exit {
        Some(0) => Ok(()),
        other => Err(process.failed(&format!("ended with {other:?}")).into()),
    }
}

/// Returns its time span, its resource usage and the address.
fn run_init(
    fixture: &mut Fixture,
    (place, from_us): (&Place, u64),
    build: &Build,
) -> Result<(Ran, ProcessRun, String), Failure> {
    let traces = fixture.traces(&format!("init-{}", place.uid));
    let log = std::fs::File::create(&traces.log).map_err(Failure::of(traces.log.display()))?;
    let (mut command, file) = init(fixture, place, (&build.init, &traces))?;
    command.env(env::TIMEOUT, format!("{}s", DEADLINE.as_secs())).stdin(Stdio::null()).stderr(log);
    if fixture.endpoint.is_some() {
        thread::sleep(KUBELET);
    }
    let output = command.output().map_err(Failure::of("start an init container"))?;
    let run: ProcessRun = serde_json::from_slice(&output.stdout)
        .map_err(Failure::of("decode the resource usage of an init container"))?;
    if run.exit != Some(0) {
        let text = std::fs::read_to_string(&traces.log).unwrap_or_default();
        return Err(Failure::new(format!("an init container ended with {:?}:\n{text}", run.exit)));
    }
    let origin_us = fixture.clock.origin_ns() / 1000;
    let here = |at_us: u64| at_us.saturating_sub(origin_us);
    // Dropping the privileges is no part of the container.
    let mark = std::fs::read_to_string(&traces.mark).ok().and_then(|text| text.parse().ok());
    let span = (from_us, here(mark.unwrap_or(run.began_us)), here(run.ended_us));
    let address = std::fs::read_to_string(&file).map_err(Failure::of(file.display()))?;
    Ok((ran(place, Role::Init, span), run, address.trim().to_owned()))
}

/// The command of an init container, and the file where it writes the address.
fn init(
    fixture: &Fixture,
    place: &Place,
    (program, traces): (&Path, &Traces),
) -> Result<(Command, PathBuf), Failure> {
    let mut command;
    if fixture.endpoint.is_none() {
        command = fixture.timed(&place.node, program);
    } else {
        command = fixture.timed(&place.node, &fixture.tools.bench);
        command.args(["firecamp", "member-start", "--unprivileged", "--mark"]).arg(&traces.mark);
        command.arg("--").arg(program);
    }
    let file = give_environment(&mut command, fixture, place, traces)?;
    Ok((command, file))
}

/// The command of an init container that starts when the gate opens.
pub(crate) fn init_behind(
    gate: &Path,
    fixture: &Fixture,
    place: &Place,
    traces: &Traces,
) -> Result<Command, Failure> {
    report(fixture, place, Phase::Pending);
    let mut command = fixture.in_node(&place.node, &["firecamp", "member-start", "--gate"]);
    command.arg(gate).arg("--mark").arg(&traces.mark);
    if fixture.endpoint.is_some() {
        command.arg("--unprivileged");
    }
    command.arg("--").arg(&fixture.tools.init);
    give_environment(&mut command, fixture, place, traces)?;
    Ok(command)
}

/// Creates an init container's volumes, adds its environment, and returns the file where it writes
/// the address.
fn give_environment(
    command: &mut Command,
    fixture: &Fixture,
    place: &Place,
    traces: &Traces,
) -> Result<PathBuf, Failure> {
    let Some(endpoint) = &fixture.endpoint else {
        fixture.make_volume(&place.member)?;
        command.envs(fixture.environment(place, traces));
        return Ok(fixture.static_ip_file(&place.member));
    };
    let volumes = endpoint.volumes(fixture, place)?;
    command
        .envs(volumes.environment())
        .env(env::LOG_FORMAT, "json")
        .env(env::TERMINATION_LOG, traces.create_termination_message()?);
    Ok(volumes.address)
}

fn start_server(
    fixture: &mut Fixture,
    (place, address): (&Place, &str),
    watch: Option<&Watch>,
) -> Result<(Process, Ran), Failure> {
    let traces = fixture.traces(&format!("server-{}", place.uid));
    let port = PORT.to_string();
    let words = ["member-server", "--address", address, "--port", &port, "--pod", &place.uid];
    let mut command = fixture.small(&place.node, &traces, &words);
    if let Some(watch) = watch {
        // The server may answer before its ready message arrives here.
        watch.pod_may_answer(Term {
            pod: place.uid.clone(),
            node: place.node.clone(),
            from_us: fixture.clock.now_us(),
            to_us: None,
        });
    }
    let mut server = Process::start("the member's server", &mut command, traces, fixture.clock)?;
    let ready_us = server.ready(firecamp_demo::READY)?;
    let span = (server.ordered_us(), server.ordered_us(), ready_us);
    Ok((server, ran(place, Role::ServerStart, span)))
}
