//! The part of the demo inside the box: runs the steps, reports them, and evaluates the results.

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use firecamp_core::contract::exit::Exit;

use super::config::DemoConfig;
use super::environment::{EVERY_MS, Stage};
use super::{fixture, steps};
use crate::args::InsideArguments;
use crate::event::{Began, Call, Check, Event};
use crate::failure::Failure;
use crate::goals::{self, Run};
use crate::measurements;
use crate::observe_client::BUCKET_US;
use crate::render::{Form, Sink, html};

/// Runs the demo. The variables of the box must be set.
pub(crate) fn run(arguments: &InsideArguments) -> Result<u8, Failure> {
    let config: DemoConfig = serde_json::from_str(&arguments.config)
        .map_err(|e| Failure::Usage(format!("invalid demo configuration: {e}")))?;
    let socket = std::env::var_os("VPCBOX_SOCKET").ok_or_else(|| {
        Failure::Usage("this command runs only inside a box; run `cargo demo`".to_owned())
    })?;
    let form = if config.json { Form::Json } else { Form::Text };
    let sink = Arc::new(Mutex::new(Sink::stdout(form, config.no_color)));
    let (report, keep) = (config.report.clone(), config.keep.clone());
    let mut stage = Stage::set_up(config, Path::new(&socket), Arc::clone(&sink))?;
    let reported = report_all(&mut stage);
    if let Some(to) = keep {
        keep_files(&stage, &to)?;
    }
    let sink = sink.lock().unwrap_or_else(PoisonError::into_inner);
    // An interrupted run still gets a report.
    if let Some(report) = report {
        write_report(&report, sink.events())?;
    }
    reported?;
    Ok(finish(sink.events()).unwrap_or(Exit::Internal.code()))
}

fn report_all(stage: &mut Stage) -> Result<(), Failure> {
    let began = began(stage)?;
    stage.report(Event::Began(began.clone()))?;
    let steps = steps::run(stage)?;
    let run = whole_run(stage)?;
    let summary = goals::summarise(&began, &steps, run);
    stage.report(Event::Ended(Box::new(summary)))
}

fn began(stage: &mut Stage) -> Result<Began, Failure> {
    let truth = stage.vpc.truth()?;
    let client = truth.clients.iter().find(|client| client.name == fixture::CLIENT);
    let client = client.ok_or_else(|| Failure::Box("the VPC has no client".to_owned()))?;
    let zone = |address| {
        let subnet = truth.subnets.iter().find(|subnet| fixture::contains(&subnet.cidr, address));
        subnet.map(|subnet| subnet.zone.clone()).unwrap_or_default()
    };
    Ok(Began {
        at_us: stage.clock.now_us(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        profile: stage.config.profile,
        build: stage.config.build.clone(),
        seed: stage.config.seed,
        member: format!("{}/{}", fixture::NAMESPACE, fixture::MEMBER),
        pool: fixture::POOL_TEXT.to_owned(),
        nodes: stage.places.clone(),
        client: fixture::place(&client.name, &zone(client.address), client.address),
        every_ms: EVERY_MS,
    })
}

/// Measurements and checks of the whole run.
fn whole_run(stage: &mut Stage) -> Result<Run, Failure> {
    let truth = stage.vpc.truth()?;
    let mut agents = stage.ec2_calls(0)?;
    agents.retain(Call::is_agents);
    let ours: Vec<&str> =
        truth.nodes.iter().flat_map(|node| &node.enis).map(|eni| eni.id.as_str()).collect();
    let record = truth.addresses.iter().find(|record| record.address == fixture::ADDRESS);
    let history = record.map(|record| record.history.as_slice()).unwrap_or_default();
    // The last entry is the release that unassigns it.
    let holders = history.iter().map(|past| past.eni.as_deref());
    let lost = holders.clone().rev().skip(1).any(|eni| eni.is_none_or(|eni| !ours.contains(&eni)));
    let seen = stage.watch.lock();
    let order = measurements::out_of_order(&seen.attempts, &seen.terms);
    let tally = measurements::tally(&seen.attempts, &seen.terms);
    let first_us = seen.attempts.first().map_or(0, |first| first.from_us);
    let last_us = seen.attempts.last().map_or(0, |last| last.from_us);
    let span = (first_us, last_us);
    let strip = measurements::strip(&seen.attempts, &seen.terms, &stage.nodes(), span, BUCKET_US);
    let check = |what: &str, held: bool, seen: String| Check { what: what.to_owned(), held, seen };
    Ok(Run {
        at_us: stage.clock.now_us(),
        address: fixture::ADDRESS,
        tally,
        strip,
        agents,
        checks: vec![
            check(
                "EC2 always had the address on a node of the cluster",
                !lost && history.len() > 1,
                format!("{} holders in a row", history.len()),
            ),
            check(
                "the simulator followed the rules of EC2",
                truth.violations.is_empty(),
                format!("{} violations", truth.violations.len()),
            ),
            check(
                "no older pod responded after a newer one",
                order.is_none(),
                order.unwrap_or_else(|| "in order".to_owned()),
            ),
        ],
    })
}

/// The exit code of a complete run.
pub(crate) fn finish(events: &[Event]) -> Option<u8> {
    let kept = events.iter().rev().find_map(|event| match event {
        Event::Ended(summary) => Some(summary.kept),
        Event::Began(_)
        | Event::StepBegan { .. }
        | Event::Note { .. }
        | Event::Ran(_)
        | Event::StepEnded(_) => None,
    })?;
    let exit = if kept { Exit::Success } else { Exit::Internal };
    Some(exit.code())
}

/// Writes the page atomically.
pub(crate) fn write_report(to: &Path, events: &[Event]) -> Result<(), Failure> {
    let mut name = to.file_name().unwrap_or_default().to_owned();
    name.push(format!(".{}.new", std::process::id()));
    let staged = to.with_file_name(name);
    std::fs::write(&staged, html::page(events))
        .map_err(|source| Failure::file("write", &staged, source))?;
    std::fs::rename(&staged, to).map_err(|source| Failure::file("write", to, source))
}

/// Copies the files out of the box.
fn keep_files(stage: &Stage, to: &Path) -> Result<(), Failure> {
    copy(&stage.dir, to)?;
    stage.note(format!("registry, volume and logs are in {}", to.display()))
}

fn copy(from: &Path, to: &Path) -> Result<(), Failure> {
    std::fs::create_dir(to).map_err(|e| Failure::file("create", to, e))?;
    let entries = std::fs::read_dir(from).map_err(|e| Failure::file("read", from, e))?;
    for entry in entries {
        let entry = entry.map_err(|e| Failure::file("read", from, e))?;
        let (path, to) = (entry.path(), to.join(entry.file_name()));
        if path.is_dir() {
            copy(&path, &to)?;
        } else if path.is_file() {
            std::fs::copy(&path, &to).map_err(|e| Failure::file("copy", &path, e))?;
        }
    }
    Ok(())
}
