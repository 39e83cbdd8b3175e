//! The facts about a StatefulSet, its pods and its members' addresses.

use std::collections::BTreeMap;

use clap::ValueEnum;
use firecamp_core::ids::SetName;
use firecamp_core::ports::Controller;
use firecamp_kube::{ObservedPod, ObservedSet};
use firecamp_registry::api::AttachmentState;
use serde::Serialize;

use crate::common::command_result::UnreadableObject;

/// The state to wait for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Serialize)]
pub enum Want {
    /// No pod of the StatefulSet exists, and no address of its members is attached
    Released,
    /// Each replica has a live pod to which its member's address is attached
    Attached,
}

impl Want {
    /// The text in messages.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Released => "released",
            Self::Attached => "attached",
        }
    }
}

/// The result of one poll.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Facts {
    /// The namespace of the StatefulSet.
    pub namespace: String,
    /// Its name.
    pub set: SetName,
    /// Its object, if it exists.
    pub object: Option<ObservedSet>,
    /// All pods of the namespace.
    pub pods: Vec<ObservedPod>,
    /// All addresses of the namespace's members.
    pub addresses: Vec<Address>,
    /// The StatefulSet to which each claim of the namespace is bound.
    pub bound: BTreeMap<String, Option<String>>,
    /// StaticIPs that could not be read, each with its member if that could be read.
    pub unread: Vec<(Option<String>, UnreadableObject)>,
}

/// An address, from its StaticIP.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Address {
    /// The address.
    pub address: String,
    /// The name of the member.
    pub member: String,
    /// Who holds it, or held it last.
    pub holder: Option<Holder>,
    /// When the object was last written, if known.
    pub written: Option<String>,
}

/// Who holds an address, or held it last.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Holder {
    /// The state of its attachment.
    pub state: AttachmentState,
    /// The UID of the pod.
    pub pod_uid: String,
    /// The node.
    pub node: String,
}

impl Facts {
    /// NAMESPACE/NAME.
    pub fn label(&self) -> String {
        format!("{}/{}", self.namespace, self.set)
    }

    /// Whether a name is a pod name of the StatefulSet: its name, a hyphen and a number.
    pub fn is_member(&self, name: &str) -> bool {
        let number = name.strip_prefix(self.set.as_str()).and_then(|rest| rest.strip_prefix('-'));
        number.is_some_and(|text| text.parse::<u32>().is_ok_and(|n| n.to_string() == text))
    }

    /// Whether a pod belongs to the StatefulSet: the StatefulSet controls it; or it has no
    /// controller, a pod name of the StatefulSet, and a claim or label that does not contradict. A
    /// claim that is bound to another StatefulSet contradicts.
    pub fn has_pod(&self, pod: &ObservedPod) -> bool {
        match &pod.controller {
            Some(Controller::StatefulSet(name)) => *name == self.set,
            Some(Controller::Other(_)) => false,
            None if !self.is_member(&pod.name) => false,
            None => match self.bound.get(&pod.name) {
                Some(Some(set)) => set == self.set.as_str(),
                Some(None) => true,
                None => pod.made_by_set,
            },
        }
    }

    /// Whether an address belongs to a member of the StatefulSet, according to names and claims.
    pub fn has_address(&self, address: &Address) -> bool {
        let other = |set: &Option<String>| set.as_ref().is_some_and(|it| it != self.set.as_str());
        self.is_member(&address.member) && !self.bound.get(&address.member).is_some_and(other)
    }
}
