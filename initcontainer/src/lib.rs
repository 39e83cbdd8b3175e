//! Attaches the static IP address of a StatefulSet member to this node.

mod attach_setup;
mod through_endpoint;

use std::io::{self, Write};
use std::process::ExitCode;

use firecamp_core::attach::AttachInput;
use firecamp_core::contract::api;
use firecamp_core::contract::exit::Exit;
use firecamp_engine::{Ended, Rng, Run, Signal};
use firecamp_host::AgentLock;
use firecamp_run::config::{Identity, InitConfig, InitSettings};
use firecamp_run::connect::{AnyRegistry, Reporter};
use firecamp_run::process::{FirstSignal, Signals};
use firecamp_run::report::Report;
use firecamp_run::{agent_compatibility, container_events, preview, require_mount, start};

use crate::attach_setup::{Node, input, systems};

/// Runs the program: parses arguments and environment variables, and returns the exit code.
pub fn main() -> ExitCode {
    match start::init() {
        Ok(started) => started.run(FirstSignal::Ends, async |settings, signals| {
            let ended = match settings {
                InitSettings::Direct(config) => attach(&config, signals).await,
                InitSettings::Endpoint(config) => through_endpoint::attach(&config, signals).await,
            };
            ended.unwrap_or_else(|failed| failed)
        }),
        Err(ended) => ended,
    }
}

async fn attach(config: &InitConfig, signals: Signals) -> Result<Report, Report> {
    let registry = firecamp_run::connect::open(&config.places.registry).await;
    let registry = registry.map_err(|why| Report::from(&why))?;
    let ended = attach_with(config, signals, registry.clone()).await;
    let report = ended.unwrap_or_else(|failed| failed);
    if let Some(notice) = container_events::of_attach(&report).filter(|_| !config.address.dry_run) {
        let Identity { member, pod, node } = &config.identity;
        let within = container_events::WITHIN;
        let reporter = Reporter { program: api::INIT, member, pod, node, within };
        registry.report(reporter, notice, report.address, container_events::text(&report)).await;
    }
    Ok(report)
}

async fn attach_with(
    config: &InitConfig,
    signals: Signals,
    registry: AnyRegistry,
) -> Result<Report, Report> {
    let run_dir = &config.places.run_dir;
    // An unreadable lock may be held.
    let agent_runs = AgentLock::is_taken(run_dir).unwrap_or(true);
    agent_compatibility::check_before_attach(run_dir, agent_runs)?;
    if config.address.require_mount {
        require_mount::require_own_mount(&config.address.conf_dir)
            .map_err(|why| Report::new(Exit::DiskRefused, why.to_string()))?;
    }
    let systems = systems(config, registry)?;
    let input = input(config);
    if config.address.dry_run {
        return dry_run(config, &input, &systems).await;
    }
    let signal = Signal::Interrupt(signals.end);
    let (member, pool) = (input.member.clone(), input.pool.clone());
    let run = Run { member, pool, signal, rng: Rng::default(), watcher: None };
    match firecamp_engine::run(input, &systems, &run).await {
        Ended::Outcome(outcome) => Ok(Report::from(&outcome)),
        Ended::Interrupted => Err(Report::interrupted()),
    }
}

async fn dry_run(config: &InitConfig, input: &AttachInput, node: &Node) -> Result<Report, Report> {
    let plan = firecamp_engine::preview(input, node).await.map_err(|why| Report::from(&why))?;
    let text = preview::show(&plan, &config.identity, config.address.output);
    io::stdout().write_all(text.as_bytes()).map_err(|why| Report::unprintable(&why))?;
    Ok(Report::from(&plan.outcome).of_a_dry_run())
}
