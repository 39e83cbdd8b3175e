//! Every order of a small world: one node, one address that others put into EC2 and take out of
//! it, one member's first start and its end, looks that fail and reads that fail. An attempt takes
//! less than a minute, so that no look comes in the middle of one.

use std::collections::{BTreeMap, HashSet};
use std::time::Duration;

use firecamp_core::agent::{Adopter, Evidence, NotAdopted, adopt};
use firecamp_core::outside::Owner;
use firecamp_core::time::Moment;

use super::{GRACE, address, evidence, owner, parsed, stray};

/// Looks come half or a whole grace period after one another, for so many halves.
const HALVES: u64 = 8;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Record {
    Missing,
    Members,
    Nobodys,
}

/// What was read so far; the write is still to come.
#[derive(Debug, Clone, Copy, Default)]
struct Attempt {
    claimed: Option<bool>,
    here: Option<bool>,
    recorded: Option<bool>,
}

#[derive(Debug, Clone)]
struct World {
    halves: u64,
    in_ec2: bool,
    /// The member's claim names it.
    claim: bool,
    record: Record,
    /// So often others may yet change what EC2 has, and reads fail.
    others: u8,
    fails: u8,
    adopter: Adopter,
    attempt: Option<Attempt>,
    /// Since when every look has shown it and every read has found no record, and how many.
    proof: Option<(u64, u8)>,
}

/// What an attempt came to.
type Met = HashSet<&'static str>;

impl World {
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

    /// Every world that may come next.
    fn nexts(&self, met: &mut Met) -> Vec<Self> {
        let mut nexts = self.others();
        let fails = self.fails > 0;
        if let Some(attempt) = self.attempt {
            nexts.push(self.step(attempt, met));
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

    /// What others do, and the member.
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
            // Somebody was first: it names another address.
            (true, Record::Nobodys) => all.push(Self { claim: false, ..self.clone() }),
            (true, Record::Members) | (false, Record::Members | Record::Nobodys) => {}
        }
        all
    }

    fn look(&self, wait: u64, sees: bool, reads: bool) -> Self {
        let mut next = self.clone();
        next.halves += wait;
        if !sees || !self.in_ec2 {
            next.adopter.lost_sight();
            next.proof = None;
            return next;
        }
        let there = self.record != Record::Missing;
        let recorded: BTreeMap<_, _> = reads.then_some((address(50), there)).into_iter().collect();
        let (since, looks) = self.proof.unwrap_or((next.halves, 0));
        next.proof = (reads && !there).then_some((since, looks + 1));
        let now = Moment(Duration::from_secs(GRACE / 2 * next.halves));
        let due = next.adopter.look(&[stray(50)].into(), &recorded, (now, now));
        if !due.is_empty() {
            let (since, looks) = next.proof.take().expect("it is due by reads that were answered");
            assert!(looks >= 2 && next.halves - since >= 2, "due after {looks} looks: {next:?}");
            next.attempt = Some(Attempt::default());
        }
        next
    }

    fn step(&self, attempt: Attempt, met: &mut Met) -> Self {
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
            owner: if here { owner(|_eni| {}) } else { Owner::Nobody },
            recorded,
            ..evidence()
        };
        next.attempt = None;
        met.insert(match (adopt(&stray(50), &evidence, parsed("agent-1")), self.record) {
            (Ok(_), Record::Missing) => {
                assert!(!claimed && here && !recorded, "adopted by {evidence:?}");
                next.record = Record::Nobodys;
                "adopted"
            }
            (Ok(_), Record::Members | Record::Nobodys) => "somebody was first",
            (Err(NotAdopted::Claimed(_)), _) => "claimed",
            (Err(NotAdopted::Recorded), _) => "recorded",
            (Err(NotAdopted::NotHere), _) => "not here",
            (Err(why), _) => unreachable!("{why}"),
        });
        next
    }

    /// Nothing else happens and nothing fails: what is unclaimed is adopted after three looks.
    fn ends_well(&self) {
        let mut world = self.clone();
        for _ in 0..3 {
            while let Some(attempt) = world.attempt {
                world = world.step(attempt, &mut Met::new());
            }
            world = world.look(2, true, true);
        }
        while let Some(attempt) = world.attempt {
            world = world.step(attempt, &mut Met::new());
        }
        let unclaimed = self.in_ec2 && !self.claim && self.record == Record::Missing;
        assert!(!unclaimed || world.record == Record::Nobodys, "{self:?} ends as {world:?}");
    }
}

#[test]
fn in_every_order_of_a_small_world_only_what_is_nobodys_is_adopted_and_that_in_the_end() {
    let (mut seen, mut met) = (HashSet::new(), Met::new());
    let mut open = vec![World::first()];
    while let Some(world) = open.pop() {
        world.ends_well();
        let nexts = world.nexts(&mut met);
        open.extend(nexts.into_iter().filter(|next| seen.insert(format!("{next:?}"))));
    }
    let all = ["adopted", "somebody was first", "claimed", "recorded", "not here"];
    assert_eq!(met, all.into());
    println!("{} states", seen.len());
    assert!(seen.len() > 2_000, "only {} states", seen.len());
}
