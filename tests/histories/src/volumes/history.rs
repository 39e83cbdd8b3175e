//! One history: what happens, then healing, then quiet, with all audits after each second.

use std::hash::{DefaultHasher, Hash as _, Hasher as _};

use crate::tape::Tape;
use firecamp_controllers::publish::{Step, Subject};
use firecamp_core::ids::Member;
use firecamp_registry::api::VOLUME_READY;
use firecamp_testkit::sim::SimBoard;

use crate::volumes::agent::{Agent, Noted, Outside};
use crate::volumes::audit::{Audit, Promise, Violation};
use crate::volumes::probe::Probes;
use crate::volumes::recorder::Recorder;
use crate::volumes::scenario::{At, Deed, Scenario, Side};
use crate::volumes::world::{Names, World};
use firecamp_node::volumes::{Reason, Table, VolumeRow};

/// After everything was mended it is known within this what is so: EC2 may have been given up for
/// eight minutes, and the API for seven and a half.
pub const SETTLES: u64 = 1_500;
/// From when on what lasts is told in time.
const CLEAR: u64 = 600;
/// For so long nothing may change then.
const QUIET: u64 = 660;

/// How one history went.
#[derive(Debug, Clone)]
pub struct Report {
    /// What it met.
    pub probes: Probes,
    /// The promise that was broken.
    pub violation: Option<Violation>,
    /// A hash of every table and every step.
    pub hash: u64,
    /// What happened, if it was asked for.
    pub trace: Vec<String>,
    /// What was decided, if that was asked for.
    pub tape: Option<Tape>,
}

/// Runs the history of a scenario. `full`: with a line for everything that happens.
pub fn run(scenario: &Scenario, names: &Names, full: bool) -> Report {
    recorded(scenario, names, full, None)
}

/// The same; what is decided is recorded as well, if there is a tape.
pub fn recorded(scenario: &Scenario, names: &Names, full: bool, tape: Option<Tape>) -> Report {
    let mut history = History {
        scenario,
        names,
        world: World::new(scenario.seed, scenario.shape),
        board: SimBoard::default(),
        agent: Agent::new(scenario.seed, Recorder { tape, process: 0 }, 0, names),
        audit: Audit::new(scenario.shape),
        away: Vec::new(),
        table: Table::default(),
        written: 0,
        hasher: DefaultHasher::new(),
        trace: full.then(Vec::new),
    };
    history.play();
    history.audit.probes.renamed = history.world.renamed;
    history.audit.probes.xen = u64::from(scenario.shape.xen);
    Report {
        probes: history.audit.probes,
        violation: history.audit.violation,
        hash: history.hasher.finish(),
        trace: history.trace.unwrap_or_default(),
        tape: history.agent.recorder.tape,
    }
}

struct History<'a> {
    scenario: &'a Scenario,
    names: &'a Names,
    world: World,
    board: SimBoard,
    agent: Agent,
    audit: Audit,
    away: Vec<Side>,
    table: Table,
    /// Conditions that were written so far.
    written: u32,
    hasher: DefaultHasher,
    trace: Option<Vec<String>>,
}

impl History<'_> {
    fn say(&mut self, second: u64, text: impl FnOnce() -> String) {
        if let Some(trace) = &mut self.trace {
            trace.push(format!("{second:>6} {}", text()));
        }
    }

    fn play(&mut self) {
        self.board.add_node("uid-1");
        for ix in 1..=self.scenario.shape.export() {
            self.board.set_claim(&member(ix));
        }
        self.audit.truths.take(&self.world.now, 0);
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
        let last = settled + QUIET;
        let (plan, again) = (self.agent.next(last), self.agent.next(last));
        let idle = plan.as_ref().is_none_or(|step| matches!(step, Step::Learn));
        if plan != again || !idle {
            let text = format!("there is still something to do: {plan:?}");
            self.audit.broken(Promise::V3, last, text);
        }
    }

    fn second(&mut self, second: u64) {
        let script = &self.scenario.script;
        let from = script.partition_point(|at| at.second < second);
        let due: Vec<At> =
            script[from..].iter().take_while(|at| at.second == second).copied().collect();
        for At { deed, .. } in due {
            self.deed(deed, second);
        }
        let changed = self.world.tick(second);
        if changed.any {
            self.audit.truths.take(&self.world.now, second);
        }
        let outside = Outside {
            scenario: self.scenario,
            world: &self.world,
            names: self.names,
            board: &self.board,
            away: &self.away,
            healing: second >= self.scenario.heal_at,
        };
        let noted = self.agent.tick(second, changed, &outside);
        self.note(&noted, second);
    }

    fn deed(&mut self, deed: Deed, second: u64) {
        self.say(second, || format!("* {deed:?}"));
        self.audit.probes.deed(deed);
        match deed {
            Deed::Away(side) => self.away.push(side),
            Deed::Back(side) => self.away.retain(|away| *away != side),
            Deed::Restart => self.restart(second),
            Deed::Start(_) | Deed::Stop(_) | Deed::Break(..) | Deed::Mend(_) => {
                self.world.deed(deed, second);
            }
        }
    }

    fn restart(&mut self, second: u64) {
        let Recorder { tape, process } = std::mem::take(&mut self.agent.recorder);
        let recorder = Recorder { tape, process: process + 1 };
        self.agent = Agent::new(self.scenario.seed, recorder, second, self.names);
        self.audit.restarted();
    }

    fn note(&mut self, noted: &Noted, second: u64) {
        if noted.resumed {
            let published = self.board.attachments().map(|it| it.status.volumes);
            self.audit.resumed(&published.unwrap_or_default(), self.names);
        }
        self.audit.noted(noted, second);
        if let Some(halves) = noted.half {
            self.audit.probes.halves[halves] += 1;
        }
        if let Some(table) = &noted.table {
            self.audit.table(table, &self.agent.devices, (self.names, second));
            if *table != self.table {
                self.changed(table, second);
            }
        }
        let written = self.board.posted().conditions;
        if self.audit.quiet && written != self.written {
            let text = "a claim was written though nothing has changed".to_owned();
            self.audit.broken(Promise::V3, second, text);
        }
        self.written = written;
        for (step, well) in &noted.steps {
            (second, step.name(), *well).hash(&mut self.hasher);
            self.audit.step((step, *well), self.names, second);
            self.say(second, || {
                let event = if let Step::Tell(event) = step { Some(event) } else { None };
                let told = event.map(|event| format!("{}: {}", event.reason, event.note));
                format!("-> {} {} {well}", step.name(), told.unwrap_or_default())
            });
        }
    }

    fn changed(&mut self, table: &Table, second: u64) {
        (second, format!("{table:?}")).hash(&mut self.hasher);
        if self.audit.quiet {
            let text = "the table changed though nothing else did".to_owned();
            self.audit.broken(Promise::V3, second, text);
        }
        self.say(second, || {
            let told: Vec<String> = table.volumes.iter().map(brief).collect();
            format!("   {}", told.join("; "))
        });
        self.table = table.clone();
    }

    /// All is in order but for what lasts: it is told, and nothing else is. In every second history
    /// the agent then begins anew, and that changes nothing either.
    fn settle(&mut self, second: u64) {
        self.audit.settled(second);
        self.claims(second);
        self.audit.quiet = true;
        if self.scenario.seed.is_multiple_of(2) {
            self.say(second, || "* the agent begins anew".to_owned());
            self.restart(second);
        }
    }

    /// V8: a claim says whether its pod has its volume.
    fn claims(&mut self, second: u64) {
        let told = self.audit.told();
        for ix in 1..=self.scenario.shape.export() {
            let volume = &self.world.now.volumes[usize::from(ix)];
            let Some(pod) = volume.pod.filter(|pod| !pod.ending) else { continue };
            let lacks = volume.mounted != Some(pod.life);
            let kept = |key: &(u8, Reason)| key.0 == ix && keeps(key.1, lacks);
            let conditions = self.board.conditions(&Subject::Claim(member(ix)));
            let says = conditions.iter().find(|one| one.kind == VOLUME_READY);
            let lacking = says.is_some_and(|one| one.status == "False");
            if told.iter().any(kept) != lacking {
                let text = format!("the claim of volume {ix} says {says:?}, and {told:?} is told");
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

/// Whether it keeps a pod from its volume, by `volumes.md`.
fn keeps(reason: Reason, lacks: bool) -> bool {
    let nobody = [
        Reason::SerialUnreadable,
        Reason::LinkMismatch,
        Reason::NotInKubernetes,
        Reason::PodGone,
        Reason::AlmostFull,
        Reason::InodesAlmostFull,
    ];
    !nobody.contains(&reason) && (lacks || reason != Reason::NotMounted)
}

fn member(ix: u8) -> Member {
    Member::new("prod", &format!("redis-{ix}")).expect("a member")
}
