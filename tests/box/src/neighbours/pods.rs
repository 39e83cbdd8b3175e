//! The pods of a node, and the addresses that a neighbour assigns to them.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::{self, Write};
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::json;
use tokio::time::Instant;

use super::log;

/// The pods of a node.
#[derive(Debug)]
pub(super) struct Pods {
    /// The file with their number.
    file: PathBuf,
    pub(super) wanted: usize,
    assigned: BTreeSet<Ipv4Addr>,
    /// Addresses of pods that ended, and when.
    cooling: BTreeMap<Ipv4Addr, Instant>,
    /// How long such an address is not assigned again.
    cooldown: Duration,
    printed: String,
}

impl Pods {
    pub(super) fn new(file: &Path, cooldown: Duration) -> Self {
        Self {
            file: file.to_owned(),
            wanted: 0,
            assigned: BTreeSet::new(),
            cooling: BTreeMap::new(),
            cooldown,
            printed: String::new(),
        }
    }

    /// Reads how many pods there are and assigns an address to each, as far as there are some.
    /// Prints a line for each change.
    pub(super) fn update(&mut self, addresses: &BTreeSet<Ipv4Addr>) {
        if let Some(wanted) =
            fs::read_to_string(&self.file).ok().and_then(|it| it.trim().parse().ok())
        {
            self.wanted = wanted;
        }
        let now = Instant::now();
        self.cooling.retain(|_, since| now.duration_since(*since) < self.cooldown);
        // A running pod keeps its address even if EC2 has moved it away.
        while self.assigned.len() > self.wanted {
            let Some(address) = self.assigned.pop_last() else { break };
            self.cooling.insert(address, now);
        }
        for address in addresses {
            if self.assigned.len() < self.wanted && !self.cooling.contains_key(address) {
                self.assigned.insert(*address);
            }
        }
        self.print();
    }

    /// How many pods have an address.
    pub(super) fn count(&self) -> usize {
        self.assigned.len()
    }

    /// Whether a pod has one of these addresses, or had it recently.
    pub(super) fn use_any(&self, addresses: &BTreeSet<Ipv4Addr>) -> bool {
        addresses.iter().any(|one| self.assigned.contains(one) || self.cooling.contains_key(one))
    }

    fn print(&mut self) {
        let line = json!({ "wanted": self.wanted, "assigned": self.assigned }).to_string();
        if line != self.printed {
            let mut out = io::stdout();
            if let Err(error) = writeln!(out, "{line}").and_then(|()| out.flush()) {
                log("print the addresses of pods", &error);
            }
            self.printed = line;
        }
    }
}
