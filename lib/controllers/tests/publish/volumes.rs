//! The published status of volumes.

use std::time::Duration;

use firecamp_controllers::publish::{Facts, table};
use firecamp_core::time::Moment;
use firecamp_node::volumes::observation::{
    Amount, DeviceNumber, Mount, NodeView, Observation, Pod, Space, Usage,
};
use firecamp_node::volumes::{Table, Tracker};
use firecamp_registry::api::VolumeKind;

use super::support::{MINUTE, Node, healthy_facts};

const KUBELET: &str = "/var/lib/kubelet";
const UID: &str = "0b0d3ed4-2b8c-4b2a-9a54-3c1f6a1e1e11";

/// A Gluster volume of a pod, with so many of a thousand bytes free.
fn observation(free: u64) -> Observation {
    let device = DeviceNumber { major: 0, minor: 60 };
    let mount = Mount {
        device,
        root: "/".to_owned(),
        point: format!("{KUBELET}/pods/{UID}/volumes/kubernetes.io~glusterfs/pv-1"),
        fstype: "fuse.glusterfs".to_owned(),
        source: "gluster:/vol".to_owned(),
        read_only: false,
        filesystem_read_only: false,
    };
    let usage = Usage { bytes: Amount { total: 1000, free }, inodes: Amount::default() };
    let pod = Pod {
        uid: UID.parse().unwrap(),
        namespace: "prod".to_owned(),
        name: "redis-0".to_owned(),
        ending: false,
        claims: Vec::new(),
    };
    Observation {
        cloud: None,
        node: NodeView {
            devices: Some(Vec::new()),
            mounts: Some(vec![mount]),
            space: [(device, Space::Known(usage))].into(),
        },
        cluster: Some(firecamp_node::volumes::observation::ClusterView {
            pods: vec![pod],
            ..Default::default()
        }),
    }
}

fn step(tracker: &mut Tracker, second: u64, free: u64) -> Table {
    tracker.step(Moment(Duration::from_secs(second)), observation(free))
}

#[test]
fn a_full_volume_is_reported_and_small_usage_changes_are_not() {
    let mut tracker = Tracker::new(KUBELET);
    let mut node =
        Node::new(Facts { volumes: Some(step(&mut tracker, 0, 500)), ..healthy_facts() });
    node.run(MINUTE);
    let row = node.published().volumes[0].clone();
    assert_eq!((row.kind, row.source.as_deref()), (VolumeKind::Glusterfs, Some("gluster:/vol")));
    assert_eq!(row.mounts[0].pod.as_deref(), Some("prod/redis-0"));
    let before = node.api.posted().writes();
    for second in 0..300 {
        node.facts.volumes = Some(step(&mut tracker, MINUTE + second, 500 - second % 40));
        node.run(1);
    }
    assert_eq!(node.api.posted().writes(), before);
    node.facts.volumes = Some(step(&mut tracker, 10 * MINUTE, 50));
    node.run(10);
    assert_eq!(node.published().volumes[0].problems[0].reason, "AlmostFull");
    assert_eq!(node.node_condition("VolumesReady"), "False SomeFailing");
    assert_eq!((node.reasons(), node.published().volumes_failing), (vec!["AlmostFull"], 1));
}

#[test]
fn a_tracker_that_resumes_from_what_was_published_changes_nothing() {
    let mut tracker = Tracker::new(KUBELET);
    step(&mut tracker, 0, 480);
    let full = step(&mut tracker, 10, 90);
    let mut node = Node::new(Facts { volumes: Some(full), ..healthy_facts() });
    node.run(MINUTE);
    assert_eq!(node.published().volumes[0].problems[0].reason, "AlmostFull");
    let before = node.api.posted().writes();
    // 12 % free: no longer what begins to be full, and not yet what ends to be.
    let mut resumed = Tracker::resume(KUBELET, &table(&node.published().volumes));
    node.restart();
    for second in 0..120 {
        node.facts.volumes = Some(step(&mut resumed, second, 120));
        node.run(1);
    }
    assert_eq!(node.api.posted().writes(), before);
}
