//! Chooses addresses that nobody uses or is promised. Pure.

use std::net::Ipv4Addr;

use firecamp_cloud::{ListedInterface, ListedSubnet};

/// How many addresses at the beginning of a subnet EC2 reserves.
const RESERVED: u32 = 4;

/// Addresses of the subnet, the highest ones first, that no interface lists and no CIDR
/// reservation covers, for those of pools are reserved: an address that a member has released is
/// free in EC2.
pub(super) fn free(
    subnet: &ListedSubnet,
    interfaces: &[ListedInterface],
    count: usize,
) -> Vec<Ipv4Addr> {
    let prefixes = interfaces.iter().flat_map(|one| &one.prefixes);
    let blocked: Vec<_> = prefixes.chain(&subnet.reservations).collect();
    let first = u32::from(subnet.cidr.network()).saturating_add(RESERVED);
    let usable = |address: &Ipv4Addr| {
        u32::from(*address) >= first
            && !interfaces.iter().any(|one| one.has(*address))
            && !blocked.iter().any(|block| block.contains(address))
    };
    subnet.cidr.hosts().rev().filter(usable).take(count).collect()
}

/// The address of the subnet's router, which EC2 reserves.
pub(super) fn router(subnet: &ListedSubnet) -> Ipv4Addr {
    u32::from(subnet.cidr.network()).saturating_add(1).into()
}

/// An address that is in no VPC: one of the documentation's (RFC 5737), outside of the subnet.
pub(super) fn outside(subnet: &ListedSubnet) -> Ipv4Addr {
    let first = Ipv4Addr::new(192, 0, 2, 1);
    if subnet.cidr.contains(&first) { Ipv4Addr::new(198, 51, 100, 1) } else { first }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_in_use_reserved_or_in_a_prefix_are_not_chosen() {
        let subnet = ListedSubnet {
            cidr: "10.0.1.0/26".parse().unwrap(),
            available: 9,
            reservations: vec!["10.0.1.32/28".parse().unwrap()],
        };
        let address = |last| Ipv4Addr::new(10, 0, 1, last);
        let one = ListedInterface {
            id: "eni-0000000a".parse().unwrap(),
            primary: Some(address(62)),
            secondary: [address(60), address(5)].into(),
            prefixes: vec!["10.0.1.16/28".parse().unwrap()],
            tags: [].into(),
        };
        let interfaces = [one];
        assert_eq!(free(&subnet, &interfaces, 3), [61, 59, 58].map(address));
        let all = free(&subnet, &interfaces, 100);
        let expected = [61, 59, 58, 57, 56, 55, 54, 53, 52, 51, 50, 49, 48, 15, 14, 13, 12, 11, 10];
        assert_eq!(all[..19], expected.map(address));
        assert_eq!(all[19..], [9, 8, 7, 6, 4].map(address), "EC2 reserves the first four");
        assert_eq!((router(&subnet), outside(&subnet)), (address(1), [192, 0, 2, 1].into()));
    }
}
