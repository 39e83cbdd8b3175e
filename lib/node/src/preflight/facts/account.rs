//! What EC2 says of subnets.

use ipnet::Ipv4Net;

/// A CIDR reservation of a subnet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reservation {
    /// What it covers.
    pub block: Ipv4Net,
    /// EC2 assigns nothing from it unless it is told which address. From the other kind it takes
    /// prefixes for whoever asks for one.
    pub explicit: bool,
}
