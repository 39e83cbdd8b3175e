//! The intervals and grace periods of the leader, each with its reason.

use std::time::Duration;

/// How long a Lease is valid after its last renewal was observed. The leader does nothing urgent,
/// and few renewals mean few writes.
pub const LEASE: Duration = Duration::from_mins(1);
/// How often the leader renews: it stays the leader if one renewal fails.
pub const RENEW_EVERY: Duration = Duration::from_secs(20);
/// The leader stops acting this long after it sent its last renewal; no other candidate can acquire
/// the Lease earlier than [`LEASE`] after that.
pub const RENEW_DEADLINE: Duration = Duration::from_secs(40);
/// How often the other candidates read the Lease.
pub const LEASE_CHECK_EVERY: Duration = Duration::from_mins(1);
/// The interval of the leader's passes.
pub const PASS_EVERY: Duration = Duration::from_secs(30);
/// How often the leader lists the interfaces of the whole cluster in EC2, which takes a request for
/// each 500 of them.
pub const EC2_LIST_EVERY: Duration = Duration::from_mins(1);
/// A pass starts no more queries after this long.
pub const ASK_BOUND: Duration = Duration::from_secs(30);
/// The leader releases the Lease if EC2 has not answered its calls for this long, because another
/// agent may reach EC2. Most outages of EC2 itself are shorter.
pub const EC2_UNREACHABLE: Duration = Duration::from_mins(10);
/// Calls further apart show nothing about the time between them, because some passes send no call.
/// An unassign is retried after [`ADDRESS_GRACE`], and two passes may lie between.
pub const EC2_CALL_GAP: Duration = Duration::from_mins(4);
/// An agent that released the Lease for this reason does not compete for it for this long: the
/// other candidates read the Lease twice meanwhile, and without one the gap is short.
pub const EC2_UNREACHABLE_PAUSE: Duration = Duration::from_mins(3);
/// A pass starts no more operations after this long: the next pass plans the rest again, the most
/// urgent first.
pub const PASS_BOUND: Duration = Duration::from_mins(1);
/// The leader releases the addresses of a node this long after EC2 shows its instance no more or
/// the node is out of service: EC2's reads lag by seconds, and a Node object may be created again.
pub const NODE_GRACE: Duration = Duration::from_mins(2);
/// The same for a node that is not ready while its instance keeps the address: it may be cut off
/// from the API server only for a while, and then its own agent releases the address.
pub const MACHINE_GRACE: Duration = Duration::from_mins(10);
/// A claim is deleted this long after its member was last needed or observed, so that a user who
/// scaled down by mistake can scale up again.
pub const CLAIM_GRACE: Duration = Duration::from_mins(2);
/// The leader clears the condition of a missing volume this long after the pod has gone. The agent
/// of the pod's node does so after one minute.
pub const WAIT_GRACE: Duration = Duration::from_mins(2);
/// A StaticIP is deleted this long after its record last changed: far more than A1's bound, so that
/// no call that the record announced can affect the next holder of the address.
pub const ADDRESS_GRACE: Duration = Duration::from_mins(2);
