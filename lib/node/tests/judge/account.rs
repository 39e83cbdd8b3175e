//! Reservations of the pools' subnets, and slots for volumes.

use firecamp_core::failure::CloudKind;
use firecamp_node::preflight::facts::{AttachedVolumes, Fact, Facts, Reservation};
use firecamp_node::preflight::{Kind, Reason, Severity};

use crate::fixture::*;

/// With these reservations in subnet A, whose pool hands out 10.0.1.100 to .120.
fn kept(blocks: &[(&str, bool)]) -> Facts {
    let all = blocks.iter().map(|(block, explicit)| {
        let block = parsed(block);
        Reservation { block, explicit: *explicit }
    });
    let all = Fact::Known(all.collect());
    with(|facts| {
        facts.reservations.insert(parsed(A), all);
    })
}

#[test]
fn f055_a_range_without_an_explicit_reservation_is_reported_with_its_gap() {
    let gap = |blocks: &[(&str, bool)]| {
        let reported = one(&kept(blocks), Kind::RangesReserved);
        assert_eq!(
            (reported.reason, reported.severity()),
            (Reason::NotReserved, Severity::Warning)
        );
        assert!(
            reported.message.contains("create-subnet-cidr-reservation"),
            "{}",
            reported.message
        );
        let end = reported.message.find(" of the range 10.0.1.100 to 10.0.1.120").unwrap();
        reported.message["In subnet-0000000a no explicit reservation covers ".len()..end].to_owned()
    };
    assert_eq!(gap(&[]), "10.0.1.100 to 10.0.1.120");
    assert_eq!(gap(&[("10.0.1.96/28", true)]), "10.0.1.112 to 10.0.1.120");
    assert_eq!(gap(&[("10.0.1.112/28", true)]), "10.0.1.100 to 10.0.1.111");
    let around = [("10.0.1.96/29", true), ("10.0.1.112/28", true)];
    assert_eq!(gap(&around), "10.0.1.104 to 10.0.1.111");
    assert_eq!(gap(&[("10.0.1.104/30", true)]), "10.0.1.100 to 10.0.1.103");
    assert_eq!(gap(&[("10.0.2.0/24", true)]), "10.0.1.100 to 10.0.1.120");
}

#[test]
fn f055_reservations_may_cover_a_range_together() {
    let reason = |blocks: &[(&str, bool)]| reason(&kept(blocks), Kind::RangesReserved);
    assert_eq!(reason(&[("10.0.1.96/28", true), ("10.0.1.112/28", true)]), Reason::Reserved);
    assert_eq!(reason(&[("10.0.1.112/28", true), ("10.0.1.96/28", true)]), Reason::Reserved);
    assert_eq!(reason(&[("0.0.0.0/0", true)]), Reason::Reserved);
}

#[test]
fn f055_a_prefix_reservation_covers_nothing_and_is_named() {
    let reported = one(&kept(&[("10.0.1.96/27", false)]), Kind::RangesReserved);
    assert_eq!(reported.reason, Reason::NotReserved);
    assert!(
        reported.message.contains("the reservation 10.0.1.96/27 is for prefixes"),
        "{}",
        reported.message
    );
}

#[test]
fn unreadable_reservations_are_unknown() {
    let facts = with(|facts| {
        let failed = Fact::Failed(failure(CloudKind::Auth));
        facts.reservations.insert(parsed(B), failed);
    });
    assert_eq!(reason(&facts, Kind::RangesReserved), Reason::Unknown);
}

fn slots((count, shared): (u32, bool), volumes: u32, offered: Option<u32>) -> Facts {
    with(|facts| {
        facts.limits = Fact::Known(limits(count, shared));
        facts.volumes = Fact::Known(AttachedVolumes { count: volumes, of_launch: 1 });
        facts.in_cluster.offered = Fact::Known(offered);
    })
}

#[test]
fn f085_shared_slots_are_counted_with_every_interface() {
    let reported = one(&slots((28, true), 3, None), Kind::VolumeSlotsCounted);
    assert_eq!(reported.reason, Reason::SlotsAvailable);
    let wanted = "m5.large has 28 slots, which its 2 network interfaces share; 3 volumes are \
                  attached and 23 more fit";
    assert_eq!(reported.message, wanted);
    let reason = |limit, volumes| reason(&slots(limit, volumes, None), Kind::VolumeSlotsCounted);
    assert_eq!(reason((28, true), 25), Reason::SlotsAvailable);
    assert_eq!(
        reason((28, true), 26),
        Reason::SlotsExhausted,
        "the second interface takes the last"
    );
    assert_eq!(
        reason((28, false), 26),
        Reason::SlotsAvailable,
        "interfaces have slots of their own"
    );
    assert_eq!(reason((28, true), 40), Reason::SlotsExhausted);
}

#[test]
fn f085_a_driver_that_counted_before_the_interface_was_attached_is_a_warning() {
    // 28 slots less two interfaces and the root volume: 25. It counted with one interface.
    assert_eq!(
        reason(&slots((28, true), 3, Some(25)), Kind::VolumeSlotsCounted),
        Reason::SlotsAvailable
    );
    let reported = one(&slots((28, true), 3, Some(26)), Kind::VolumeSlotsCounted);
    assert_eq!(
        (reported.reason, reported.severity()),
        (Reason::SlotsOvercounted, Severity::Warning)
    );
    let wanted = "the EBS CSI driver reports 26, but only 25 fit. With \
                  node.reservedVolumeAttachments=2 it reports no more than fit";
    assert!(reported.message.contains(wanted), "{}", reported.message);
}

#[test]
fn f085_volumes_of_the_launch_take_slots_that_the_driver_must_reserve() {
    let of_launch = |limit, of_launch, offered| {
        let mut facts = slots(limit, 5, Some(offered));
        facts.volumes = Fact::Known(AttachedVolumes { count: 5, of_launch });
        one(&facts, Kind::VolumeSlotsCounted)
    };
    // A node with a second volume for data, as Bottlerocket has it.
    assert_eq!(of_launch((28, true), 2, 24).reason, Reason::SlotsAvailable);
    let reported = of_launch((28, true), 2, 25);
    assert_eq!(reported.reason, Reason::SlotsOvercounted);
    assert!(reported.message.contains("node.reservedVolumeAttachments=3 "), "{}", reported.message);
    let kept = of_launch((28, true), 0, 26);
    assert!(
        kept.message.contains("node.reservedVolumeAttachments=2 "),
        "EC2 keeps the root volume"
    );
    let dedicated = of_launch((28, false), 1, 28);
    let wanted = "reports 28, but only 27 fit. With node.reservedVolumeAttachments=1 ";
    assert!(dedicated.message.contains(wanted), "{}", dedicated.message);
}
