//! Gathers the contents of a bundle. A failure is listed in the manifest and does not stop the
//! rest. Secrets are removed before a file is added, because truncation could cut one in half.

use std::fmt::Display;

use firecamp_core::agent::KernelOwner;
use firecamp_core::lock_rule::Hold;
use firecamp_host::{HostTimeouts, LinuxHost, Listing};
use firecamp_node::kernel::KernelSnapshot;
use firecamp_registry::api::{
    Kind, NodeAttachmentsSpec, NodeReport, StaticIPClaimSpec, StaticIPPoolSpec, StaticIPSpec,
};
use firecamp_run::redact::Redactor;
use jiff::Timestamp;
use serde_json::Value;

use super::BundleArguments;
use super::archive::Files;
use crate::common::agent_client::Agent;
use crate::common::progress;
use crate::common::registry_reader::{Cluster, RegistryReader};
use crate::doctor::finding::Role;
use crate::{doctor, node, status};

/// The pages of an agent, and their names in a bundle.
const PAGES: [(&str, &str); 5] = [
    ("/v1/node", "agent/node.json"),
    ("/metrics", "agent/metrics.txt"),
    ("/readyz", "agent/readyz.txt"),
    ("/livez", "agent/livez.txt"),
    ("/v1/log", "agent/log.txt"),
];

/// Limits of the list of missing items, so that the manifest stays short.
const MOST_LISTED: usize = 100;
const LONGEST_ENTRY: usize = 400;

/// An unfinished bundle.
#[derive(Debug)]
pub(super) struct Bundle {
    files: Files,
    /// What is missing, and why.
    missing: Vec<String>,
    redactor: Redactor,
    now: Timestamp,
}

impl Bundle {
    pub(super) fn new(files: Files, redactor: Redactor, now: Timestamp) -> Self {
        Self { files, missing: Vec::new(), redactor, now }
    }

    /// Adds a file. Its name must be a fixed name or the name of an object.
    pub(super) fn add(&mut self, name: impl Into<String>, text: &str) {
        self.files.add(name, self.redactor.text(text));
    }

    pub(super) fn missing(&mut self, what: &str, why: impl Display) {
        self.missing.push(self.redactor.text(&format!("{what}: {why}")));
    }

    /// The files, and what is missing.
    pub(super) fn finish(mut self) -> (Files, Vec<String>) {
        let mut missing = self.files.missing();
        let more = self.missing.len().saturating_sub(MOST_LISTED);
        let reported = self.missing.iter().take(MOST_LISTED);
        missing.extend(reported.map(|one| one.chars().take(LONGEST_ENTRY).collect()));
        if more > 0 {
            missing.push(format!("{more} more"));
        }
        self.files.close(manifest(&self.files, &missing, self.now));
        (self.files, missing)
    }

    /// Adds the data of the registry: members, findings, and all objects.
    pub(super) async fn registry(&mut self, reader: &RegistryReader) {
        match status::gather(reader).await {
            Ok(seen) => {
                let report = status::rows::report(&seen, reader.label());
                self.add("status.txt", &status::people(&report, None, self.now, true));
                self.json("status.json", &report);
            }
            Err(why) => self.missing("status", why.chain()),
        }
        match doctor::of(reader, Role::Viewer, self.now).await {
            Ok(diagnosis) => {
                self.add("doctor.txt", &diagnosis.people(true));
                self.json("doctor.json", &diagnosis);
            }
            Err(why) => self.missing("doctor", why.chain()),
        }
        match reader {
            RegistryReader::Cluster(cluster) => self.cluster(cluster).await,
            RegistryReader::File(files) => self.directory(files.dir()),
        }
    }

    pub(super) fn json(&mut self, name: &str, value: &impl serde::Serialize) {
        match serde_json::to_string_pretty(value) {
            Ok(text) => self.add(name, &text),
            Err(why) => self.missing(name, why),
        }
    }

    async fn cluster(&mut self, cluster: &Cluster) {
        self.objects::<StaticIPPoolSpec>(cluster).await;
        self.objects::<StaticIPSpec>(cluster).await;
        self.objects::<StaticIPClaimSpec>(cluster).await;
        for object in self.objects::<NodeAttachmentsSpec>(cluster).await {
            let read = serde_json::from_value(object);
            let Ok(object) = read else { continue };
            let report = NodeReport { object, observed: Vec::new() };
            let name = format!("nodes/{}.txt", report.object.metadata.name);
            self.add(name, &node::people(&report, true));
        }
        match cluster.inventory.version().await {
            Ok(version) => self.add("versions/api-server.txt", &version),
            Err(why) => self.missing("the version of the API server", why),
        }
    }

    async fn objects<S: Kind>(&mut self, cluster: &Cluster) -> Vec<Value> {
        let what = format!("list the objects of kind {}", S::KIND);
        match progress::during(&what, cluster.inventory.ours::<S>()).await {
            Ok(objects) => {
                let list = Value::Array(objects.clone());
                let text = self.redactor.object(&list);
                self.files.add(format!("objects/{}.json", S::PLURAL), text);
                objects
            }
            Err(why) => {
                self.missing(&format!("objects of kind {}", S::KIND), why);
                Vec::new()
            }
        }
    }

    /// Adds the files of a file registry.
    fn directory(&mut self, root: &std::path::Path) {
        let kinds = [StaticIPPoolSpec::PLURAL, StaticIPSpec::PLURAL, StaticIPClaimSpec::PLURAL];
        let mut open: Vec<std::path::PathBuf> = kinds.iter().map(|kind| root.join(kind)).collect();
        while let Some(dir) = open.pop() {
            let Ok(entries) = std::fs::read_dir(&dir) else { continue };
            for path in entries.filter_map(|entry| Some(entry.ok()?.path())) {
                let is_yaml = path.extension().is_some_and(|end| end == "yaml");
                if path.is_symlink() {
                    self.missing(&path.display().to_string(), "symbolic links are not followed");
                } else if path.is_dir() {
                    open.push(path);
                } else if is_yaml {
                    self.file(root, &path);
                }
            }
        }
    }

    fn file(&mut self, root: &std::path::Path, path: &std::path::Path) {
        let name = path.strip_prefix(root).unwrap_or(path).display().to_string();
        match std::fs::read_to_string(path) {
            Ok(text) => self.add(format!("objects/{name}"), &text),
            Err(why) => self.missing(&name, why),
        }
    }

    /// Adds the data of this node: its agent's pages, and its kernel state.
    pub(super) async fn node(&mut self, arguments: &BundleArguments, agent: &Agent) {
        for (page, name) in PAGES {
            match agent.page(page).await {
                Ok(bytes) => {
                    let text = match serde_json::from_slice::<Value>(&bytes) {
                        Ok(object) => self.redactor.object(&object),
                        Err(_no_object) => self.redactor.lines(&String::from_utf8_lossy(&bytes)),
                    };
                    self.files.add(name, text);
                }
                Err(why) => {
                    self.missing(&format!("the agent's {page}"), why.chain());
                }
            }
        }
        let host = LinuxHost::new(&arguments.run_dir, HostTimeouts::default());
        match host.kernel_snapshot().await {
            Ok(kernel_snapshot) => self.add("kernel/addresses.txt", &dump(&kernel_snapshot)),
            Err(why) => self.missing("FireCamp's addresses in the kernel", why),
        }
        match host.listing().await {
            Ok(Listing { links, rules, routes }) => {
                for (name, lines) in [("links", links), ("rules", rules), ("routes", routes)] {
                    self.add(format!("kernel/{name}.txt"), &(lines.join("\n") + "\n"));
                }
            }
            Err(why) => self.missing("links, rules and routes of the kernel", why),
        }
        match nix::sys::utsname::uname() {
            Ok(name) => {
                let text = format!(
                    "{} {} {}\n",
                    name.sysname().to_string_lossy(),
                    name.release().to_string_lossy(),
                    name.machine().to_string_lossy()
                );
                self.add("versions/kernel.txt", &text);
            }
            Err(why) => self.missing("the version of the kernel", why),
        }
    }
}

fn manifest(files: &Files, missing: &[String], now: Timestamp) -> String {
    let mut text = format!("Created at {now} by firecamp {}\n\n", env!("CARGO_PKG_VERSION"));
    for one in missing {
        text.extend([format!("not included: {one}\n")]);
    }
    if !missing.is_empty() {
        text.push('\n');
    }
    for (name, content) in files.iter() {
        text.extend([format!("{name}   {} bytes\n", content.len())]);
    }
    text
}

/// The static addresses on this node, and other addresses in their place.
fn dump(kernel_snapshot: &KernelSnapshot) -> String {
    let mut text = "In the kernel, as a /32 address or as the source of a rule:\n".to_owned();
    for (address, mark) in &kernel_snapshot.kernel {
        let owner = match mark {
            KernelOwner::Ours => "configured by FireCamp",
            KernelOwner::Foreign => "configured by another program",
        };
        text.extend([format!("{address}   {owner}\n")]);
    }
    text.push_str("\nLast holders in the node-local locks:\n");
    for (address, record) in &kernel_snapshot.locks {
        let what = match record.hold {
            Hold::Held => "holds",
            Hold::Released => "has released",
        };
        let holder = &record.holder;
        let words = format!("pod {} {what}, epoch {}", holder.pod, holder.epoch);
        text.extend([format!("{address}   {words}\n")]);
    }
    text
}
