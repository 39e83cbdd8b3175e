//! Further parts of the agent: what it collects, its capacity, and its snapshot.

use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;
use std::time::Duration;

use firecamp_core::agent::{
    BadSnapshot, Collector, KernelOwner, Leftover, Pass, Slots, Snapshot, slots,
};
use firecamp_core::contract::timing;
use firecamp_core::ids::{EniId, Epoch, Member};
use firecamp_core::node_identity::Eni;
use firecamp_core::record::{
    Attachment, Mutation, PendingMutation, Pool, PoolSubnet, ReleasePolicy, State, StaticIp,
};
use firecamp_core::time::Moment;
use proptest::prelude::*;

fn parsed<T: std::str::FromStr<Err: std::fmt::Debug>>(text: &str) -> T {
    text.parse().expect("a well formed identifier")
}

fn address(last: u8) -> Ipv4Addr {
    Ipv4Addr::new(10, 0, 1, last)
}

fn eni(number: u8, listed: &[u8]) -> Eni {
    Eni {
        id: parsed(&format!("eni-000000{number:02x}")),
        mac: parsed(&format!("06:00:00:00:00:{number:02x}")),
        device_index: u32::from(number),
        network_card: 0,
        subnet: parsed("subnet-0000000a"),
        cidr: parsed("10.0.1.0/24"),
        primary_address: address(10 + number),
        listed: listed.iter().map(|last| address(*last)).collect(),
        prefixes: 0,
    }
}

/// 50 to 59 of the subnet.
fn pool() -> Pool {
    Pool {
        name: parsed("pool"),
        release_policy: ReleasePolicy::Keep,
        orphaned: firecamp_core::record::OrphanPolicy::Report,
        resource: firecamp_core::ids::ResourceName::default(),
        subnets: vec![PoolSubnet {
            subnet: parsed("subnet-0000000a"),
            cidr: parsed("10.0.1.0/24"),
            zone: parsed("us-east-1a"),
            ranges: vec![(address(50), address(59))],
        }],
    }
}

/// Ours at 50 and foreign at 51 in the kernel; 52 and foreign 90 on the ENI; no record of any.
fn pass() -> Pass {
    Pass {
        kernel: Some(
            [(address(50), KernelOwner::Ours), (address(51), KernelOwner::Foreign)].into(),
        ),
        enis: Some(vec![eni(1, &[52, 90])]),
        pools: Some(vec![pool()]),
        claimed: [(address(50), false), (address(51), false), (address(52), false)].into(),
    }
}

fn at(seconds: u64) -> Moment {
    Moment(Duration::from_secs(seconds))
}

fn leftovers() -> Vec<Leftover> {
    vec![Leftover::Kernel(address(50)), Leftover::Eni(parsed("eni-00000001"), address(52))]
}

const GRACE: u64 = timing::COLLECT_GRACE.as_secs();

#[test]
fn an_orphan_is_due_in_a_second_pass_after_the_grace_period() {
    let mut collector = Collector::default();
    assert_eq!(collector.pass(&pass(), at(100)), [], "the first pass");
    assert_eq!(collector.pass(&pass(), at(99 + GRACE)), [], "before the grace period is over");
    assert_eq!(collector.pass(&pass(), at(100 + GRACE)), leftovers());
}

#[test]
fn one_pass_is_not_enough_however_old_it_is() {
    let mut collector = Collector::default();
    let unread = Pass::default();
    collector.pass(&pass(), at(0));
    assert_eq!(collector.pass(&unread, at(GRACE * 10)), []);
    assert_eq!(collector.suspects(), 2);
}

#[test]
fn f036_a_failed_or_partial_read_names_nothing_and_resets_nothing() {
    let whole = pass();
    let partial = [
        Pass { kernel: None, ..whole.clone() },
        Pass { enis: None, ..whole.clone() },
        Pass { pools: None, ..whole.clone() },
        Pass { claimed: BTreeMap::new(), ..whole.clone() },
        Pass::default(),
    ];
    for unread in partial {
        let mut collector = Collector::default();
        collector.pass(&whole, at(0));
        let due = collector.pass(&unread, at(GRACE));
        assert!(due.len() < 2, "{due:?} by {unread:?}");
        assert!(unread.kernel.is_some() || !due.contains(&leftovers()[0]), "{unread:?}");
        let pools = unread.enis.is_some() && unread.pools.is_some();
        assert!(pools || !due.contains(&leftovers()[1]), "{unread:?}");
        assert!(!unread.claimed.is_empty() || due.is_empty(), "{unread:?}");
        assert_eq!(collector.pass(&whole, at(GRACE + 1)), leftovers(), "after {unread:?}");
    }
}

#[test]
fn a_new_record_or_a_removed_object_restarts_the_grace_period() {
    let mut collector = Collector::default();
    collector.pass(&pass(), at(0));
    let mut claimed = pass();
    claimed.claimed.insert(address(50), true);
    let eni = leftovers().pop().expect("two");
    assert_eq!(collector.pass(&claimed, at(GRACE)), [eni]);
    let gone = Pass { enis: Some(vec![]), ..pass() };
    assert_eq!(collector.pass(&gone, at(GRACE + 1)), []);
    assert_eq!(collector.pass(&pass(), at(GRACE + 2)), [], "both start again");
}

#[test]
fn f034_only_possible_orphans_are_looked_up() {
    assert_eq!(pass().wanted(), [address(50), address(52)].into());
    let mut primary = eni(1, &[]);
    primary.primary_address = address(55);
    primary.listed = [address(55)].into();
    let other = Eni { subnet: parsed("subnet-0000000b"), ..eni(2, &[56]) };
    let enis = Pass { enis: Some(vec![primary, other]), kernel: None, ..pass() };
    assert_eq!(enis.wanted(), BTreeSet::new(), "a primary address, another subnet");
}

#[test]
fn slots_count_what_is_listed_held_and_prefixed_once() {
    let held: BTreeMap<EniId, BTreeSet<Ipv4Addr>> =
        [(parsed("eni-00000001"), [address(50), address(51)].into())].into();
    let (first, second) = (eni(1, &[51, 60]), Eni { prefixes: 2, ..eni(2, &[]) });
    let found = slots([&first, &second], 6, &held);
    // 6 - 1 - {50, 51, 60} and 6 - 1 - 2 prefixes.
    assert_eq!(found, Slots { free: 2 + 3, held: 2 });
    assert_eq!(found.capacity(), 7);
    assert_eq!(slots([&first], 6, &held).capacity(), 4, "the second one is detached");
    assert_eq!(slots([&first], 2, &held).free, 0, "more than the limit");
    let full = slots([&first], 3, &held);
    assert_eq!(full, Slots { free: 0, held: 1 }, "EC2 refuses address 50, which is not listed");
}

#[test]
fn a_starting_or_ending_member_does_not_change_the_capacity() {
    let none = BTreeMap::new();
    let held = BTreeMap::from([(parsed("eni-00000001"), [address(50)].into())]);
    let before = slots([&eni(1, &[])], 6, &none).capacity();
    assert_eq!(slots([&eni(1, &[])], 6, &held).capacity(), before, "taken, not listed yet");
    assert_eq!(slots([&eni(1, &[50])], 6, &held).capacity(), before, "listed");
    assert_eq!(slots([&eni(1, &[50])], 6, &none).capacity(), before - 1, "parked");
}

fn states() -> impl Strategy<Value = State> {
    prop::sample::select(vec![
        State::Attaching,
        State::Attached,
        State::Parked,
        State::Releasing,
        State::Released,
    ])
}

fn records() -> impl Strategy<Value = StaticIp> {
    let entries = prop::collection::btree_set((any::<bool>(), 0_u8..4), 0..3);
    let eni = || prop::option::of(0_u8..4);
    (any::<u32>(), any::<u64>(), prop::option::of((states(), eni(), any::<bool>())), eni(), entries)
        .prop_map(|(bits, epoch, attachment, reserved, entries)| StaticIp {
            address: Ipv4Addr::from(bits),
            pool: parsed("pool"),
            subnet: parsed("subnet-0000000a"),
            cidr: parsed("10.0.1.0/24"),
            zone: parsed("us-east-1a"),
            member: Member::new("demo", "redis-0").expect("a member"),
            epoch: Epoch(epoch),
            attachment: attachment.map(|(state, on, served)| Attachment {
                state,
                pod: parsed("0f4b-uid"),
                node: parsed("here.example"),
                eni: on.map(eni_id),
                run: parsed("run-1"),
                served,
            }),
            reserved_on: reserved.map(eni_id),
            pending_mutations: entries.into_iter().map(entry).collect(),
        })
}

fn eni_id(number: u8) -> EniId {
    parsed(&format!("eni-000000{number:02x}"))
}

fn entry((assigns, number): (bool, u8)) -> PendingMutation {
    let mutation = if assigns { Mutation::Assign } else { Mutation::Unassign };
    PendingMutation { mutation, eni: eni_id(number), run: parsed("run-2") }
}

fn snapshots() -> impl Strategy<Value = Snapshot> {
    let enis = prop::collection::vec((0_u8..4).prop_map(|number| eni(number, &[])), 0..3);
    let records = prop::collection::vec(records(), 0..5);
    (enis, records).prop_map(|(enis, records)| Snapshot { node: parsed("here"), enis, records })
}

proptest! {
    #[test]
    fn a_snapshot_is_read_back_as_it_was(snapshot in snapshots()) {
        prop_assert_eq!(Snapshot::decode(&snapshot.encode()), Ok(snapshot));
    }

    #[test]
    fn a_snapshot_that_was_cut_short_is_refused(snapshot in snapshots(), part in 0.0..1.0_f64) {
        let text = snapshot.encode();
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            clippy::cast_precision_loss,
            reason = "a place in a short text"
        )]
        let end = (text.len() as f64 * part) as usize;
        prop_assert!(Snapshot::decode(&text[..end]).is_err());
    }

    #[test]
    fn hostile_bytes_are_no_snapshot(text in "\\PC{0,200}") {
        prop_assert!(Snapshot::decode(&text).is_err());
    }
}

#[test]
fn a_snapshot_of_another_version_is_refused() {
    let snapshot = Snapshot { node: parsed("here"), enis: vec![], records: vec![] };
    let text = snapshot.encode();
    let newer = text.replacen("snapshot 1", "snapshot 2", 1);
    assert_eq!(Snapshot::decode(&newer), Err(BadSnapshot::Version));
    assert_eq!(Snapshot::decode(""), Err(BadSnapshot::Version));
    let longer = format!("{text}node other\n");
    assert_eq!(Snapshot::decode(&longer), Err(BadSnapshot::Line(3)));
}

#[test]
fn a_snapshot_with_an_extra_line_or_word_is_refused() {
    let snapshot = Snapshot { node: parsed("here"), enis: vec![eni(1, &[])], records: vec![] };
    let text = snapshot.encode();
    let lines: Vec<&str> = text.lines().collect();
    let decoded = |lines: &[&str]| Snapshot::decode(&format!("{}\n", lines.join("\n")));
    assert_eq!(decoded(&lines), Ok(snapshot));
    let [header, node, eni, end] = lines.as_slice() else { unreachable!("{lines:?}") };
    assert_eq!(decoded(&[header, node, "node other", eni, end]), Err(BadSnapshot::Line(3)));
    assert_eq!(decoded(&[header, eni, node, end]), Err(BadSnapshot::Line(2)), "no node yet");
    for wrong in 1..lines.len() {
        let longer = format!("{} more", lines[wrong]);
        let mut lines = lines.clone();
        lines[wrong] = &longer;
        assert_eq!(decoded(&lines), Err(BadSnapshot::Line(wrong + 1)), "{longer:?}");
    }
}
