use firecamp_core::time::Moment;

use super::*;
use crate::volumes::fixture::*;
use crate::volumes::observation::{AttachmentState, Observation};
use crate::volumes::path::KUBELET;
use crate::volumes::tracker::Tracker;

/// The suspicion after these observations, a second apart.
fn after(seen: impl IntoIterator<Item = Observation>) -> Suspicion {
    let mut tracker = Tracker::new(KUBELET);
    for (second, seen) in (0..).zip(seen) {
        tracker.step(seconds(second), seen);
    }
    tracker.suspicion()
}

/// What the node and Kubernetes show.
fn without_ec2(seen: Observation) -> Observation {
    Observation { cloud: None, ..seen }
}

#[test]
fn ec2_is_asked_once_if_a_pod_has_a_volume_and_not_for_the_root_volume_alone() {
    assert_eq!(after([without_ec2(healthy())]), Suspicion::Possible);
    assert_eq!(after([healthy()]), Suspicion::Unlikely);
    assert_eq!(after([healthy(), without_ec2(healthy())]), Suspicion::Unlikely);
    let mut bare = healthy();
    bare.devices().truncate(1);
    bare.mounts().retain(|mount| mount.device == number(259, 1));
    bare.cluster = Some(crate::volumes::observation::ClusterView::default());
    assert_eq!(after([without_ec2(bare.clone())]), Suspicion::None);
    bare.cloud().attachments.truncate(1);
    assert_eq!(after([bare]), Suspicion::None);
}

#[test]
fn agent_asks_once_after_a_restart_although_it_knows_the_published_volumes() {
    let mut first = Tracker::new(KUBELET);
    let published = first.step(seconds(0), healthy());
    let mut second = Tracker::resume(KUBELET, &published);
    second.step(seconds(0), without_ec2(healthy()));
    assert_eq!(second.suspicion(), Suspicion::Possible);
    second.step(seconds(1), healthy());
    assert_eq!(second.suspicion(), Suspicion::Unlikely);
}

/// A problem begins after EC2 was asked.
#[test]
fn f081_node_and_kubernetes_show_all_problems_but_what_somebody_does_in_ec2() {
    for reason in Reason::ALL {
        let (seen, _) = broken(reason);
        let wanted = match reason {
            // The volume is in use, and what has changed is in EC2; or EC2 does not explain it.
            Reason::StuckAttaching
            | Reason::StuckDetaching
            | Reason::Busy
            | Reason::DeviceWithoutVolume
            | Reason::LinkMismatch
            | Reason::NotMounted
            | Reason::PodGone
            | Reason::AlmostFull
            | Reason::InodesAlmostFull => Suspicion::Unlikely,
            Reason::AttachmentFailing
            | Reason::StaleAttachment
            | Reason::DeviceMissing
            | Reason::SerialUnreadable
            | Reason::NotInKubernetes
            | Reason::ZoneMismatch
            | Reason::ReadOnly
            | Reason::NotResponding => Suspicion::Likely,
        };
        assert_eq!(after([healthy(), without_ec2(seen)]), wanted, "{reason}");
    }
}

#[test]
fn f081_state_that_ec2_does_not_finish_is_asked_for_again() {
    let stuck =
        [Reason::StuckAttaching, Reason::StuckDetaching, Reason::Busy, Reason::DeviceWithoutVolume];
    for reason in stuck {
        let (seen, _) = broken(reason);
        let asked = after([healthy(), seen.clone(), without_ec2(seen)]);
        assert_eq!(asked, Suspicion::Likely, "{reason}");
    }
}

#[test]
fn f081_volume_that_a_pod_lacks_is_asked_for_until_it_is_here() {
    let mut lacks = healthy();
    lacks.cloud().attachments.truncate(1);
    lacks.devices().truncate(1);
    lacks.mounts().retain(|mount| mount.device != number(259, 16));
    lacks.cluster().attachments.clear();
    assert_eq!(after([lacks.clone(), lacks.clone()]), Suspicion::Likely);
    assert_eq!(after([lacks, without_ec2(healthy())]), Suspicion::Likely, "EC2 shows it nowhere");
}

/// Its detachment may begin and get stuck at any time.
#[test]
fn f081_attached_volume_that_nothing_uses_stays_suspect() {
    let mut idle = healthy();
    idle.mounts().retain(|mount| mount.device != number(259, 16));
    idle.cluster().pods.clear();
    assert_eq!(after([healthy(), idle]), Suspicion::Possible);
    let (orphan, name) = broken(Reason::NotInKubernetes);
    let mut tracker = Tracker::new(KUBELET);
    let mut suspicions = Vec::new();
    for minute in 0..4 {
        let table = tracker.step(seconds(minute * 60), orphan.clone());
        let reported = !table.row(&name).unwrap().problems.is_empty();
        suspicions.push((reported, tracker.suspicion()));
    }
    let (open, reported) = ((false, Suspicion::Likely), (true, Suspicion::Possible));
    assert_eq!(suspicions, [open, open, reported, reported]);
}

#[test]
fn reported_problem_is_asked_for_until_it_is_cleared() {
    for reason in [Reason::DeviceMissing, Reason::ZoneMismatch, Reason::StaleAttachment] {
        let (seen, _) = broken(reason);
        let mut tracker = Tracker::new(KUBELET);
        let at = |second| -> Moment { seconds(second) };
        tracker.step(at(0), seen.clone());
        tracker.step(at(600), seen);
        tracker.step(at(601), without_ec2(healthy()));
        assert_eq!(tracker.suspicion(), Suspicion::Likely, "{reason}");
        for second in [602, 662] {
            tracker.step(at(second), healthy());
        }
        assert_eq!(tracker.suspicion(), Suspicion::Unlikely, "{reason}");
    }
}

#[test]
fn node_without_serials_is_asked_for_regularly() {
    let mut xen = healthy();
    for (name, device) in ["xvda", "xvdaa"].iter().zip(xen.devices().iter_mut()) {
        (device.model, device.serial) = (None, None);
        device.name = (*name).to_owned();
    }
    xen.cloud().attachments[0].label = "/dev/xvda".to_owned();
    assert_eq!(xen.cloud().attachments[1].state, AttachmentState::Attached);
    assert_eq!(after([xen.clone(), without_ec2(xen)]), Suspicion::Possible);
}
