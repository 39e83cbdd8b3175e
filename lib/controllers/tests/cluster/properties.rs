//! What holds of every plan, whatever the cluster looks like.

use std::net::Ipv4Addr;

use firecamp_controllers::leader::{Duty, NodeLife, PodSeen};
use firecamp_core::outside::{Life, PodView};
use firecamp_core::record::State;
use proptest::prelude::*;

use super::support::{MINUTE, Town, address, attachment, claim, member, owner, parsed};

/// What a read of the pod said.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum PodIs {
    Unread,
    Gone,
    There(Life),
}

/// What the list of claims said.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum ClaimIs {
    Gone,
    Unread,
    Unbound,
    Bound,
}

/// One member and all that matters of it.
#[derive(Debug, Clone)]
struct One {
    state: Option<State>,
    node: Option<NodeLife>,
    pod: PodIs,
    same_pod: bool,
    claim: ClaimIs,
    owned: bool,
    held: Option<bool>,
    readable: bool,
    deleted: bool,
}

fn states() -> impl Strategy<Value = Option<State>> {
    use State::{Attached, Attaching, Parked, Released, Releasing};
    prop_oneof![
        Just(None),
        prop::sample::select(vec![Attaching, Attached, Parked, Releasing, Released]).prop_map(Some)
    ]
}

fn one() -> impl Strategy<Value = One> {
    let node = prop::sample::select(vec![
        None,
        Some(NodeLife::Ready),
        Some(NodeLife::NotReady),
        Some(NodeLife::OutOfService),
    ]);
    let pod = prop::sample::select(vec![
        PodIs::Unread,
        PodIs::Gone,
        PodIs::Gone,
        PodIs::There(Life::Running),
        PodIs::There(Life::Terminating(None)),
        PodIs::There(Life::Terminal),
    ]);
    let claims = prop::sample::select(vec![
        ClaimIs::Gone,
        ClaimIs::Unread,
        ClaimIs::Unbound,
        ClaimIs::Bound,
        ClaimIs::Bound,
    ]);
    (
        states(),
        node,
        pod,
        any::<bool>(),
        claims,
        any::<bool>(),
        any::<Option<bool>>(),
        any::<bool>(),
        any::<bool>(),
    )
        .prop_map(|(state, node, pod, same_pod, claim, owned, held, readable, deleted)| One {
            state,
            node,
            pod,
            same_pod,
            claim,
            owned,
            held,
            readable: readable || same_pod,
            deleted,
        })
}

fn name(index: usize) -> String {
    format!("redis-{index}")
}

fn at(index: usize) -> Ipv4Addr {
    Ipv4Addr::new(10, 0, 1, 50 + u8::try_from(index).unwrap())
}

fn town(all: &[One], replicas: Option<u32>) -> Town {
    let mut town = Town::new();
    if let Some(replicas) = replicas {
        town.set("set-1", replicas);
    }
    for (index, one) in all.iter().enumerate() {
        let (name, address_of, node) = (name(index), at(index), format!("n{index}"));
        if let Some(life) = one.node {
            town.view.nodes.insert(parsed(&node), Some(life.into()));
        }
        let attachment = one.state.map(|state| attachment(state, "pod-1", &node));
        let mut seen = address(address_of, &name, attachment);
        seen.id.deleting = one.deleted;
        town.put(seen);
        if !one.readable {
            town.view.addresses.insert(address_of, None);
        }
        let owner_of = one.owned.then(|| owner("set-1"));
        match one.claim {
            ClaimIs::Gone => {}
            ClaimIs::Unread => drop(town.view.claims.insert(member(&name), None)),
            ClaimIs::Unbound => town.claim(claim(&name, None, owner_of)),
            ClaimIs::Bound => town.claim(claim(&name, Some(address_of), owner_of)),
        }
        let view = match one.pod {
            PodIs::Unread => None,
            PodIs::Gone => Some(PodView::Absent),
            PodIs::There(life) => {
                let uid = if one.same_pod { "pod-1" } else { "pod-2" };
                Some(PodView::Present { pod: parsed(uid), node: None, life, controller: None })
            }
        };
        if let Some(view) = view {
            town.pod(&name, PodSeen { view, controller: Some(owner("set-1")) });
        }
        if let Some(held) = one.held {
            town.answers.held.insert(address_of, held);
        }
    }
    town
}

fn lives(one: &One) -> bool {
    one.same_pod && matches!(one.pod, PodIs::There(Life::Running | Life::Terminating(_)))
}

fn is_held(one: &One) -> bool {
    matches!(one.state, Some(State::Attaching | State::Attached | State::Releasing))
}

fn check(all: &[One], duty: &Duty) -> Result<(), TestCaseError> {
    let index = |wanted: &Ipv4Addr| (0..all.len()).find(|it| at(*it) == *wanted).unwrap();
    match duty {
        Duty::Release { address, .. } => {
            let one = &all[index(address)];
            prop_assert!(one.pod != PodIs::Unread && !lives(one), "a live pod loses {address}");
            prop_assert!(one.held.is_some(), "EC2 was not asked about {address}");
            prop_assert!(one.readable && is_held(one));
            let alone = one.node == Some(NodeLife::Ready) && one.claim != ClaimIs::Gone;
            prop_assert!(!alone, "the agent of its node releases {address}");
        }
        Duty::DropClaim { member: whose, .. } => {
            let position = (0..all.len()).find(|it| member(&name(*it)) == *whose);
            let one = &all[position.unwrap()];
            prop_assert_eq!(one.pod, PodIs::Gone, "the pod of {} is not gone", whose);
            prop_assert!(one.owned, "nobody knows whose claim {whose} is");
            let named = one.claim == ClaimIs::Bound;
            prop_assert!(!named || (one.readable && !is_held(one)), "{whose} is held");
        }
        Duty::Unassign { address, .. } | Duty::DropAddress { address, .. } => {
            let one = &all[index(address)];
            let unneeded = one.deleted || one.claim == ClaimIs::Gone;
            prop_assert!(one.readable && unneeded, "{address} is claimed");
            prop_assert!(!matches!(one.state, Some(State::Attaching | State::Attached)));
            let again = one.deleted && matches!(duty, Duty::DropAddress { .. });
            prop_assert!(!again, "{address} is deleted twice");
        }
        Duty::FreeAddress { address, .. } => {
            let one = &all[index(address)];
            prop_assert!(one.readable && one.deleted, "nobody deleted {address}");
            prop_assert!(matches!(one.state, None | Some(State::Released)), "in EC2: {address}");
        }
        Duty::EndWait { member, .. } => prop_assert!(false, "{member} waits for nothing"),
        Duty::Own { .. }
        | Duty::TellAddress { .. }
        | Duty::TellClaim { .. }
        | Duty::TellPool { .. } => {}
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn nothing_is_lost_that_somebody_holds_wants_or_may_hold(
        all in prop::collection::vec(one(), 1..6),
        replicas in prop::option::of(0u32..6),
    ) {
        let mut town = town(&all, replicas);
        for duty in town.during(MINUTE * 12) {
            check(&all, &duty)?;
        }
    }

    #[test]
    fn one_pass_alone_loses_nothing(
        all in prop::collection::vec(one(), 1..6),
        replicas in prop::option::of(0u32..6),
    ) {
        let duties = town(&all, replicas).after(MINUTE * 60);
        let harmless = |duty: &Duty| matches!(duty, Duty::Own { .. });
        prop_assert!(duties.iter().all(harmless), "{:?}", duties);
    }

    #[test]
    fn a_plan_is_the_same_for_the_same_cluster(
        all in prop::collection::vec(one(), 1..6),
        replicas in prop::option::of(0u32..6),
    ) {
        let run = || town(&all, replicas).during(MINUTE * 12);
        prop_assert_eq!(run(), run());
    }

    #[test]
    fn what_is_wanted_and_answers_is_left_alone(count in 1usize..6) {
        let mut fleet = Town::new();
        fleet.set("set-1", 6);
        for index in 0..count {
            let (name, node) = (name(index), format!("n{index}"));
            fleet.view.nodes.insert(parsed(&node), Some(NodeLife::Ready.into()));
            fleet.put(address(at(index), &name, Some(attachment(State::Attached, "pod-1", &node))));
            fleet.claim(claim(&name, Some(at(index)), Some(owner("set-1"))));
        }
        prop_assert!(fleet.planner.ask(&fleet.view, &fleet.site).pods.is_empty());
        prop_assert!(fleet.during(MINUTE * 12).is_empty());
    }
}
