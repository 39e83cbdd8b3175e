//! Parses the pod and the volume from a mount point below the kubelet's directory.

use firecamp_core::ids::PodUid;

/// The default directory of the kubelet.
pub const KUBELET: &str = "/var/lib/kubelet";

/// Types of volumes that exist for one pod and hold no persistent data.
const EPHEMERAL: [&str; 6] = [
    "kubernetes.io~projected",
    "kubernetes.io~configmap",
    "kubernetes.io~secret",
    "kubernetes.io~downward-api",
    "kubernetes.io~empty-dir",
    "kubernetes.io~git-repo",
];
const LOCAL: &str = "kubernetes.io~local-volume";

/// The meaning of a mount point, from its path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// A volume of a pod.
    Pod(PodMount),
    /// A volume that exists for one pod and holds no persistent data.
    Ephemeral,
    /// The global mount from which the pods of this node get theirs.
    Global,
    /// Outside the kubelet's directories.
    Elsewhere,
}

/// A mount for a pod.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PodMount {
    /// The pod.
    pub pod: PodUid,
    /// The persistent volume, or the pod's name for a volume of its own.
    pub volume: String,
    /// How the pod gets it.
    pub how: How,
}

/// How a pod gets a volume.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum How {
    /// As a filesystem.
    Filesystem,
    /// As a directory of this node.
    Local,
    /// A subpath of it for one container.
    SubPath,
    /// As a device.
    Block,
}

/// Parses a mount point; `kubelet` is the kubelet's directory.
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
        // The kubelet names pod directories by UID, so this is no pod.
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
    fn a_subpath_and_a_raw_device_name_pod_and_volume() {
        assert_eq!(at("pods/UID/volume-subpaths/pvc-1/redis/0"), pod("pvc-1", How::SubPath));
        let devices = "plugins/kubernetes.io/csi/volumeDevices";
        assert_eq!(at(&format!("{devices}/publish/pvc-1/UID")), pod("pvc-1", How::Block));
        assert_eq!(at(&format!("{devices}/pvc-1/dev/UID")), pod("pvc-1", How::Block));
        assert_eq!(at(&format!("{devices}/staging/pvc-1")), Place::Global);
    }

    #[test]
    fn ephemeral_volumes_differ_from_persistent_ones() {
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
    fn other_mount_points_are_not_kubelets() {
        for path in ["/", "/data", "/var/lib/kubelet", "/var/lib/kubelets/pods/x/volumes/k/v"] {
            assert_eq!(place(path, KUBELET), Place::Elsewhere, "{path}");
        }
        assert_eq!(at("pods/not a uid/volumes/kubernetes.io~csi/x"), Place::Elsewhere);
        assert_eq!(at("pods/UID/volumes"), Place::Elsewhere);
    }

    #[test]
    fn a_custom_kubelet_directory_works_with_and_without_a_trailing_slash() {
        let path = format!("/opt/k/pods/{UID}/volumes/kubernetes.io~csi/pvc-1/mount");
        assert_eq!(place(&path, "/opt/k"), pod("pvc-1", How::Filesystem));
        assert_eq!(place(&path, "/opt/k/"), pod("pvc-1", How::Filesystem));
        assert_eq!(place(&path, KUBELET), Place::Elsewhere);
    }
}
