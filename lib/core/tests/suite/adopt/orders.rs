//! Every order of events in a small model: one node; one address that external callers assign and
//! unassign; one member's first start and end; failed EC2 and registry reads. An attempt takes less
//! than a minute, so no observation comes in the middle of one.

use std::collections::{BTreeMap, HashSet};
use std::time::Duration;

use firecamp_core::agent::{Adopter, Evidence, NotAdopted, adopt};
use firecamp_core::ports::Owner;
use firecamp_core::time::Moment;

use super::{GRACE, address, evidence, orphan, owner, parsed};

/// Observations are half or a whole grace period apart; this many halves in all.
const HALVES: u64 = 8;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Record {
    Missing,
    Members,
    Orphaned,
}

/// What was read so far, before the write.
#[derive(Debug, Clone, Copy, Default)]
struct Attempt {
    claimed: Option<bool>,
    here: Option<bool>,
    recorded: Option<bool>,
}

#[derive(Debug, Clone)]
struct Scenario {
    halves: u64,
    in_ec2: bool,
    /// The member's claim names it.
    claim: bool,
    record: Record,
    /// How many more external changes and failed reads there may be.
    others: u8,
    fails: u8,
    adopter: Adopter,
    attempt: Option<Attempt>,
    /// Since when every observation has shown it and every read has found no record, and their
    /// number.
    proof: Option<(u64, u8)>,
}

/// The results of the attempts.
type Results = HashSet<&'static str>;

impl Scenario {
    fn first() -> Self {
        Self {
            halves: 0,
            in_ec2: false,
            claim: false,
            record: Record::Missing,
            others: 3,
            fails: 2,
            adopter: Adopter::default(),
            attempt: None,
            proof: None,
        }
    }

    /// The possible next states.
    fn nexts(&self, results: &mut Results) -> Vec<Self> {
        let mut nexts = self.others();
        let fails = self.fails > 0;
        if let Some(attempt) = self.attempt {
            nexts.push(self.step(attempt, results));
            nexts.extend(fails.then(|| Self { attempt: None, ..self.failed() }));
            return nexts;
        }
        for wait in [1, 2] {
            if self.halves + wait <= HALVES {
                nexts.push(self.look(wait, true, true));
                nexts.extend(fails.then(|| self.failed().look(wait, false, true)));
                nexts.extend(fails.then(|| self.failed().look(wait, true, false)));
            }
        }
        nexts
    }

    fn failed(&self) -> Self {
        Self { fails: self.fails - 1, ..self.clone() }
    }

    /// Changes by external callers and by the member.
    fn others(&self) -> Vec<Self> {
        let mut all = Vec::new();
        if self.others > 0 {
            let (in_ec2, others) = (!self.in_ec2, self.others - 1);
            all.push(Self { in_ec2, others, ..self.clone() });
        }
        match (self.claim, self.record) {
            (false, Record::Missing) => all.push(Self { claim: true, ..self.clone() }),
            (true, Record::Missing) => {
                all.push(Self { record: Record::Members, ..self.clone() });
                all.push(Self { claim: false, ..self.clone() });
            }
            // Another process was first: the claim names another address.
            (true, Record::Orphaned) => all.push(Self { claim: false, ..self.clone() }),
            (true, Record::Members) | (false, Record::Members | Record::Orphaned) => {}
        }
        all
    }

    fn look(&self, wait: u64, sees: bool, reads: bool) -> Self {
        let mut next = self.clone();
        next.halves += wait;
        if !sees || !self.in_ec2 {
            next.adopter.reset();
            next.proof = None;
            return next;
        }
        let there = self.record != Record::Missing;
        let recorded: BTreeMap<_, _> = reads.then_some((address(50), there)).into_iter().collect();
        let (since, looks) = self.proof.unwrap_or((next.halves, 0));
        next.proof = (reads && !there).then_some((since, looks + 1));
        let now = Moment(Duration::from_secs(GRACE / 2 * next.halves));
        let due = next.adopter.observe(&[orphan(50)].into(), &recorded, (now, now));
        if !due.is_empty() {
            let (since, looks) = next.proof.take().expect("due only after complete reads");
            assert!(looks >= 2 && next.halves - since >= 2, "due after {looks} reads: {next:?}");
            next.attempt = Some(Attempt::default());
        }
        next
    }

    fn step(&self, attempt: Attempt, results: &mut Results) -> Self {
        let mut next = self.clone();
        let mut read = attempt;
        let Attempt { claimed: Some(claimed), here: Some(here), recorded: Some(recorded) } =
            attempt
        else {
            match attempt {
                Attempt { claimed: None, .. } => read.claimed = Some(self.claim),
                Attempt { here: None, .. } => read.here = Some(self.in_ec2),
                Attempt { .. } => read.recorded = Some(self.record != Record::Missing),
            }
            next.attempt = Some(read);
            return next;
        };
        let evidence = Evidence {
            claimed: claimed.then(|| parsed("prod/redis-0")),
            owner: if here { owner(|_eni| {}) } else { Owner::Unassigned },
            recorded,
            ..evidence()
        };
        next.attempt = None;
        results.insert(match (adopt(&orphan(50), &evidence, parsed("agent-1")), self.record) {
            (Ok(_), Record::Missing) => {
                assert!(!claimed && here && !recorded, "adopted by {evidence:?}");
                next.record = Record::Orphaned;
                "adopted"
            }
            (Ok(_), Record::Members | Record::Orphaned) => "another process was first",
            (Err(NotAdopted::Claimed(_)), _) => "claimed",
            (Err(NotAdopted::Recorded), _) => "recorded",
            (Err(NotAdopted::NotHere), _) => "not here",
            (Err(why), _) => unreachable!("{why}"),
        });
        next
    }

    /// Without further events and failures, an orphan is adopted after three observations.
    fn ends_well(&self) {
        let mut scenario = self.clone();
        for _ in 0..3 {
            while let Some(attempt) = scenario.attempt {
                scenario = scenario.step(attempt, &mut Results::new());
            }
            scenario = scenario.look(2, true, true);
        }
        while let Some(attempt) = scenario.attempt {
            scenario = scenario.step(attempt, &mut Results::new());
        }
        let orphaned = self.in_ec2 && !self.claim && self.record == Record::Missing;
        assert!(!orphaned || scenario.record == Record::Orphaned, "{self:?} ends as {scenario:?}");
    }
}

#[test]
fn in_every_order_only_orphans_are_adopted_and_all_of_them() {
    let (mut seen, mut results) = (HashSet::new(), Results::new());
    let mut open = vec![Scenario::first()];
    while let Some(scenario) = open.pop() {
        scenario.ends_well();
        let nexts = scenario.nexts(&mut results);
        open.extend(nexts.into_iter().filter(|next| seen.insert(format!("{next:?}"))));
    }
    let all = ["adopted", "another process was first", "claimed", "recorded", "not here"];
    assert_eq!(results, all.into());
    println!("{} states", seen.len());
    assert!(seen.len() > 2_000, "only {} states", seen.len());
}
