//! How often each source is read: the decisions, without clock and I/O.
//!
//! Guarantees: with a problem EC2 is read in turns with the agent's other EC2 queries, within the
//! agent's budget; otherwise at most every [`CLOUD_EVERY`], and where the volumes are settled the
//! more seldom the more nodes the cluster has ([`Recheck`]). Kubernetes is read at most every
//! [`CLUSTER_SOON`].

use std::time::Duration;

use firecamp_core::agent::Want;
use firecamp_core::time::Moment;

use crate::volumes::recheck::Recheck;

/// How often the node is read without a change notification.
pub const NODE_EVERY: Duration = Duration::from_secs(15);
/// Changes of the node come in bursts: one read covers all changes within this time.
pub const NODE_PAUSE: Duration = Duration::from_secs(1);
/// How often Kubernetes is read while nothing changes.
pub const CLUSTER_EVERY: Duration = Duration::from_mins(5);
/// How often it is read while mounts change or a problem is pending.
pub const CLUSTER_SOON: Duration = Duration::from_secs(30);
/// How often EC2 is read while no problem is pending.
pub const CLOUD_EVERY: Duration = Duration::from_mins(5);
/// How often settled volumes are read in EC2 on average, for each node of the cluster: all agents
/// together make one such request in this time.
pub const CLOUD_RARELY_PER_NODE: Duration = Duration::from_secs(20);
/// An EC2 read that has waited this long beyond its period has priority.
pub const CLOUD_LATE: Duration = Duration::from_mins(5);
/// How long a new tracker waits for the status that an earlier process published.
pub const EARLIER_WITHIN: Duration = Duration::from_secs(30);

/// Decides when Kubernetes is read.
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
    /// Something has changed since the last read.
    pub fn moved(&mut self) {
        self.moved = true;
    }

    /// Whether Kubernetes is read now; a `true` counts as a read. `pending`: a problem may exist.
    /// `cloud`: EC2 has just answered.
    pub fn asks_cluster(&mut self, now: Moment, pending: bool, cloud: bool) -> bool {
        // The states of EC2 and Kubernetes are compared as of one moment.
        self.moved |= cloud;
        let pause = if self.moved || pending { CLUSTER_SOON } else { CLUSTER_EVERY };
        if self.asked.is_some_and(|at| now.since(at) < pause) {
            return false;
        }
        self.asked = Some(now);
        true
    }

    /// The read has ended, successfully or not.
    pub fn answered(&mut self, well: bool) {
        self.moved = !well;
    }
}

/// How urgently an EC2 read is wanted. `since`: time since the last read; `age`: time since the
/// process started; `rarely`: how often settled volumes are read.
pub fn wants_cloud(
    since: Option<Duration>,
    age: Duration,
    (recheck, rarely): (Recheck, Duration),
) -> Option<Want> {
    let pause = match recheck {
        // The first answer also has the zone, and shows whether the query is allowed.
        _ if since.is_none() => Duration::ZERO,
        Recheck::Never => return None,
        Recheck::Rarely => rarely.max(CLOUD_EVERY),
        Recheck::Regularly => CLOUD_EVERY,
        Recheck::Now => Duration::ZERO,
    };
    let rested = since.is_none_or(|since| since >= pause);
    // Other urgent queries must not delay this one for ever.
    let late = since.unwrap_or(age) >= pause.max(CLOUD_EVERY).saturating_add(CLOUD_LATE);
    rested.then_some(if late { Want::Now } else { Want::Steady })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Moment {
        Moment(Duration::from_secs(seconds))
    }

    /// The seconds at which Kubernetes is read.
    fn asked(seconds: u64, pending: bool, cloud: impl Fn(u64) -> bool) -> Vec<u64> {
        let mut pace = Pace::default();
        let asks = |second: &u64| {
            let asks = pace.asks_cluster(at(*second), pending, cloud(*second));
            if asks {
                pace.answered(true);
            }
            asks
        };
        (0..seconds).filter(asks).collect()
    }

    #[test]
    fn kubernetes_is_read_every_five_minutes_or_every_30_s_during_a_problem() {
        assert_eq!(asked(601, false, |_| false), [0, 300, 600]);
        assert_eq!(asked(91, true, |_| false), [0, 30, 60, 90]);
    }

    #[test]
    fn a_failed_kubernetes_read_is_retried_soon() {
        let mut pace = Pace::default();
        assert!(pace.asks_cluster(at(0), false, false));
        pace.answered(false);
        assert!(!pace.asks_cluster(at(29), false, false));
        assert!(pace.asks_cluster(at(30), false, false));
    }

    #[test]
    fn ec2_is_read_rarely_unless_a_problem_is_pending_or_the_read_is_late() {
        let wants = |minutes: Option<u64>, recheck| {
            let since = minutes.map(Duration::from_mins);
            wants_cloud(since, Duration::ZERO, (recheck, Duration::from_mins(100)))
        };
        for recheck in [Recheck::Never, Recheck::Rarely, Recheck::Regularly, Recheck::Now] {
            assert_eq!(wants(None, recheck), Some(Want::Steady));
        }
        assert_eq!(wants(Some(1_000), Recheck::Never), None);
        assert_eq!(wants(Some(4), Recheck::Regularly), None);
        assert_eq!(wants(Some(4), Recheck::Now), Some(Want::Steady));
        assert_eq!(wants(Some(5), Recheck::Regularly), Some(Want::Steady));
        assert_eq!(wants(Some(10), Recheck::Regularly), Some(Want::Now));
        assert_eq!(wants(Some(99), Recheck::Rarely), None);
        assert_eq!(wants(Some(100), Recheck::Rarely), Some(Want::Steady));
        assert_eq!(wants(Some(105), Recheck::Rarely), Some(Want::Now));
        let old = wants_cloud(None, Duration::from_mins(10), (Recheck::Never, Duration::ZERO));
        assert_eq!(old, Some(Want::Now));
    }
}
