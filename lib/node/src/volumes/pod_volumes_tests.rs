use super::*;
use crate::volumes::fixture::*;
use crate::volumes::observation::{AttachmentState, Elsewhere, Observation, PodClaim};
use crate::volumes::path::KUBELET;
use crate::volumes::tracker::Tracker;

/// The state of the only listed pod.
fn only(tracker: &Tracker) -> Served {
    let Some([pod]) = tracker.pods() else { panic!("{:?}", tracker.pods()) };
    assert_eq!((pod.namespace.as_str(), pod.name.as_str()), ("prod", "redis-0"));
    pod.served.clone()
}

/// The same after the problem has lasted as long as it has to.
fn after_patience(seen: &Observation) -> Served {
    let mut tracker = Tracker::new(KUBELET);
    tracker.step(seconds(0), healthy());
    tracker.step(seconds(1000), seen.clone());
    tracker.step(seconds(1360), seen.clone());
    only(&tracker)
}

fn blocker(served: Served) -> Blocker {
    let Served::Blocked(blocker) = served else { panic!("{served:?}") };
    blocker
}

#[test]
fn a_pod_has_its_volumes_once_all_of_them_are_mounted() {
    let mut tracker = Tracker::new(KUBELET);
    let mut early = healthy();
    early.mounts().retain(|mount| !mount.point.contains("/pods/"));
    tracker.step(seconds(0), early);
    assert_eq!(only(&tracker), Served::Pending);
    tracker.step(seconds(1), healthy());
    assert_eq!(only(&tracker), Served::Ready);
    let mut more = healthy();
    let claim = PodClaim { claim: "more-redis-0".to_owned(), read_only: false };
    more.cluster().pods[0].claims.push(claim);
    tracker.step(seconds(2), more);
    assert_eq!(only(&tracker), Served::Pending, "one of two");
}

#[test]
fn f081_a_pod_reports_its_stuck_volume_with_state_and_duration() {
    for (reason, state) in [
        (Reason::StuckAttaching, AttachmentState::Attaching),
        (Reason::StuckDetaching, AttachmentState::Detaching),
        (Reason::Busy, AttachmentState::Busy),
    ] {
        let (mut seen, name) = broken(reason);
        seen.mounts().retain(|mount| !mount.point.contains("/pods/"));
        let found = blocker(after_patience(&seen));
        assert_eq!((found.reason, found.reason.attachment()), (reason, Some(state)));
        assert_eq!((found.volume, found.claim.as_str()), (name, "data-redis-0"));
        assert_eq!(found.lasted, Some(Duration::from_mins(6)));
        assert!(found.message.starts_with("EC2 "), "{}", found.message);
    }
}

/// With each problem that a volume of a pod can have.
#[test]
fn f081_a_pod_reports_only_the_problems_that_block_its_volume() {
    let mut reported = Vec::new();
    for reason in Reason::ALL {
        let (mut seen, _) = broken(reason);
        if seen.cluster().pods.is_empty() {
            continue;
        }
        if let Served::Blocked(found) = after_patience(&seen) {
            assert_eq!(found.reason, reason);
            reported.push(reason);
        }
    }
    let keep = [
        Reason::StuckAttaching,
        Reason::StuckDetaching,
        Reason::Busy,
        Reason::AttachmentFailing,
        Reason::DeviceWithoutVolume,
        Reason::ZoneMismatch,
        Reason::NotMounted,
        Reason::ReadOnly,
        Reason::NotResponding,
    ];
    assert_eq!(reported, keep);
}

/// The pod came here from another node, where its volume does not come off.
#[test]
fn f081_a_volume_stuck_on_another_instance_is_reported_for_the_waiting_pod() {
    for (reason, state, message) in [
        (
            Reason::StuckDetaching,
            AttachmentState::Detaching,
            "detaching the volume from i-0000000b and",
        ),
        (Reason::Busy, AttachmentState::Busy, "cannot detach the volume from i-0000000b while"),
        (
            Reason::StuckAttaching,
            AttachmentState::Attaching,
            "attaching the volume to i-0000000b and",
        ),
    ] {
        let mut seen = healthy();
        seen.cloud().attachments.truncate(1);
        seen.cluster().attachments.clear();
        seen.devices().truncate(1);
        seen.mounts().retain(|mount| mount.device != number(259, 16));
        let mut tracker = Tracker::new(KUBELET);
        tracker.step(seconds(0), seen.clone());
        assert_eq!(tracker.lacked(), &BTreeSet::from([volume(DATA)]), "worth a question");
        let (volume, instance) = (volume(DATA), "i-0000000b".parse().unwrap());
        seen.cloud().elsewhere.push(Elsewhere { volume, instance, state });
        tracker.step(seconds(1), seen.clone());
        tracker.step(seconds(89), seen.clone());
        assert_eq!(only(&tracker), Served::Pending, "{reason} a second too early");
        tracker.step(seconds(91), seen);
        let found = blocker(only(&tracker));
        assert_eq!(found.reason, reason);
        assert!(found.message.contains(message), "{}", found.message);
        tracker.step(seconds(300), healthy());
        assert_eq!(tracker.lacked(), &BTreeSet::new());
    }
}

#[test]
fn f081_of_several_problems_a_pod_reports_the_root_cause() {
    let (mut seen, _) = broken(Reason::NotMounted);
    seen.cloud().attachments[1].state = AttachmentState::Busy;
    assert_eq!(blocker(after_patience(&seen)).reason, Reason::Busy);
}

#[test]
fn a_pod_with_its_mount_does_not_wait_while_another_pod_does() {
    let (mut seen, _) = broken(Reason::NotMounted);
    let mut other = pod("redis-1");
    other.claims[0].claim = "data-redis-0".to_owned();
    seen.cluster().pods.push(other);
    seen.mounts().push(healthy().mounts().remove(3));
    let mut tracker = Tracker::new(KUBELET);
    tracker.step(seconds(0), seen.clone());
    tracker.step(seconds(360), seen);
    let served: Vec<&Served> = tracker.pods().unwrap().iter().map(|pod| &pod.served).collect();
    assert_eq!(served[0], &Served::Ready);
    assert_eq!(blocker(served[1].clone()).reason, Reason::NotMounted);
}

#[test]
fn a_pod_that_ends_or_claims_nothing_is_not_listed() {
    let mut seen = healthy();
    seen.cluster().pods[0].ending = true;
    seen.cluster().pods.push(Pod { claims: Vec::new(), ..pod("web-0") });
    let mut tracker = Tracker::new(KUBELET);
    assert_eq!(tracker.pods(), None, "no list of pods yet");
    tracker.step(seconds(0), seen);
    assert_eq!(tracker.pods(), Some(&[][..]));
}

#[test]
fn a_resumed_tracker_still_reports_published_problems_of_the_pod() {
    let (mut seen, _) = broken(Reason::StuckAttaching);
    seen.mounts().retain(|mount| !mount.point.contains("/pods/"));
    let mut tracker = Tracker::new(KUBELET);
    tracker.step(seconds(0), seen.clone());
    let table = tracker.step(seconds(90), seen.clone());
    let mut resumed = Tracker::resume(KUBELET, &table);
    // EC2 has not been asked yet.
    seen.cloud = None;
    resumed.step(seconds(0), seen);
    let found = blocker(only(&resumed));
    assert_eq!((found.reason, found.lasted), (Reason::StuckAttaching, None));
}
