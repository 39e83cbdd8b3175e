//! Shrinks a failing scenario: drops disruptions and faults as long as it violates the same
//! invariant.

use crate::audit::Promise;
use crate::history::Play;
use crate::names::Names;
use crate::scenario::Scenario;
use crate::trace::Trace;

/// The smallest scenario found that still violates this invariant.
pub fn shrink(play: Play, scenario: &Scenario, promise: Promise, names: &Names) -> Scenario {
    shrink_while(scenario, |candidate| {
        let report = play(candidate, names, Trace::Off);
        report.violation.is_some_and(|violation| violation.promise == promise)
    })
}

/// The smallest scenario found for which `fails` is true.
pub fn shrink_while(scenario: &Scenario, fails: impl Fn(&Scenario) -> bool) -> Scenario {
    let mut best = scenario.clone();
    loop {
        let before = size(&best);
        drop_disruptions(&mut best, &fails);
        drop_faults(&mut best, &fails);
        drop_acts(&mut best, &fails);
        if size(&best) == before {
            return best;
        }
    }
}

fn size(scenario: &Scenario) -> (usize, usize, usize) {
    let acts = scenario.orphans.as_ref().map_or(0, |orphans| orphans.acts.len());
    (scenario.script.len(), scenario.swarm.on().count(), acts)
}

/// Drops the acts of others with orphans, one by one.
fn drop_acts(best: &mut Scenario, fails: &impl Fn(&Scenario) -> bool) {
    let mut at = 0;
    while best.orphans.as_ref().is_some_and(|orphans| at < orphans.acts.len()) {
        let mut candidate = best.clone();
        if let Some(orphans) = &mut candidate.orphans {
            orphans.acts.remove(at);
        }
        if fails(&candidate) {
            *best = candidate;
        } else {
            at += 1;
        }
    }
}

/// Drops halves, quarters and so on, down to single disruptions.
fn drop_disruptions(best: &mut Scenario, fails: &impl Fn(&Scenario) -> bool) {
    let mut width = best.script.len().div_ceil(2);
    while width > 0 {
        let mut at = 0;
        while at < best.script.len() {
            let mut candidate = best.clone();
            let end = candidate.script.len().min(at + width);
            candidate.script.drain(at..end);
            if fails(&candidate) {
                *best = candidate;
            } else {
                at += width;
            }
        }
        width /= 2;
    }
}

fn drop_faults(best: &mut Scenario, fails: &impl Fn(&Scenario) -> bool) {
    let on: Vec<_> = best.swarm.on().collect();
    for fault in on {
        let mut candidate = best.clone();
        candidate.swarm = candidate.swarm.with(fault, 0);
        if fails(&candidate) {
            *best = candidate;
        }
    }
}
