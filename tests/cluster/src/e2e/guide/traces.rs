//! What an installation leaves in a cluster and on its nodes.

use std::collections::BTreeSet;
use std::net::Ipv4Addr;

use serde_json::Value;

use crate::Outcome;
use crate::e2e::processes::output_of;
use crate::e2e::test_cluster::{ADDRESSES, CLAIMS, TestCluster, ensure, text};
use crate::topology::WORKERS;

impl TestCluster<'_> {
    /// Checks a release that the first block below "Remove" has waited for.
    pub(super) async fn verify_released(&self, node: &str, address: Ipv4Addr) -> Outcome {
        let object = self.admin.get(&format!("{ADDRESSES}/{address}")).await?;
        let state = &object["spec"]["attachment"]["state"];
        ensure(state == "Parked", || {
            format!("{address} of a deleted member is not parked: {object}")
        })?;
        ensure(!self.in_kernel(node, address)?, || {
            format!("{address} is still in the kernel of {node}")
        })?;
        let claim = self.admin.get(&format!("{CLAIMS}/redis-0")).await?;
        ensure(claim.is_object(), || "the claim of redis-0 is gone too early".to_owned())
    }

    /// Checks that [`Self::node_state`] finds a member's address and containers.
    pub(super) fn verify_visible(&self, node: &str, address: Ipv4Addr) -> Outcome {
        let all = self.node_state()?;
        let own = format!("{node}: ");
        let seen = |what: &str| all.iter().any(|one| one.starts_with(&own) && one.contains(what));
        // The member has a network of its own.
        let parts = [
            format!(": {address} dev "),
            format!(" to {address} lookup"),
            format!("from {address} to "),
        ];
        let kernel = parts.iter().all(|part| seen(part));
        let processes = all.iter().any(|one| one.starts_with("process "));
        ensure(kernel && processes, || format!("{address} on {node} is not in {all:?}"))
    }

    /// Addresses, routes, rules and permanent neighbours of all nodes, and FireCamp's processes.
    fn node_state(&self) -> Outcome<BTreeSet<String>> {
        let looks: [&[&str]; 4] = [
            &["-o", "-4", "address", "show"],
            &["-4", "route", "show", "table", "all"],
            &["-4", "rule", "show"],
            &["-4", "neigh", "show", "nud", "permanent"],
        ];
        let mut found = BTreeSet::new();
        for worker in WORKERS {
            for look in looks {
                let shown = output_of(self.running.on(worker.name, "ip")?.args(look))?;
                let node = worker.name;
                found.extend(shown.lines().map(|line| format!("{node}: {look:?}: {line}")));
            }
        }
        let ours = self.contained("cmdline", "firecamp-");
        found.extend(ours.into_iter().map(|process| format!("process {process}")));
        Ok(found)
    }

    /// All objects and node state that belong to FireCamp or contain its name.
    pub(super) async fn find_traces(&self) -> Outcome<BTreeSet<String>> {
        let kinds = self.admin.kubectl(&["api-resources", "--verbs=list", "-o", "name"]).await?;
        let kinds: Vec<&str> = kinds.lines().filter(|kind| !kind.starts_with("events")).collect();
        let names = ["get", &kinds.join(","), "-A", "--ignore-not-found", "-o", "name"];
        let names = self.admin.kubectl(&names).await?;
        let mut found = self.node_state()?;
        found.extend(names.lines().filter(|name| name.contains("firecamp")).map(str::to_owned));
        let nodes = self.admin.get("/api/v1/nodes").await?;
        for node in nodes["items"].as_array().into_iter().flatten() {
            let mut kept = node.clone();
            kept["metadata"]["managedFields"] = Value::Null;
            kept["status"]["images"] = Value::Null;
            if kept.to_string().contains("firecamp") {
                found.insert(format!("node/{}: {kept}", text(&node["metadata"]["name"])));
            }
        }
        Ok(found)
    }
}
