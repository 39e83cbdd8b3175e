//! What a mount point below kubelet's directory says of its pod and its volume.

use firecamp_core::ids::PodUid;

/// Where kubelet keeps its pods, unless it was told otherwise.
pub const KUBELET: &str = "/var/lib/kubelet";

/// Kinds of volumes that are made for one pod and hold nothing of their own.
const EPHEMERAL: [&str; 6] = [
    "kubernetes.io~projected",
    "kubernetes.io~configmap",
    "kubernetes.io~secret",
    "kubernetes.io~downward-api",
    "kubernetes.io~empty-dir",
    "kubernetes.io~git-repo",
];
const LOCAL: &str = "kubernetes.io~local-volume";

/// What a mount point is, by its path alone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// A volume of a pod.
    Pod(PodMount),
    /// A volume that is made for one pod and holds nothing of its own.
    Ephemeral,
    /// The one mount from which pods of this node get theirs.
    Global,
    /// Not kubelet's.
    Elsewhere,
}

/// A mount for a pod.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PodMount {
    /// The pod.
    pub pod: PodUid,
    /// The persistent volume, or the name that the pod gave to a volume of its own.
    pub volume: String,
    /// How it is given to the pod.
    pub how: How,
}

/// How a volume is given to a pod.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum How {
    /// As a filesystem.
    Filesystem,
    /// As a directory of this node.
    Local,
    /// A part of it for one container.
    SubPath,
    /// As a device.
    Block,
}

/// What the mount point is; `kubelet` is kubelet's directory.
pub fn place(point: &str, kubelet: &str) -> Place {
    let Some(inside) = below(point, kubelet) else { return Place::Elsewhere };
    let parts: Vec<&str> = inside.split('/').collect();
    match parts.as_slice() {
        ["pods", pod, "volumes", kind, name, ..] => in_pod(pod, kind, name),
        ["pods", pod, "volume-subpaths", name, _container, ..] => {
            pod_mount(pod, name, How::SubPath)
        }
        ["plugins", "kubernetes.io", "csi", "volumeDevices", "publish", name, pod]
        | ["plugins", "kubernetes.io", "csi", "volumeDevices", name, "dev", pod] => {
            pod_mount(pod, name, How::Block)
        }
        ["plugins", _plugin, _more, ..] => Place::Global,
        _other => Place::Elsewhere,
    }
}

fn below<'a>(point: &'a str, kubelet: &str) -> Option<&'a str> {
    point.strip_prefix(kubelet.trim_end_matches('/'))?.strip_prefix('/')
}

fn in_pod(pod: &str, kind: &str, name: &str) -> Place {
    if EPHEMERAL.contains(&kind) {
        return Place::Ephemeral;
    }
    pod_mount(pod, name, if kind == LOCAL { How::Local } else { How::Filesystem })
}

fn pod_mount(pod: &str, volume: &str, how: How) -> Place {
    match PodUid::new(pod) {
        Ok(pod) => Place::Pod(PodMount { pod, volume: volume.to_owned(), how }),
        // Kubelet names its directories by UIDs; whatever this is, it is not a pod.
        Err(_not_a_uid) => Place::Elsewhere,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const UID: &str = "0f1e2d3c-0000-4000-8000-00000000000a";

    fn pod(volume: &str, how: How) -> Place {
        Place::Pod(PodMount { pod: UID.parse().unwrap(), volume: volume.to_owned(), how })
    }

    fn at(path: &str) -> Place {
        place(&format!("/var/lib/kubelet/{}", path.replace("UID", UID)), KUBELET)
    }

    #[test]
    fn a_volume_of_a_pod_names_pod_and_volume_whatever_its_kind() {
        for kind in ["csi", "nfs", "iscsi", "glusterfs", "aws-ebs"] {
            let path = format!("pods/UID/volumes/kubernetes.io~{kind}/pvc-1");
            assert_eq!(at(&path), pod("pvc-1", How::Filesystem), "{kind}");
            assert_eq!(at(&format!("{path}/mount")), pod("pvc-1", How::Filesystem), "{kind}");
        }
        let local = at("pods/UID/volumes/kubernetes.io~local-volume/disk-1");
        assert_eq!(local, pod("disk-1", How::Local));
    }

    #[test]
    fn a_part_of_a_volume_and_a_raw_device_name_them_as_well() {
        assert_eq!(at("pods/UID/volume-subpaths/pvc-1/redis/0"), pod("pvc-1", How::SubPath));
        let devices = "plugins/kubernetes.io/csi/volumeDevices";
        assert_eq!(at(&format!("{devices}/publish/pvc-1/UID")), pod("pvc-1", How::Block));
        assert_eq!(at(&format!("{devices}/pvc-1/dev/UID")), pod("pvc-1", How::Block));
        assert_eq!(at(&format!("{devices}/staging/pvc-1")), Place::Global);
    }

    #[test]
    fn what_is_made_for_a_pod_alone_is_told_from_what_lasts() {
        for kind in ["projected", "configmap", "secret", "downward-api", "empty-dir"] {
            assert_eq!(at(&format!("pods/UID/volumes/kubernetes.io~{kind}/x")), Place::Ephemeral);
        }
    }

    #[test]
    fn the_mounts_for_all_pods_are_global() {
        assert_eq!(at("plugins/kubernetes.io/csi/ebs.csi.aws.com/0a1b/globalmount"), Place::Global);
        assert_eq!(at("plugins/kubernetes.io/csi/pv/pvc-1/globalmount"), Place::Global);
        let iscsi = "plugins/kubernetes.io/iscsi/iface-default/10.0.0.9:3260-iqn.x-lun-0";
        assert_eq!(at(iscsi), Place::Global);
    }

    #[test]
    fn everything_else_is_elsewhere() {
        for path in ["/", "/data", "/var/lib/kubelet", "/var/lib/kubelets/pods/x/volumes/k/v"] {
            assert_eq!(place(path, KUBELET), Place::Elsewhere, "{path}");
        }
        assert_eq!(at("pods/not a uid/volumes/kubernetes.io~csi/x"), Place::Elsewhere);
        assert_eq!(at("pods/UID/volumes"), Place::Elsewhere);
    }

    #[test]
    fn another_directory_of_kubelet_is_honoured_with_and_without_a_slash() {
        let path = format!("/opt/k/pods/{UID}/volumes/kubernetes.io~csi/pvc-1/mount");
        assert_eq!(place(&path, "/opt/k"), pod("pvc-1", How::Filesystem));
        assert_eq!(place(&path, "/opt/k/"), pod("pvc-1", How::Filesystem));
        assert_eq!(place(&path, KUBELET), Place::Elsewhere);
    }
}
