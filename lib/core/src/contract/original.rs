//! What the original FireCamp keeps: its records in ConfigMaps, and the tag of its nodes. FireCamp
//! only reads them.

use std::net::Ipv4Addr;

/// Prefix of the ConfigMap of an address; the address follows.
pub const ADDRESS_PREFIX: &str = "firecamp-staticip-";
/// Prefix of the ConfigMap of a member; the service's UUID, a hyphen, and the member's name follow.
pub const MEMBER_PREFIX: &str = "firecamp-servicemember-";
/// The address in a member's record if its service needs none.
pub const NO_ADDRESS: Ipv4Addr = Ipv4Addr::LOCALHOST;
/// The run id of an import in the records that it writes.
pub const IMPORT_RUN: &str = "import";

/// Tag of the instances that may hold addresses; its value is the name of the cluster.
pub const WORKER_TAG: &str = "firecamp-worker";

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
