//! The configuration of containers and agent, parsed into the core's types.

mod agent;
mod init;
mod log;
mod stop;
#[cfg(test)]
mod tests;

use std::ffi::OsString;
use std::path::PathBuf;

use firecamp_core::contract::env;
use firecamp_core::ids::{ClusterName, InvalidId, Member, NodeName, PodUid};
use firecamp_registry::registry_url::{self, RegistryUrl};

pub use self::agent::AgentConfig;
pub use self::init::{InitConfig, Output};
pub use self::log::{LogConfig, LogFormat};
pub use self::stop::StopConfig;
use crate::config_errors::{Faults, Setting, escaped};
use crate::flags::{IdentityFlags, RegistryFlags};
use crate::parse::{self, invalid};
use crate::pod_identity::Surroundings;

/// How a pod template passes the pod's UID to its containers.
const DOWNWARD_API: &str = "
    env:
      - name: POD_UID
        valueFrom:
          fieldRef:
            fieldPath: metadata.uid";

/// Who a process acts for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// The member.
    pub member: Member,
    /// Its pod.
    pub pod: PodUid,
    /// The node that the pod runs on.
    pub node: NodeName,
}

/// The registry and the lock directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Places {
    /// The registry.
    pub registry: RegistryUrl,
    /// Directory of the node-local locks.
    pub run_dir: PathBuf,
}

fn identity(flags: &IdentityFlags, around: &Surroundings, faults: &mut Faults) -> Option<Identity> {
    let namespace = Setting::new("namespace", env::K8S_NAMESPACE, flags.namespace.as_ref());
    let name = Setting::new("member-name", env::POD_NAME, flags.member_name.as_ref());
    let namespace = faults.required(namespace, |text| {
        Member::new(text, "any").map(|member| member.namespace().to_owned())
    });
    let name = faults
        .required(name, |text| Member::new("any", text).map(|member| member.name().to_owned()));
    let pod = pod(flags, around, faults);
    let node = node(flags.node_name.as_ref(), around, faults);
    let member = Member::new(&namespace?, &name?).map_err(|why| faults.add(why.to_string())).ok();
    if let Some(orphaned) = member.as_ref().filter(|member| member.is_orphaned()) {
        let namespace = orphaned.namespace();
        faults.add(format!(
            "namespace {namespace} cannot have members: it is reserved for orphaned addresses"
        ));
    }
    Some(Identity { member: member?, pod: pod?, node: node? })
}

fn pod(flags: &IdentityFlags, around: &Surroundings, faults: &mut Faults) -> Option<PodUid> {
    let setting = Setting::new("pod-uid", env::POD_UID, flags.pod_uid.as_ref());
    if !setting.given() {
        if let Some(found) = &around.pod_uid {
            return Some(found.clone());
        }
        faults.add(format!(
            "{setting} is missing, and no kubelet mount has it; add to the container:{DOWNWARD_API}"
        ));
    }
    faults.optional(setting, PodUid::new)
}

fn node(name: Option<&OsString>, around: &Surroundings, faults: &mut Faults) -> Option<NodeName> {
    let setting = Setting::new("node-name", env::NODE_NAME, name);
    if !setting.given() {
        if let Some(found) = around.node_name() {
            return Some(found);
        }
        let hostname = escaped(around.hostname.as_deref().unwrap_or_default());
        faults.add(format!(
            "{setting} is missing, and the host name {hostname} is not a valid node name"
        ));
    }
    faults.optional(setting, NodeName::new)
}

fn cluster(name: Option<&OsString>) -> Setting<'_> {
    Setting::new("cluster", env::CLUSTER, name)
}

fn service(flags: &IdentityFlags) -> Setting<'_> {
    Setting::new("service-name", env::SERVICE_NAME, flags.service_name.as_ref())
}

fn service_name(text: &str) -> Result<String, parse::InvalidSetting> {
    let label = Member::new(text, "any").map(|member| member.namespace().to_owned());
    label.map_err(|_source| invalid("a service name", "an RFC 1123 label", text))
}

/// Checks that the member is named SERVICE-ORDINAL, like the pods of a StatefulSet. Otherwise the
/// pod belongs to another service, or two variables are swapped.
fn member_of_service(member: &Member, service: &str, faults: &mut Faults) {
    let ordinal = member.name().strip_prefix(service).and_then(|rest| rest.strip_prefix('-'));
    let is_ordinal = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    if !ordinal.is_some_and(is_ordinal) {
        faults.add(format!(
            "--member-name (or {}): {:?} is not a member of the service {service:?}, whose members \
             are {service}-0, {service}-1, …",
            env::POD_NAME,
            member.name(),
        ));
    }
}

fn places(flags: &RegistryFlags, around: &Surroundings, faults: &mut Faults) -> Option<Places> {
    let kind = Setting::new("dbtype", env::DB_TYPE, flags.dbtype.as_ref());
    let kind = faults.optional(kind, registry_type);
    let url = Setting::new("registry", env::REGISTRY, flags.registry.as_ref());
    let registry = if url.given() {
        faults.optional(url, registry_url::parse)
    } else {
        // The only accepted type is the Kubernetes API.
        let chosen = kind.map(|()| registry_url::default(around.in_cluster));
        let missing = |why| faults.add(format!("{url} is missing: {why}"));
        chosen.and_then(|chosen| chosen.map_err(missing).ok())
    };
    let run_dir = Setting::new("run-dir", env::RUN_DIR, flags.run_dir.as_ref());
    let run_dir = faults.required(run_dir, parse::absolute_path);
    Some(Places { registry: registry?, run_dir: run_dir? })
}

/// Parses the original's registry type. Only the Kubernetes API is supported.
fn registry_type(text: &str) -> Result<(), String> {
    match text {
        "k8sdb" => Ok(()),
        "clouddb" => Err("clouddb (DynamoDB), a registry of the original FireCamp, is not \
                          supported: use k8sdb"
            .to_owned()),
        other => Err(format!("{} is not a type of registry: expected k8sdb", escaped(other))),
    }
}

fn cluster_name(text: &str) -> Result<ClusterName, InvalidId> {
    ClusterName::new(text)
}
