//! What is known of a StatefulSet, its pods and its members' addresses.

use std::collections::BTreeMap;

use clap::ValueEnum;
use firecamp_core::ids::SetName;
use firecamp_core::outside::Controller;
use firecamp_kube::{PodSeen, SetSeen};
use firecamp_registry::api::AttachmentState;
use serde::Serialize;

use crate::look::outcome::Unread;

/// What is waited for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Serialize)]
pub enum Want {
    /// No pod object of the StatefulSet is left, and no address of its members is held
    Released,
    /// Each replica has a live pod, to which its member's address is attached
    Attached,
}

impl Want {
    /// As a sentence about the StatefulSet ends.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Released => "released",
            Self::Attached => "attached",
        }
    }
}

/// What one look has found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Facts {
    /// The namespace of the StatefulSet.
    pub namespace: String,
    /// Its name.
    pub set: SetName,
    /// Its object, if there is one.
    pub object: Option<SetSeen>,
    /// All pods of the namespace.
    pub pods: Vec<PodSeen>,
    /// All addresses of the namespace's members.
    pub addresses: Vec<Address>,
    /// To which StatefulSet each claim of the namespace is bound.
    pub bound: BTreeMap<String, Option<String>>,
    /// StaticIPs that could not be read, each with the member whose it is, if that could.
    pub unread: Vec<(Option<String>, Unread)>,
}

/// An address, as its StaticIP says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Address {
    /// The address.
    pub address: String,
    /// The name of the member.
    pub member: String,
    /// Who holds it, or held it last.
    pub holder: Option<Holder>,
    /// When the object was written last, as far as that is told.
    pub written: Option<String>,
}

/// Who holds an address, or held it last.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Holder {
    /// Where its attachment stands.
    pub state: AttachmentState,
    /// The UID of the pod.
    pub pod_uid: String,
    /// The node.
    pub node: String,
}

impl Facts {
    /// As people call the StatefulSet.
    pub fn label(&self) -> String {
        format!("{}/{}", self.namespace, self.set)
    }

    /// Whether a name is one that the StatefulSet gives a pod: its own, a hyphen and a number.
    pub fn is_member(&self, name: &str) -> bool {
        let number = name.strip_prefix(self.set.as_str()).and_then(|rest| rest.strip_prefix('-'));
        number.is_some_and(|text| text.parse::<u32>().is_ok_and(|n| n.to_string() == text))
    }

    /// Whether a pod is the StatefulSet's: it controls it; or nothing does, the name is one of
    /// its own, and so is what is known of where the pod comes from. A claim that is bound to
    /// another StatefulSet says that it is not.
    pub fn has_pod(&self, pod: &PodSeen) -> bool {
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

    /// Whether an address belongs to a member of the StatefulSet, as far as names and claims say.
    pub fn has_address(&self, address: &Address) -> bool {
        let other = |set: &Option<String>| set.as_ref().is_some_and(|it| it != self.set.as_str());
        self.is_member(&address.member) && !self.bound.get(&address.member).is_some_and(other)
    }
}
