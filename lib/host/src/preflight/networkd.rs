//! The configuration of systemd-networkd.

use std::collections::BTreeMap;
use std::path::Path;

use super::systemd_config::{boolean, setting};
use super::{NodeFiles, names};
use firecamp_node::preflight::facts::{LinkPolicy, Networkd};

/// Where systemd looks for configuration, in order of precedence.
const DIRS: [&str; 4] =
    ["/etc/systemd", "/run/systemd", "/usr/local/lib/systemd", "/usr/lib/systemd"];
/// Exists while networkd runs.
const RUNS: &str = "/run/systemd/netif/state";
const MAIN: &str = "networkd.conf";
const SECTION: &str = "Network";

impl NodeFiles {
    pub(super) fn networkd(&self) -> Result<Option<Networkd>, String> {
        self.mounted(&["/run/systemd"])?;
        if !self.at(RUNS).exists() {
            return Ok(None);
        }
        self.mounted(&DIRS)?;
        let manages = |key: &str| -> Result<bool, String> {
            let mut manages = true;
            for text in self.layers(MAIN)? {
                manages = setting(&text, SECTION, key).and_then(boolean).unwrap_or(manages);
            }
            Ok(manages)
        };
        Ok(Some(Networkd {
            manages_routes: manages("ManageForeignRoutes")?,
            manages_rules: manages("ManageForeignRoutingPolicyRules")?,
        }))
    }

    /// The policy for the link with this index.
    pub(super) fn link_policy(&self, index: &str) -> Result<LinkPolicy, String> {
        let Some(state) = self.text(&format!("/run/systemd/netif/links/{index}"))? else {
            return Ok(LinkPolicy::Unmanaged);
        };
        let value = |key: &str| setting(&state, "", key);
        if value("ADMIN_STATE") == Some("unmanaged") {
            return Ok(LinkPolicy::Unmanaged);
        }
        let Some(file) = value("NETWORK_FILE").filter(|file| !file.is_empty()) else {
            return Ok(LinkPolicy::Unmanaged);
        };
        let mut keeps = false;
        let name = file.rsplit('/').next().unwrap_or(file);
        let own = self.text(file)?;
        for text in own.into_iter().chain(self.drop_ins(&format!("network/{name}.d"))?) {
            if let Some(kept) = setting(&text, SECTION, "KeepConfiguration") {
                keeps = kept.eq_ignore_ascii_case("static") || boolean(kept) == Some(true);
            }
        }
        let file = file.to_owned();
        Ok(if keeps { LinkPolicy::Keeps(file) } else { LinkPolicy::Drops(file) })
    }

    /// The first main file that exists, then its drop-ins; later ones override.
    fn layers(&self, name: &str) -> Result<Vec<String>, String> {
        let mut found = Vec::new();
        for dir in DIRS {
            if let Some(text) = self.text(&format!("{dir}/{name}"))? {
                found.push(text);
                break;
            }
        }
        found.extend(self.drop_ins(&format!("{name}.d"))?);
        Ok(found)
    }

    /// The drop-ins sorted by name; of several with one name, the one with the highest precedence.
    fn drop_ins(&self, below: &str) -> Result<Vec<String>, String> {
        let mut by_name: BTreeMap<String, String> = BTreeMap::new();
        for dir in DIRS {
            let path = format!("{dir}/{below}");
            let there =
                names(&self.at(&path)).map_err(|why| format!("failed to list {path}: {why}"))?;
            let is_drop_in = |name: &String| Path::new(name).extension() == Some("conf".as_ref());
            for name in there.into_iter().filter(is_drop_in) {
                let path = format!("{path}/{name}");
                by_name.entry(name).or_insert(path);
            }
        }
        let texts = by_name.values().map(|path| self.text(path));
        Ok(texts.collect::<Result<Vec<_>, _>>()?.into_iter().flatten().collect())
    }
}
