//! One hunt: the planted bug against the model or against histories.

use std::process::{Command, Stdio};
use std::time::{Duration, SystemTime};

use firecamp_histories::run::{Plan, Progress};
use serde::{Deserialize, Serialize};

/// A bug counts as found within so many histories.
pub const HISTORIES: u64 = 10_000;
/// As many of volumes, each of which is an hour in the life of a node.
pub const VOLUMES: u64 = 1_000;
/// A model that has found nothing by then finds nothing.
const PATIENCE: Duration = Duration::from_mins(3);

/// What one hunt came to.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Found {
    /// The promise or property that broke; none if nothing was found.
    pub what: Option<String>,
    /// After so many histories, or distinct states.
    pub after: u64,
    /// What happened, for people.
    pub text: String,
}

/// Hunts in this process.
pub fn here(by: &str) -> Result<Found, String> {
    match by.split_once(':') {
        Some(("model", name)) => model(name),
        None if by == "histories" => Ok(histories()),
        None if by == "sweeps" => Ok(sweeps()),
        None if by == "volumes" => Ok(volumes()),
        Some(_) | None => {
            Err(format!("{by}: expected histories, sweeps, volumes or model:CONFIGURATION"))
        }
    }
}

/// One thread, so that the count is the same every time.
fn histories() -> Found {
    let plan = Plan {
        first: 1,
        count: HISTORIES,
        jobs: 1,
        twice: 0,
        enough: 1,
        play: firecamp_histories::history::run,
    };
    let summary = firecamp_histories::run::run(&plan, &Progress::default());
    match summary.found.first() {
        Some(found) => Found {
            what: Some(format!("{:?}", found.violation.promise)),
            after: found.seed.saturating_sub(plan.first).saturating_add(1),
            text: found.violation.to_string(),
        },
        None => Found { what: None, after: summary.histories, text: String::new() },
    }
}

/// As many small histories of what is collected.
fn sweeps() -> Found {
    let names = firecamp_histories::names::Names::new();
    let found = (1..=HISTORIES).find_map(|seed| {
        let (violation, _met) = firecamp_histories::sweep::run(seed, &names);
        violation.map(|violation| Found {
            what: Some(format!("{:?}", violation.promise)),
            after: seed,
            text: violation.to_string(),
        })
    });
    found.unwrap_or(Found { what: None, after: HISTORIES, text: String::new() })
}

fn volumes() -> Found {
    use firecamp_histories::volumes::{history, scenario::Scenario, world::Names};

    let names = Names::new();
    let found = (1..=VOLUMES).find_map(|seed| {
        let report = history::run(&Scenario::draw(seed), &names, false);
        report.violation.map(|violation| Found {
            what: Some(format!("{:?}", violation.promise)),
            after: seed,
            text: violation.to_string(),
        })
    });
    found.unwrap_or(Found { what: None, after: VOLUMES, text: String::new() })
}

fn model(name: &str) -> Result<Found, String> {
    let config = firecamp_model::named(name).ok_or(format!("no configuration {name}"))?;
    let report = firecamp_model::explore(config, 1, Some(PATIENCE));
    let after = u64::try_from(report.states).unwrap_or(u64::MAX);
    Ok(match report.broken.first() {
        Some(broken) => {
            Found { what: Some(broken.property.to_owned()), after, text: broken.trace.join("\n") }
        }
        None => Found { what: None, after, text: String::new() },
    })
}

/// Hunts in a process of its own, in which the bug is planted. How long it took comes along.
pub fn apart(bug: &str, by: &str) -> Result<(Found, Duration), String> {
    let program = std::env::current_exe().map_err(|error| format!("this program: {error}"))?;
    let begun = SystemTime::now();
    let output = Command::new(program)
        .args(["hunt", by])
        .env("FIRECAMP_BUG", bug)
        .stdin(Stdio::null())
        .output()
        .map_err(|error| format!("starting a hunt: {error}"))?;
    if !output.status.success() {
        let text = String::from_utf8_lossy(&output.stderr);
        let last = text.lines().filter(|line| !line.is_empty()).take(3).collect::<Vec<_>>();
        return Err(format!("{bug} by {by}: the hunt ended badly: {}", last.join(" | ")));
    }
    let found = serde_json::from_slice(&output.stdout)
        .map_err(|error| format!("{bug} by {by}: what it printed: {error}"))?;
    Ok((found, begun.elapsed().unwrap_or_default()))
}
