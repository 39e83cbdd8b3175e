//! How often one agent asks EC2, whose buckets belong to the whole account.
//!
//! Guarantees: while nothing is wanted at once, at most one look in each period, of all kinds
//! together and by turns; whatever is wanted, at most one look of each kind in each period, and one
//! repeat of it where it came too early to tell. After failures the looks that nobody waits for
//! come more rarely. Caveats: errands look by themselves, as the protocol demands, and are not
//! counted here.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::contract::timing;
use crate::time::Moment;

/// What an agent asks EC2 of its own instance.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum Ec2Look {
    /// Its network interfaces: DescribeNetworkInterfaces.
    Interfaces,
    /// Its volumes: DescribeVolumes.
    Volumes,
    /// What its type allows, once: DescribeInstanceTypes.
    InstanceType,
}

/// How much an answer is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum Want {
    /// By turns, when it is due.
    Steady,
    /// Something waits for it.
    Now,
}

/// The most by which failures stretch the period: a doubling for each of them.
const DOUBLINGS_MAX: u32 = 3;

/// A look that was begun.
#[derive(Debug, Clone, Copy)]
struct Asked {
    at: Moment,
    /// When it may be repeated, before a period has passed.
    again: Option<Moment>,
    /// It is such a repeat.
    repeats: bool,
}

impl Asked {
    fn has_rested(&self, now: Moment) -> bool {
        now.since(self.at) >= timing::EC2_PERIOD
    }

    fn may_repeat(&self, now: Moment) -> bool {
        self.again.is_some_and(|again| now >= again)
    }
}

/// Who may ask what, and when.
#[derive(Debug, Clone)]
pub struct Budget {
    /// When the next look is due that nobody waits for.
    due: Moment,
    /// The last look of each kind.
    asked: BTreeMap<Ec2Look, Asked>,
    failures: u32,
}

impl Budget {
    /// The first look that nobody waits for is due at this moment. Agents that start together
    /// spread it over a period.
    pub fn new(due: Moment) -> Self {
        Self { due, asked: BTreeMap::new(), failures: 0 }
    }

    /// The look to begin now, if there is one; it counts as begun. `jitter` is added to the next
    /// period, so that agents drift apart. Among equals the one that was asked longest ago.
    pub fn grant(
        &mut self,
        wanted: &BTreeMap<Ec2Look, Want>,
        now: Moment,
        jitter: Duration,
    ) -> Option<Ec2Look> {
        let open = wanted.iter().filter(|(look, want)| self.is_open(**look, **want, now));
        let first = |(look, want): &(&Ec2Look, &Want)| {
            (std::cmp::Reverse(**want), self.asked(**look), **look)
        };
        let look = *open.min_by_key(first)?.0;
        let repeats = self.asked.get(&look).is_some_and(|last| !last.has_rested(now));
        self.asked.insert(look, Asked { at: now, again: None, repeats });
        let stretched = timing::EC2_PERIOD.saturating_mul(1 << self.failures.min(DOUBLINGS_MAX));
        self.due = now.plus(stretched.saturating_add(jitter));
        Some(look)
    }

    fn is_open(&self, look: Ec2Look, want: Want, now: Moment) -> bool {
        let last = self.asked.get(&look);
        let rested = last.is_none_or(|last| last.has_rested(now));
        let due = want == Want::Now || now >= self.due;
        (rested && due) || last.is_some_and(|last| last.may_repeat(now))
    }

    /// When a look of this kind was begun last.
    pub fn asked(&self, look: Ec2Look) -> Option<Moment> {
        self.asked.get(&look).map(|last| last.at)
    }

    /// The last look of this kind came too early to tell: at `again` it is due once more. What such
    /// a repeat cannot tell waits for the next period.
    pub fn repeat(&mut self, look: Ec2Look, again: Moment) {
        if let Some(last) = self.asked.get_mut(&look).filter(|last| !last.repeats) {
            last.again = Some(again);
        }
    }

    /// A look has ended, well or not.
    pub fn ended(&mut self, well: bool) {
        self.failures = if well { 0 } else { self.failures.saturating_add(1) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NONE: Duration = Duration::ZERO;

    fn at(seconds: u64) -> Moment {
        Moment(Duration::from_secs(seconds))
    }

    fn both(interfaces: Want, volumes: Want) -> BTreeMap<Ec2Look, Want> {
        [(Ec2Look::Interfaces, interfaces), (Ec2Look::Volumes, volumes)].into()
    }

    /// What is granted in these seconds, and when.
    fn run(
        budget: &mut Budget,
        seconds: std::ops::Range<u64>,
        wanted: impl Fn(u64) -> BTreeMap<Ec2Look, Want>,
    ) -> Vec<(u64, Ec2Look)> {
        let grant = |second| {
            let look = budget.grant(&wanted(second), at(second), NONE)?;
            Some((second, look))
        };
        seconds.filter_map(grant).collect()
    }

    #[test]
    fn a_quiet_node_asks_once_a_minute_by_turns() {
        let mut budget = Budget::new(at(17));
        let asked = run(&mut budget, 0..200, |_| both(Want::Steady, Want::Steady));
        let (eni, volume) = (Ec2Look::Interfaces, Ec2Look::Volumes);
        assert_eq!(asked, [(17, eni), (77, volume), (137, eni), (197, volume)]);
    }

    #[test]
    fn what_is_needed_comes_at_once_and_takes_the_place_of_what_is_due() {
        let mut budget = Budget::new(at(60));
        let wanted = |s| both(if s == 5 { Want::Now } else { Want::Steady }, Want::Steady);
        let asked = run(&mut budget, 0..130, wanted);
        let (eni, volume) = (Ec2Look::Interfaces, Ec2Look::Volumes);
        assert_eq!(asked, [(5, eni), (65, volume), (125, eni)]);
    }

    #[test]
    fn however_much_is_needed_each_kind_is_asked_once_a_minute() {
        let mut budget = Budget::new(at(0));
        let asked = run(&mut budget, 0..600, |_| both(Want::Now, Want::Now));
        assert_eq!(asked.len(), 20);
        for kind in [Ec2Look::Interfaces, Ec2Look::Volumes] {
            let times: Vec<u64> =
                asked.iter().filter(|(_, k)| *k == kind).map(|(at, _)| *at).collect();
            assert!(times.windows(2).all(|pair| pair[1] - pair[0] >= 60), "{times:?}");
        }
    }

    #[test]
    fn a_kind_that_nobody_wants_is_never_asked() {
        let mut budget = Budget::new(at(0));
        let only = [(Ec2Look::Interfaces, Want::Steady)].into();
        let asked = run(&mut budget, 0..130, |_| BTreeMap::clone(&only));
        let eni = Ec2Look::Interfaces;
        assert_eq!(asked, [(0, eni), (60, eni), (120, eni)]);
    }

    #[test]
    fn after_failures_what_nobody_waits_for_comes_more_rarely_until_one_goes_well() {
        let only: BTreeMap<_, _> = [(Ec2Look::Interfaces, Want::Steady)].into();
        let mut budget = Budget::new(at(0));
        let mut asked = Vec::new();
        for second in 0..3000 {
            if budget.grant(&only, at(second), NONE).is_some() {
                asked.push(second);
                budget.ended(second > 1000);
            }
        }
        assert_eq!(asked[..6], [0, 60, 180, 420, 900, 1380]);
        assert_eq!(asked[6..8], [1860, 1920]);
    }

    #[test]
    fn when_each_kind_was_begun_last_is_known() {
        let mut budget = Budget::new(at(0));
        assert_eq!(budget.asked(Ec2Look::Volumes), None);
        let only: BTreeMap<_, _> = [(Ec2Look::Volumes, Want::Now)].into();
        for second in [7, 67] {
            budget.grant(&only, at(second), NONE).unwrap();
            assert_eq!(budget.asked(Ec2Look::Volumes), Some(at(second)));
            assert_eq!(budget.asked(Ec2Look::Interfaces), None);
        }
    }

    #[test]
    fn a_look_that_came_too_early_is_repeated_once_in_a_period() {
        let mut budget = Budget::new(at(0));
        let (only, eni) = (BTreeMap::from([(Ec2Look::Interfaces, Want::Now)]), Ec2Look::Interfaces);
        let mut asked = Vec::new();
        for second in 0..200 {
            if budget.grant(&only, at(second), NONE).is_some() {
                budget.repeat(eni, at(second + 10));
                asked.push(second);
            }
        }
        assert_eq!(asked, [0, 10, 70, 80, 140, 150]);
        budget.repeat(Ec2Look::Volumes, at(0));
        assert_eq!(budget.asked(Ec2Look::Volumes), None, "what was never asked");
    }

    #[test]
    fn a_repeat_is_due_though_nobody_waits_for_it() {
        let mut budget = Budget::new(at(0));
        budget.grant(&both(Want::Now, Want::Steady), at(0), NONE).unwrap();
        budget.repeat(Ec2Look::Interfaces, at(10));
        let asked = run(&mut budget, 1..100, |_| both(Want::Steady, Want::Steady));
        assert_eq!(asked, [(10, Ec2Look::Interfaces), (70, Ec2Look::Volumes)]);
    }

    #[test]
    fn jitter_only_ever_makes_the_period_longer() {
        let only: BTreeMap<_, _> = [(Ec2Look::Interfaces, Want::Steady)].into();
        let mut budget = Budget::new(at(0));
        let jitter = Duration::from_secs(9);
        let granted = |s: &u64| budget.grant(&only, at(*s), jitter).is_some();
        let asked: Vec<u64> = (0..150).filter(granted).collect();
        assert_eq!(asked, [0, 69, 138]);
    }
}
