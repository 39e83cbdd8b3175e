use proptest::prelude::*;

use super::*;
use crate::volumes::fixture::*;
use crate::volumes::observation::{AttachmentState, NodeView, Partition};
use crate::volumes::path::KUBELET;

fn only(mounts: Vec<Mount>, devices: Vec<BlockDevice>) -> Observation {
    let node = NodeView { devices: Some(devices), mounts: Some(mounts), ..NodeView::default() };
    Observation { node, ..Observation::default() }
}

fn keys(seen: &Observation) -> Vec<Key> {
    join(seen, KUBELET).rows.into_keys().collect()
}

fn points<'a>(joined: &Joined<'a>, key: &Key) -> Vec<&'a str> {
    joined.rows[key].mounts.iter().map(|placed| placed.mount.point.as_str()).collect()
}

fn from_source(volume: &str, source: &str) -> Key {
    Key::Named(volume.to_owned(), Backing::Source(source.to_owned()))
}

fn from_device(volume: &str, device: DeviceNumber) -> Key {
    Key::Named(volume.to_owned(), Backing::Device(device))
}

#[test]
fn ec2_kernel_and_kubernetes_join_in_one_row() {
    let seen = healthy();
    let joined = join(&seen, KUBELET);
    assert_eq!(keys(&seen), [Key::Ebs(volume(0)), Key::Ebs(volume(1))]);
    let row = &joined.rows[&Key::Ebs(volume(1))];
    assert_eq!(row.attachment.unwrap().volume, volume(1));
    assert_eq!(row.devices, [&nvme(1, &volume(1))]);
    assert_eq!(row.mounts.len(), 2);
    assert_eq!(row.persistent_volumes[0].name, "pvc-1");
    assert_eq!(row.volume_attachments[0].volume, "pvc-1");
    assert_eq!(row.wanting[0].pod.name, "redis-0");
    assert_eq!(points(&joined, &Key::Ebs(volume(0))), ["/"]);
    let noise: Vec<_> = joined.noise.iter().map(|mount| mount.fstype.as_str()).collect();
    assert_eq!(noise, ["proc", "tmpfs", "overlay"]);
}

#[test]
fn a_subpath_is_in_its_volumes_row_and_one_of_the_pod_directory_is_not() {
    let mut seen = healthy();
    let part = |name: &str| format!("{KUBELET}/pods/{}/volume-subpaths/{name}/c/0", uid("redis-0"));
    let subpath = |device, name: &str| Mount {
        root: "/some/directory".to_owned(),
        ..mount(device, &part(name))
    };
    seen.mounts().insert(0, subpath(number(259, 16), "pvc-1"));
    seen.mounts().push(subpath(number(259, 1), "scratch"));
    let joined = join(&seen, KUBELET);
    assert!(points(&joined, &Key::Ebs(volume(1))).contains(&part("pvc-1").as_str()));
    assert!(joined.noise.iter().any(|mount| mount.point == part("scratch")));
}

#[test]
fn a_local_volume_on_the_root_disk_has_its_own_row() {
    let mut seen = healthy();
    let point = in_pod("redis-0", "local-volume", "disk-1");
    seen.mounts().push(Mount { root: "/mnt/1".to_owned(), ..mount(number(259, 1), &point) });
    seen.cluster().persistent_volumes.push(pv("disk-1", "other", None));
    let joined = join(&seen, KUBELET);
    let row = &joined.rows[&from_device("disk-1", number(259, 1))];
    assert_eq!(row.persistent_volumes[0].name, "disk-1");
    assert_eq!(row.devices[0].name, "nvme0n1", "the disk is shown");
    assert_eq!(points(&joined, &Key::Ebs(volume(0))), ["/"]);
}

#[test]
fn a_local_volume_below_an_export_does_not_claim_the_whole_export() {
    let point = in_pod("a", "local-volume", "disk-1");
    let mounts = Vec::from([
        shared(60, "nfs4", "server:/a", "/srv/a"),
        Mount { root: "/part".to_owned(), ..shared(60, "nfs4", "server:/a", &point) },
    ]);
    let export = Key::Filesystem(Backing::Source("server:/a".to_owned()));
    assert_eq!(keys(&only(mounts, Vec::new())), [from_source("disk-1", "server:/a"), export]);
}

#[test]
fn pods_that_share_an_export_share_its_row_and_two_exports_are_two() {
    let source = "nfs.example:/a";
    let seen = only(
        Vec::from([
            shared(60, "nfs4", source, &in_pod("a", "nfs", "share")),
            shared(61, "nfs4", source, &in_pod("b", "nfs", "share")),
            shared(62, "nfs4", "nfs.example:/b", &in_pod("b", "csi", "other")),
            shared(63, "nfs4", "nfs.example:/c", "/srv/c"),
            shared(60, "nfs4", source, "/srv/a"),
        ]),
        Vec::new(),
    );
    let joined = join(&seen, KUBELET);
    assert_eq!(points(&joined, &from_source("share", source)).len(), 3, "/srv/a is the same");
    assert_eq!(points(&joined, &from_source("other", "nfs.example:/b")).len(), 1);
    let alone = Key::Filesystem(Backing::Source("nfs.example:/c".to_owned()));
    assert_eq!(points(&joined, &alone), ["/srv/c"]);
}

#[test]
fn a_gluster_volume_is_one_row_however_often_it_is_mounted() {
    let source = "gluster-1:/data";
    let mounted =
        |minor, pod| shared(minor, "fuse.glusterfs", source, &in_pod(pod, "glusterfs", "gv0"));
    let seen = only(Vec::from([mounted(70, "a"), mounted(71, "b")]), Vec::new());
    assert_eq!(keys(&seen), [from_source("gv0", source)]);
}

#[test]
fn an_iscsi_lun_is_joined_by_its_device_from_the_global_mount_to_the_pod() {
    let link = "ip-10.0.0.9:3260-iscsi-iqn.x-lun-0".to_owned();
    let lun = BlockDevice { links: Vec::from([link]), ..disk("sdb", number(8, 16)) };
    let staged =
        format!("{KUBELET}/plugins/kubernetes.io/iscsi/iface-default/10.0.0.9:3260-iqn.x-lun-0");
    let mounts = Vec::from([
        mount(number(8, 16), &staged),
        mount(number(8, 16), &in_pod("a", "iscsi", "lun")),
    ]);
    let seen = only(mounts, Vec::from([lun.clone()]));
    let joined = join(&seen, KUBELET);
    let key = from_device("lun", number(8, 16));
    assert_eq!(joined.rows.len(), 1);
    assert_eq!((points(&joined, &key).len(), joined.rows[&key].devices[0]), (2, &lun));
}

#[test]
fn a_volume_whose_device_has_no_serial_is_known_by_the_name_that_kubelet_gives_it() {
    let mut seen = healthy();
    // Xen, with other names than were asked for.
    *seen.devices() = Vec::from([disk("xvdq", number(202, 0)), disk("xvdr", number(202, 16))]);
    for mount in seen.mounts().iter_mut().filter(|m| m.device == number(259, 16)) {
        mount.device = number(202, 16);
    }
    let joined = join(&seen, KUBELET);
    let row = &joined.rows[&Key::Ebs(volume(1))];
    assert_eq!(row.devices[0].name, "xvdr");
    assert_eq!((row.mounts.len(), row.wanting.len()), (2, 1));
    assert_eq!(keys(&seen), [Key::Ebs(volume(0)), Key::Ebs(volume(1))]);
}

#[test]
fn f084_the_serial_of_a_device_overrides_kubelets_name() {
    let mut seen = healthy();
    seen.devices()[1] = nvme(1, &volume(7));
    let joined = join(&seen, KUBELET);
    assert_eq!(joined.rows[&Key::Ebs(volume(7))].mounts.len(), 2);
    let claimed = &joined.rows[&Key::Ebs(volume(1))];
    assert_eq!((claimed.mounts.len(), claimed.wanting.len()), (0, 1), "so its pod lacks it");
}

#[test]
fn a_raw_device_of_a_pod_is_a_mount_of_its_volume() {
    let point = format!(
        "{KUBELET}/plugins/kubernetes.io/csi/volumeDevices/publish/pvc-1/{}",
        uid("redis-0")
    );
    let node = Mount { root: "/nvme1n1".to_owned(), ..shared(6, "devtmpfs", "udev", &point) };
    let mut seen = healthy();
    seen.mounts().retain(|mount| mount.device != number(259, 16));
    seen.mounts().push(node);
    let joined = join(&seen, KUBELET);
    assert_eq!(points(&joined, &Key::Ebs(volume(1))), [point]);
    let asked = mounts_to_measure(&joined);
    assert_eq!(
        asked.iter().map(|m| m.point.as_str()).collect::<Vec<_>>(),
        ["/"],
        "it has no usage"
    );
}

#[test]
fn duplicate_mounts_count_once_and_hidden_ones_are_not_queried() {
    let mut seen = healthy();
    let twice = seen.mounts()[3].clone();
    seen.mounts().push(twice.clone());
    let joined = join(&seen, KUBELET);
    assert_eq!(joined.rows[&Key::Ebs(volume(1))].mounts.len(), 2);
    assert!(joined.noise.contains(&&twice));
    assert!(joined.rows[&Key::Ebs(volume(1))].mounts.iter().all(|placed| placed.visible));

    let mut seen = healthy();
    for point in [global("0a"), format!("{}/mount", in_pod("redis-0", "csi", "pvc-1"))] {
        seen.mounts().push(shared(99, "tmpfs", "tmpfs", &point));
    }
    let joined = join(&seen, KUBELET);
    let row = &joined.rows[&Key::Ebs(volume(1))];
    assert!(row.mounts.iter().all(|placed| !placed.visible), "{row:?}");
    assert!(mounts_to_measure(&joined).iter().all(|mount| mount.device != number(259, 16)));
}

#[test]
fn a_filesystem_on_several_volumes_is_in_the_row_of_each() {
    let below = Vec::from(["nvme1n1".to_owned(), "nvme2n1".to_owned()]);
    let raid = BlockDevice { below, ..disk("md0", number(9, 0)) };
    let devices = Vec::from([nvme(1, &volume(1)), nvme(2, &volume(2)), raid]);
    let seen = only(Vec::from([mount(number(9, 0), "/data")]), devices);
    let joined = join(&seen, KUBELET);
    for key in [Key::Ebs(volume(1)), Key::Ebs(volume(2))] {
        assert_eq!((points(&joined, &key), joined.rows[&key].used), (Vec::from(["/data"]), true));
    }
}

#[test]
fn a_claimed_volume_that_is_nowhere_has_a_row() {
    let mut seen = healthy();
    seen.cluster().pods.push(pod("redis-1"));
    seen.cluster().persistent_volumes.push(pv("pvc-2", "redis-1", Some(volume(2))));
    seen.cluster().pods.push(pod("web"));
    seen.cluster().persistent_volumes.push(pv("share", "web", None));
    let joined = join(&seen, KUBELET);
    for key in [Key::Ebs(volume(2)), Key::Wanted("share".to_owned())] {
        assert_eq!(joined.rows[&key].wanting.len(), 1, "{key:?}");
    }
    let elsewhere = pv("pvc-9", "on-another-node", Some(volume(9)));
    let mut seen = healthy();
    seen.cluster().persistent_volumes.push(elsewhere);
    assert_eq!(keys(&seen), keys(&healthy()), "what is not here is not shown here");
}

/// A world of few names, so that parts of it meet, or nearly do.
fn worlds() -> impl Strategy<Value = Observation> {
    let attachments = prop::collection::btree_set(0..4u64, 0..4);
    let devices = prop::collection::btree_map(0..4u32, 0..5u64, 0..4);
    let mounts = prop::collection::vec((0..9u8, 0..9u8, 0..3u8, 0..3u8), 0..10);
    let volumes = prop::collection::btree_map(0..3u8, prop::option::of(0..4u64), 0..3);
    let pods = prop::collection::btree_set(0..3u8, 0..3);
    (attachments, devices, mounts, volumes, pods).prop_map(
        |(attachments, devices, mounts, volumes, pods)| {
            let mut seen = healthy();
            let state = AttachmentState::Attached;
            let attached = attachments.iter().map(|n| attachment(&volume(*n), state));
            seen.cloud().attachments = attached.collect();
            *seen.devices() = devices.iter().map(|(at, of)| device(*at, *of)).collect();
            *seen.mounts() = mounts.into_iter().map(some_mount).collect();
            let cluster = seen.cluster();
            cluster.pods = pods.iter().map(|n| pod(&format!("p{n}"))).collect();
            let some = |(n, ebs): (&u8, &Option<u64>)| {
                pv(&format!("v{n}"), &format!("p{n}"), ebs.map(volume))
            };
            cluster.persistent_volumes = volumes.iter().map(some).collect();
            cluster.attachments = volumes.keys().map(|n| believed(&format!("v{n}"))).collect();
            cluster.claims = Vec::new();
            seen
        },
    )
}

fn device(at: u32, of: u64) -> BlockDevice {
    let part = Partition { name: format!("nvme{at}n1p1"), number: number(259, at * 16 + 1) };
    let device = BlockDevice { partitions: Vec::from([part]), ..nvme(at, &volume(of)) };
    match of {
        4 => BlockDevice { serial: None, ..device },
        3 => BlockDevice { model: None, ..device },
        _ => device,
    }
}

fn some_mount((device, place, pod, volume): (u8, u8, u8, u8)) -> Mount {
    let (pod, volume) = (format!("p{pod}"), format!("v{volume}"));
    let point = match place {
        0 => "/".to_owned(),
        1 => format!("/mnt/{volume}"),
        2 => global(&volume),
        3 => in_pod(&pod, "projected", &volume),
        4 => in_pod(&pod, "local-volume", &volume),
        5 => format!("{KUBELET}/pods/{}/volume-subpaths/{volume}/c/0", uid(&pod)),
        6 => in_pod(&pod, "nfs", &volume),
        _ => format!("{}/mount", in_pod(&pod, "csi", &volume)),
    };
    let block = |minor| mount(number(259, minor), &point);
    match device {
        n @ 0..=3 => block(u32::from(n) * 16),
        4 => block(17),
        5 => Mount { root: "/part".to_owned(), ..block(0) },
        6 => shared(60, "nfs4", "server:/a", &point),
        7 => shared(61, "fuse.glusterfs", "server:/g", &point),
        _ => shared(62, "overlay", "overlay", &point),
    }
}

proptest! {
    #[test]
    fn joining_neither_loses_nor_invents_anything(seen in worlds()) {
        let joined = join(&seen, KUBELET);
        let cloud = seen.cloud.as_ref().unwrap();
        for attachment in &cloud.attachments {
            let rows: Vec<_> =
                joined.rows.iter().filter(|(_, r)| r.attachment == Some(attachment)).collect();
            prop_assert_eq!(rows.len(), 1);
            prop_assert_eq!(rows[0].0, &Key::Ebs(attachment.volume.clone()));
        }
        for device in seen.node.devices.as_ref().unwrap() {
            let own = |key: &Key| matches!(key, Key::Ebs(_) | Key::Device(_));
            let rows =
                joined.rows.iter().filter(|(key, r)| own(key) && r.devices.contains(&device));
            let ebs = device.model.is_some();
            let expected = if ebs { 1..=1 } else { 0..=1 };
            prop_assert!(expected.contains(&rows.count()), "{:?}", device);
        }
        for mount in seen.node.mounts.as_ref().unwrap() {
            let is = |other: &&Mount| std::ptr::eq(*other, mount);
            let all = joined.rows.values().flat_map(|row| &row.mounts);
            let in_rows = all.filter(|placed| is(&placed.mount)).count();
            let in_noise = joined.noise.iter().filter(|other| is(other)).count();
            prop_assert_eq!(in_rows + in_noise, 1, "{:?}", mount);
        }
        for (key, row) in &joined.rows {
            let evidence = row.attachment.is_some() || !row.devices.is_empty()
                || !row.mounts.is_empty() || !row.wanting.is_empty()
                || !row.volume_attachments.is_empty();
            prop_assert!(evidence, "{:?}", key);
        }
        let cluster = seen.cluster.as_ref().unwrap();
        for attachment in &cluster.attachments {
            let reported = |row: &Row<'_>| row.volume_attachments.contains(&attachment);
            prop_assert!(joined.rows.values().any(reported), "{:?}", attachment);
        }
        for (pod, volume) in cluster.pods.iter().flat_map(|pod| {
            let claimed = |pv: &&PersistentVolume| {
                pv.claim.as_ref().is_some_and(|claim| claim.name == pod.claims[0].claim)
            };
            cluster.persistent_volumes.iter().filter(claimed).map(move |volume| (pod, volume))
        }) {
            let reported = |row: &Row<'_>| {
                row.persistent_volumes.contains(&volume)
                    && row.wanting.iter().any(|wanting| wanting.pod == pod)
            };
            prop_assert!(joined.rows.values().any(reported), "{:?} {:?}", pod, volume);
        }
    }

    #[test]
    fn the_order_of_the_observation_changes_no_row(seen in worlds()) {
        let mut turned = seen.clone();
        turned.cloud().attachments.reverse();
        turned.devices().reverse();
        turned.cluster().pods.reverse();
        turned.cluster().persistent_volumes.reverse();
        prop_assert_eq!(keys(&turned), keys(&seen));
    }

    #[test]
    fn each_filesystem_is_queried_once(seen in worlds()) {
        let joined = join(&seen, KUBELET);
        let asked = mounts_to_measure(&joined);
        let devices: BTreeSet<_> = asked.iter().map(|mount| mount.device).collect();
        prop_assert_eq!(asked.len(), devices.len());
        let visible = joined.rows.values().flat_map(|row| &row.mounts).filter(|p| p.visible);
        let all: BTreeSet<_> = visible.map(|placed| placed.mount.device).collect();
        prop_assert_eq!(devices, all);
    }
}
