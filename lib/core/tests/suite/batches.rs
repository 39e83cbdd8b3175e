//! Calls that go to EC2 together.

mod any_order;

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::time::Duration;

use firecamp_core::endpoint::batches::{
    Answered, Batch, Batches, Due, Others, Refusal, Rule, Waiting,
};
use firecamp_core::failure::{CloudFailure, CloudKind, Effect};
use firecamp_core::time::Moment;

const RULE: Rule = Rule {
    most: 10,
    gather: Duration::from_millis(50),
    patience: Duration::from_millis(500),
    throttled: Duration::from_millis(500),
    refusal: Refusal::OfOneAddress,
};

type Calls = Batches<&'static str, u32>;

fn at(millis: u64) -> Moment {
    Moment(Duration::from_millis(millis))
}

/// Call `caller` about its own address, authorised for the whole of T.
fn call(caller: u32, now: Moment) -> Waiting<u32> {
    let address = Ipv4Addr::from(0x0a00_0100 + caller);
    Waiting { address, not_after: now.plus(Duration::from_secs(5)), caller }
}

fn failure(kind: CloudKind, effect: Effect) -> CloudFailure {
    CloudFailure { kind, effect, detail: String::new() }
}

fn callers<K>(batch: &Batch<K, u32>) -> Vec<u32> {
    batch.calls.iter().map(|call| call.caller).collect()
}

fn sizes<K>(due: &Due<K, u32>) -> Vec<usize> {
    due.requests.iter().map(|batch| batch.calls.len()).collect()
}

#[test]
fn call_goes_at_once_if_no_other_is_expected() {
    let mut calls = Calls::new(RULE);
    calls.add("eni-1", call(1, at(0)), Others::NotExpected, at(0));
    assert_eq!(calls.next_due(), Some(at(0)));
    assert_eq!(sizes(&calls.due(at(0))), [1]);
    assert_eq!(calls.next_due(), None);
}

#[test]
fn calls_of_members_that_start_together_go_together() {
    let mut calls = Calls::new(RULE);
    for caller in 0..4 {
        calls.add("eni-1", call(caller, at(0)), Others::Expected, at(u64::from(caller) * 10));
        assert!(calls.due(at(u64::from(caller) * 10)).requests.is_empty());
    }
    assert_eq!(calls.next_due(), Some(at(50)), "the first one waits for no longer");
    assert_eq!(sizes(&calls.due(at(50))), [4]);
}

#[test]
fn interfaces_and_force_do_not_share_a_request() {
    let mut calls = Batches::new(RULE);
    for (caller, key) in [(1, ("eni-1", true)), (2, ("eni-1", false)), (3, ("eni-2", true))] {
        calls.add(key, call(caller, at(0)), Others::NotExpected, at(0));
    }
    assert_eq!(sizes(&calls.due(at(0))), [1, 1, 1]);
}

#[test]
fn two_calls_about_one_address_never_share_a_request() {
    let mut calls = Calls::new(RULE);
    for caller in [1, 2] {
        calls.add("eni-1", Waiting { caller, ..call(7, at(0)) }, Others::Expected, at(0));
    }
    let due = calls.due(at(50));
    assert_eq!(sizes(&due), [1], "the second one waits for the answer to the first");
    assert_eq!(calls.next_due(), Some(at(550)));
}

#[test]
fn calls_wait_for_the_answer_to_the_previous_request_but_not_for_one_that_hangs() {
    let mut calls = Calls::new(RULE);
    calls.add("eni-1", call(0, at(0)), Others::NotExpected, at(0));
    let first = calls.due(at(0)).requests.remove(0);
    calls.add("eni-1", call(1, at(10)), Others::NotExpected, at(10));
    calls.add("eni-1", call(2, at(20)), Others::NotExpected, at(20));
    assert!(calls.due(at(400)).requests.is_empty());
    assert_eq!(calls.next_due(), Some(at(500)));
    let mut hanging = calls.due(at(500));
    assert_eq!(sizes(&hanging), [2]);
    // The answer to the first one frees nobody who waits for the second one.
    calls.add("eni-1", call(3, at(510)), Others::NotExpected, at(510));
    let answered = calls.answered(first, None, at(520)).done;
    assert_eq!(answered.len(), 1);
    assert!(calls.due(at(520)).requests.is_empty());
    calls.answered(hanging.requests.remove(0), None, at(530));
    assert_eq!(sizes(&calls.due(at(530))), [1]);
}

#[test]
fn nineteen_members_need_two_requests() {
    let mut calls = Calls::new(RULE);
    let mut sent = Vec::new();
    for caller in 0..19 {
        calls.add("eni-1", call(caller, at(0)), Others::Expected, at(0));
        sent.extend(sizes(&calls.due(at(0))));
    }
    assert_eq!(sent, [10], "a full request waits for nothing");
    assert_eq!(sizes(&calls.due(at(500))), [9]);
}

#[test]
fn calls_go_once_no_other_is_expected_any_more() {
    let mut calls = Calls::new(RULE);
    calls.add("eni-1", call(0, at(0)), Others::Expected, at(0));
    assert!(calls.due(at(4)).requests.is_empty());
    calls.add("eni-1", call(1, at(5)), Others::NotExpected, at(5));
    assert_eq!(sizes(&calls.due(at(5))), [2]);
}

#[test]
fn refused_look_up_is_not_split() {
    let mut calls = Calls::new(Rule { refusal: Refusal::OfAll, ..RULE });
    for caller in 0..10 {
        calls.add("subnet-1", call(caller, at(0)), Others::NotExpected, at(0));
    }
    let due = calls.due(at(0));
    let refused = |_asked: &[u32]| Some(failure(CloudKind::Unknown, Effect::None));
    let (learnt, sent) = play(&mut calls, due, refused);
    assert_eq!((learnt.len(), sent), (10, 1));
}

#[test]
fn calls_of_all_interfaces_go_once_no_other_is_expected_any_more() {
    let mut calls = Calls::new(RULE);
    calls.add("eni-1", call(0, at(0)), Others::Expected, at(0));
    calls.add("eni-2", call(1, at(5)), Others::NotExpected, at(5));
    assert_eq!(sizes(&calls.due(at(5))), [1, 1]);
    calls.add("eni-3", call(2, at(6)), Others::Expected, at(6));
    calls.expect_no_more(at(7));
    assert_eq!(sizes(&calls.due(at(7))), [1], "it has ended without a call");
}

#[test]
fn requests_that_are_throttled_together_are_one_round() {
    let mut calls = Calls::new(RULE);
    for caller in 0..20 {
        calls.add("eni-1", call(caller, at(0)), Others::NotExpected, at(0));
    }
    let throttled = failure(CloudKind::Throttled, Effect::None);
    for batch in calls.due(at(0)).requests {
        calls.answered(batch, Some(&throttled), at(100));
    }
    assert_eq!(calls.next_due(), Some(at(600)));
    let late = Waiting { not_after: at(2_000), ..call(20, at(0)) };
    calls.add("eni-1", late, Others::NotExpected, at(200));
    let expired = calls.due(at(200)).expired;
    assert_eq!(expired.len(), 1, "its authorisation ends while nothing is sent");
}

#[test]
fn throttled_calls_go_again_with_those_that_gather_meanwhile() {
    let mut calls = Calls::new(RULE);
    calls.add("eni-1", call(0, at(0)), Others::NotExpected, at(0));
    let first = calls.due(at(0)).requests.remove(0);
    let throttled = failure(CloudKind::Throttled, Effect::None);
    let Answered { done, expired } = calls.answered(first, Some(&throttled), at(100));
    assert!(done.is_empty() && expired.is_empty());
    for caller in 1..=12 {
        calls.add("eni-1", call(caller, at(100)), Others::NotExpected, at(100));
    }
    assert!(calls.due(at(599)).requests.is_empty(), "not even a full one");
    let second = calls.due(at(600)).requests.remove(0);
    assert_eq!(callers(&second), [0, 1, 2, 3, 4, 5, 6, 7, 8, 9]);
    calls.answered(second, Some(&throttled), at(700));
    assert!(calls.due(at(1_699)).requests.is_empty(), "twice as long");
    assert_eq!(sizes(&calls.due(at(1_700))), [10]);
}

#[test]
fn throttled_call_is_not_sent_again_without_its_authorisation() {
    let mut calls = Calls::new(RULE);
    for (caller, not_after) in [(1, 2_000), (2, 2_500)] {
        let call = Waiting { not_after: at(not_after), ..call(caller, at(0)) };
        calls.add("eni-1", call, Others::NotExpected, at(0));
    }
    let batch = calls.due(at(0)).requests.remove(0);
    let throttled = failure(CloudKind::Throttled, Effect::None);
    let expired = calls.answered(batch, Some(&throttled), at(100)).expired;
    assert_eq!(expired.iter().map(|call| call.caller).collect::<Vec<_>>(), [1]);
    assert_eq!(callers(&calls.due(at(600)).requests[0]), [2]);
}

#[test]
fn throttle_whose_effect_is_unknown_is_not_repeated() {
    let (mut calls, due) = ten();
    let lost = |_asked: &[u32]| Some(failure(CloudKind::Throttled, Effect::Unknown));
    let (learnt, sent) = play(&mut calls, due, lost);
    assert_eq!((learnt.len(), sent), (10, 1));
}

#[test]
fn call_whose_authorisation_ages_in_the_queue_is_not_sent() {
    let mut calls = Calls::new(RULE);
    calls.add("eni-1", call(0, at(0)), Others::NotExpected, at(0));
    let _hanging = calls.due(at(0));
    calls.add(
        "eni-1",
        Waiting { not_after: at(1_900), ..call(1, at(0)) },
        Others::NotExpected,
        at(0),
    );
    calls.add("eni-1", call(2, at(0)), Others::NotExpected, at(0));
    let due = calls.due(at(500));
    assert_eq!(due.expired.iter().map(|call| call.caller).collect::<Vec<_>>(), [1]);
    assert_eq!(callers(&due.requests[0]), [2]);
}

#[test]
fn request_ends_with_the_authorisation_that_ends_first() {
    let mut calls = Calls::new(RULE);
    for (caller, not_after) in [(1, 5_000), (2, 3_000), (3, 4_000)] {
        let call = Waiting { not_after: at(not_after), ..call(caller, at(0)) };
        calls.add("eni-1", call, Others::Expected, at(0));
    }
    assert_eq!(calls.due(at(50)).requests[0].not_after(), at(3_000));
}

/// Answers requests until none is left: `answer` sees the callers of each. Returns what each caller
/// learns, and how many requests it took.
fn play(
    calls: &mut Calls,
    mut due: Due<&'static str, u32>,
    answer: impl Fn(&[u32]) -> Option<CloudFailure>,
) -> (BTreeMap<u32, Option<CloudKind>>, usize) {
    let (mut learnt, mut sent) = (BTreeMap::new(), 0);
    while let Some(batch) = due.requests.pop() {
        sent += 1;
        let failure = answer(&callers(&batch));
        let Answered { done, expired } = calls.answered(batch, failure.as_ref(), at(100));
        assert!(expired.is_empty());
        due.requests.extend(calls.due(at(100)).requests);
        for call in done {
            let kind = failure.as_ref().map(|failure| failure.kind);
            assert!(learnt.insert(call.caller, kind).is_none(), "{} twice", call.caller);
        }
    }
    (learnt, sent)
}

fn ten() -> (Calls, Due<&'static str, u32>) {
    let mut calls = Calls::new(RULE);
    for caller in 0..10 {
        calls.add("eni-1", call(caller, at(0)), Others::Expected, at(0));
    }
    let due = calls.due(at(50));
    (calls, due)
}

#[test]
fn refusal_because_of_one_address_reaches_its_caller_alone() {
    for kind in [CloudKind::HeldElsewhere, CloudKind::BadAddress, CloudKind::Unknown] {
        let (mut calls, due) = ten();
        let refused = |asked: &[u32]| asked.contains(&6).then(|| failure(kind, Effect::None));
        let (learnt, sent) = play(&mut calls, due, refused);
        for caller in 0..10 {
            assert_eq!(learnt[&caller], (caller == 6).then_some(kind), "{caller}");
        }
        assert!(sent <= 10, "{sent} requests");
    }
}

/// A member whose authorisation has ended looks again and asks again.
fn ask_again(calls: &mut Calls, old: &Waiting<u32>, now: Moment) {
    calls.add("eni-1", call(old.caller, now), Others::NotExpected, now);
}

/// The halves of a refused request are throttled. Were they sent as one again, and refused again,
/// nobody would ever learn anything.
#[test]
fn search_for_a_refused_address_goes_on_after_a_throttle() {
    let (mut calls, due) = ten();
    let (mut open, mut now, mut sent, mut learnt) = (due.requests, at(50), 0, Vec::new());
    loop {
        let Some(batch) = open.pop() else {
            let Some(next) = calls.next_due() else { break };
            now = now.max(next);
            let due = calls.due(now);
            open.extend(due.requests);
            due.expired.iter().for_each(|old| ask_again(&mut calls, old, now));
            continue;
        };
        let kinds = [CloudKind::CapacityExceeded, CloudKind::Throttled];
        let refusal = failure(kinds[sent % 2], Effect::None);
        sent += 1;
        assert!(sent < 50, "no end: {learnt:?}");
        now = now.plus(Duration::from_millis(100));
        let ended = calls.answered(batch, Some(&refusal), now);
        learnt.extend(ended.done);
        ended.expired.iter().for_each(|old| ask_again(&mut calls, old, now));
    }
    assert_eq!((learnt.len(), sent), (10, 27));
}

#[test]
fn calls_go_together_again_after_a_search() {
    let (mut calls, mut due) = ten();
    let refusal = failure(CloudKind::HeldElsewhere, Effect::None);
    calls.answered(due.requests.remove(0), Some(&refusal), at(100));
    let mut due = calls.due(at(100));
    assert_eq!(sizes(&due), [5]);
    calls.answered(due.requests.remove(0), None, at(200));
    assert_eq!(sizes(&calls.due(at(200))), [5], "accepted: ten may go, and five wait");
    // The others time out, and come back later than any pause.
    for caller in 10..20 {
        calls.add("eni-1", call(caller, at(70_000)), Others::NotExpected, at(70_000));
    }
    assert_eq!(sizes(&calls.due(at(70_000))), [10]);
}

#[test]
fn calls_that_search_go_one_request_after_the_other() {
    let (mut calls, mut due) = ten();
    let refusal = failure(CloudKind::HeldElsewhere, Effect::None);
    calls.answered(due.requests.remove(0), Some(&refusal), at(100));
    for caller in 10..20 {
        calls.add("eni-1", call(caller, at(100)), Others::NotExpected, at(100));
    }
    assert_eq!(sizes(&calls.due(at(100))), [5], "not three at once");
    assert!(calls.due(at(1_099)).requests.is_empty());
    assert_eq!(sizes(&calls.due(at(1_100))), [5], "a request that hangs delays them by a second");
}

#[test]
fn late_refusal_of_a_larger_request_does_not_widen_the_search() {
    let mut calls = Calls::new(RULE);
    for caller in 0..20 {
        calls.add("eni-1", call(caller, at(0)), Others::NotExpected, at(0));
    }
    let refusal = failure(CloudKind::HeldElsewhere, Effect::None);
    let mut both = calls.due(at(0)).requests;
    calls.answered(both.remove(0), Some(&refusal), at(100));
    // The other one has no answer yet.
    let five = calls.due(at(1_000)).requests.remove(0);
    calls.answered(five, Some(&refusal), at(1_100));
    calls.answered(both.remove(0), Some(&refusal), at(1_200));
    assert_eq!(sizes(&calls.due(at(1_200))), [3]);
}

#[test]
fn interface_is_filled_up_before_anybody_learns_that_it_is_full() {
    let (mut calls, due) = ten();
    let room = std::cell::Cell::new(7);
    let limited = |asked: &[u32]| {
        if asked.len() > room.get() {
            return Some(failure(CloudKind::CapacityExceeded, Effect::None));
        }
        room.set(room.get() - asked.len());
        None
    };
    let (learnt, sent) = play(&mut calls, due, limited);
    assert_eq!(learnt.len(), 10);
    assert_eq!(learnt.values().filter(|kind| kind.is_none()).count(), 7);
    assert!(sent <= 10, "{sent} requests");
}

#[test]
fn an_unknown_answer_is_unknown_for_each_call_and_is_not_repeated() {
    let (mut calls, due) = ten();
    let lost = |_asked: &[u32]| Some(failure(CloudKind::HeldElsewhere, Effect::Unknown));
    let (learnt, sent) = play(&mut calls, due, lost);
    assert_eq!((learnt.len(), sent), (10, 1));
}

#[test]
fn denial_is_for_all_calls_and_is_not_split() {
    for kind in [CloudKind::Auth, CloudKind::NotFound, CloudKind::Transient] {
        let (mut calls, due) = ten();
        let (learnt, sent) = play(&mut calls, due, |_asked| Some(failure(kind, Effect::None)));
        assert_eq!((learnt.len(), sent), (10, 1), "{kind:?}");
    }
}
