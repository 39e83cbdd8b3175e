//! Other software that configures interfaces: the VPC CNI and amazon-ec2-net-utils.

use super::{NodeFiles, names};

/// Where container runtimes look for the CNI's configuration.
const CONFIG: &str = "/etc/cni/net.d";
/// The VPC CNI's plugin, as its configuration names it.
const PLUGIN: &str = "\"aws-cni\"";

/// Where udev looks for rules, in order of precedence.
const UDEV: [&str; 5] = [
    "/etc/udev/rules.d",
    "/run/udev/rules.d",
    "/usr/local/lib/udev/rules.d",
    "/usr/lib/udev/rules.d",
    "/lib/udev/rules.d",
];
/// The rules of amazon-ec2-net-utils 2.x and 1.x.
const RULES: [&str; 2] = ["99-vpc-policy-routes.rules", "53-ec2-network-interfaces.rules"];

impl NodeFiles {
    /// The configuration that names the VPC CNI, even if it is not the first one: its daemon runs
    /// in any case.
    pub(super) fn vpc_cni(&self) -> Result<Option<String>, String> {
        self.mounted(&[CONFIG])?;
        let files =
            names(&self.at(CONFIG)).map_err(|why| format!("failed to list {CONFIG}: {why}"))?;
        for name in files {
            let path = format!("{CONFIG}/{name}");
            if !self.at(&path).is_file() {
                continue;
            }
            if self.text(&path)?.is_some_and(|text| text.contains(PLUGIN)) {
                return Ok(Some(path));
            }
        }
        Ok(None)
    }

    /// The active udev rule: the first one of each name, unless it is masked (empty or a link to
    /// `/dev/null`).
    pub(super) fn net_utils(&self) -> Result<Option<String>, String> {
        self.mounted(&UDEV)?;
        for rule in RULES {
            let candidates = UDEV.iter().map(|dir| format!("{dir}/{rule}"));
            let first = candidates.into_iter().find(|path| {
                // A symbolic link counts even if its target does not exist below this root.
                std::fs::symlink_metadata(self.at(path)).is_ok()
            });
            let Some(path) = first else { continue };
            let target = std::fs::read_link(self.at(&path)).ok();
            let masked = target.is_some_and(|target| target.as_os_str() == "/dev/null");
            if !masked && self.text(&path)?.is_some_and(|text| !text.trim().is_empty()) {
                return Ok(Some(path));
            }
        }
        Ok(None)
    }
}
