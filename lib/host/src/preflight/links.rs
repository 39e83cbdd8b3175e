//! The kernel's links, read from sysfs.

use firecamp_core::ids::Mac;

use super::{NodeFiles, names};
use firecamp_node::preflight::facts::Link;

const NET: &str = "/sys/class/net";
const IFF_UP: u32 = 1;

impl NodeFiles {
    pub(super) fn links(&self) -> Result<Vec<Link>, String> {
        let found = names(&self.at(NET)).map_err(|why| format!("failed to list {NET}: {why}"))?;
        let links = found.into_iter().map(|name| self.link(name));
        Ok(links.collect::<Result<Vec<_>, _>>()?.into_iter().flatten().collect())
    }

    /// None without a MAC (a tunnel, or a link that has disappeared) and for a virtual link, which
    /// shows the MAC of the device below it.
    fn link(&self, name: String) -> Result<Option<Link>, String> {
        let value = |key: &str| -> Result<Option<String>, String> {
            let text = self.text(&format!("{NET}/{name}/{key}"))?;
            Ok(text.map(|text| text.trim().to_owned()))
        };
        let (Some(mac), Some(index), Some(flags)) =
            (value("address")?, value("ifindex")?, value("flags")?)
        else {
            return Ok(None);
        };
        let Ok(mac) = mac.parse::<Mac>() else { return Ok(None) };
        let virtual_kind = ["bridge", "bonding"].iter().any(|kind| {
            let path = format!("{NET}/{name}/{kind}");
            self.at(&path).is_dir()
        });
        if virtual_kind || value("uevent")?.is_some_and(|text| text.contains("DEVTYPE=vlan")) {
            return Ok(None);
        }
        let bits = u32::from_str_radix(flags.trim_start_matches("0x"), 16);
        let bits = bits.map_err(|why| format!("failed to parse the flags of {name}: {why}"))?;
        let networkd = self.link_policy(&index)?;
        Ok(Some(Link { name, mac, up: bits & IFF_UP != 0, networkd }))
    }
}
