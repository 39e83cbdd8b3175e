use super::tests::{needs, reasons};
use super::*;
use crate::volumes::fixture::*;
use crate::volumes::path::KUBELET;

#[test]
fn a_restart_publishes_nothing_whatever_is_reported() {
    for reason in Reason::ALL {
        let (seen, _) = broken(reason);
        let mut tracker = Tracker::new(KUBELET);
        tracker.step(seconds(0), healthy());
        tracker.step(seconds(1000), seen.clone());
        let table = tracker.step(seconds(2000), seen.clone());
        let mut restarted = Tracker::resume(KUBELET, &table);
        for second in 0..300 {
            assert_eq!(restarted.step(seconds(second), seen.clone()), table, "{reason}");
        }
    }
}

#[test]
fn unobserved_volumes_keep_their_reports_after_a_restart() {
    for reason in Reason::ALL {
        let (seen, _) = broken(reason);
        let mut tracker = Tracker::new(KUBELET);
        tracker.step(seconds(0), healthy());
        tracker.step(seconds(1000), seen.clone());
        let table = tracker.step(seconds(2000), seen.clone());
        let hidden = needs(reason).iter();
        for (one, two) in hidden.flat_map(|one| needs(reason).iter().map(move |two| (one, two))) {
            let mut restarted = Tracker::resume(KUBELET, &table);
            for (second, hide) in [(0, one), (1, two)] {
                let mut partly = seen.clone();
                hide(&mut partly);
                restarted.step(seconds(second), partly);
            }
            assert_eq!(restarted.step(seconds(2), seen.clone()), table, "{reason}");
        }
    }
}

#[test]
fn a_problem_missing_from_a_full_observation_after_a_restart_starts_over() {
    let (seen, name) = broken(Reason::PodGone);
    let mut tracker = Tracker::new(KUBELET);
    tracker.step(seconds(0), seen.clone());
    let table = tracker.step(seconds(3600), seen.clone());
    assert_eq!(reasons(&table), [(name.as_str(), Reason::PodGone)]);
    let mut restarted = Tracker::resume(KUBELET, &table);
    let mut without = seen.clone();
    without.cloud.as_mut().unwrap().attachments.clear();
    (without.node.devices, without.node.mounts) = (Some(Vec::new()), Some(Vec::new()));
    without.cluster = Some(ClusterView::default());
    assert_eq!(restarted.step(seconds(0), without).volumes, []);
    assert_eq!(reasons(&restarted.step(seconds(1), seen.clone())), []);
    assert_eq!(reasons(&restarted.step(seconds(3600), seen)), [(name.as_str(), Reason::PodGone)]);
}

#[test]
fn published_ec2_state_stands_after_a_restart_until_the_next_read() {
    let seen = healthy();
    let table = Tracker::new(KUBELET).step(seconds(0), seen.clone());
    assert!(table.volumes.iter().any(|row| row.attachment.is_some()));
    let mut restarted = Tracker::resume(KUBELET, &table);
    let blind = Observation { cloud: None, ..seen.clone() };
    assert_eq!(restarted.step(seconds(1), blind.clone()), table);
    let mut detached = seen;
    detached.cloud.as_mut().unwrap().attachments.clear();
    let reported = restarted.step(seconds(2), detached);
    assert!(reported.volumes.iter().all(|row| row.attachment.is_none()));
    assert_eq!(restarted.step(seconds(3), blind), reported);
}
