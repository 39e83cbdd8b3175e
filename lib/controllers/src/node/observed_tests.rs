use std::time::Duration;

use firecamp_core::agent::plan;
use firecamp_core::contract::timing;
use firecamp_core::ids::{Epoch, Member, PodUid};
use firecamp_core::lock_rule::{Hold, LockRecord};
use firecamp_core::network_interface::Interface;
use firecamp_core::ports::Holder;
use firecamp_core::record::Attachment;

use super::*;

const ADDRESS: Ipv4Addr = Ipv4Addr::new(10, 0, 1, 50);

fn parsed<T: std::str::FromStr<Err: std::fmt::Debug>>(text: &str) -> T {
    text.parse().unwrap()
}

fn eni(listed: &[Ipv4Addr]) -> Eni {
    Eni {
        id: parsed("eni-0000000a"),
        mac: parsed("06:00:00:00:00:01"),
        device_index: 0,
        network_card: 0,
        subnet: parsed("subnet-0000000a"),
        cidr: parsed("10.0.1.0/24"),
        primary_address: Ipv4Addr::new(10, 0, 1, 10),
        listed: listed.iter().copied().collect(),
        prefixes: 0,
    }
}

fn identity(listed: &[Ipv4Addr]) -> NodeIdentity {
    NodeIdentity {
        instance: parsed("i-0000000a"),
        instance_type: "m5.large".to_owned(),
        zone: parsed("us-east-1a"),
        region: "us-east-1".to_owned(),
        enis: vec![eni(listed)],
    }
}

fn interface(addresses: &[Ipv4Addr]) -> Interface {
    Interface {
        id: parsed("eni-0000000a"),
        subnet: parsed("subnet-0000000a"),
        device_index: 0,
        network_card: 0,
        primary: Ipv4Addr::new(10, 0, 1, 10),
        addresses: addresses.iter().copied().collect(),
        prefixes: 0,
        groups: BTreeSet::new(),
        cluster: None,
        no_manage: None,
        operator: None,
        delete_on_termination: false,
    }
}

fn record() -> StaticIp {
    StaticIp {
        address: ADDRESS,
        pool: parsed("pool"),
        subnet: parsed("subnet-0000000a"),
        cidr: parsed("10.0.1.0/24"),
        zone: parsed("us-east-1a"),
        member: Member::new("demo", "redis-0").unwrap(),
        epoch: Epoch(5),
        attachment: Some(Attachment {
            state: State::Attached,
            pod: parsed("u1"),
            node: parsed("here"),
            eni: Some(parsed("eni-0000000a")),
            run: parsed("run"),
            served: true,
        }),
        reserved_on: Some(parsed("eni-0000000a")),
        pending_mutations: BTreeSet::new(),
    }
}

fn listing() -> Listing {
    let pods = [(record().member, PodView::Vouched)].into();
    Listing { records: [(ADDRESS, record())].into(), pods, ..Listing::default() }
}

fn kernel_snapshot() -> KernelSnapshot {
    let holder = Holder { pod: parsed::<PodUid>("u1"), epoch: Epoch(5) };
    let locks = [(ADDRESS, LockRecord { holder, hold: Hold::Held })].into();
    KernelSnapshot { locks, ..KernelSnapshot::default() }
}

fn bare() -> KernelView {
    KernelView { link: Some("eth0".to_owned()), link_up: true, routing: true, ..Default::default() }
}

fn new(last: Option<Snapshot>) -> Observed {
    Observed::new(parsed("here"), parsed("prod"), last)
}

/// The plan after the kernel has lost the addresses that the agent knows.
fn stripped(mut state: Observed) -> Vec<Operation> {
    stripped_of(&mut state)
}

fn stripped_of(state: &mut Observed) -> Vec<Operation> {
    state.set_kernel_snapshot(kernel_snapshot());
    for target in state.targets() {
        state.viewed(target, bare());
    }
    plan(&state.observation(at(0)), at(0))
}

fn at(seconds: u64) -> Moment {
    Moment(Duration::from_secs(seconds))
}

fn observed() -> Observed {
    let mut state = new(None);
    state.listed(listing());
    state.identified(identity(&[ADDRESS]), at(0));
    state
}

#[test]
fn f033_agent_with_only_a_snapshot_restores_stripped_addresses() {
    let snapshot = observed().snapshot().unwrap();
    let operations = stripped(new(Some(snapshot.clone())));
    assert!(matches!(operations.as_slice(), [Operation::Restore { .. }]), "{operations:?}");
    let elsewhere = Snapshot { node: parsed("there"), ..snapshot };
    assert_eq!(stripped(new(Some(elsewhere))), [], "a snapshot of another node is ignored");
    assert_eq!(stripped(new(None)), []);
}

#[test]
fn f090_snapshot_data_is_not_saved_again_and_does_not_make_the_agent_ready() {
    let mut state = new(observed().snapshot());
    state.set_kernel_snapshot(kernel_snapshot());
    assert!(!state.is_complete());
    assert_eq!(state.snapshot(), None);
    let pass = state.pass();
    assert_eq!((pass.enis, pass.pools), (None, None), "the collector ignores it");
}

#[test]
fn unreadable_record_keeps_its_last_state() {
    let mut state = observed();
    state.listed(Listing { unread: [ADDRESS].into(), ..Listing::default() });
    assert_eq!(state.targets().len(), 1);
    state.listed(Listing::default());
    assert_eq!(state.targets(), [], "an absent record is removed");
}

#[test]
fn address_missing_in_the_metadata_service_needs_an_ec2_query() {
    let mut state = new(None);
    state.listed(listing());
    assert!(!state.has_unplaced(), "before the metadata service has answered");
    state.identified(identity(&[ADDRESS]), at(0));
    assert!(!state.has_unplaced());
    state.identified(identity(&[]), at(0));
    assert!(state.has_unplaced());
    assert_eq!(ec2_shows(&mut state, &[ADDRESS], 9), Some(at(10)), "EC2's reads lag, too");
    state.identified(identity(&[]), at(9));
    assert!(state.has_unplaced());
    assert_eq!(ec2_shows(&mut state, &[ADDRESS], 10), None);
    state.identified(identity(&[]), at(10));
    assert!(!state.has_unplaced(), "its absence is nothing new");
    state.identified(identity(&[ADDRESS]), at(20));
    state.identified(identity(&[]), at(30));
    assert!(state.has_unplaced(), "a new one");
}

fn is_misplaced(state: &mut Observed) -> bool {
    state.observation(at(1)).addresses[0].misplaced.is_some()
}

/// Applies a query of EC2 that started at this second.
fn ec2_shows(state: &mut Observed, addresses: &[Ipv4Addr], second: u64) -> Option<Moment> {
    let held = state.held();
    state.listed_by_ec2(&held, &[interface(addresses)], at(second))
}

#[test]
fn f007_only_ec2_makes_an_address_misplaced() {
    let mut state = observed();
    state.set_kernel_snapshot(kernel_snapshot());
    state.identified(identity(&[]), at(0));
    assert!(!is_misplaced(&mut state), "absence proves nothing");
    ec2_shows(&mut state, &[], 60);
    assert!(is_misplaced(&mut state));
    ec2_shows(&mut state, &[ADDRESS], 60);
    assert!(!is_misplaced(&mut state));
}

#[test]
fn f007_ec2_query_older_than_the_attach_is_ignored_and_repeated() {
    let mut state = observed();
    state.set_kernel_snapshot(kernel_snapshot());
    assert_eq!(ec2_shows(&mut state, &[], 0), Some(at(10)), "before its first observation");
    assert!(!is_misplaced(&mut state), "which is at the first second");
    assert_eq!(ec2_shows(&mut state, &[], 10), Some(at(11)), "EC2's reads lag");
    assert!(!is_misplaced(&mut state));
    assert_eq!(ec2_shows(&mut state, &[], 11), None);
    assert!(is_misplaced(&mut state));
    let mut next = listing();
    next.records.get_mut(&ADDRESS).unwrap().epoch = Epoch(6);
    state.listed(next);
    assert!(!is_misplaced(&mut state), "EC2 showed another epoch elsewhere");
    state.identified(identity(&[ADDRESS]), at(0));
    assert!(state.has_unplaced(), "but the metadata service alone cannot confirm it");
    ec2_shows(&mut state, &[ADDRESS], 12);
    assert!(!state.has_unplaced());
}

#[test]
fn f007_frozen_metadata_service_does_not_override_ec2() {
    let mut state = observed();
    state.set_kernel_snapshot(kernel_snapshot());
    assert!(!is_misplaced(&mut state));
    ec2_shows(&mut state, &[], 60);
    state.identified(identity(&[ADDRESS]), at(0));
    assert!(is_misplaced(&mut state), "listed by the metadata service but not by EC2");
    state.reasserted(ADDRESS);
    state.identified(identity(&[ADDRESS]), at(0));
    assert!(!is_misplaced(&mut state), "an operation has looked it up since");
}

/// Found by a history: a list without the address made an agent forget when it had re-asserted it.
#[test]
fn the_pause_after_a_reassert_outlives_a_list_without_the_address() {
    let mut state = observed();
    state.set_kernel_snapshot(kernel_snapshot());
    let full = state.listing.clone().unwrap();
    state.reasserts(ADDRESS, at(60));
    state.listed(Listing::default());
    assert_eq!(state.observation(at(61)).addresses, []);
    state.listed(full);
    assert_eq!(state.observation(at(62)).addresses[0].reasserted, Some(at(60)));
    state.listed(Listing::default());
    state.observation(at(60 + timing::REASSERT_PAUSE.as_secs()));
    assert!(state.memories.is_empty(), "{:?}", state.memories);
}

#[test]
fn query_ignores_addresses_attached_while_it_ran() {
    let mut state = observed();
    state.set_kernel_snapshot(kernel_snapshot());
    assert!(!is_misplaced(&mut state));
    state.listed_by_ec2(&BTreeMap::new(), &[interface(&[])], at(60));
    assert!(!is_misplaced(&mut state));
    let elsewhere = [(ADDRESS, parsed("eni-0000000b"))].into();
    state.listed_by_ec2(&elsewhere, &[interface(&[])], at(60));
    assert!(!is_misplaced(&mut state));
}

#[test]
fn addresses_of_an_eni_missing_in_ec2_are_misplaced() {
    let mut state = observed();
    state.set_kernel_snapshot(kernel_snapshot());
    assert!(!is_misplaced(&mut state));
    state.listed_by_ec2(&state.held(), &[], at(60));
    assert!(is_misplaced(&mut state));
}

#[test]
fn lock_newer_than_the_listed_record_is_unconfirmed_and_restores_nothing() {
    let unconfirmed = |change: fn(&mut Attachment), epoch: u64| {
        let mut listing = listing();
        let record = listing.records.get_mut(&ADDRESS).unwrap();
        record.epoch = Epoch(epoch);
        record.attachment.as_mut().map(change).unwrap();
        let mut state = new(None);
        state.identified(identity(&[ADDRESS]), at(0));
        state.listed(listing);
        let plan = stripped_of(&mut state);
        (state.has_unconfirmed_lock(), plan.len())
    };
    assert_eq!(unconfirmed(|_| (), 5), (false, 1), "matches the record");
    assert_eq!(
        unconfirmed(|it| it.state = State::Attaching, 5),
        (true, 0),
        "an init container is attaching"
    );
    assert_eq!(unconfirmed(|_| (), 4), (true, 0), "the list is older");
    assert_eq!(
        unconfirmed(|it| it.node = parsed("other"), 4),
        (true, 0),
        "and it was on another node"
    );
    let elsewhere = unconfirmed(|it| it.node = parsed("other"), 6);
    assert_eq!(elsewhere, (false, 1), "the record is newer: withdraw");
    assert_eq!(unconfirmed(|it| it.state = State::Parked, 5), (false, 1), "and released");
}

#[test]
fn held_lock_without_a_listed_record_is_unconfirmed() {
    let mut state = new(None);
    assert!(!state.has_unconfirmed_lock(), "no observation yet");
    state.set_kernel_snapshot(kernel_snapshot());
    assert!(!state.has_unconfirmed_lock(), "no list yet");
    state.listed(Listing::default());
    assert!(state.has_unconfirmed_lock());
    let mut released = kernel_snapshot();
    released.locks.get_mut(&ADDRESS).unwrap().hold = Hold::Released;
    state.set_kernel_snapshot(released);
    assert!(!state.has_unconfirmed_lock());
}

#[test]
fn address_is_missing_unless_the_kernel_has_all_its_parts() {
    let complete = KernelView { address: true, ..bare() };
    let of = |mark: Option<KernelOwner>, view: &KernelView| {
        let mut state = observed();
        let kernel = mark.map(|mark| (ADDRESS, mark)).into_iter().collect();
        state.set_kernel_snapshot(KernelSnapshot { kernel, ..kernel_snapshot() });
        for target in state.targets() {
            state.viewed(target, view.clone());
        }
        state.is_missing(ADDRESS)
    };
    assert!(!of(Some(KernelOwner::Ours), &complete));
    assert!(!of(Some(KernelOwner::Foreign), &complete), "an address of another program counts");
    assert!(of(None, &bare()));
    // A rule outlives the link of its ENI.
    assert!(of(Some(KernelOwner::Ours), &KernelView::default()));
}
