//! The agent's planner, one sight at a time: what it does, and what it must leave alone.

use std::collections::BTreeSet;
use std::net::Ipv4Addr;
use std::time::Duration;

use firecamp_core::agent::{Duty, Look, Memory, Seen, Sight, plan};
use firecamp_core::contract::timing;
use firecamp_core::ids::{EniId, Epoch, Member, NodeName, PodUid};
use firecamp_core::lock::{Hold, LockRecord};
use firecamp_core::outside::{Holder, KernelTarget, KernelView, Life, PodView};
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
        unsettled: BTreeSet::new(),
    }
}

fn pod(uid: &str, life: Life) -> PodView {
    let node: NodeName = parsed("here");
    PodView::Present { pod: parsed::<PodUid>(uid), node: Some(node), life, controller: None }
}

fn held(uid: &str, epoch: u64) -> LockRecord {
    LockRecord { holder: holder(uid, epoch), hold: Hold::Held }
}

fn holder(uid: &str, epoch: u64) -> Holder {
    Holder { pod: parsed(uid), epoch: Epoch(epoch) }
}

/// Attached here by a live pod, in the kernel, and EC2 agrees.
fn calm() -> Seen {
    Seen {
        record: record(State::Attached, "u1", "here"),
        lock: Some(held("u1", 5)),
        in_kernel: true,
        lacking: None,
        pod: pod("u1", Life::Running),
        astray: None,
        reasserted: None,
    }
}

fn target() -> KernelTarget {
    KernelTarget { address: ADDRESS, mac: parsed("06:00:00:00:00:01"), routing: None }
}

/// Attached here, and something has stripped the kernel.
fn stripped() -> Seen {
    Seen { in_kernel: false, lacking: Some(target()), ..calm() }
}

fn now() -> Moment {
    Moment(Duration::from_secs(1_000))
}

fn duties(seen: Seen) -> Vec<Duty> {
    let sight = Sight {
        node: parsed("here"),
        cluster: parsed("test"),
        gone: [parsed("dead")].into(),
        addresses: vec![seen],
    };
    plan(&sight, now())
}

fn release(by: Releaser) -> Vec<Duty> {
    let member = Member::new("demo", "redis-0").expect("a member");
    vec![Duty::Release { member, pod: parsed("u1"), by }]
}

#[test]
fn what_is_as_it_should_be_is_left_alone() {
    assert_eq!(duties(calm()), []);
}

#[test]
fn f032_a_node_gives_way_to_a_later_epoch_elsewhere() {
    let record = StaticIp { epoch: Epoch(6), ..record(State::Attaching, "u2", "there") };
    let found = duties(Seen { record, pod: pod("u2", Life::Running), ..calm() });
    assert_eq!(found, [Duty::GiveWay { address: ADDRESS, holder: holder("u1", 5) }]);
}

#[test]
fn what_was_released_while_the_node_was_away_leaves_the_kernel() {
    let found = duties(Seen { record: record(State::Parked, "u1", "here"), ..calm() });
    assert_eq!(found, [Duty::GiveWay { address: ADDRESS, holder: holder("u1", 5) }]);
}

#[test]
fn an_attach_that_is_under_way_on_this_node_puts_the_kernel_right_itself() {
    let record = StaticIp { epoch: Epoch(6), ..record(State::Attaching, "u2", "here") };
    assert_eq!(duties(Seen { record, pod: pod("u2", Life::Running), ..calm() }), []);
}

#[test]
fn f080_a_record_behind_this_node_s_own_proves_nothing() {
    let record = StaticIp { epoch: Epoch(4), ..record(State::Attached, "u0", "there") };
    assert_eq!(duties(Seen { record, ..calm() }), []);
}

#[test]
fn f026_the_release_of_a_pod_that_is_gone_is_finished() {
    assert_eq!(duties(Seen { pod: PodView::Absent, ..calm() }), release(Releaser::Agent));
    let successor = pod("u2", Life::Running);
    assert_eq!(duties(Seen { pod: successor, ..calm() }), release(Releaser::Agent));
    let ended = pod("u1", Life::Terminal);
    assert_eq!(duties(Seen { pod: ended, ..calm() }), release(Releaser::Agent));
}

#[test]
fn an_unassignment_that_its_stop_did_not_finish_is_finished() {
    let left = |pod| Seen {
        record: record(State::Releasing, "u1", "here"),
        lock: None,
        in_kernel: false,
        pod,
        ..calm()
    };
    assert_eq!(duties(left(PodView::Absent)), release(Releaser::Agent));
    let ending = pod("u1", Life::Terminating(None));
    assert_eq!(duties(left(ending)), []);
}

#[test]
fn f027_a_terminating_pod_is_left_to_its_stop_container() {
    let ending = pod("u1", Life::Terminating(Some(Duration::from_secs(20))));
    assert_eq!(duties(Seen { pod: ending, ..calm() }), []);
}

#[test]
fn a_pod_that_its_starter_vouches_for_is_never_released_for() {
    assert_eq!(duties(Seen { pod: PodView::Vouched, ..calm() }), []);
}

#[test]
fn f077_only_a_node_that_is_gone_for_good_is_released_for_from_elsewhere() {
    let away = |node| Seen {
        record: record(State::Attached, "u1", node),
        lock: None,
        in_kernel: false,
        pod: PodView::Absent,
        ..calm()
    };
    assert_eq!(duties(away("there")), []);
    assert_eq!(duties(away("dead")), release(Releaser::AgentElsewhere));
}

#[test]
fn f007_an_address_that_ec2_shows_elsewhere_is_re_asserted_once() {
    let lost = Seen { astray: Some(now()), ..calm() };
    let again = Duty::Reassert { address: ADDRESS, epoch: Epoch(5), eni: eni() };
    assert_eq!(duties(lost.clone()), std::slice::from_ref(&again));
    let just = Seen { reasserted: Some(now()), ..lost.clone() };
    assert_eq!(duties(just), [], "before a look can show what the last one did");
    let before = Moment(now().0.saturating_sub(timing::REASSERT_PAUSE));
    assert_eq!(duties(Seen { reasserted: Some(before), ..lost }), [again]);
}

#[test]
fn what_is_not_attached_here_is_not_re_asserted() {
    for state in [State::Attaching, State::Parked, State::Releasing, State::Released] {
        let seen = Seen {
            record: record(state, "u1", "here"),
            lock: None,
            in_kernel: false,
            astray: Some(now()),
            ..calm()
        };
        assert_eq!(duties(seen), [], "{state:?}");
    }
}

#[test]
fn what_is_attached_elsewhere_is_left_to_the_agent_there() {
    for (astray, lacking) in [(Some(now()), None), (None, Some(target()))] {
        let record = record(State::Attached, "u1", "there");
        let (lock, in_kernel) = (None, false);
        let seen = Seen { record, lock, in_kernel, astray, lacking, ..calm() };
        assert_eq!(duties(seen), []);
    }
}

#[test]
fn f063_what_something_strips_is_restored_for_its_holder() {
    let restore = Duty::Restore { target: target(), holder: holder("u1", 5) };
    assert_eq!(duties(stripped()), std::slice::from_ref(&restore));
    let routing_only = Seen { in_kernel: true, ..stripped() };
    assert_eq!(duties(routing_only), std::slice::from_ref(&restore));
    let lost = Seen { astray: Some(now()), ..stripped() };
    assert_eq!(duties(lost), std::slice::from_ref(&restore), "the kernel first: it is near");
    let ending = pod("u1", Life::Terminating(None));
    assert_eq!(duties(Seen { pod: ending, ..stripped() }), [restore], "it drains until its stop");
}

#[test]
fn what_a_stop_has_removed_is_not_restored() {
    let released = LockRecord { holder: holder("u1", 5), hold: Hold::Released };
    assert_eq!(duties(Seen { lock: Some(released), ..stripped() }), []);
    assert_eq!(duties(Seen { lock: None, ..stripped() }), [], "nor what nobody is known to hold");
}

#[test]
fn an_epoch_that_moved_is_not_restored() {
    for lock in [held("u1", 4), held("u1", 6), held("u2", 5)] {
        assert_eq!(duties(Seen { lock: Some(lock.clone()), ..stripped() }), [], "{lock:?}");
    }
    let record = StaticIp { epoch: Epoch(6), ..record(State::Attached, "u2", "there") };
    let moved = Seen { record, pod: pod("u2", Life::Running), ..stripped() };
    let gives_way = Duty::GiveWay { address: ADDRESS, holder: holder("u1", 5) };
    assert_eq!(duties(moved), [gives_way]);
}

#[test]
fn only_what_is_attached_here_by_the_record_is_restored() {
    let attaching = record(State::Attaching, "u1", "here");
    assert_eq!(duties(Seen { record: attaching, ..stripped() }), [], "its attach does that");
    for state in [State::Parked, State::Releasing, State::Released] {
        let found = duties(Seen { record: record(state, "u1", "here"), ..stripped() });
        assert!(!found.iter().any(|duty| matches!(duty, Duty::Restore { .. })), "{state:?}");
    }
    let gone = Seen { pod: PodView::Absent, ..stripped() };
    assert_eq!(duties(gone), release(Releaser::Agent), "nobody is left to restore it for");
}

fn whole() -> KernelView {
    let link = Some("eth0".to_owned());
    KernelView { link, link_up: true, address: true, routing: true, ..KernelView::default() }
}

/// What a look at the calm address is told as, with this kernel and this answer of EC2.
fn told(view: KernelView, in_place: Option<bool>, memory: &mut Memory) -> Seen {
    let calm = calm();
    let look = Look {
        record: &calm.record,
        lock: calm.lock.as_ref(),
        in_kernel: true,
        kernel: Some((target(), view)),
        pod: calm.pod.clone(),
        in_place,
    };
    let mut sight = Sight::new(parsed("here"), parsed("test"), BTreeSet::new());
    sight.add(look, memory, now());
    sight.addresses.pop().expect("it concerns this node")
}

#[test]
fn whatever_part_the_kernel_lacks_is_told_unless_there_is_no_link_to_put_it_on() {
    let lacking = |view| told(view, None, &mut Memory::default()).lacking;
    assert_eq!(lacking(whole()), None);
    let parts = [
        KernelView { address: false, ..whole() },
        KernelView { routing: false, ..whole() },
        KernelView { link_up: false, ..whole() },
    ];
    for part in parts {
        assert_eq!(lacking(part.clone()), Some(target()), "{part:?}");
    }
    assert_eq!(lacking(KernelView { link: None, address: false, ..whole() }), None);
}

#[test]
fn an_agent_that_said_that_all_was_well_looks_again() {
    let mut memory = Memory::default();
    assert_eq!(told(whole(), None, &mut memory).lacking, None);
    let bare = KernelView { address: false, ..whole() };
    assert_eq!(told(bare, None, &mut memory).lacking, Some(target()));
}

#[test]
fn f037_an_answer_that_is_missing_neither_begins_nor_ends_a_loss() {
    let mut memory = Memory::default();
    assert_eq!(told(whole(), None, &mut memory).astray, None);
    assert_eq!(told(whole(), Some(false), &mut memory).astray, Some(now()));
    assert_eq!(told(whole(), None, &mut memory).astray, Some(now()));
    assert!(memory.is_astray());
    assert_eq!(told(whole(), Some(true), &mut memory).astray, None);
}

#[test]
fn what_concerns_another_node_is_not_told_at_all() {
    let record = record(State::Attached, "u1", "there");
    let look = |in_kernel, lock| Look {
        record: &record,
        lock,
        in_kernel,
        kernel: None,
        pod: PodView::Absent,
        in_place: None,
    };
    let concerns = |look, gone| {
        let mut sight = Sight::new(parsed("here"), parsed("test"), gone);
        sight.add(look, &mut Memory::default(), now());
        !sight.addresses.is_empty()
    };
    let held = held("u1", 5);
    assert!(!concerns(look(false, None), BTreeSet::new()));
    assert!(concerns(look(true, None), BTreeSet::new()));
    assert!(concerns(look(false, Some(&held)), BTreeSet::new()));
    assert!(concerns(look(false, None), [parsed("there")].into()));
}

/// What a look is told as that concerns this node because its lock says so.
fn told_of(record: &StaticIp, memory: &mut Memory) -> Seen {
    let last = held("u1", 5);
    let look = Look {
        record,
        lock: Some(&last),
        in_kernel: true,
        kernel: None,
        pod: PodView::Absent,
        in_place: Some(false),
    };
    let mut sight = Sight::new(parsed("here"), parsed("test"), BTreeSet::new());
    sight.add(look, memory, now());
    sight.addresses.pop().expect("it concerns this node")
}

#[test]
fn only_what_is_attached_here_can_be_astray() {
    assert!(!Memory::default().is_astray());
    let attached = record(State::Attached, "u1", "here");
    assert_eq!(told_of(&attached, &mut Memory::default()).astray, Some(now()));
    let elsewhere = record(State::Attached, "u1", "there");
    assert_eq!(told_of(&elsewhere, &mut Memory::default()).astray, None);
    for state in [State::Attaching, State::Parked, State::Releasing, State::Released] {
        let ended = record(state, "u1", "here");
        assert_eq!(told_of(&ended, &mut Memory::default()).astray, None, "{state:?}");
    }
}

#[test]
fn when_it_was_re_asserted_last_is_remembered() {
    let attached = record(State::Attached, "u1", "here");
    let mut memory = Memory::default();
    assert_eq!(told_of(&attached, &mut memory).reasserted, None);
    memory.reasserts(now());
    assert_eq!(told_of(&attached, &mut memory).reasserted, Some(now()));
}
