//! When the planner re-asserts an address.

use firecamp_core::agent::{ObservedAddress, Operation};
use firecamp_core::contract::timing;
use firecamp_core::ids::Epoch;
use firecamp_core::ports::{PodLifecycle, PodView};
use firecamp_core::record::State;
use firecamp_core::time::Moment;

use super::{ADDRESS, calm, eni, now, operations, parsed, record};

#[test]
fn f007_an_address_that_ec2_shows_elsewhere_is_re_asserted_once() {
    let lost = ObservedAddress { misplaced: Some(now()), ..calm() };
    let again = Operation::Reassert { address: ADDRESS, epoch: Epoch(5), eni: eni() };
    assert_eq!(operations(lost.clone()), std::slice::from_ref(&again));
    let just = ObservedAddress { reasserted: Some(now()), ..lost.clone() };
    assert_eq!(operations(just), [], "before a read can show the effect of the last one");
    let before = Moment(now().0.saturating_sub(timing::REASSERT_PAUSE));
    assert_eq!(operations(ObservedAddress { reasserted: Some(before), ..lost }), [again]);
}

/// No admission policy can look up a pod, so a record may name one that runs elsewhere.
#[test]
fn f103_an_address_is_not_re_asserted_for_a_pod_that_runs_elsewhere() {
    let elsewhere = |node: Option<&str>| PodView::Present {
        pod: parsed("u1"),
        node: node.map(parsed),
        lifecycle: PodLifecycle::Running,
        controller: None,
    };
    for pod in [elsewhere(Some("there")), elsewhere(None)] {
        let lost = ObservedAddress {
            pod: pod.clone(),
            lock: None,
            in_kernel: false,
            misplaced: Some(now()),
            ..calm()
        };
        assert_eq!(operations(lost), [], "{pod:?}");
    }
    let vouched = ObservedAddress { pod: PodView::Vouched, misplaced: Some(now()), ..calm() };
    assert_eq!(operations(vouched).len(), 1, "a file registry has no pods");
}

#[test]
fn an_address_that_is_not_attached_is_not_re_asserted() {
    for state in [State::Attaching, State::Parked, State::Releasing, State::Released] {
        let seen = ObservedAddress {
            record: record(state, "u1", "here"),
            lock: None,
            in_kernel: false,
            misplaced: Some(now()),
            ..calm()
        };
        assert_eq!(operations(seen), [], "{state:?}");
    }
}
