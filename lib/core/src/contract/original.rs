//! The records of the original FireCamp on Kubernetes: ConfigMaps, which are only read.

use std::net::Ipv4Addr;

/// The ConfigMap of an address: this, and the address.
pub const ADDRESS_PREFIX: &str = "firecamp-staticip-";
/// The ConfigMap of a member: this, the service's UUID, a hyphen, and the member's name.
pub const MEMBER_PREFIX: &str = "firecamp-servicemember-";
/// What a member's record has for an address if its service needs none.
pub const NO_ADDRESS: Ipv4Addr = Ipv4Addr::LOCALHOST;
/// Names an import in what it writes, where others name their process.
pub const IMPORT_RUN: &str = "import";

/// Keys of the ConfigMaps' data, and of the JSON in them.
pub mod key {
    /// The address, of an address and in a member's specification.
    pub const ADDRESS: &str = "StaticIP";
    /// Of an address: where it is, as JSON.
    pub const ADDRESS_SPEC: &str = "StaticIPSpec";
    /// The UUID of the service, of a member and in an address's specification.
    pub const SERVICE_UUID: &str = "ServiceUUID";
    /// The zone, in both specifications.
    pub const ZONE: &str = "AvailableZone";
    /// In an address's specification: the instance that has it.
    pub const INSTANCE: &str = "ServerInstanceID";
    /// In an address's specification: the ENI that has it.
    pub const ENI: &str = "NetworkInterfaceID";
    /// Of a member: its name, which is that of its pod.
    pub const MEMBER_NAME: &str = "MemberName";
    /// Of a member: what it has, as JSON.
    pub const MEMBER_SPEC: &str = "MemberSpec";
}
