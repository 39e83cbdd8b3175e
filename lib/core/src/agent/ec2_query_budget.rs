//! How often one agent queries EC2, whose request quota is per account.
//!
//! Guarantees: while no query is wanted at once, the agent starts at most one query in each period,
//! and the kinds take turns. In any case it starts at most one query of each kind in each period,
//! plus one repeat if the first one was too early to be conclusive. After failures, routine
//! queries become less frequent. Caveats: operations query EC2 themselves, as the protocol demands;
//! the budget does not count these.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::contract::timing;
use crate::time::Moment;

/// What an agent queries from EC2 about its own instance.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum Ec2Query {
    /// Its network interfaces: DescribeNetworkInterfaces.
    Interfaces,
    /// Its volumes: DescribeVolumes.
    Volumes,
    /// What its type allows, once: DescribeInstanceTypes.
    InstanceType,
    /// The reservations of the subnets in which addresses are parked here:
    /// GetSubnetCidrReservations.
    Reservations,
}

/// How urgent a query is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum Want {
    /// Routine: in turn, when it is due.
    Steady,
    /// Something waits for the answer.
    Now,
}

/// At most this many failures double the period.
const DOUBLINGS_MAX: u32 = 3;

/// A query that was started.
#[derive(Debug, Clone, Copy)]
struct Started {
    at: Moment,
    /// When it may be repeated before a period has passed.
    again: Option<Moment>,
    /// It is such a repeat.
    repeats: bool,
}

impl Started {
    fn has_rested(&self, now: Moment) -> bool {
        now.since(self.at) >= timing::EC2_PERIOD
    }

    fn may_repeat(&self, now: Moment) -> bool {
        self.again.is_some_and(|again| now >= again)
    }
}

/// Which query may start, and when.
#[derive(Debug, Clone)]
pub struct Budget {
    /// When the next routine query is due.
    due: Moment,
    /// The last query of each kind.
    started: BTreeMap<Ec2Query, Started>,
    failures: u32,
}

impl Budget {
    /// The first routine query is due at this moment. Agents that start together spread it over a
    /// period.
    pub fn new(due: Moment) -> Self {
        Self { due, started: BTreeMap::new(), failures: 0 }
    }

    /// The query to start now, if any; it counts as started. `jitter` is added to the next period,
    /// so that agents drift apart. Among equally urgent queries the one with the oldest answer
    /// wins.
    pub fn grant(
        &mut self,
        wanted: &BTreeMap<Ec2Query, Want>,
        now: Moment,
        jitter: Duration,
    ) -> Option<Ec2Query> {
        let open = wanted.iter().filter(|(query, want)| self.is_open(**query, **want, now));
        let first = |(query, want): &(&Ec2Query, &Want)| {
            (std::cmp::Reverse(**want), self.last_started(**query), **query)
        };
        let query = *open.min_by_key(first)?.0;
        let repeats = self.started.get(&query).is_some_and(|last| !last.has_rested(now));
        self.started.insert(query, Started { at: now, again: None, repeats });
        let stretched = timing::EC2_PERIOD.saturating_mul(1 << self.failures.min(DOUBLINGS_MAX));
        self.due = now.plus(stretched.saturating_add(jitter));
        Some(query)
    }

    fn is_open(&self, query: Ec2Query, want: Want, now: Moment) -> bool {
        let last = self.started.get(&query);
        let rested = last.is_none_or(|last| last.has_rested(now));
        let due = want == Want::Now || now >= self.due;
        (rested && due) || last.is_some_and(|last| last.may_repeat(now))
    }

    /// When a query of this kind was last started.
    pub fn last_started(&self, query: Ec2Query) -> Option<Moment> {
        self.started.get(&query).map(|last| last.at)
    }

    /// The last query of this kind was too early to be conclusive: it is due again at `again`. If
    /// the repeat is inconclusive, too, the query waits for the next period.
    pub fn repeat(&mut self, query: Ec2Query, again: Moment) {
        if let Some(last) = self.started.get_mut(&query).filter(|last| !last.repeats) {
            last.again = Some(again);
        }
    }

    /// A query has ended, successfully or not.
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

    fn both(interfaces: Want, volumes: Want) -> BTreeMap<Ec2Query, Want> {
        [(Ec2Query::Interfaces, interfaces), (Ec2Query::Volumes, volumes)].into()
    }

    /// The queries that were granted in these seconds, and when.
    fn run(
        budget: &mut Budget,
        seconds: std::ops::Range<u64>,
        wanted: impl Fn(u64) -> BTreeMap<Ec2Query, Want>,
    ) -> Vec<(u64, Ec2Query)> {
        let grant = |second| {
            let query = budget.grant(&wanted(second), at(second), NONE)?;
            Some((second, query))
        };
        seconds.filter_map(grant).collect()
    }

    #[test]
    fn an_idle_node_queries_once_a_minute_in_turns() {
        let mut budget = Budget::new(at(17));
        let asked = run(&mut budget, 0..200, |_| both(Want::Steady, Want::Steady));
        let (eni, volume) = (Ec2Query::Interfaces, Ec2Query::Volumes);
        assert_eq!(asked, [(17, eni), (77, volume), (137, eni), (197, volume)]);
    }

    #[test]
    fn an_urgent_query_starts_at_once_and_replaces_the_routine_one() {
        let mut budget = Budget::new(at(60));
        let wanted = |s| both(if s == 5 { Want::Now } else { Want::Steady }, Want::Steady);
        let asked = run(&mut budget, 0..130, wanted);
        let (eni, volume) = (Ec2Query::Interfaces, Ec2Query::Volumes);
        assert_eq!(asked, [(5, eni), (65, volume), (125, eni)]);
    }

    #[test]
    fn each_kind_is_queried_once_a_minute_however_urgent() {
        let mut budget = Budget::new(at(0));
        let asked = run(&mut budget, 0..600, |_| both(Want::Now, Want::Now));
        assert_eq!(asked.len(), 20);
        for kind in [Ec2Query::Interfaces, Ec2Query::Volumes] {
            let times: Vec<u64> =
                asked.iter().filter(|(_, k)| *k == kind).map(|(at, _)| *at).collect();
            assert!(times.windows(2).all(|pair| pair[1] - pair[0] >= 60), "{times:?}");
        }
    }

    #[test]
    fn a_kind_that_is_not_wanted_is_never_queried() {
        let mut budget = Budget::new(at(0));
        let only = [(Ec2Query::Interfaces, Want::Steady)].into();
        let asked = run(&mut budget, 0..130, |_| BTreeMap::clone(&only));
        let eni = Ec2Query::Interfaces;
        assert_eq!(asked, [(0, eni), (60, eni), (120, eni)]);
    }

    #[test]
    fn after_failures_routine_queries_become_less_frequent_until_one_succeeds() {
        let only: BTreeMap<_, _> = [(Ec2Query::Interfaces, Want::Steady)].into();
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
    fn the_start_of_the_last_query_of_each_kind_is_known() {
        let mut budget = Budget::new(at(0));
        assert_eq!(budget.last_started(Ec2Query::Volumes), None);
        let only: BTreeMap<_, _> = [(Ec2Query::Volumes, Want::Now)].into();
        for second in [7, 67] {
            budget.grant(&only, at(second), NONE).unwrap();
            assert_eq!(budget.last_started(Ec2Query::Volumes), Some(at(second)));
            assert_eq!(budget.last_started(Ec2Query::Interfaces), None);
        }
    }

    #[test]
    fn an_early_query_is_repeated_once_in_a_period() {
        let mut budget = Budget::new(at(0));
        let (only, eni) =
            (BTreeMap::from([(Ec2Query::Interfaces, Want::Now)]), Ec2Query::Interfaces);
        let mut asked = Vec::new();
        for second in 0..200 {
            if budget.grant(&only, at(second), NONE).is_some() {
                budget.repeat(eni, at(second + 10));
                asked.push(second);
            }
        }
        assert_eq!(asked, [0, 10, 70, 80, 140, 150]);
        budget.repeat(Ec2Query::Volumes, at(0));
        assert_eq!(budget.last_started(Ec2Query::Volumes), None, "never queried");
    }

    #[test]
    fn a_repeat_is_due_even_if_routine() {
        let mut budget = Budget::new(at(0));
        budget.grant(&both(Want::Now, Want::Steady), at(0), NONE).unwrap();
        budget.repeat(Ec2Query::Interfaces, at(10));
        let asked = run(&mut budget, 1..100, |_| both(Want::Steady, Want::Steady));
        assert_eq!(asked, [(10, Ec2Query::Interfaces), (70, Ec2Query::Volumes)]);
    }

    #[test]
    fn jitter_only_lengthens_the_period() {
        let only: BTreeMap<_, _> = [(Ec2Query::Interfaces, Want::Steady)].into();
        let mut budget = Budget::new(at(0));
        let jitter = Duration::from_secs(9);
        let granted = |s: &u64| budget.grant(&only, at(*s), jitter).is_some();
        let started: Vec<u64> = (0..150).filter(granted).collect();
        assert_eq!(started, [0, 69, 138]);
    }
}
