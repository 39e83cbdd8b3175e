use super::*;
use crate::volumes::fixture::*;
use crate::volumes::path::KUBELET;
use crate::volumes::seen::{AttachmentState, Elsewhere, PodClaim, Seen};
use crate::volumes::track::Tracker;

/// What is said of the only pod that is listed.
fn only(tracker: &Tracker) -> Served {
    let Some([pod]) = tracker.pods() else { panic!("{:?}", tracker.pods()) };
    assert_eq!((pod.namespace.as_str(), pod.name.as_str()), ("prod", "redis-0"));
    pod.served.clone()
}

/// The same after the problem has lasted as long as it has to.
fn after_patience(seen: &Seen) -> Served {
    let mut tracker = Tracker::new(KUBELET);
    tracker.step(seconds(0), healthy());
    tracker.step(seconds(1000), seen.clone());
    tracker.step(seconds(1360), seen.clone());
    only(&tracker)
}

fn hindrance(served: Served) -> Hindrance {
    let Served::No(hindrance) = served else { panic!("{served:?}") };
    hindrance
}

#[test]
fn a_pod_has_its_volumes_once_all_of_them_are_mounted() {
    let mut tracker = Tracker::new(KUBELET);
    let mut early = healthy();
    early.mounts().retain(|mount| !mount.point.contains("/pods/"));
    tracker.step(seconds(0), early);
    assert_eq!(only(&tracker), Served::NotYet);
    tracker.step(seconds(1), healthy());
    assert_eq!(only(&tracker), Served::Wholly);
    let mut more = healthy();
    let claim = PodClaim { claim: "more-redis-0".to_owned(), read_only: false };
    more.cluster().pods[0].claims.push(claim);
    tracker.step(seconds(2), more);
    assert_eq!(only(&tracker), Served::NotYet, "one of two");
}

#[test]
fn f081_a_pod_whose_volume_is_stuck_is_told_which_in_what_state_and_for_how_long() {
    for (reason, state) in [
        (Reason::StuckAttaching, AttachmentState::Attaching),
        (Reason::StuckDetaching, AttachmentState::Detaching),
        (Reason::Busy, AttachmentState::Busy),
    ] {
        let (mut seen, name) = broken(reason);
        seen.mounts().retain(|mount| !mount.point.contains("/pods/"));
        let found = hindrance(after_patience(&seen));
        assert_eq!((found.reason, found.reason.attachment()), (reason, Some(state)));
        assert_eq!((found.volume, found.claim.as_str()), (name, "data-redis-0"));
        assert_eq!(found.lasted, Some(Duration::from_mins(6)));
        assert!(found.message.starts_with("EC2 "), "{}", found.message);
    }
}

/// With each problem that a volume of a pod can have.
#[test]
fn f081_a_pod_is_told_what_keeps_it_from_its_volume_and_nothing_else() {
    let mut told = Vec::new();
    for reason in Reason::ALL {
        let (mut seen, _) = broken(reason);
        if seen.cluster().pods.is_empty() {
            continue;
        }
        if let Served::No(found) = after_patience(&seen) {
            assert_eq!(found.reason, reason);
            told.push(reason);
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
    assert_eq!(told, keep);
}

/// The pod came here from another node, where its volume does not come off.
#[test]
fn f081_a_volume_that_does_not_come_off_another_instance_is_told_to_the_pod_that_waits_here() {
    for (reason, state, message) in [
        (Reason::StuckDetaching, AttachmentState::Detaching, "detaching it from i-0000000b and"),
        (Reason::Busy, AttachmentState::Busy, "cannot detach it from i-0000000b while"),
        (Reason::StuckAttaching, AttachmentState::Attaching, "attaching it to i-0000000b and"),
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
        assert_eq!(only(&tracker), Served::NotYet, "{reason} a second too early");
        tracker.step(seconds(91), seen);
        let found = hindrance(only(&tracker));
        assert_eq!(found.reason, reason);
        assert!(found.message.contains(message), "{}", found.message);
        tracker.step(seconds(300), healthy());
        assert_eq!(tracker.lacked(), &BTreeSet::new());
    }
}

#[test]
fn f081_of_several_problems_a_pod_is_told_the_one_that_lies_deepest() {
    let (mut seen, _) = broken(Reason::NotMounted);
    seen.cloud().attachments[1].state = AttachmentState::Busy;
    assert_eq!(hindrance(after_patience(&seen)).reason, Reason::Busy);
}

#[test]
fn a_pod_that_has_its_mount_does_not_wait_though_another_one_does() {
    let (mut seen, _) = broken(Reason::NotMounted);
    let mut other = pod("redis-1");
    other.claims[0].claim = "data-redis-0".to_owned();
    seen.cluster().pods.push(other);
    seen.mounts().push(healthy().mounts().remove(3));
    let mut tracker = Tracker::new(KUBELET);
    tracker.step(seconds(0), seen.clone());
    tracker.step(seconds(360), seen);
    let served: Vec<&Served> = tracker.pods().unwrap().iter().map(|pod| &pod.served).collect();
    assert_eq!(served[0], &Served::Wholly);
    assert_eq!(hindrance(served[1].clone()).reason, Reason::NotMounted);
}

#[test]
fn a_pod_that_ends_or_claims_nothing_is_not_listed() {
    let mut seen = healthy();
    seen.cluster().pods[0].ending = true;
    seen.cluster().pods.push(Pod { claims: Vec::new(), ..pod("web-0") });
    let mut tracker = Tracker::new(KUBELET);
    assert_eq!(tracker.pods(), None, "nobody has said yet which there are");
    tracker.step(seconds(0), seen);
    assert_eq!(tracker.pods(), Some(&[][..]));
}

#[test]
fn an_agent_that_resumes_still_tells_the_pod_what_was_published() {
    let (mut seen, _) = broken(Reason::StuckAttaching);
    seen.mounts().retain(|mount| !mount.point.contains("/pods/"));
    let mut tracker = Tracker::new(KUBELET);
    tracker.step(seconds(0), seen.clone());
    let table = tracker.step(seconds(90), seen.clone());
    let mut resumed = Tracker::resume(KUBELET, &table);
    // EC2 has not been asked yet.
    seen.cloud = None;
    resumed.step(seconds(0), seen);
    let found = hindrance(only(&resumed));
    assert_eq!((found.reason, found.lasted), (Reason::StuckAttaching, None));
}
