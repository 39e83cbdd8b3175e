//! Other software that configures interfaces: CNI plugins and amazon-ec2-net-utils.

use std::path::Path;

use firecamp_node::preflight::facts::{Cni, CniPlugin};
use serde::Deserialize;

use super::{NodeFiles, names};

/// Where container runtimes look for the CNI's configuration.
const CONFIG: &str = "/etc/cni/net.d";
/// The VPC CNI's plugin, as its configuration names it.
const PLUGIN: &str = "\"aws-cni\"";
/// Plugins that assign pods no address of an interface of the node: those of the CNI project, and
/// networks with addresses of their own.
const HARMLESS: [&str; 15] = [
    "antrea",
    "bandwidth",
    "bridge",
    "calico",
    "firewall",
    "flannel",
    "loopback",
    "portmap",
    "ptp",
    "route-override",
    "sbr",
    "tuning",
    "vrf",
    "weave-net",
    "kube-router",
];

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
    /// The CNI plugin that may assign addresses of interfaces to pods. The VPC CNI counts even if
    /// its file is not the first one, because its daemon runs in any case.
    pub(super) fn cni(&self) -> Result<Option<Cni>, String> {
        self.mounted(&[CONFIG])?;
        let files =
            names(&self.at(CONFIG)).map_err(|why| format!("failed to list {CONFIG}: {why}"))?;
        let mut unknown = Ok(None);
        for name in files {
            let path = format!("{CONFIG}/{name}");
            if !self.at(&path).is_file() {
                continue;
            }
            let Some(text) = self.text(&path)? else { continue };
            if text.contains(PLUGIN) {
                return Ok(Some(Cni::vpc(&path)));
            }
            if matches!(unknown, Ok(None)) && is_configuration(&name) {
                let plugin = unknown_plugin(&text).map_err(|why| format!("{path}: {why}"));
                let of = |plugin| Cni { plugin: CniPlugin::Unknown(plugin), file: path };
                unknown = plugin.map(|plugin| plugin.map(of));
            }
        }
        unknown
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

/// A CNI configuration, as far as it names plugins (CNI specification, section 1).
#[derive(Deserialize)]
struct Configuration {
    r#type: Option<String>,
    #[serde(default)]
    plugins: Vec<Self>,
}

/// Whether a container runtime reads the file.
fn is_configuration(name: &str) -> bool {
    let extension = Path::new(name).extension().and_then(|extension| extension.to_str());
    matches!(extension, Some("conf" | "conflist" | "json"))
}

/// The first plugin that is not known to be harmless.
fn unknown_plugin(text: &str) -> Result<Option<String>, String> {
    let configuration: Configuration =
        serde_json::from_str(text).map_err(|why| format!("failed to parse it: {why}"))?;
    Ok(configuration.unknown())
}

impl Configuration {
    fn unknown(self) -> Option<String> {
        let own = self.r#type.filter(|name| !HARMLESS.contains(&name.as_str()));
        own.or_else(|| self.plugins.into_iter().find_map(Self::unknown))
    }
}
