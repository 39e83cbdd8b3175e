//! Actions of other parties that take effect at once.

use std::net::Ipv4Addr;

use serde::{Deserialize, Serialize};

/// An action of another party, performed now. Nodes are named by name or instance ID, ENIs by ID or
/// by the name of a foreign ENI. JSON: `{"kind":"reassign",...}`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum Act {
    /// Moves an address to another ENI: AssignPrivateIpAddresses with AllowReassignment.
    Reassign {
        /// The address.
        address: Ipv4Addr,
        /// The ENI that gets it; if absent, a foreign ENI of the subnet.
        #[serde(default)]
        to: Option<String>,
    },
    /// Unassigns an address from the ENI that holds it.
    Unassign {
        /// The address.
        address: Ipv4Addr,
    },
    /// Unassigns every secondary address of an ENI.
    StripEni {
        /// The ENI.
        eni: String,
    },
    /// Terminates an instance. EC2 deletes its ENIs with delete-on-termination and their addresses;
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
    /// Reboots an instance; it keeps everything that is attached to it.
    Reboot {
        /// The node.
        node: String,
        /// How long its metadata service then lists only the primary ENI.
        #[serde(default)]
        imds_missing_ms: u64,
    },
    /// Creates a volume.
    CreateVolume {
        /// Its ID.
        id: String,
        /// Its availability zone.
        zone: String,
        /// Its size.
        size_gib: u32,
    },
    /// Deletes a volume that is not attached.
    DeleteVolume {
        /// The volume, by ID or name.
        volume: String,
    },
    /// Starts to attach a volume, as the CSI driver does.
    AttachVolume {
        /// The volume, by ID or name.
        volume: String,
        /// The node.
        node: String,
        /// The device name; if absent, a free one.
        #[serde(default)]
        device: Option<String>,
    },
    /// Starts to detach a volume.
    DetachVolume {
        /// The volume, by ID or name.
        volume: String,
        /// The node to detach it from; if absent, the only one that has it.
        #[serde(default)]
        node: Option<String>,
        /// Forces the detachment: a guest that still uses the device does not delay it.
        #[serde(default)]
        force: bool,
    },
    /// Puts a volume into the state `error`, or returns it to normal.
    FailVolume {
        /// The volume, by ID or name.
        volume: String,
        /// Whether it has failed.
        failed: bool,
    },
    /// Enlarges a volume.
    ResizeVolume {
        /// The volume, by ID or name.
        volume: String,
        /// Its new size.
        size_gib: u32,
    },
    /// Starts to attach an ENI, as AttachNetworkInterface does and with the same checks.
    AttachEni {
        /// The ENI.
        eni: String,
        /// The node.
        node: String,
        /// The device index, from 1.
        device_index: u32,
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
    /// Marks an ENI as managed by a service that hides it from Describe, or shows it again.
    HideEni {
        /// The ENI.
        eni: String,
        /// Whether it is hidden.
        hidden: bool,
    },
    /// Assigns /28 prefixes to an ENI; each uses one address slot.
    AddPrefixes {
        /// The ENI.
        eni: String,
        /// The number of prefixes.
        count: u32,
    },
    /// Unassigns all /28 prefixes of an ENI.
    DropPrefixes {
        /// The ENI.
        eni: String,
    },
    /// Creates an ENI outside the cluster with this primary address.
    CreateEni {
        /// Its ID.
        id: String,
        /// Its primary address, which must be free.
        address: Ipv4Addr,
    },
    /// Sets a tag of an ENI; without a value, removes it.
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

/// An action that failed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ActError {
    /// The object does not exist.
    #[error("{act}: there is no {what} {name}")]
    Unknown {
        /// The action.
        act: &'static str,
        /// The kind of object.
        what: &'static str,
        /// Its name.
        name: String,
    },
    /// EC2 would refuse the action.
    #[error("{act}: {problem}")]
    Refused {
        /// The action.
        act: &'static str,
        /// Why.
        problem: String,
    },
}
