//! A pod, started and stopped as a kubelet does.

use std::path::PathBuf;
use std::process::Stdio;

use firecamp_core::contract::env;
use firecamp_demo::event::{Ran, Role};
use firecamp_demo::measurements::Term;
use firecamp_demo::observe_client::Watch;
use firecamp_demo::process::{DEADLINE, Process};
use nix::sys::signal::Signal;

use super::fixture::{Fixture, PORT, Place};
use crate::failure::Failure;
use crate::machine::field;
use crate::timed::ProcessRun;

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
    sidecar: Process,
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
    /// From the stop container's SIGTERM to its end.
    pub(crate) stop_us: u64,
    /// The peak memory of the waiting stop container.
    pub(crate) waiting_kib: u64,
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
        let (init, cost) = run_init(fixture, &place, build)?;
        let traces = fixture.traces(&format!("stop-{}", place.uid));
        let mut command = fixture.marked(&place.node, &traces, &build.stop);
        command.arg("wait").args(words).envs(fixture.environment(&place, &traces));
        let sidecar = Process::start("the stop container", &mut command, traces, fixture.clock)?;
        let (server, start) = start_server(fixture, &place, watch)?;
        // The stop container must read its epoch before another pod takes the next one.
        sidecar.logged(EPOCH_READ)?;
        Ok(Self { place, sidecar, server, init, cost, start })
    }

    /// Stops the server, then the sidecar.
    pub(crate) fn stop(self, watch: Option<&Watch>) -> Result<End, Failure> {
        let from_us = self.server.signal(Signal::SIGTERM)?;
        let ended = self.server.wait()?;
        if let Some(watch) = watch {
            watch.pod_is_gone(&self.place.uid, ended.to_us);
        }
        let server = ran(&self.place, Role::ServerEnd, (from_us, from_us, ended.to_us));
        let status = format!("/proc/{}/status", self.sidecar.pid());
        let waiting = field(&status, "VmHWM").unwrap_or_default();
        let waiting = waiting.split_whitespace().next().and_then(|text| text.parse().ok());
        let from_us = self.sidecar.signal(Signal::SIGTERM)?;
        let ended = self.sidecar.wait()?;
        if ended.exit != Some(0) {
            return Err(self.sidecar.failed(&format!("ended with {:?}", ended.exit)).into());
        }
        let stop_us = ended.to_us.saturating_sub(from_us);
        Ok(End { server, stop_us, waiting_kib: waiting.unwrap_or_default() })
    }
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

fn run_init(
    fixture: &mut Fixture,
    place: &Place,
    build: &Build,
) -> Result<(Ran, ProcessRun), Failure> {
    fixture.make_volume(&place.member)?;
    let traces = fixture.traces(&format!("init-{}", place.uid));
    let log = std::fs::File::create(&traces.log).map_err(Failure::of(traces.log.display()))?;
    let mut command = fixture.timed(&place.node, &build.init);
    command
        .envs(fixture.environment(place, &traces))
        .env(env::TIMEOUT, format!("{}s", DEADLINE.as_secs()))
        .stdin(Stdio::null())
        .stderr(log);
    let from_us = fixture.clock.now_us();
    let output = command.output().map_err(Failure::of("start an init container"))?;
    let run: ProcessRun = serde_json::from_slice(&output.stdout)
        .map_err(Failure::of("decode the resource usage of an init container"))?;
    if run.exit != Some(0) {
        let text = std::fs::read_to_string(&traces.log).unwrap_or_default();
        return Err(Failure::new(format!("an init container ended with {:?}:\n{text}", run.exit)));
    }
    let origin_us = fixture.clock.origin_ns() / 1000;
    let here = |at_us: u64| at_us.saturating_sub(origin_us);
    let span = (from_us, here(run.began_us), here(run.ended_us));
    Ok((ran(place, Role::Init, span), run))
}

fn start_server(
    fixture: &mut Fixture,
    place: &Place,
    watch: Option<&Watch>,
) -> Result<(Process, Ran), Failure> {
    let traces = fixture.traces(&format!("server-{}", place.uid));
    let (address, port) = (fixture.address(&place.member)?, PORT.to_string());
    let words = ["member-server", "--address", &address, "--port", &port, "--pod", &place.uid];
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
