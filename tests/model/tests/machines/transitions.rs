//! `docs/proof/transitions.md`: every transition of attach and of release that arbitrary replies
//! cause. The model's explorations, too, take no other.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fmt::Write as _;
use std::path::Path;

use firecamp_core::action::{Action, Reply};
use firecamp_core::attach::Attach;
use firecamp_core::contract::timing;
use firecamp_core::failure::{CloudFailure, CloudKind, Effect};
use firecamp_core::machine::Machine;
use firecamp_core::ports::{PodLifecycle, PodView};
use firecamp_core::release::{Release, ReleaseInput, Releaser};
use firecamp_model::canonical::state_name;
use firecamp_model::transition_table::Row;
use serde::Serialize;

use crate::chaos::fixture::{ADDRESS, ChaosSystems, Choices, attach_input, parsed, release_input};

/// Steps of each machine. Twice as many take no other transition.
const STEPS: u32 = 200_000;
/// How many machines are kept in each state.
const CASES: usize = 64;

const HEAD: &str = "# Transitions of attach and release

<!-- Generated from tests/model/tests/machines/transitions.rs: `make bless`. -->

What attach and release do in each state: the action that they request, and the states to which its
answer leads. The rows are observed, not written by hand: a test drives the product's own machines
with arbitrary replies, and fails if this page has a row more or a row less. The explorations of the
[model](verification.md) fail if they take a transition that is not here.

- **Answer**: *lost* means that a write or a call to EC2 may have taken effect without an answer.
- **Next**: `Attached`, `Released` and `Failed` are the ends. In brackets is the
  [step](../../lib/core/src/step.rs) boundary that the answer crosses. A *pause* is exact; a
  *back-off* has jitter and doubles.

The pictures show successful answers only, without those that lead to `Failed`. `Undo` always ends
in `Failed`.
";

/// A reproducible stream of bytes.
fn bytes(seed: u32) -> Vec<u8> {
    let mut state = u64::from(seed) + 1;
    let next = |_| {
        state =
            state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        state.to_be_bytes()[1]
    };
    (0..8 + seed % 192).map(next).collect()
}

/// The pod of a release, which the chaos of the core's tests does not vary.
fn pod(chaos: &mut ChaosSystems) -> Reply {
    let lifecycles =
        [PodLifecycle::Running, PodLifecycle::Terminating(None), PodLifecycle::Terminal];
    let (lifecycle, pod) = (chaos.choices.pick(&lifecycles), chaos.choices.pick(&["mine", "old"]));
    let (pod, node) = (parsed(pod), Some(parsed("node-a")));
    let present = PodView::Present { pod, node, lifecycle, controller: None };
    Reply::Pod(Ok(chaos.choices.pick(&[PodView::Absent, PodView::Vouched, present])))
}

/// The answer to an action: that of the chaos of the core's tests, or what it leaves out.
fn answer(chaos: &mut ChaosSystems, action: &Action, stops: bool) -> Reply {
    let held = || {
        let (kind, effect) = (CloudKind::HeldElsewhere, Effect::None);
        Reply::Cloud(Err(CloudFailure { kind, effect, detail: String::new() }))
    };
    let reply = if *action == Action::ReadPod && chaos.choices.one_in(2) {
        pod(chaos)
    } else if *action == Action::ReadMember && stops && chaos.choices.one_in(30) {
        Reply::Stopping
    } else if matches!(action, Action::Assign { .. }) && chaos.choices.one_in(4) {
        held()
    } else {
        chaos.answer(action)
    };
    if chaos.choices.one_in(20) {
        chaos.now = chaos.now.plus(timing::CALL_BOUND);
    }
    reply
}

/// A machine and its environment.
#[derive(Clone)]
struct Case<M> {
    machine: M,
    chaos: ChaosSystems,
}

fn attach(seed: u32) -> Case<Attach> {
    let mut chaos = ChaosSystems::new(bytes(seed));
    if chaos.choices.one_in(4)
        && let Some(claim) = &mut chaos.claim
    {
        claim.requested = Some(ADDRESS);
    }
    if let Some(last) = chaos.record.as_mut().and_then(|record| record.attachment.as_mut()) {
        last.served = chaos.choices.one_in(2);
    }
    Case { machine: Attach::new(attach_input(), chaos.now), chaos }
}

fn release(seed: u32) -> Case<Release> {
    let mut chaos = ChaosSystems::new(bytes(seed));
    let all = [Releaser::Stop, Releaser::Agent, Releaser::AgentElsewhere, Releaser::Evictor];
    let by = chaos.choices.pick(&all);
    let await_stop = by == Releaser::Stop && chaos.choices.one_in(2);
    let input = ReleaseInput { by, ..release_input(chaos.choices.one_in(2), await_stop) };
    Case { machine: Release::new(input, chaos.now), chaos }
}

impl<M: Machine + Serialize> Case<M> {
    /// One action, and the wait that its answer leads to.
    fn step(&mut self, stops: bool) -> Option<Row> {
        let reply = answer(&mut self.chaos, &self.machine.action(), stops);
        let row = Row::take(&mut self.machine, reply, self.chaos.now);
        while let Action::Wait(_) = self.machine.action() {
            let waited = self.chaos.answer(&self.machine.action());
            self.machine.reply(waited, self.chaos.now);
        }
        row
    }
}

/// Takes steps from all states alike, so that the rare ones are tried as often as the others.
fn observed<M>(begin: fn(u32) -> Case<M>, stops: bool) -> BTreeSet<Row>
where
    M: Machine + Clone + Serialize,
{
    let (mut rows, mut cases) = (BTreeSet::new(), BTreeMap::<String, Vec<Case<M>>>::new());
    for seed in 0..STEPS {
        let choices = Choices { bytes: bytes(seed), next: 0 };
        let mut pick = choices.clone();
        let mut case = begin(seed);
        if seed % 8 > 0 && !cases.is_empty() {
            let states: Vec<_> = cases.values().collect();
            let known = states[usize::from(pick.byte()) % states.len()];
            case = known[usize::from(pick.byte()) % known.len()].clone();
            case.chaos.choices = choices;
        }
        rows.extend(case.step(stops));
        if case.machine.outcome().is_none() {
            let known = cases.entry(state_name(&case.machine)).or_default();
            if known.len() < CASES {
                known.push(case);
            } else {
                known[usize::from(pick.byte()) % CASES] = case;
            }
        }
    }
    rows
}

/// Whether a row is in the picture.
fn is_drawn(row: &Row) -> bool {
    row.answer == "success" && row.next != "Failed" && row.next != row.state
}

/// The states in the order in which a run without failures reaches them.
fn order(rows: &BTreeSet<Row>, first: &str) -> BTreeMap<String, usize> {
    let mut order = BTreeMap::new();
    let mut open = VecDeque::from([first.to_owned()]);
    while let Some(state) = open.pop_front() {
        if order.contains_key(&state) {
            continue;
        }
        order.insert(state.clone(), order.len());
        let from = rows.iter().filter(|row| row.state == state && is_drawn(row));
        open.extend(from.map(|row| row.next.clone()));
    }
    order
}

fn section(text: &mut String, rows: &BTreeSet<Row>, first: &str) {
    let order = order(rows, first);
    let place = |row: &Row| match order.get(&row.state) {
        Some(place) if !row.state.starts_with("Undo") => *place,
        Some(_) | None => usize::MAX,
    };
    let mut rows: Vec<&Row> = rows.iter().collect();
    rows.sort_by_key(|row| (place(row), *row));
    text.push_str("\n```mermaid\nflowchart TD\n");
    let id = |state: &str| state.replace('.', "_");
    let mut drawn = BTreeSet::new();
    for row in &rows {
        let line = format!("    {}[\"{}<br/>{}\"]\n", id(&row.state), row.state, row.action);
        if drawn.insert(id(&row.state)) {
            text.push_str(&line);
        }
    }
    for row in rows.iter().filter(|row| is_drawn(row)) {
        let edge = match row.crossed {
            Some(step) => format!("-->|\"{step} {}\"|", step.done()),
            None => "-->".to_owned(),
        };
        let line = format!("    {} {edge} {}\n", id(&row.state), id(&row.next));
        if drawn.insert(line.clone()) {
            text.push_str(&line);
        }
    }
    text.push_str("```\n\n| State | Action | Answer | Next |\n| --- | --- | --- | --- |\n");
    for same in rows.chunk_by(|one, other| one.cause() == other.cause()) {
        let effects: Vec<_> = same.iter().map(|row| row.effect()).collect();
        writeln!(text, "{} {} |", same[0].cause(), effects.join("; ")).expect("a string");
    }
}

#[test]
fn the_page_lists_every_transition_of_attach_and_release() {
    let mut page = HEAD.to_owned();
    page.push_str("\n## Attach\n");
    section(&mut page, &observed(attach, false), "Bind.Member");
    page.push_str("\n## Release\n");
    section(&mut page, &observed(release, true), "Fix");
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/proof/transitions.md");
    if std::env::var_os("BLESS").is_some() {
        std::fs::write(&path, &page).expect("a writable page");
    }
    let kept = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(kept == page, "docs/proof/transitions.md is out of date: run `make bless`");
}
