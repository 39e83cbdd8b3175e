//! The ground truth as EC2, the kernel and Kubernetes report it.

use std::time::Duration;

use firecamp_core::ids::VolumeId;
use firecamp_node::volumes::observation::{
    Amount, Attachment, AttachmentState, BlockDevice, Claim, ClaimName, CloudView, ClusterView,
    DeviceNumber, Elsewhere, Mount, Partition, PersistentVolume, Pod, PodClaim, Usage,
    VolumeAttachment,
};
use firecamp_node::volumes::path::KUBELET;
use firecamp_node::volumes::{Change, Reason, Volumes, VolumesFailure, VolumesKind};

use crate::volumes::scenario::Ix;
use crate::volumes::simulated_node::{Ec2, Names, State, Volume};

/// The unit of sizes: each volume has a unique size.
pub const UNIT: u64 = 100 << 30;
const INODES: u64 = 6_553_600;
const NAMESPACE: &str = "prod";

/// The size of a volume.
pub fn bytes(ix: Ix) -> u64 {
    UNIT * (u64::from(ix) + 1)
}

/// The name of its persistent volume.
pub fn pv(ix: Ix) -> String {
    format!("pvc-{ix}")
}

/// The volume of a persistent volume's name, a volume ID or a mount point.
pub fn owner(text: &str, names: &Names) -> Option<Ix> {
    if text == "/" {
        return Some(0);
    }
    text.split('/').find_map(|part| {
        let numbered = part.strip_prefix("pvc-").and_then(|number| number.parse().ok());
        let at = || names.volumes.iter().position(|volume| volume.as_str() == part);
        numbered.or_else(|| Ix::try_from(at()?).ok())
    })
}

/// `a` to `z`, then `ba` and so on, as the EBS driver names devices.
fn letters(label: u8) -> String {
    let letter = |number: u8| char::from(b'a' + number);
    let (high, low) = (label / 26, letter(label % 26));
    if high == 0 { low.to_string() } else { format!("{}{low}", letter(high)) }
}

impl State {
    fn is_export(&self, ix: Ix) -> bool {
        ix == self.shape.export()
    }

    fn has_pv(&self, ix: Ix) -> bool {
        ix != 0 && ix != self.shape.orphan()
    }

    /// The name of a device at a slot, or of a label on Xen.
    pub fn device_name(&self, volume: &Volume) -> Option<String> {
        let slot = volume.slot?;
        Some(if self.shape.xen {
            format!("xvd{}", letters(volume.label?))
        } else {
            format!("nvme{slot}n1")
        })
    }

    fn number(&self, volume: &Volume) -> DeviceNumber {
        if self.is_export(volume.ix) {
            return DeviceNumber { major: 0, minor: 60 };
        }
        let place = if self.shape.xen { volume.label } else { volume.slot };
        let minor = u32::from(place.unwrap_or(u8::MAX)) * 16;
        DeviceNumber { major: if self.shape.xen { 202 } else { 259 }, minor }
    }

    /// EC2's view of this state at a later second.
    pub fn cloud(&self, names: &Names, second: u64, queried: &[VolumeId]) -> CloudView {
        let id = |volume: &Volume| names.volumes[usize::from(volume.ix)].clone();
        let here = self.volumes.iter().filter_map(|volume| {
            let Ec2::Here(state, since) = volume.ec2 else { return None };
            let shown = !volume.has(Reason::DeviceWithoutVolume);
            shown.then(|| Attachment {
                volume: id(volume),
                state,
                age: Some(Duration::from_secs(second.saturating_sub(since))),
                label: format!("/dev/xvd{}", letters(volume.label.unwrap_or_default())),
                delete_on_termination: volume.ix == 0,
                zone: names.zone.clone(),
                bytes: bytes(volume.ix),
            })
        });
        let elsewhere = self.volumes.iter().filter_map(|volume| {
            let Ec2::Elsewhere(state) = volume.ec2 else { return None };
            let volume = id(volume);
            let instance = names.other.clone();
            queried.contains(&volume).then_some(Elsewhere { volume, instance, state })
        });
        CloudView {
            zone: names.zone.clone(),
            attachments: here.collect(),
            elsewhere: elsewhere.collect(),
        }
    }

    /// Kubernetes' view of volumes, and of the pods of `earlier`.
    pub fn cluster(&self, names: &Names, earlier: &Self) -> ClusterView {
        let mut view = ClusterView { pods: earlier.pods(), ..ClusterView::default() };
        for volume in self.volumes.iter().filter(|volume| self.has_pv(volume.ix)) {
            let ix = volume.ix;
            let claimed = [self, earlier].map(|state| state.volumes[usize::from(ix)].pod.is_some());
            let (claimed, believed) = (claimed.contains(&true), volume.believed);
            if !claimed && believed.is_none() {
                continue;
            }
            let name = ClaimName { namespace: NAMESPACE.to_owned(), name: format!("data-{ix}") };
            let elsewhere = volume.has(Reason::ZoneMismatch);
            let zone = if elsewhere { &names.other_zone } else { &names.zone };
            view.persistent_volumes.push(PersistentVolume {
                name: pv(ix),
                claim: Some(name.clone()),
                ebs: (!self.is_export(ix)).then(|| names.volumes[usize::from(ix)].clone()),
                read_only: false,
                zones: Vec::from([zone.clone()]),
            });
            if claimed {
                view.claims.push(Claim { name, volume: Some(pv(ix)) });
            }
            view.attachments.extend(believed.map(|attached| VolumeAttachment {
                name: format!("csi-{ix}"),
                volume: pv(ix),
                attached,
                failing: volume.has(Reason::AttachmentFailing),
            }));
        }
        view
    }

    fn pods(&self) -> Vec<Pod> {
        let pod = |volume: &Volume| {
            let pod = volume.pod?;
            let claim = PodClaim { claim: format!("data-{}", volume.ix), read_only: pod.reader };
            Some(Pod {
                uid: volume.uid(pod.lifecycle),
                namespace: NAMESPACE.to_owned(),
                name: format!("redis-{}", volume.ix),
                ending: pod.ending,
                claims: Vec::from([claim]),
            })
        };
        self.volumes.iter().filter_map(pod).collect()
    }

    /// The disks.
    pub fn devices(&self, names: &Names) -> Vec<BlockDevice> {
        self.volumes.iter().filter_map(|volume| self.device(volume, names)).collect()
    }

    fn device(&self, volume: &Volume, names: &Names) -> Option<BlockDevice> {
        volume.visible_slot()?;
        let name = self.device_name(volume)?;
        let nitro = !self.shape.xen;
        let id = names.volumes[usize::from(volume.ix)].as_str().replace('-', "");
        let readable = nitro && !volume.has(Reason::SerialUnreadable);
        let wrong = nitro && volume.has(Reason::LinkMismatch);
        let link = "nvme-Amazon_Elastic_Block_Store_vol000000000000000ff".to_owned();
        let number = self.number(volume);
        let part = Partition {
            name: format!("{name}{}", if nitro { "p1" } else { "1" }),
            number: DeviceNumber { minor: number.minor + 1, ..number },
        };
        Some(BlockDevice {
            name,
            number,
            bytes: bytes(volume.ix),
            read_only: false,
            model: nitro.then(|| "Amazon Elastic Block Store".to_owned()),
            serial: readable.then_some(id),
            partitions: if volume.ix == 0 { Vec::from([part]) } else { Vec::new() },
            below: Vec::new(),
            links: if wrong { Vec::from([link]) } else { Vec::new() },
        })
    }

    /// The mounts, in the kernel's order.
    pub fn mounts(&self, names: &Names) -> Vec<Mount> {
        let mount = |device, point: String, source: &str| Mount {
            device,
            root: "/".to_owned(),
            point,
            fstype: "ext4".to_owned(),
            source: source.to_owned(),
            read_only: false,
            filesystem_read_only: false,
        };
        let root = self.number(&self.volumes[0]);
        let root = DeviceNumber { minor: root.minor + 1, ..root };
        let proc = DeviceNumber { major: 0, minor: 30 };
        let overlay = DeviceNumber { major: 0, minor: 51 };
        let mut all = Vec::from([
            mount(root, "/".to_owned(), "/dev/root"),
            Mount { fstype: "proc".to_owned(), ..mount(proc, "/proc".to_owned(), "proc") },
            Mount {
                fstype: "overlay".to_owned(),
                ..mount(overlay, "/run/containerd/x/rootfs".to_owned(), "overlay")
            },
        ]);
        for volume in &self.volumes {
            let device = self.number(volume);
            let export = self.is_export(volume.ix);
            let source = if export { "nfs:/export" } else { "/dev/disk" };
            let refuses = volume.frozen || volume.has(Reason::ReadOnly);
            let own = |point: String| Mount {
                fstype: if export { "nfs4" } else { "ext4" }.to_owned(),
                filesystem_read_only: refuses,
                read_only: volume.frozen,
                ..mount(device, point, source)
            };
            let id = &names.volumes[usize::from(volume.ix)];
            if volume.staged {
                let global = format!("{KUBELET}/plugins/kubernetes.io/csi/ebs/{id}/globalmount");
                all.push(own(global));
            }
            if let Some(lifecycle) = volume.mounted {
                let (kind, end) = if export { ("nfs", "") } else { ("csi", "/mount") };
                let pod = format!("{KUBELET}/pods/{}", volume.uid(lifecycle));
                let name = pv(volume.ix);
                all.push(own(format!("{pod}/volumes/kubernetes.io~{kind}/{name}{end}")));
                let part = own(format!("{pod}/volume-subpaths/{name}/redis/0"));
                all.push(Mount { root: "/data".to_owned(), ..part });
            }
        }
        all
    }
}

/// A view of the kernel, with its faults.
#[derive(Debug)]
pub struct Kernel<'a> {
    /// The ground truth.
    pub state: &'a State,
    /// The names.
    pub names: &'a Names,
    /// The devices cannot be read: the read hangs, or is refused.
    pub devices: Option<VolumesKind>,
    /// The mounts cannot be read.
    pub mounts: Option<VolumesKind>,
    /// Filesystems with these bits do not report their space.
    pub refusing: u64,
    /// Noise in the reported space, in thousandths.
    pub noise: u64,
}

fn failure(kind: VolumesKind) -> VolumesFailure {
    VolumesFailure { kind, detail: format!("{kind:?}") }
}

impl Volumes for Kernel<'_> {
    async fn devices(&self) -> Result<Vec<BlockDevice>, VolumesFailure> {
        self.devices.map_or_else(|| Ok(self.state.devices(self.names)), |kind| Err(failure(kind)))
    }

    async fn mounts(&self) -> Result<Vec<Mount>, VolumesFailure> {
        self.mounts.map_or_else(|| Ok(self.state.mounts(self.names)), |kind| Err(failure(kind)))
    }

    async fn space(&self, mount: &Mount) -> Result<Usage, VolumesFailure> {
        let at = owner(&mount.point, self.names).map(usize::from);
        let Some(volume) = at.and_then(|at| self.state.volumes.get(at)) else {
            return Err(failure(VolumesKind::Gone));
        };
        if volume.has(Reason::NotResponding) {
            return Err(failure(VolumesKind::NotResponding));
        }
        if (self.refusing >> volume.ix) & 1 == 1 {
            return Err(failure(VolumesKind::Refused));
        }
        let free = |total: u64, used: u8| {
            let free = total / 100 * u64::from(100 - used.min(100));
            // The noise is below what the table shows, and never crosses the threshold of a full
            // filesystem.
            Amount { total, free: free - (total / 100_000 * self.noise).min(free) }
        };
        let (bytes_used, inodes_used) = volume.used;
        Ok(Usage { bytes: free(bytes(volume.ix), bytes_used), inodes: free(INODES, inodes_used) })
    }

    async fn changed(&self, _within: Duration) -> Result<Change, VolumesFailure> {
        Ok(Change::Nothing)
    }
}

/// Whether a state in EC2 is one of these.
pub fn is_here(ec2: Ec2, wanted: AttachmentState) -> bool {
    matches!(ec2, Ec2::Here(state, _) if state == wanted)
}
