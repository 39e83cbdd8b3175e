use super::*;
use crate::volumes::fixture::*;
use crate::volumes::observation::{BlockDevice, Mount, Observation};
use crate::volumes::path::KUBELET;
use crate::volumes::tracker::Tracker;

/// A node whose volume 1 is almost full, and the name of its row.
fn full() -> (Observation, String) {
    let mut seen = healthy();
    seen.node.space.insert(number(259, 16), used(90, 10));
    (seen, volume(1).to_string())
}

#[test]
fn volume_kinds_follow_from_their_mounts() {
    let mut seen = healthy();
    let lun = BlockDevice {
        links: Vec::from(["ip-10.0.0.9:3260-iscsi-iqn.x-lun-0".to_owned()]),
        ..disk("sdb", number(8, 16))
    };
    let store = BlockDevice {
        model: Some("Amazon EC2 NVMe Instance Storage".to_owned()),
        ..disk("nvme2n1", number(259, 32))
    };
    seen.devices().extend([lun, store]);
    let own = |name: &str, kind: &str| in_pod("redis-0", kind, name);
    seen.mounts().extend([
        mount(number(8, 16), &own("lun", "iscsi")),
        mount(number(259, 32), &own("fast", "csi")),
        mount(number(259, 32), &own("disk", "local-volume")),
        shared(60, "nfs4", "server:/a", &own("share", "nfs")),
        shared(61, "fuse.glusterfs", "server:/g", &own("gv", "glusterfs")),
        shared(62, "fuse", "mountpoint-s3", &own("bucket", "csi")),
    ]);
    let table = Tracker::new(KUBELET).step(seconds(0), seen);
    let kind = |name: &str| table.row(name).map(|row| (row.kind, row.source.clone()));
    let from = |source: &str| Some(source.to_owned());
    let target = from("ip-10.0.0.9:3260-iscsi-iqn.x-lun-0");
    assert_eq!(kind("lun"), Some((VolumeKind::Iscsi, target)));
    assert_eq!(kind("fast"), Some((VolumeKind::InstanceStore, None)));
    assert_eq!(kind("disk"), Some((VolumeKind::Local, None)));
    assert_eq!(kind("share"), Some((VolumeKind::Nfs, from("server:/a"))));
    assert_eq!(kind("gv"), Some((VolumeKind::Glusterfs, from("server:/g"))));
    assert_eq!(kind("bucket"), Some((VolumeKind::Other, from("mountpoint-s3"))));
}

#[test]
fn row_names_are_unique() {
    let mut seen = healthy();
    for (minor, pod) in [(70, "a"), (71, "b")] {
        let point = in_pod(pod, "csi", "secrets");
        seen.mounts()
            .push(Mount { source: "tmpfs".to_owned(), ..shared(minor, "tmpfs", "", &point) });
    }
    let table = Tracker::new(KUBELET).step(seconds(0), seen);
    assert!(table.row("secrets (from 0:70)").is_some(), "{table:?}");
    assert!(table.row("secrets (from 0:71)").is_some());
}

#[test]
fn a_volume_with_many_mounts_lists_some_and_counts_the_rest() {
    let mut seen = healthy();
    for n in 0..100 {
        let point = in_pod(&format!("p{n}"), "nfs", "share");
        seen.mounts().push(shared(60, "nfs4", "server:/a", &point));
    }
    let table = Tracker::new(KUBELET).step(seconds(0), seen);
    let row = table.row("share").unwrap();
    assert_eq!((row.mounts.len(), row.more_mounts), (MOUNTS_SHOWN, 84));
}

#[test]
fn events_are_the_started_and_ended_problems() {
    let (seen, name) = full();
    let mut tracker = Tracker::new(KUBELET);
    let before = tracker.step(seconds(0), healthy());
    let after = tracker.step(seconds(1), seen);
    let problem = after.row(&name).unwrap().problems[0].clone();
    let reported = |began| Events { volume: name.clone(), problem: problem.clone(), began };
    assert_eq!(problem_events(&before, &after), [reported(true)]);
    assert_eq!(problem_events(&after, &before), [reported(false)]);
    assert_eq!(problem_events(&after, &after), []);
}

#[cfg(feature = "serde")]
#[test]
fn the_published_table_uses_kubernetes_names_and_round_trips() {
    let (seen, name) = full();
    let table = Tracker::new(KUBELET).step(seconds(0), seen);
    let json = serde_json::to_value(&table).unwrap();
    let row = &json["volumes"][1];
    assert_eq!(row["name"], name.as_str());
    assert_eq!(row["kind"], "ebs");
    assert_eq!(row["attachment"], "attached");
    assert_eq!(row["volumeId"], name.as_str());
    assert_eq!(row["space"]["bytesTotal"], 100 * GIB);
    assert_eq!(row["problems"][0]["reason"], "AlmostFull");
    assert!(row.get("moreMounts").is_none());
    assert_eq!(serde_json::from_value::<Table>(json).unwrap(), table);
}
