//! A large cluster: what there is much of holds up nothing else.

use std::collections::BTreeSet;
use std::net::Ipv4Addr;

use firecamp_controllers::leader::{Duty, NodeLife};
use firecamp_core::record::State;
use firecamp_registry::api::ReclaimPolicy;

use super::support::{MINUTE, Town, address, attachment, claim, gone, live, member, owner, parsed};

const CROWD: u8 = 120;

/// An address of the crowd, and its member's name.
fn one(index: u8) -> (Ipv4Addr, String) {
    (Ipv4Addr::new(10, 0, 1, 60 + index), format!("redis-{index}"))
}

/// An address of a member on this node, whose pod is gone, and its machine, too.
fn lost(town: &mut Town, at: Ipv4Addr, name: &str, node: &str) {
    town.put(address(at, name, Some(attachment(State::Attached, &format!("pod-{name}"), node))));
    town.claim(claim(name, Some(at), None));
    town.pod(name, gone());
    town.answers.held.insert(at, false);
}

fn addresses(duties: &[Duty]) -> BTreeSet<Ipv4Addr> {
    let address = |duty: &Duty| match duty {
        Duty::Release { address, .. }
        | Duty::Unassign { address, .. }
        | Duty::DropAddress { address, .. }
        | Duty::FreeAddress { address, .. }
        | Duty::TellAddress { address, .. } => Some(*address),
        Duty::Own { .. }
        | Duty::DropClaim { .. }
        | Duty::EndWait { .. }
        | Duty::TellClaim { .. }
        | Duty::TellPool { .. } => None,
    };
    duties.iter().filter_map(address).collect()
}

#[test]
fn f077_pods_that_stay_on_record_at_a_dead_node_keep_no_other_address_from_its_release() {
    let mut town = Town::new();
    town.view.nodes.insert(parsed("dead"), Some(NodeLife::NotReady.into()));
    for (at, name) in (0..CROWD).map(one) {
        lost(&mut town, at, &name, "dead");
        town.pod(&name, live(&format!("pod-{name}"), None));
    }
    let last = Ipv4Addr::new(10, 0, 1, 250);
    lost(&mut town, last, "kafka-0", "gone");
    let asked = town.planner.ask(&town.view, &town.site);
    assert!(asked.owners.len() < usize::from(CROWD), "EC2 is asked about some of them at a time");
    let released = addresses(&town.during(MINUTE * 10));
    assert_eq!(released, BTreeSet::from([last]));
}

#[test]
fn each_address_of_a_dead_node_is_released_within_minutes() {
    let mut town = Town::new();
    for (at, name) in (0..50).map(one) {
        lost(&mut town, at, &name, "gone");
    }
    let released = addresses(&town.during(MINUTE * 5));
    assert_eq!(released.len(), 50);
}

#[test]
fn orphans_hold_up_neither_releases_nor_pools_and_each_is_told_of() {
    let mut town = Town::new();
    let many: Vec<Ipv4Addr> = (0..450_u32)
        .map(|index| Ipv4Addr::from(u32::from(Ipv4Addr::new(10, 0, 2, 0)) + index))
        .collect();
    for at in &many {
        let name = format!("gone-{}", u32::from(*at));
        town.put(address(*at, &name, Some(attachment(State::Parked, "pod-x", "here"))));
    }
    let dead = Ipv4Addr::new(10, 0, 9, 9);
    lost(&mut town, dead, "redis-0", "gone");
    let pool = town.view.pools.get_mut(&parsed("pool")).unwrap().as_mut().unwrap();
    pool.reclaim = ReclaimPolicy::Retain;
    let (mut met, mut last) = (BTreeSet::new(), Vec::new());
    for _ in 0..12 {
        town.now = town.now.plus(MINUTE);
        last = town.pass();
        assert!(last.len() < 260, "a pass is bounded: {} duties", last.len());
        met.extend(addresses(&last));
    }
    assert!(matches!(last.first(), Some(Duty::Release { address, .. }) if *address == dead));
    let pools = last.iter().position(|duty| matches!(duty, Duty::TellPool { .. }));
    let told = last.iter().position(|duty| matches!(duty, Duty::TellAddress { .. }));
    assert!(pools.is_some() && pools < told, "pools come before what there may be much of");
    assert_eq!(met.len(), many.len() + 1, "and none waits for another one");
}

#[test]
fn orphans_leave_ec2_some_at_a_time() {
    let mut town = Town::new();
    for (at, name) in (0..CROWD).map(one) {
        town.put(address(at, &name, Some(attachment(State::Parked, "pod-x", "here"))));
    }
    let (mut met, mut most) = (BTreeSet::new(), 0);
    for _ in 0..8 {
        let duties = town.after(MINUTE);
        assert!(duties.iter().all(|duty| matches!(duty, Duty::Unassign { .. })), "{duties:?}");
        most = most.max(duties.len());
        met.extend(addresses(&duties));
    }
    assert_eq!((met.len(), most), (usize::from(CROWD), 50));
}

#[test]
fn claims_that_nobody_wants_go_though_other_pods_cannot_be_read() {
    let mut town = Town::new();
    let names: Vec<String> = (0..700).map(|index| format!("redis-{index}")).collect();
    for name in &names {
        town.claim(claim(name, None, Some(owner("set-1"))));
    }
    let last = names.last().unwrap();
    town.pod(last, gone());
    let dropped: BTreeSet<_> = town
        .during(MINUTE * 6)
        .into_iter()
        .filter_map(|duty| {
            let Duty::DropClaim { member, .. } = duty else { return None };
            Some(member)
        })
        .collect();
    assert_eq!(dropped, BTreeSet::from([member(last)]));
}
