use super::*;
use crate::volumes::fixture::{DATA, broken, disk, healthy, number, seconds, volume};
use crate::volumes::observation::{Attachment, AttachmentState, Observation};
use crate::volumes::path::KUBELET;
use crate::volumes::reason::Reason;
use crate::volumes::tracker::Tracker;

/// A change to a healthy node.
type Edit = fn(&mut Observation);

fn after(edit: Edit) -> Recheck {
    let mut tracker = Tracker::new(KUBELET);
    let mut seen = healthy();
    edit(&mut seen);
    tracker.step(seconds(0), seen);
    tracker.recheck()
}

/// Without the volume of the pod.
fn without_members(seen: &mut Observation) {
    seen.mounts().retain(|mount| mount.device != number(259, 16));
    seen.devices().truncate(1);
    seen.cloud().attachments.truncate(1);
    let cluster = seen.cluster();
    (cluster.pods, cluster.attachments) = (Vec::new(), Vec::new());
}

#[test]
fn ec2_is_asked_the_sooner_the_less_settled_the_volumes_are() {
    let cases: [(&str, Edit, Recheck); 7] = [
        ("a member uses its volume", |_| {}, Recheck::Rarely),
        ("the root volume alone", without_members, Recheck::Never),
        (
            "its pod is gone and its volume unmounted",
            |seen| {
                seen.mounts().retain(|mount| mount.device != number(259, 16));
                seen.cluster().pods.clear();
            },
            Recheck::Regularly,
        ),
        (
            "EC2 detaches it",
            |seen| seen.cloud().attachments[1].state = AttachmentState::Detaching,
            Recheck::Now,
        ),
        ("its device is not there", |seen| seen.devices().truncate(1), Recheck::Now),
        (
            "Kubernetes attaches a volume that is not there yet",
            |seen| {
                without_members(seen);
                *seen.cluster() = healthy().cluster.unwrap();
                seen.cluster().pods.clear();
                seen.cluster().attachments[0].attached = false;
            },
            Recheck::Regularly,
        ),
        (
            "devices have no serials",
            |seen| seen.devices().push(disk("xvdba", number(202, 16))),
            Recheck::Regularly,
        ),
    ];
    for (what, edit, wanted) in cases {
        assert_eq!(after(edit), wanted, "{what}");
    }
}

#[test]
fn f081_ec2_is_asked_about_every_problem_of_a_volume() {
    for reason in Reason::ALL {
        let (seen, _) = broken(reason);
        let mut tracker = Tracker::new(KUBELET);
        tracker.step(seconds(0), seen);
        assert_eq!(tracker.recheck(), Recheck::Now, "{reason}");
    }
}

#[test]
fn a_volume_that_pods_and_nodes_do_not_use_is_asked_for_though_nothing_is_wrong() {
    let attachment = crate::volumes::fixture::attachment(&volume(9), AttachmentState::Attached);
    let mut row = Row { attachment: Some(&attachment), ..Row::default() };
    let key = Key::Ebs(volume(DATA));
    assert_eq!(Recheck::of_volume(&key, &row), Recheck::Regularly);
    row.used = true;
    assert_eq!(Recheck::of_volume(&key, &row), Recheck::Never, "the node itself uses it");
}

#[test]
fn a_volume_of_the_launch_is_not_asked_for_unless_kubernetes_or_a_pod_uses_it() {
    let attachment = crate::volumes::fixture::attachment(&volume(9), AttachmentState::Attached);
    let attachment = Attachment { delete_on_termination: true, ..attachment };
    let key = Key::Ebs(volume(DATA));
    let mut row = Row { attachment: Some(&attachment), ..Row::default() };
    assert_eq!(Recheck::of_volume(&key, &row), Recheck::Never);
    let cluster = healthy().cluster.unwrap();
    row.volume_attachments = cluster.attachments.iter().collect();
    assert_eq!(Recheck::of_volume(&key, &row), Recheck::Regularly);
    let detaching = Attachment { state: AttachmentState::Detaching, ..attachment.clone() };
    let row = Row { attachment: Some(&detaching), ..Row::default() };
    assert_eq!(Recheck::of_volume(&key, &row), Recheck::Regularly);
}
