//! One history: the script, then healing, then a quiet phase, with all audits after each second.

use std::hash::{DefaultHasher, Hash as _, Hasher as _};

use firecamp_controllers::publish::{Step, Subject};
use firecamp_core::ids::Member;
use firecamp_registry::api::VOLUME_READY;
use firecamp_testkit::sim::SimStatusWriter;

use crate::volumes::agent::{Agent, Environment, TickReport};
use crate::volumes::audit::{Audit, Promise, Violation};
use crate::volumes::coverage::Coverage;
use crate::volumes::scenario::{At, Disruption, Scenario, Source};
use crate::volumes::simulated_node::{Names, SimulatedNode};
use firecamp_node::volumes::{Reason, Table, VolumeRow};

/// The time until the report is correct after everything was repaired: the agent may have backed
/// off from EC2 for eight minutes, and from the API for seven and a half.
pub const SETTLES: u64 = 1_500;
/// From this second on a lasting problem must be reported in time.
const CLEAR: u64 = 600;
/// The length of the quiet phase, in which nothing may change.
const QUIET: u64 = 660;
/// The publisher's longest pause after failures.
const BACKOFF: u64 = 450;

/// The result of one history.
#[derive(Debug, Clone)]
pub struct Report {
    /// Its coverage.
    pub coverage: Coverage,
    /// The first violation.
    pub violation: Option<Violation>,
    /// A hash of every table and every step.
    pub hash: u64,
    /// The trace, if requested.
    pub trace: Vec<String>,
}

/// Runs the history of a scenario. `full`: with a line for every event.
pub fn run(scenario: &Scenario, names: &Names, full: bool) -> Report {
    let mut history = History {
        scenario,
        names,
        node: SimulatedNode::new(scenario.seed, scenario.shape),
        status_writer: SimStatusWriter::default(),
        agent: Agent::new(scenario.seed, 0, 0),
        restarts: 0,
        audit: Audit::new(scenario.shape),
        away: Vec::new(),
        table: Table::default(),
        written: 0,
        hasher: DefaultHasher::new(),
        trace: full.then(Vec::new),
    };
    history.play();
    history.audit.coverage.renamed = history.node.renamed;
    history.audit.coverage.xen = u64::from(scenario.shape.xen);
    Report {
        coverage: history.audit.coverage,
        violation: history.audit.violation,
        hash: history.hasher.finish(),
        trace: history.trace.unwrap_or_default(),
    }
}

struct History<'a> {
    scenario: &'a Scenario,
    names: &'a Names,
    node: SimulatedNode,
    status_writer: SimStatusWriter,
    agent: Agent,
    restarts: u64,
    audit: Audit,
    away: Vec<Source>,
    table: Table,
    /// Number of condition writes so far.
    written: u32,
    hasher: DefaultHasher,
    trace: Option<Vec<String>>,
}

impl History<'_> {
    fn log(&mut self, second: u64, text: impl FnOnce() -> String) {
        if let Some(trace) = &mut self.trace {
            trace.push(format!("{second:>6} {}", text()));
        }
    }

    fn play(&mut self) {
        self.status_writer.add_node("uid-1");
        for ix in 1..=self.scenario.shape.export() {
            self.status_writer.set_claim(&member(ix));
        }
        self.audit.truths.take(&self.node.now, 0);
        if self.scenario.is_calm() {
            self.audit.clear_from = Some(60);
        }
        let heal_at = self.scenario.heal_at;
        let settled = heal_at + SETTLES;
        for second in 0..=settled + QUIET {
            if second == heal_at {
                self.away.clear();
                self.audit.clear_from.get_or_insert(heal_at + CLEAR);
            }
            if second == settled {
                self.settle(second);
            }
            self.second(second);
            if self.audit.violation.is_some() {
                return;
            }
        }
        // Every pause is over: whatever the publisher still had to write, it would write now.
        self.second(settled + QUIET + BACKOFF);
    }

    fn second(&mut self, second: u64) {
        let script = &self.scenario.script;
        let from = script.partition_point(|at| at.second < second);
        let due: Vec<At> =
            script[from..].iter().take_while(|at| at.second == second).copied().collect();
        for At { disruption, .. } in due {
            self.disruption(disruption, second);
        }
        let changed = self.node.tick(second);
        if changed.any {
            self.audit.truths.take(&self.node.now, second);
        }
        let env = Environment {
            scenario: self.scenario,
            node: &self.node,
            names: self.names,
            status_writer: &self.status_writer,
            away: &self.away,
            healing: second >= self.scenario.heal_at,
        };
        let tick_report = self.agent.tick(second, changed, &env);
        self.note(&tick_report, second);
    }

    fn disruption(&mut self, disruption: Disruption, second: u64) {
        self.log(second, || format!("* {disruption:?}"));
        self.audit.coverage.disruption(disruption);
        match disruption {
            Disruption::Away(side) => self.away.push(side),
            Disruption::Back(side) => self.away.retain(|away| *away != side),
            Disruption::Restart => self.restart(second),
            Disruption::Start(_)
            | Disruption::Stop(_)
            | Disruption::Break(..)
            | Disruption::Mend(_) => {
                self.node.disruption(disruption, second);
            }
        }
    }

    fn restart(&mut self, second: u64) {
        self.restarts += 1;
        self.agent = Agent::new(self.scenario.seed, self.restarts, second);
        self.audit.restarted();
    }

    fn note(&mut self, tick_report: &TickReport, second: u64) {
        if tick_report.resumed {
            let published = self.status_writer.attachments().map(|it| it.status.volumes);
            self.audit.resumed(&published.unwrap_or_default(), self.names);
        }
        self.audit.tick_report(tick_report, second);
        if let Some(halves) = tick_report.half {
            self.audit.coverage.halves[halves] += 1;
        }
        if let Some(table) = &tick_report.table {
            self.audit.table(table, self.agent.devices(), (self.names, second));
            if *table != self.table {
                self.changed(table, second);
            }
        }
        let written = self.status_writer.posted().conditions;
        if self.audit.quiet && written != self.written {
            let text = "a claim was written without a change".to_owned();
            self.audit.broken(Promise::V3, second, text);
        }
        self.written = written;
        for (step, well) in &tick_report.steps {
            (second, step.name(), *well).hash(&mut self.hasher);
            self.audit.step((step, *well), self.names, second);
            self.log(second, || {
                let event = if let Step::EmitEvent(event) = step { Some(event) } else { None };
                let reported = event.map(|event| format!("{}: {}", event.reason, event.note));
                format!("-> {} {} {well}", step.name(), reported.unwrap_or_default())
            });
        }
    }

    fn changed(&mut self, table: &Table, second: u64) {
        (second, format!("{table:?}")).hash(&mut self.hasher);
        if self.audit.quiet {
            let text = "the table changed although nothing else did".to_owned();
            self.audit.broken(Promise::V3, second, text);
        }
        self.log(second, || {
            let reported: Vec<String> = table.volumes.iter().map(brief).collect();
            format!("   {}", reported.join("; "))
        });
        self.table = table.clone();
    }

    /// Everything is settled except lasting problems: exactly these are reported. In every second
    /// history the agent then restarts, and that changes nothing either.
    fn settle(&mut self, second: u64) {
        self.audit.settled(second);
        self.claims(second);
        self.audit.quiet = true;
        if self.scenario.seed.is_multiple_of(2) {
            self.log(second, || "* the agent restarts".to_owned());
            self.restart(second);
        }
    }

    /// V8: a claim reports whether its pod has its volume.
    fn claims(&mut self, second: u64) {
        let reported = self.audit.reported();
        for ix in 1..=self.scenario.shape.export() {
            let volume = &self.node.now.volumes[usize::from(ix)];
            let Some(pod) = volume.pod.filter(|pod| !pod.ending) else { continue };
            let no_mount = volume.mounted != Some(pod.lifecycle);
            let blocked = |key: &(u8, Reason)| key.0 == ix && blocks_pod(key.1, no_mount);
            let conditions = self.status_writer.conditions(&Subject::Claim(member(ix)));
            let condition = conditions.iter().find(|one| one.kind == VOLUME_READY);
            let missing = condition.is_some_and(|one| one.status == "False");
            if reported.iter().any(blocked) != missing {
                let text = format!(
                    "the claim of volume {ix} has {condition:?}, but {reported:?} is reported"
                );
                return self.audit.broken(Promise::V8, second, text);
            }
        }
    }
}

fn brief(row: &VolumeRow) -> String {
    let problems: Vec<_> = row.problems.iter().map(|p| p.reason.name()).collect();
    let (device, mounts) = (row.device.as_deref().unwrap_or("-"), row.mounts.len());
    format!("{} {:?} {device} {mounts} mounts {problems:?}", row.name, row.attachment)
}

/// Whether the problem keeps a pod from its volume, by `volumes.md`.
fn blocks_pod(reason: Reason, no_mount: bool) -> bool {
    let harmless = [
        Reason::SerialUnreadable,
        Reason::LinkMismatch,
        Reason::NotInKubernetes,
        Reason::PodGone,
        Reason::AlmostFull,
        Reason::InodesAlmostFull,
    ];
    !harmless.contains(&reason) && (no_mount || reason != Reason::NotMounted)
}

fn member(ix: u8) -> Member {
    Member::new("prod", &format!("redis-{ix}")).expect("a member")
}
