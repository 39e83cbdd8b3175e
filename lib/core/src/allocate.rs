//! Which addresses of a pool's subnet are free. Creating the `StaticIP` allocates an address; this
//! module says only which addresses to try, and in which order.

use std::collections::BTreeSet;
use std::net::Ipv4Addr;

use ipnet::Ipv4Net;

use crate::record::PoolSubnet;

/// EC2 reserves the first four addresses of a subnet: network, router, DNS and future use
/// (ec2-semantics, subnets). It also reserves the last one, the broadcast address.
const RESERVED_AT_START: u32 = 4;

/// Whether EC2 can assign the address to an ENI in a subnet of this block: inside it, and not one
/// of the five that EC2 reserves (the first four and the last).
pub fn is_assignable(cidr: Ipv4Net, address: Ipv4Addr) -> bool {
    assignable_bounds(cidr)
        .is_some_and(|(first, last)| (first..=last).contains(&u32::from(address)))
}

/// Whether the address is in the subnet's ranges and not reserved by EC2.
pub fn hands_out(pool_subnet: &PoolSubnet, address: Ipv4Addr) -> bool {
    let mut ranges = pool_subnet.ranges.iter();
    let within = ranges.any(|(start, end)| (*start..=*end).contains(&address));
    within && is_assignable(pool_subnet.cidr, address)
}

/// Every free address of the subnet's ranges exactly once, in ascending order: inside the block,
/// not reserved by EC2, neither in `allocated` nor in `excluded`. Ranges may touch, overlap, exceed
/// the block or be reversed (and are then empty).
pub fn candidates<'a>(
    pool_subnet: &'a PoolSubnet,
    allocated: &'a BTreeSet<Ipv4Addr>,
    excluded: &'a BTreeSet<Ipv4Addr>,
) -> impl Iterator<Item = Ipv4Addr> + 'a {
    merged_ranges(pool_subnet)
        .into_iter()
        .flat_map(|(start, end)| start..=end)
        .map(Ipv4Addr::from)
        .filter(|address| !allocated.contains(address) && !excluded.contains(address))
}

/// The lowest of the [`candidates`]; none if the subnet's ranges are exhausted.
pub fn first_free(
    pool_subnet: &PoolSubnet,
    allocated: &BTreeSet<Ipv4Addr>,
    excluded: &BTreeSet<Ipv4Addr>,
) -> Option<Ipv4Addr> {
    candidates(pool_subnet, allocated, excluded).next()
}

/// The first and last address that EC2 assigns; none in a block too small to have any.
fn assignable_bounds(cidr: Ipv4Net) -> Option<(u32, u32)> {
    let first = u32::from(cidr.network()).checked_add(RESERVED_AT_START)?;
    let last = u32::from(cidr.broadcast()).checked_sub(1)?;
    (first <= last).then_some((first, last))
}

/// The ranges clipped to what is assignable, ascending and disjoint.
fn merged_ranges(pool_subnet: &PoolSubnet) -> Vec<(u32, u32)> {
    let Some((first, last)) = assignable_bounds(pool_subnet.cidr) else { return Vec::new() };
    let mut clipped: Vec<(u32, u32)> = pool_subnet
        .ranges
        .iter()
        .map(|&(start, end)| (u32::from(start).max(first), u32::from(end).min(last)))
        .filter(|(start, end)| start <= end)
        .collect();
    clipped.sort_unstable();
    let mut merged: Vec<(u32, u32)> = Vec::with_capacity(clipped.len());
    for (start, end) in clipped {
        match merged.last_mut() {
            Some((_, previous)) if start <= *previous => *previous = end.max(*previous),
            Some(_) | None => merged.push((start, end)),
        }
    }
    merged
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::ids::{SubnetId, Zone};

    fn subnet(cidr: &str, ranges: &[(&str, &str)]) -> PoolSubnet {
        let ranges = ranges.iter().map(|(a, b)| (a.parse().unwrap(), b.parse().unwrap()));
        with_ranges(cidr.parse().unwrap(), ranges.collect())
    }

    fn with_ranges(cidr: Ipv4Net, ranges: Vec<(Ipv4Addr, Ipv4Addr)>) -> PoolSubnet {
        PoolSubnet {
            subnet: SubnetId::new("subnet-0123456789abcdef0").unwrap(),
            cidr,
            zone: Zone::new("us-east-1a").unwrap(),
            ranges,
        }
    }

    fn whole(cidr: &str) -> PoolSubnet {
        let cidr: Ipv4Net = cidr.parse().unwrap();
        with_ranges(cidr, vec![(cidr.network(), cidr.broadcast())])
    }

    fn all(subnet: &PoolSubnet) -> Vec<Ipv4Addr> {
        candidates(subnet, &BTreeSet::new(), &BTreeSet::new()).collect()
    }

    fn ip(text: &str) -> Ipv4Addr {
        text.parse().unwrap()
    }

    /// The definition, applied directly: checks every address of the block.
    fn by_definition(
        subnet: &PoolSubnet,
        allocated: &BTreeSet<Ipv4Addr>,
        excluded: &BTreeSet<Ipv4Addr>,
    ) -> Vec<Ipv4Addr> {
        let every: Vec<Ipv4Addr> = (u32::from(subnet.cidr.network())
            ..=u32::from(subnet.cidr.broadcast()))
            .map(Ipv4Addr::from)
            .collect();
        let kept = every.len().min(4);
        let reserved: BTreeSet<Ipv4Addr> =
            every[..kept].iter().chain(every.last()).copied().collect();
        every
            .into_iter()
            .filter(|a| subnet.ranges.iter().any(|(start, end)| start <= a && a <= end))
            .filter(|a| !reserved.contains(a) && !allocated.contains(a) && !excluded.contains(a))
            .collect()
    }

    #[test]
    fn f059_a_whole_subnet_offers_all_but_the_five_addresses_that_ec2_reserves() {
        let cases = [("10.0.16.0/20", 4_091), ("10.1.0.0/16", 65_531), ("10.0.0.0/24", 251)];
        for (cidr, count) in cases {
            let subnet = whole(cidr);
            let offered = all(&subnet);
            assert_eq!(offered.len(), count, "{cidr}");
            assert_eq!(offered.iter().collect::<BTreeSet<_>>().len(), count, "{cidr}");
            assert!(offered.iter().all(|a| subnet.cidr.contains(a)), "{cidr}");
        }
    }

    #[test]
    fn f059_a_subnet_that_starts_above_zero_reserves_its_own_first_four_and_last() {
        let offered = all(&whole("10.0.0.64/28"));
        let expected: Vec<Ipv4Addr> = (68..=78).map(|last| Ipv4Addr::new(10, 0, 0, last)).collect();
        assert_eq!(offered, expected);
        let crossing = all(&whole("10.0.255.0/24"));
        assert_eq!(crossing.first(), Some(&ip("10.0.255.4")));
        assert_eq!(crossing.last(), Some(&ip("10.0.255.254")));
    }

    #[test]
    fn f059_ranges_that_overlap_touch_or_exceed_the_block_offer_each_address_once() {
        let ranges = [
            ("10.0.0.20", "10.0.0.22"),
            ("10.0.0.10", "10.0.0.12"),
            ("10.0.0.12", "10.0.0.14"),
            ("10.0.0.15", "10.0.0.15"),
            ("9.255.255.0", "10.0.0.5"),
            ("10.0.0.254", "10.0.1.9"),
            ("10.0.0.50", "10.0.0.40"),
        ];
        let offered = all(&subnet("10.0.0.0/24", &ranges));
        let last: Vec<u8> = offered.iter().map(|a| a.octets()[3]).collect();
        assert_eq!(last, [4, 5, 10, 11, 12, 13, 14, 15, 20, 21, 22, 254]);
    }

    #[test]
    fn f059_an_exhausted_subnet_offers_none_instead_of_an_allocated_address() {
        let subnet = subnet("10.0.0.0/24", &[("10.0.0.10", "10.0.0.11")]);
        let taken = BTreeSet::from([ip("10.0.0.10")]);
        let mine = BTreeSet::from([ip("10.0.0.11")]);
        assert_eq!(first_free(&subnet, &BTreeSet::new(), &BTreeSet::new()), Some(ip("10.0.0.10")));
        assert_eq!(first_free(&subnet, &taken, &BTreeSet::new()), Some(ip("10.0.0.11")));
        assert_eq!(first_free(&subnet, &taken, &mine), None);
    }

    #[test]
    fn blocks_at_the_edges_of_the_address_space_do_not_overflow() {
        for cidr in ["0.0.0.0/28", "255.255.255.240/28"] {
            assert_eq!(all(&whole(cidr)).len(), 11, "{cidr}");
        }
        for cidr in ["10.0.0.8/30", "10.0.0.8/31", "10.0.0.8/32", "255.255.255.255/32"] {
            assert!(all(&whole(cidr)).is_empty(), "{cidr}");
        }
    }

    #[test]
    fn only_addresses_that_ec2_would_assign_are_assignable() {
        let cidr: Ipv4Net = "10.0.0.64/26".parse().unwrap();
        for reserved in ["10.0.0.64", "10.0.0.65", "10.0.0.66", "10.0.0.67", "10.0.0.127"] {
            assert!(!is_assignable(cidr, ip(reserved)), "{reserved}");
        }
        for outside in ["10.0.0.63", "10.0.0.128", "10.0.0.4", "0.0.0.0", "255.255.255.255"] {
            assert!(!is_assignable(cidr, ip(outside)), "{outside}");
        }
        for good in ["10.0.0.68", "10.0.0.100", "10.0.0.126"] {
            assert!(is_assignable(cidr, ip(good)), "{good}");
        }
    }

    /// Addresses in and around the block, so that ranges and sets often include its edges.
    fn near(cidr: Ipv4Net) -> impl Strategy<Value = Ipv4Addr> {
        let low = u32::from(cidr.network()).saturating_sub(8);
        let high = u32::from(cidr.broadcast()).saturating_add(8);
        (low..=high).prop_map(Ipv4Addr::from)
    }

    fn blocks() -> impl Strategy<Value = Ipv4Net> {
        (any::<u32>(), 20_u8..=32)
            .prop_map(|(bits, len)| Ipv4Net::new(Ipv4Addr::from(bits), len).unwrap().trunc())
    }

    type Allocation = (PoolSubnet, BTreeSet<Ipv4Addr>, BTreeSet<Ipv4Addr>);

    fn allocations() -> impl Strategy<Value = Allocation> {
        blocks().prop_flat_map(|cidr| {
            let ranges = prop::collection::vec((near(cidr), near(cidr)), 0..6);
            let allocated = prop::collection::btree_set(near(cidr), 0..40);
            let excluded = prop::collection::btree_set(near(cidr), 0..10);
            (ranges, allocated, excluded)
                .prop_map(move |(ranges, a, e)| (with_ranges(cidr, ranges), a, e))
        })
    }

    proptest! {
        #[test]
        fn f059_offers_every_free_address_exactly_once_and_nothing_else(
            (subnet, allocated, excluded) in allocations()
        ) {
            let offered: Vec<Ipv4Addr> = candidates(&subnet, &allocated, &excluded).collect();
            prop_assert_eq!(&offered, &by_definition(&subnet, &allocated, &excluded));
            prop_assert_eq!(first_free(&subnet, &allocated, &excluded), offered.first().copied());
            prop_assert!(offered.iter().all(|a| is_assignable(subnet.cidr, *a)));
        }

        #[test]
        fn f059_repeatedly_taking_the_first_free_address_hands_out_all_of_them(
            (subnet, allocated, excluded) in allocations()
        ) {
            let expected: BTreeSet<Ipv4Addr> =
                candidates(&subnet, &allocated, &excluded).take(64).collect();
            let mut taken = allocated.clone();
            let mut handed = BTreeSet::new();
            while let Some(address) = first_free(&subnet, &taken, &excluded) {
                prop_assert!(handed.insert(address), "{} was handed out twice", address);
                taken.insert(address);
                if handed.len() == 64 {
                    break;
                }
            }
            prop_assert_eq!(handed, expected);
        }
    }
}
