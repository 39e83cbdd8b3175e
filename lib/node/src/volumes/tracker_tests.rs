use proptest::prelude::*;

use super::*;
use crate::volumes::fixture::*;
use crate::volumes::observation::{AttachmentState, Mount, PodClaim, Space};
use crate::volumes::path::KUBELET;
use crate::volumes::reason::LEAVE;

pub(super) fn reasons(table: &Table) -> Vec<(&str, Reason)> {
    let of_row = |row: &'_ VolumeRow| row.problems.iter().map(|p| p.reason).collect::<Vec<_>>();
    let all = table.volumes.iter().map(|row| (row.name.as_str(), of_row(row)));
    all.flat_map(|(name, of_row)| of_row.into_iter().map(move |reason| (name, reason))).collect()
}

fn after(moment: Moment, more: Duration) -> Moment {
    moment.plus(more)
}

#[test]
fn a_healthy_node_has_no_problems_and_lists_its_volumes() {
    let mut tracker = Tracker::new(KUBELET);
    tracker.step(seconds(0), healthy());
    let table = tracker.step(seconds(3600), healthy());
    assert_eq!(reasons(&table), []);
    let row = table.row(volume(DATA).as_str()).unwrap();
    assert_eq!(row.kind, VolumeKind::Ebs);
    assert_eq!(row.attachment, Some(AttachmentState::Attached));
    assert_eq!((row.device.as_deref(), row.size), (Some("nvme1n1"), Some(100 * GIB)));
    assert_eq!(row.filesystem.as_deref(), Some("ext4"));
    assert_eq!(row.persistent_volume.as_deref(), Some("pvc-1"));
    assert_eq!(row.claim.as_deref(), Some("prod/data-redis-0"));
    assert_eq!(row.volume_attachment.as_deref(), Some("csi-pvc-1"));
    assert_eq!(row.mounts[1].pod.as_ref().unwrap().name.as_deref(), Some("prod/redis-0"));
    assert_eq!(row.space.unwrap().bytes_free, 60 * GIB);
}

#[test]
fn f081_each_problem_is_reported_after_its_patience_and_cleared_a_minute_after_its_end() {
    for reason in Reason::ALL {
        let (seen, name) = broken(reason);
        let mut tracker = Tracker::new(KUBELET);
        tracker.step(seconds(0), healthy());
        let begun = seconds(1000);
        let mut table = tracker.step(begun, seen.clone());
        if !reason.patience().is_zero() {
            assert_eq!(reasons(&table), [], "{reason} at once");
            let early = begun.plus(reason.patience().saturating_sub(Duration::from_secs(1)));
            table = tracker.step(early, seen.clone());
            assert_eq!(reasons(&table), [], "{reason} a second too early");
            table = tracker.step(after(begun, reason.patience()), seen.clone());
        }
        assert_eq!(reasons(&table), [(name.as_str(), reason)]);
        let mended = seconds(100_000);
        tracker.step(mended, healthy());
        let late = mended.plus(LEAVE.saturating_sub(Duration::from_secs(1)));
        let table = tracker.step(late, healthy());
        // A row that is no longer there reports nothing any more.
        let stays = table.row(&name).is_some();
        assert_eq!(reasons(&table).len(), usize::from(stays), "{reason} just mended");
        assert_eq!(reasons(&tracker.step(after(mended, LEAVE), healthy())), [], "{reason}");
    }
}

#[test]
fn f081_a_new_agent_reports_a_volume_that_ec2_has_been_attaching_for_long() {
    let (mut seen, name) = broken(Reason::StuckAttaching);
    seen.cloud().attachments[1].age = Some(Duration::from_secs(89));
    let mut tracker = Tracker::new(KUBELET);
    assert_eq!(reasons(&tracker.step(seconds(0), seen.clone())), []);
    seen.cloud().attachments[1].age = Some(Duration::from_secs(90));
    let table = tracker.step(seconds(1), seen);
    assert_eq!(reasons(&table), [(name.as_str(), Reason::StuckAttaching)]);
    let message = &table.row(&name).unwrap().problems[0].message;
    assert_eq!(message, "EC2 has been attaching the volume as /dev/xvdaa and does not finish");
}

#[test]
fn f086_a_pod_without_the_mount_that_it_claims_is_named() {
    let (seen, name) = broken(Reason::NotMounted);
    let mut tracker = Tracker::new(KUBELET);
    tracker.step(seconds(0), seen.clone());
    let table = tracker.step(seconds(120), seen.clone());
    let message = &table.row(&name).unwrap().problems[0].message;
    assert_eq!(
        message,
        "pod prod/redis-0 claims data-redis-0, and the volume is not mounted for it"
    );
    let mut ending = seen;
    ending.cluster().pods[0].ending = true;
    let mut tracker = Tracker::new(KUBELET);
    tracker.step(seconds(0), ending.clone());
    assert_eq!(reasons(&tracker.step(seconds(3600), ending)), [], "it does not want it any more");
}

#[test]
fn f082_the_wait_for_a_volume_is_measured_from_the_first_second() {
    let (seen, name) = broken(Reason::NotMounted);
    let mut tracker = Tracker::new(KUBELET);
    tracker.step(seconds(0), healthy());
    assert_eq!(tracker.lasting(seconds(9)).count(), 0);
    tracker.step(seconds(10), seen.clone());
    tracker.step(seconds(500), seen);
    let reported: Vec<_> = tracker.lasting(seconds(510)).collect();
    assert_eq!(reported, [(name.as_str(), Reason::NotMounted, Duration::from_secs(500))]);
    tracker.step(seconds(520), healthy());
    assert_eq!(tracker.lasting(seconds(520)).count(), 0);
}

#[test]
fn the_order_of_the_observation_changes_no_table() {
    let mut seen = healthy();
    seen.cluster().pods.extend([pod("redis-1"), pod("redis-2")]);
    for name in ["redis-1", "redis-2"] {
        let claim = PodClaim { claim: "data-redis-0".to_owned(), read_only: false };
        let pods = &mut seen.cluster().pods;
        pods.iter_mut().find(|pod| pod.name == name).unwrap().claims = Vec::from([claim]);
    }
    let second =
        crate::volumes::observation::VolumeAttachment { name: "a".to_owned(), ..believed("pvc-1") };
    seen.cluster().attachments.push(second);
    seen.cluster().persistent_volumes.push(pv("twice", "redis-0", Some(volume(DATA))));
    let twin = BlockDevice { name: "nvme9n1".to_owned(), ..nvme(9, &volume(DATA)) };
    seen.devices().push(twin);
    let mut turned = seen.clone();
    turned.cloud().attachments.reverse();
    turned.devices().reverse();
    let cluster = turned.cluster();
    cluster.pods.reverse();
    cluster.persistent_volumes.reverse();
    cluster.claims.reverse();
    cluster.attachments.reverse();
    let mut tracker = Tracker::new(KUBELET);
    tracker.step(seconds(0), seen.clone());
    let table = tracker.step(seconds(3600), seen);
    assert_ne!(reasons(&table), [], "several problems are reported");
    assert_eq!(tracker.step(seconds(3601), turned), table);
}

#[test]
fn unread_parts_keep_their_last_state_and_prove_nothing() {
    let mut tracker = Tracker::new(KUBELET);
    let table = tracker.step(seconds(0), healthy());
    for hide in [NO_CLOUD, NO_DEVICES, NO_MOUNTS, NO_CLUSTER] {
        let mut tracker = tracker.clone();
        let mut seen = healthy();
        hide(&mut seen);
        for second in (0..3600).step_by(10) {
            assert_eq!(tracker.step(seconds(second), seen.clone()), table);
        }
    }
    let nothing = Observation::default();
    assert_eq!(tracker.step(seconds(7200), nothing), table, "nor if all of it is missing");
    let empty = Tracker::new(KUBELET).step(seconds(0), Observation::default());
    assert_eq!(empty, Table::default());
}

/// The parts without which nothing of this kind is proven.
pub(super) fn needs(reason: Reason) -> &'static [fn(&mut Observation)] {
    match reason {
        Reason::StuckAttaching | Reason::StuckDetaching | Reason::Busy => &[NO_CLOUD],
        Reason::ZoneMismatch | Reason::StaleAttachment => &[NO_CLOUD, NO_CLUSTER],
        Reason::AttachmentFailing => &[NO_CLUSTER],
        Reason::DeviceMissing | Reason::DeviceWithoutVolume => &[NO_CLOUD, NO_DEVICES],
        Reason::SerialUnreadable | Reason::LinkMismatch => &[NO_DEVICES],
        Reason::NotInKubernetes => &[NO_CLOUD, NO_DEVICES, NO_MOUNTS, NO_CLUSTER],
        Reason::NotMounted | Reason::PodGone | Reason::ReadOnly => {
            &[NO_DEVICES, NO_MOUNTS, NO_CLUSTER]
        }
        Reason::NotResponding | Reason::AlmostFull | Reason::InodesAlmostFull => {
            &[NO_DEVICES, NO_MOUNTS]
        }
    }
}

const NO_CLOUD: fn(&mut Observation) = |seen| seen.cloud = None;
const NO_DEVICES: fn(&mut Observation) = |seen| seen.node.devices = None;
const NO_MOUNTS: fn(&mut Observation) = |seen| seen.node.mounts = None;
const NO_CLUSTER: fn(&mut Observation) = |seen| seen.cluster = None;

#[test]
fn unread_parts_prove_no_problem() {
    for reason in Reason::ALL {
        for hide in needs(reason) {
            let mut seen = broken(reason).0;
            hide(&mut seen);
            let mut tracker = Tracker::new(KUBELET);
            tracker.step(seconds(0), seen.clone());
            let reported = reasons(&tracker.step(seconds(3600), seen)).len();
            assert_eq!(reported, 0, "{reason}");
        }
    }
}

#[test]
fn a_problem_with_an_unreadable_source_neither_ends_nor_starts() {
    let (seen, name) = broken(Reason::PodGone);
    let mut tracker = Tracker::new(KUBELET);
    tracker.step(seconds(0), seen.clone());
    let blind = Observation { cluster: None, ..seen.clone() };
    assert_eq!(reasons(&tracker.step(seconds(3600), blind.clone())), [], "not proven");
    assert_eq!(reasons(&tracker.step(seconds(3601), seen)), [(name.as_str(), Reason::PodGone)]);
    assert_eq!(reasons(&tracker.step(seconds(9999), blind)), [(name.as_str(), Reason::PodGone)]);
}

/// The view of Kubernetes is older than the answer of EC2.
#[test]
fn zone_of_a_persistent_volume_that_was_read_earlier_proves_nothing() {
    let (mut seen, name) = broken(Reason::ZoneMismatch);
    let late = Observation { cloud: seen.cloud.take(), ..Observation::default() };
    let mut tracker = Tracker::new(KUBELET);
    assert_eq!(reasons(&tracker.step(seconds(0), seen.clone())), []);
    assert_eq!(reasons(&tracker.step(seconds(600), late.clone())), []);
    let both = Observation { cloud: late.cloud, ..seen };
    let mismatch = [(name.as_str(), Reason::ZoneMismatch)];
    assert_eq!(reasons(&tracker.step(seconds(601), both)), mismatch);
}

#[test]
fn between_the_usage_thresholds_the_report_is_unchanged() {
    let at = |percent| {
        let mut seen = healthy();
        seen.node.space.insert(number(259, 16), used(percent, 10));
        seen
    };
    let mut tracker = Tracker::new(KUBELET);
    let mut full =
        |second, percent| !reasons(&tracker.step(seconds(second), at(percent))).is_empty();
    assert!(!full(0, 89));
    assert!(full(1, 90));
    assert!(full(1000, 89) && full(2000, 85));
    assert!(full(3000, 84), "a minute of it is needed");
    assert!(!full(3060, 84));
    assert!(!full(4000, 89));
}

#[test]
fn an_intended_read_only_mount_is_not_reported() {
    let (seen, name) = broken(Reason::ReadOnly);
    let asked: [fn(&mut Observation); 2] = [
        |seen| seen.cluster().persistent_volumes[0].read_only = true,
        |seen| seen.cluster().pods[0].claims[0].read_only = true,
    ];
    for ask in asked {
        let mut seen = seen.clone();
        ask(&mut seen);
        assert_eq!(reasons(&Tracker::new(KUBELET).step(seconds(0), seen)), []);
    }
    let mut one_of_two = seen.clone();
    let reader = PodClaim { claim: "data-redis-0".to_owned(), read_only: true };
    let second = crate::volumes::observation::Pod { claims: Vec::from([reader]), ..pod("reader") };
    one_of_two.cluster().pods.push(second);
    let table = Tracker::new(KUBELET).step(seconds(0), one_of_two);
    assert_eq!(reasons(&table), [(name.as_str(), Reason::ReadOnly)]);
}

#[test]
fn a_read_only_mount_is_reported_unless_its_pod_only_reads() {
    let mut seen = healthy();
    seen.mounts()[3].read_only = true;
    let name = volume(DATA).to_string();
    let table = Tracker::new(KUBELET).step(seconds(0), seen.clone());
    assert_eq!(reasons(&table), [(name.as_str(), Reason::ReadOnly)]);
    assert!(table.row(&name).unwrap().mounts[1].read_only);
    seen.cluster().pods[0].claims[0].read_only = true;
    assert_eq!(reasons(&Tracker::new(KUBELET).step(seconds(0), seen)), []);
}

#[test]
fn a_root_disk_is_reported_only_if_it_became_read_only() {
    let mut frozen = healthy();
    frozen.mounts()[0].filesystem_read_only = true;
    assert_eq!(reasons(&Tracker::new(KUBELET).step(seconds(0), frozen.clone())), []);
    let mut tracker = Tracker::new(KUBELET);
    tracker.step(seconds(0), healthy());
    let name = volume(0).to_string();
    assert_eq!(reasons(&tracker.step(seconds(1), frozen)), [(name.as_str(), Reason::ReadOnly)]);
}

#[test]
fn an_unmounted_filesystem_may_be_mounted_read_only() {
    let mut tracker = Tracker::new(KUBELET);
    tracker.step(seconds(0), healthy());
    let mut unmounted = healthy();
    unmounted.mounts().remove(0);
    tracker.step(seconds(1), unmounted);
    let mut again = healthy();
    again.mounts()[0].filesystem_read_only = true;
    assert_eq!(reasons(&tracker.step(seconds(2), again)), []);
}

#[test]
fn a_volume_of_which_only_a_part_is_mounted_or_that_carries_another_device_is_in_use() {
    let (idle, name) = broken(Reason::NotInKubernetes);
    let mut part = idle.clone();
    part.mounts().push(Mount { root: "/@".to_owned(), ..mount(number(259, 16), "/data") });
    let mut mapped = idle.clone();
    let below = Vec::from(["nvme1n1".to_owned()]);
    mapped.devices().push(BlockDevice { below, ..disk("dm-0", number(253, 0)) });
    for (seen, reported) in [(idle, 1), (part, 0), (mapped, 0)] {
        let mut tracker = Tracker::new(KUBELET);
        tracker.step(seconds(0), seen.clone());
        let row = tracker.step(seconds(3600), seen).row(&name).unwrap().clone();
        assert_eq!(row.problems.len(), reported, "{row:?}");
    }
}

#[test]
fn on_xen_a_missing_device_is_not_concluded_from_names() {
    let (mut seen, _) = broken(Reason::DeviceMissing);
    *seen.devices() = Vec::from([disk("xvde", number(202, 64))]);
    seen.mounts().clear();
    let mut tracker = Tracker::new(KUBELET);
    tracker.step(seconds(0), seen.clone());
    assert_eq!(reasons(&tracker.step(seconds(3600), seen)), []);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn an_idle_node_with_fluctuating_usage_publishes_one_table(
        noise in prop::collection::vec((0..2_000_000_000u64, 0..100_000u64), 1..100),
    ) {
        let mut tracker = Tracker::new(KUBELET);
        let mut tables = Vec::new();
        for (second, (bytes, inodes)) in (0..).zip(noise) {
            let mut seen = healthy();
            for space in seen.node.space.values_mut() {
                if let Space::Known(usage) = space {
                    usage.bytes.free -= bytes;
                    usage.inodes.free -= inodes;
                }
            }
            tables.push(tracker.step(seconds(second), seen));
        }
        tables.dedup();
        prop_assert_eq!(tables.len(), 1);
    }

    #[test]
    fn flapping_on_one_volume_changes_no_problem_of_another(
        choices in prop::collection::vec(0..=Reason::ALL.len(), 300),
    ) {
        let mut tracker = Tracker::new(KUBELET);
        tracker.step(seconds(0), healthy());
        let mut problems = Vec::new();
        for (second, choice) in (1..).zip(choices) {
            let seen = Reason::ALL.get(choice).map_or_else(healthy, |reason| broken(*reason).0);
            let table = tracker.step(seconds(second), seen);
            let row = table.row(volume(0).as_str()).unwrap().clone();
            problems.push(row.problems);
        }
        problems.dedup();
        prop_assert_eq!(problems.len(), 1);
    }
}
