//! The demo's part inside of the box: plays the story, tells it, and judges it.

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use firecamp_core::contract::exit::Exit;

use super::orders::Orders;
use super::stage::{EVERY_MS, Stage};
use super::{story, world};
use crate::args::InsideArguments;
use crate::event::{Began, Call, Check, Event};
use crate::failure::Failure;
use crate::measure;
use crate::render::{Form, Sink, html};
use crate::verdict::{self, Whole};
use crate::watch::BUCKET_US;

/// Runs with the box's variables set.
pub(crate) fn run(arguments: &InsideArguments) -> Result<u8, Failure> {
    let orders: Orders = serde_json::from_str(&arguments.orders)
        .map_err(|e| Failure::Usage(format!("these are no orders of a demo: {e}")))?;
    let socket = std::env::var_os("VPCBOX_SOCKET")
        .ok_or_else(|| Failure::Usage("this runs in a box only; run `cargo demo`".to_owned()))?;
    let form = if orders.json { Form::Json } else { Form::Text };
    let sink = Arc::new(Mutex::new(Sink::stdout(form, orders.no_color)));
    let (report, keep) = (orders.report.clone(), orders.keep.clone());
    let mut stage = Stage::set_up(orders, Path::new(&socket), Arc::clone(&sink))?;
    let told = tell_all(&mut stage);
    if let Some(to) = keep {
        keep_files(&stage, &to)?;
    }
    let sink = sink.lock().unwrap_or_else(PoisonError::into_inner);
    // A run that broke off is reported as far as it came.
    if let Some(report) = report {
        write_report(&report, sink.events())?;
    }
    told?;
    Ok(finish(sink.events()).unwrap_or(Exit::Internal.code()))
}

fn tell_all(stage: &mut Stage) -> Result<(), Failure> {
    let began = began(stage)?;
    stage.tell(Event::Began(began.clone()))?;
    let steps = story::play(stage)?;
    let whole = whole(stage)?;
    let summary = verdict::summarise(&began, &steps, whole);
    stage.tell(Event::Ended(Box::new(summary)))
}

fn began(stage: &mut Stage) -> Result<Began, Failure> {
    let truth = stage.vpc.truth()?;
    let client = truth.clients.iter().find(|client| client.name == world::CLIENT);
    let client = client.ok_or_else(|| Failure::Box("it has no client".to_owned()))?;
    let zone = |address| {
        let subnet = truth.subnets.iter().find(|subnet| world::contains(&subnet.cidr, address));
        subnet.map(|subnet| subnet.zone.clone()).unwrap_or_default()
    };
    Ok(Began {
        at_us: stage.clock.now_us(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        profile: stage.orders.profile,
        build: stage.orders.build.clone(),
        seed: stage.orders.seed,
        member: format!("{}/{}", world::NAMESPACE, world::MEMBER),
        pool: world::POOL_IN_WORDS.to_owned(),
        nodes: stage.places.clone(),
        client: world::place(&client.name, &zone(client.address), client.address),
        every_ms: EVERY_MS,
    })
}

/// What must be true of the whole run.
fn whole(stage: &mut Stage) -> Result<Whole, Failure> {
    let truth = stage.vpc.truth()?;
    let mut agents = stage.ec2_calls(0)?;
    agents.retain(Call::is_agents);
    let ours: Vec<&str> =
        truth.nodes.iter().flat_map(|node| &node.enis).map(|eni| eni.id.as_str()).collect();
    let record = truth.addresses.iter().find(|record| record.address == world::ADDRESS);
    let history = record.map(|record| record.history.as_slice()).unwrap_or_default();
    // The last one is the release that gives it back.
    let holders = history.iter().map(|past| past.eni.as_deref());
    let lost = holders.clone().rev().skip(1).any(|eni| eni.is_none_or(|eni| !ours.contains(&eni)));
    let seen = stage.watch.lock();
    let order = measure::out_of_order(&seen.attempts, &seen.terms);
    let tally = measure::tally(&seen.attempts, &seen.terms);
    let first_us = seen.attempts.first().map_or(0, |first| first.from_us);
    let last_us = seen.attempts.last().map_or(0, |last| last.from_us);
    let span = (first_us, last_us);
    let strip = measure::strip(&seen.attempts, &seen.terms, &stage.nodes(), span, BUCKET_US);
    let check = |what: &str, held: bool, seen: String| Check { what: what.to_owned(), held, seen };
    Ok(Whole {
        at_us: stage.clock.now_us(),
        address: world::ADDRESS,
        tally,
        strip,
        agents,
        checks: vec![
            check(
                "EC2 had the address on a node of the cluster all along",
                !lost && history.len() > 1,
                format!("{} holders in a row", history.len()),
            ),
            check(
                "the simulator stayed within EC2's own rules",
                truth.violations.is_empty(),
                format!("{} violations", truth.violations.len()),
            ),
            check(
                "no older pod answered after a newer one",
                order.is_none(),
                order.unwrap_or_else(|| "in order".to_owned()),
            ),
        ],
    })
}

/// The exit code of a run that came to its end.
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

/// Writes the page, whole or not at all.
pub(crate) fn write_report(to: &Path, events: &[Event]) -> Result<(), Failure> {
    let mut name = to.file_name().unwrap_or_default().to_owned();
    name.push(format!(".{}.new", std::process::id()));
    let staged = to.with_file_name(name);
    std::fs::write(&staged, html::page(events))
        .map_err(|source| Failure::file("write", &staged, source))?;
    std::fs::rename(&staged, to).map_err(|source| Failure::file("write", to, source))
}

/// Copies the files of the box to where they outlive it.
fn keep_files(stage: &Stage, to: &Path) -> Result<(), Failure> {
    copy(&stage.dir, to)?;
    stage.note(format!("registry, volume and logs are kept in {}", to.display()))
}

fn copy(from: &Path, to: &Path) -> Result<(), Failure> {
    std::fs::create_dir(to).map_err(|e| Failure::file("create", to, e))?;
    let entries = std::fs::read_dir(from).map_err(|e| Failure::file("read", from, e))?;
    for entry in entries {
        let entry = entry.map_err(|e| Failure::file("read", from, e))?;
        let (path, to) = (entry.path(), to.join(entry.file_name()));
        if path.is_dir() {
            copy(&path, &to)?;
        } else {
            std::fs::copy(&path, &to).map_err(|e| Failure::file("copy", &path, e))?;
        }
    }
    Ok(())
}
