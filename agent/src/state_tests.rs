use std::time::Duration;

use firecamp_core::agent::plan;
use firecamp_core::ids::{Epoch, Member, PodUid};
use firecamp_core::interface::Interface;
use firecamp_core::lock::{Hold, LockRecord};
use firecamp_core::outside::Holder;
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
        goes_with_instance: false,
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
        unsettled: BTreeSet::new(),
    }
}

fn listing() -> Listing {
    let pods = [(record().member, PodView::Vouched)].into();
    Listing { records: [(ADDRESS, record())].into(), pods, ..Listing::default() }
}

fn survey() -> Survey {
    let holder = Holder { pod: parsed::<PodUid>("u1"), epoch: Epoch(5) };
    let locks = [(ADDRESS, LockRecord { holder, hold: Hold::Held })].into();
    Survey { locks, ..Survey::default() }
}

fn bare() -> KernelView {
    KernelView { link: Some("eth0".to_owned()), link_up: true, routing: true, ..Default::default() }
}

fn new(last: Option<Snapshot>) -> Observed {
    Observed::new(parsed("here"), parsed("prod"), last)
}

/// Something has stripped the kernel, as far as the agent knows of the address at all.
fn stripped(mut state: Observed) -> Vec<Duty> {
    stripped_of(&mut state)
}

fn stripped_of(state: &mut Observed) -> Vec<Duty> {
    state.surveyed(survey());
    for target in state.targets() {
        state.viewed(target, bare());
    }
    plan(&state.sight(at(0)), at(0))
}

fn at(seconds: u64) -> Moment {
    Moment(Duration::from_secs(seconds))
}

fn seen() -> Observed {
    let mut state = new(None);
    state.listed(listing());
    state.identified(identity(&[ADDRESS]));
    state
}

#[test]
fn f033_an_agent_that_begins_with_a_snapshot_alone_restores_what_is_stripped() {
    let snapshot = seen().snapshot().unwrap();
    let duties = stripped(new(Some(snapshot.clone())));
    assert!(matches!(duties.as_slice(), [Duty::Restore { .. }]), "{duties:?}");
    let elsewhere = Snapshot { node: parsed("there"), ..snapshot };
    assert_eq!(stripped(new(Some(elsewhere))), [], "another node's is none of ours");
    assert_eq!(stripped(new(None)), []);
}

#[test]
fn f090_what_only_a_snapshot_tells_is_not_passed_on_and_makes_nobody_ready() {
    let mut state = new(seen().snapshot());
    state.surveyed(survey());
    assert!(!state.is_complete());
    assert_eq!(state.snapshot(), None);
    let pass = state.pass();
    assert_eq!((pass.enis, pass.pools), (None, None), "nor is anything collected by it");
}

#[test]
fn a_record_that_cannot_be_read_any_more_stays_as_it_was() {
    let mut state = seen();
    state.listed(Listing { unread: [ADDRESS].into(), ..Listing::default() });
    assert_eq!(state.targets().len(), 1);
    state.listed(Listing::default());
    assert_eq!(state.targets(), [], "one that is gone is gone");
}

#[test]
fn an_answer_of_ec2_is_wanted_for_what_the_metadata_service_does_not_list() {
    let mut state = new(None);
    state.listed(listing());
    assert!(!state.has_unplaced(), "before the metadata service has answered");
    state.identified(identity(&[ADDRESS]));
    assert!(!state.has_unplaced());
    state.identified(identity(&[]));
    assert!(state.has_unplaced());
    ec2_shows(&mut state, &[ADDRESS], 0);
    assert!(!state.has_unplaced());
}

fn is_astray(state: &mut Observed) -> bool {
    state.sight(at(1)).addresses[0].astray.is_some()
}

/// A look at EC2 that was begun at this second.
fn ec2_shows(state: &mut Observed, addresses: &[Ipv4Addr], second: u64) -> Option<Moment> {
    let held = state.held();
    state.listed_by_ec2(&held, &[interface(addresses)], at(second))
}

#[test]
fn f007_only_ec2_s_own_word_makes_an_address_astray() {
    let mut state = seen();
    state.surveyed(survey());
    state.identified(identity(&[]));
    assert!(!is_astray(&mut state), "an absence proves nothing");
    ec2_shows(&mut state, &[], 60);
    assert!(is_astray(&mut state));
    ec2_shows(&mut state, &[ADDRESS], 60);
    assert!(!is_astray(&mut state));
}

#[test]
fn f007_ec2_s_word_of_the_time_before_an_attach_makes_nothing_astray_and_is_asked_for_again() {
    let mut state = seen();
    state.surveyed(survey());
    assert_eq!(ec2_shows(&mut state, &[], 0), Some(at(10)), "before it was ever noted");
    assert!(!is_astray(&mut state), "which is at the first second");
    assert_eq!(ec2_shows(&mut state, &[], 10), Some(at(11)), "EC2's reads lag");
    assert!(!is_astray(&mut state));
    assert_eq!(ec2_shows(&mut state, &[], 11), None);
    assert!(is_astray(&mut state));
    let mut next = listing();
    next.records.get_mut(&ADDRESS).unwrap().epoch = Epoch(6);
    state.listed(next);
    assert!(!is_astray(&mut state), "that was said of another epoch");
    state.identified(identity(&[ADDRESS]));
    assert!(state.has_unplaced(), "but the metadata service's word is not enough any more");
    ec2_shows(&mut state, &[ADDRESS], 12);
    assert!(!state.has_unplaced());
}

#[test]
fn f007_a_frozen_metadata_service_does_not_talk_ec2_down() {
    let mut state = seen();
    state.surveyed(survey());
    assert!(!is_astray(&mut state));
    ec2_shows(&mut state, &[], 60);
    state.identified(identity(&[ADDRESS]));
    assert!(is_astray(&mut state), "it is listed, and EC2 has said that it is gone");
    state.reasserted(ADDRESS);
    state.identified(identity(&[ADDRESS]));
    assert!(!is_astray(&mut state), "an errand has looked since");
}

#[test]
fn what_came_to_this_node_during_a_look_is_not_judged_by_it() {
    let mut state = seen();
    state.surveyed(survey());
    assert!(!is_astray(&mut state));
    state.listed_by_ec2(&BTreeMap::new(), &[interface(&[])], at(60));
    assert!(!is_astray(&mut state));
    let elsewhere = [(ADDRESS, parsed("eni-0000000b"))].into();
    state.listed_by_ec2(&elsewhere, &[interface(&[])], at(60));
    assert!(!is_astray(&mut state));
}

#[test]
fn an_eni_that_is_gone_from_ec2_takes_its_addresses_with_it() {
    let mut state = seen();
    state.surveyed(survey());
    assert!(!is_astray(&mut state));
    state.listed_by_ec2(&state.held(), &[], at(60));
    assert!(is_astray(&mut state));
}

#[test]
fn a_lock_that_is_ahead_of_the_listed_record_is_not_proved_and_restores_nothing() {
    let unproved = |change: fn(&mut Attachment), epoch: u64| {
        let mut listing = listing();
        let record = listing.records.get_mut(&ADDRESS).unwrap();
        record.epoch = Epoch(epoch);
        record.attachment.as_mut().map(change).unwrap();
        let mut state = new(None);
        state.identified(identity(&[ADDRESS]));
        state.listed(listing);
        let plan = stripped_of(&mut state);
        (state.has_unproved(), plan.len())
    };
    assert_eq!(unproved(|_| (), 5), (false, 1), "as the record says");
    assert_eq!(unproved(|it| it.state = State::Attaching, 5), (true, 0), "an init is at it");
    assert_eq!(unproved(|_| (), 4), (true, 0), "the list is from before");
    assert_eq!(unproved(|it| it.node = parsed("other"), 4), (true, 0), "and it was elsewhere");
    let elsewhere = unproved(|it| it.node = parsed("other"), 6);
    assert_eq!(elsewhere, (false, 1), "the record has moved on: it gives way");
    assert_eq!(unproved(|it| it.state = State::Parked, 5), (false, 1), "and released");
}

#[test]
fn a_lock_without_a_listed_record_is_not_proved_unless_it_is_released() {
    let mut state = new(None);
    assert!(!state.has_unproved(), "nothing was seen yet");
    state.surveyed(survey());
    assert!(!state.has_unproved(), "nothing was listed yet");
    state.listed(Listing::default());
    assert!(state.has_unproved());
    let mut released = survey();
    released.locks.get_mut(&ADDRESS).unwrap().hold = Hold::Released;
    state.surveyed(released);
    assert!(!state.has_unproved());
}

#[test]
fn an_address_lacks_something_unless_the_kernel_answers_for_it_whoever_has_put_it_there() {
    let whole = KernelView { address: true, ..bare() };
    let of = |mark: Option<KernelMark>, view: &KernelView| {
        let mut state = seen();
        let kernel = mark.map(|mark| (ADDRESS, mark)).into_iter().collect();
        state.surveyed(Survey { kernel, ..survey() });
        for target in state.targets() {
            state.viewed(target, view.clone());
        }
        state.is_lacking(ADDRESS)
    };
    assert!(!of(Some(KernelMark::Ours), &whole));
    assert!(!of(Some(KernelMark::Foreign), &whole), "what another program left answers as well");
    assert!(of(None, &bare()));
    // A rule of ours outlives the link of its ENI.
    assert!(of(Some(KernelMark::Ours), &KernelView::default()));
}
