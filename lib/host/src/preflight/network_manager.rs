//! Which links NetworkManager manages.

use std::collections::BTreeSet;

use super::systemd_config::{boolean, setting};
use super::{NodeFiles, names};

/// NetworkManager's state of each device, in a file named after the index of its link. It is
/// private data of NetworkManager; the directory beside it contains a socket, so only this one is
/// mounted.
const DEVICES: &str = "/run/NetworkManager/devices";
const SECTION: &str = "device";
const NET: &str = "/sys/class/net";

impl NodeFiles {
    /// The names of these links. NetworkManager deletes the files of devices that are gone, but
    /// only when it starts.
    pub(super) fn network_manager(&self) -> Result<BTreeSet<String>, String> {
        self.mounted(&[DEVICES])?;
        let files =
            names(&self.at(DEVICES)).map_err(|why| format!("failed to list {DEVICES}: {why}"))?;
        let mut managed = BTreeSet::new();
        for index in files {
            let Some(text) = self.text(&format!("{DEVICES}/{index}"))? else { continue };
            if setting(&text, SECTION, "managed").and_then(boolean) == Some(true) {
                managed.insert(index);
            }
        }
        if managed.is_empty() {
            return Ok(managed);
        }
        let links = names(&self.at(NET)).map_err(|why| format!("failed to list {NET}: {why}"))?;
        let mut found = BTreeSet::new();
        for link in links {
            let index = self.text(&format!("{NET}/{link}/ifindex"))?;
            if index.is_some_and(|index| managed.contains(index.trim())) {
                found.insert(link);
            }
        }
        Ok(found)
    }
}
