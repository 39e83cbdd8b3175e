//! The leader's lists of the cluster's interfaces in EC2, and what the Lease publishes of them.

use std::collections::BTreeSet;
use std::net::Ipv4Addr;
use std::time::Duration;

use firecamp_controllers::leader::{
    Ec2Observation, Effect, NodeReadiness, PassStep, Report, Terms, View, timing,
};
use firecamp_core::failure::CloudKind;
use firecamp_core::managed_interface::DescribedInterface;
use firecamp_core::record::State;

use super::super::support::{
    ADDRESS, ClusterFixture, MINUTE, address, attachment, claim, member, parsed,
};
use super::fixture::{Agent, Seen, observed};

fn listed(eni: &str, addresses: &[Ipv4Addr]) -> DescribedInterface {
    DescribedInterface {
        id: parsed(eni),
        addresses: addresses.iter().copied().collect(),
        prefixes: 0,
        attachment: None,
        record: None,
        cluster_uid: None,
    }
}

/// Member redis-0 is attached on node n1, which is ready.
fn attached() -> View {
    let mut view = ClusterFixture::with_member(State::Attached).view;
    view.nodes.insert(parsed("n1"), Some(NodeReadiness::Ready.into()));
    view
}

fn published(agent: &Agent) -> Ec2Observation {
    agent.lease.as_ref().unwrap().ec2.clone()
}

fn lists(seen: &Seen) -> Vec<Duration> {
    let list = |effect: &Effect| *effect == Effect::Start(PassStep::ListInterfaces);
    seen.iter().filter(|(_, effect)| list(effect)).map(|(at, _)| *at).collect()
}

#[test]
fn interfaces_of_the_cluster_are_listed_each_minute() {
    let mut agent = Agent::leading(&attached());
    agent.interfaces = Some(Ok(vec![listed("eni-0000000a", &[ADDRESS])]));
    let lists = lists(&agent.run(MINUTE * 10));
    assert!((9..=11).contains(&lists.len()), "{lists:?}");
    let apart = |pair: &[Duration]| pair[1].saturating_sub(pair[0]);
    assert!(lists.windows(2).all(|pair| apart(pair) >= timing::EC2_LIST_EVERY), "{lists:?}");
}

#[test]
fn each_list_is_published_with_the_next_renewal_and_grows_the_counter() {
    let mut agent = Agent::leading(&attached());
    agent.interfaces = Some(Ok(vec![listed("eni-0000000a", &[ADDRESS])]));
    agent.run(MINUTE / 2);
    let nodes = u32::try_from(attached().nodes.len()).unwrap();
    let first = Ec2Observation { count: 1, nodes, ..Ec2Observation::default() };
    assert_eq!(published(&agent), first);
    agent.run(MINUTE);
    assert_eq!(published(&agent), Ec2Observation { count: 2, ..first });
}

#[test]
fn address_on_another_eni_or_on_none_is_named() {
    let there = listed("eni-0000000a", &[ADDRESS]);
    for (interfaces, named) in [
        (vec![there.clone()], false),
        (vec![listed("eni-0000000b", &[ADDRESS]), listed("eni-0000000a", &[])], true),
        (vec![listed("eni-0000000b", &[])], true),
        (Vec::new(), true),
    ] {
        let mut agent = Agent::leading(&attached());
        agent.interfaces = Some(Ok(interfaces));
        agent.run(MINUTE / 2);
        let expected = if named { BTreeSet::from([ADDRESS]) } else { BTreeSet::new() };
        assert_eq!(published(&agent).misplaced, expected);
        agent.interfaces = Some(Ok(vec![there.clone()]));
        agent.run(MINUTE * 2);
        assert_eq!(published(&agent).misplaced, BTreeSet::new(), "it is back");
    }
}

#[test]
fn addresses_that_no_agent_can_assign_again_are_not_named() {
    let parked = ClusterFixture::with_member(State::Parked).view;
    let mut lost = attached();
    lost.nodes.insert(parsed("n1"), Some(NodeReadiness::NotReady.into()));
    let mut unreadable = attached();
    unreadable.addresses.insert(ADDRESS, None);
    for view in [parked, lost, unreadable] {
        let mut agent = Agent::leading(&view);
        agent.interfaces = Some(Ok(Vec::new()));
        agent.run(MINUTE / 2);
        assert_eq!((published(&agent).count, published(&agent).misplaced.len()), (1, 0));
    }
}

#[test]
fn many_misplaced_addresses_are_named_in_turns_one_of_each_node() {
    let mut view = attached();
    view.addresses.clear();
    let all: Vec<Ipv4Addr> = (50..200).map(|last| Ipv4Addr::new(10, 0, 1, last)).collect();
    for (number, at) in (0..).zip(&all) {
        let name = format!("redis-{number}");
        // Two on each node, of which each list names one.
        let node = format!("n{}", number / 2);
        view.nodes.insert(parsed(&node), Some(NodeReadiness::Ready.into()));
        let held = attachment(State::Attached, "pod", &node);
        view.addresses.insert(*at, Some(address(*at, &name, Some(held)).into()));
        view.claims.insert(member(&name), Some(claim(&name, Some(*at), None).into()));
    }
    let mut agent = Agent::leading(&view);
    agent.interfaces = Some(Ok(Vec::new()));
    let mut named = BTreeSet::new();
    for _ in 0..6 {
        agent.run(MINUTE);
        let misplaced = published(&agent).misplaced;
        assert_eq!(misplaced.len(), 60, "one query a second");
        let nodes: BTreeSet<u8> = misplaced.iter().map(|at| (at.octets()[3] - 50) / 2).collect();
        assert_eq!(nodes.len(), 60, "one query answers for all addresses of a node");
        named.extend(misplaced);
    }
    assert_eq!(named, all.into_iter().collect());
}

#[test]
fn throttled_list_counts_and_names_nothing_and_another_failure_does_not_count() {
    let mut agent = Agent::leading(&attached());
    agent.interfaces = Some(Ok(Vec::new()));
    agent.run(MINUTE / 2);
    let first = published(&agent);
    agent.interfaces = Some(Err(CloudKind::Throttled));
    agent.run(MINUTE);
    let throttled = Ec2Observation { count: 2, throttled: true, misplaced: [].into(), ..first };
    assert_eq!(published(&agent), throttled);
    for failure in [None, Some(Err(CloudKind::Transient)), Some(Err(CloudKind::Auth))] {
        agent.interfaces = failure;
        agent.run(MINUTE * 2);
        assert_eq!(published(&agent), throttled);
    }
    agent.interfaces = Some(Ok(vec![listed("eni-0000000a", &[ADDRESS])]));
    agent.run(MINUTE * 2);
    assert!(published(&agent).count > 2 && !published(&agent).throttled);
}

#[test]
fn new_leader_counts_on_from_the_last_one() {
    let mut agent = Agent::new();
    let last = Ec2Observation { count: 41, nodes: 9, ..Ec2Observation::default() };
    let terms = Terms {
        holder: None,
        duration: timing::LEASE,
        transitions: 1,
        acquired: None,
        ec2: last.clone(),
    };
    agent.lease = Some(observed(terms, 7));
    let seen = agent.run(Duration::ZERO);
    let read = Effect::Report(Report::LeaseRead(Ok(Some(last.clone()))));
    assert!(seen.iter().any(|(_, effect)| *effect == read), "{seen:?}");
    assert_eq!(published(&agent), last, "it has observed nothing itself");
    agent.list(&attached());
    agent.interfaces = Some(Ok(vec![listed("eni-0000000a", &[ADDRESS])]));
    agent.run(MINUTE / 2);
    assert_eq!(published(&agent).count, 42);
}
