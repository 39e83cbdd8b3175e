//! What a process can find out about its pod locally.

use std::path::Path;

use firecamp_core::contract::{env, path};
use firecamp_core::ids::{NodeName, PodUid};
use procfs::FromRead;
use procfs::process::{MountInfos, Process};

/// The environment of the process. Read once, at the start.
#[derive(Debug, Clone, Default)]
pub struct Surroundings {
    /// The host name; with hostNetwork it is the node's.
    pub hostname: Option<String>,
    /// The pod's UID, from the kubelet's mounts.
    pub pod_uid: Option<PodUid>,
    /// Whether the process runs in a cluster: the kubelet sets the address of the API server.
    pub in_cluster: bool,
}

impl Surroundings {
    /// Reads the environment of this process.
    pub fn read() -> Self {
        let mounts = Process::myself().and_then(|myself| myself.mountinfo());
        let hostname = std::fs::read_to_string("/proc/sys/kernel/hostname").ok();
        Self {
            hostname: hostname.map(|name| name.trim_end_matches('\n').to_owned()),
            pod_uid: mounts.ok().as_ref().and_then(pod_uid),
            in_cluster: std::env::var_os(env::KUBERNETES_SERVICE_HOST)
                .is_some_and(|host| !host.is_empty()),
        }
    }

    /// The default node name of a kubelet: the host name in lower case.
    pub(crate) fn node_name(&self) -> Option<NodeName> {
        self.hostname.as_deref().and_then(|name| NodeName::new(&name.to_lowercase()).ok())
    }

    /// Parses the text of a `/proc/PID/mountinfo`.
    pub fn from_mountinfo(text: &str) -> Self {
        let mounts = MountInfos::from_read(text.as_bytes()).ok();
        Self { pod_uid: mounts.as_ref().and_then(pod_uid), ..Self::default() }
    }
}

/// The kubelet mounts `/etc/hosts` of every container from `…/pods/UID/etc-hosts`, and its
/// termination log from `…/pods/UID/containers/…`. `None` if the mounts contradict each other.
fn pod_uid(mounts: &MountInfos) -> Option<PodUid> {
    let files = ["/etc/hosts", path::TERMINATION_LOG].map(Path::new);
    let mut uids = mounts
        .iter()
        .filter(|mount| files.contains(&mount.mount_point.as_path()))
        .filter_map(|mount| uid_in(&mount.root))
        .collect::<Vec<_>>();
    uids.dedup();
    match uids.as_slice() {
        [uid] => Some(uid.clone()),
        [] | [_, ..] => None,
    }
}

fn uid_in(root: &str) -> Option<PodUid> {
    let mut parts = root.split('/').skip_while(|part| *part != "pods");
    let uid = parts.nth(1)?;
    let what = parts.next()?;
    matches!(what, "etc-hosts" | "containers").then(|| PodUid::new(uid).ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROOT: &str = "700 600 0:50 / / rw,relatime - overlay overlay rw,lowerdir=/l\n";
    const UID: &str = "7d0f3b5e-1f2a-4c8e-9f43-0b6f3d8a1c22";

    fn discovered(mounts: &[(&str, &str)]) -> Option<String> {
        let mut text = ROOT.to_owned();
        for (index, (root, point)) in mounts.iter().enumerate() {
            let line =
                format!("{} 700 259:1 {root} {point} rw - ext4 /dev/nvme0n1p1 rw\n", 701 + index);
            text.push_str(&line);
        }
        Surroundings::from_mountinfo(&text).pod_uid.map(|uid| uid.to_string())
    }

    #[test]
    fn pod_uid_is_read_from_the_mount_of_etc_hosts() {
        let root = format!("/var/lib/kubelet/pods/{UID}/etc-hosts");
        assert_eq!(discovered(&[(&root, "/etc/hosts")]).as_deref(), Some(UID));
    }

    #[test]
    fn a_kubelet_directory_on_a_separate_filesystem_is_supported() {
        let hosts = format!("/pods/{UID}/etc-hosts");
        let log = format!("/pods/{UID}/containers/memberinit-redis/1a2b3c4d");
        let mounts = [(hosts.as_str(), "/etc/hosts"), (&log, "/dev/termination-log")];
        assert_eq!(discovered(&mounts).as_deref(), Some(UID));
    }

    #[test]
    fn contradictory_or_unrelated_mounts_are_ignored() {
        let one = "/pods/aaaa/etc-hosts";
        let other = "/pods/bbbb/containers/x/y";
        assert_eq!(discovered(&[(one, "/etc/hosts"), (other, "/dev/termination-log")]), None);
        assert_eq!(discovered(&[("/var/lib/docker/containers/x/hosts", "/etc/hosts")]), None);
        assert_eq!(discovered(&[("/pods/aaaa/volumes/x", "/etc/hosts")]), None);
        assert_eq!(discovered(&[(one, "/somewhere/etc/hosts")]), None);
        assert_eq!(Surroundings::from_mountinfo("garbage\n").pod_uid, None);
    }

    #[test]
    fn the_node_name_is_the_valid_host_name_in_lower_case() {
        let named =
            |name: &str| Surroundings { hostname: Some(name.into()), ..Surroundings::default() };
        let node = named("IP-10-0-0-1.Ec2.internal").node_name().unwrap();
        assert_eq!(node.as_str(), "ip-10-0-0-1.ec2.internal");
        assert_eq!(named("under_score").node_name(), None);
    }
}
