//! Properties of every plan, for any state of the cluster.

use std::net::Ipv4Addr;

use firecamp_controllers::leader::{NodeReadiness, ObservedPod, Operation};
use firecamp_core::ports::{PodLifecycle, PodView};
use firecamp_core::record::State;
use proptest::prelude::*;

use super::support::{ClusterFixture, MINUTE, address, attachment, claim, member, owner, parsed};

/// The result of a read of the pod.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum PodIs {
    Unread,
    Gone,
    There(PodLifecycle),
}

/// The claim in the list of claims.
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
    node: Option<NodeReadiness>,
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
        Some(NodeReadiness::Ready),
        Some(NodeReadiness::NotReady),
        Some(NodeReadiness::OutOfService),
    ]);
    let pod = prop::sample::select(vec![
        PodIs::Unread,
        PodIs::Gone,
        PodIs::Gone,
        PodIs::There(PodLifecycle::Running),
        PodIs::There(PodLifecycle::Terminating(None)),
        PodIs::There(PodLifecycle::Terminal),
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

fn fixture(all: &[One], replicas: Option<u32>) -> ClusterFixture {
    let mut fixture = ClusterFixture::new();
    if let Some(replicas) = replicas {
        fixture.set("set-1", replicas);
    }
    for (index, one) in all.iter().enumerate() {
        let (name, address_of, node) = (name(index), at(index), format!("n{index}"));
        if let Some(lifecycle) = one.node {
            fixture.view.nodes.insert(parsed(&node), Some(lifecycle.into()));
        }
        let attachment = one.state.map(|state| attachment(state, "pod-1", &node));
        let mut seen = address(address_of, &name, attachment);
        seen.id.deleting = one.deleted;
        fixture.put(seen);
        if !one.readable {
            fixture.view.addresses.insert(address_of, None);
        }
        let owner_of = one.owned.then(|| owner("set-1"));
        match one.claim {
            ClaimIs::Gone => {}
            ClaimIs::Unread => drop(fixture.view.claims.insert(member(&name), None)),
            ClaimIs::Unbound => fixture.claim(claim(&name, None, owner_of)),
            ClaimIs::Bound => fixture.claim(claim(&name, Some(address_of), owner_of)),
        }
        let view = match one.pod {
            PodIs::Unread => None,
            PodIs::Gone => Some(PodView::Absent),
            PodIs::There(lifecycle) => {
                let uid = if one.same_pod { "pod-1" } else { "pod-2" };
                Some(PodView::Present { pod: parsed(uid), node: None, lifecycle, controller: None })
            }
        };
        if let Some(view) = view {
            fixture.pod(&name, ObservedPod { view, controller: Some(owner("set-1")) });
        }
        if let Some(held) = one.held {
            fixture.answers.held.insert(address_of, held);
        }
    }
    fixture
}

fn lives(one: &One) -> bool {
    one.same_pod
        && matches!(one.pod, PodIs::There(PodLifecycle::Running | PodLifecycle::Terminating(_)))
}

fn is_held(one: &One) -> bool {
    matches!(one.state, Some(State::Attaching | State::Attached | State::Releasing))
}

fn check(all: &[One], operation: &Operation) -> Result<(), TestCaseError> {
    let index = |wanted: &Ipv4Addr| (0..all.len()).find(|it| at(*it) == *wanted).unwrap();
    match operation {
        Operation::Release { address, .. } => {
            let one = &all[index(address)];
            prop_assert!(one.pod != PodIs::Unread && !lives(one), "a live pod loses {address}");
            prop_assert!(one.held.is_some(), "EC2 was not queried for {address}");
            prop_assert!(one.readable && is_held(one));
            let alone = one.node == Some(NodeReadiness::Ready) && one.claim != ClaimIs::Gone;
            prop_assert!(!alone, "the agent of its node releases {address}");
        }
        Operation::DeleteClaim { member: whose, .. } => {
            let position = (0..all.len()).find(|it| member(&name(*it)) == *whose);
            let one = &all[position.unwrap()];
            prop_assert_eq!(one.pod, PodIs::Gone, "the pod of {} is not gone", whose);
            prop_assert!(one.owned, "no owner is known of claim {whose} is");
            let named = one.claim == ClaimIs::Bound;
            prop_assert!(!named || (one.readable && !is_held(one)), "{whose} is held");
        }
        Operation::Unassign { address, .. } | Operation::DeleteStaticIp { address, .. } => {
            let one = &all[index(address)];
            let unneeded = one.deleted || one.claim == ClaimIs::Gone;
            prop_assert!(one.readable && unneeded, "{address} is claimed");
            prop_assert!(!matches!(one.state, Some(State::Attaching | State::Attached)));
            let again = one.deleted && matches!(operation, Operation::DeleteStaticIp { .. });
            prop_assert!(!again, "{address} is deleted twice");
        }
        Operation::RemoveFinalizer { address, .. } => {
            let one = &all[index(address)];
            prop_assert!(one.readable && one.deleted, "not deleted: {address}");
            prop_assert!(matches!(one.state, None | Some(State::Released)), "in EC2: {address}");
        }
        Operation::ClearVolumeWait { member, .. } => {
            prop_assert!(false, "{member} waits for nothing");
        }
        Operation::RemoveZoneGate { member, .. } | Operation::ReportZoneConflict { member, .. } => {
            prop_assert!(false, "{member} has no gate");
        }
        Operation::DrainInterface(_)
        | Operation::DetachInterface { .. }
        | Operation::DeleteInterface(_) => prop_assert!(false, "there is no interface"),
        Operation::RecordOwner { .. }
        | Operation::UpdateStaticIpStatus { .. }
        | Operation::UpdateClaimStatus { .. }
        | Operation::UpdatePoolStatus { .. } => {}
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn nothing_held_needed_or_possibly_held_is_removed(
        all in prop::collection::vec(one(), 1..6),
        replicas in prop::option::of(0u32..6),
    ) {
        let mut fixture = fixture(&all, replicas);
        for operation in fixture.during(MINUTE * 12) {
            check(&all, &operation)?;
        }
    }

    #[test]
    fn a_single_pass_removes_nothing(
        all in prop::collection::vec(one(), 1..6),
        replicas in prop::option::of(0u32..6),
    ) {
        let operations = fixture(&all, replicas).after(MINUTE * 60);
        let harmless = |operation: &Operation| matches!(operation, Operation::RecordOwner { .. });
        prop_assert!(operations.iter().all(harmless), "{:?}", operations);
    }

    #[test]
    fn a_plan_is_the_same_for_the_same_cluster(
        all in prop::collection::vec(one(), 1..6),
        replicas in prop::option::of(0u32..6),
    ) {
        let run = || fixture(&all, replicas).during(MINUTE * 12);
        prop_assert_eq!(run(), run());
    }

    #[test]
    fn needed_claims_on_ready_nodes_are_left_alone(count in 1usize..6) {
        let mut fleet = ClusterFixture::new();
        fleet.set("set-1", 6);
        for index in 0..count {
            let (name, node) = (name(index), format!("n{index}"));
            fleet.view.nodes.insert(parsed(&node), Some(NodeReadiness::Ready.into()));
            fleet.put(address(at(index), &name, Some(attachment(State::Attached, "pod-1", &node))));
            fleet.claim(claim(&name, Some(at(index)), Some(owner("set-1"))));
        }
        prop_assert!(fleet.planner.ask(&fleet.view, &fleet.site).pods.is_empty());
        prop_assert!(fleet.during(MINUTE * 12).is_empty());
    }
}
