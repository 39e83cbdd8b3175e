//! An agent's watches, which show earlier states of the registry. The watch of each kind of object
//! may lag, stall, go back in time, or show an empty list.

use std::net::Ipv4Addr;
use std::time::Duration;

use firecamp_core::record::StaticIp;
use firecamp_core::time::Moment;

use crate::cluster::ApiPod;
use crate::names::MemberIx;
use crate::scenario::Fault;
use crate::seed::SeededRng;

/// The history of records and pods, ordered by time; kept only for histories with watches.
#[derive(Debug, Clone, Default)]
pub struct Past {
    records: Vec<(Moment, StaticIp)>,
    pods: Vec<(Moment, MemberIx, Option<ApiPod>)>,
}

impl Past {
    /// A record was written.
    pub fn record(&mut self, now: Moment, record: &StaticIp) {
        self.records.push((now, record.clone()));
    }

    /// The API shows another pod of a member, or none.
    pub fn pod(&mut self, now: Moment, member: MemberIx, pod: Option<ApiPod>) {
        self.pods.push((now, member, pod));
    }

    /// The record of an address at an earlier time.
    pub(crate) fn record_at(&self, address: Ipv4Addr, then: Moment) -> Option<&StaticIp> {
        let known = |(at, record): &&(Moment, StaticIp)| record.address == address && *at <= then;
        self.records.iter().rfind(known).map(|(_, record)| record)
    }

    /// The pod of a member at an earlier time.
    pub(crate) fn pod_at(&self, member: MemberIx, then: Moment) -> Option<ApiPod> {
        let known =
            |(at, of, _): &&(Moment, MemberIx, Option<ApiPod>)| *of == member && *at <= then;
        self.pods.iter().rfind(known).and_then(|(_, _, pod)| *pod)
    }
}

/// The view of one kind of object through a watch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum View {
    /// The current state.
    Now,
    /// An earlier state.
    Then(Moment),
    /// An empty list.
    Nothing,
}

/// The views of an agent in one pass.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Views {
    /// Of static IPs.
    pub records: View,
    /// Of pods.
    pub pods: View,
}

impl Views {
    /// Fresh reads instead of watches.
    pub const FRESH: Self = Self { records: View::Now, pods: View::Now };
}

/// The longest lag of a watch, and the longest step back.
const LAG_MS: u64 = 30_000;

/// The watches of an agent: the last time at which each was current.
#[derive(Debug, Clone, Copy, Default)]
pub struct Watches {
    records: Moment,
    pods: Moment,
}

impl Watches {
    /// The views in one pass. `away`: the registry does not answer.
    pub fn observe(
        &mut self,
        now: Moment,
        away: bool,
        fault: Option<Fault>,
        rng: &mut SeededRng,
    ) -> Views {
        let lag = rng.millis(0, LAG_MS);
        let first = rng.once_in(2);
        let before = *self;
        if !away {
            let lagging = Moment(now.0.saturating_sub(lag));
            (self.records, self.pods) = match fault {
                Some(Fault::WatchStale) => (before.records.max(lagging), before.pods.max(lagging)),
                Some(Fault::WatchBack) => (back(before.records, lag), back(before.pods, lag)),
                Some(Fault::WatchGap) if first => (before.records, now),
                Some(Fault::WatchGap) => (now, before.pods),
                Some(_) | None => (now, now),
            };
        }
        let empty = !away && fault == Some(Fault::WatchEmpty);
        let view = |empty, at| if empty { View::Nothing } else { View::Then(at) };
        Views {
            records: view(empty && first, self.records),
            pods: view(empty && !first, self.pods),
        }
    }
}

fn back(at: Moment, lag: Duration) -> Moment {
    Moment(at.0.saturating_sub(lag))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::seed::Purpose;

    fn at(seconds: u64) -> Moment {
        Moment(Duration::from_secs(seconds))
    }

    /// Successive passes, the last of them at 100 s.
    fn observe(away: bool, fault: Option<Fault>) -> Vec<Views> {
        let one = |key| {
            let mut rng = SeededRng::new(1, Purpose::Test, key);
            let mut watches = Watches::default();
            watches.observe(at(60), false, None, &mut rng);
            watches.observe(at(100), away, fault, &mut rng)
        };
        (0..100).map(one).collect()
    }

    fn shown(views: &[Views]) -> Vec<(View, View)> {
        views.iter().map(|views| (views.records, views.pods)).collect()
    }

    #[test]
    fn a_watch_is_current_unless_it_fails_or_the_registry_is_unavailable() {
        let (then, now) = (View::Then(at(60)), View::Then(at(100)));
        assert!(shown(&observe(false, None)).iter().all(|both| *both == (now, now)));
        let away = shown(&observe(true, Some(Fault::WatchEmpty)));
        assert!(away.iter().all(|both| *both == (then, then)), "what it knew stands");
        let gaps = shown(&observe(false, Some(Fault::WatchGap)));
        assert!(gaps.contains(&(then, now)) && gaps.contains(&(now, then)));
        let empty = shown(&observe(false, Some(Fault::WatchEmpty)));
        assert!(empty.contains(&(View::Nothing, now)) && empty.contains(&(now, View::Nothing)));
    }

    #[test]
    fn a_stale_watch_lags_and_only_a_watch_that_goes_back_shows_older_state() {
        let moments = |fault| {
            let views = observe(false, Some(fault));
            views.into_iter().map(|views| match views.records {
                View::Then(at) => at,
                View::Now | View::Nothing => unreachable!("it shows a past"),
            })
        };
        assert!(moments(Fault::WatchStale).all(|then| then >= at(70) && then <= at(100)));
        assert!(moments(Fault::WatchBack).all(|then| then >= at(30) && then <= at(60)));
        assert!(moments(Fault::WatchBack).any(|then| then < at(45)));
    }
}
