//! Things that others do, at once.

use std::net::Ipv4Addr;

use serde::{Deserialize, Serialize};

/// Something that somebody other than the code under test does now. Nodes are named by name or
/// instance id, ENIs by id or by the name of a foreign ENI. JSON: `{"kind":"steal",...}`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum Act {
    /// Moves an address to another ENI: AssignPrivateIpAddresses with AllowReassignment.
    Steal {
        /// The address.
        address: Ipv4Addr,
        /// The ENI that gets it; a foreign ENI of the subnet if absent.
        #[serde(default)]
        to: Option<String>,
    },
    /// Unassigns an address from whatever ENI holds it.
    Unassign {
        /// The address.
        address: Ipv4Addr,
    },
    /// Unassigns every secondary address of an ENI.
    StripEni {
        /// The ENI.
        eni: String,
    },
    /// Terminates an instance. Its ENIs with delete-on-termination vanish with their addresses;
    /// the others become available and keep theirs (M11).
    Terminate {
        /// The node.
        node: String,
        /// Overrides the ENIs' own settings.
        #[serde(default)]
        delete_on_termination: Option<bool>,
    },
    /// Stops an instance.
    Stop {
        /// The node.
        node: String,
    },
    /// Starts a stopped instance.
    Start {
        /// The node.
        node: String,
    },
    /// Boots an instance again; it keeps everything that is attached to it.
    Reboot {
        /// The node.
        node: String,
        /// For how long its metadata service then lists the primary ENI only.
        #[serde(default)]
        imds_missing_ms: u64,
    },
    /// Creates a volume.
    CreateVolume {
        /// Its id.
        id: String,
        /// Its availability zone.
        zone: String,
        /// Its size.
        size_gib: u32,
    },
    /// Deletes a volume that is attached to nothing.
    DeleteVolume {
        /// The volume, by id or name.
        volume: String,
    },
    /// Begins to attach a volume, as the CSI driver does.
    AttachVolume {
        /// The volume, by id or name.
        volume: String,
        /// The node.
        node: String,
        /// The device name; a free one if absent.
        #[serde(default)]
        device: Option<String>,
    },
    /// Begins to detach a volume.
    DetachVolume {
        /// The volume, by id or name.
        volume: String,
        /// From this node; from the only one if absent.
        #[serde(default)]
        node: Option<String>,
        /// By force: a guest that uses it does not hold it up.
        #[serde(default)]
        force: bool,
    },
    /// Puts a volume into the state `error`, or takes it out of it.
    FailVolume {
        /// The volume, by id or name.
        volume: String,
        /// Whether it has failed.
        failed: bool,
    },
    /// Makes a volume larger.
    ResizeVolume {
        /// The volume, by id or name.
        volume: String,
        /// Its size.
        size_gib: u32,
    },
    /// Detaches an ENI, which keeps its addresses.
    Detach {
        /// The ENI.
        eni: String,
    },
    /// Detaches and deletes an ENI; its addresses return to the subnet.
    DeleteEni {
        /// The ENI.
        eni: String,
    },
    /// Gives an ENI to a service that hides it from Describe, or shows it again.
    HideEni {
        /// The ENI.
        eni: String,
        /// Whether it is hidden.
        hidden: bool,
    },
    /// Gives an ENI /28 prefixes, each of which takes an address slot.
    AddPrefixes {
        /// The ENI.
        eni: String,
        /// How many.
        count: u32,
    },
    /// Takes all /28 prefixes of an ENI away.
    DropPrefixes {
        /// The ENI.
        eni: String,
    },
    /// Creates an ENI that is not the cluster's, whose primary address this is.
    CreateEni {
        /// Its id.
        id: String,
        /// Its primary address, which nobody has.
        address: Ipv4Addr,
    },
    /// Changes a tag of an ENI; no value removes it.
    TagEni {
        /// The ENI.
        eni: String,
        /// The key.
        key: String,
        /// The value.
        #[serde(default)]
        value: Option<String>,
    },
}

/// An act that is not possible.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ActError {
    /// No such thing.
    #[error("{act}: there is no {what} {name}")]
    Unknown {
        /// The act.
        act: &'static str,
        /// The kind of thing.
        what: &'static str,
        /// Its name.
        name: String,
    },
    /// EC2 would refuse it.
    #[error("{act}: {problem}")]
    Refused {
        /// The act.
        act: &'static str,
        /// Why.
        problem: String,
    },
}
