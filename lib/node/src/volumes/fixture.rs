//! A node in order, for tests to break.

use std::time::Duration;

use firecamp_core::ids::{PodUid, VolumeId};

use crate::volumes::observation::{
    Amount, Attachment, AttachmentState, BlockDevice, Claim, ClaimName, CloudView, ClusterView,
    DeviceNumber, Mount, NodeView, Observation, Partition, PersistentVolume, Pod, PodClaim, Space,
    Usage, VolumeAttachment,
};
use crate::volumes::path::KUBELET;
use crate::volumes::reason::Reason;

pub(crate) const GIB: u64 = 1 << 30;

/// The volume of `redis-0`.
pub(crate) const DATA: u64 = 1;

pub(crate) fn volume(number: u64) -> VolumeId {
    format!("vol-{number:017x}").parse().unwrap()
}

pub(crate) fn uid(name: &str) -> PodUid {
    format!("uid-{name}").parse().unwrap()
}

pub(crate) fn number(major: u32, minor: u32) -> DeviceNumber {
    DeviceNumber { major, minor }
}

/// A disk that is nothing in particular.
pub(crate) fn disk(name: &str, number: DeviceNumber) -> BlockDevice {
    BlockDevice {
        name: name.to_owned(),
        number,
        bytes: 100 * GIB,
        read_only: false,
        model: None,
        serial: None,
        partitions: Vec::new(),
        below: Vec::new(),
        links: Vec::new(),
    }
}

/// The NVMe device `index` of an EBS volume.
pub(crate) fn nvme(index: u32, volume: &VolumeId) -> BlockDevice {
    BlockDevice {
        model: Some("Amazon Elastic Block Store".to_owned()),
        serial: Some(volume.as_str().replace('-', "")),
        ..disk(&format!("nvme{index}n1"), number(259, index * 16))
    }
}

pub(crate) fn attachment(volume: &VolumeId, state: AttachmentState) -> Attachment {
    Attachment {
        volume: volume.clone(),
        state,
        age: None,
        label: "/dev/xvdaa".to_owned(),
        delete_on_termination: false,
        zone: "us-east-1a".parse().unwrap(),
        bytes: 100 * GIB,
    }
}

pub(crate) fn mount(device: DeviceNumber, point: &str) -> Mount {
    Mount {
        device,
        root: "/".to_owned(),
        point: point.to_owned(),
        fstype: "ext4".to_owned(),
        source: "/dev/disk".to_owned(),
        read_only: false,
        filesystem_read_only: false,
    }
}

/// A mount from another machine.
pub(crate) fn shared(minor: u32, fstype: &str, source: &str, point: &str) -> Mount {
    let (fstype, source) = (fstype.to_owned(), source.to_owned());
    Mount { fstype, source, ..mount(number(0, minor), point) }
}

/// Where kubelet mounts a volume of this kind for a pod.
pub(crate) fn in_pod(pod: &str, kind: &str, volume: &str) -> String {
    format!("{KUBELET}/pods/{}/volumes/kubernetes.io~{kind}/{volume}", uid(pod))
}

pub(crate) fn global(name: &str) -> String {
    format!("{KUBELET}/plugins/kubernetes.io/csi/ebs.csi.aws.com/{name}/globalmount")
}

/// A pod of the namespace `prod` that uses the claim `data-POD`.
pub(crate) fn pod(name: &str) -> Pod {
    let claim = PodClaim { claim: format!("data-{name}"), read_only: false };
    let (name, namespace) = (name.to_owned(), "prod".to_owned());
    Pod { uid: uid(&name), namespace, name, ending: false, claims: Vec::from([claim]) }
}

/// A persistent volume for the claim `data-POD`.
pub(crate) fn pv(name: &str, pod: &str, ebs: Option<VolumeId>) -> PersistentVolume {
    let claim = ClaimName { namespace: "prod".to_owned(), name: format!("data-{pod}") };
    PersistentVolume {
        name: name.to_owned(),
        claim: Some(claim),
        ebs,
        read_only: false,
        zones: Vec::from(["us-east-1a".parse().unwrap()]),
    }
}

pub(crate) fn believed(volume: &str) -> VolumeAttachment {
    let name = format!("csi-{volume}");
    VolumeAttachment { name, volume: volume.to_owned(), attached: true, failing: false }
}

/// Used parts in percent.
pub(crate) fn used(bytes: u64, inodes: u64) -> Space {
    let amount = |total, used| Amount { total, free: total * (100 - used) / 100 };
    Space::Known(Usage { bytes: amount(100 * GIB, bytes), inodes: amount(6_553_600, inodes) })
}

/// A node with a root volume, and the pod `redis-0` that has volume 1 as `pvc-1`.
pub(crate) fn healthy() -> Observation {
    let (root, data) = (volume(0), volume(1));
    let part = Partition { name: "nvme0n1p1".to_owned(), number: number(259, 1) };
    let devices = Vec::from([
        BlockDevice { partitions: Vec::from([part]), ..nvme(0, &root) },
        nvme(1, &data),
    ]);
    let mounts = Vec::from([
        mount(number(259, 1), "/"),
        shared(30, "proc", "proc", "/proc"),
        mount(number(259, 16), &global("0a")),
        mount(number(259, 16), &format!("{}/mount", in_pod("redis-0", "csi", "pvc-1"))),
        shared(50, "tmpfs", "tmpfs", &in_pod("redis-0", "projected", "token")),
        shared(51, "overlay", "overlay", "/run/containerd/x/rootfs"),
    ]);
    let space = [(number(259, 1), used(40, 10)), (number(259, 16), used(40, 10))];
    let attached = |volume| attachment(volume, AttachmentState::Attached);
    Observation {
        cloud: Some(CloudView {
            zone: "us-east-1a".parse().unwrap(),
            attachments: Vec::from([attached(&root), attached(&data)]),
            elsewhere: Vec::new(),
        }),
        node: NodeView {
            devices: Some(devices),
            mounts: Some(mounts),
            space: space.into_iter().collect(),
        },
        cluster: Some(ClusterView {
            pods: Vec::from([pod("redis-0")]),
            persistent_volumes: Vec::from([pv("pvc-1", "redis-0", Some(data))]),
            claims: Vec::from([Claim {
                name: ClaimName { namespace: "prod".to_owned(), name: "data-redis-0".to_owned() },
                volume: Some("pvc-1".to_owned()),
            }]),
            attachments: Vec::from([believed("pvc-1")]),
            offered: None,
        }),
    }
}

pub(crate) fn seconds(seconds: u64) -> firecamp_core::time::Moment {
    firecamp_core::time::Moment(Duration::from_secs(seconds))
}

impl Observation {
    pub(crate) fn cloud(&mut self) -> &mut CloudView {
        self.cloud.as_mut().unwrap()
    }

    pub(crate) fn cluster(&mut self) -> &mut ClusterView {
        self.cluster.as_mut().unwrap()
    }

    pub(crate) fn devices(&mut self) -> &mut Vec<BlockDevice> {
        self.node.devices.as_mut().unwrap()
    }

    pub(crate) fn mounts(&mut self) -> &mut Vec<Mount> {
        self.node.mounts.as_mut().unwrap()
    }
}

/// Volume 1 is not mounted, and no pod claims it.
fn unused(seen: &mut Observation) {
    seen.mounts().retain(|mount| mount.device != number(259, 16));
    seen.cluster().pods.clear();
}

/// A node with this problem of volume 1, and the name of the row.
pub(crate) fn broken(reason: Reason) -> (Observation, String) {
    let mut seen = healthy();
    let state = |seen: &mut Observation, state| seen.cloud().attachments[1].state = state;
    match reason {
        Reason::StuckAttaching => state(&mut seen, AttachmentState::Attaching),
        Reason::StuckDetaching => state(&mut seen, AttachmentState::Detaching),
        Reason::Busy => state(&mut seen, AttachmentState::Busy),
        Reason::AttachmentFailing => seen.cluster().attachments[0].failing = true,
        Reason::StaleAttachment => {
            seen.cloud().attachments.truncate(1);
            seen.devices().truncate(1);
            unused(&mut seen);
        }
        Reason::DeviceMissing => {
            seen.devices().truncate(1);
            unused(&mut seen);
        }
        Reason::DeviceWithoutVolume => {
            seen.cloud().attachments.truncate(1);
            seen.cluster().attachments.clear();
        }
        Reason::SerialUnreadable => {
            seen.devices()[1].serial = None;
            seen.cloud().attachments.truncate(1);
            seen.cluster().attachments.clear();
            unused(&mut seen);
            return (seen, "nvme1n1".to_owned());
        }
        Reason::LinkMismatch => {
            let link = "nvme-Amazon_Elastic_Block_Store_vol00000000000000009".to_owned();
            seen.devices()[1].links.push(link);
        }
        Reason::NotInKubernetes => {
            seen.mounts().retain(|mount| mount.device != number(259, 16));
            *seen.cluster() = ClusterView::default();
        }
        Reason::ZoneMismatch => {
            seen.cluster().persistent_volumes[0].zones = Vec::from(["eu-1b".parse().unwrap()]);
        }
        Reason::NotMounted => {
            seen.mounts().remove(3);
        }
        Reason::PodGone => seen.cluster().pods.clear(),
        Reason::ReadOnly => {
            for mount in seen.mounts().iter_mut().filter(|m| m.device == number(259, 16)) {
                mount.filesystem_read_only = true;
            }
        }
        Reason::NotResponding => {
            seen.node.space.insert(number(259, 16), Space::NotResponding);
        }
        Reason::AlmostFull => {
            seen.node.space.insert(number(259, 16), used(90, 10));
        }
        Reason::InodesAlmostFull => {
            seen.node.space.insert(number(259, 16), used(10, 90));
        }
    }
    (seen, volume(DATA).to_string())
}
