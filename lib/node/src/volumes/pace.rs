//! How often each side is looked at: the decisions, without clock and I/O.
//!
//! Guarantees: EC2 is wanted every [`CLOUD_EVERY`] while nothing seems wrong, and by turns with
//! what else an agent asks there where something does; its own budget is the agent's. Kubernetes is
//! asked at most every [`CLUSTER_SOON`].

use std::time::Duration;

use firecamp_core::agent::Want;
use firecamp_core::time::Moment;

/// How often the node is looked at though it tells of no change.
pub const NODE_EVERY: Duration = Duration::from_secs(15);
/// Changes of the node come in crowds: one look for all that come within this.
pub const NODE_PAUSE: Duration = Duration::from_secs(1);
/// How often Kubernetes is asked while nothing changes.
pub const CLUSTER_EVERY: Duration = Duration::from_mins(5);
/// How often it is asked while mounts change, or something seems wrong.
pub const CLUSTER_SOON: Duration = Duration::from_secs(30);
/// How often EC2 is asked while nothing seems wrong with a volume.
pub const CLOUD_EVERY: Duration = Duration::from_mins(5);
/// What has not had its turn at EC2 for so long waits no longer.
pub const CLOUD_LATE: Duration = Duration::from_mins(10);
/// So long a tracker that begins waits to learn what an earlier process published.
pub const EARLIER_WITHIN: Duration = Duration::from_secs(30);

/// When Kubernetes is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pace {
    asked: Option<Moment>,
    moved: bool,
}

impl Default for Pace {
    fn default() -> Self {
        Self { asked: None, moved: true }
    }
}

impl Pace {
    /// Something has changed since Kubernetes was asked.
    pub fn moved(&mut self) {
        self.moved = true;
    }

    /// Whether Kubernetes is asked now; it counts as asked. `suspects`: something may be wrong.
    /// `cloud`: EC2 has just answered.
    pub fn asks_cluster(&mut self, now: Moment, suspects: bool, cloud: bool) -> bool {
        // What EC2 and Kubernetes say is compared as of one moment.
        self.moved |= cloud;
        let pause = if self.moved || suspects { CLUSTER_SOON } else { CLUSTER_EVERY };
        if self.asked.is_some_and(|at| now.since(at) < pause) {
            return false;
        }
        self.asked = Some(now);
        true
    }

    /// It has answered, or not.
    pub fn answered(&mut self, well: bool) {
        self.moved = !well;
    }
}

/// How much EC2 is wanted: rarely while nothing seems wrong with a volume. `since`: how long ago
/// it was asked; `age`: how long ago the process began.
pub fn wants_cloud(since: Option<Duration>, age: Duration, suspects: bool) -> Option<Want> {
    let rested = since.is_none_or(|since| since >= CLOUD_EVERY);
    // Other looks that are wanted at once again and again do not hold this up for ever.
    let late = since.unwrap_or(age) >= CLOUD_LATE;
    (rested || suspects).then_some(if late { Want::Now } else { Want::Steady })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Moment {
        Moment(Duration::from_secs(seconds))
    }

    /// The seconds at which Kubernetes is asked.
    fn asked(seconds: u64, suspects: bool, cloud: impl Fn(u64) -> bool) -> Vec<u64> {
        let mut pace = Pace::default();
        let asks = |second: &u64| {
            let asks = pace.asks_cluster(at(*second), suspects, cloud(*second));
            if asks {
                pace.answered(true);
            }
            asks
        };
        (0..seconds).filter(asks).collect()
    }

    #[test]
    fn kubernetes_is_asked_every_five_minutes_and_every_half_where_something_seems_wrong() {
        assert_eq!(asked(601, false, |_| false), [0, 300, 600]);
        assert_eq!(asked(91, true, |_| false), [0, 30, 60, 90]);
    }

    #[test]
    fn an_api_that_did_not_answer_is_asked_again_soon() {
        let mut pace = Pace::default();
        assert!(pace.asks_cluster(at(0), false, false));
        pace.answered(false);
        assert!(!pace.asks_cluster(at(29), false, false));
        assert!(pace.asks_cluster(at(30), false, false));
    }

    #[test]
    fn ec2_is_wanted_rarely_until_something_seems_wrong_and_at_once_when_it_is_late() {
        let minutes = |minutes| Some(Duration::from_mins(minutes));
        let young = Duration::ZERO;
        assert_eq!(wants_cloud(None, young, false), Some(Want::Steady));
        assert_eq!(wants_cloud(minutes(4), young, false), None);
        assert_eq!(wants_cloud(minutes(4), young, true), Some(Want::Steady));
        assert_eq!(wants_cloud(minutes(5), young, false), Some(Want::Steady));
        assert_eq!(wants_cloud(minutes(10), young, false), Some(Want::Now));
        assert_eq!(wants_cloud(None, Duration::from_mins(10), false), Some(Want::Now));
    }
}
