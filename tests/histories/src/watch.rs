//! What an agent's watches show it: not the registry, but how it was. Each kind of object may lag,
//! stand still, go back in time, or be shown as if there were none.

use std::net::Ipv4Addr;
use std::time::Duration;

use firecamp_core::record::StaticIp;
use firecamp_core::time::Moment;

use crate::cluster::ApiPod;
use crate::names::MemberIx;
use crate::scenario::Fault;
use crate::seed::Chance;

/// How records and pods were, in the order of time; kept only where somebody looks back.
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

    /// The record of an address as it was.
    pub(crate) fn record_at(&self, address: Ipv4Addr, then: Moment) -> Option<&StaticIp> {
        let known = |(at, record): &&(Moment, StaticIp)| record.address == address && *at <= then;
        self.records.iter().rfind(known).map(|(_, record)| record)
    }

    /// The pod of a member as it was.
    pub(crate) fn pod_at(&self, member: MemberIx, then: Moment) -> Option<ApiPod> {
        let known =
            |(at, of, _): &&(Moment, MemberIx, Option<ApiPod>)| *of == member && *at <= then;
        self.pods.iter().rfind(known).and_then(|(_, _, pod)| *pod)
    }
}

/// What a watch shows of one kind of object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum View {
    /// The truth.
    Now,
    /// How it was.
    Then(Moment),
    /// An empty list.
    Nothing,
}

/// What the watches of an agent show in one look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Views {
    /// Of static IPs.
    pub records: View,
    /// Of pods.
    pub pods: View,
}

impl Views {
    /// Reads instead of watches.
    pub const FRESH: Self = Self { records: View::Now, pods: View::Now };
}

/// How long a watch lags, and how far it goes back, at the most.
const LAG_MS: u64 = 30_000;

/// The watches of an agent: when each of them last brought news.
#[derive(Debug, Clone, Copy, Default)]
pub struct Watches {
    records: Moment,
    pods: Moment,
}

impl Watches {
    /// What they show at a look. `away`: the registry does not answer.
    pub fn look(
        &mut self,
        now: Moment,
        away: bool,
        struck: Option<Fault>,
        chance: &mut Chance,
    ) -> Views {
        let lag = chance.millis(0, LAG_MS);
        let first = chance.once_in(2);
        let before = *self;
        if !away {
            let lagging = Moment(now.0.saturating_sub(lag));
            (self.records, self.pods) = match struck {
                Some(Fault::WatchStale) => (before.records.max(lagging), before.pods.max(lagging)),
                Some(Fault::WatchBack) => (back(before.records, lag), back(before.pods, lag)),
                Some(Fault::WatchGap) if first => (before.records, now),
                Some(Fault::WatchGap) => (now, before.pods),
                Some(_) | None => (now, now),
            };
        }
        let empty = !away && struck == Some(Fault::WatchEmpty);
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

    /// One look after another, the last of them at 100 s.
    fn look(away: bool, struck: Option<Fault>) -> Vec<Views> {
        let one = |key| {
            let mut chance = Chance::new(1, Purpose::Test, key);
            let mut watches = Watches::default();
            watches.look(at(60), false, None, &mut chance);
            watches.look(at(100), away, struck, &mut chance)
        };
        (0..100).map(one).collect()
    }

    fn shown(views: &[Views]) -> Vec<(View, View)> {
        views.iter().map(|views| (views.records, views.pods)).collect()
    }

    #[test]
    fn a_watch_brings_the_news_unless_it_is_broken_or_the_registry_is_away() {
        let (then, now) = (View::Then(at(60)), View::Then(at(100)));
        assert!(shown(&look(false, None)).iter().all(|both| *both == (now, now)));
        let away = shown(&look(true, Some(Fault::WatchEmpty)));
        assert!(away.iter().all(|both| *both == (then, then)), "what it knew stands");
        let gaps = shown(&look(false, Some(Fault::WatchGap)));
        assert!(gaps.contains(&(then, now)) && gaps.contains(&(now, then)));
        let empty = shown(&look(false, Some(Fault::WatchEmpty)));
        assert!(empty.contains(&(View::Nothing, now)) && empty.contains(&(now, View::Nothing)));
    }

    #[test]
    fn a_stale_watch_is_late_and_only_one_that_goes_back_shows_what_is_older_than_before() {
        let moments = |struck| {
            let views = look(false, Some(struck));
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
