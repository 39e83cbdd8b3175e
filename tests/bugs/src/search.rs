//! One search in this process, whose code may have a bug: with the model or with histories.

use std::time::Duration;

use firecamp_histories::history::{self, Play};
use firecamp_histories::run::{Plan, Progress};
use firecamp_histories::scenario::Scenario;
use serde::{Deserialize, Serialize};

/// A bug must be found within this many histories.
pub(crate) const HISTORIES: u64 = 10_000;
/// The same for histories of volumes, each of which is an hour of a node.
pub(crate) const VOLUMES: u64 = 1_000;
/// The time limit of a model search.
const PATIENCE: Duration = Duration::from_mins(3);

/// The result of one search.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Found {
    /// The invariant or property that was violated; none if nothing was found.
    pub(crate) what: Option<String>,
    /// The number of histories, or of distinct states.
    pub(crate) after: u64,
    /// The violation as text.
    pub(crate) text: String,
}

/// Searches in this process.
pub(crate) fn run(by: &str) -> Result<Found, String> {
    match by.split_once(':') {
        Some(("model", name)) => model(name),
        None if by == "histories" => Ok(histories(|scenario, names, trace| {
            history::run(&Scenario::draw_direct(scenario.seed), names, trace)
        })),
        None if by == "endpoint" => Ok(histories(history::run)),
        None if by == "sweeps" => Ok(sweeps()),
        None if by == "volumes" => Ok(volumes()),
        Some(_) | None => Err(format!(
            "unknown search {by}: expected histories, endpoint, sweeps, volumes or \
             model:CONFIGURATION"
        )),
    }
}

/// One thread, so that the count is reproducible.
fn histories(play: Play) -> Found {
    let search = Plan { first: 1, count: HISTORIES, jobs: 1, twice: 0, enough: 1, play };
    let summary = firecamp_histories::run::run(&search, &Progress::default());
    match summary.found.first() {
        Some(found) => Found {
            what: Some(format!("{:?}", found.violation.promise)),
            after: found.seed.saturating_sub(search.first).saturating_add(1),
            text: found.violation.to_string(),
        },
        None => Found { what: None, after: summary.histories, text: String::new() },
    }
}

/// Small histories of garbage collection.
fn sweeps() -> Found {
    let names = firecamp_histories::names::Names::new();
    let found = (1..=HISTORIES).find_map(|seed| {
        let (violation, _coverage) = firecamp_histories::sweep::run(seed, &names);
        violation.map(|violation| Found {
            what: Some(format!("{:?}", violation.promise)),
            after: seed,
            text: violation.to_string(),
        })
    });
    found.unwrap_or(Found { what: None, after: HISTORIES, text: String::new() })
}

fn volumes() -> Found {
    use firecamp_histories::volumes::{history, scenario::Scenario, simulated_node::Names};

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
    let config =
        firecamp_model::named(name).ok_or(format!("unknown model configuration {name}"))?;
    let report = firecamp_model::explore(config, 1, Some(PATIENCE));
    let after = u64::try_from(report.states).unwrap_or(u64::MAX);
    Ok(match report.broken.first() {
        Some(broken) => {
            Found { what: Some(broken.property.to_owned()), after, text: broken.trace.join("\n") }
        }
        None => Found { what: None, after, text: String::new() },
    })
}
