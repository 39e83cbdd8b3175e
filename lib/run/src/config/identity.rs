//! Whom a process acts for: its member, pod and node, by settings or by what its pod shows.

use std::ffi::OsString;

use firecamp_core::contract::env;
use firecamp_core::ids::{Member, NodeName, PodUid};

use crate::config_errors::{Faults, Setting, escaped};
use crate::flags::IdentityFlags;
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

/// All of it, with what is wrong added to the faults.
pub(super) fn read(
    flags: &IdentityFlags,
    around: &Surroundings,
    faults: &mut Faults,
) -> Option<Identity> {
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

pub(super) fn node(
    name: Option<&OsString>,
    around: &Surroundings,
    faults: &mut Faults,
) -> Option<NodeName> {
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

pub(super) fn service(flags: &IdentityFlags) -> Setting<'_> {
    Setting::new("service-name", env::SERVICE_NAME, flags.service_name.as_ref())
}

pub(super) fn service_name(text: &str) -> Result<String, parse::InvalidSetting> {
    let label = Member::new(text, "any").map(|member| member.namespace().to_owned());
    label.map_err(|_source| invalid("a service name", "an RFC 1123 label", text))
}

/// Checks that the member is named SERVICE-ORDINAL, like the pods of a StatefulSet. Otherwise the
/// pod belongs to another service, or two variables are swapped.
pub(super) fn member_of_service(member: &Member, service: &str, faults: &mut Faults) {
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
