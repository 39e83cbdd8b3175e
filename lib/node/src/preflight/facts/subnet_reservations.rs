//! CIDR reservations of subnets.

use ipnet::Ipv4Net;

/// A CIDR reservation of a subnet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reservation {
    /// The block that it covers.
    pub block: Ipv4Net,
    /// Whether EC2 assigns its addresses only by explicit request. From a reservation of the other
    /// type, `prefix`, EC2 assigns prefixes.
    pub explicit: bool,
}
