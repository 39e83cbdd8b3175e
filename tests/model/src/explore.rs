//! Explores a configuration and reports the result.

use std::collections::BTreeSet;
use std::time::{Duration, SystemTime};

use stateright::{Checker, Expectation, HasDiscoveries, Model};

use crate::config::Config;
use crate::model::ProtocolModel;
use crate::properties::HEALS;
use crate::transition_table::Row;

/// The result of an exploration.
#[derive(Debug, Clone, serde::Serialize)]
pub struct Report {
    /// The configuration.
    pub config: &'static str,
    /// Every reachable state was checked.
    pub explored: bool,
    /// Transitions taken.
    pub transitions: usize,
    /// Distinct states.
    pub states: usize,
    /// Steps from the initial state to the farthest state.
    pub depth: usize,
    /// Duration in seconds.
    pub seconds: f64,
    /// The number of states of the core's machines.
    pub machines: usize,
    /// The number of contents of records.
    pub records: usize,
    /// The transitions of attach and release that were taken.
    #[serde(skip)]
    pub taken: BTreeSet<Row>,
    /// Violated properties, each with an execution that violates it.
    pub broken: Vec<Broken>,
    /// The states that must be reached and were not.
    pub missing: Vec<&'static str>,
}

impl Report {
    /// Whether every state was checked, every property held, and all required states were reached.
    pub fn holds(&self) -> bool {
        self.explored && self.broken.is_empty() && self.missing.is_empty()
    }
}

/// A violated property.
#[derive(Debug, Clone, serde::Serialize)]
pub struct Broken {
    /// The property.
    pub property: &'static str,
    /// The transitions that lead to the violation.
    pub trace: Vec<String>,
}

/// Explores a configuration to its end, to the first violation, or until the timeout.
pub fn explore(config: Config, threads: usize, timeout: Option<Duration>) -> Report {
    let begun = SystemTime::now();
    let mut builder = ProtocolModel::new(config)
        .checker()
        .threads(threads)
        .finish_when(HasDiscoveries::AnyFailures);
    if let Some(timeout) = timeout {
        builder = builder.timeout(timeout);
    }
    let checker = builder.spawn_bfs().join();
    let elapsed = begun.elapsed().unwrap_or_default();
    let model = checker.model();
    let found = checker.discoveries();
    let mut broken = Vec::new();
    let mut missing = Vec::new();
    for property in model.properties() {
        match (&property.expectation, found.get(property.name)) {
            (Expectation::Always, Some(path)) => {
                let mut trace = crate::trace::lines(model, path.clone());
                if property.name == HEALS {
                    trace.extend(crate::trace::failed_healing(model, path.last_state()));
                }
                broken.push(Broken { property: property.name, trace });
            }
            (Expectation::Sometimes, None) => missing.push(property.name),
            _ => {}
        }
    }
    let in_time = timeout.is_none_or(|timeout| elapsed < timeout);
    let (machines, records) = model.sizes();
    Report {
        config: config.name,
        explored: in_time && broken.is_empty(),
        transitions: checker.state_count(),
        states: checker.unique_state_count(),
        depth: checker.max_depth(),
        seconds: elapsed.as_secs_f64(),
        machines,
        records,
        taken: model.machines.transitions(),
        broken,
        missing,
    }
}
