//! Names of what the leader writes.

/// Name of the Lease.
pub const LEASE: &str = "firecamp-agents";

/// The namespace whose UID identifies the cluster.
pub const SYSTEM_NAMESPACE: &str = "kube-system";

/// Startup taint that keeps pods from a new node until it has its interfaces. Cluster Autoscaler
/// ignores only taints with this prefix.
pub const STARTUP_TAINT: &str = "startup-taint.cluster-autoscaler.kubernetes.io/firecamp";

/// Finalizer of a StaticIP: whoever deletes it, it remains until its address is out of EC2.
pub const FINALIZER: &str = "firecamp.io/address";

/// Scheduling gate of a pod that waits for the zone of its member's address in its node selector.
pub const ZONE_GATE: &str = "firecamp.io/zone";

/// Label of a Node with its availability zone.
pub const ZONE_LABEL: &str = "topology.kubernetes.io/zone";

/// Placeholders in the StaticIP of an address that was adopted and has no member.
pub mod orphaned {
    /// Namespace of its claim; the claim's name is the address. The containers refuse to run for a
    /// pod in this namespace.
    pub const NAMESPACE: &str = "firecamp-orphaned";
    /// UID of the pod that parked it.
    pub const POD_UID: &str = "orphaned";
}

/// Annotation of the Lease: what the leader has observed in EC2, as JSON.
pub const EC2_OBSERVATION: &str = "firecamp.io/ec2-observation";

/// Annotations of a claim.
pub mod annotation {
    /// Name of the StatefulSet that controls the member's pod.
    pub const SET: &str = "firecamp.io/statefulset";
    /// UID of that StatefulSet.
    pub const SET_UID: &str = "firecamp.io/statefulset-uid";
}

/// Types of conditions. For each, `True` is the healthy status.
pub mod condition {
    /// Of a pool: its ranges overlap with those of no other pool.
    pub const RANGES_DISJOINT: &str = "RangesDisjoint";
    /// Of a pool: its subnets have the CIDR blocks that the pool states.
    pub const RANGES_IN_SUBNETS: &str = "RangesInSubnets";
    /// Of a pool: its StaticIPs are within its ranges.
    pub const ADDRESSES_IN_RANGES: &str = "AddressesInRanges";
    /// Of a pool: each of its zones has a ready Node.
    pub const ZONES_AVAILABLE: &str = "ZonesAvailable";
    /// Of a StaticIP: a claim names it.
    pub const CLAIMED: &str = "Claimed";
    /// Of a deleted StaticIP: no pod holds its address any more.
    pub const DELETABLE: &str = "Deletable";
    /// Of a node: it has the interfaces that the pools want.
    pub const INTERFACES_MADE: &str = "InterfacesMade";
    /// Of a claim: it has an address.
    pub const BOUND: &str = "Bound";
}

/// Reasons of conditions and Events.
pub mod reason {
    /// The pool has free addresses.
    pub const USABLE: &str = "Usable";
    /// The pool has no free address left.
    pub const EXHAUSTED: &str = "Exhausted";
    /// The pool overlaps with no other pool.
    pub const DISJOINT: &str = "Disjoint";
    /// The pool overlaps with another pool.
    pub const OVERLAPPING: &str = "Overlapping";
    /// EC2 reports the CIDR blocks that the pool states.
    pub const SUBNETS_AGREE: &str = "SubnetsAgree";
    /// EC2 reports another CIDR block for a subnet.
    pub const SUBNET_DIFFERS: &str = "SubnetDiffers";
    /// The leader's node has no ENI in some subnets, so it cannot verify them.
    pub const SUBNETS_NOT_VERIFIED: &str = "SubnetsNotVerified";
    /// The pool shares a subnet with an earlier pool and has another extended resource.
    pub const RESOURCE_DIFFERS: &str = "ResourceDiffers";
    /// The pool has the extended resource of an earlier pool whose subnets are others.
    pub const RESOURCE_NOT_UNIQUE: &str = "ResourceNotUnique";
    /// Every StaticIP is within the ranges.
    pub const IN_RANGES: &str = "InRanges";
    /// Some StaticIPs are in no range.
    pub const ADDRESSES_OUT_OF_RANGE: &str = "AddressesOutOfRange";
    /// Each zone has a ready Node.
    pub const ZONES_READY: &str = "ZonesReady";
    /// Some zone has no ready Node.
    pub const ZONE_NOT_READY: &str = "ZoneNotReady";
    /// The Nodes have no zone labels.
    pub const ZONES_UNKNOWN: &str = "ZonesUnknown";
    /// The node has the interfaces that the pools want.
    pub const INTERFACES_READY: &str = "InterfacesReady";
    /// An interface is being created.
    pub const INTERFACE_IN_PROGRESS: &str = "InterfaceInProgress";
    /// The instance takes no further interface.
    pub const NO_INTERFACE_LEFT: &str = "NoInterfaceLeft";
    /// A CNI plugin would give the addresses of an interface to pods.
    pub const CNI_TAKES_INTERFACES: &str = "CniTakesInterfaces";
    /// The subnet has no free address for an interface.
    pub const NO_ADDRESS_FOR_INTERFACE: &str = "NoAddressForInterface";
    /// The account has as many interfaces as its quota allows.
    pub const INTERFACE_QUOTA: &str = "InterfaceQuotaExceeded";
    /// IAM denies a call for an interface.
    pub const INTERFACE_DENIED: &str = "InterfaceCallDenied";
    /// A call for an interface failed.
    pub const INTERFACE_FAILED: &str = "InterfaceCallFailed";
    /// No claim names the address.
    pub const CLAIM_NOT_FOUND: &str = "ClaimNotFound";
    /// A StaticIP was deleted while a pod holds its address.
    pub const IN_USE: &str = "InUse";
    /// The claim names a StaticIP that names the claim.
    pub const BOUND: &str = "Bound";
    /// The claim receives its address when its member's first pod starts.
    pub const AWAITING_FIRST_START: &str = "AwaitingFirstStart";
    /// The claim's pool does not exist.
    pub const POOL_NOT_FOUND: &str = "PoolNotFound";
    /// The claim's pool has no address left.
    pub const NO_FREE_ADDRESS: &str = "NoFreeAddress";
    /// The address that the claim requests is not available.
    pub const ADDRESS_UNAVAILABLE: &str = "AddressUnavailable";
    /// The claim names an address that belongs to another member.
    pub const ADDRESS_OF_ANOTHER_MEMBER: &str = "AddressOfAnotherMember";
    /// The claim names an address that has no StaticIP.
    pub const STATIC_IP_NOT_FOUND: &str = "StaticIPNotFound";
    /// The leader released an address for a node that is gone.
    pub const RELEASED_FOR_NODE: &str = "ReleasedForLostNode";
    /// The leader released an address whose claim and pod are gone.
    pub const RELEASED_WITHOUT_CLAIM: &str = "ReleasedWithoutClaim";
    /// A claim was deleted because its StatefulSet was scaled down.
    pub const CLAIM_DELETED_SCALED: &str = "ClaimDeletedAfterScaleDown";
    /// A claim was deleted because its StatefulSet was deleted.
    pub const CLAIM_DELETED_SET: &str = "ClaimDeletedWithStatefulSet";
    /// An address was unassigned in EC2 because its claim is gone or its StaticIP was deleted.
    pub const UNASSIGNED: &str = "UnassignedAfterClaim";
    /// A parked address was unassigned in EC2 because its interface is being removed. Its
    /// reservation keeps it for its pool.
    pub const UNASSIGNED_FROM_INTERFACE: &str = "UnassignedFromInterface";
    /// The interface of a parked address is to be removed, but no CIDR reservation would keep the
    /// address for its pool.
    pub const ADDRESS_NOT_RESERVED: &str = "AddressNotReserved";
    /// The removal of an interface that FireCamp made begins.
    pub const INTERFACE_DRAINING: &str = "InterfaceDraining";
    /// An interface that FireCamp made was deleted.
    pub const INTERFACE_DELETED: &str = "InterfaceDeleted";
    /// A StaticIP is gone, and its address can be allocated again.
    pub const RECLAIMED: &str = "AddressReclaimed";
    /// A pod can never run in the zone of its member's address, so it keeps its scheduling gate.
    pub const ZONE_CONFLICT: &str = "ZoneConflict";
}
