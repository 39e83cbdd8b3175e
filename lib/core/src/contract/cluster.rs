//! What the holder of the Lease writes for people, and by which names.

/// Name of the Lease.
pub const LEASE: &str = "firecamp-agents";

/// Finalizer of a StaticIP: it goes only once its address is out of EC2, whoever deletes it.
pub const FINALIZER: &str = "firecamp.io/address";

/// What stands for nobody in the StaticIP of an address that was adopted.
pub mod unclaimed {
    /// Namespace of its claim; the claim's name is the address. Containers refuse to be members of
    /// this namespace.
    pub const NAMESPACE: &str = "firecamp-unclaimed";
    /// UID of the pod that parked it.
    pub const POD_UID: &str = "unclaimed";
}

/// Annotations of a claim.
pub mod annotation {
    /// Name of the StatefulSet that controls the member's pod.
    pub const SET: &str = "firecamp.io/statefulset";
    /// UID of that StatefulSet.
    pub const SET_UID: &str = "firecamp.io/statefulset-uid";
}

/// Types of conditions. Each is `True` when all is well.
pub mod condition {
    /// Of a pool: no other pool has an address of it.
    pub const RANGES_DISJOINT: &str = "RangesDisjoint";
    /// Of a pool: its subnets have the blocks that it says.
    pub const RANGES_IN_SUBNETS: &str = "RangesInSubnets";
    /// Of a pool: its StaticIPs are in its ranges.
    pub const ADDRESSES_IN_RANGES: &str = "AddressesInRanges";
    /// Of a pool: its zones have Nodes that are ready.
    pub const ZONES_AVAILABLE: &str = "ZonesAvailable";
    /// Of a StaticIP: its claim names it.
    pub const CLAIMED: &str = "Claimed";
    /// Of a StaticIP that was deleted: nothing holds it any more.
    pub const DELETABLE: &str = "Deletable";
    /// Of a claim: it has an address.
    pub const BOUND: &str = "Bound";
}

/// Reasons of conditions and Events.
pub mod reason {
    /// The pool has free addresses.
    pub const USABLE: &str = "Usable";
    /// The pool has none left.
    pub const EXHAUSTED: &str = "Exhausted";
    /// No other pool has its addresses.
    pub const DISJOINT: &str = "Disjoint";
    /// Another pool has some of its addresses.
    pub const OVERLAPPING: &str = "Overlapping";
    /// EC2's blocks are the pool's.
    pub const SUBNETS_AGREE: &str = "SubnetsAgree";
    /// EC2 has another block for a subnet.
    pub const SUBNET_DIFFERS: &str = "SubnetDiffers";
    /// The agent's machine is in none of some subnets.
    pub const SUBNETS_NOT_SEEN: &str = "SubnetsNotSeen";
    /// Every StaticIP is in the ranges.
    pub const IN_RANGES: &str = "InRanges";
    /// Some StaticIPs are in no range.
    pub const STRAY_ADDRESSES: &str = "StrayAddresses";
    /// Each zone has a Node that is ready.
    pub const ZONES_UP: &str = "ZonesUp";
    /// No Node of some zone is ready.
    pub const ZONE_DOWN: &str = "ZoneDown";
    /// The Nodes do not tell their zones.
    pub const ZONES_NOT_KNOWN: &str = "ZonesNotKnown";
    /// No claim names the address any more.
    pub const CLAIM_GONE: &str = "ClaimGone";
    /// A StaticIP was deleted while a pod has its address.
    pub const HELD: &str = "Held";
    /// The claim names a StaticIP that names the claim.
    pub const BOUND: &str = "Bound";
    /// The claim gets its address when its member's first pod starts.
    pub const AWAITING_FIRST_START: &str = "AwaitingFirstStart";
    /// The claim's pool is not there.
    pub const POOL_NOT_FOUND: &str = "PoolNotFound";
    /// The claim's pool has no address left.
    pub const NO_FREE_ADDRESS: &str = "NoFreeAddress";
    /// The address that a person wants for the claim cannot be had.
    pub const ADDRESS_UNAVAILABLE: &str = "AddressUnavailable";
    /// The claim names an address of another member.
    pub const ADDRESS_OF_OTHER: &str = "AddressOfOther";
    /// The claim names an address that has no StaticIP.
    pub const ADDRESS_MISSING: &str = "AddressMissing";
    /// An address was released for a node that is gone.
    pub const RELEASED_FOR_NODE: &str = "ReleasedForGoneNode";
    /// An address was released whose claim is gone as well as its pod.
    pub const RELEASED_WITHOUT_CLAIM: &str = "ReleasedWithoutClaim";
    /// A claim was deleted because its StatefulSet was scaled down.
    pub const CLAIM_DELETED_SCALED: &str = "ClaimDeletedAfterScaleDown";
    /// A claim was deleted because its StatefulSet was.
    pub const CLAIM_DELETED_SET: &str = "ClaimDeletedWithStatefulSet";
    /// An address was taken out of EC2 because its claim is gone, or its StaticIP was deleted.
    pub const UNASSIGNED: &str = "UnassignedAfterClaim";
    /// A StaticIP is gone, and its address may be handed out again.
    pub const RECLAIMED: &str = "AddressReclaimed";
}
