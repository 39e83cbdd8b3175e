use firecamp_core::agent::plan;
use firecamp_core::ids::{Epoch, Member, PodUid};
use firecamp_core::lock::{Hold, LockRecord};
use firecamp_core::outside::{Holder, OwnerEni};
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
    Survey { kernel: BTreeMap::new(), locks }
}

fn bare() -> KernelView {
    KernelView { link: Some("eth0".to_owned()), link_up: true, routing: true, ..Default::default() }
}

fn new(last: Option<Snapshot>) -> Observed {
    Observed::new(parsed("here"), parsed("prod"), last)
}

/// Something has stripped the kernel, as far as the agent knows of the address at all.
fn stripped(mut state: Observed) -> Vec<Duty> {
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
    state.identified(vec![eni(&[ADDRESS])]);
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
fn ec2_is_asked_once_a_minute_and_only_for_what_the_metadata_service_does_not_list() {
    let mut state = seen();
    assert_eq!(state.unplaced(at(0)), []);
    state.identified(vec![eni(&[])]);
    assert_eq!(state.unplaced(at(10)), [record()]);
    assert_eq!(state.unplaced(at(69)), []);
    assert_eq!(state.unplaced(at(70)), [record()]);
    state.identified(vec![eni(&[ADDRESS])]);
    assert_eq!(state.unplaced(at(200)), []);
}

#[test]
fn f007_only_ec2_s_own_word_makes_an_address_astray() {
    let mut state = seen();
    state.surveyed(survey());
    let astray = |state: &mut Observed| state.sight(at(1)).addresses[0].astray.is_some();
    state.identified(vec![eni(&[])]);
    assert!(!astray(&mut state), "an absence proves nothing");
    state.owned(ADDRESS, &Owner::Nobody);
    assert!(astray(&mut state));
    let here = OwnerEni {
        id: parsed("eni-0000000a"),
        primary: false,
        cluster: None,
        instance: None,
        description: String::new(),
    };
    state.owned(ADDRESS, &Owner::Eni(here));
    assert!(!astray(&mut state));
}
