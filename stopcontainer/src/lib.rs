//! The stop container: releases the member's static IP address when its pod ends.

mod release_input;

use std::process::ExitCode;

use firecamp_cloud::{CloudConfig, LazyCloud};
use firecamp_core::contract::api;
use firecamp_core::contract::exit::Exit;
use firecamp_engine::{Ended, NoFile, Rng, Run, Signal, Systems};
use firecamp_host::{HostTimeouts, LinuxHost};
use firecamp_run::config::{EndpointStop, Identity, StopConfig, StopSettings};
use firecamp_run::connect::{AnyRegistry, Reporter};
use firecamp_run::flags::StopMode;
use firecamp_run::process::{FirstSignal, Signals};
use firecamp_run::report::Report;
use firecamp_run::{agent_compatibility, container_events, start};

/// Runs the program: parses arguments and environment variables, and returns the exit code.
pub fn main() -> ExitCode {
    let started = match start::stop() {
        Ok(started) => started,
        Err(ended) => return ended,
    };
    let first = match started.config.mode() {
        StopMode::Wait => FirstSignal::IsAwaited,
        StopMode::Release => FirstSignal::Ends,
    };
    started.run(first, async |settings, signals| {
        let ended = match settings {
            StopSettings::Direct(config) => release(&config, signals).await,
            StopSettings::Endpoint(config) => return ask(&config, signals).await,
        };
        ended.unwrap_or_else(|failed| failed)
    })
}

/// Releases through the agent's endpoint.
async fn ask(config: &EndpointStop, signals: Signals) -> Report {
    let mut request = config.request.clone();
    if config.mode == StopMode::Wait {
        match fixed(config, &signals).await {
            Ok(epoch) => request.epoch = Some(epoch),
            Err(unknown) => return unknown,
        }
    }
    tokio::select! {
        biased;
        () = signals.end.cancelled() => Report::interrupted(),
        report = config.client.release(&request, config.timeout) => report,
    }
}

/// Waits for SIGTERM. Returns the epoch that the pod held before; 0 if none.
async fn fixed(config: &EndpointStop, signals: &Signals) -> Result<u64, Report> {
    let held = tokio::select! {
        biased;
        () = signals.awaited.cancelled() => {
            let text = "SIGTERM came before the agent of this node said which epoch this pod holds; \
                        the agent releases the address when the pod has ended";
            return Err(Report::new(Exit::AgentUnavailable, text));
        }
        held = config.client.epoch() => held,
    };
    match &held {
        Ok(Some(epoch)) => tracing::info!(epoch, "this pod's epoch is known, waiting for SIGTERM"),
        Ok(None) => tracing::info!("this pod holds no address, waiting for SIGTERM"),
        Err(unknown) => tracing::warn!(
            error = unknown.message,
            "this pod's epoch is not known, waiting for SIGTERM without releasing then"
        ),
    }
    signals.awaited.cancelled().await;
    held.map(Option::unwrap_or_default)
}

async fn release(config: &StopConfig, signals: Signals) -> Result<Report, Report> {
    let registry = firecamp_run::connect::open(&config.places.registry).await;
    let registry = registry.map_err(|why| Report::from(&why))?;
    let ended = release_with(config, signals, registry.clone()).await;
    let report = ended.unwrap_or_else(|failed| failed);
    if let Some(notice) = container_events::of_release(&report) {
        let Identity { member, pod, node } = &config.identity;
        let within = container_events::WITHIN;
        let reporter = Reporter { program: api::STOP, member, pod, node, within };
        registry.report(reporter, notice, report.address, container_events::text(&report)).await;
    }
    Ok(report)
}

async fn release_with(
    config: &StopConfig,
    signals: Signals,
    registry: AnyRegistry,
) -> Result<Report, Report> {
    agent_compatibility::warn_of_agent(&config.places.run_dir);
    let systems = Systems {
        cloud: LazyCloud::new(CloudConfig::from_env().named("firecamp-stop")),
        host: LinuxHost::new(&config.places.run_dir, HostTimeouts::default()),
        registry,
        file: NoFile,
    };
    let signal = match config.mode {
        StopMode::Wait => Signal::Stop(signals.awaited),
        StopMode::Release => Signal::Interrupt(signals.end),
    };
    let member = config.identity.member.clone();
    let run = Run { member, pool: None, signal, rng: Rng::default(), watcher: None };
    let input = release_input::input(config);
    match firecamp_engine::run(input, &systems, &run).await {
        Ended::Outcome(outcome) => Ok(Report::from(&outcome)),
        Ended::Interrupted => Err(Report::interrupted()),
    }
}
