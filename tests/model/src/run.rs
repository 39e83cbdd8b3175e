//! Explores a configuration and says what was found.

use std::time::{Duration, SystemTime};

use stateright::{Checker, Expectation, HasDiscoveries, Model};

use crate::config::Config;
use crate::model::Small;
use crate::properties::HEALS;

/// What an exploration came to.
#[derive(Debug, Clone, serde::Serialize)]
pub struct Report {
    /// The configuration.
    pub config: &'static str,
    /// Every reachable state was looked at.
    pub explored: bool,
    /// Transitions taken.
    pub transitions: usize,
    /// Distinct states.
    pub states: usize,
    /// Steps from the start to the farthest state.
    pub depth: usize,
    /// Seconds.
    pub seconds: f64,
    /// States of the core's machines that were met.
    pub machines: usize,
    /// Contents of records that were met.
    pub records: usize,
    /// Properties that must hold and were found broken, each with the way there.
    pub broken: Vec<Broken>,
    /// What must happen at least once and did not.
    pub missing: Vec<&'static str>,
}

impl Report {
    /// Every state was looked at, every property held in each, and all that must happen did.
    pub fn holds(&self) -> bool {
        self.explored && self.broken.is_empty() && self.missing.is_empty()
    }
}

/// A property that was found broken.
#[derive(Debug, Clone, serde::Serialize)]
pub struct Broken {
    /// The property.
    pub property: &'static str,
    /// The actions that lead there.
    pub trace: Vec<String>,
}

/// Explores a configuration to its end, to the first violation, or until the time is up.
pub fn explore(config: Config, threads: usize, timeout: Option<Duration>) -> Report {
    let begun = SystemTime::now();
    let mut builder =
        Small::new(config).checker().threads(threads).finish_when(HasDiscoveries::AnyFailures);
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
                let mut trace = crate::trace::told(model, path.clone());
                if property.name == HEALS {
                    trace.extend(crate::trace::unhealed(model, path.last_state()));
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
        broken,
        missing,
    }
}
