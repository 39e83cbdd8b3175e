//! The agent's planner, one sight at a time: what it does, and what it must leave alone.
#![expect(clippy::expect_used, reason = "a test")]

use std::collections::BTreeSet;
use std::net::Ipv4Addr;
use std::time::Duration;

use firecamp_core::agent::{Duty, Seen, Sight, plan};
use firecamp_core::contract::timing;
use firecamp_core::ids::{EniId, Epoch, Member, NodeName, PodUid};
use firecamp_core::lock::{Hold, LockRecord};
use firecamp_core::outside::{Holder, Life, PodView};
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
    PodView::Present { pod: parsed::<PodUid>(uid), node: Some(node), life }
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
        pod: pod("u1", Life::Running),
        astray: None,
        reasserted: None,
    }
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
