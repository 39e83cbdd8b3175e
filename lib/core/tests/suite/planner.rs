//! The agent's planner, one observation at a time: what it does, and what it must leave alone.

mod reassert;

use std::collections::BTreeSet;
use std::net::Ipv4Addr;
use std::time::Duration;

use firecamp_core::agent::{
    AddressReadings, Memory, Observation, ObservedAddress, Operation, plan,
};
use firecamp_core::ids::{EniId, Epoch, Member, NodeName, PodUid};
use firecamp_core::lock_rule::{Hold, LockRecord};
use firecamp_core::ports::{Holder, KernelTarget, KernelView, PodLifecycle, PodView};
use firecamp_core::record::{Attachment, State, StaticIp};
use firecamp_core::release::Releaser;
use firecamp_core::time::Moment;

const ADDRESS: Ipv4Addr = Ipv4Addr::new(10, 0, 1, 50);

fn parsed<T: std::str::FromStr<Err: std::fmt::Debug>>(text: &str) -> T {
    text.parse().expect("a well formed identifier")
}

fn eni() -> EniId {
    parsed("eni-0000000a")
}

/// `uid` at epoch 5 in this state on this node.
fn record(state: State, uid: &str, node: &str) -> StaticIp {
    StaticIp {
        address: ADDRESS,
        pool: parsed("pool"),
        subnet: parsed("subnet-0000000a"),
        cidr: parsed("10.0.1.0/24"),
        zone: parsed("us-east-1a"),
        member: Member::new("demo", "redis-0").expect("a member"),
        epoch: Epoch(5),
        attachment: Some(Attachment {
            state,
            pod: parsed(uid),
            node: parsed(node),
            eni: Some(eni()),
            run: parsed("run"),
            served: true,
        }),
        reserved_on: Some(eni()),
        pending_mutations: BTreeSet::new(),
    }
}

fn pod(uid: &str, lifecycle: PodLifecycle) -> PodView {
    let node: NodeName = parsed("here");
    PodView::Present { pod: parsed::<PodUid>(uid), node: Some(node), lifecycle, controller: None }
}

fn held(uid: &str, epoch: u64) -> LockRecord {
    LockRecord { holder: holder(uid, epoch), hold: Hold::Held }
}

fn holder(uid: &str, epoch: u64) -> Holder {
    Holder { pod: parsed(uid), epoch: Epoch(epoch) }
}

/// Attached here by a live pod, in the kernel, and EC2 agrees.
fn calm() -> ObservedAddress {
    ObservedAddress {
        record: record(State::Attached, "u1", "here"),
        lock: Some(held("u1", 5)),
        in_kernel: true,
        missing: None,
        pod: pod("u1", PodLifecycle::Running),
        misplaced: None,
        reasserted: None,
    }
}

fn target() -> KernelTarget {
    KernelTarget { address: ADDRESS, mac: parsed("06:00:00:00:00:01"), routing: None }
}

/// Attached here, and another program has removed it from the kernel.
fn stripped() -> ObservedAddress {
    ObservedAddress { in_kernel: false, missing: Some(target()), ..calm() }
}

fn now() -> Moment {
    Moment(Duration::from_secs(1_000))
}

fn operations(seen: ObservedAddress) -> Vec<Operation> {
    let observation = Observation {
        node: parsed("here"),
        cluster: parsed("test"),
        gone: [parsed("dead")].into(),
        addresses: vec![seen],
    };
    plan(&observation, now())
}

fn release(by: Releaser) -> Vec<Operation> {
    let member = Member::new("demo", "redis-0").expect("a member");
    vec![Operation::Release { member, pod: parsed("u1"), by }]
}

#[test]
fn a_healthy_address_needs_no_operation() {
    assert_eq!(operations(calm()), []);
}

#[test]
fn f032_a_node_withdraws_for_a_later_epoch_elsewhere() {
    let record = StaticIp { epoch: Epoch(6), ..record(State::Attaching, "u2", "there") };
    let found =
        operations(ObservedAddress { record, pod: pod("u2", PodLifecycle::Running), ..calm() });
    assert_eq!(found, [Operation::Withdraw { address: ADDRESS, holder: holder("u1", 5) }]);
}

#[test]
fn an_address_that_was_released_during_an_outage_is_withdrawn() {
    let found =
        operations(ObservedAddress { record: record(State::Parked, "u1", "here"), ..calm() });
    assert_eq!(found, [Operation::Withdraw { address: ADDRESS, holder: holder("u1", 5) }]);
}

#[test]
fn an_attach_in_progress_on_this_node_corrects_the_kernel_itself() {
    let record = StaticIp { epoch: Epoch(6), ..record(State::Attaching, "u2", "here") };
    assert_eq!(
        operations(ObservedAddress { record, pod: pod("u2", PodLifecycle::Running), ..calm() }),
        []
    );
}

#[test]
fn f080_a_record_behind_this_node_s_own_proves_nothing() {
    let record = StaticIp { epoch: Epoch(4), ..record(State::Attached, "u0", "there") };
    assert_eq!(operations(ObservedAddress { record, ..calm() }), []);
}

#[test]
fn f026_the_agent_releases_for_a_pod_that_is_gone() {
    assert_eq!(
        operations(ObservedAddress { pod: PodView::Absent, ..calm() }),
        release(Releaser::Agent)
    );
    let successor = pod("u2", PodLifecycle::Running);
    assert_eq!(operations(ObservedAddress { pod: successor, ..calm() }), release(Releaser::Agent));
    let ended = pod("u1", PodLifecycle::Terminal);
    assert_eq!(operations(ObservedAddress { pod: ended, ..calm() }), release(Releaser::Agent));
}

#[test]
fn an_unfinished_unassign_of_a_stop_container_is_finished() {
    let left = |pod| ObservedAddress {
        record: record(State::Releasing, "u1", "here"),
        lock: None,
        in_kernel: false,
        pod,
        ..calm()
    };
    assert_eq!(operations(left(PodView::Absent)), release(Releaser::Agent));
    let ending = pod("u1", PodLifecycle::Terminating(None));
    assert_eq!(operations(left(ending)), []);
}

#[test]
fn f027_a_terminating_pod_is_left_to_its_stop_container() {
    let ending = pod("u1", PodLifecycle::Terminating(Some(Duration::from_secs(20))));
    assert_eq!(operations(ObservedAddress { pod: ending, ..calm() }), []);
}

#[test]
fn a_vouched_pod_is_never_released_for() {
    assert_eq!(operations(ObservedAddress { pod: PodView::Vouched, ..calm() }), []);
}

#[test]
fn f077_the_leader_releases_only_for_lost_nodes() {
    let away = |node| ObservedAddress {
        record: record(State::Attached, "u1", node),
        lock: None,
        in_kernel: false,
        pod: PodView::Absent,
        ..calm()
    };
    assert_eq!(operations(away("there")), []);
    assert_eq!(operations(away("dead")), release(Releaser::AgentElsewhere));
}

#[test]
fn an_address_attached_elsewhere_is_left_to_the_agent_there() {
    for (misplaced, missing) in [(Some(now()), None), (None, Some(target()))] {
        let record = record(State::Attached, "u1", "there");
        let (lock, in_kernel) = (None, false);
        let seen = ObservedAddress { record, lock, in_kernel, misplaced, missing, ..calm() };
        assert_eq!(operations(seen), []);
    }
}

#[test]
fn f063_a_stripped_address_is_restored_for_its_holder() {
    let restore = Operation::Restore { target: target(), holder: holder("u1", 5) };
    assert_eq!(operations(stripped()), std::slice::from_ref(&restore));
    let routing_only = ObservedAddress { in_kernel: true, ..stripped() };
    assert_eq!(operations(routing_only), std::slice::from_ref(&restore));
    let lost = ObservedAddress { misplaced: Some(now()), ..stripped() };
    assert_eq!(operations(lost), std::slice::from_ref(&restore), "the kernel comes first");
    let ending = pod("u1", PodLifecycle::Terminating(None));
    assert_eq!(
        operations(ObservedAddress { pod: ending, ..stripped() }),
        [restore],
        "it drains until its stop container runs"
    );
}

#[test]
fn an_address_that_a_stop_container_removed_is_not_restored() {
    let released = LockRecord { holder: holder("u1", 5), hold: Hold::Released };
    assert_eq!(operations(ObservedAddress { lock: Some(released), ..stripped() }), []);
    assert_eq!(
        operations(ObservedAddress { lock: None, ..stripped() }),
        [],
        "nor one without a recorded holder"
    );
}

#[test]
fn an_address_of_another_epoch_is_not_restored() {
    for lock in [held("u1", 4), held("u1", 6), held("u2", 5)] {
        assert_eq!(
            operations(ObservedAddress { lock: Some(lock.clone()), ..stripped() }),
            [],
            "{lock:?}"
        );
    }
    let record = StaticIp { epoch: Epoch(6), ..record(State::Attached, "u2", "there") };
    let moved = ObservedAddress { record, pod: pod("u2", PodLifecycle::Running), ..stripped() };
    let withdraws = Operation::Withdraw { address: ADDRESS, holder: holder("u1", 5) };
    assert_eq!(operations(moved), [withdraws]);
}

#[test]
fn only_an_attached_record_of_this_node_is_restored() {
    let attaching = record(State::Attaching, "u1", "here");
    assert_eq!(
        operations(ObservedAddress { record: attaching, ..stripped() }),
        [],
        "its attach adds it"
    );
    for state in [State::Parked, State::Releasing, State::Released] {
        let found =
            operations(ObservedAddress { record: record(state, "u1", "here"), ..stripped() });
        assert!(
            !found.iter().any(|operation| matches!(operation, Operation::Restore { .. })),
            "{state:?}"
        );
    }
    let gone = ObservedAddress { pod: PodView::Absent, ..stripped() };
    assert_eq!(operations(gone), release(Releaser::Agent), "there is no pod to restore it for");
}

fn whole() -> KernelView {
    let link = Some("eth0".to_owned());
    KernelView { link, link_up: true, address: true, routing: true, ..KernelView::default() }
}

/// The observation of a healthy address with this kernel and this answer of EC2.
fn reported(view: KernelView, in_place: Option<bool>, memory: &mut Memory) -> ObservedAddress {
    let calm = calm();
    let look = AddressReadings {
        record: &calm.record,
        lock: calm.lock.as_ref(),
        in_kernel: true,
        kernel: Some((target(), view)),
        pod: calm.pod.clone(),
        in_place,
    };
    let mut observation = Observation::new(parsed("here"), parsed("test"), BTreeSet::new());
    observation.add(look, memory, now());
    observation.addresses.pop().expect("it concerns this node")
}

#[test]
fn each_missing_kernel_part_is_reported_unless_the_link_is_missing() {
    let missing = |view| reported(view, None, &mut Memory::default()).missing;
    assert_eq!(missing(whole()), None);
    let parts = [
        KernelView { address: false, ..whole() },
        KernelView { routing: false, ..whole() },
        KernelView { link_up: false, ..whole() },
    ];
    for part in parts {
        assert_eq!(missing(part.clone()), Some(target()), "{part:?}");
    }
    assert_eq!(missing(KernelView { link: None, address: false, ..whole() }), None);
}

#[test]
fn an_agent_checks_again_after_it_reported_health() {
    let mut memory = Memory::default();
    assert_eq!(reported(whole(), None, &mut memory).missing, None);
    let bare = KernelView { address: false, ..whole() };
    assert_eq!(reported(bare, None, &mut memory).missing, Some(target()));
}

#[test]
fn f037_a_missing_answer_neither_starts_nor_ends_a_loss() {
    let mut memory = Memory::default();
    assert_eq!(reported(whole(), None, &mut memory).misplaced, None);
    assert_eq!(reported(whole(), Some(false), &mut memory).misplaced, Some(now()));
    assert_eq!(reported(whole(), None, &mut memory).misplaced, Some(now()));
    assert!(memory.is_misplaced());
    assert_eq!(reported(whole(), Some(true), &mut memory).misplaced, None);
}

#[test]
fn an_address_of_another_node_is_not_observed() {
    let record = record(State::Attached, "u1", "there");
    let look = |in_kernel, lock| AddressReadings {
        record: &record,
        lock,
        in_kernel,
        kernel: None,
        pod: PodView::Absent,
        in_place: None,
    };
    let concerns = |look, gone| {
        let mut observation = Observation::new(parsed("here"), parsed("test"), gone);
        observation.add(look, &mut Memory::default(), now());
        !observation.addresses.is_empty()
    };
    let held = held("u1", 5);
    assert!(!concerns(look(false, None), BTreeSet::new()));
    assert!(concerns(look(true, None), BTreeSet::new()));
    assert!(concerns(look(false, Some(&held)), BTreeSet::new()));
    assert!(concerns(look(false, None), [parsed("there")].into()));
}

/// The observation of a record that concerns this node because of its lock.
fn reported_of(record: &StaticIp, memory: &mut Memory) -> ObservedAddress {
    let last = held("u1", 5);
    let look = AddressReadings {
        record,
        lock: Some(&last),
        in_kernel: true,
        kernel: None,
        pod: PodView::Absent,
        in_place: Some(false),
    };
    let mut observation = Observation::new(parsed("here"), parsed("test"), BTreeSet::new());
    observation.add(look, memory, now());
    observation.addresses.pop().expect("it concerns this node")
}

#[test]
fn only_an_address_attached_here_can_be_misplaced() {
    assert!(!Memory::default().is_misplaced());
    let attached = record(State::Attached, "u1", "here");
    assert_eq!(reported_of(&attached, &mut Memory::default()).misplaced, Some(now()));
    let elsewhere = record(State::Attached, "u1", "there");
    assert_eq!(reported_of(&elsewhere, &mut Memory::default()).misplaced, None);
    for state in [State::Attaching, State::Parked, State::Releasing, State::Released] {
        let ended = record(state, "u1", "here");
        assert_eq!(reported_of(&ended, &mut Memory::default()).misplaced, None, "{state:?}");
    }
}

#[test]
fn the_last_re_assert_is_remembered() {
    let attached = record(State::Attached, "u1", "here");
    let mut memory = Memory::default();
    assert_eq!(reported_of(&attached, &mut memory).reasserted, None);
    memory.reasserts(now());
    assert_eq!(reported_of(&attached, &mut memory).reasserted, Some(now()));
}
