//! The methods of records, locks, nodes and identifiers, each over all its cases.

use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;
use std::time::Duration;

use firecamp_core::action::Action;
use firecamp_core::choose_interface::{EniRule, Preference, UnwantedEnis};
use firecamp_core::contract::timing;
use firecamp_core::ids::{EniId, Epoch, Mac, Member, PodUid, RunId};
use firecamp_core::lock_rule::{Hold, LockRecord};
use firecamp_core::node_identity::{Eni, NodeIdentity};
use firecamp_core::ports::{Holder, SocketScope, SocketUse};
use firecamp_core::record::{Attachment, Mutation, PendingMutation, State, StaticIp};
use firecamp_core::time::Moment;

const STATES: [State; 5] =
    [State::Attaching, State::Attached, State::Parked, State::Releasing, State::Released];

fn parsed<T: std::str::FromStr<Err: std::fmt::Debug>>(text: &str) -> T {
    text.parse().expect("a well formed identifier")
}

fn eni(letter: char) -> EniId {
    parsed(&format!("eni-0000000{letter}"))
}

/// Pod `u1` at epoch 5 in this state on ENI `a`, reserved on `b`.
fn record(state: State) -> StaticIp {
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
            pod: parsed("u1"),
            node: parsed("here"),
            eni: Some(eni('a')),
            run: parsed("run"),
            served: true,
        }),
        reserved_on: Some(eni('b')),
        pending_mutations: BTreeSet::new(),
    }
}

fn holder(pod: &str, epoch: u64) -> Holder {
    Holder { pod: parsed(pod), epoch: Epoch(epoch) }
}

#[test]
fn only_an_attaching_or_attached_pod_holds_its_epoch() {
    let (own, other): (PodUid, PodUid) = (parsed("u1"), parsed("u2"));
    for state in STATES {
        let holds = matches!(state, State::Attaching | State::Attached);
        assert_eq!(record(state).held_by(&own, Epoch(5)), holds, "{state:?}");
        assert!(!record(state).held_by(&other, Epoch(5)));
        assert!(!record(state).held_by(&own, Epoch(4)) && !record(state).held_by(&own, Epoch(6)));
        assert_eq!(record(state).is_releasing(), state == State::Releasing);
    }
    let never = StaticIp { attachment: None, ..record(State::Attached) };
    assert!(!never.held_by(&own, Epoch(5)) && !never.is_releasing());
}

#[test]
fn a_record_is_settled_only_on_its_eni_without_pending_mutations() {
    for state in STATES {
        let here = StaticIp { reserved_on: Some(eni('a')), ..record(state) };
        let rests = !matches!(state, State::Releasing | State::Released);
        assert_eq!(here.settled_on(&eni('a')), rests, "{state:?}");
        assert!(!here.settled_on(&eni('b')));
        assert!(!record(state).settled_on(&eni('a')), "reserved elsewhere");
        assert!(!record(state).settled_on(&eni('b')), "attached elsewhere");
        let entry = PendingMutation { mutation: Mutation::Assign, eni: eni('c'), run: parsed("x") };
        let pending = StaticIp { pending_mutations: [entry].into(), ..here };
        assert!(!pending.settled_on(&eni('a')));
        assert!(pending.has_pending_by(&parsed("x")) && !pending.has_pending_by(&parsed("y")));
        assert_eq!(pending.recorded_enis(), [eni('a'), eni('c')].into());
    }
    assert_eq!(record(State::Attached).recorded_enis(), [eni('a'), eni('b')].into());
    assert!(!record(State::Attached).has_pending_by(&parsed::<RunId>("run")), "nothing pending");
}

#[test]
fn the_lock_permits_adding_to_a_later_epoch_or_the_same_holder() {
    let held = LockRecord { holder: holder("u1", 5), hold: Hold::Held };
    let released = LockRecord { hold: Hold::Released, ..held.clone() };
    for record in [&held, &released] {
        assert!(record.permits_adding(&holder("u1", 6)) && record.permits_adding(&holder("u2", 6)));
        assert!(!record.permits_adding(&holder("u2", 5)), "another pod's epoch");
        assert!(
            !record.permits_adding(&holder("u1", 4)) && !record.permits_adding(&holder("u2", 4))
        );
    }
    assert!(held.permits_adding(&holder("u1", 5)), "again");
    assert!(!released.permits_adding(&holder("u1", 5)), "late, after its own release");
}

#[test]
fn the_lock_denies_removing_what_a_later_epoch_or_another_pod_holds() {
    let held = LockRecord { holder: holder("u1", 5), hold: Hold::Held };
    let released = LockRecord { hold: Hold::Released, ..held.clone() };
    for record in [&held, &released] {
        assert!(record.permits_removing(&holder("u1", 5)));
        assert!(
            record.permits_removing(&holder("u1", 6)) && record.permits_removing(&holder("u2", 6))
        );
        assert!(
            !record.permits_removing(&holder("u1", 4))
                && !record.permits_removing(&holder("u2", 4))
        );
    }
    assert!(!held.permits_removing(&holder("u2", 5)));
    assert!(released.permits_removing(&holder("u2", 5)), "it is not held any more");
}

#[test]
fn a_call_that_could_take_effect_too_late_has_no_time_left() {
    let not_after = Moment(Duration::from_secs(5));
    let assign = Action::Assign {
        eni: eni('a'),
        address: Ipv4Addr::new(10, 0, 1, 50),
        force: false,
        not_after,
    };
    let left = |left: Duration| assign.time_left(Moment(not_after.0.saturating_sub(left)));
    assert_eq!(left(timing::CALL_MINIMUM), Some(timing::CALL_MINIMUM));
    assert_eq!(left(Duration::from_secs(4)), Some(Duration::from_secs(4)));
    assert_eq!(left(timing::CALL_MINIMUM.saturating_sub(Duration::from_millis(1))), None);
    assert_eq!(assign.time_left(not_after.plus(Duration::from_secs(1))), None);
    assert_eq!(Action::ReadMember.time_left(Moment::default()), None);
}

#[test]
fn sockets_in_scope_keep_an_address_busy() {
    let none = SocketUse::default();
    let (scopes, all) = ([SocketScope::All, SocketScope::Connections], SocketScope::All);
    assert!(scopes.iter().all(|scope| none.idle(*scope)));
    let listening = SocketUse { listeners: 1, ..none };
    let bound = SocketUse { datagrams: 1, ..none };
    for used in [listening, bound] {
        assert!(!used.idle(all) && used.idle(SocketScope::Connections));
    }
    let connected = SocketUse { connections: 1, ..none };
    assert!(!connected.idle(all) && !connected.idle(SocketScope::Connections));
}

fn interface(card: u32, index: u32, subnet: char) -> Eni {
    Eni {
        id: parsed(&format!("eni-00000{card}{index}{subnet}")),
        mac: Mac::from_bytes([2, 0, 0, 0, 0, 1]),
        device_index: index,
        network_card: card,
        subnet: parsed(&format!("subnet-0000000{subnet}")),
        cidr: parsed("10.0.1.0/24"),
        primary_address: Ipv4Addr::new(10, 0, 1, 4),
        listed: BTreeSet::new(),
        prefixes: 0,
    }
}

#[test]
fn the_rule_selects_the_lowest_card_and_index_among_suitable_enis() {
    let node = NodeIdentity {
        instance: parsed("i-0000000a"),
        instance_type: "m5.large".to_owned(),
        zone: parsed("us-east-1a"),
        region: "us-east-1".to_owned(),
        enis: vec![
            interface(1, 1, 'b'),
            interface(0, 2, 'b'),
            interface(0, 0, 'a'),
            interface(1, 0, 'a'),
            interface(0, 1, 'a'),
        ],
    };
    let place = |rule, wanted: Option<char>| {
        let fits = |subnet: &str| wanted.is_none_or(|letter| subnet.ends_with(letter));
        let eni = node.choose(rule, |subnet| fits(subnet.as_str()), &Preference::default())?;
        Some((eni.network_card, eni.device_index))
    };
    assert_eq!(place(EniRule::Auto, None), Some((0, 0)));
    assert_eq!(place(EniRule::Auto, Some('b')), Some((0, 2)));
    assert_eq!(place(EniRule::Primary, None), Some((0, 0)));
    assert_eq!(place(EniRule::Primary, Some('b')), None);
    assert_eq!(place(EniRule::DeviceIndex(1), None), Some((0, 1)));
    assert_eq!(place(EniRule::DeviceIndex(1), Some('b')), Some((1, 1)));
    assert_eq!(place(EniRule::DeviceIndex(3), None), None);
}

#[test]
fn of_several_enis_the_one_that_has_the_address_carries_it_then_the_first_that_has_room() {
    let mut node = NodeIdentity {
        instance: parsed("i-0000000a"),
        instance_type: "m5.large".to_owned(),
        zone: parsed("us-east-1a"),
        region: "us-east-1".to_owned(),
        enis: vec![interface(0, 0, 'a'), interface(0, 1, 'a'), interface(0, 2, 'a')],
    };
    let all: BTreeMap<EniId, String> =
        node.enis.iter().map(|eni| (eni.id.clone(), "managed".to_owned())).collect();
    let first = node.enis[0].id.clone();
    let excluded = [(first, "managed".to_owned())].into();
    let avoided = [node.enis[1].id.clone()].into();
    let unwanted = UnwantedEnis { excluded, avoided, usable: None };
    let mut moved = record(State::Parked);
    moved.reserved_on = Some(node.enis[1].id.clone());
    let choose = |node: &NodeIdentity, preference: &Preference<'_>| {
        node.choose(EniRule::Auto, |_| true, preference).unwrap().device_index
    };
    let rule = Preference { unwanted: Some(&unwanted), record: None };
    assert_eq!(choose(&node, &Preference::default()), 0);
    assert_eq!(choose(&node, &rule), 2, "0 is excluded, and 1 is full");
    let kept = Preference { record: Some(&moved), ..rule };
    assert_eq!(choose(&node, &kept), 1, "a full one keeps the address that it has by record");
    node.enis[2].listed.insert(moved.address);
    assert_eq!(choose(&node, &kept), 2, "the metadata service decides where it is");
    node.enis[0].listed.insert(moved.address);
    node.enis[2].listed.clear();
    assert_eq!(choose(&node, &kept), 1, "it leaves an excluded one");
    let all = UnwantedEnis { excluded: all, ..unwanted.clone() };
    let no_choice = Preference { unwanted: Some(&all), ..rule };
    assert_eq!(choose(&node, &no_choice), 0, "the reason of the first is reported");
    node.enis[0].listed.clear();
    let usable = Some([node.enis[1].id.clone()].into());
    let known = UnwantedEnis { usable, ..unwanted };
    let beside_vpc_cni = Preference { unwanted: Some(&known), record: None };
    assert_eq!(choose(&node, &beside_vpc_cni), 1, "a full one before one of unknown owner");
    assert_eq!(known.why_not(&node.enis[0].id), Some("managed"));
    assert!(
        known.why_not(&node.enis[2].id).is_some_and(|why| why.contains("has not read its tags"))
    );
}

#[test]
fn a_rule_for_an_eni_is_auto_primary_or_an_index() {
    assert_eq!(parsed::<EniRule>("auto"), EniRule::Auto);
    assert_eq!(parsed::<EniRule>("primary"), EniRule::Primary);
    assert_eq!(parsed::<EniRule>("2"), EniRule::DeviceIndex(2));
    for wrong in ["", "Auto", "-1", "eth0", "4294967296"] {
        assert!(wrong.parse::<EniRule>().is_err(), "{wrong:?}");
    }
}
