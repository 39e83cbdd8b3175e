//! Times of what is done for the whole cluster, each with its reason.

use std::time::Duration;

/// How long a Lease counts after its last renewal was seen. Nothing that the holder does is
/// urgent, and few renewals are few writes.
pub const LEASE: Duration = Duration::from_mins(1);
/// How often the holder renews: it may miss one renewal and still be the holder.
pub const RENEW_EVERY: Duration = Duration::from_secs(20);
/// Counted from before its last renewal was sent, the holder stops acting after this long:
/// nobody can take the Lease earlier than [`LEASE`] after that.
pub const RENEW_DEADLINE: Duration = Duration::from_secs(40);
/// How often the others look at the Lease.
pub const LOOK_EVERY: Duration = Duration::from_mins(1);
/// How often the holder looks at the cluster.
pub const PASS_EVERY: Duration = Duration::from_secs(30);
/// A pass asks nothing more after this long.
pub const ASK_BOUND: Duration = Duration::from_secs(30);
/// Who has asked EC2 again and again for this long and was never answered gives the Lease back:
/// another agent may be heard. Most outages of EC2 itself are over by then.
pub const UNHEARD: Duration = Duration::from_mins(10);
/// Calls that lie further apart say nothing of the time between: some passes ask nothing. What is
/// taken out of EC2 is tried again after [`ADDRESS_GRACE`], and two passes may lie between.
pub const UNHEARD_GAP: Duration = Duration::from_mins(4);
/// It does not stand for the Lease again for this long: those that have not paused themselves look
/// at it twice meanwhile, and where there is none, nobody is missed for long.
pub const UNHEARD_PAUSE: Duration = Duration::from_mins(3);
/// A pass begins nothing more after this long: what is left is planned anew, the most urgent first.
pub const PASS_BOUND: Duration = Duration::from_mins(1);
/// A node whose machine EC2 shows no more, or that is out of service, is released for after this
/// long: EC2's reads lag by seconds, and a Node object may be made anew.
pub const NODE_GRACE: Duration = Duration::from_mins(2);
/// A node that does not answer while its machine keeps the address: it may be cut off from the
/// API server only for a while, and then its own agent does it.
pub const MACHINE_GRACE: Duration = Duration::from_mins(10);
/// A claim goes this long after its member was last wanted or seen: whoever scales down by
/// mistake has a moment to scale up again.
pub const CLAIM_GRACE: Duration = Duration::from_mins(2);
/// What is said of a volume that a pod lacks is taken back this long after the pod has gone. The
/// agent of its node does it after one minute.
pub const WAIT_GRACE: Duration = Duration::from_mins(2);
/// An address goes this long after its record last changed: far more than A1's bound, so that no
/// call that the record once announced can land on whoever gets the address next.
pub const ADDRESS_GRACE: Duration = Duration::from_mins(2);
