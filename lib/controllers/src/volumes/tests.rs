use firecamp_core::failure::{Effect as FailureEffect, RegistryKind};
use firecamp_node::volumes::observation::{Amount, DeviceNumber, Mount, Pod, Space, Usage};
use firecamp_node::volumes::{Problem, Recheck, VolumeKind, VolumeRow, VolumesKind};

use super::*;

fn at(second: u64) -> Moment {
    Moment(Duration::from_secs(second))
}

/// A Gluster volume that is mounted for a pod, with so many percent free.
fn read(free: u64) -> NodeRead {
    let device = DeviceNumber { major: 0, minor: 60 };
    let mount = Mount {
        device,
        root: "/".to_owned(),
        point: format!("{KUBELET}/pods/pod-1/volumes/kubernetes.io~glusterfs/pv-1"),
        fstype: "fuse.glusterfs".to_owned(),
        source: "gluster:/vol".to_owned(),
        read_only: false,
        filesystem_read_only: false,
    };
    let usage = Usage { bytes: Amount { total: 100, free }, inodes: Amount::default() };
    let node = NodeView {
        devices: Some(Vec::new()),
        mounts: Some(vec![mount]),
        space: [(device, Space::Known(usage))].into(),
    };
    NodeRead { node, ..NodeRead::default() }
}

fn published() -> Table {
    let message = "as it was".to_owned();
    let row = VolumeRow {
        name: "pv-1".to_owned(),
        kind: VolumeKind::Glusterfs,
        volume_id: None,
        attachment: None,
        label: None,
        delete_on_termination: None,
        zone: None,
        device: None,
        size: None,
        source: None,
        filesystem: None,
        space: None,
        persistent_volume: None,
        claim: None,
        volume_attachment: None,
        mounts: Vec::new(),
        more_mounts: 0,
        problems: vec![Problem { reason: Reason::AlmostFull, message }],
    };
    Table { volumes: vec![row] }
}

fn failure() -> RegistryFailure {
    let (kind, effect) = (RegistryKind::Unavailable, FailureEffect::None);
    RegistryFailure { kind, effect, detail: "away".to_owned() }
}

fn unwatched() -> VolumesFailure {
    VolumesFailure { kind: VolumesKind::Refused, detail: "no watch".to_owned() }
}

/// A controller that waits for a change after its first observation.
fn observing() -> VolumesController {
    let mut controller = VolumesController::new(true);
    controller.handle(Event::Tick(Some(Table::default())), at(0));
    controller.handle(Event::NodeRead(read(50)), at(0));
    let pod = Pod {
        uid: "pod-1".parse().unwrap(),
        namespace: "prod".to_owned(),
        name: "redis-0".to_owned(),
        ending: false,
        claims: Vec::new(),
    };
    let cluster = ClusterView { pods: vec![pod], ..ClusterView::default() };
    let effects = controller.handle(Event::ClusterRead(Ok(cluster)), at(0));
    assert!(matches!(&effects[..], [Effect::Report(_), Effect::AwaitChange]), "{effects:?}");
    controller
}

#[test]
fn first_read_waits_thirty_seconds_for_the_published_table() {
    let mut controller = VolumesController::new(true);
    for second in 0..30 {
        assert_eq!(controller.next_tick(), Some(at(second)));
        assert_eq!(controller.handle(Event::Tick(None), at(second)), []);
    }
    assert_eq!(controller.handle(Event::Tick(None), at(30)), [Effect::ReadNode]);
    assert_eq!(controller.next_tick(), None, "a read runs");
}

#[test]
fn observation_continues_from_the_published_table() {
    let mut controller = VolumesController::new(true);
    assert_eq!(controller.handle(Event::Tick(None), at(0)), []);
    let begun = controller.handle(Event::Tick(Some(published())), at(1));
    assert_eq!(begun, [Effect::ReadNode]);
    // 12 % free would not begin a problem, and does not end one.
    assert_eq!(controller.handle(Event::NodeRead(read(12)), at(1)), [Effect::ReadCluster]);
    let effects = controller.handle(Event::ClusterRead(Err(failure())), at(2));
    let [Effect::Report(report), Effect::AwaitChange] = &effects[..] else { panic!("{effects:?}") };
    assert_eq!(report.table.volumes[0].problems[0].reason, Reason::AlmostFull);
    assert!(report.recheck == Recheck::Now && report.pods.is_none());
}

#[test]
fn without_kubernetes_nothing_is_awaited_and_only_the_node_is_read() {
    let mut controller = VolumesController::new(false);
    assert_eq!(controller.handle(Event::Tick(Some(published())), at(0)), [Effect::ReadNode]);
    let effects = controller.handle(Event::NodeRead(read(12)), at(0));
    let [Effect::Report(report), Effect::AwaitChange] = &effects[..] else { panic!("{effects:?}") };
    assert_eq!(report.table.volumes[0].problems, []);
}

#[test]
fn one_read_follows_each_change_after_a_pause() {
    let mut controller = observing();
    assert_eq!(controller.next_tick(), None, "a wait runs");
    assert_eq!(controller.handle(Event::Changed(Ok(Change::Mounts)), at(7)), []);
    assert_eq!(controller.next_tick(), Some(at(8)));
    assert_eq!(controller.handle(Event::Tick(None), at(8)), [Effect::ReadNode]);
    assert_eq!(controller.next_tick(), None);
}

#[test]
fn quiet_node_is_read_at_once_after_the_wait_and_an_unwatched_one_after_as_long() {
    let mut controller = observing();
    let quiet = Event::Changed(Ok(Change::Nothing));
    assert_eq!(controller.handle(quiet, at(15)), [Effect::ReadNode]);
    let mut controller = observing();
    assert_eq!(controller.handle(Event::Changed(Err(unwatched())), at(0)), []);
    assert_eq!(controller.next_tick(), Some(at(16)));
}

#[test]
fn failed_read_of_kubernetes_is_retried_after_thirty_seconds_and_a_good_one_after_a_change() {
    let reads = |controller: &mut VolumesController, second: u64| {
        let effects = controller.handle(Event::NodeRead(read(50)), at(second));
        effects == [Effect::ReadCluster]
    };
    let mut controller = observing();
    assert!(!reads(&mut controller, 40), "nothing has changed");
    controller.handle(Event::Changed(Ok(Change::Devices)), at(41));
    assert!(reads(&mut controller, 42));
    controller.handle(Event::ClusterRead(Err(failure())), at(43));
    assert!(!reads(&mut controller, 71) && reads(&mut controller, 72));
}

#[test]
fn ec2s_view_is_observed_with_the_read_that_brings_it() {
    let mut controller = observing();
    let zone = "us-east-1a".parse().unwrap();
    let cloud = CloudView { zone, attachments: Vec::new(), elsewhere: Vec::new() };
    let with_cloud = NodeRead { cloud: Some(cloud), ..read(50) };
    let effects = controller.handle(Event::NodeRead(with_cloud), at(30));
    assert_eq!(effects, [Effect::ReadCluster], "EC2 and Kubernetes are compared as of one moment");
}

#[test]
fn hanging_read_delays_neither_a_tick_nor_the_end_of_the_process() {
    let mut controller = observing();
    controller.handle(Event::Changed(Ok(Change::Nothing)), at(15));
    assert_eq!(controller.next_tick(), None, "the read is not started twice");
    assert_eq!(controller.stop(at(20)), []);
    assert!(controller.is_idle());
}
