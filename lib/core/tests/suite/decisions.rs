//! The decisions as values, one field at a time.

use std::collections::BTreeSet;
use std::net::Ipv4Addr;

use firecamp_core::decide::{
    Calls, Claimant, Verdict, Whereabouts, abandoned, completed, parked, reasserting, redirected,
    released, releasing, take, verdict, without_pending,
};
use firecamp_core::ids::{ClusterName, EniId, Epoch, Member, RunId};
use firecamp_core::ports::{Owner, OwnerEni};
use firecamp_core::record::{Attachment, Mutation, PendingMutation, State, StaticIp};
use firecamp_core::takeover_wait;

fn parsed<T: std::str::FromStr<Err: std::fmt::Debug>>(text: &str) -> T {
    text.parse().expect("a well formed identifier")
}

/// `a`, `b`, … as ENIs.
fn eni(letter: char) -> EniId {
    parsed(&format!("eni-0000000{letter}"))
}

fn run(name: &str) -> RunId {
    parsed(name)
}

fn pending(mutation: Mutation, at: char, by: &str) -> PendingMutation {
    PendingMutation { mutation, eni: eni(at), run: run(by) }
}

fn assign(at: char, by: &str) -> PendingMutation {
    pending(Mutation::Assign, at, by)
}

fn unassign(at: char, by: &str) -> PendingMutation {
    pending(Mutation::Unassign, at, by)
}

/// Epoch 5, in this state, by pod `old` on node `there` and ENI `a`, without pending mutations.
fn record(state: State) -> StaticIp {
    let has_eni = !matches!(state, State::Releasing | State::Released);
    StaticIp {
        address: Ipv4Addr::new(10, 0, 1, 50),
        pool: parsed("pool"),
        subnet: parsed("subnet-0000000a"),
        cidr: parsed("10.0.1.0/24"),
        zone: parsed("us-east-1a"),
        member: Member::new("demo", "redis-0").expect("a member"),
        epoch: Epoch(5),
        attachment: Some(Attachment {
            state,
            pod: parsed("old"),
            node: parsed("there"),
            eni: has_eni.then(|| eni('a')),
            run: run("before"),
            served: true,
        }),
        reserved_on: Some(eni('a')),
        pending_mutations: BTreeSet::new(),
    }
}

fn with_pending<const N: usize>(entries: [PendingMutation; N]) -> StaticIp {
    StaticIp { pending_mutations: entries.into(), ..record(State::Attached) }
}

fn claimant(pod: &str, node: &str, at: char) -> Claimant {
    let floor = Epoch(0);
    Claimant { pod: parsed(pod), node: parsed(node), eni: eni(at), run: run("now"), floor }
}

fn state(record: &StaticIp) -> Option<State> {
    record.attachment.as_ref().map(|attachment| attachment.state)
}

#[test]
fn acquiring_writes_the_next_epoch_with_pod_node_eni_and_run() {
    let taken = take(&record(State::Attached), &claimant("new", "here", 'b'), false).record;
    let attachment = taken.attachment.expect("taken");
    assert_eq!(taken.epoch, Epoch(6));
    assert_eq!(attachment.state, State::Attaching);
    assert_eq!((attachment.pod.as_str(), attachment.node.as_str()), ("new", "here"));
    assert_eq!((attachment.eni, attachment.run), (Some(eni('b')), run("now")));
    assert_eq!(taken.reserved_on, Some(eni('a')));
}

#[test]
fn acquiring_calls_ec2_unless_the_record_is_settled_and_the_address_listed() {
    let calls =
        |at, listed| take(&record(State::Parked), &claimant("new", "here", at), listed).calls;
    assert_eq!(calls('a', true), Calls::None);
    assert_eq!(calls('a', false), Calls::Confirm);
    assert_eq!(calls('b', true), Calls::Move);
    assert_eq!(calls('b', false), Calls::Move);
}

#[test]
fn f080_a_record_behind_its_node_is_not_settled_and_its_epoch_jumps() {
    let behind = |floor| Claimant { floor: Epoch(floor), ..claimant("new", "here", 'a') };
    let even = take(&record(State::Attached), &behind(5), true);
    assert_eq!((even.calls, even.record.epoch), (Calls::None, Epoch(6)));
    let late = take(&record(State::Attached), &behind(6), true);
    assert_eq!((late.calls, late.record.epoch), (Calls::Move, Epoch(7)));
}

#[test]
fn a_pending_assign_replaces_an_equal_one() {
    let entries = [assign('b', "other"), assign('c', "other"), unassign('b', "other")];
    let taken = take(&with_pending(entries), &claimant("new", "here", 'b'), false).record;
    let wanted = [assign('b', "now"), assign('c', "other"), unassign('b', "other")];
    assert_eq!(taken.pending_mutations, wanted.into());
    let quiet = take(&record(State::Attached), &claimant("new", "here", 'a'), true).record;
    assert!(quiet.pending_mutations.is_empty(), "without a call nothing is pending");
}

#[test]
fn only_the_same_served_pod_on_the_same_node_skips_the_predecessor_wait() {
    let served = record(State::Attached);
    let again = take(&served, &claimant("old", "there", 'a'), true);
    assert!(!again.await_predecessor);
    assert_eq!(again.record.epoch, Epoch(6), "a second run of one pod takes an epoch, too");
    assert!(again.record.attachment.expect("taken").served);
    let mut fresh = served.clone();
    fresh.attachment.as_mut().expect("attached").served = false;
    let bare = StaticIp { attachment: None, ..served.clone() };
    let others = [
        take(&served, &claimant("new", "there", 'a'), true),
        take(&served, &claimant("old", "here", 'a'), true),
        take(&fresh, &claimant("old", "there", 'a'), true),
        take(&bare, &claimant("old", "there", 'a'), true),
    ];
    for other in others {
        assert!(other.await_predecessor, "{other:?}");
        assert!(!other.record.attachment.expect("taken").served);
    }
}

#[test]
fn an_address_being_released_is_assigned_without_force_first() {
    let plain = |state| take(&record(state), &claimant("new", "here", 'b'), false).plain_first;
    assert!(plain(State::Releasing) && plain(State::Released));
    assert!(!plain(State::Attaching) && !plain(State::Attached) && !plain(State::Parked));
}

#[test]
fn a_claimant_waits_for_a_pending_assign_elsewhere_and_unassign_here() {
    let waits = |entries: &[PendingMutation]| {
        takeover_wait::is_needed(&entries.iter().cloned().collect(), &eni('a'))
    };
    assert!(!waits(&[]));
    assert!(waits(&[assign('b', "x")]) && waits(&[unassign('a', "x")]));
    assert!(!waits(&[assign('a', "x")]) && !waits(&[unassign('b', "x")]));
    assert!(waits(&[assign('a', "x"), unassign('a', "x")]));
    let taken = take(&with_pending([assign('c', "x")]), &claimant("new", "here", 'b'), false);
    assert!(taken.barrier);
    assert!(!take(&with_pending([assign('b', "x")]), &claimant("new", "here", 'b'), false).barrier);
}

fn owner(id: char, cluster: Option<&str>, primary: bool) -> Owner {
    let cluster = cluster.map(str::to_owned);
    Owner::Eni(OwnerEni {
        id: eni(id),
        primary,
        cluster,
        instance: None,
        description: String::new(),
    })
}

#[test]
fn only_an_address_on_a_known_eni_is_moved_by_force() {
    let (settled, cluster) = (record(State::Attached), parsed::<ClusterName>("test"));
    let judge = |owner: &Owner, plain| verdict(&settled, &eni('b'), &cluster, owner, plain);
    let force = |force| Verdict::Assign { force };
    assert_eq!(judge(&Owner::Unassigned, false), force(false));
    for (id, tag) in [('a', None), ('c', Some("test"))] {
        assert_eq!(judge(&owner(id, tag, false), false), force(true));
        assert_eq!(judge(&owner(id, tag, false), true), force(false), "plain first");
        assert!(matches!(judge(&owner(id, tag, true), false), Verdict::Refuse(_)), "a primary");
    }
    for tag in [None, Some("other"), Some("")] {
        assert!(matches!(judge(&owner('c', tag, false), false), Verdict::Refuse(_)), "{tag:?}");
    }
    assert_eq!(judge(&owner('b', None, false), false), force(false), "here, but not settled");
}

#[test]
fn no_call_is_needed_if_the_owner_and_a_settled_record_are_here() {
    let cluster = parsed::<ClusterName>("test");
    let judge = |before: &StaticIp| {
        verdict(before, &eni('a'), &cluster, &owner('a', Some("test"), false), false)
    };
    assert_eq!(judge(&record(State::Attached)), Verdict::Here);
    let pending_mutations = Verdict::Assign { force: false };
    assert_eq!(judge(&with_pending([assign('b', "x")])), pending_mutations);
    assert_eq!(
        judge(&StaticIp { reserved_on: None, ..record(State::Attached) }),
        pending_mutations
    );
    assert_eq!(judge(&record(State::Released)), pending_mutations);
}

#[test]
fn a_completion_clears_its_own_and_earlier_pending_mutations() {
    let before = with_pending([assign('c', "earlier")]);
    let held = with_pending([assign('c', "earlier"), assign('b', "now"), assign('d', "later")]);
    let mut fresh = held.clone();
    fresh.attachment.as_mut().expect("attached").served = false;
    let done = completed(&fresh, &before, &eni('b'), &run("now"));
    assert_eq!(done.pending_mutations, [assign('d', "later")].into());
    assert_eq!((state(&done), done.reserved_on), (Some(State::Attached), Some(eni('b'))));
    assert!(done.attachment.expect("attached").served);
}

#[test]
fn an_attach_that_ec2_refused_restores_the_record_except_the_epoch() {
    let parks = [
        (State::Attaching, State::Parked),
        (State::Attached, State::Parked),
        (State::Parked, State::Parked),
        (State::Releasing, State::Releasing),
        (State::Released, State::Released),
    ];
    for (was, is) in parks {
        let before = StaticIp { pending_mutations: [assign('b', "gone")].into(), ..record(was) };
        let held = take(&before, &claimant("new", "here", 'b'), false).record;
        let left = abandoned(&held, &before, &run("now"), Whereabouts::AsBefore);
        assert_eq!(state(&left), Some(is));
        assert_eq!(left.attachment.expect("as before").pod.as_str(), "old");
        assert_eq!((left.epoch, left.reserved_on), (Epoch(6), Some(eni('a'))));
        assert_eq!(
            left.pending_mutations,
            [assign('b', "gone")].into(),
            "the entries that ours replaced are restored"
        );
        let left = abandoned(&held, &before, &run("now"), Whereabouts::Elsewhere);
        assert_eq!(left.reserved_on, None);
    }
}

#[test]
fn a_re_assert_clears_only_its_own_pending_mutation() {
    let reasserted =
        reasserting(&with_pending([assign('b', "x"), assign('a', "y")]), &eni('a'), &run("now"));
    assert_eq!(reasserted.pending_mutations, [assign('b', "x"), assign('a', "now")].into());
    assert_eq!(
        without_pending(&reasserted, &run("now")).pending_mutations,
        [assign('b', "x")].into()
    );
}

#[test]
fn a_release_parks_and_changes_nothing_else() {
    let held = with_pending([assign('b', "x")]);
    let mut wanted = held.clone();
    wanted.attachment.as_mut().expect("attached").state = State::Parked;
    assert_eq!(parked(&held), wanted);
}

#[test]
fn a_release_that_unassigns_takes_an_epoch_and_records_the_pending_unassign() {
    let (next, from) = releasing(&record(State::Attached), &run("now")).expect("an ENI");
    assert_eq!((from, next.epoch), (eni('a'), Epoch(6)));
    assert_eq!(state(&next), Some(State::Releasing));
    assert_eq!(next.pending_mutations, [unassign('a', "now")].into());
    let attachment = next.attachment.expect("it was attached");
    assert_eq!((attachment.eni, attachment.run), (None, run("now")));
}

#[test]
fn after_an_unfinished_release_the_eni_is_the_one_in_the_intent() {
    let entries = [assign('c', "x"), unassign('b', "dead")];
    let unfinished = StaticIp { pending_mutations: entries.into(), ..record(State::Releasing) };
    let (next, from) = releasing(&unfinished, &run("now")).expect("an ENI");
    assert_eq!(from, eni('b'));
    assert_eq!(next.pending_mutations, [assign('c', "x"), unassign('b', "now")].into());
    let (_, from) = releasing(&record(State::Releasing), &run("now")).expect("the reservation");
    assert_eq!(from, eni('a'));
    let nowhere = StaticIp { reserved_on: None, ..record(State::Releasing) };
    assert_eq!(releasing(&nowhere, &run("now")), None);
    assert_eq!(releasing(&StaticIp { attachment: None, ..nowhere }, &run("now")), None);
}

#[test]
fn a_redirected_unassign_is_recorded_as_pending_there_as_well() {
    let next = redirected(&with_pending([unassign('a', "now")]), &eni('b'), &run("now"));
    assert_eq!(next.pending_mutations, [unassign('a', "now"), unassign('b', "now")].into());
}

#[test]
fn a_reservation_ends_only_on_the_enis_that_the_address_has_left() {
    let before = with_pending([assign('c', "x")]);
    let (held, _) = releasing(&before, &run("now")).expect("an ENI");
    let gone = released(&held, &before, &[eni('a')].into(), &run("now"));
    assert_eq!((state(&gone), gone.reserved_on), (Some(State::Released), None));
    assert_eq!(gone.pending_mutations, [assign('c', "x")].into());
    let stays = released(&held, &before, &[eni('b')].into(), &run("now"));
    assert_eq!(stays.reserved_on, Some(eni('a')));
}
